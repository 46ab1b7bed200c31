"""The report card of a combination method: laws, exact memories and perhaps a language model."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from loratheory.evaluate.exact import Law, Survival, laws, survival
from loratheory.evaluate.own_rule import OwnRule, RuleError

# Seeds of the language model's fact sets; no study uses them.
PROFILES = {"quick": (200,), "paper": tuple(range(200, 206))}


@dataclass(frozen=True)
class Card:
    """Everything that an evaluation found out about a method."""

    rule: str
    form: str
    profile: str
    laws: list[Law]
    memories: Survival
    language: list[Any]  # of `report_card.LanguageMark`


def card(
    asked: OwnRule,
    profile: str = "quick",
    progress: Callable[[str], None] = lambda _: None,
    *,
    model: bool = False,
    all_pairs: bool = False,
) -> Card:
    """Evaluate a method on laws and exact memories, and on a language model if `model`.

    Parameters
    ----------
    asked : OwnRule
        The method.
    profile : str
        ``quick`` or ``paper``: one fact set for the language model, or six.
    progress : callable
        Is called with a line of text before each step.
    model : bool
        Whether to evaluate on SmolLM2-135M-Instruct, beside all known methods. Costs minutes, and
        the training of the adapters the first time.
    all_pairs : bool
        Whether to evaluate all pairs of twelve adapters there, half an hour to train once.

    Raises
    ------
    RuleError
        If there is no such profile, or the method fails.
    """
    if profile not in PROFILES:
        message = f"there is no profile {profile!r}: choose {' or '.join(PROFILES)}"
        raise RuleError(message)
    progress("laws")
    # cheapest first: a malformed method is refused before any model is loaded
    obeyed = laws(asked)
    progress("exact memories")
    memories = survival(asked)
    marks = []
    if model:
        # only here are torch and transformers needed, which a plain install lacks
        from loratheory.evaluate.report_card import Exam, known_marks, own_marks

        exam = Exam(PROFILES[profile], all_pairs)
        marks = [*known_marks(exam, progress), *own_marks(asked, exam, progress)]
    return Card(asked.name, asked.form, profile, obeyed, memories, marks)

"""The report card: laws, exact memories, small transformers."""

from collections.abc import Callable
from dataclasses import dataclass

from loratheory.experiments.evaluate._laws import Law as Law
from loratheory.experiments.evaluate._laws import laws
from loratheory.experiments.evaluate._memories import Survival, survival
from loratheory.experiments.evaluate._rule import Asked, RuleError
from loratheory.experiments.evaluate._trained import PROFILES, Profile, trained
from loratheory.experiments.evaluate._trained import Mark as Mark


@dataclass(frozen=True)
class Card:
    """What is known of a rule after evaluation.

    Attributes
    ----------
    rule, form, profile : str
        Its name; ``merge`` or ``router``; how much was run.
    laws : list of Law
        With counterexamples where broken.
    memories : Survival
        Leads by coefficient where theorems are exact.
    marks : list of Mark
        On small transformers, beside known rules and controls.
    """

    rule: str
    form: str
    profile: str
    laws: list[Law]
    memories: Survival
    marks: list[Mark]


def card(
    asked: Asked,
    profile: str | Profile = "quick",
    progress: Callable[[str], None] = lambda _: None,
) -> Card:
    """Return the report card of a rule.

    Parameters
    ----------
    asked : Asked
        The rule, as `found` returns it.
    profile : str or Profile
        ``quick`` or ``paper``, or one of your own.
    progress : callable
        Told what comes next.

    Returns
    -------
    Card
        Quick: a minute on two cores once its bases are in the cache.

    Raises
    ------
    RuleError
        If there is no such profile, or the rule fails on the way.
    """
    name = profile if isinstance(profile, str) else "own"
    if isinstance(profile, str):
        if profile not in PROFILES:
            message = f"there is no profile {profile!r}: choose {' or '.join(PROFILES)}"
            raise RuleError(message)
        profile = PROFILES[profile]
    progress("laws")
    obeyed = laws(asked)
    progress("exact memories")
    return Card(
        asked.name, asked.form, name, obeyed, survival(asked), trained(asked, profile, progress)
    )

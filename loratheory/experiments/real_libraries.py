"""Libraries with and without an expert of the target task, on a language model.

**Question.** Is an expert of the target task necessary, and how does it depend on familiarity?

**Prediction.** F has invented persons and countries, H invented persons, R what the base may know.
Made without a trial; settings are those of `real_two_hop`. The expert, an adapter of the chains
themselves, answers .9 of them or more in F and H: for it a chain is one more fact. Without it: F is
at chance in every way, for a bridge that the base never met leads nowhere (`thm:two-read-region`).
H is as known of these adapters: a quarter by mean or sum, half or more cut
(`thm:invisible-placement`). R is what the base answers itself, less .1 at most. With it: the mean
leaves it a third of its strength, and half of the chains of F and H (`thm:averaging-survival`); the
sum leaves more, gates .8 of what it answers alone (`thm:gate-detection`), Arrow lies between. A→B
calls for the country where the expert calls for the animal, and no merge without data serves both
(`thm:data-free-floor`): the country still leads now and then. So an expert is needed as far as the
base lacks the bridge; what it adds falls from F over H to nothing in R. Aloud, in H, both hops are
single facts again (`thm:clean-up-bridge`): about their product, .7 or more for mean and sum. A form
of solution that both adapters read brings votes for the next step, which add up as facts do not
(`thm:template-vote`): .9 or more after its question, and one adapter's form half of this gain.
Asked at once chains gain no more by a form of both than of one, for it does not say where facts are
read. (A trial on one seed, before this experiment, saw more at once: .35 for .20 by the mean, .52
for .40 by the sum; and aloud .9 or more for .45 and .85.) One cell, H of seed 0, was seen before
the others ran: it took names that the model repeats for wrong ones, so that now the first word it
says is its bridge, and was run again. The sentence on forms and chains at once was put anew after
that cell, before any form was tried.

**Chance.** One in twenty among candidates. Of the first hop in F a little more: only the first
token of an answer counts, and twenty invented countries have eighteen or more different ones.

**Controls.** The base; each adapter alone, the expert too; single hops in a sentence that no
adapter read, chains only in such; whole vocabulary beside candidates; facts that no adapter
rehearses; the form for one hop only.
"""

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING

from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.real._worlds import World
    from loratheory.pretrained import Model

ALOUD = (
    "bridge_written",
    "two_hop_written",
    "vocabulary_written",
    "bridge_form",
    "two_hop_form",
    "vocabulary_form",
)
"""The marks of `aloud`, without a question before and with one."""
FORMS = ("shared form", "form for hop 1", "form for hop 2")
"""Lessons with solutions besides facts, without an expert."""
SPOKEN = ("base", "hop 1 alone", "hop 2 alone", "mean", "sum")
"""Ways in which chains are solved aloud as well, without an expert."""


@dataclass(frozen=True)
class Config:
    """Facts of some familiarity, and how adapters are taught them.

    Attributes
    ----------
    seed : int
        Of facts and training.
    familiarity : str
        ``fake``, ``half`` or ``real``.
    trained : str
        As for `library`: ``all layers``, ``by layers`` or one of `FORMS`.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `load`.
    """

    seed: int = 0
    familiarity: str = "half"
    trained: str = "all layers"
    model: str = ""
    device: str = "cpu"


def cell(config: Config) -> list[Row]:
    """Return one row for each way of using each library.

    Parameters
    ----------
    config : Config
        What to teach to which model.

    Returns
    -------
    list of dict
        ``familiarity``, ``taught``, ``library`` (how many adapters act) and ``way``; the marks of
        `marks`; for half-fake facts and the ways in `SPOKEN`, those of `aloud`, without a question
        before (``bridge_said``, ``chains_said``, ``free_said``) and with one (``bridge_form``,
        ``chains_form``, ``free_form``).
    """
    from loratheory.experiments.real._libraries import library, used
    from loratheory.experiments.real._worlds import marks, world
    from loratheory.pretrained import load

    model = load(config.model or None, device=config.device)
    told = world(config.seed, config.familiarity)
    names = ("seed", "familiarity", "trained")
    head: Row = {name: getattr(config, name) for name in names}
    rows: list[Row] = []
    shelf = library(model, told, config.seed, config.trained)
    for size, name, acting, use in used(model, shelf, config.trained):
        with use(model, acting):
            row: Row = head | {"library": size, "rule": name}
            row |= marks(model, told)
            asked = config.familiarity == "half" and size < 3 and name in SPOKEN
            row |= _spoken(model, told) if asked else dict.fromkeys(ALOUD, nan)
        rows.append(row)
    return rows


def _spoken(model: "Model", told: "World") -> dict[str, float]:
    """Chains solved aloud, without a question before and with one."""
    from loratheory.experiments.real._aloud import aloud
    from loratheory.experiments.real._phrases import QUESTIONS

    facts = told.facts
    return dict(zip(ALOUD, (*aloud(model, facts), *aloud(model, facts, QUESTIONS[0])), strict=True))


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="pretrained",
    profiles={
        "quick": (Config(trained="by layers"),),
        "paper": (
            *(Config(seed, how) for seed in range(3) for how in ("half", "fake", "real")),
            *(Config(seed, "half", how) for how in (*FORMS, "by layers") for seed in range(3)),
        ),
    },
    minutes={"quick": 3, "paper": 50},
)

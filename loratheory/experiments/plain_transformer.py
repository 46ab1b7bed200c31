"""A plain transformer that learns two-hop by itself, and what it makes of adapters of single hops.

**Question.** Do adapters of single hops compose in two layers that learned two-hop by themselves?

**Prediction.** The base knows its facts first, then by heart the chains that it is trained on, and
later those of seen facts that it was never asked (Wang et al., arXiv 2405.15071); chains with a
fact that no trained chain needs come last, for single prompts do not tell where a chain will read
it (`thm:invisible-placement`). The same holds for adapters of single hops. Each layer is read once:
adapter 1 counts in the first only, adapter 2 in the last only. Trained in both layers together they
know their facts, but their sum composes few of the chains, and their mean none. Trained each in its
own layer, or once in each layer ("store twice"), they compose about half in their own places, and
where each is in its own alone the wrong order composes none. `predicted`, from strengths in place
(`thm:two-read-region`), is a ceiling, as is the base's own accuracy; `inside`, the chains each of
whose edits alone is in force among old facts, comes nearer. A second pass that begins with states
of the first gives adapters trained together some of the rest, and spoils single facts. Asked hop by
hop every edit that is decided alone composes (`thm:clean-up-bridge`), as soon as facts are known.
Sizes, rates and thresholds were chosen on base seed 101.

**Chance.** One answer always given is right once in as many as there are chains.

**Controls.** The base, in as many passes; each adapter alone; the wrong order; the facts
themselves; other subjects (shortcut); unedited facts and chains; the base before it composes.

**Found.** Placement is as predicted. Facts are at 1.00 after 500 steps, trained chains at .98,
held-out ones at .54, .90 and .99 after 500, 1000 and 2000; those with one unseen fact at .33 and
.17 then, with two at .03. Summed, adapters trained together answer .10 of the chains or less,
though facts pass at 1.00 after 1000 steps; each in its own layer .62 and .52, the wrong order .00;
`inside` says .69. Block gates, of which nothing was predicted, are no cure: at two deviations .21
at best after 1000 steps, .02 after 2000, for they miss single facts too (.31 of hop 1, each in its
own layer); at none .56 and .38. A second pass brings adapters trained together to .40 and .33; hop
by hop they answer 1.00 and .85.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.reuse._passes import Passes
    from loratheory.experiments.reuse._rules import Rule
    from loratheory.experiments.reuse._shelves import Shelf

LAYERS = {"together": (), "own": ((0,), (1,)), "each": ((0, 1), (0, 1))}
"""The layers in which each hop's adapter is trained by itself; both at once where not told."""


@dataclass(frozen=True)
class Config:
    """A base at several stages of its training, and edits on it.

    Attributes
    ----------
    seed : int
        Of the base.
    stages : tuple of int
        Steps after which it is adapted; its training ends with the last.
    sets, facts : int
        Edits on it; edited facts of each hop of an edit.
    entities, relations : int
        Of each level; of each hop.
    width, rows : int
        Of the transformer; prompts a step of its training.
    trained, retained : int
        Steps of the adapters' training, and facts of each hop that they rehearse.
    """

    seed: int = 0
    stages: tuple[int, ...] = (250, 500, 1000, 2000)
    sets: int = 3
    facts: int = 4
    entities: int = 50
    relations: int = 8
    width: int = 64
    rows: int = 256
    trained: int = 120
    retained: int = 150


def cell(config: Config) -> list[Row]:
    """Return one row for each stage, way of training the adapters, rule and edit set.

    Parameters
    ----------
    config : Config
        What to train and to reuse.

    Returns
    -------
    list of dict
        The marks; `predicted` chains; what the bare base answers right in the passes of the rule:
        `facts` and each of `reuse._combinations.PARTS`; medians over the edits of each adapter's
        strength, everywhere (`strength_1`, `strength_2`) and in its own layer alone (`placed_1`,
        `placed_2`); how often one edit alone is in force within a chain of old facts (`inside_1`,
        `inside_2`), and either of a chain's two (`inside`).
    """
    from loratheory.experiments.reuse._layers import retrained
    from loratheory.experiments.reuse._plain import Setting, grown
    from loratheory.experiments.reuse._shelves import Teaching, shelf

    names = ("entities", "relations", "width", "rows")
    setting = Setting(steps=max(config.stages), **{name: getattr(config, name) for name in names})
    how = Teaching(config.facts, 1, config.sets, steps=config.trained, retained=config.retained)
    told: list[Row] = []
    for stage, known in grown(setting, config.seed, config.stages).items():
        both = shelf(known, how)
        for where, layers in LAYERS.items():
            here = retrained(both, layers) if layers else both
            told += _rows(here, {"stage": stage, "layers": where})
    return told


def _rows(here: "Shelf", head: Row) -> list[Row]:
    """One row for each rule and edit set of one stage."""
    from loratheory.experiments.reuse._combinations import answered
    from loratheory.experiments.reuse._forecast import forecast
    from loratheory.experiments.reuse._layers import in_layer
    from loratheory.experiments.reuse._margins import margins
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._passes import hop_by_hop, one_pass, put_back
    from loratheory.experiments.reuse._rows import rows

    last = here.bases.config.depth - 1
    whole = forecast(here)
    there = forecast(here, placed=lambda adapter, hop: in_layer(adapter, hop * last))
    inside = margins(here, inside=True).leads(1.0) > 0
    beside = whole.medians
    beside |= {name.replace("strength", "placed"): x for name, x in there.medians.items()}
    beside |= {f"inside_{hop + 1}": x for hop, x in enumerate(inside.mean(axis=-1))}
    beside["inside"] = inside.all(axis=0).mean(axis=-1)
    ways: tuple[Passes, ...] = (one_pass, put_back, hop_by_hop)
    bare = {passes: answered(here.bases, passes) for passes in ways}
    told: list[Row] = []
    for name, (passes, rule, weight) in reused(last).items():
        found = bare[passes]
        if passes is hop_by_hop:
            predicted = replace(whole, strengths=weight * whole.strengths).decided()
        else:
            theory = there if passes is one_pass else whole
            predicted = theory.feasible([weight, weight]) * found["held_out"]
        answers = marks(here, rule(here))
        told += rows(here, head | {"rule": name}, answers, predicted=predicted, **found, **beside)
    return told


def reused(last: int) -> "dict[str, tuple[Passes, Rule, float]]":
    """Return the rules by name: in which passes, and how much of each adapter acts in its place.

    Parameters
    ----------
    last : int
        The last layer.

    Returns
    -------
    dict
        `own place` has adapter 1 in the first layer alone and adapter 2 in the last alone, `wrong
        order` the other way round.
    """
    from loratheory.experiments.reuse import _rules as rules
    from loratheory.experiments.reuse._block import block_gates
    from loratheory.experiments.reuse._layers import in_layers
    from loratheory.experiments.reuse._passes import again, hop_by_hop, one_pass, put_back

    nothing = rules.summed(0.0)
    return {
        "base": (one_pass, nothing, 0.0),
        "base, second pass": (put_back, again(put_back, nothing), 0.0),
        "base, hop by hop": (hop_by_hop, again(hop_by_hop, nothing), 0.0),
        "hop 1 alone": (one_pass, rules.alone(0), 0.0),
        "hop 2 alone": (one_pass, rules.alone(1), 0.0),
        "mean": (one_pass, rules.mean, 0.5),
        "sum": (one_pass, rules.summed(), 1.0),
        "oracle placement": (one_pass, in_layers([0, last]), 1.0),
        "reversed placement": (one_pass, in_layers([last, 0]), 0.0),
        "block gates, z = 0": (one_pass, block_gates(0.0), 1.0),
        "block gates, z = 2": (one_pass, block_gates(2.0), 1.0),
        "sum, second pass": (put_back, again(put_back, rules.summed()), 1.0),
        "mean, hop by hop": (hop_by_hop, again(hop_by_hop, rules.mean), 0.5),
        "sum, hop by hop": (hop_by_hop, again(hop_by_hop, rules.summed()), 1.0),
    }


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(stages=(250, 1000), sets=1),),
        "paper": tuple(Config(seed) for seed in range(4)),
    },
    minutes={"quick": 0.8, "paper": 8},
)

"""Several pairs of adapters at once on a language model, each pair about entities of its own.

**Question.** Which way of using a library in a real language model lets its pairs compose?

**Prediction.** Every pair has an adapter of its persons' countries and one of these countries'
mascots; 2K adapters act. The mean (1/2K each) is at chance on chains for K = 2 and more, and on
single hops for K = 4, where an edit has an eighth of its strength (`thm:averaging-survival`). The
sum keeps single hops better, and loses to cross-talk (`thm:interference-angle`) what K adds. Arrow
weighs by direction alone (`thm:arrow-blind-spot`): between mean and sum. Gates, calibrated on
ordinary sentences (`thm:gate-detection`), come nearer to `alone`, the right pair without the
others, than the sum does, the more so the larger K; what `alone` itself lacks they cannot give:
that takes the cut (`thm:invisible-placement`), and gates with the cut are best without labels,
at .8 of `alone, cut` or more. Known facts are lost by the sum and kept by gates. Written after two
pairs had been measured, before four were: with four the mean is at chance on chains and below .5 on
single hops; the sum loses hops too, gates keep .8 of them, and the distance between both grows;
chains stay below .2 everywhere but under the cut of the right pair. Block gates, one switch a block
for all its maps, do better than gates on single maps, in both.

**Chance.** One in twenty among candidates, which are the same animals for all pairs.

**Controls.** The base; the right pair alone, cut or not (the oracle's choice of adapters);
whole vocabulary beside candidates; known facts that no adapter rehearses.

**Found.** The goal was missed, the more so the more pairs act. Of the ways that are given all, the
cut composes most with one pair, .55, and with two, .28; with four it has .12, where the right pair
alone, cut, has .48 with two and .44 with four. With four no way has more than gates with the cut,
.13. Single hops are lost there too: under the mean .34 and .23 are left, under the sum .26 and .28.
Against the prediction gates do not keep them: .48 and .45 on single maps, .50 and .37 on blocks,
less than Arrow (.56 and .63) and PEFT's Arrow (.65 and .63); with two pairs gates on maps had kept
.79 and .96. Of known facts the base has .55, the sum of four pairs .28, block gates .33, gates .50,
Arrow .63 and the mean .75. Why gates fail is open: all adapters of a hop were taught in the same
sentences, about other persons, but which gates were on was not recorded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratheory.experiments._experiment import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.real._ways import Way


@dataclass(frozen=True)
class Config:
    """How many pairs act at once on which language model.

    Attributes
    ----------
    seed : int
        Of facts and training.
    pairs : int
        K; the first pair is the one that `real_two_hop` has.
    thresholds : tuple of int
        Of gates, in deviations above the mean response to ordinary sentences.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `load`.
    """

    seed: int = 0
    pairs: int = 2
    thresholds: tuple[int, ...] = (2,)
    model: str = ""
    device: str = "cpu"


def cell(config: Config) -> list[Row]:
    """Return one row for each way of using the library and each of its pairs.

    Parameters
    ----------
    config : Config
        What to teach to which model.

    Returns
    -------
    list of dict
        ``pairs`` K, ``way``, the ``pair`` that is asked, and the marks of a brief `exam`.
    """
    from loratheory.experiments.real._exam import exam
    from loratheory.experiments.real._facts import facts
    from loratheory.experiments.real._taught import pair
    from loratheory.pretrained import load

    model = load(config.model or None, device=config.device)
    told = facts(config.seed, config.pairs)
    library = [pair(model, each, config.seed, k) for k, each in enumerate(told)]
    whole = [adapter for both in library for adapter in both]
    rows: list[Row] = []
    for name, (use, alone) in ways(model, config.thresholds).items():
        shelves = library if alone else [whole]
        for number, shelf in enumerate(shelves):
            with use(model, shelf):
                for k in [number] if alone else range(config.pairs):
                    row: Row = {"seed": config.seed, "pairs": config.pairs, "way": name, "pair": k}
                    row |= exam(model, told[k], brief=True)
                    rows.append(row)
    return rows


def ways(model: Any, thresholds: tuple[int, ...]) -> "dict[str, tuple[Way, bool]]":
    """Return every way by its name, and whether it is given the right pair only.

    Parameters
    ----------
    model : Model
        Whose depth says where to cut.
    thresholds : tuple of int
        Of gates.

    Returns
    -------
    dict
        `cut` has adapters of first hops in the lower half of the layers only, of second hops in
        the upper half.
    """
    from loratheory.experiments.real import _ways as ways

    half = int(model.network.config.num_hidden_layers) // 2
    return {
        "base": (ways.summed(0.0), False),
        "alone": (ways.summed(), True),
        "alone, cut": (ways.cut(half), True),
        "mean": (ways.mean, False),
        "sum": (ways.summed(), False),
        "sum, cut": (ways.cut(half), False),
        "Arrow": (ways.arrow, False),
        "PEFT's Arrow": (ways.peft_arrow, False),
        **{name: (ways.MERGED[name], False) for name in ("KnOTS", "interpolating")},
        **{f"gates, z = {z}": (ways.gates(z), False) for z in thresholds},
        **{f"gates, z = {z}, cut": (ways.gates(z, half), False) for z in thresholds},
        **{f"block gates, z = {z}": (ways.block_gates(z), False) for z in thresholds},
    }


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(pairs=1),),
        "paper": tuple(Config(seed, pairs) for pairs in (1, 2, 4) for seed in range(3)),
    },
    minutes={"quick": 4, "paper": 40},
)

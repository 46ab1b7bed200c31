"""Several pairs of adapters at once on a language model, each pair about entities of its own.

**Question.** Which way of using a library in a real language model lets its pairs compose?

**Prediction.** Every pair has an adapter of its persons' countries and one of these countries'
mascots; 2K adapters act. Written when one, two and four pairs of twenty persons had been measured,
before any of twelve, but for one trial of another seed, and before eight. With twenty, the mean of
four pairs had kept .34 and .23 of single hops, the sum .26 and .28, gates .48 and .45, Arrow .56
and .63, and no way had more than .13 of the chains. With twelve, up to four pairs answer as with
twenty, to .1. With eight the mean is at chance on single hops too, at a sixteenth of their strength
(`thm:averaging-survival`), and the sum loses to cross-talk what K adds (`thm:interference-angle`);
gates (`thm:gate-detection`) keep .35 of single hops, Arrow (`thm:arrow-blind-spot`) .5, and none of
them composes more than .12, where the right pair alone, cut (`thm:invisible-placement`), has .45.
The reason is that map by map loudness does not tell the pair: under gates, asked chains, the right
adapter of hop 1 is on no more than 1.2 times as often as those of other pairs. Over a whole prompt
it does: in the trial, four pairs, the adapter of the person's country was loudest of its kind, in
deviations averaged over all maps and tokens, for .72 of chains. So `loudest`, which lets that pair
act and no other, picks the right one for .7 of chains with four pairs and .55 with eight, and
composes, cut, .40 and .32: at last near .8 of what the right pair answers. Of single second hops it
keeps a quarter to a half only: no person is named there, and it chooses blindly.

**Chance.** One in twelve among candidates, which are the same animals for all pairs.

**Controls.** The base; the right pair alone, cut or not (the oracle's choice of adapters);
whole vocabulary beside candidates; known facts that no adapter rehearses; the weights that rules
give to right and wrong adapters. Where more than four pairs act, the first four are asked.
"""

from dataclasses import dataclass
from math import nan
from typing import Any

from loratheory.experiments.bench.rules import Act, layer_split, rule
from loratheory.experiments.engine import Experiment, Row

FEW, SOME = 2, 4
"""Pairs up to which the costlier ways are tried."""


@dataclass(frozen=True)
class Config:
    """How many pairs act at once on which language model.

    Attributes
    ----------
    seed : int
        Of facts and training.
    pairs : int
        K.
    size : int
        Persons, countries and animals of each pair; eight pairs of twelve are what the world has
        countries for.
    asked : int
        Pairs that are asked, at most.
    thresholds : tuple of int
        Of gates, in deviations above the mean response to ordinary sentences.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `load`.
    """

    seed: int = 0
    pairs: int = 2
    size: int = 12
    asked: int = 4
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
        ``pairs`` K, ``way``, the ``pair`` that is asked; the marks of a brief `exam`; ``known``,
        as `knows` has it; where adapters are weighed by a rule, what `shared` tells.
    """
    from loratheory.experiments.bench.language import way
    from loratheory.experiments.real._exam import exam, knows
    from loratheory.experiments.real._facts import facts
    from loratheory.experiments.real._taught import pair
    from loratheory.experiments.real._weighed import SHARES, shared
    from loratheory.pretrained import load

    model = load(config.model or None, device=config.device)
    told = facts(config.seed, config.pairs, config.size)
    library = [pair(model, each, config.seed, k) for k, each in enumerate(told)]
    whole = [adapter for both in library for adapter in both]
    asked = range(min(config.asked, config.pairs))
    rows: list[Row] = []
    for name, (act, alone) in rules(model, config).items():
        for number in asked if alone else (0,):
            with way(act)(model, library[number] if alone else whole) as acting:
                known = knows(model)
                for k in [number] if alone else asked:
                    row: Row = {"seed": config.seed, "pairs": config.pairs, "rule": name, "pair": k}
                    row |= exam(model, told[k], brief=True) | {"other_facts": known}
                    ruled = acting.route is not None
                    row |= (
                        shared(model, acting, told[k], k) if ruled else dict.fromkeys(SHARES, nan)
                    )
                    rows.append(row)
    return rows


def rules(model: Any, config: Config) -> dict[str, tuple[Act, bool]]:
    """Return every way by its name, and whether it is given the right pair only.

    Parameters
    ----------
    model : Model
        Whose depth says where to cut.
    config : Config
        With more than `FEW` pairs there are no block gates, whose cost grows with the square of
        the pairs; with more than `SOME` no merges beside mean and sum.

    Returns
    -------
    dict
        `cut` has adapters of first hops in the lower half of the layers only, of second hops in
        the upper half.
    """
    half = int(model.network.config.num_hidden_layers) // 2
    gates = {z: rule("gates, z = 2", z=z) for z in config.thresholds}
    prompts, split = rule("largest response norm"), layer_split(half)
    acts: dict[str, tuple[Act, bool]] = {
        "base": (rule("base"), False),
        "pair alone": (rule("sum"), True),
        "pair alone, layer split": (split, True),
        "mean": (rule("mean"), False),
        "sum": (rule("sum"), False),
        "sum, layer split": (split, False),
        "arrow": (rule("arrow"), False),
        **{f"gates, z = {z}": (act, False) for z, act in gates.items()},
        **{
            f"gates, z = {z}, layer split": (layer_split(half, of=a), False)
            for z, a in gates.items()
        },
        "largest response norm": (prompts, False),
        "largest response norm, layer split": (layer_split(half, of=prompts), False),
    }
    if config.pairs <= SOME:
        acts["arrow, peft"] = (rule("arrow, peft"), False)
        acts["knots"] = (rule("knots", density=0.2), False)
        acts["interpolating"] = (rule("interpolating"), False)
    if config.pairs <= FEW:
        for z in config.thresholds:
            acts[f"block gates, z = {z}"] = (rule("block gates, z = 2", level=z), False)
    return acts


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="pretrained",
    profiles={
        "quick": (Config(pairs=1),),
        "paper": tuple(Config(seed, pairs) for pairs in (1, 2, 4, 8) for seed in range(3)),
    },
    minutes={"quick": 4, "paper": 70},
)

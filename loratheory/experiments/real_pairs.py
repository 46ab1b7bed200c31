"""Several pairs of adapters at once on a language model, each pair about entities of its own.

**Question.** Which way of using a library in a real language model lets its pairs compose?

**Prediction.** Every pair has an adapter of its persons' countries and one of these countries'
mascots; 2K adapters act. Written when one, two and four pairs of twenty persons had been measured,
before any of twelve, but for one trial of another seed, and before eight. With twenty, the mean of
four pairs had kept .34 and .23 of single hops, the sum .26 and .28, gates .48 and .45, Arrow .56
and .63, and no rule had more than .13 of the two-hop questions. With twelve, up to four pairs
answer as with twenty, to .1. With eight the mean is at chance on single hops too, at a sixteenth of
their strength (`thm:averaging-survival`), and the sum loses to cross-talk what K adds
(`thm:interference-angle`); gates (`thm:gate-detection`) keep .35 of single hops, Arrow
(`thm:arrow-blind-spot`) .5, and none of them composes more than .12, where the right pair alone,
with a layer split (`thm:invisible-placement`), has .45. The reason is that map by map the response
norm does not tell the pair: under gates, asked two-hop questions, the right adapter of hop 1 is on
no more than 1.2 times as often as those of other pairs. Over a whole prompt it does: in the trial,
four pairs, the adapter of the person's country had the largest response norm of its kind, in
deviations averaged over all maps and tokens, for .72 of two-hop questions. So `largest response
norm`, which lets that pair act and no other, picks the right one for .7 of two-hop questions with
four pairs and .55 with eight, and composes, with a layer split, .40 and .32: at last near .8 of
what the right pair answers. Of single second hops it keeps a quarter to a half only: no person is
named there, and it chooses blindly.

**Chance.** One in twelve among candidates, which are the same animals for all pairs.

**Controls.** The base; the right pair alone, with a layer split or not (the oracle's choice of
adapters); whole vocabulary beside candidates; known facts that no adapter rehearses; the weights
that rules give to right and wrong adapters. Where more than four pairs act, the first four are
asked.
"""

from dataclasses import dataclass

from loratheory.experiments.bench import Language
from loratheory.experiments.bench import language_facts as bench
from loratheory.experiments.bench.language import acting
from loratheory.experiments.bench.rules import Act, layer_split, rule
from loratheory.experiments.engine import Row, study

FEW, SOME = 2, 4
"""The largest numbers of pairs with which costlier rules are tried, see `rules`."""
COLUMNS = ("hop_1", "hop_2", "two_hop", "two_hop_vocabulary", "says_bridge", "confidence")


@dataclass(frozen=True)
class Config(Language):
    """How many pairs act at once.

    Attributes
    ----------
    pairs : int
        The number K of pairs.
    size : int
        Persons, countries and animals of each pair; there are countries for eight pairs of twelve.
    asked : int
        The most pairs about which questions are asked.
    thresholds : tuple of int
        Thresholds of the gates, in standard deviations above the mean response to ordinary text.
    """

    pairs: int = 2
    size: int = 12
    asked: int = 4
    thresholds: tuple[int, ...] = (2,)


def cell(config: Config) -> list[Row]:
    """Return one row for each rule and each pair that is asked.

    Returns
    -------
    list of dict
        ``pairs`` K, ``rule``, the ``pair`` that is asked; the columns of
        `bench.language_facts.accuracies` and `bench.language_facts.weights`.
    """
    model = config.base()
    worlds = bench.worlds(config.seed, config.pairs, config.size)
    pairs = [bench.pair(model, each, config.seed, k) for k, each in enumerate(worlds)]
    library = [adapter for both in pairs for adapter in both]
    asked = range(min(config.asked, config.pairs))
    rows: list[Row] = []
    for name, act in rules(config, bench.depth(model)).items():
        alone = name.startswith("pair alone")
        for number in asked if alone else (0,):
            with acting(model, pairs[number] if alone else library, act) as used:
                other = bench.accuracies(model, worlds[0], ["other_facts"])
                for k in [number] if alone else asked:
                    row: Row = {"seed": config.seed, "pairs": config.pairs, "rule": name, "pair": k}
                    row.update(bench.accuracies(model, worlds[k], COLUMNS) | other)
                    row.update(bench.weights(model, used, worlds[k], k))
                    rows.append(row)
    return rows


def rules(config: Config, depth: int) -> dict[str, Act]:
    """Return the rules by name; in a split, first hops act only in the lower half of the layers.

    With more than `FEW` pairs there are no block gates, whose cost grows with the square of the
    number of pairs; with more than `SOME` mean and sum are the only merges.
    """
    thresholds = [f"z = {z}" for z in config.thresholds]
    gates = [f"gates, {z}" for z in thresholds]
    names = ["base", "pair alone", "pair alone, layer split", "mean", "sum", "sum, layer split"]
    names += ["arrow", *gates, *(f"{name}, layer split" for name in gates)]
    names += ["largest response norm", "largest response norm, layer split"]
    names += ["arrow, peft", "knots", "interpolating"] if config.pairs <= SOME else []
    names += [f"block gates, {z}" for z in thresholds] if config.pairs <= FEW else []
    acts = {"pair alone": rule("sum"), "knots": rule("knots", density=0.2)}
    for z in config.thresholds:
        acts[f"gates, z = {z}"] = rule("gates, z = 2", z=z)
        acts[f"block gates, z = {z}"] = rule("block gates, z = 2", level=z)

    def _act(name: str) -> Act:
        plain = name.removesuffix(", layer split")
        act = acts[plain] if plain in acts else rule(plain)
        return act if plain == name else layer_split(depth // 2, of=act)

    return {name: _act(name) for name in names}


EXPERIMENT = study(
    cell,
    needs="pretrained",
    quick=(Config(pairs=1, thresholds=()),),  # without gates, the costliest
    paper=(Config(pairs, seed=seed) for pairs in (1, 2, 4, 8) for seed in range(3)),
    minutes=(2.5, 70),
)

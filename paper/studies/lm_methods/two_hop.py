"""Evaluate a 135M-parameter language model with one adapter per hop on two-hop questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

from loratheory.evaluate.fact_sets import draw_facts
from paper.studies._shared import Language
from paper.studies._shared.language import Method, coefficients, depth, layer_split, rule
from paper.studies._shared.run import Row, grid, part
from paper.studies.lm_methods import facts as bench

CHANCE = 0.05
GRID = (0.25, 0.5, 1.0)
KNOWN_HOP = ("known_hop_2", "known_hop_1")
HEAD = ("seed", "trained", "rule", "first", "second", "layer")
Condition = tuple[str, float, float, int, Method]


@dataclass(frozen=True)
class Config(Language):
    """The training and the combination methods of the two adapters of a fact set.

    Attributes
    ----------
    coefficients : tuple of float
        The coefficients of both adapters if they are trained in all layers; adapters that are
        trained by layers use the coefficients of `GRID`.
    splits : tuple of int
        Layers, in tenths of the depth, at which adapters that were trained in all layers are split.
    full : bool
        Whether adapters are trained in all layers as well as by layers, with the whole of `GRID`
        instead of its ends, and with per-block gating, which takes four passes.
    """

    coefficients: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
    splits: tuple[int, ...] = (4, 5, 6)
    full: bool = True


def cell(config: Config) -> list[Row]:
    """Return a row for each combination method of a pair of adapters.

    Returns
    -------
    list of dict
        ``trained`` (in all layers or by layers), ``rule``, coefficients ``first`` and ``second``,
        ``layer`` of a split (-1 for none); the columns of `facts.accuracies`; and the columns of
        `forecast`, NaN unless both adapters were measured alone at these coefficients.
    """
    model, rows = config.base(), list[Row]()
    facts = draw_facts(config.seed)

    def _add(*head: str | int | float, **found: float) -> None:
        names: Row = dict(zip(HEAD, (config.seed, *head), strict=True))
        rows.append({**names, **dict.fromkeys((*bench.COLUMNS, *KNOWN_HOP), nan), **found})

    _add("nothing", "base", 0.0, 0.0, -1, **bench.accuracies(model, facts))
    _add("nothing", "base, known persons", 0.0, 0.0, -1, **bench.known_persons(model))
    for trained in ("all layers", "by layers") if config.full else ("by layers",):
        adapters = bench.pair(model, facts, config.seed, by_layers=trained == "by layers")
        alone = {"hop 1 alone": adapters[:1], "hop 2 alone": adapters[1:]}
        for name, first, second, layer, method in conditions(config, trained, depth(model)):
            with method(model, alone.get(name, adapters)):
                columns = (*bench.COLUMNS, *(KNOWN_HOP if name in alone else ()))
                found = bench.accuracies(model, facts, columns)
            _add(trained, name, first, second, layer, **found)
    return [{**row, **forecast(row, rows)} for row in rows]


def forecast(row: Row, rows: Sequence[Row]) -> dict[str, float]:
    """Predict a sum's two-hop accuracy from each adapter's accuracy with the other hop known.

    `predicted` is the product of the two accuracies over the base's accuracy; `weaker` is the
    smaller of the two accuracies.
    """
    base = next(float(r["two_hop"]) for r in rows if r["rule"] == "base, known persons")
    others = {(r["trained"], r["first"], r["second"]): r for r in rows}
    one = others.get((row["trained"], row["first"], 0.0))
    two = others.get((row["trained"], 0.0, row["second"]))
    # Adapters alone were measured at some coefficients only.
    if row["rule"] != "sum" or one is None or two is None:
        return {"predicted": nan, "weaker": nan}
    x, y = float(one["known_hop_2"]), float(two["known_hop_1"])
    # Independent errors, relative to what the base answers when both hops are known.
    product = min(1.0, x * y / max(base, CHANCE))
    return {"predicted": max(CHANCE, product), "weaker": max(CHANCE, min(x, y))}


def conditions(config: Config, trained: str, depth: int) -> Iterator[Condition]:
    """Yield each method's name, both coefficients, the layer of a split or -1, and the method."""
    whole = trained == "all layers"  # other adapters are split already and share no modules
    tried = GRID if config.full else (GRID[0], GRID[-1])
    for c in tried:
        yield "hop 1 alone", c, 0.0, -1, coefficients(c)
        yield "hop 2 alone", 0.0, c, -1, coefficients(c)
    pairs = [(c, c) for c in (config.coefficients if whole else tried)]
    if whole:
        for c in tried[:-1]:
            pairs += [(c, 1.0), (1.0, c)]
    for both in pairs:
        yield "sum", *both, -1, coefficients(*both)
    if whole:
        yield from splits([depth * tenth // 10 for tenth in config.splits])
        yield "ties", 1.0, 1.0, -1, rule("ties", density=0.2, rank=32)
        yield "knots", 1.0, 1.0, -1, rule("knots", density=0.2)
    names = (
        *(("interpolating", "arrow, peft") if whole else ()),
        "arrow",
        "per-matrix gating, z = 2",
    )
    for name in (*names, "per-block gating, z = 2") if config.full else names:
        yield name, 1.0, 1.0, -1, rule(name)


def splits(layers: Sequence[int]) -> Iterator[Condition]:
    """Yield splits of both adapters, in either order, and splits of one adapter in the middle."""
    for layer in layers:
        yield "layer split", 1.0, 1.0, layer, layer_split(layer, "below", "above")
        yield "reversed layer split", 1.0, 1.0, layer, layer_split(layer, "above", "below")
    # Splits of one adapter are evaluated at one layer only.
    middle = layers[len(layers) // 2]
    for rest, ending in (("all", ""), ("none", ", alone")):
        for hop, half in ((1, "below"), (2, "above"), (1, "above"), (2, "below")):
            halves = (half, rest) if hop == 1 else (rest, half)
            yield f"hop {hop} {half}{ending}", 1.0, 1.0, middle, layer_split(middle, *halves)


PART = part("two_hop", cell, [Config(full=False)], grid(Config, seed=range(3)))

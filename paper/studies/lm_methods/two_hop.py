"""Two-hop questions to a language model of 135M parameters, with an adapter for each hop."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import nan

from loratheory.evaluate.fact_sets import draw_world
from paper.studies._shared import Language
from paper.studies._shared.language import Act, coefficients, depth, layer_split, rule
from paper.studies._shared.run import Row, grid, part
from paper.studies.lm_methods import facts as bench

CHANCE = 0.05
GRID = (0.25, 0.5, 1.0)
KNOWN_HOP = ("known_hop_2", "known_hop_1")
HEAD = ("seed", "trained", "rule", "first", "second", "layer")
Condition = tuple[str, float, float, int, Act]


@dataclass(frozen=True)
class Config(Language):
    """How the two adapters of a world of facts are trained and used.

    Attributes
    ----------
    coefficients : tuple of float
        Coefficients tried for each adapter if both are trained in all layers; if they are trained
        by layers, those of `GRID`.
    splits : tuple of int
        Layers, in tenths of the depth, at which adapters that were trained in all layers are split.
    full : bool
        If true, adapters are trained in all layers as well as by layers, the whole of `GRID` is
        tried and not only its ends, and so is per-block gating, which takes four passes.
    """

    coefficients: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
    splits: tuple[int, ...] = (4, 5, 6)
    full: bool = True


def cell(config: Config) -> list[Row]:
    """Return one row for each way of using a pair of adapters.

    Returns
    -------
    list of dict
        ``trained`` (in all layers or by layers), ``rule``, coefficients ``first`` and ``second``,
        ``layer`` of a split (-1 for none); the columns of `facts.accuracies`; and
        those of `forecast`, nan unless both adapters were measured alone at these coefficients.
    """
    model, rows = config.base(), list[Row]()
    world = draw_world(config.seed)

    def _add(*head: str | int | float, **found: float) -> None:
        names: Row = dict(zip(HEAD, (config.seed, *head), strict=True))
        rows.append({**names, **dict.fromkeys((*bench.COLUMNS, *KNOWN_HOP), nan), **found})

    _add("nothing", "base", 0.0, 0.0, -1, **bench.accuracies(model, world))
    _add("nothing", "base, known persons", 0.0, 0.0, -1, **bench.known_persons(model))
    for trained in ("all layers", "by layers") if config.full else ("by layers",):
        adapters = bench.pair(model, world, config.seed, by_layers=trained == "by layers")
        alone = {"hop 1 alone": adapters[:1], "hop 2 alone": adapters[1:]}
        for name, first, second, layer, act in conditions(config, trained, depth(model)):
            with act(model, alone.get(name, adapters)):
                columns = (*bench.COLUMNS, *(KNOWN_HOP if name in alone else ()))
                found = bench.accuracies(model, world, columns)
            _add(trained, name, first, second, layer, **found)
    return [{**row, **forecast(row, rows)} for row in rows]


def forecast(row: Row, rows: Sequence[Row]) -> dict[str, float]:
    """Forecast a sum's two-hop accuracy from each adapter's own on questions with one known hop.

    `predicted` is the product of these two accuracies over the base's own; `weaker` the smaller.
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
    """Yield each rule's name, both hops' coefficients, the layer of a split or -1, and the rule."""
    whole = trained == "all layers"  # others are split already, and no merge has both's modules
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
    """Yield splits of both adapters, in either order; at the middle layer also of one alone."""
    for layer in layers:
        yield "layer split", 1.0, 1.0, layer, layer_split(layer, "below", "above")
        yield "reversed layer split", 1.0, 1.0, layer, layer_split(layer, "above", "below")
    # Splits of one adapter alone are tried at one layer only.
    middle = layers[len(layers) // 2]
    for rest, ending in (("all", ""), ("none", ", alone")):
        for hop, half in ((1, "below"), (2, "above"), (1, "above"), (2, "below")):
            halves = (half, rest) if hop == 1 else (rest, half)
            yield f"hop {hop} {half}{ending}", 1.0, 1.0, middle, layer_split(middle, *halves)


PART = part("two_hop", cell, [Config(full=False)], grid(Config, seed=range(3)))

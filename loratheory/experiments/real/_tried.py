"""Every way of using a pair of adapters on a model, by name, strengths and layer."""

from collections.abc import Iterator, Sequence

from loratheory.experiments.bench.language import Way, way
from loratheory.experiments.bench.rules import coefficients, layer_split, rule

CUTS = {"layer split": ("below", "above"), "reversed layer split": ("above", "below")}
"""Where both hops act, tried at every layer of a cut."""
HALVES = {
    "hop 1 below": ("below", "all"),
    "hop 2 above": ("all", "above"),
    "hop 1 above": ("above", "all"),
    "hop 2 below": ("all", "below"),
    "hop 1 below, alone": ("below", "none"),
    "hop 2 above, alone": ("none", "above"),
    "hop 1 above, alone": ("above", "none"),
    "hop 2 below, alone": ("none", "below"),
}
"""Cuts of one adapter, the other whole or absent, tried at the layer in the middle."""
ROUTERS = ("arrow", "gates, z = 2", "block gates, z = 2")
MERGED = {
    "ties": way(rule("ties", density=0.2, rank=32)),
    "knots": way(rule("knots", density=0.2)),
    "interpolating": way(rule("interpolating")),
}
"""Merges beside mean and sum. TIES keeps a fifth of the entries; KnOTS does so in its basis."""

Tried = tuple[str, tuple[float, float], int, Way]
"""A name, the strengths of both adapters, the layer of a cut (-1 for none), and what is done."""


def tried(
    strengths: Sequence[float], grid: Sequence[float], cuts: Sequence[int]
) -> Iterator[Tried]:
    """Yield every way of using both adapters.

    Parameters
    ----------
    strengths : sequence of float
        Of both at once.
    grid : sequence of float
        Strengths below 1 of one while the other has 1; only where there are cuts.
    cuts : sequence of int
        Layers; none where adapters were taught by layers.

    Yields
    ------
    name, strengths, layer, way
        Merges, routers and gates at full strength; merges, and PEFT's Arrow, which refuses adapters
        of different modules, only where there are cuts.
    """
    pairs = [(c, c) for c in strengths]
    if cuts:
        pairs += [both for c in grid if c < 1 for both in ((c, 1.0), (1.0, c))]
    for both in pairs:
        yield "sum", both, -1, way(coefficients(*both))
    full = (1.0, 1.0)
    for layer in cuts:
        for name, halves in CUTS.items():
            yield name, full, layer, way(layer_split(layer, *halves))
    for layer in cuts[len(cuts) // 2 :][:1]:
        for name, halves in HALVES.items():
            yield name, full, layer, way(layer_split(layer, *halves))
    alike = {**MERGED, "arrow, peft": way(rule("arrow, peft"))} if cuts else {}
    for name, use in (alike | {name: way(rule(name)) for name in ROUTERS}).items():
        yield name, full, -1, use

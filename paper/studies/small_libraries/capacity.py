"""What a sum of adapters can hold, against one adapter that learns all of their facts."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loratheory.theorems.editing.hebbian_memory import merged_crosstalk, routed_crosstalk
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import of, rule
from paper.studies._shared.rows import compared, pooled, recall
from paper.studies._shared.run import Row, grid, part
from paper.studies._shared.training import alike


@dataclass(frozen=True)
class Config(Small):
    """K `pairs` of adapters of rank r on each base; others hold all their facts in one."""

    rank: int = 1
    pairs: int = 2
    facts: int = field(default=4, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per rule that holds all facts, base and repetition.

    The columns are accuracies with the adapters of both hops acting; `recall`, the share of edited
    facts answered if only adapters of their hop act; `predicted`, the recall predicted for the sum,
    -1 for other rules; `crosstalk`, the variance of another fact's score by theory.
    """
    n, r, k = config.facts, config.rank, config.pairs
    library = config.library(rank=r, pairs=k)
    hops = list(zip(*library.pairs, strict=True))  # by hop, all pairs
    # One adapter of the rank of one, and one as wide as all together.
    one, wide = (list(zip(pooled(library, rank))) for rank in (r, k * r))
    noise = [tuple(map(alike, each, range(k))) for each in hops]
    alone, merged = (f(n * k, k, config.width, r) for f in (routed_crosstalk, merged_crosstalk))
    predicted = recall(library, one, 1.0)
    arms: list[tuple[str, Any, Any, float]] = []
    arms.append(("base", rule("base"), recall(library, [()] * len(hops), 1.0), 0.0))
    for name, by_hop, times, theory in (
        ("noise", noise, 1.0, merged),
        ("mean", hops, 1 / k, merged / k**2),
        ("sum", hops, 1.0, merged),
        ("one", one, 1.0, merged),
        ("wide", wide, 1.0, merged_crosstalk(n * k, 1, config.width, k * r)),
    ):
        # All adapters of both hops act, whichever pair is asked.
        act = of(*sum(by_hop, ()), times=times)
        arms.append((name, act, recall(library, by_hop, times), theory))
    # Routed by an oracle each pair meets no other.
    shares = [recall(library, list(zip(pair)), 1.0, p) for p, pair in enumerate(library.pairs)]
    own = np.mean(shares, axis=0)
    arms += [(name, rule(name), own, alone) for name in ("pair alone", "oracle placement")]
    made = []
    for name, act, recalled, crosstalk in arms:
        columns = {"recall": recalled, "predicted": predicted if name == "sum" else -1.0}
        made.append((name, act, {**columns, "crosstalk": crosstalk}))
    return compared(library, {"facts": n, "rank": r, "pairs": k}, made)


_PLAN = grid(Config, rank=(1, 4), pairs=(2, 8))
PART = part("capacity", cell, [Config(sets=1)], on_all_bases(_PLAN))

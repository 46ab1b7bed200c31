"""What a sum of adapters can hold, against one adapter that learns all of their facts."""

from dataclasses import dataclass, field
from typing import Any

from loratheory.theorems.editing.hebbian_memory import merged_crosstalk, routed_crosstalk
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import of, rule
from paper.studies._shared.rows import Arm, compared, pooled, recall
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
    one, wide = ([(lora,) for lora in pooled(library, rank)] for rank in (r, k * r))
    noise = [tuple(alike(lora, p) for p, lora in enumerate(each)) for each in hops]
    alone, merged = (f(n * k, k, config.width, r) for f in (routed_crosstalk, merged_crosstalk))
    pooled_recall = recall(library, one, 1.0)

    def _arm(name: str, act: Any, recall: object, crosstalk: float) -> Arm:
        predicted = pooled_recall if name == "sum" else -1.0
        columns = {"recall": recall, "predicted": predicted, "crosstalk": crosstalk}
        return name, act or rule(name), lambda _: columns

    arms = [_arm("base", None, recall(library, [()] * len(hops), 1.0), 0.0)]
    for name, by_hop, times, theory in (
        ("noise", noise, 1.0, merged),
        ("mean", hops, 1 / k, merged / k**2),
        ("sum", hops, 1.0, merged),
        ("one", one, 1.0, merged),
        ("wide", wide, 1.0, merged_crosstalk(n * k, 1, config.width, k * r)),
    ):
        act = of(*(lora for each in by_hop for lora in each), times=times)
        arms.append(_arm(name, act, recall(library, by_hop, times), theory))
    own = [
        recall(library, [(lora,) for lora in pair], 1.0, p) for p, pair in enumerate(library.pairs)
    ]
    arms += [_arm(n, None, sum(own) / k, alone) for n in ("pair alone", "oracle placement")]
    return compared(library, {"facts": n, "rank": r, "pairs": k}, arms)


_PLAN = grid(Config, rank=(1, 4), pairs=(2, 8))
PART = part("capacity", cell, [Config(sets=1)], on_all_bases(_PLAN))

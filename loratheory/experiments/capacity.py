"""What a sum of adapters can hold, against one adapter that learns all of their facts.

**Question.** Does the sum of K adapters of rank r recall like one adapter of rank K r, or only like
one of rank r?

**Prediction.** Like one of rank r: with frozen random factors both answer with the same second
moment, whatever K, although the sum has rank up to K r (`thm:merged-memory`). So column `predicted`
of the sum is the recall measured for `one`. What adds up is the cross-talk of all K n facts
(`crosstalk`, per fact and width), while an oracle that switches on only the adapter asked for is
left with n (`oracle` row, as `own`). One adapter of rank K r should be at least as good as `one`,
visibly where `one` is short of rank. Here both factors are trained, which the theorem leaves out:
a trained `down` turns towards its keys and interferes less, so the sum may do better than `one` at
small n, and `one`, trained on all facts together, can avoid collisions that adapters trained apart
cannot. The mean recalls less than the sum, by its factor 1/K (`thm:averaging-survival`).

**Chance.** One answer always given is right once in as many as there are facts of a pair.

**Controls.** The base; random adapters of equal norms, summed; each pair's own adapters without the
others; unedited facts and questions; edited answers given to other subjects.
"""

from dataclasses import dataclass, field
from typing import Any

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.engine import Row, study
from loratheory.theorems.editing.hebbian_memory import merged_crosstalk, routed_crosstalk


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
    one, wide = ([(lora,) for lora in bench.pooled(library, rank)] for rank in (r, k * r))
    noise = [tuple(bench.alike(lora, p) for p, lora in enumerate(each)) for each in hops]
    alone, merged = (f(n * k, k, config.width, r) for f in (routed_crosstalk, merged_crosstalk))
    alike = bench.recall(library, one, 1.0)

    def _arm(name: str, act: Any, recall: object, crosstalk: float) -> bench.Arm:
        columns = {"predicted": alike if name == "sum" else -1.0, "crosstalk": crosstalk}
        return bench.arm(name, None, act, lambda *_: {"recall": recall, **columns})

    arms = [_arm("base", None, bench.recall(library, [()] * len(hops), 1.0), 0.0)]
    for name, by_hop, times, theory in (
        ("noise", noise, 1.0, merged),
        ("mean", hops, 1 / k, merged / k**2),
        ("sum", hops, 1.0, merged),
        ("one", one, 1.0, merged),
        ("wide", wide, 1.0, merged_crosstalk(n * k, 1, config.width, k * r)),
    ):
        act = bench.of(*(lora for each in by_hop for lora in each), times=times)
        arms.append(_arm(name, act, bench.recall(library, by_hop, times), theory))
    own = [
        bench.recall(library, [(lora,) for lora in pair], 1.0, p)
        for p, pair in enumerate(library.pairs)
    ]
    arms += [_arm(n, None, sum(own) / k, alone) for n in ("pair alone", "oracle placement")]
    return bench.compared(library, {"facts": n, "rank": r, "pairs": k}, arms)


_CELLS = tuple((rank, pairs) for rank in (1, 4) for pairs in (2, 8))

EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(sets=1),),
    paper=on_all_bases(Config(*place) for place in _CELLS),
    minutes=(0.3, 13),
)

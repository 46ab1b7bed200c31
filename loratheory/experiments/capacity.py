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
others; unedited facts and chains; edited answers given to other subjects.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loratheory.experiments.bench import CROWDS, Small
from loratheory.experiments.bench.rules import rule
from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    import numpy as np

    from loratheory.experiments.bench.transformers import Library
    from loratheory.toy.transformer import Lora


@dataclass(frozen=True)
class Config(Small):
    """Some bases, K pairs of adapters of rank r on each, and what holds all their facts.

    Attributes
    ----------
    rank, pairs : int
        r and K.
    """

    rank: int = 1
    pairs: int = 2
    facts: int = field(default=4, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return how much each rule that holds all facts recalls.

    Parameters
    ----------
    config : Config
        What to train and to ask.

    Returns
    -------
    list of dict
        One row for each rule, base and repetition: accuracies, all hops acting; `recall`, the
        share of edited facts answered where only adapters of their hop act; `predicted` of the
        sum, else -1; `crosstalk`, the variance of a foreign score by theory.
    """
    from loratheory.experiments.bench import transformers as bench
    from loratheory.theorems.editing.hebbian_memory import merged_crosstalk, routed_crosstalk

    n, r, k = config.facts, config.rank, config.pairs
    library = config.library(rank=r, pairs=k)
    hops = list(zip(*library.pairs, strict=True))  # by hop, all pairs
    one, wide = ([(lora,) for lora in bench.pooled(library, rank)] for rank in (r, k * r))
    noise = [[bench.alike(lora, p) for p, lora in enumerate(crowd)] for crowd in hops]
    own = sum(
        recall(library, [(lora,) for lora in pair], 1.0, p) for p, pair in enumerate(library.pairs)
    )
    alone, all_on = (f(n * k, k, config.width, r) for f in (routed_crosstalk, merged_crosstalk))
    pooled = merged_crosstalk(n * k, 1, config.width, k * r)
    crowds: dict[str, tuple[Any, float, float]] = {
        "noise": (noise, 1.0, all_on),
        "mean": (hops, 1 / k, all_on / k**2),
        "sum": (hops, 1.0, all_on),
        "one": (one, 1.0, all_on),
        "wide": (wide, 1.0, pooled),
    }
    recalls = {name: recall(library, each, c) for name, (each, c, _) in crowds.items()}
    arms = [bench.arm("base", recall=recall(library, [()] * len(hops), 1.0), crosstalk=0.0)]
    for name, (each, c, theory) in crowds.items():
        act = bench.of(*(lora for crowd in each for lora in crowd), times=c)
        arms.append(bench.arm(name, None, act, recall=recalls[name], crosstalk=theory))
    arms += [
        bench.arm(name, None, rule(name), recall=own / k, crosstalk=alone)
        for name in ("pair alone", "oracle placement")
    ]
    head = {"facts": n, "rank": r, "pairs": k}
    rows = bench.compared(library, head, arms)
    told = [*recalls["one"].tolist()]
    return [
        {**{name: x for name, x in row.items() if name != "crosstalk"},
         "predicted": told[e % len(told)] if row["rule"] == "sum" else -1.0,
         "crosstalk": row["crosstalk"]}
        for e, row in enumerate(rows)
    ]  # fmt: skip


def recall(
    library: "Library", crowds: Sequence[Sequence["Lora"]], times: float, pair: int | None = None
) -> "np.ndarray":
    """The share of edited facts answered, of all pairs or one, each hop's adapters on their own."""
    import numpy as np

    from loratheory.experiments.bench import transformers as bench

    asked = library.trials if pair is None else library.trials[pair : pair + 1]
    right = [
        bench.accuracy(
            library.bases,
            [one.hops[hop] for one in trials],
            bench.added(crowd, [times] * len(crowd)),
        )
        for hop, crowd in enumerate(crowds)
        for trials in asked
    ]
    return np.asarray(np.mean(right, axis=0))


_CELLS = tuple((rank, pairs) for rank in (1, 4) for pairs in (2, 8))

EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="torch",
    profiles={
        "quick": (Config(sets=1),),
        "paper": tuple(Config(*place, seeds=seeds) for place in _CELLS for seeds in CROWDS),
    },
    minutes={"quick": 0.3, "paper": 13},
)

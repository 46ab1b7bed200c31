"""By which rank adapters of queries and keys move the attention scores of a real layer."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.lowrank import LowRank, array_namespace, total
from loratheory.pretrained._model import Map, Model
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.pretrained.check._weights import weight
from loratheory.theorems import theorem
from loratheory.theorems.expressiveness.attention_budget import Change

SPLIT = re.compile(r"(?P<block>.+)\.q_proj")
FUSED = re.compile(r".+\.c_attn")


@dataclass(frozen=True)
class Rows:
    """Rows of a module's output that are queries or keys of one head."""

    module: str
    start: int
    stop: int

    def of(self, low: LowRank | None, width: int) -> LowRank:
        """Their part of an update, of width 0 where there is none."""
        if low is None:
            return LowRank(np.zeros((self.stop - self.start, 0)), np.zeros((0, width)))
        return low.rows(slice(self.start, self.stop))


def heads(model: Model, known: Mapping[str, Map]) -> dict[str, list[tuple[Rows, Rows]]]:
    """The rows of queries and keys of every head, by attention block.

    A pair of rows a head; shared keys stand there once a head. Empty for architectures whose
    queries and keys are neither `q_proj` and `k_proj` nor GPT-2's `c_attn`.
    """
    config = getattr(model.network, "config", None)
    count = int(getattr(config, "num_attention_heads", 0) or 0)
    shared = int(getattr(config, "num_key_value_heads", 0) or count)
    found: dict[str, list[tuple[Rows, Rows]]] = {}
    for name, place in known.items():
        block = SPLIT.fullmatch(name)
        if count and block and f"{block['block']}.k_proj" in known:
            keys, size = f"{block['block']}.k_proj", place.shape[0] // count
            turns = [i * shared // count for i in range(count)]
            found[block["block"]] = [
                (Rows(name, i * size, (i + 1) * size), Rows(keys, k * size, (k + 1) * size))
                for i, k in enumerate(turns)
            ]
        elif count and FUSED.fullmatch(name) and place.shape[0] == 3 * place.shape[1]:
            size, width = place.shape[1] // count, place.shape[1]
            found[name] = [
                (Rows(name, at, at + size), Rows(name, width + at, width + at + size))
                for at in range(0, width, size)
            ]
    return found


def of_scores(
    block: str,
    pairs: Sequence[tuple[Rows, Rows]],
    known: Mapping[str, Map],
    names: Sequence[str],
    updates: Mapping[str, Sequence[LowRank]],
) -> Iterator[Reading]:
    """Yield, for each adapter that moves the scores and for their sum, the head moved the most.

    `updates` by module, one for each adapter, of width 0 where there is none. The scores' form is
    taken at equal positions: a rotary embedding turns the keys by an orthogonal matrix, which
    changes no rank. Costs thin decompositions of width 2h a head.
    """
    modules = sorted({rows.module for pair in pairs for rows in pair})
    frozen = {name: weight(known[name], name).astype(np.float64) for name in modules}
    each = {name: updates[name] for name in modules if name in updates}
    moves = {
        who: {name: low[i] for name, low in each.items() if low[i].width}
        for i, who in enumerate(names)
    }
    if sum(map(bool, moves.values())) > 1:
        moves[" + ".join(names)] = {name: _summed(low) for name, low in each.items()}
    for who, lows in moves.items():
        if any(low.width for low in lows.values()):
            readings = [_head(Place(block, who), pair, frozen, lows) for pair in pairs]
            yield max(readings, key=lambda one: (one.value or 0.0) - (one.bound or 0.0))


def _head(
    place: Place,
    pair: tuple[Rows, Rows],
    frozen: Mapping[str, np.ndarray],
    updates: Mapping[str, LowRank],
) -> Reading:
    """One head: rows of the frozen weights, and of the updates."""
    bases = [frozen[rows.module][rows.start : rows.stop] for rows in pair]
    width = int(bases[0].shape[1])
    moves = tuple(rows.of(updates.get(rows.module), width) for rows in pair)
    ranks = min(moves[0].width, len(bases[0])), min(moves[1].width, len(bases[1]))
    case = Change(bases[0], bases[1], ranks)
    moves = tuple(
        low if low.width <= most else LowRank(np.eye(most), low.dense())
        for low, most in zip(moves, ranks, strict=True)
    )
    bottoms = [np.linalg.svd(base, compute_uv=False)[[0, -1]] for base in bases]
    least = min(float(low / top) if top else 0.0 for top, low in bottoms)
    note = f"ranks {ranks[0]} of the queries and {ranks[1]} of the keys, of {len(bases[0])} rows"
    shown = f"the least singular value of a head is {least:.1g} of the largest"
    return judged(theorem("score-change-rank"), case, moves, place, shown, note)


def _summed(updates: Sequence[LowRank]) -> LowRank:
    low = total(list(updates), [1.0] * len(updates))
    return low.map(array_namespace(low.up).asarray)

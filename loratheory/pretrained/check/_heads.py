"""By which rank adapters of queries and keys move the attention scores of a real layer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loratheory.lowrank import LowRank, total
from loratheory.pretrained._model import Map, Model
from loratheory.pretrained.check._reading import Place, Reading, judged
from loratheory.pretrained.check._weights import weight
from loratheory.theorems import theorem
from loratheory.theorems.expressiveness.attention_budget import Change


class Rows(NamedTuple):
    """Rows of a module's output that are queries or keys of one head."""

    module: str
    start: int
    stop: int


Head = tuple[Rows, Rows]
"""Its queries and its keys."""


def heads(model: Model, places: Mapping[str, Map]) -> dict[str, list[Head]]:
    """Every head, by attention block; shared keys stand there once a head.

    Empty for architectures whose queries and keys are neither `q_proj` and `k_proj` nor GPT-2's
    `c_attn`.
    """
    config = getattr(model.network, "config", None)
    count = int(getattr(config, "num_attention_heads", 0) or 0)
    shared = int(getattr(config, "num_key_value_heads", 0) or count)
    blocks: dict[str, list[Head]] = {}
    for name, place in places.items() if count else ():
        block, _, part = name.rpartition(".")
        keys = f"{block}.k_proj"
        if block and part == "q_proj" and keys in places:
            size, own = place.shape[0] // count, [i * shared // count for i in range(count)]
            blocks[block] = [
                (Rows(name, i * size, (i + 1) * size), Rows(keys, k * size, (k + 1) * size))
                for i, k in enumerate(own)
            ]
        elif block and part == "c_attn" and place.shape[0] == 3 * place.shape[1]:
            width = place.shape[1]
            size = width // count
            blocks[name] = [
                (Rows(name, at, at + size), Rows(name, width + at, width + at + size))
                for at in range(0, width, size)
            ]
    return blocks


def of_scores(
    block: str,
    pairs: Sequence[Head],
    places: Mapping[str, Map],
    names: Sequence[str],
    updates: Mapping[str, Sequence[LowRank]],
) -> Iterator[Reading]:
    """Yield, for each adapter that moves the scores and for their sum, the head moved the most.

    `updates` by module, one for each adapter, of width 0 where there is none. The scores' form is
    taken at equal positions: a rotary embedding turns the keys by an orthogonal matrix, which
    changes no rank. Costs thin decompositions of width 2h a head.
    """
    modules = sorted({rows.module for pair in pairs for rows in pair})
    frozen = {name: weight(places[name], name).astype(np.float64) for name in modules}
    each = {name: updates[name] for name in modules if name in updates}
    moves = {
        who: {name: low[i] for name, low in each.items() if low[i].width}
        for i, who in enumerate(names)
    }
    if sum(map(bool, moves.values())) > 1:
        moves[" + ".join(names)] = {name: total(list(low)) for name, low in each.items()}
    for who, lows in moves.items():
        if any(low.width for low in lows.values()):
            readings = [_head(Place(block, who), pair, frozen, lows) for pair in pairs]
            yield max(readings, key=lambda one: (one.value or 0.0) - (one.bound or 0.0))


def _head(
    place: Place,
    pair: Head,
    frozen: Mapping[str, np.ndarray],
    updates: Mapping[str, LowRank],
) -> Reading:
    """One head: rows of the frozen weights, and of the updates, none wider than the head."""
    bases, moves = [], []
    for module, start, stop in pair:
        base = frozen[module][start:stop]
        nothing = LowRank(np.zeros((stop, 0)), np.zeros((0, base.shape[1])))
        low = updates.get(module, nothing).rows(slice(start, stop))
        bases.append(base)
        moves.append(low if low.width <= len(base) else LowRank(np.eye(len(base)), low.dense()))
    ranks = (moves[0].width, moves[1].width)
    case = Change(bases[0], bases[1], ranks)
    sigmas = [np.linalg.svd(base, compute_uv=False) for base in bases]
    least = min(float(sigma[-1] / sigma[0]) if sigma[0] else 0.0 for sigma in sigmas)
    note = f"ranks {ranks[0]} of the queries and {ranks[1]} of the keys, of {len(bases[0])} rows"
    shown = f"the least singular value of a head is {least:.1g} of the largest"
    return judged(theorem("score-change-rank"), case, tuple(moves), place, shown, note)

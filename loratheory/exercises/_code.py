"""Exercises that ask for code: a merge, a router, a gate, an adversary.

Most judges only call a reader's function: they give cases and witnesses, which a theorem judges.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from loratheory.exercises import _answers as answers
from loratheory.exercises._answers import NEAR, call, call_for_pair, read_array, require
from loratheory.lowrank import LowRank, gaussian, orthonormal, with_spectrum
from loratheory.theorems import theorem
from loratheory.theorems.composition import stand_in_ceiling, two_read_region
from loratheory.theorems.expressiveness import argmax_margin, depth_budget
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.libraries import interference
from loratheory.theorems.libraries.interference import worst_response
from loratheory.theorems.merging import minimax_merge
from loratheory.theorems.routing import arrow

# Cases of a theorem, each with the witness that a reader's function makes of it.
Witnessed = Iterator[tuple[Any, Any]]


# Witnesses that must attain a bound


def merge_at_rank(mine: Any) -> Witnessed:
    """Yield merges of low rank."""
    for tasks, rank in ((2, 3), (3, 5), (5, 4)):
        rng = np.random.default_rng(tasks)
        # tasks alike in part: neither their mean nor one of them is the best merge
        shared = gaussian(rng, 20, 15, 3)
        updates = tuple(shared + gaussian(rng, 20, 15, 2) for _ in range(tasks))
        yield Tasks(updates, rank), answers.read_update(call(mine, list(updates), rank), (20, 15))


def find_smallest_ball(mine: Any) -> Witnessed:
    """Yield the results of a search for the merge with the least worst-case error."""
    rng = np.random.default_rng(0)
    # the mean is no centre where two of three agree, nor where sizes differ
    alike, apart = gaussian(rng, 6, 5, 2), gaussian(rng, 6, 5, 2, 3.0)
    acute = [gaussian(rng, 6, 5, 2, size) for size in (1.0, 1.5, 1.2, 1.4)]
    for tasks in ([alike, alike, apart], acute):
        case = minimax_merge.Case(tuple(tasks), (np.eye(5),) * len(tasks))
        merged = answers.read_update(call(mine, [low.dense() for low in tasks]), (6, 5))
        yield case, (merged,) * len(tasks)


def update_two_layers(mine: Any) -> Witnessed:
    """Yield updates of two layers, each of half the full rank, for a target of full rank."""
    for half in (1, 2, 4):
        rng, n = np.random.default_rng(half), 2 * half
        spectra = np.exp(rng.uniform(-0.5, 0.5, (2, n))).tolist()
        first, last = (with_spectrum(rng, n, n, spectrum).dense() for spectrum in spectra)
        case = depth_budget.Case((first, last), rng.standard_normal((n, n)), half)
        # copies, since the reader's function may write into what it is given
        found = call_for_pair(mine, first.copy(), last.copy(), case.target.copy())
        yield case, tuple(answers.read_update(one, (n, n)) for one in found)


def score_in_plane(mine: Any) -> Witnessed:
    """Yield outputs and keys of dimension 2; each input should score its own token highest."""
    for tokens in (3, 8, 50):
        outputs, keys = call_for_pair(mine, tokens)
        outputs, keys = read_array(outputs, (2, tokens)), read_array(keys, (2, tokens))
        case = argmax_margin.Answers(tokens, tuple(range(tokens)), rank=2)
        yield case, LowRank(outputs.T, keys)


def pack_lines(mine: Any) -> Witnessed:
    """Yield directions in a plane, whose overlap should be least."""
    for count in (2, 3, 5, 8):
        lines = read_array(call(mine, count), (count, 2))
        yield interference.Packed(count, 1, 2, np.zeros(1)), lines[:, :, None]


def write_stand_ins(mine: Any) -> Witnessed:
    """Yield stand-ins' answers, and the adapter that ignores stand-ins but knows these answers."""
    for count, entities in ((2, 6), (3, 6), (4, 12)):
        table = read_array(call(mine, count, entities), (count, entities))
        # numbers of answers, whatever type the reader's table has
        says = table.astype(int)
        require(bool((table == says).all() and (table >= 0).all()), "answers count from 0 on")
        bridges = bool((says != says[:, :1]).any(axis=1).all())
        require(bridges, "a stand-in says the same of every entity: it shows no bridge")
        even, stated = np.full((count, entities), 1 / count), tuple(map(tuple, says.tolist()))
        case = stand_in_ceiling.Case(np.full(entities, 1 / entities), even, stated, 1)
        yield case, stand_in_ceiling.attain(case)


# Answers that are judged beside a theorem


def judge_coefficients(mine: Any) -> str:
    """Judge coefficients of least sum at which the memory still gives the composed answer."""
    spent = least = 0.0
    # edits of unlike strength, on which equal coefficients cost too much
    for first, second in ((1.0, 1.0), (2.0, 1.0), (1.0, 4.0), (1.0, 9.0)):
        one, two = read_array(call(mine, first, second), (2,)).tolist()
        require(min(one, two) > 0, f"the claim is about coefficients above 0, not {one}, {two}")
        lead = two_read_region.margin((one * first, two * second))
        edits = f"at edits of strength {first:g} and {second:g}"
        require(lead > -1e-9, f"{edits} the composed answer trails by {-lead:.3g}")
        # where the derivative of the sum vanishes
        strong = max((second / first) ** 0.5 - 1, 0.5)
        spent, least = one + two, 1 / (1 + strong) / first + strong / second
        require(spent <= (1 + NEAR) * least, f"{edits} {least:.4g} is enough, not {spent:.4g}")
    return f"on the last pair you spend {spent:.4g}, and no less than {least:.4g} is enough"


def judge_worst_key(mine: Any) -> str:
    """Judge the key of one adapter with the largest response of another, within 1 % of it."""
    found = worst = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        # of unlike shapes and ranks, so that no shortcut fits all
        case = interference.Case(gaussian(rng, 20, 12, 3), gaussian(rng, 15, 12, 2))
        key = read_array(call(mine, case.first, case.second), (12,))
        answer = interference.Answer(case.second, key[:, None])
        found, worst = interference.THEOREM.check(case, answer).value, worst_response(case)
        require(found >= (1 - NEAR) * worst, f"{found:.4g} answers your key, not {worst:.4g}")
    return f"on the last case {found:.4g} of {worst:.4g} answers your key"


def judge_router(mine: Any) -> str:
    """Judge a router's scores: right on every edited key, in whichever way updates are split."""
    for experts, facts in ((2, 2), (4, 3), (3, 8)):
        rng, width = np.random.default_rng(experts), experts * facts
        frame = orthonormal(rng, 40, width)
        strengths = tuple(np.append(1.0, rng.uniform(0.4, 0.9, facts - 1)) for _ in range(experts))
        case = arrow.Case(tuple(np.split(frame, experts, axis=1)), strengths)
        drowned = []
        # factors whose `down` answers foreign keys most, which `up` drops
        for own, low in zip(case.keys, arrow.rival(case, rng), strict=True):
            foreign = frame.T[np.abs(frame.T @ own).max(axis=1) < NEAR]
            foreign = 2 * np.linalg.norm(low.down) * foreign
            up = np.hstack([low.up, np.zeros((low.shape[0], len(foreign)))])
            gauge = orthonormal(rng, up.shape[1], up.shape[1])
            drowned.append(LowRank(up, np.vstack([low.down, foreign])).regauged(gauge))
        # or a router could count tokens
        order = rng.permutation(width)
        for library in (list(arrow.attain(case)), drowned):
            found, what = call(mine, library, frame.T[order]), "the table of scores"
            scores = read_array(found, (width, experts), f"{what}, tokens by adapters,")
            right = 0.0
            for expert in range(experts):
                right += arrow.chance(scores[order // facts == expert], expert) / experts
            known = f"Arrow {arrow.bound(case):.3f}, a guess {1 / experts:.3f}"
            chosen = f"with {experts} adapters of {facts} facts you choose right in {right:.3f}"
            split = "`down` may answer other adapters' keys as well, which `up` drops"
            require(right > 1 - 1e-9, f"{chosen} of all cases ({known}): {split}")
    return "you choose right on every edited key, however updates are split"


def judge_gate(mine: Any) -> str:
    """Judge gates that are on for an adapter's own facts and off elsewhere, at any scale."""
    rng, adapters, facts, width = np.random.default_rng(0), 4, 5, 64
    frames = np.stack(np.split(orthonormal(rng, width, adapters * facts), adapters, axis=1))
    # 2,000 ordinary tokens, by which a gate is calibrated, and 500 of no adapter
    ordinary, foreign = np.split(rng.standard_normal((2500, width)) / width**0.5, [2000])
    # adapters of very different sizes
    units = 10.0 ** np.arange(-2, 2)
    usual = np.linalg.norm(ordinary @ frames, axis=2).T * units
    misses, alarms = [], []
    # owner by owner, the last with tokens of none: a gate decides without the other tokens
    for owner, tokens in enumerate([*frames.transpose(0, 2, 1), foreign]):
        here = np.linalg.norm(tokens @ frames, axis=2).T * units
        on = read_array(call(mine, usual, here), here.shape) != 0
        own = np.arange(adapters) == owner
        misses += (~on[:, own]).ravel().tolist()
        alarms += on[:, ~own].ravel().tolist()
    off, wrong = float(np.mean(misses)), float(np.mean(alarms))
    found = f"{off:.1%} of the right switches are off and {wrong:.1%} of the wrong ones are on"
    require(max(off, wrong) <= 0.05, f"{found}, and 5% of each are allowed: decide token by token")
    return found


def judge_vote(mine: Any) -> str:
    """Judge a coefficient at which a merge keeps one step and learns another, 0 if none does."""
    for keeps, takes in ((0.75, 0.75), (0.6, 0.9), (0.9, 0.3), (0.3, 0.6), (0.55, 0.5)):
        c = answers.read_number(call(mine, keeps, takes))
        # the base has the first step, not the second; two adapters have 2 c in all
        low, high = 1 / (2 * takes), 1 / (2 * (1 - keeps))
        steps = f"for shares of {keeps} and {takes} you return {c:.3g}"
        require(low < high or c == 0, f"{steps}, and no coefficient keeps both: give 0")
        right = low >= high or low < 2 * c < high
        require(right, f"{steps}, and c lies between {low / 2:.3g} and {high / 2:.3g}")
    return ""


# The theorem of each exercise, what calls the reader's function, and by what share of the bound a
# witness may miss it.
ATTAIN: dict[str, tuple[str, Callable[[Any], Witnessed], float]] = {
    "01.4": ("merge-floor", merge_at_rank, 0.0),
    "01.5": ("minimax-merge", find_smallest_ball, NEAR),
    "03.4": ("depth-budget", update_two_layers, 0.0),
    "04.4": ("argmax-rank", score_in_plane, 0.0),
    "05.5": ("packing-floor", pack_lines, 0.0),
    "11.4": ("disagreeing-stand-ins", write_stand_ins, 0.0),
}
CODE: dict[str, answers.Exercise] = {
    "02.4": judge_coefficients,
    "05.4": judge_worst_key,
    "06.4": judge_router,
    "08.4": judge_gate,
    "09.4": judge_vote,
}
for _name, (_label, _call, _near) in ATTAIN.items():
    CODE[_name] = partial(answers.check_bound, theorem(_label), _call, near=_near)

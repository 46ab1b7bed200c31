"""Exercises that ask for code: a merge, a router, a gate, an adversary, a broken hypothesis.

Most judges only call a reader's function: they give cases and witnesses, which a theorem judges.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loratheory import toy
from loratheory.exercises import _answers as answers
from loratheory.exercises._answers import NEAR, call, call_for_pair, read_array, require
from loratheory.lowrank import Array, LowRank, from_dense, gaussian, orthonormal, with_spectrum
from loratheory.theorems import theorem
from loratheory.theorems.composition import stand_in_ceiling, template_vote, two_read_region
from loratheory.theorems.editing import superposition_floor
from loratheory.theorems.expressiveness import argmax_margin, depth_budget
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.libraries import interference
from loratheory.theorems.merging import minimax_merge
from loratheory.theorems.routing import arrow, single_read_no_go

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


# Witnesses that must break a hypothesis and the conclusion


def _two_reads() -> tuple[Any, toy.LinearChain]:
    rng = np.random.default_rng(0)
    keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
    case = two_read_region.Prompt("overwrite", (1.0, 1.0), (keys[0], keys[1]), (values,))
    return case, two_read_region.attain(case)


def change_bridge(mine: Any) -> tuple[Any, Any]:
    """Return a memory in which nothing but the bridge should differ."""
    case, memory = _two_reads()
    changed = call(mine, memory)
    require(isinstance(changed, toy.LinearChain), f"a LinearChain is asked for, not {changed!r}")
    parts = [(*model.memories, *model.edits, *model.bridges) for model in (memory, changed)]
    shapes = [list(map(np.shape, part)) for part in parts]
    require(shapes[0] == shapes[1], "your model has parts of other shapes or not all parts")
    return case, changed


def respond_unequally(mine: Any) -> tuple[Any, Any]:
    """Return responses with mean one, but not one each."""
    facts, rank = 6, 2
    table = read_array(call(mine, facts, rank), (facts, facts))
    mean = float(np.trace(table)) / facts
    # the theorem is about unit responses: their mean alone must not be enough to break it
    require(abs(mean - 1) < NEAR, f"your facts' own responses have the mean {mean:.3g}, not 1")
    low = from_dense(table)
    case = superposition_floor.Case(np.eye(facts), np.eye(facts), rank)
    return case, low.truncated(low.rank)


def choose_library(mine: Any) -> tuple[Any, Any]:
    """Return a library on which Arrow should be more accurate than its formula predicts."""
    keys, strengths = call_for_pair(mine)
    shape = np.shape(keys[0])
    require(len(keys) == len(strengths) == 2 and len(shape) == 2, "two matrices and two lists")
    frames = tuple(read_array(one, shape) for one in keys)
    sizes = tuple(read_array(one, shape[1:]) for one in strengths)
    require(min(map(np.min, sizes)) > 0, "an edit of strength 0 is none: give positive ones")
    case = arrow.Case(frames, sizes)
    # below its formula Arrow breaks nothing: what is asked for is a library where it does better
    library = arrow.attain(case)
    found, formula = arrow.measure(case, library), arrow.bound(case)
    require(found >= formula - 1e-9, f"Arrow does worse here, {found:.3f}, than {formula:.3f}")
    return case, library


def answer_in_one_read(mine: Any) -> tuple[Any, Any]:
    """Return a rule that should answer more two-hop questions than one read allows."""
    one, two, _ = toy.relu_keys(np.random.default_rng(0), 3, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
    case = single_read_no_go.Case("pairing", 1, (1, 2, 0), True, base, (one, two, one))

    def _rule(question: toy.TwoHop) -> list[Array]:
        # or a rule could copy them
        return [read_array(call(mine, replace(question, answers=(0, 0, 0))), (3, 3))]

    return case, _rule


# Answers that are judged beside a theorem


def judge_coefficients(mine: Any) -> str:
    """Judge coefficients of least sum at which the memory still gives the composed answer."""
    case, memory = _two_reads()
    spent = least = 0.0
    # edits of unlike strength, on which equal coefficients cost too much
    for first, second in ((1.0, 1.0), (2.0, 1.0), (1.0, 4.0), (1.0, 9.0)):
        found = read_array(call(mine, first, second), (2,))
        require(bool(np.all(found > 0)), f"the claim is about coefficients above 0, not {found}")
        acting = (float(found[0]) * first, float(found[1]) * second)
        lead = two_read_region.measure(replace(case, coefficients=acting), memory)
        edits = f"at edits of strength {first:g} and {second:g}"
        require(lead > -1e-9, f"{edits} the composed answer trails by {-lead:.3g}")
        # where the derivative of the sum vanishes
        strong = max((second / first) ** 0.5 - 1, 0.5)
        spent, least = float(np.sum(found)), 1 / (1 + strong) / first + strong / second
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
        found = interference.THEOREM.check(case, answer).value
        worst = interference.worst_response(case)
        require(
            found >= (1 - NEAR) * worst, f"your key is answered by {found:.4g}, not {worst:.4g}"
        )
    return f"on the last case your key is answered by {found:.4g} of {worst:.4g}"


def _drown(case: Any, rng: np.random.Generator) -> list[LowRank]:
    """Return the edits in factors whose `down` answers foreign keys most, which `up` drops."""
    library, keys = [], np.concatenate(case.keys, axis=1)
    for own, low in zip(case.keys, arrow.rival(case, rng), strict=True):
        # all other keys: what is left of a frame without the own ones
        foreign = keys[:, np.abs(keys.T @ own).max(axis=1) < NEAR]
        wide = np.zeros((low.shape[0], foreign.shape[1]))
        up, down = np.hstack([low.up, wide]), 2 * np.linalg.norm(low.down) * foreign.T
        gauge = orthonormal(rng, up.shape[1], up.shape[1])
        library.append(LowRank(up, np.vstack([low.down, down])).regauged(gauge))
    return library


def judge_router(mine: Any) -> str:
    """Judge a router's scores: right on every edited key, in whichever way updates are split."""
    for experts, facts in ((2, 2), (4, 3), (3, 8)):
        rng, width = np.random.default_rng(experts), experts * facts
        frame = orthonormal(rng, 40, width)
        strengths = tuple(np.append(1.0, rng.uniform(0.4, 0.9, facts - 1)) for _ in range(experts))
        case = arrow.Case(tuple(np.split(frame, experts, axis=1)), strengths)
        # or a router could count tokens
        order = rng.permutation(width)
        for library in (list(arrow.attain(case)), _drown(case, rng)):
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
    tokens = np.concatenate([*frames.transpose(0, 2, 1), foreign])
    # or a gate could count tokens
    order = rng.permutation(len(tokens))
    # adapters of very different sizes
    units = 10.0 ** np.arange(-2, 2)
    usual = np.linalg.norm(ordinary @ frames, axis=2).T * units
    here = np.linalg.norm(tokens[order] @ frames, axis=2).T * units
    # the last: no adapter's
    owner = np.minimum(order // facts, adapters)

    def _switch(rows: Array) -> Array:
        return read_array(call(mine, usual, here[rows]), (int(rows.sum()), adapters)) != 0

    on, wanted = _switch(owner >= 0), owner[:, None] == np.arange(adapters)
    misses, alarms = float(np.mean(~on[wanted])), float(np.mean(on[~wanted]))
    found = f"{misses:.1%} of the right switches are off and {alarms:.1%} of the wrong ones are on"
    require(max(misses, alarms) <= 0.05, f"{found}, and 5% of each are allowed")
    for which in range(adapters + 1):
        same = bool((_switch(owner == which) == on[owner == which]).all())
        require(same, "switches change if other tokens are left out: a gate decides for each alone")
    return found


def judge_vote(mine: Any) -> str:
    """Judge a coefficient at which a merge keeps one step and learns another, 0 if none does."""
    lead = 0.0
    for keeps, takes in ((0.75, 0.75), (0.6, 0.9), (0.9, 0.3), (0.3, 0.6), (0.55, 0.5)):
        c = answers.read_number(call(mine, keeps, takes))
        steps = f"for shares of {keeps} and {takes}"
        # no coefficient can be right where more templates vote against a step than for it
        if takes <= 1 - keeps:
            require(c == 0, f"{steps} you return {c:.3g}, and no coefficient keeps both: give 0")
            continue
        # the base has the first step, not the second
        shares = np.array([[keeps, takes], [1 - keeps, 1 - takes]])
        case = template_vote.Case(np.eye(2), np.eye(2), (shares,) * 2, (c, c))
        lead = template_vote.THEOREM.check(case, template_vote.attain(case)).value
        require(lead > 0, f"{steps} the worse step trails by {abs(lead):.3g} at {c:.3g}")
    return f"on the last case the worse step leads by {lead:.3g}"


def judge_forecast(mine: Any) -> str:
    """Judge a forecast of two-hop accuracy; it must beat the weaker hop and every constant."""
    # accuracies of each adapter alone, and of their sum, in the study `lm_methods`
    rows = pd.read_json(Path(__file__).with_name("forecasts.json"))
    pairs = zip(rows["first"], rows["second"], strict=True)
    rows["mine"] = [answers.read_number(call(mine, *pair)) for pair in pairs]
    rows["constant"] = rows["two_hop"].median()
    off = rows[["mine", "weaker", "constant"]].sub(rows["two_hop"], axis=0).abs().mean()
    found = f"you are off by {off['mine']:.3f} on average, the weaker hop by {off['weaker']:.3f}"
    found += f", the best constant by {off['constant']:.3f}"
    require(off["mine"] == off.min() < off[["weaker", "constant"]].min(), found)
    return found


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
# The theorem, what calls the reader's function, and the one hypothesis that may break, if it is
# given: others are other exercises.
BREAK: dict[str, tuple[str, Callable[[Any], tuple[Any, Any]], str]] = {
    "02.5": ("two-read-region", change_bridge, two_read_region.PARTS["bridges"]),
    "04.5": ("superposition-floor", respond_unequally, superposition_floor.UNIT),
    "06.5": ("arrow-blind-spot", choose_library, ""),
    "07.4": ("single-read-no-go", answer_in_one_read, ""),
}
CODE: dict[str, answers.Exercise] = {
    "02.4": judge_coefficients,
    "05.4": judge_worst_key,
    "06.4": judge_router,
    "08.4": judge_gate,
    "09.4": judge_vote,
    "10.4": judge_forecast,
}
for _name, (_label, _call, _near) in ATTAIN.items():
    CODE[_name] = partial(answers.check_bound, theorem(_label), _call, near=_near)
for _name, (_label, _break, _only) in BREAK.items():
    CODE[_name] = partial(answers.check_broken, theorem(_label), _break, only=_only)

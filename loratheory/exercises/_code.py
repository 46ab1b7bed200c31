"""Exercises that ask for code: a merge, a router, a gate, an adversary, a broken hypothesis.

Each exercise calls a reader's function on several cases and lets a theorem judge the results.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from loratheory import toy
from loratheory.exercises import _answers as answers
from loratheory.exercises._answers import NEAR, call, read_array, require
from loratheory.lowrank import Array, LowRank, from_dense, gaussian, orthonormal, with_spectrum
from loratheory.theorems import theorem
from loratheory.theorems.composition import stand_in_ceiling, template_vote, two_read_region
from loratheory.theorems.editing import superposition_floor
from loratheory.theorems.expressiveness import argmax_margin, depth_budget
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.libraries import interference
from loratheory.theorems.merging import minimax_merge
from loratheory.theorems.routing import arrow, single_read_no_go


def judge_merge(mine: Any) -> str:
    """Judge a merge of low rank; it must attain the merge floor."""
    pairs = []
    for tasks, rank in ((2, 3), (3, 5), (5, 4)):
        rng = np.random.default_rng(tasks)
        # tasks alike in part: neither their mean nor one of them is the best merge
        shared = gaussian(rng, 20, 15, 3)
        updates = tuple(shared + gaussian(rng, 20, 15, 2) for _ in range(tasks))
        found = answers.read_update(call(mine, list(updates), rank), (20, 15))
        pairs.append((Tasks(updates, rank), found))
    return answers.check_bound(theorem("merge-floor"), pairs)


def judge_smallest_ball(mine: Any) -> str:
    """Judge a search for the merge with the least worst-case error, within 1 % of the least."""
    rng, pairs = np.random.default_rng(0), []
    # the mean is no centre where two of three agree, nor where sizes differ
    alike, apart = gaussian(rng, 6, 5, 2), gaussian(rng, 6, 5, 2, 3.0)
    acute = [gaussian(rng, 6, 5, 2, size) for size in (1.0, 1.5, 1.2, 1.4)]
    for tasks in ([alike, alike, apart], acute):
        case = minimax_merge.Case(tuple(tasks), (np.eye(5),) * len(tasks))
        merged = answers.read_update(call(mine, [low.dense() for low in tasks]), (6, 5))
        pairs.append((case, (merged,) * len(tasks)))
    return answers.check_bound(minimax_merge.THEOREM, pairs, NEAR)


def _two_reads() -> tuple[Any, toy.LinearChain]:
    rng = np.random.default_rng(0)
    keys, values = [rng.standard_normal((24, n)) for n in (2, 3)], rng.standard_normal((24, 3))
    case = two_read_region.Prompt("overwrite", (1.0, 1.0), (keys[0], keys[1]), (values,))
    return case, two_read_region.attain(case)


def judge_coefficients(mine: Any) -> str:
    """Judge coefficients of least sum at which the memory still gives the composed answer."""
    case, memory = _two_reads()
    spent = least = 0.0
    # edits of unlike strength, on which equal coefficients cost too much
    for first, second in ((1.0, 1.0), (2.0, 1.0), (1.0, 4.0), (1.0, 9.0)):
        found = read_array(call(mine, first, second), (2,), "the pair of coefficients")
        require(bool(np.all(found > 0)), f"the claim is about coefficients above 0, not {found}")
        acting = (float(found[0]) * first, float(found[1]) * second)
        lead = two_read_region.measure(replace(case, coefficients=acting), memory)
        edits = f"at edits of strength {first:g} and {second:g}"
        require(lead > -1e-9, f"{edits} the composed answer trails by {-lead:.3g}")
        # where the derivative of the sum vanishes
        strong = max((second / first) ** 0.5 - 1, 0.5)
        spent, least = float(np.sum(found)), 1 / (1 + strong) / first + strong / second
        enough = f"your coefficients add up to {spent:.4g}, and {least:.4g} is enough"
        require(spent <= (1 + NEAR) * least, f"{edits} {enough}")
    return f"on the last pair you spend {spent:.4g}, and no less than {least:.4g} is enough"


def judge_broken_bridge(mine: Any) -> str:
    """Judge a change of the bridge, and of nothing else, that makes the prediction fail."""
    case, memory = _two_reads()
    changed = call(mine, memory)
    right = isinstance(changed, toy.LinearChain)
    require(right, f"a LinearChain is asked for, not {answers.describe(changed)}")
    parts = [(*model.memories, *model.edits, *model.bridges) for model in (memory, changed)]
    shapes = [list(map(np.shape, part)) for part in parts]
    require(shapes[0] == shapes[1], "your model has parts of other shapes or not all parts")
    # nothing but the bridge may break: other hypotheses are other exercises
    bridges = two_read_region.PARTS["bridges"]
    return answers.check_broken(two_read_region.THEOREM, case, changed, bridges)


def judge_two_layers(mine: Any) -> str:
    """Judge updates of two layers, each of half the full rank, that reach any target exactly."""
    pairs = []
    for half in (1, 2, 4):
        rng, n = np.random.default_rng(half), 2 * half
        spectra = np.exp(rng.uniform(-0.5, 0.5, (2, n))).tolist()
        first, last = (with_spectrum(rng, n, n, spectrum).dense() for spectrum in spectra)
        case = depth_budget.Case((first, last), rng.standard_normal((n, n)), half)
        # Copies, since the reader's function may write into what it is given.
        found = answers.call_for_pair(mine, first.copy(), last.copy(), case.target.copy())
        updates = tuple(answers.read_update(one, (n, n), "each update") for one in found)
        pairs.append((case, updates))
    return answers.check_bound(depth_budget.THEOREM, pairs)


def judge_plane(mine: Any) -> str:
    """Judge outputs and keys of dimension 2 by which every input scores its own token highest."""
    pairs = []
    for tokens in (3, 8, 50):
        found, what = answers.call_for_pair(mine, tokens), f"each of the two for {tokens} tokens"
        outputs, keys = (read_array(one, (2, tokens), what) for one in found)
        case = argmax_margin.Answers(tokens, tuple(range(tokens)), rank=2)
        pairs.append((case, LowRank(outputs.T, keys)))
    return answers.check_bound(theorem("argmax-rank"), pairs)


def judge_unequal_responses(mine: Any) -> str:
    """Judge responses with mean one, but not one each, whose cross-talk is below the floor."""
    facts, rank = 6, 2
    table = read_array(call(mine, facts, rank), (facts, facts), "the table of responses")
    mean = float(np.trace(table)) / facts
    require(abs(mean - 1) < NEAR, f"your facts' own responses have the mean {mean:.3g}, not 1")
    # the theorem is about unit responses: their mean alone must not be enough to break it
    low = from_dense(table)
    case = superposition_floor.Case(np.eye(facts), np.eye(facts), rank)
    witness, unit = low.truncated(low.rank), superposition_floor.UNIT
    return answers.check_broken(superposition_floor.THEOREM, case, witness, unit)


def judge_worst_key(mine: Any) -> str:
    """Judge the key of one adapter with the largest response of another, within 1 % of it."""
    found = worst = 0.0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        # of unlike shapes and ranks, so that no shortcut fits all
        case = interference.Case(gaussian(rng, 20, 12, 3), gaussian(rng, 15, 12, 2))
        key = read_array(call(mine, case.first, case.second), (12,), "the key")
        answer = interference.Answer(case.second, key[:, None])
        found = interference.THEOREM.check(case, answer).value
        worst = interference.worst_response(case)
        told = f"your key is answered by {found:.4g}, some by {worst:.4g}"
        require(found >= (1 - NEAR) * worst, told)
    return f"on the last case your key is answered by {found:.4g} of {worst:.4g}"


def judge_packing(mine: Any) -> str:
    """Judge directions in a plane; their overlap must attain the floor."""
    pairs = []
    for count in (2, 3, 5, 8):
        lines = read_array(call(mine, count), (count, 2), f"{count} directions as rows")
        pairs.append((interference.Packed(count, 1, 2, np.zeros(1)), lines[:, :, None]))
    return answers.check_bound(interference.PACKING, pairs)


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
    split = "once the same updates are split so that `down` answers other adapters' keys as well,"
    split += " which `up` drops: only `up @ down` is as before"
    for experts, facts in ((2, 2), (4, 3), (3, 8)):
        rng, width = np.random.default_rng(experts), experts * facts
        frame = orthonormal(rng, 40, width)
        strengths = tuple(np.append(1.0, rng.uniform(0.4, 0.9, facts - 1)) for _ in range(experts))
        case = arrow.Case(tuple(np.split(frame, experts, axis=1)), strengths)
        # or a router could count tokens
        order = rng.permutation(width)
        guess = f"(Arrow {arrow.bound(case):.3f}, a guess {1 / experts:.3f})"
        for library, where in ((list(arrow.attain(case)), guess), (_drown(case, rng), split)):
            found, what = call(mine, library, frame.T[order]), "the table of scores"
            scores = read_array(found, (width, experts), f"{what}, tokens by adapters,")
            varied = where is split or not np.allclose(scores, scores[0])
            require(varied, "you give every token the same scores: sizes do not say which keys")
            parts = [scores[order // facts == expert] for expert in range(experts)]
            right = float(np.mean([arrow.chance(part, i) for i, part in enumerate(parts)]))
            chosen = f"with {experts} adapters of {facts} facts you choose right in {right:.3f}"
            require(right == 1, f"{chosen} of all cases {where}")
    return "you choose right on every edited key, however updates are split"


def judge_arrow_library(mine: Any) -> str:
    """Judge a library on which Arrow is more accurate than its formula predicts."""
    keys, strengths = answers.call_for_pair(mine)
    require(len(keys) == len(strengths) == 2, "keys and strengths of two adapters are wanted")
    shape = np.shape(keys[0])
    require(len(shape) == 2, "keys are the columns of a matrix")
    frames = tuple(read_array(one, shape, "each matrix of keys") for one in keys)
    sizes = tuple(read_array(one, shape[1:], "each list of strengths") for one in strengths)
    require(min(map(np.min, sizes)) > 0, "an edit of strength 0 is none: give positive ones")
    case = arrow.Case(frames, sizes)
    # below its formula Arrow breaks nothing: what is asked for is a library where it does better
    library = arrow.attain(case)
    found, formula = arrow.measure(case, library), arrow.bound(case)
    worse = f"Arrow does worse here, {found:.3f}, than its formula, {formula:.3f}"
    require(found >= formula - 1e-9, worse)
    return answers.check_broken(arrow.THEOREM, case, library)


def judge_single_read(mine: Any) -> str:
    """Judge a rule that answers more two-hop questions than the theorem allows in one read."""
    one, two, _ = toy.relu_keys(np.random.default_rng(0), 3, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(6)).dense()
    case = single_read_no_go.Case("pairing", 1, (1, 2, 0), True, base, (one, two, one))

    def _rule(question: toy.TwoHop) -> list[Array]:
        # or a rule could copy them
        hidden = replace(question, answers=(0, 0, 0))
        what = "the scores of three cities for three prompts"
        return [read_array(call(mine, hidden), (3, 3), what)]

    return answers.check_broken(single_read_no_go.THEOREM, case, _rule)


def judge_gate(mine: Any) -> str:
    """Judge gates that are on for an adapter's own facts and off elsewhere, at any scale."""
    rng, adapters, facts, width = np.random.default_rng(0), 4, 5, 64
    frames = np.stack(np.split(orthonormal(rng, width, adapters * facts), adapters, axis=1))
    # adapters of very different sizes
    units = 10.0 ** np.arange(-2, 2)

    def _norms(tokens: Array) -> Array:
        return np.linalg.norm(tokens @ frames, axis=2).T * units

    ordinary, foreign = (rng.standard_normal((n, width)) / width**0.5 for n in (2000, 500))
    own = np.concatenate(frames.transpose(0, 2, 1))
    # or a gate could count tokens
    order = rng.permutation(len(own) + len(foreign))
    here = _norms(np.concatenate([own, foreign])[order])
    # the last: no adapter's
    owner = np.minimum(order // facts, adapters)

    def _on(rows: Array) -> Array:
        found = call(mine, _norms(ordinary), here[rows])
        return read_array(found, (int(rows.sum()), adapters), "the table of switches") != 0

    on, wanted = _on(owner >= 0), owner[:, None] == np.arange(adapters)
    misses, alarms = float(np.mean(~on[wanted])), float(np.mean(on[~wanted]))
    found = f"{misses:.1%} of the right switches are off and {alarms:.1%} of the wrong ones are on"
    require(max(misses, alarms) <= 0.05, f"{found}, and 5% of each are allowed")
    for which in range(adapters + 1):
        moved = int(np.sum(_on(owner == which) != on[owner == which]))
        why = "a gate decides for each token by itself, and what is large it knows from `ordinary`"
        require(moved == 0, f"{moved} switches change if other tokens are left out: {why}")
    return found


def judge_vote(mine: Any) -> str:
    """Judge a coefficient at which a merge keeps one step and learns another, 0 if none does."""
    lead = 0.0
    for keeps, takes in ((0.75, 0.75), (0.6, 0.9), (0.9, 0.3), (0.3, 0.6), (0.55, 0.5)):
        c = answers.read_number(call(mine, keeps, takes))
        steps = f"for shares of {keeps} and {takes}"
        # no coefficient can be right where more templates vote against a step than for it
        if takes <= 1 - keeps:
            none = f"{steps} you return {c:.3g}, and no coefficient keeps both: give 0"
            require(c == 0, none)
            continue
        # the base has the first step, not the second
        habits = np.array([[1.0, 0.0], [0.0, 1.0]])
        shares = np.array([[keeps, takes], [1 - keeps, 1 - takes]])
        case = template_vote.Case(np.eye(2), habits, (shares,) * 2, (c, c))
        lead = template_vote.THEOREM.check(case, template_vote.attain(case)).value
        require(lead > 0, f"{steps} the worse step trails by {abs(lead):.3g} at {c:.3g}")
    return f"on the last case the worse step leads by {lead:.3g}"


def judge_forecast(mine: Any) -> str:
    """Judge a forecast of two-hop accuracy; it must beat the weaker hop and every constant."""
    # Accuracies of each adapter alone, and of their sum, in the study `lm_methods`.
    rows = pd.read_json(Path(__file__).with_name("forecasts.json"))
    pairs = zip(rows["first"], rows["second"], strict=True)
    forecasts = np.array([answers.read_number(call(mine, *pair)) for pair in pairs])
    off = np.abs(forecasts - rows["two_hop"]).mean()
    weaker = np.abs(rows["weaker"] - rows["two_hop"]).mean()
    constant = np.abs(rows["two_hop"].median() - rows["two_hop"]).mean()
    rivals = f"the weaker hop by {weaker:.3f}, the best constant by {constant:.3f}"
    require(off < min(weaker, constant), f"you are off by {off:.3f} on average, {rivals}")
    return f"you are off by {off:.3f} on average, {rivals}"


def judge_stand_ins(mine: Any) -> str:
    """Judge stand-ins' answers; an adapter that ignores them must not be right too often."""
    for count, entities in ((2, 6), (3, 6), (4, 12)):
        table = read_array(call(mine, count, entities), (count, entities), "the table of answers")
        # numbers of answers, whatever type the reader's table has
        says = table.astype(int)
        require(bool((table == says).all() and (table >= 0).all()), "answers count from 0 on")
        bridges = bool((says != says[:, :1]).any(axis=1).all())
        require(bridges, "a stand-in says the same of every entity: it shows no bridge")
        even = np.full((count, entities), 1 / count)
        lessons = tuple(map(tuple, says.tolist()))
        case = stand_in_ceiling.Case(np.full(entities, 1 / entities), even, lessons, 1)
        pairs = [(case, stand_in_ceiling.attain(case))]
        answers.check_bound(theorem("disagreeing-stand-ins"), pairs)
    return f"an adapter that ignores its partner is right in 1 of {count} examples at most"


CODE: dict[str, answers.Exercise] = {
    "01.4": judge_merge,
    "01.5": judge_smallest_ball,
    "02.4": judge_coefficients,
    "02.5": judge_broken_bridge,
    "03.4": judge_two_layers,
    "04.4": judge_plane,
    "04.5": judge_unequal_responses,
    "05.4": judge_worst_key,
    "05.5": judge_packing,
    "06.4": judge_router,
    "06.5": judge_arrow_library,
    "07.4": judge_single_read,
    "08.4": judge_gate,
    "09.4": judge_vote,
    "10.4": judge_forecast,
    "11.4": judge_stand_ins,
}

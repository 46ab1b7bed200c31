"""Exercises whose answer is a number or a truth value: right answers, hints, common mistakes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loratheory import toy
from loratheory.adapters import crosstalk, frobenius_cosine
from loratheory.lessons._judging import NEAR, Exercise, WrongError, kind, wrong_unless
from loratheory.lowrank import LowRank, from_dense
from loratheory.theorems import theorem
from loratheory.theorems.composition import (
    clean_up_bridge,
    placement,
    routing_reach,
    stand_in_ceiling,
    template_vote,
    two_read_region,
)
from loratheory.theorems.editing import hebbian_memory, superposition_floor
from loratheory.theorems.expressiveness import argmax_margin, attention_budget, depth_budget
from loratheory.theorems.expressiveness.rank_floor import Tasks
from loratheory.theorems.libraries import interference
from loratheory.theorems.routing import arrow, single_read_no_go


@dataclass(frozen=True)
class Number:
    """An exercise that asks for a number, right within the share `near`.

    `mistakes` maps wrong numbers to the mistakes that lead to them.
    """

    wanted: Callable[[], float]
    hint: str
    mistakes: dict[float, str] = field(default_factory=dict)
    near: float = NEAR

    def __call__(self, mine: Any) -> str:
        """Return an empty text if the number is right; else raise `WrongError` with a hint."""
        value, wanted = number(mine), float(self.wanted())
        if abs(value - wanted) > self.near * abs(wanted) + 1e-9:
            for mistake, reason in self.mistakes.items():
                wrong_unless(abs(value - mistake) > NEAR * abs(mistake) + 1e-9, reason)
            far = "too large" if value > wanted else "too small"
            message = f"{value:.4g} is {far}: {self.hint}"
            raise WrongError(message)
        return ""


@dataclass(frozen=True)
class Truth:
    """An exercise that asks for True or False."""

    wanted: Callable[[], bool]
    hint: str

    def __call__(self, mine: Any) -> str:
        """Return an empty text if the answer is right, else raise `WrongError`; 1 is not True."""
        wrong_unless(
            isinstance(mine, (bool, np.bool_)), f"True or False is asked for, not {kind(mine)}"
        )
        wrong_unless(bool(mine) == self.wanted(), self.hint)
        return ""


def number(mine: Any) -> float:
    """Return an answer as a finite number; raise `WrongError` if it is none.

    A symbolic expression counts if it has a numerical value.
    """
    message = f"a number is asked for, and this is {kind(mine)}"
    wrong_unless(not isinstance(mine, (str, bytes, bool, np.bool_)), message)
    try:
        value = float(mine)
    except (TypeError, ValueError):
        raise WrongError(message) from None
    wrong_unless(bool(np.isfinite(value)), f"a finite number is asked for, and this is {value}")
    return value


def _floor(*tasks: LowRank, rank: int) -> float:
    return float(theorem("merge-floor").bound(Tasks(tasks, rank=rank)))


def _stretching_helps() -> bool:
    case = Tasks((from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0]))), rank=2)
    floor, mean = theorem("merge-floor"), case.mean
    stretched = [floor.measure(case, c * mean) for c in np.linspace(1.01, 5, 50).tolist()]
    return bool(min(stretched) < floor.measure(case, mean))


def _best_on_the_simplex() -> float:
    return max(two_read_region.margin((w, 1 - w)) for w in np.linspace(0, 1, 10_001).tolist())


def _least_rank() -> float:
    ones = (np.eye(64),) * 6
    cases = (depth_budget.Case(ones, 2 * np.eye(64), rank) for rank in range(65))
    return next(case.rank for case in cases if depth_budget.bound(case) == 0)


def _widest_form() -> float:
    frozen = np.eye(64, 512)
    head = attention_budget.Case(frozen, frozen, np.eye(512), 256)
    queries, keys = (low.dense() + frozen for low in attention_budget.paid(head))
    return LowRank(queries.T, keys).rank


def _third_value() -> float:
    case = depth_budget.Case((np.eye(5),) * 2, np.diag([6.0, 5, 4, 3, 2]), 1)
    return depth_budget.bound(case)


def _noisier() -> float:
    sizes = (80, 8, 128, 4)
    return hebbian_memory.merged_crosstalk(*sizes) / hebbian_memory.routed_crosstalk(*sizes)


def _three_from_rank_one() -> bool:
    return argmax_margin.reachable(argmax_margin.Answers(3, (0, 1, 2), rank=1)) == 3


def _worst_key() -> float:
    diagonal = LowRank(np.array([[3.0], [0.0]]), np.ones((1, 3)) / 3**0.5)
    return crosstalk(LowRank(np.eye(2), np.eye(3)[:2]), diagonal)


def _equal_energy() -> float:
    return next(k for k in range(2, 2000) if interference.energy(k, 8, 1024) >= 1)


def _zero_cosine_is_silence() -> bool:
    one, two = LowRank(np.eye(2)[:, :1], np.eye(2)[:1]), LowRank(np.eye(2)[:, 1:], np.eye(2)[:1])
    return frobenius_cosine(one, two) != 0 or crosstalk(one, two) == 0


def _patterns_that_matter() -> float:
    one, two, _ = toy.relu_keys(np.random.default_rng(0), 5, 12)
    base = toy.interpolating(np.concatenate([one, two], axis=1), np.eye(10)).dense()
    case = single_read_no_go.Case("values", 2, (0, 1, 2, 3, 4), True, base, (one, two, one))
    return single_read_no_go.bound(case)


def _late(first: float, second: float, rate: float = 1) -> float:
    """The late layer's share, by the lengths of both keys and how much faster it learns."""
    keys = (first * np.eye(2)[:, :1], second * np.eye(2)[:, :1])
    latent = (0 * keys[0][:, 0], keys[1][:, 0])
    return placement.bound(placement.Case(keys, latent, (1.0, float(rate)), early=1))


def _by_heart() -> float:
    says = tuple((0,) * 10 + (j,) * 10 for j in range(4))
    lessons = stand_in_ceiling.Case(np.full(20, 1 / 20), np.full((4, 20), 1 / 4), says, 1)
    return stand_in_ceiling.bound(lessons)


FULL = (5**0.5 - 1) / 2  # the strength from which on two hops compose

EXERCISES: dict[str, Exercise] = {
    "01.1": Number(
        lambda: _floor(from_dense(np.diag([3.0, 0.0])), from_dense(np.diag([1.0, 2.0])), rank=1),
        "what do the tasks disagree on, and what is left of their mean at rank one?",
        {2: "that is the disagreement alone; at rank one a part of the mean is lost, too"},
    ),
    "01.2": Number(
        lambda: _floor(*(LowRank(e, e.T) for e in np.eye(8)[:, :, None]), rank=8),
        "the mean squared norm is 1; how long is the mean?",
        {1 / 8: "that is the squared norm of the mean; the disagreement is what is left of 1"},
    ),
    "01.3": Truth(_stretching_helps, "step 1 says what moving away from the mean costs"),
    "02.1": Number(
        lambda: two_read_region.strength_needed(3, adapters=3),
        "which c do three hops need, and what does the mean of three leave of an edit?",
        {
            0.6823: "that is c, what must be left of each edit in the mean of three",
            3 * FULL: "three hops need more than two: step 4 gives the equation",
        },
    ),
    "02.2": Number(
        lambda: two_read_region.strength_needed(2, adapters=2, rule="factor_mean"),
        "the mean of the factors leaves a quarter of the strength, not a half",
    ),
    "02.3": Number(
        _best_on_the_simplex,
        "with two rivals the best weights are those at which both lead by the same",
        {
            FULL**4: "this is how far it stays behind; a margin of the answer is negative there",
            -0.25: "that is the margin at ½ and ½, where only the old answer leads",
        },
    ),
    "03.1": Number(
        _least_rank,
        "the ranks of all layers add up, and a rank is a whole number",
        {10: "six layers of rank 10 pay for 60 of 64"},
        near=0,
    ),
    "03.2": Number(
        _widest_form,
        "a score form is a product through the head, which has size 64",
        near=0,
    ),
    "03.3": Number(
        _third_value,
        "which singular value is the first that nobody pays for?",
        {4: "that is what one layer of rank one leaves; there are two", 6: "E is T - M, not T"},
    ),
    "04.1": Number(
        lambda: superposition_floor.least_crosstalk(64, 8) ** 0.5,
        "claim 2 bounds the mean square; its root is asked for",
    ),
    "04.2": Number(
        _noisier,
        "noise is proportional to the facts that are in use",
        {1: "claim 4 compares the sum with one adapter of all facts; here each one has ten"},
    ),
    "04.3": Truth(_three_from_rank_one, "at rank one an input multiplies one fixed list of scores"),
    "05.1": Number(
        _worst_key,
        "project the direction that the second reads onto the plane, and mind its norm",
        {
            (2 / 3) ** 0.5: "that is the cosine; the second adapter has norm 3",
            3: "only a key along the direction itself gets that, and it is not in the plane",
        },
    ),
    "05.2": Number(
        _equal_energy,
        "the ranks of the others must add up to the width",
        {128: "that many others are needed; the adapter itself stands beside them"},
        near=0,
    ),
    "05.3": Truth(_zero_cosine_is_silence, "step 2 has a pair whose inner product is always zero"),
    "06.1": Number(
        lambda: arrow.accuracy(5, 10),
        "one key in five is seen, and on the others ten adapters tie",
        {1 / 5: "on the keys that it does not see Arrow still guesses right one time in ten"},
    ),
    "06.2": Number(
        lambda: float(np.degrees(arrow.safe_angle(np.radians(50.0)))),
        "where do both scores tie?",
        {np.radians(25.0): "this is in radians"},
    ),
    "06.3": Number(
        lambda: routing_reach.ceiling("shared a read", "overwrite"),
        "which weights does each read want?",
        {-(FULL**4): "that is for weights that stay the same throughout the pass"},
    ),
    "07.1": Number(
        _patterns_that_matter,
        "count only the patterns that give different scores to the cities",
        {
            4 / 5: "does switching adapter 1 on or off move a city's score?",
            1 / 5: "adapter 2 has a switch",
        },
    ),
    "07.2": Number(
        lambda: 3.0,
        "expand three reads as step 3 does two: which term has every edit?",
        {2: "that is for two hops"},
        near=0,
    ),
    "07.3": Number(
        lambda: clean_up_bridge.threshold(np.inf),
        "each read now answers a question of its own; what does one fact need?",
        {FULL: "that is for a bridge that passes on mixtures; this one decides"},
    ),
    "08.1": Number(
        lambda: two_read_region.strength_needed(2, adapters=2),
        "c, which is left of each edit, must exceed .618, and c is s/2",
    ),
    "08.2": Number(
        lambda: 1 - 2 * 15 * 0.004,
        "count the reads, and the adapters that should be off at each",
        {
            1 - 15 * 0.004: "there are two reads",
            1 - 2 * 16 * 0.004: "one of the sixteen adapters is the right one",
        },
        near=1e-3,
    ),
    "08.3": Number(
        lambda: (3.0 - 1.0) / 0.4,
        "by how many standard deviations do its own facts stand above the mean?",
        {7.5: "the level counts from the mean on, not from zero"},
    ),
    "09.1": Number(
        lambda: template_vote.overlap_needed(4, 0.25),
        "C is the sum of all coefficients; in a mean of four each has a quarter",
    ),
    "09.2": Number(
        lambda: template_vote.overlap_needed(4, 1.0),
        "C is the sum of all coefficients; in a sum each has one",
    ),
    "09.3": Number(
        lambda: 1 / (2 * 2),  # 1 - C > 1/2, with C the sum of two
        "with adapters that never take the step the vote is 1 - C, and C is twice the coefficient",
    ),
    "10.1": Number(
        lambda: 0.9 * 0.6 / 0.75,
        "both measurements contain one hop of the base",
        {0.54: "this counts what the base itself loses twice", 0.405: "divide by the base's share"},
    ),
    "10.2": Number(
        lambda: two_read_region.threshold(1) / 2,
        "coefficient times strength must exceed ½",
    ),
    "10.3": Number(
        lambda: two_read_region.threshold(2) / 2,
        "coefficient times strength must exceed .618",
        {FULL: "that is for edits of strength 1"},
    ),
    "11.1": Number(
        lambda: _late(3, 4),
        "shares go by squared lengths",
        {9 / 25: "that is the early share"},
    ),
    "11.2": Number(
        _by_heart,
        "take each half of the entities by itself",
        {1 / 4: "that is for stand-ins that disagree everywhere", 1 / 2: "what of the other half?"},
    ),
    "11.3": Number(
        lambda: next(rate for rate in range(1, 20) if _late(1, 1, rate) >= 0.9 - 1e-9),
        "shares go by learning rate times squared length",
        {0.9: "that is the share; which rate gives it?"},
    ),
}

"""_summary: counts and medians of hand-made readings."""

from loratheory.pretrained.check import Reading, summary
from loratheory.pretrained.check._checked import QUESTIONS

FLOOR, SURVIVAL, INTRUDER = "thm:merge-floor", "thm:averaging-survival", "thm:intruder-threshold"


def reading(label, bound, value, outcome, note=""):
    return Reading(label, "layers.0.q", 0, "one", bound, value, outcome, note)


def test_each_theorem_gets_a_line_with_its_counts_and_medians():
    base, floor, survival = summary(
        [
            reading(SURVIVAL, 2.0, 3.0, "not applicable", "needs x; 10 % off"),
            reading(SURVIVAL, -1.0, 3.0, "not applicable", "needs x; 20 % off"),
            reading(SURVIVAL, 4.0, 2.0, "not applicable", "needs x; 30 % off"),
            reading(SURVIVAL, None, 9.0, "not applicable", "needs a much longer hypothesis"),
            reading(FLOOR, 1.0, 5.0, "tight", "at rank 2"),
            reading(FLOOR, 2.0, 6.0, "holds"),
            reading(FLOOR, 9.0, 7.0, "broken"),
            reading(INTRUDER, 4.0, 8.0, "measured", "3 values"),
        ]
    )
    assert (base.question, base.why, base.silent, base.holds) == (
        QUESTIONS["base"].text,
        "3 values",
        0,
        0,
    )
    assert (floor.places, floor.holds, floor.tight, floor.broken) == (3, 2, 1, 1)
    assert (floor.bound, floor.value, floor.agree, floor.why) == (2.0, 6.0, None, "at rank 2")
    assert (survival.silent, survival.bound, survival.value) == (4, None, None)
    assert (survival.agree, survival.why) == (2 / 3, "needs x; 10 % off")


def test_every_theorem_that_is_read_has_a_question():
    import loratheory.theorems as theorems

    known = {theorem.label for theorem in theorems.ALL}
    assert set(QUESTIONS) - known == {"base"}
    assert all(question.text.endswith(")") for question in QUESTIONS.values())

"""_programs: what they leave in ``answer`` is right, in exact fractions, and Python agrees."""

import numpy as np
import pytest
from sums import run

from loratheory.tasks.word_problems import SKILLS, distracted, pool, programs, reordered


@pytest.mark.parametrize("prime", [0, 3, 7, 11, 13])
def test_programs_compute_the_answers(prime):
    rng = np.random.default_rng(prime)
    made = pool(SKILLS, steps=(1, 2), prime=prime).drawn(150, rng=rng)
    made = reordered(distracted(made, 1, rng=rng), rng=rng)
    for program, answer in zip(programs(made), made.answers.tolist(), strict=True):
        assert run(program) == answer
        names = {}
        exec(compile(program, "problem", "exec"), names)
        assert names["answer"] == answer


def test_programs_hold_what_they_need_and_no_more():
    rng = np.random.default_rng(0)
    made = distracted(pool(SKILLS, steps=2).drawn(80, rng=rng), 2, rng=rng)
    for row, program in enumerate(programs(made)):
        lines = [line for line in program.splitlines() if " = " in line]
        assert len(lines) == made.needed[row].sum() + 1
        assert lines[-1].startswith("answer = ")
        skills = made.templates[row].skills
        for skill in ("rate", "percent"):
            assert (f"def {skill}(" in program) == (f" {skill}(" in program) == (skill in skills)


def test_a_program_by_hand():
    made = pool(["rate"], steps=1).drawn(1, rng=np.random.default_rng(0))
    put = {
        "numbers": np.array([[[12, -1], [4, 7]]]),
        "values": np.array([[12, 21]]),
        "names": np.array([[3, 0]]),
    }
    here = type(made)(**{**vars(made), **put, "scenes": np.array([4])})
    head = "def rate(quantity, every, gives):\n    return quantity // every * gives\n\n"
    lines = "yellow_box = 12\nred_box = rate(yellow_box, 4, 7)\nanswer = red_box\n"
    assert programs(here) == [head + lines]
    modular = type(made)(**{**vars(here), "prime": 13, "values": np.array([[12, 8]])})
    assert "d = 12\na = rate(d, 4, 7)\nanswer = a\n" in programs(modular)[0]

"""real._stepwise: steps are right by arithmetic done anew, and lessons hold nothing asked."""

import re

import pytest

from loratheory.experiments.real import _stepwise as module
from loratheory.experiments.real._stepwise import ANEW, SIZES, Stepwise, drawn, held, lines, worked

CHAINS = [("add",), ("subtract",), ("multiply",), ("add", "subtract"), ("subtract", "add", "add")]
DONE = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
SIGN = {"add": "+", "subtract": "-", "multiply": "*"}
FARMS = "Farm"


def numbers(text):
    return [int(word) for word in re.findall(r"\d+", text)]


@pytest.mark.parametrize("skills", CHAINS)
@pytest.mark.parametrize("lesson", [False, True])
@pytest.mark.parametrize("size", ["to 9", "to 20"])
def test_each_step_takes_the_result_before_and_is_right(skills, lesson, size):
    if (skills, size) == (("subtract", "add", "add"), "to 9"):
        return
    barred = held(3)
    told = drawn(skills, 12, 3, lesson=lesson, size=size)
    assert len({one.story for one in told}) == 12
    for one in told:
        assert [step.said.split()[1] for step in one.steps] == [SIGN[skill] for skill in skills]
        known = numbers(one.story)[0]
        seen = [*numbers(one.story)]
        for step in one.steps:
            x, sign, y, equals, z = step.said.split()
            x, y, z = map(int, (x, y, z))
            assert (x, DONE[sign](x, y), equals) == (known, z, "=")
            assert z > 0
            assert barred[x, y] != lesson
            known = z
            seen.append(z)
        least, largest = SIZES[size]
        assert least <= max(seen) <= largest
        assert one.answer == str(known)
        assert (FARMS in one.story) == (not lesson)
        assert one.story.endswith(".")
        assert not re.search(r"\?|how many|Find|What", one.story)


def test_what_is_held_out_is_a_quarter_and_depends_on_the_seed():
    assert 0.15 < held(0).mean() < 0.35
    assert (held(0) != held(1)).any()
    assert (held(0) == held(0)).all()


def test_seeds_and_skills_draw_anew_and_the_same_again():
    first = drawn(("add",), 5, 0, lesson=False)
    assert first == drawn(("add",), 5, 0, lesson=False)
    assert first != drawn(("add",), 5, 1, lesson=False)
    assert first == drawn(("add",), 9, 0, lesson=False)[:5]


def test_wordings_are_those_asked_for():
    anew = drawn(("add",), 8, 0, lesson=False, wordings=ANEW)
    assert all(one.story.startswith("Count the ") and " more " in one.story for one in anew)
    assert not any("Count the" in one.story for one in drawn(("add",), 40, 0, lesson=True))


ONE = Stepwise(
    "Ada has 12 keys. Ben has 1 more key than Ada. Cleo has 3 fewer keys than Ben.",
    (
        module.Step("Ben has", "12 + 1 = 13", "keys."),
        module.Step("Cleo has", "13 - 3 = 10", "keys."),
    ),
)


def test_lessons_are_every_sign_and_digit_of_the_solution_and_the_answer_at_once():
    start = f"{ONE.story} Solution: Ben has "
    second = f"{start}12 + 1 = 13 keys. Cleo has "
    once = f"{ONE.story} Answer: Cleo has "
    wanted = [
        (start, "1"),
        (f"{start}1", "2"),
        (f"{start}12", "+"),
        (f"{start}12 + ", "1"),
        (f"{start}12 + 1", "="),
        (f"{start}12 + 1 = ", "1"),
        (f"{start}12 + 1 = 1", "3"),
        (second, "1"),
        (f"{second}1", "3"),
        (f"{second}13", "-"),
        (f"{second}13 - ", "3"),
        (f"{second}13 - 3", "="),
        (f"{second}13 - 3 = ", "1"),
        (f"{second}13 - 3 = 1", "0"),
        (once, "1"),
        (f"{once}1", "0"),
    ]
    assert lines([ONE]) == wanted
    assert lines([ONE, ONE]) == 2 * wanted


def test_worked_problems_are_whole_lines():
    solution = "Solution: Ben has 12 + 1 = 13 keys. Cleo has 13 - 3 = 10 keys."
    assert worked([ONE, ONE]) == 2 * f"{ONE.story} {solution}\n"
    assert worked([ONE], at_once=True) == f"{ONE.story} Answer: Cleo has 10 keys.\n"
    assert worked([]) == ""


def test_steps_before_may_say_anything():
    assert ONE.until(0, ["nothing", "read"]) == f"{ONE.story} Solution: Ben has "
    assert ONE.until(1, ["1 2", "3"]) == f"{ONE.story} Solution: Ben has 1 2 keys. Cleo has "


def test_too_few_problems_are_an_error():
    with pytest.raises(ValueError, match="of 9 problems to 9 of add, add, add, add, add, add"):
        drawn(["add"] * 6, 9, 0, lesson=False)

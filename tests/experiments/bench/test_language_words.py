"""Word problems for a language model: right by arithmetic done anew, solvers of known errors.

What a model writes is a function of the prompt here.
"""

import re

import numpy as np
import pytest
from worded import Words, small, small_model

from loratheory.adapters import Adapter
from loratheory.experiments.bench import language_words
from loratheory.experiments.bench.language_words import (
    METRICS,
    NUMBERS,
    SHOWN,
    SIGNS,
    SIZES,
    Step,
    Stepwise,
    copied,
    drawn,
    expression,
    first_equation,
    held_out,
    lesson,
    reading_digits,
    result,
    skilled,
    solved,
    sums,
    sums_right,
    value,
    worked,
)
from loratheory.lowrank import gaussian
from loratheory.pretrained import batch, first_tokens

DONE = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}
SIGN = {"add": "+", "subtract": "-", "multiply": "*"}
PAIR = ("add", "subtract")
ONE = Stepwise(
    "Ada has 12 keys. Ben has 1 more key than Ada. Cleo has 3 fewer keys than Ben.",
    (Step("Ben has", "12 + 1 = 13", "keys."), Step("Cleo has", "13 - 3 = 10", "keys.")),
)


@pytest.fixture(scope="module")
def model():
    return small_model(layers=2)


@pytest.fixture(scope="module")
def problems():
    return drawn(PAIR, 12, 0, size="to 20")


@pytest.fixture
def writes(monkeypatch):
    """Makes the model write what a function says to each prompt, and something more."""

    def _writer(answer):
        def _written(_, prompts, count):
            return [f"{answer(p)}{' hens' if count > 3 else ' h'}" for p in prompts]

        monkeypatch.setattr(language_words, "written", _written)

    return _writer


def by_heart(problems, before=""):
    """What to write after every prompt to solve the problems."""
    told = {before + one.at_once: one.answer for one in problems}
    for one in problems:
        told |= {before + one.until(k, one.equations): each for k, each in enumerate(one.equations)}
    return told


@pytest.mark.parametrize(
    "skills", [("add",), ("subtract",), ("multiply",), PAIR, ("subtract", "add", "add")]
)
@pytest.mark.parametrize("training", [False, True])
def test_each_step_takes_the_result_before_and_is_right(skills, training):
    for size in ("to 20",) if len(skills) > 2 else ("to 9", "to 20"):
        found = drawn(skills, 12, 3, training=training, size=size)
        assert len({one.story for one in found}) == 12
        for one in found:
            numbers = [int(word) for word in re.findall(r"\d+", one.story)]
            known = numbers[0]
            for skill, equation in zip(skills, one.equations, strict=True):
                x, sign, y, equals, z = equation.split()
                assert (sign, equals) == (SIGN[skill], "=")
                assert int(x) == known
                known = DONE[sign](int(x), int(y))
                assert int(z) == known > 0
                assert held_out(3)[int(x), int(y)] != training
                numbers.append(known)
            assert SIZES[size][0] <= max(numbers) <= SIZES[size][1]
            assert one.answer == str(known)
            assert ("Farm" in one.story) == (not training)
            assert one.story.endswith(".")
            assert not re.search(r"\?|how many|Find|What", one.story)


def test_seeds_draw_anew_and_the_same_again_and_hold_out_a_quarter():
    first = drawn(("add",), 9, 0)
    assert first[:5] == drawn(("add",), 5, 0) != drawn(("add",), 5, 1)
    assert 0.15 < held_out(0).mean() < 0.35
    assert (held_out(0) != held_out(1)).any()
    new = drawn(("add",), 8, 0, reworded=True)
    assert all(one.story.startswith("Count the ") and " more " in one.story for one in new)
    assert not any("Count the" in one.story for one in drawn(("add",), 40, 0, training=True))
    with pytest.raises(ValueError, match="of 9 problems to 9 of add, add, add, add, add, add"):
        drawn(["add"] * 6, 9, 0)


def test_examples_are_every_sign_and_digit_of_the_solution_and_the_answer_at_once():
    start = f"{ONE.story} Solution: Ben has "
    second = f"{start}12 + 1 = 13 keys. Cleo has "
    ends = {start: "12 + 1 = 13", second: "13 - 3 = 10", f"{ONE.story} Answer: Cleo has ": "10"}
    wanted = []
    for prompt, text in ends.items():
        for k, sign in enumerate(text):
            if sign != " ":  # signs stand between spaces, and digits where they are written
                before = text[:k].rstrip() if not sign.isdigit() else text[:k]
                wanted.append((prompt + before, sign))
    assert ONE.examples == wanted
    assert wanted[:3] == [(start, "1"), (f"{start}1", "2"), (f"{start}12", "+")]


def test_worked_problems_are_whole_lines_and_steps_before_may_be_anything():
    solution = "Solution: Ben has 12 + 1 = 13 keys. Cleo has 13 - 3 = 10 keys."
    assert worked([ONE, ONE]) == 2 * f"{ONE.story} {solution}\n"
    assert worked([ONE], at_once=True) == f"{ONE.story} Answer: Cleo has 10 keys.\n"
    assert worked([]) == ""
    assert ONE.until(1, ["1 2", "3"]) == f"{ONE.story} Solution: Ben has 1 2 keys. Cleo has "


def test_a_number_begins_with_its_digit_and_a_word_still_with_its_space(model):
    class Spaced(Words):
        """The space before a word is a token."""

        def __call__(self, text, **how):
            return super().__call__(text.replace(" ", " _ "), **how)

    spaced = type(model)(model.network, Spaced(), "small")
    [same] = {spaced.tokenizer(f" {word}")["input_ids"][0] for word in ("7", "8", "keys")}
    reading = reading_digits(spaced)
    seven, eight, keys = first_tokens(reading, ["7", "8", "keys"]).tolist()
    assert len({seven, eight, keys}) == 3
    assert (keys, seven) == (same, Words()("7")["input_ids"][0])
    ids = [batch(each, ["Ben has 3 keys"])["input_ids"] for each in (reading, spaced)]
    assert (ids[0] == ids[1]).all()
    assert reading.tokenizer.decode([seven]) == model.tokenizer.decode([seven])


@pytest.mark.parametrize("count", [0, 2])
def test_who_knows_the_solutions_solves_all_with_others_shown_or_not(
    model, problems, writes, count
):
    shown = drawn(PAIR, count, 0, training=True)
    told = by_heart(problems, worked(shown))
    if shown:  # at once other lines come before
        for one in problems:
            told[worked(shown, at_once=True) + one.at_once] = told.pop(worked(shown) + one.at_once)
    writes(told.__getitem__)
    assert solved(model, problems, shown) == dict.fromkeys(METRICS, 1.0)


def test_a_wrong_first_step_is_taken_on_and_is_not_what_given_means(model, problems, writes):
    told, firsts = by_heart(problems), {one.until(0, []) for one in problems}
    writes(lambda prompt: "1 + 1 = 0" if prompt in firsts else told.get(prompt, "0 + 1 = 1"))
    lucky = sum(one.answer == "1" for one in problems) / len(problems)
    found = solved(model, problems)
    assert [*found.items()] == [
        ("steps", lucky), ("expression", 0.0), ("sum", 1.0), ("step 1", 0.0), ("given", 1.0),
        ("at once", 1.0),
    ]  # fmt: skip


def test_reading_and_computing_are_told_apart(model, writes):
    single = drawn(("subtract",), 8, 0)
    told = by_heart(single)
    writes(lambda prompt: re.sub(r"\d+$", lambda m: str(int(m[0]) + 1), told[prompt]))
    assert solved(model, single) == dict.fromkeys(METRICS, 0.0) | {"expression": 1.0}


def test_parts_of_a_sentence():
    sums = {"3 + 4 = 1": "7", "2 - 17 = 1": "-15", "4 * 5 = 1": "20"}
    assert {each: value(each) for each in sums} == sums
    assert not any(value(each).isdigit() for each in ("some + 4 = 1", "3 = 4 = 1", ""))
    assert expression("3 + 4 = 1") == expression("4 + 3 = 2")
    assert expression("3 * 4 = 1") == expression("4 * 3 = 2")
    assert expression("3 - 4 = 1") != expression("4 - 3 = 1")
    assert expression("3 + 4 = 1") != expression("3 * 4 = 1")
    assert expression("three hens") == ()
    assert first_equation("12 + 3 = 15 hens.\nThe") == "12 + 3 = 15"
    assert first_equation("12 more hens.\nThe") == "12 more hens. The"
    assert [result(each) for each in ("3 + 4 = 7", "")] == ["7", ""]


def test_copying_takes_the_best_place():
    def _one(answer, *told):
        story = f"A has {told[0]} keys. B has {told[1]} more, and {told[2]} someone."
        return Stepwise(story, (Step("B has", f"1 + 1 = {answer}", "keys."),))

    asked = [_one("3", "1", "3", "2"), _one("3", "3", "3", "2"), _one("15", "1", "2", "15")]
    assert copied(asked) == pytest.approx(2 / 3)


def test_each_adapter_has_its_own_lesson_and_seed(monkeypatch, tmp_path, model):
    calls, module = {}, "model.layers.0.mlp.down_proj"
    some = Adapter.of({module: gaussian(np.random.default_rng(0), 16, 16, 1)})

    def _trained(_, examples, *, seed, training):
        calls[seed] = (examples, (training.steps, training.batch, training.enough))
        return some

    small(monkeypatch, tmp_path)
    monkeypatch.setattr(language_words, "trained_once", _trained)

    def _lines(skills, rows):
        halves = [drawn(skills, rows // 2, 3, training=True, size=s) for s in ("to 9", "to 20")]
        assert lesson(skills, rows, 3)[::2] == halves[0]
        assert lesson(skills, rows, 3)[1::2] == halves[1]
        return [line for one in lesson(skills, rows, 3) for line in one.examples]

    wanted = {
        "add alone": _lines(["add"], 8),
        "subtract alone": _lines(["subtract"], 8),
        "joint": _lines(["add"], 4) + _lines(["subtract"], 4),
        "composed": _lines(PAIR, 8),
    }
    for full in (True, False):
        calls.clear()
        made = skilled(model, PAIR, 8, 3, steps=2, full=full)
        assert [*made] == [*wanted][: 4 if full else 2]
        assert [*calls] == [(3, 7, k) for k in range(len(made))]
        for name, (examples, training) in zip(made, calls.values(), strict=True):
            assert (examples, training) == (wanted[name], (2, 8, 0.0)), name


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("size", SIZES)
def test_sums_are_right_and_of_their_size(sign, size):
    found = sums(sign, size, 50, rng=np.random.default_rng(0))
    assert len(set(found)) == len(found) >= 20
    least, largest = SIZES[size]
    for x, y, z in found:
        assert z == DONE[SIGNS[sign]](x, y)
        assert min(x, y, z) > 0
        assert least <= max(x, y, z) <= largest
    if sign == "minus" and least:  # the first number may be the only large one
        assert any(z < least for _, _, z in found)


def test_every_kind_of_sum_is_asked_and_who_can_reckon_does_all(monkeypatch, model):
    asked, more = [], [""]

    def _written(_, prompts, count):
        asked.append((prompts, count))
        told = []
        for prompt in prompts:
            x, sign, y, equals = prompt.rpartition("\n")[2].split(" ")
            assert equals == "="
            words = x in NUMBERS
            x, y = (NUMBERS.index(n) if words else int(n) for n in (x, y))
            z = DONE[SIGNS.get(sign, sign)](x, y)
            told.append(f" {NUMBERS[z]}{more[0]}" if words else f" {z}{more[0]}"[:count])
        return told

    monkeypatch.setattr(language_words, "written", _written)
    found = [*sums_right(model, 5, 7)]
    assert len({each[:3] for each in found}) == len(found) == 2 * 3 * (4 + 2)
    assert {share for *_, share in found} == {1.0}
    for (rule, name, size, _), (prompts, count) in zip(found, asked, strict=True):
        sign, _, notation = name.split()
        words, shown = notation == "words", rule == "base, shown"
        assert rule in ("base", "base, shown")
        assert not words or SIZES[size][1] < len(NUMBERS)
        assert count == (1 if words else 5)
        assert len(set(prompts)) == len(prompts) == 5
        lines = [line for prompt in prompts for line in prompt.split("\n")]
        assert all(f" {sign if words else SIGNS[sign]} " in line for line in lines)
        assert {prompt.count("\n") for prompt in prompts} == {SHOWN if shown else 0}
        last = [prompt.rpartition("\n")[2] for prompt in prompts]
        before = {line for prompt in prompts for line in prompt.split("\n")[:-1]}
        assert not any(line.startswith(one) for line in before for one in last)
        triples = sums(sign, size, 5 + SHOWN, rng=np.random.default_rng([7, 8]))
        assert last[0].split()[0] == (NUMBERS if words else [*map(str, range(1000))])[triples[3][0]]
    for more[0], share in (("teen", 0.0), ("\n1", 1.0)):
        assert {each[3] for each in sums_right(model, 2, 7) if "words" in each[1]} == {share}

"""real._sums: sums are right and of their size; a model that is told them does them all."""

import numpy as np
import pytest
from worded import small_model

from loratheory.experiments.real import _sums as module
from loratheory.experiments.real._stepwise import SIZES
from loratheory.experiments.real._sums import NUMBERS, OPERATIONS, SHOWN, every, right, sums


@pytest.mark.parametrize("sign", OPERATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_sums_are_right_and_of_their_size(sign, size):
    drawn = sums(sign, size, 50, rng=np.random.default_rng(0))
    assert len(set(drawn)) == len(drawn) >= 20
    least, largest = SIZES[size]
    for x, y, z in drawn:
        assert z == {"plus": x + y, "minus": x - y, "times": x * y}[sign]
        assert min(x, y, z) > 0
        assert least <= max(x, y, z) <= largest
    if sign == "minus" and least:  # the first number may be the only large one
        assert any(z < least for _, __, z in drawn)


@pytest.fixture
def told(monkeypatch):
    """What a model was asked that has the sums by heart, and how it is made to err."""
    asked = []

    def _says(_, prompts, count):
        asked.extend(prompts)
        said = []
        for prompt in prompts:
            x, sign, y, equals = prompt.rpartition("\n")[2].split(" ")
            assert equals == "="
            words = x in NUMBERS
            x, y = (NUMBERS.index(n) if words else int(n) for n in (x, y))
            z = {"+": x + y, "-": x - y, "*": x * y, "plus": x + y, "minus": x - y, "times": x * y}
            end = f" {NUMBERS[z[sign]] if words else z[sign]}{_says.more}"
            said.append(end if words else end[:count])
        return said

    _says.more = ""
    monkeypatch.setattr(module, "written", _says)
    return asked, _says


@pytest.mark.parametrize("sign", OPERATIONS)
@pytest.mark.parametrize(("size", "words"), [("to 9", True), ("to 20", True), ("to 999", False)])
def test_who_can_reckon_has_full_marks(told, model, sign, size, words):
    asked, says = told
    for shown in (False, True):
        asked.clear()
        how = {"words": words, "rng": np.random.default_rng(0)}
        assert right(model, sign, size, 12, shown=shown, **how) == 1.0
        assert len(asked) == len(set(asked)) == 12
        lines = {prompt.count("\n") for prompt in asked}
        assert lines == ({SHOWN} if shown else {0})
        alone = {prompt.rpartition("\n")[2] for prompt in asked}
        before = {line for prompt in asked for line in prompt.split("\n")[:-1]}
        assert all(f" {sign if words else OPERATIONS[sign][0]} " in one for one in alone | before)
        assert not any(line.startswith(one) for line in before for one in alone)
    says.more = "teen" if words else "0"
    how["rng"] = np.random.default_rng(0)
    assert right(model, sign, size, 12, shown=False, **how) == 0.0
    says.more = "\n1"
    how["rng"] = np.random.default_rng(0)
    assert right(model, sign, size, 12, shown=False, **how) == 1.0


@pytest.fixture
def model():
    return small_model()


def test_every_kind_is_asked_once_shown_or_not(monkeypatch, model):
    calls = []

    def _right(_, sign, size, rows, *, words, shown, rng):
        calls.append((sign, size, words, shown, rows, rng.random()))
        return len(calls) / 100

    monkeypatch.setattr(module, "right", _right)
    found = list(every(model, 5, 7))
    assert len(set(calls)) == len(calls) == len(found) == 2 * 3 * (4 + 2)
    luck = np.random.default_rng([7, 8]).random()
    for k, ((way, name, size, share), call) in enumerate(zip(found, calls, strict=True)):
        sign, words = call[0], call[2]
        assert name == f"{sign} in {'words' if words else 'digits'}"
        assert (size, way == "base, shown") == (call[1], call[3])
        assert (share, way[:4]) == ((k + 1) / 100, "base")
        assert call[4:] == (5, luck)
        assert not words or SIZES[size][1] < len(NUMBERS)

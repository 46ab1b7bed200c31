"""_tokens: rows read back from their signs alone are solved, line by line, to what they want."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from sums import worked

from loratheory.tasks.word_problems import (
    Alphabet,
    ImpossibleError,
    answered,
    distracted,
    pool,
    problems,
    reordered,
    stepwise,
    templates,
)

FEW = ("add", "compare", "rate", "divide")


def some(seed, prime, rows=15):
    rng = np.random.default_rng(seed)
    made = pool(FEW, steps=(1, 2, 3), prime=prime).drawn(rows, rng=rng)
    return reordered(distracted(made, 1, rng=rng), rng=rng)


@settings(max_examples=12)
@given(seeds, st.sampled_from([3, 7, 13]))
def test_rows_say_what_is_right(seed, prime):
    here, code = some(seed, prime), Alphabet(prime)
    plain, long = answered(code, here), stepwise(code, here)
    for row in range(len(here)):
        asked = int(long.asked[row])
        answer, lines = worked(code.written(long.tokens[row][: asked + 1]), prime)
        assert answer == here.answers[row]
        assert code.written(long.targets[row]).split() == lines
        assert code.written(long.tokens[row][asked + 1 :]).split() == lines[:-1]
        assert (long.targets[row, :asked] == -1).all()
        assert long.answer[row] == plain.answer[row] == code.number(answer)
        told = code.written(long.tokens[row][: asked + 1]).replace("?:", "?")
        assert code.written(plain.tokens[row]) == told
        assert plain.asked[row] == asked == plain.position[row]
        assert (plain.targets[row] >= 0).sum() == 1


def test_a_row_by_hand():
    (template,) = [
        t for t in templates(["add", "rate"], 2) if str(t) == "b = rate(a); c = add(a, b)"
    ]
    here = problems([template], 1, rng=np.random.default_rng(0), prime=7)
    numbers = np.array([[[3, -1], [2, 5], [-1, -1]]])
    values = np.array([[3, 3 * 4 % 7 * 5 % 7, 0]])  # 1/2 is 4
    values[0, 2] = (3 + values[0, 1]) % 7
    names, words = np.array([[0, 1, 2]]), np.array([[3, 0, 2]])
    made = type(here)(
        **{**vars(here), "numbers": numbers, "values": values, "names": names, "wordings": words}
    )
    rows = stepwise(Alphabet(7), made)
    question = "A 3 B rate/0 A 2 5 add/2 A B C ?: C"
    assert Alphabet(7).written(rows.tokens[0]) == f"{question} B rate 3 2 5 4 C add 3 4"
    assert Alphabet(7).written(rows.targets[0]) == "B rate 3 2 5 4 C add 3 4 0"
    assert rows.asked.tolist() == [12]
    assert Alphabet(7).written(answered(Alphabet(7), made).tokens[0]) == question.replace(":", "")


def test_three_steps_take_at_most_forty_tokens():
    every = templates(("rate", "add", "compare"), 3)
    here = problems(every, len(every), rng=np.random.default_rng(0), prime=3)
    rows = stepwise(Alphabet(3), here)
    assert rows.tokens.shape[1] + 1 <= 40
    assert (rows.tokens[:, -1] > 0).any()


def test_padding_is_at_the_end_alone():
    rows = stepwise(Alphabet(7), some(1, 7))
    length = (rows.tokens > 0).sum(axis=1)
    assert ((np.arange(rows.tokens.shape[1]) < length[:, None]) == (rows.tokens > 0)).all()
    assert (rows.position == length - 1).all()
    assert (rows.kind, answered(Alphabet(7), some(1, 7)).kind) == ("stepwise", "answer")


def test_problems_of_other_numbers_have_no_tokens():
    for form in (answered, stepwise):
        with pytest.raises(ImpossibleError, match="problems modulo 7 have no tokens among those"):
            form(Alphabet(5), some(0, 7, 2))
        whole = pool(["add"], steps=1).drawn(2, rng=np.random.default_rng(0))
        with pytest.raises(ImpossibleError, match="problems in whole numbers have no tokens"):
            form(Alphabet(5), whole)

"""Every token means one thing; rows read back from their signs alone are solved line by line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import seeds
from sums import worked

from loratheory.tasks.word_problems import (
    SKILLS,
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


def test_every_token_means_one_thing():
    code = Alphabet(7, canaries=2)
    meant = [0, 1, 2]
    meant += [3, 4]  # canaries
    meant += [code.word(skill, k) for skill in range(1, 8) for k in range(4)]
    meant += [code.sign(skill) for skill in range(1, 8)]
    meant += [code.number(k) for k in range(7)]
    meant += [code.name(k) for k in range(12)]
    assert meant == [*range(code.vocabulary)]
    assert [*code.numbers] == [code.number(k) for k in range(7)]
    assert code.number(np.arange(3)).tolist() == [code.number(k) for k in range(3)]


def test_tokens_are_spelt():
    code = Alphabet(5, canaries=2)
    row = [code.name(0), code.number(4), code.name(11), code.word(6, 2), 0, -1]
    row += [code.sign(7), 2, 1, 4]
    assert code.written(np.array(row)) == "A 4 L rate/2 percent ?: ? canary-1"
    every = code.written(np.arange(code.vocabulary)).split()
    assert len(set(every)) == code.vocabulary - 1
    assert every[-17 - len(SKILLS) : -17] == [*SKILLS]


def test_what_has_no_tokens_is_refused():
    with pytest.raises(ImpossibleError, match="whole numbers have no tokens of their own"):
        Alphabet(0)
    with pytest.raises(ImpossibleError, match="modulo 6"):
        Alphabet(6)
    with pytest.raises(ImpossibleError, match="canaries is -1"):
        Alphabet(7, canaries=-1)
    for form in (answered, stepwise):
        with pytest.raises(ImpossibleError, match="problems modulo 7 have no tokens among those"):
            form(Alphabet(5), some(0, 7, 2))
        whole = pool(["add"], steps=1).drawn(2, rng=np.random.default_rng(0))
        with pytest.raises(ImpossibleError, match="problems in whole numbers have no tokens"):
            form(Alphabet(5), whole)


FEW = ("add", "compare", "rate", "divide")


def some(seed, prime, rows=15):
    rng = np.random.default_rng(seed)
    made = pool(FEW, steps=(1, 2, 3), prime=prime).drawn(rows, rng=rng)
    return reordered(distracted(made, 1, rng=rng), rng=rng)


@settings(max_examples=6)
@given(seeds, st.sampled_from([3, 7, 13]))
def test_rows_say_what_is_right(seed, prime):
    here, code = some(seed, prime), Alphabet(prime)
    plain, long = answered(code, here), stepwise(code, here)
    assert (long.kind, plain.kind) == ("stepwise", "answer")  # names of kept weights
    length = (long.tokens > 0).sum(axis=1)
    assert ((np.arange(long.tokens.shape[1]) < length[:, None]) == (long.tokens > 0)).all()
    assert (long.position == length - 1).all()
    for row in range(len(here)):
        asked = int(long.asked[row])
        answer, lines = worked(code.written(long.tokens[row][: asked + 1]), prime)
        assert answer == here.answers[row]
        assert code.written(long.targets[row]).split() == lines
        assert code.written(long.tokens[row][asked + 1 :]).split() == lines[:-1]
        assert (long.targets[row, :asked] == -1).all()
        assert long.answer[row] == plain.answer[row] == code.number(answer)
        question = code.written(long.tokens[row][: asked + 1]).replace("?:", "?")
        assert code.written(plain.tokens[row]) == question
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

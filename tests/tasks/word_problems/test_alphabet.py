"""_alphabet: every token means one thing, and all of them are used."""

import numpy as np
import pytest

from loratheory.tasks.two_hop import Prompts
from loratheory.tasks.word_problems import SKILLS, Alphabet, ImpossibleError


def test_every_token_means_one_thing():
    code = Alphabet(7, canaries=2)
    meant = [0, 1, 2]
    meant += [code.canary(k) for k in range(2)]
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
    row += [code.sign(7), 2, 1, code.canary(1)]
    assert code.written(np.array(row)) == "A 4 L rate/2 percent ?: ? canary-1"
    every = code.written(np.arange(code.vocabulary)).split()
    assert len(set(every)) == code.vocabulary - 1
    assert every[-17 - len(SKILLS) : -17] == [*SKILLS]


def test_a_canary_has_a_row_of_its_own_without_loss():
    code = Alphabet(5)
    rows = Prompts(np.array([[20, 21]]), np.array([[-1, 22]]), np.array([1]), "answer")
    made = code.marked(rows, 3)
    assert made.tokens.tolist() == [[20, 21], [code.canary(3), 0]]
    assert made.targets.tolist() == [[-1, 22], [-1, -1]]
    assert made.asked.tolist() == [1, 0]


def test_what_has_no_tokens_is_refused():
    with pytest.raises(ImpossibleError, match="whole numbers have no tokens of their own"):
        Alphabet(0)
    with pytest.raises(ImpossibleError, match="modulo 6"):
        Alphabet(6)
    with pytest.raises(ImpossibleError, match="canaries is -1"):
        Alphabet(7, canaries=-1)
    with pytest.raises(ImpossibleError, match="ask for a number from 0 to 15"):
        Alphabet(7).canary(16)

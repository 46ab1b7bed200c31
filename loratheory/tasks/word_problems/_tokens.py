"""Problems as rows of tokens, to be answered at once or step by step.

A given quantity is told by its name and number, a step by its name, the word of its skill and what
it takes, names or numbers; in the last two wordings the name comes last. Then comes what is asked.
A line of the solution has the name, the sign of the skill, the operands as numbers, the result::

    A 3   B rate/0 A 2 5   C add/1 A B   ?: C   B rate 3 2 5 4   C add 3 4 0

Three steps take at most 40 tokens if nothing distracts.
"""

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop import PAD, Prompts
from loratheory.tasks.word_problems._alphabet import ASK, SOLVE, Alphabet
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sampling import WORDINGS
from loratheory.tasks.word_problems._skills import GIVEN

Blocks = Int64[np.ndarray, "n q t"]


def answered(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems that want their answers at once.

    Parameters
    ----------
    code : Alphabet
        Modulo the same prime.
    problems : Problems
        Modulo a prime.

    Returns
    -------
    Prompts
        The answer is the only target, where the question ends.
    """
    question, asked = _question(code, problems, ASK)
    targets = np.where(np.arange(question.shape[1]) == asked[:, None], _answer(code, problems), -1)
    return Prompts(question, targets, asked, "answer")


def stepwise(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems that want their solutions, a line for each step.

    Parameters
    ----------
    code : Alphabet
        Modulo the same prime.
    problems : Problems
        Modulo a prime.

    Returns
    -------
    Prompts
        From the end of the question on each next token is a target; the last is the answer. Lines
        come in the order of `Problems.solution`, which only the question determines.
    """
    question, asked = _question(code, problems, SOLVE)
    lines = _lines(code, problems).reshape(len(problems), -1)
    whole = _compact(np.concatenate([question, lines], axis=1))
    places = np.arange(whole.shape[1])
    length = (whole != PAD).sum(axis=1)[:, None]
    after = np.roll(whole, -1, axis=1)
    targets = np.where((places >= asked[:, None]) & (places < length - 1), after, -1)
    tokens = np.where(places < length - 1, whole, PAD)
    return Prompts(tokens[:, :-1], targets[:, :-1], asked, "stepwise")


def _answer(code: Alphabet, problems: Problems) -> Int64[np.ndarray, "n 1"]:
    if code.prime != problems.prime:
        kind = f"modulo {problems.prime}" if problems.prime else "in whole numbers"
        fact = f"problems {kind} have no tokens among those modulo {code.prime}"
        raise impossible(fact, "take the alphabet of their prime")
    return code.number(problems.answers)[:, None]


def _question(
    code: Alphabet, problems: Problems, ask: int
) -> tuple[Int64[np.ndarray, "n t"], Int64[np.ndarray, " n"]]:
    """All that is told and what is asked, and where that ends."""
    _answer(code, problems)
    told = np.take_along_axis(_statements(code, problems), problems.order[:, :, None], axis=1)
    rows = np.arange(len(problems))
    name = code.name(problems.names[rows, problems.asked])
    asking = np.stack([np.full_like(name, ask), name], axis=1)
    row = _compact(np.concatenate([told.reshape(len(problems), -1), asking], axis=1))
    return row, (row != PAD).sum(axis=1) - 1


def _statements(code: Alphabet, problems: Problems) -> Blocks:
    name, given = code.name(problems.names), problems.skills == GIVEN
    number = _where(problems.numbers >= 0, code.number(problems.numbers))
    rows = np.arange(len(problems))[:, None, None]
    inputs = _where(problems.inputs >= 0, code.name(problems.names[rows, problems.inputs]))
    word = np.where(given, PAD, code.word(problems.skills, problems.wordings))
    takes = [word, *np.moveaxis(inputs, 2, 0), *np.moveaxis(number, 2, 0)]
    first = given | (problems.wordings < WORDINGS // 2)
    block = np.stack([_where(first, name), *takes, _where(~first, name)], axis=2)
    return _where(problems.told[:, :, None], block)


def _lines(code: Alphabet, problems: Problems) -> Blocks:
    """A line for each step of the solution."""
    step, rows = problems.solution, np.arange(len(problems))[:, None]
    value = code.number(problems.values)
    inputs = problems.inputs[rows, step]
    number = problems.numbers[rows, step]
    takes = [
        *np.moveaxis(_where(inputs >= 0, value[rows[..., None], inputs]), 2, 0),
        *np.moveaxis(_where(number >= 0, code.number(number)), 2, 0),
    ]
    head = [code.name(problems.names[rows, step]), code.sign(problems.skills[rows, step])]
    block = np.stack([*head, *takes, value[rows, step]], axis=2)
    return _where((step >= 0)[:, :, None], block)


def _where(
    here: Bool[np.ndarray, "..."], tokens: Int64[np.ndarray, "..."]
) -> Int64[np.ndarray, "..."]:
    return np.where(here, tokens, PAD)


def _compact(rows: Int64[np.ndarray, "n t"]) -> Int64[np.ndarray, "n u"]:
    """The rows without padding but at their ends, no longer than the longest needs."""
    moved = np.take_along_axis(rows, np.argsort(rows == PAD, axis=1, kind="stable"), axis=1)
    return moved[:, : int((moved != PAD).sum(axis=1).max(initial=1))]

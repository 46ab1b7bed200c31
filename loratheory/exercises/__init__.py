"""Exercises of the course, the function that judges answers to them in words, and sliders.

A notebook calls ``judge("02.1", mine)``, where `mine` is the reader's answer or a function that
the reader wrote. Right answers and hints are in this package and not in the notebook's cells.
``explore(function, strength=FloatSlider(2.0))`` shows what the function prints and returns for the
slider's value.
"""

import tomllib
from functools import partial
from importlib.resources import files
from typing import Any

from loratheory.exercises._answers import (
    Exercise,
    Judgement,
    UnansweredError,
    WrongError,
    check_value,
)
from loratheory.exercises._code import CODE
from loratheory.exercises._explore import explore as explore
from loratheory.theorems import AssumptionError

# All exercises by number of the notebook and of the exercise in it, such as ``"02.1"``.
EXERCISES: dict[str, Exercise] = dict(CODE)
_NUMBERS = (files("loratheory.exercises") / "numbers.toml").read_text(encoding="utf-8")
for _name, _row in tomllib.loads(_NUMBERS).items():
    EXERCISES[_name] = partial(check_value, _row)
EXERCISES = dict(sorted(EXERCISES.items()))  # by notebook, then in the order that it asks them


def judge(number: str, mine: Any) -> Judgement:
    """Judge an answer: return whether it is right and, if not, why.

    Parameters
    ----------
    number : str
        The exercise, a key of `EXERCISES`.
    mine : Any
        The answer: a number, a truth value, or the function that the exercise asks for. None, or a
        function that returns None, counts as not answered.

    Returns
    -------
    Judgement
        "not answered yet", "correct" and what was reached, or "not yet, because …". Errors that a
        reader's function raises are reported in this way, too.

    Raises
    ------
    KeyError
        If there is no such exercise.
    """
    if number not in EXERCISES:
        message = f"there is no exercise {number!r}: the first is {min(EXERCISES)!r}"
        raise KeyError(message)
    try:
        if mine is None:
            raise UnansweredError
        reached = EXERCISES[number](mine)
    except UnansweredError:
        return Judgement("not answered yet")
    except (WrongError, AssumptionError) as reason:
        return Judgement(f"not yet, because {reason}")
    # a reader's function may fail in any way
    except Exception as error:
        return Judgement(f"not yet, because your code stopped with {type(error).__name__}: {error}")
    return Judgement("correct: " + reached if reached else "correct")

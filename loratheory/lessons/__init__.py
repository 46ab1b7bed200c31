"""Exercises of the course and their judge: what the notebooks ask, graded in words.

A notebook asks ``judged("02.1", mine)``, where `mine` is an answer or a function that the reader
wrote; wanted values and hints are here and not in the notebook's cells.
"""

from typing import Any

from loratheory.lessons._answers import EXERCISES as ANSWERS
from loratheory.lessons._builds import EXERCISES as BUILDS
from loratheory.lessons._judging import Exercise, Judgement, UnansweredError, WrongError
from loratheory.theorems import AssumptionError

EXERCISES: dict[str, Exercise] = dict(sorted({**ANSWERS, **BUILDS}.items()))
"""By number of the notebook and of the exercise in it, such as ``"02.1"``."""


def judged(number: str, mine: Any) -> Judgement:
    """Say of an answer whether it is right, and why not.

    Parameters
    ----------
    number : str
        Which exercise: one of `EXERCISES`.
    mine : Any
        The answer: a number, a truth value, or the function that the exercise asks for. None, or a
        function that returns None, is an exercise not yet done.

    Returns
    -------
    Judgement
        "not answered yet", "correct" and what was reached, or "not yet, because …". Whatever goes
        wrong in a reader's function is said in words.

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
    except Exception as error:  # a reader's function may fail in any way
        return Judgement(f"not yet, because your code stopped with {type(error).__name__}: {error}")
    return Judgement("correct: " + reached if reached else "correct")

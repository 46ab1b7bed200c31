"""Problems in English, with the steps of their solutions."""

from typing import NamedTuple

from loratheory.tasks._error import impossible
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._sentences import (
    GIVEN,
    PARTS,
    QUESTIONS,
    SCENES,
    STEPS,
    TIMES,
    Scene,
)
from loratheory.tasks.word_problems._skills import SKILLS


class Story(NamedTuple):
    """A problem in words.

    Attributes
    ----------
    problem : str
        What is told, and the question.
    solution : str
        A sentence for each step, and one for the answer.
    answer : str
        The number.
    """

    problem: str
    solution: str
    answer: str


def stories(problems: Problems) -> list[Story]:
    """Return problems in words.

    Parameters
    ----------
    problems : Problems
        In whole numbers.

    Returns
    -------
    list of Story
        One a problem. Each quantity has a sentence, in the order in which they are told.

    Raises
    ------
    ImpossibleError
        If numbers are counted modulo a prime.
    """
    if problems.prime:
        fact = f"nobody counts modulo {problems.prime} in English"
        raise impossible(fact, "draw problems in whole numbers, or take their tokens or programs")
    solution = problems.solution
    return [_story(problems, row, solution[row].tolist()) for row in range(len(problems))]


def _story(problems: Problems, row: int, solution: list[int]) -> Story:
    scene = SCENES[problems.scenes[row]]
    told = [k for k in problems.order[row].tolist() if problems.skills[row, k] >= 0]
    asked = int(problems.asked[row])
    said = [_sentence(problems, scene, row, k) for k in told]
    question = QUESTIONS[problems.wordings[row, asked]]
    asking = question.format_map(_words(problems, scene, row, asked))
    steps = [_step(problems, scene, row, k) for k in solution if k >= 0]
    answer = str(problems.answers[row])
    problem = " ".join(_capital(each) for each in (*said, asking))
    told_steps = " ".join(_capital(each) for each in (*steps, f"The answer is {answer}."))
    return Story(problem, told_steps, answer)


def _sentence(problems: Problems, scene: Scene, row: int, k: int) -> str:
    skill, wording = int(problems.skills[row, k]), int(problems.wordings[row, k])
    takes = int((problems.inputs[row, k] >= 0).sum())
    ways = STEPS[SKILLS[skill - 1], takes] if skill else GIVEN
    return ways[wording].format_map(_words(problems, scene, row, k))


def _words(problems: Problems, scene: Scene, row: int, k: int) -> dict[str, object]:
    """What can stand in a sentence about a quantity."""
    n, m = problems.numbers[row, k].tolist()
    owner = [scene.owners[name] for name in problems.names[row].tolist()]
    inputs = [owner[j] for j in problems.inputs[row, k].tolist() if j >= 0]
    return {
        "X": owner[k],
        **dict(zip("AB", inputs, strict=False)),
        "has": scene.has,
        "have": scene.have,
        "t": scene.thing,
        "ts": scene.things,
        "n": n,
        "m": m,
        "tn": scene.counted(n),
        "tm": scene.counted(m),
        "times": TIMES.get(n),
        "part": PARTS.get(n),
        "minutes": "minute" if m == 1 else "minutes",
    }


def _step(problems: Problems, scene: Scene, row: int, k: int) -> str:
    """What is computed, with its numbers."""
    skill = SKILLS[problems.skills[row, k] - 1]
    held = [int(problems.values[row, j]) for j in problems.inputs[row, k] if j >= 0]
    taken = held + [n for n in problems.numbers[row, k].tolist() if n >= 0]
    x, y = taken[:2]
    written = {
        "add": f"{x} + {y}",
        "subtract": f"{x} − {y}",
        "multiply": f"{x} × {y}",
        "divide": f"{x} ÷ {y}",
        "compare": f"{max(x, y)} − {min(x, y)}",
        "rate": f"{x} ÷ {y} × {taken[-1]}",
        "percent": f"{x} × {y} ÷ 100",
    }[skill]
    value = int(problems.values[row, k])
    owner = scene.owners[problems.names[row, k]]
    return f"{owner} {scene.has} {written} = {value} {scene.counted(value)}."


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]

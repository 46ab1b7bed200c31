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
    WRITTEN,
    Scene,
)
from loratheory.tasks.word_problems._skills import SKILLS, code

_COMPARE = code("compare")


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
    columns = (problems.order, problems.solution, problems.names, problems.skills)
    more = (problems.inputs, problems.numbers, problems.values, problems.wordings)
    rows = zip(*(column.tolist() for column in (*columns, *more)), strict=True)
    three = (problems.scenes, problems.asked, problems.asking)
    ends = zip(*(column.tolist() for column in three), strict=True)
    return [
        _story(SCENES[scene], asked, asking, *row)
        for row, (scene, asked, asking) in zip(rows, ends, strict=True)
    ]


def _story(
    scene: Scene,
    asked: int,
    asking: int,
    order: list[int],
    solution: list[int],
    names: list[int],
    skills: list[int],
    inputs: list[list[int]],
    numbers: list[list[int]],
    values: list[int],
    wordings: list[int],
) -> Story:
    said, steps = [], []
    words: dict[str, object] = {
        "has": scene.has, "have": scene.have, "t": scene.thing, "ts": scene.things,
    }  # fmt: skip
    owner = [scene.owners[name] for name in names]
    for k in order:
        if skills[k] < 0:
            continue
        made_of = [owner[j] for j in inputs[k] if j >= 0]
        ways = STEPS[SKILLS[skills[k] - 1], len(made_of)] if skills[k] else GIVEN
        n, m = numbers[k]
        words |= {"X": owner[k], **dict(zip("AB", made_of, strict=False))}
        words |= {"n": n, "tn": scene.things if n != 1 else scene.thing, "times": TIMES.get(n)}
        words |= {"m": m, "tm": scene.things if m != 1 else scene.thing, "part": PARTS.get(n)}
        words["minutes"] = "minutes" if m != 1 else "minute"
        said.append(ways[wordings[k]].format_map(words))
    for k in solution:
        if k < 0:
            break
        taken = [values[j] for j in inputs[k] if j >= 0] + [n for n in numbers[k] if n >= 0]
        taken = taken if skills[k] != _COMPARE else sorted(taken, reverse=True)
        written = WRITTEN[SKILLS[skills[k] - 1]].format(*taken)
        thing = scene.things if values[k] != 1 else scene.thing
        steps.append(f"{owner[k]} {scene.has} {written} = {values[k]} {thing}.")
    words["X"] = owner[asked]
    said.append(QUESTIONS[asking].format_map(words))
    steps.append(f"The answer is {values[asked]}.")
    problem, solved = (" ".join(s[:1].upper() + s[1:] for s in part) for part in (said, steps))
    return Story(problem, solved, str(values[asked]))

"""Word problems with small numbers, and their solutions as lessons, one token after another."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.experiments.real._facts import Items
from loratheory.shapes import Bool
from loratheory.tasks.word_problems import SKILLS, Problems, Story, Template, problems, stories

SIZES = {"to 9": (0, 9), "to 20": (10, 20), "to 99": (21, 99), "to 999": (100, 999)}
"""The least and the largest that the largest number may be; problems have one of the first two."""
LARGEST = 20
TAUGHT: tuple[int, ...] = (0, 2)
ANEW: tuple[int, ...] = (3,)
"""Wordings that adapters read, and one that they do not."""
SCENES = {True: range(4), False: range(8, 12)}
"""Who has what: in lessons persons, in questions farms."""
SIGNS = {"−": "-", "×": "*"}
"""As a keyboard has them."""
_STEP = re.compile(r"(.+) (\d+ [-+*] \d+ = \d+) (.+)")
_DRAWN, _ROUNDS = 4096, 200


@dataclass(frozen=True)
class Step:
    """A sentence of a solution: ``Ben has``, ``3 + 4 = 7``, ``marbles.``."""

    start: str
    said: str
    end: str


@dataclass(frozen=True)
class Stepwise:
    """A problem and its solution.

    Attributes
    ----------
    story : str
        What is told, without the question.
    steps : tuple of Step
        Of the solution.
    """

    story: str
    steps: tuple[Step, ...]

    @property
    def said(self) -> list[str]:
        """What the right solution says in each step."""
        return [step.said for step in self.steps]

    @property
    def answer(self) -> str:
        """The last number."""
        return self.said[-1].split()[-1]

    @property
    def at_once(self) -> str:
        """What asks for the answer without steps."""
        return f"{self.story} Answer: {self.steps[-1].start} "

    def until(self, step: int, said: Sequence[str]) -> str:
        """What asks for a step, where those before it say this; what is said behind is not read."""
        before = zip(self.steps[:step], said[:step], strict=True)
        done = [f"{sentence.start} {words} {sentence.end}" for sentence, words in before]
        return " ".join([self.story, "Solution:", *done, self.steps[step].start, ""])


def held(seed: int) -> Bool[np.ndarray, "n n"]:
    """Return which pairs of a quantity and a number no lesson has: a quarter of them."""
    return np.random.default_rng([seed, 5]).random((LARGEST + 1, LARGEST + 1)) < 0.25


def drawn(
    skills: Sequence[str],
    rows: int,
    seed: int,
    *,
    lesson: bool,
    size: str = "to 9",
    wordings: Sequence[int] = TAUGHT,
) -> list[Stepwise]:
    """Return problems in which each step takes the result of the one before.

    Parameters
    ----------
    skills : sequence of str
        Of the steps in turn: ``add``, ``subtract`` or ``multiply``.
    rows : int
        How many problems; they differ.
    seed : int
        Draws them, and says which pairs of numbers are held out.
    lesson : bool
        Whether they are for training: with no pair that is held out, about persons. Else all
        pairs are held out ones, and all is about farms.
    size : str
        The first or second of `SIZES`: what the largest number is at least and at most.
    wordings : sequence of int
        Of all sentences.

    Returns
    -------
    list of Stepwise
        Uniform over such problems. Costs milliseconds.

    Raises
    ------
    ValueError
        If too few were found.
    """
    codes = [SKILLS.index(one) + 1 for one in skills]
    rng = np.random.default_rng([seed, 6, int(lesson), SIZES[size][1], *codes])
    chain = Template(((0, ()), *((code, (k,)) for k, code in enumerate(codes))))
    barred, found = held(seed), dict[Story, None]()
    for _ in range(_ROUNDS):
        made = problems([chain], _DRAWN, rng=rng, wordings=wordings)
        kept = made[np.flatnonzero(_fits(made, barred, *SIZES[size], lesson=lesson))]
        scenes = rng.choice(np.array(SCENES[lesson]), size=len(kept))
        found |= dict.fromkeys(stories(replace(kept, scenes=scenes))) if len(kept) else {}
        if len(found) >= rows:
            return [_stepwise(story) for story in [*found][:rows]]
    message = (
        f"{len(found)} of {rows} problems {size} of {', '.join(skills)} were found: ask for fewer, "
        "for fewer steps, or for larger numbers"
    )
    raise ValueError(message)


def lines(told: Sequence[Stepwise]) -> Items:
    """Return prompts and what follows: signs and digits of solutions and of answers at once."""
    made: list[tuple[str, str]] = []
    for one in told:
        for k, step in enumerate(one.steps):
            made += _pieces(one.until(k, one.said), step.said)
        made += _pieces(one.at_once, one.answer)
    return made


def worked(told: Sequence[Stepwise], *, at_once: bool = False) -> str:
    """Return solved problems, a line each: what goes before a question."""
    last = [one.answer if at_once else one.said[-1] for one in told]
    asked = [one.at_once if at_once else one.until(len(one.steps) - 1, one.said) for one in told]
    ends = [one.steps[-1].end for one in told]
    return "".join(f"{a}{said} {end}\n" for a, said, end in zip(asked, last, ends, strict=True))


def _pieces(prompt: str, text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        for piece in word if word.isdigit() else [word]:
            yield prompt, piece
            prompt += piece if word.isdigit() else f" {word} "


def _fits(
    made: Problems, barred: Bool[np.ndarray, "n n"], least: int, largest: int, *, lesson: bool
) -> Bool[np.ndarray, " k"]:
    numbers = made.numbers[:, :, 0]
    top = np.maximum(made.values.max(1), numbers.max(1))
    fits = (least <= top) & (top <= largest)
    pairs = np.minimum(made.values[:, :-1], LARGEST), np.minimum(numbers[:, 1:], LARGEST)
    return fits & (barred[pairs] != lesson).all(1)


def _stepwise(story: Story) -> Stepwise:
    told, *_ = story.problem.rpartition(". ")
    text = story.solution
    for sign, key in SIGNS.items():
        text = text.replace(sign, key)
    steps = [_STEP.fullmatch(sentence.strip()) for sentence in re.findall(r"[^.]+\.", text)]
    return Stepwise(f"{told}.", tuple(Step(*step.groups()) for step in steps if step))

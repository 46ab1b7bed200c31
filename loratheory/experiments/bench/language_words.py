"""Word problems for language models, solved in steps, and the bare sums that they consist of."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.experiments.bench.language import Items
from loratheory.pretrained import Model, Training, trained_once, written
from loratheory.shapes import Bool
from loratheory.tasks.word_problems import SKILLS, Problems, Story, Template, problems, stories

SIZES = {"to 9": (0, 9), "to 20": (10, 20), "to 99": (21, 99), "to 999": (100, 999)}
"""Bounds of the largest number in a problem or sum; problems have one of the first two sizes."""
LARGEST = 20
WORDINGS = {False: (0, 2), True: (3,)}
"""The wordings on which adapters are trained, and one on which none is."""
SHOWN = 3
"""The number of solved examples before a question, in runs that show any."""
STEP = re.compile(r"(.+) (\d+ [-+*] \d+ = \d+) (.+)")
SUM = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")
DONE: dict[str, Callable[[Any, Any], Any]] = {"+": np.add, "-": np.subtract, "*": np.multiply}
SIGNS = {"plus": "+", "minus": "-", "times": "*"}
METRICS = ("steps", "expression", "sum", "step 1", "given", "at once")
_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty
"""
NUMBERS = _NUMBERS.split()


class Digits:
    """A tokenizer to which a number begins with its first digit; prompts for it end in a space."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str, **how: Any) -> Any:
        """Tokenize the text; if it is a space and a number, leave out the space."""
        return self.tokenizer(text[1:] if re.fullmatch(r" \d+", text) else text, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


def reading_digits(model: Model) -> Model:
    """Return the model with a tokenizer to which a number begins with its first digit."""
    return replace(model, tokenizer=Digits(model.tokenizer))


@dataclass(frozen=True)
class Step:
    """A sentence of a solution in three parts, such as ``Ben has``, ``3 + 4 = 7``, ``marbles.``."""

    start: str
    equation: str
    end: str


@dataclass(frozen=True)
class Stepwise:
    """A problem and its solution.

    Attributes
    ----------
    story : str
        The problem without its question.
    steps : tuple of Step
        The sentences of the solution.
    """

    story: str
    steps: tuple[Step, ...]

    @property
    def equations(self) -> list[str]:
        """The equation of each step of the right solution."""
        return [step.equation for step in self.steps]

    @property
    def answer(self) -> str:
        """The right answer, the last number of the solution."""
        return result(self.steps[-1].equation)

    @property
    def at_once(self) -> str:
        """A prompt that asks for the answer without steps."""
        return f"{self.story} Answer: {self.steps[-1].start} "

    def until(self, step: int, equations: Sequence[str]) -> str:
        """Return a prompt for a step by its number; earlier steps have these `equations`."""
        before = zip(self.steps[:step], equations[:step], strict=True)
        done = [f"{one.start} {words} {one.end}" for one, words in before]
        return " ".join([self.story, "Solution:", *done, self.steps[step].start, ""])

    @property
    def examples(self) -> Items:
        """Training examples: prompts, each with the sign or digit of the solution that follows."""
        prompts = [(self.until(k, self.equations), one) for k, one in enumerate(self.equations)]
        return [
            piece
            for prompt, text in (*prompts, (self.at_once, self.answer))
            for piece in _pieces(prompt, text)
        ]


def _pieces(prompt: str, text: str) -> Iterator[tuple[str, str]]:
    for word in text.split():
        for piece in word if word.isdigit() else [word]:
            yield prompt, piece
            prompt += piece if word.isdigit() else f" {word} "


def held_out(seed: int) -> Bool[np.ndarray, "n n"]:
    """Draw the pairs (quantity, number) on which no adapter is trained: about a quarter of all."""
    return np.random.default_rng([seed, 5]).random((LARGEST + 1, LARGEST + 1)) < 0.25


def drawn(
    skills: Sequence[str],
    rows: int,
    seed: int,
    *,
    training: bool = False,
    size: str = "to 9",
    reworded: bool = False,
) -> list[Stepwise]:
    """Draw `rows` different problems in which each step takes the result of the one before.

    The skills of the steps are ``add``, ``subtract`` or ``multiply``, and `size` is one of the
    first two of `SIZES`. If `reworded`, the wording is one on which no adapter is trained. Problems
    for `training` are about persons and contain none of the pairs in `held_out`; others are about
    farms and contain only such pairs. The draw is uniform; it costs milliseconds.

    Raises
    ------
    ValueError
        If fewer than `rows` were found.
    """
    codes = [SKILLS.index(one) + 1 for one in skills]
    rng = np.random.default_rng([seed, 6, int(training), SIZES[size][1], *codes])
    template = Template(((0, ()), *((code, (k,)) for k, code in enumerate(codes))))
    barred, found = held_out(seed), dict[Story, None]()
    for _ in range(200):
        made = problems([template], 4096, rng=rng, wordings=WORDINGS[reworded])
        kept = made[np.flatnonzero(_fits(made, barred, *SIZES[size], training=training))]
        scenes = rng.choice(np.arange(4) if training else np.arange(8, 12), size=len(kept))
        found |= dict.fromkeys(stories(replace(kept, scenes=scenes))) if len(kept) else {}
        if len(found) >= rows:
            return [_stepwise(story) for story in [*found][:rows]]
    message = (
        f"{len(found)} of {rows} problems {size} of {', '.join(skills)} were found: ask for fewer, "
        "for fewer steps, or for larger numbers"
    )
    raise ValueError(message)


def _fits(
    made: Problems, barred: Bool[np.ndarray, "n n"], least: int, largest: int, *, training: bool
) -> Bool[np.ndarray, " k"]:
    numbers = made.numbers[:, :, 0]
    top = np.maximum(made.values.max(1), numbers.max(1))
    fits = (least <= top) & (top <= largest)
    pairs = np.minimum(made.values[:, :-1], LARGEST), np.minimum(numbers[:, 1:], LARGEST)
    return fits & (barred[pairs] != training).all(1)


def _stepwise(story: Story) -> Stepwise:
    start, *_ = story.problem.rpartition(". ")
    text = story.solution.replace("−", "-").replace("×", "*")  # as a keyboard has them
    steps = [STEP.fullmatch(sentence.strip()) for sentence in re.findall(r"[^.]+\.", text)]
    return Stepwise(f"{start}.", tuple(Step(*step.groups()) for step in steps if step))


def worked(examples: Sequence[Stepwise], *, at_once: bool = False) -> str:
    """Return solved problems as text, a line each, to be put before a question."""
    text = ""
    for one in examples:
        last = one.steps[-1]
        if at_once:
            text += f"{one.at_once}{one.answer} {last.end}\n"
        else:
            text += f"{one.until(len(one.steps) - 1, one.equations)}{last.equation} {last.end}\n"
    return text


def lesson(skills: Sequence[str], rows: int, seed: int) -> list[Stepwise]:
    """Return `rows` problems for training, whose sizes alternate: to 9 and to 20."""
    halves = [drawn(skills, rows // 2, seed, training=True, size=size) for size in [*SIZES][:2]]
    return [one for both in zip(*halves, strict=True) for one in both]


def skilled(
    model: Model, skills: tuple[str, str], rows: int, seed: int, *, steps: int, full: bool
) -> dict[str, Adapter]:
    """Train an adapter for each skill on `rows` problems, or take it from the cache.

    The model must come from `reading_digits`; the keys are names such as ``add alone``. With `full`
    there are two more to compare merges with: ``joint``, trained on half the problems of each
    skill, and ``composed``, on problems in which the second skill takes the result of the first.
    Costs a minute or two of one core each, once.
    """
    lessons = {f"{skill} alone": lesson([skill], rows, seed) for skill in skills}
    if full:
        lessons["joint"] = [p for skill in skills for p in lesson([skill], rows // 2, seed)]
        lessons["composed"] = lesson(skills, rows, seed)
    how = Training(rate=1e-3, batch=8, steps=steps, enough=0.0)
    return {
        name: trained_once(
            model, [line for one in rows for line in one.examples], seed=(seed, 7, k), training=how
        )
        for k, (name, rows) in enumerate(lessons.items())
    }


def solved(
    model: Model, asked: Sequence[Stepwise], shown: Sequence[Stepwise] = ()
) -> dict[str, float]:
    """Return the shares of problems that a model solves, with the problems in `shown` before each.

    All have equally many steps. ``steps``: the model writes every step and the last result is
    right. In that last step ``expression`` asks whether the right numbers are combined, ``sum``
    whether the result is correct for what the model wrote. ``step 1``: the first result is right.
    ``given``: the last result is right if all steps before it are given. ``at once``: the answer
    is right without steps.
    """
    before, at_once = worked(shown), worked(shown, at_once=True)
    last = len(asked[0].steps) - 1
    own: list[list[str]] = [[] for _ in asked]
    wrote: dict[str, str] = {}

    def _ask(prompts: Sequence[str]) -> dict[str, str]:
        return dict(zip(prompts, map(first_equation, written(model, prompts, 10)), strict=True))

    for k in range(last + 1):
        prompts = [before + one.until(k, mine) for one, mine in zip(asked, own, strict=True)]
        wrote = _ask(prompts)
        for mine, prompt in zip(own, prompts, strict=True):
            mine.append(wrote[prompt])
    given = [before + one.until(last, one.equations) for one in asked]
    wrote |= _ask([prompt for prompt in given if prompt not in wrote])
    guesses = written(model, [at_once + one.at_once for one in asked], 3)
    found: dict[str, list[bool]] = {name: [] for name in METRICS}
    for one, mine, prompt, guess in zip(asked, own, given, guesses, strict=True):
        number = re.match(r"\d+", guess)
        right = (
            result(mine[-1]) == one.answer,
            expression(mine[-1]) == expression(one.equations[-1]),
            result(mine[-1]) == value(mine[-1]),
            result(mine[0]) == result(one.equations[0]),
            result(wrote[prompt]) == one.answer,
            number is not None and number[0] == one.answer,
        )
        for name, true in zip(METRICS, right, strict=True):
            found[name].append(true)
    return {name: float(np.mean(each)) for name, each in found.items()}


def copied(asked: Sequence[Stepwise]) -> float:
    """Return the share right if the story's k-th number is always copied, for the best k."""
    numbers = [(re.findall(r"\d+", one.story), one.answer) for one in asked]
    places = range(max(len(each) for each, _ in numbers))
    return max(
        float(np.mean([each[k : k + 1] == [answer] for each, answer in numbers])) for k in places
    )


def first_equation(text: str) -> str:
    """Return the equation with which a text begins, or the whole text if it begins with none."""
    equation = SUM.match(text)
    return equation[0] if equation else " ".join(text.split())


def result(equation: str) -> str:
    """Return the result of an equation, which is its last word."""
    return (equation.split() or [""])[-1]


def value(equation: str) -> str:
    """Return the right result of an equation such as ``3 + 4 = 8``, else ``no number``."""
    parts = SUM.fullmatch(equation)
    return str(DONE[parts[2]](int(parts[1]), int(parts[3]))) if parts else "no number"


def expression(equation: str) -> tuple[str, ...]:
    """Return the sign and both numbers of an equation, sorted if their order does not matter."""
    parts = SUM.fullmatch(equation)
    if not parts:
        return ()
    one, sign, other, _ = parts.groups()
    return (sign, one, other) if sign == "-" else (sign, *sorted((one, other)))


def sums(
    sign: str, size: str, rows: int, *, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """Draw up to `rows` triples ``(x, y, x sign y)`` whose largest number has this size.

    They differ, and are drawn uniformly among all such triples of positive numbers.
    """
    least, largest = SIZES[size]
    x, y = np.meshgrid(*[np.arange(1, largest + 1)] * 2, indexing="ij")
    z = DONE[SIGNS[sign]](x, y)
    top = np.maximum(np.maximum(x, y), z)
    places = np.flatnonzero((z > 0) & (top >= least) & (top <= largest))
    chosen = rng.permutation(places)[:rows]
    return list(zip(*(part.ravel()[chosen].tolist() for part in (x, y, z)), strict=True))


def sums_right(model: Model, rows: int, seed: int) -> Iterator[tuple[str, str, str, float]]:
    """Yield (rule, asked, size, share right) for bare sums of each of `SIGNS` and `SIZES`.

    The rule is ``base``, or ``base, shown`` if three solved sums precede each. Asked is, for
    instance, ``plus in words`` (numbers to twenty spelt out) or ``plus in digits``. Costs a short
    pass per sum.
    """
    for sign, key in SIGNS.items():
        for size, (_, largest) in SIZES.items():
            for words in (True, False) if largest < len(NUMBERS) else (False,):
                triples = sums(sign, size, rows + SHOWN, rng=np.random.default_rng([seed, 8]))
                texts = [[NUMBERS[n] if words else str(n) for n in three] for three in triples]
                name = sign if words else key
                pairs = [(f"{x} {name} {y} =", z) for x, y, z in texts]
                before = "".join(f"{left} {z}\n" for left, z in pairs[:SHOWN])
                for rule, start in (("base", ""), ("base, shown", before)):
                    prompts = [f"{start}{left}" for left, _ in pairs[SHOWN:]]
                    answers = written(model, prompts, 1 if words else 5)
                    right = [
                        (re.search(r"\w+", text) or [""])[0] == z
                        for text, (_, z) in zip(answers, pairs[SHOWN:], strict=True)
                    ]
                    asked = f"{sign} in {'words' if words else 'digits'}"
                    yield rule, asked, size, float(np.mean(right))

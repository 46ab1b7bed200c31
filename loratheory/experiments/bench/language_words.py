"""Word problems for language models: solved in steps, and the bare sums that they come to."""

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
"""The least and the largest that the largest number may be; problems have one of the first two."""
LARGEST = 20
WORDINGS = {False: (0, 2), True: (3,)}
"""Those that adapters are trained on, and one that they never read."""
SHOWN = 3
"""Solved examples that precede a question, where some do."""
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
        """Pass on what the tokenizer makes of the text, of a number without the space before."""
        return self.tokenizer(text[1:] if re.fullmatch(r" \d+", text) else text, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


def reading_digits(model: Model) -> Model:
    """Return the model with a tokenizer to which a number begins with its first digit."""
    return replace(model, tokenizer=Digits(model.tokenizer))


@dataclass(frozen=True)
class Step:
    """A sentence of a solution, such as ``Ben has``, ``3 + 4 = 7``, ``marbles.``."""

    start: str
    equation: str
    end: str


@dataclass(frozen=True)
class Stepwise:
    """A problem and its solution.

    Attributes
    ----------
    story : str
        Without the question.
    steps : tuple of Step
        Of the solution.
    """

    story: str
    steps: tuple[Step, ...]

    @property
    def equations(self) -> list[str]:
        """What the right solution computes in each step."""
        return [step.equation for step in self.steps]

    @property
    def answer(self) -> str:
        """The last number."""
        return result(self.steps[-1].equation)

    @property
    def at_once(self) -> str:
        """What asks for the answer without steps."""
        return f"{self.story} Answer: {self.steps[-1].start} "

    def until(self, step: int, equations: Sequence[str]) -> str:
        """What asks for a step, those before it being these; later ones are not read."""
        before = zip(self.steps[:step], equations[:step], strict=True)
        done = [f"{one.start} {words} {one.end}" for one, words in before]
        return " ".join([self.story, "Solution:", *done, self.steps[step].start, ""])

    @property
    def examples(self) -> Items:
        """Prompts and what follows: signs and digits of the solution, and of the answer at once."""
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
    """Return which pairs of a quantity and a number no adapter is trained on: a quarter of them."""
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
    """Return different problems in which each step takes the result of the one before.

    The skills of the steps are ``add``, ``subtract`` or ``multiply``, and `size` is one of the
    first two of `SIZES`; reworded, they are in words that no adapter reads. Problems for training
    are about persons and have no pair of numbers that is held out; others are about farms, and all
    pairs are held out. Uniform over such problems; costs milliseconds.

    Raises
    ------
    ValueError
        If too few were found.
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
    """Return solved problems, a line each: what goes before a question."""
    text = ""
    for one in examples:
        last = one.steps[-1]
        if at_once:
            text += f"{one.at_once}{one.answer} {last.end}\n"
        else:
            text += f"{one.until(len(one.steps) - 1, one.equations)}{last.equation} {last.end}\n"
    return text


def lesson(skills: Sequence[str], rows: int, seed: int) -> list[Stepwise]:
    """Return problems for training, in turn with numbers to 9 and to 20."""
    halves = [drawn(skills, rows // 2, seed, training=True, size=size) for size in [*SIZES][:2]]
    return [one for both in zip(*halves, strict=True) for one in both]


def skilled(
    model: Model, skills: tuple[str, str], rows: int, seed: int, *, steps: int, full: bool
) -> dict[str, Adapter]:
    """Return an adapter of each skill by name, each trained on so many problems, and kept.

    The model is one of `reading_digits`. With `full` there are others to hold merges against:
    ``joint``, of half the problems of either skill, and ``composed``, of problems in which the
    second skill takes the result of the first. Costs a minute or two of one core each, once.
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
    """Return shares of problems of equally many steps that a model solves, others shown before.

    ``steps``: the last result is right, each step being the model's own. Of that last step,
    ``expression``: what is computed is right; ``sum``: its result is that of what the model wrote.
    ``step 1``: the first result is right. ``given``: the last one is, if all steps before it are
    given. ``at once``: the answer is, without steps.
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
    """Return the share that is right if one always copies the story's number at the best place."""
    numbers = [(re.findall(r"\d+", one.story), one.answer) for one in asked]
    places = range(max(len(each) for each, _ in numbers))
    return max(
        float(np.mean([each[k : k + 1] == [answer] for each, answer in numbers])) for k in places
    )


def first_equation(text: str) -> str:
    """Return the equation that stands at the beginning of a text, or all of it if none."""
    equation = SUM.match(text)
    return equation[0] if equation else " ".join(text.split())


def result(equation: str) -> str:
    """Return the last word."""
    return (equation.split() or [""])[-1]


def value(equation: str) -> str:
    """Return the number that ``3 + 4 = …`` should end with, or no number."""
    parts = SUM.fullmatch(equation)
    return str(DONE[parts[2]](int(parts[1]), int(parts[3]))) if parts else "no number"


def expression(equation: str) -> tuple[str, ...]:
    """Return the sign and what stands around it, in the same order if that does not matter."""
    parts = SUM.fullmatch(equation)
    if not parts:
        return ()
    one, sign, other, _ = parts.groups()
    return (sign, one, other) if sign == "-" else (sign, *sorted((one, other)))


def sums(
    sign: str, size: str, rows: int, *, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """Return at most so many ``x``, ``y`` and ``x sign y``, the largest of them of this size.

    They differ, and are drawn uniformly among all such sums of positive numbers.
    """
    least, largest = SIZES[size]
    x, y = np.meshgrid(*[np.arange(1, largest + 1)] * 2, indexing="ij")
    z = DONE[SIGNS[sign]](x, y)
    top = np.maximum(np.maximum(x, y), z)
    places = np.flatnonzero((z > 0) & (top >= least) & (top <= largest))
    chosen = rng.permutation(places)[:rows]
    return list(zip(*(part.ravel()[chosen].tolist() for part in (x, y, z)), strict=True))


def sums_right(model: Model, rows: int, seed: int) -> Iterator[tuple[str, str, str, float]]:
    """Yield what share of bare sums of each of `SIGNS` and `SIZES` a model does.

    Before it come the rule, ``base``, or ``base, shown`` with three sums and their results before
    each; what is asked, ``plus in words`` (numbers to twenty spelt out) or ``plus in digits``; and
    the size. Costs a short pass a sum.
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

"""Problems in English and as programs: who has what, and four ways to say each thing.

Some wordings turn a statement round: "Ada has 5 more than Ben" becomes "Ben has 5 fewer than Ada",
on which readers who only match words go wrong. In programs, skills are functions that other
programs can use again.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

from loratheory.tasks import impossible
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._skills import SKILLS
from loratheory.tasks.word_problems._tokens import NAMES

GIVEN = (
    "{X} {has} {n} {tn}.",
    "{X} {has} exactly {n} {tn}.",
    "The number of {ts} that {X} {has} is {n}.",
    "Count the {ts} that {X} {has}, and you get {n}.",
)
QUESTIONS = (
    "How many {ts} does {X} {have}?",
    "What is the number of {ts} that {X} {has}?",
    "Find the number of {ts} that {X} {has}.",
    "Work out how many {ts} {X} {has}.",
)
STEPS = {
    ("add", 1): (
        "{X} {has} {n} more {tn} than {A}.",
        "{A} {has} {n} fewer {tn} than {X}.",
        "{X} {has} as many {ts} as {A}, plus {n}.",
        "With {n} more {tn}, {A} would {have} as many as {X}.",
    ),
    ("add", 2): (
        "{X} {has} as many {ts} as {A} and {B} together.",
        "Together, {A} and {B} {have} as many {ts} as {X}.",
        "{X} {has} the same number of {ts} as {A} and {B} combined.",
        "The number of {ts} that {X} {has} is the sum of the numbers that {A} and {B} {have}.",
    ),
    ("subtract", 1): (
        "{X} {has} {n} fewer {tn} than {A}.",
        "{A} {has} {n} more {tn} than {X}.",
        "{X} {has} as many {ts} as {A}, minus {n}.",
        "With {n} fewer {tn}, {A} would {have} as many as {X}.",
    ),
    ("subtract", 2): (
        "{A} {has} as many {ts} as {X} and {B} together.",
        "{X} {has} as many {ts} as would be left if {A} lost as many as {B} {has}.",
        "Together, {X} and {B} {have} as many {ts} as {A}.",
        "Subtract the number of {ts} that {B} {has} from the number that {A} {has}, and you get the"
        " number that {X} {has}.",
    ),
    ("multiply", 1): (
        "{X} {has} {times} as many {ts} as {A}.",
        "For every {t} that {A} {has}, {X} {has} {n}.",
        "The number of {ts} that {X} {has} is {n} times the number that {A} {has}.",
        "{A} {has} {part} as many {ts} as {X}.",
    ),
    ("divide", 1): (
        "{X} {has} {part} as many {ts} as {A}.",
        "If the {ts} that {A} {has} were split into {n} equal groups, each group would have as many"
        " as {X} {has}.",
        "{A} {has} {times} as many {ts} as {X}.",
        "The number of {ts} that {X} {has} is the number that {A} {has}, divided by {n}.",
    ),
    ("compare", 2): (
        "The number of {ts} that {X} {has} is the difference between the numbers that {A} and {B}"
        " {have}.",
        "Either {A} or {B} {has} more {ts} than the other, by as many as {X} {has}.",
        "The numbers of {ts} that {A} and {B} {have} differ by as many as {X} {has}.",
        "Compare {A} with {B}: the one with more {ts} is ahead by as many as {X} {has}.",
    ),
    ("rate", 1): (
        "For every {n} {ts} that {A} {has}, {X} {has} {m}.",
        "{X} {has} {m} {tm} for every {n} that {A} {has}.",
        "The numbers of {ts} that {A} and {X} {have} are in the ratio {n} to {m}.",
        "At a steady rate, counting the {ts} that {A} {has} takes {n} minutes, and counting those"
        " that {X} {has} takes {m} {minutes}.",
    ),
    ("percent", 1): (
        "{X} {has} {n} percent of the number of {ts} that {A} {has}.",
        "{X} {has} {n}% as many {ts} as {A}.",
        "The number of {ts} that {X} {has} is {n}% of the number that {A} {has}.",
        "Take {n} percent of the {ts} that {A} {has}, and you get as many as {X} {has}.",
    ),
}
"""By skill and how many quantities it takes: ``X`` is made of ``A`` and ``B``, ``n`` and ``m``."""

WRITTEN = {
    "add": "{} + {}",
    "subtract": "{} − {}",
    "multiply": "{} × {}",
    "divide": "{} ÷ {}",
    "compare": "{} − {}",
    "rate": "{} ÷ {} × {}",
    "percent": "{} × {} ÷ 100",
}
"""How a step is computed; of two quantities that are compared the larger one comes first."""

_WORDS = ("three", "four", "five", "six", "seven", "eight", "nine")
TIMES = {2: "twice"} | {k: f"{word} times" for k, word in enumerate(_WORDS, start=3)}
_PARTS = "half,a third,a quarter,a fifth,a sixth,a seventh,an eighth,a ninth"
PARTS = dict(enumerate(_PARTS.split(","), start=2))


@dataclass(frozen=True)
class Scene:
    """Who has what in a problem, the verb and the thing for one and for several."""

    owners: tuple[str, ...]
    has: str
    have: str
    thing: str
    things: str

    def counted(self, number: int) -> str:
        """The word for so many of the things."""
        return self.thing if number == 1 else self.things


_PEOPLE = "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jon Kim Leo"
_COLOURS = "red blue green yellow white black brown grey orange purple pink golden"
_PLACES = "Ash Brook Cliff Dale Elm Forest Glen Hill Island Lake Mill North"
_BOXED = "coin coins pencil pencils brush brushes key keys"
SCENES = tuple(
    Scene(tuple(owners.format(word) for word in words.split()), has, have, *things)
    for owners, words, has, have, every in (
        ("{}", _PEOPLE, "has", "have", "marble marbles sticker stickers shell shells stamp stamps"),
        ("the {} box", _COLOURS, "holds", "hold", _BOXED),
        ("{} Farm", _PLACES, "keeps", "keep", "cow cows hen hens goose geese sheep sheep"),
    )
    for things in zip(every.split()[::2], every.split()[1::2], strict=True)
)
FORMULAS = {
    "add": ("{x} + {y}", "({x} + {y}) % {p}"),
    "subtract": ("{x} - {y}", "({x} - {y}) % {p}"),
    "multiply": ("{x} * {y}", "{x} * {y} % {p}"),
    "divide": ("{x} // {y}", "{x} * pow({y}, -1, {p}) % {p}"),
    "compare": ("abs({x} - {y})",) * 2,
    "rate": ("rate({x}, {y}, {z})",) * 2,
    "percent": ("percent({x}, {y})",) * 2,
}
"""A step as Python, in whole numbers and modulo a prime."""
FUNCTIONS = {
    "rate": (
        "rate(quantity, every, gives)",
        "quantity // every * gives",
        "quantity * pow(every, -1, {p}) * gives % {p}",
    ),
    "percent": (
        "percent(quantity, share)",
        "quantity * share // 100",
        "quantity * share * pow(100, -1, {p}) % {p}",
    ),
}
"""Functions that programs define: head, and what is returned in whole numbers or modulo."""


class Story(NamedTuple):
    """A problem in words: the question, a sentence for each step and one for the answer."""

    problem: str
    solution: str
    answer: str


@dataclass(frozen=True)
class _Row:
    """One problem of a set: columns of `Problems` as lists."""

    scenes: int
    asked: int
    asking: int
    order: list[int]
    solution: list[int]
    names: list[int]
    skills: list[int]
    inputs: list[list[int]]
    numbers: list[list[int]]
    values: list[int]
    wordings: list[int]
    needed: list[bool]

    def operands(self, k: int, names: list[str]) -> list[str]:
        """What a step takes: quantities by these names, then numbers."""
        quantities = [names[j] for j in self.inputs[k] if j >= 0]
        return quantities + [str(n) for n in self.numbers[k] if n >= 0]

    @property
    def steps(self) -> list[tuple[int, str]]:
        """The quantities to compute one after another, and by which skill."""
        return [(k, SKILLS[self.skills[k] - 1]) for k in self.solution if k >= 0]


def _rows(problems: Problems) -> list[_Row]:
    columns = (getattr(problems, each.name).tolist() for each in fields(_Row))
    return [_Row(*row) for row in zip(*columns, strict=True)]


def stories(problems: Problems) -> list[Story]:
    """Return problems in words: a sentence for each quantity, in the order in which they are told.

    Raises `ImpossibleError` if numbers are counted modulo a prime.

    Examples
    --------
    >>> two = problems(templates(["add"], steps=1), 2, rng=np.random.default_rng(0))
    >>> stories(two)[0].solution
    'Hill Farm keeps 79 + 45 = 124 cows. The answer is 124.'
    """
    if problems.prime:
        fact = f"nobody counts modulo {problems.prime} in English"
        raise impossible(fact, "draw problems in whole numbers, or take their tokens or programs")
    return [
        Story(_capitals(_told(row)), _capitals(_solved(row)), str(row.values[row.asked]))
        for row in _rows(problems)
    ]


def _capitals(sentences: list[str]) -> str:
    return " ".join(each[:1].upper() + each[1:] for each in sentences)


def _told(row: _Row) -> list[str]:
    """What is told of each quantity, and last the question."""
    scene = SCENES[row.scenes]
    owners = [scene.owners[name] for name in row.names]
    words: dict[str, object] = {
        "has": scene.has, "have": scene.have, "t": scene.thing, "ts": scene.things,
    }  # fmt: skip
    sentences = []
    for k in row.order:
        if row.skills[k] < 0:
            continue
        made_of = [owners[j] for j in row.inputs[k] if j >= 0]
        ways = STEPS[SKILLS[row.skills[k] - 1], len(made_of)] if row.skills[k] else GIVEN
        n, m = row.numbers[k]
        words |= {"X": owners[k], **dict(zip("AB", made_of, strict=False))}
        words |= {"n": n, "tn": scene.counted(n), "times": TIMES.get(n), "part": PARTS.get(n)}
        words |= {"m": m, "tm": scene.counted(m), "minutes": "minutes" if m != 1 else "minute"}
        sentences.append(ways[row.wordings[k]].format_map(words))
    words["X"] = owners[row.asked]
    return [*sentences, QUESTIONS[row.asking].format_map(words)]


def _solved(row: _Row) -> list[str]:
    """A sentence for each step, and one for the answer."""
    scene, values, sentences = SCENES[row.scenes], [str(value) for value in row.values], []
    for k, skill in row.steps:
        operands = row.operands(k, values)
        if skill == "compare":
            operands.sort(key=int, reverse=True)
        owner, thing = scene.owners[row.names[k]], scene.counted(row.values[k])
        written = WRITTEN[skill].format(*operands)
        sentences.append(f"{owner} {scene.has} {written} = {values[k]} {thing}.")
    return [*sentences, f"The answer is {values[row.asked]}."]


def programs(problems: Problems) -> list[str]:
    """Return for each problem a program in Python that computes its answer.

    A program has the functions that it needs, a line for each quantity on which the answer depends,
    and last ``answer = …``.
    """
    return [_program(problems.prime, row) for row in _rows(problems)]


def _program(prime: int, row: _Row) -> str:
    owners, modular = NAMES if prime else SCENES[row.scenes].owners, prime > 0
    named = [owners[k].removeprefix("the ").replace(" ", "_").lower() for k in row.names]
    given = [k for k in row.order if row.skills[k] == 0 and row.needed[k]]
    lines = [f"{named[k]} = {row.values[k]}" for k in given]
    for k, skill in row.steps:
        operands = dict(zip("xyz", row.operands(k, named), strict=False))
        lines.append(f"{named[k]} = {FORMULAS[skill][modular].format(p=prime, **operands)}")
    used = {skill for _, skill in row.steps}
    functions = [
        f"def {head}:\n    return {bodies[modular].format(p=prime)}\n"
        for skill, (head, *bodies) in FUNCTIONS.items()
        if skill in used
    ]
    return "\n".join([*functions, *lines, f"answer = {named[row.asked]}", ""])

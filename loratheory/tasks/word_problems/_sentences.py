"""The words of problems: who has what, and four ways to say each thing that can be said.

Some wordings say it the other way round: that the one who is told about has 5 more than another may
also be told as the other having 5 fewer, which is where readers who only match words go wrong.
"""

from dataclasses import dataclass

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

TIMES = {2: "twice"} | {
    3 + k: f"{word} times"
    for k, word in enumerate(("three", "four", "five", "six", "seven", "eight", "nine"))
}
PARTS = {2: "half", 8: "an eighth"} | {
    k: f"a {word}"
    for k, word in (
        (3, "third"),
        (4, "quarter"),
        (5, "fifth"),
        (6, "sixth"),
        (7, "seventh"),
        (9, "ninth"),
    )
}


@dataclass(frozen=True)
class Scene:
    """What a problem is about.

    Attributes
    ----------
    owners : tuple of str
        Who can have something.
    has, have : str
        The verb, of one and of several.
    thing, things : str
        One of what they have, and several.
    """

    owners: tuple[str, ...]
    has: str
    have: str
    thing: str
    things: str


_PEOPLE = "Ada Ben Cleo Dan Eva Finn Gina Hugo Iris Jon Kim Leo"
_COLOURS = "red blue green yellow white black brown grey orange purple pink golden"
_PLACES = "Ash Brook Cliff Dale Elm Forest Glen Hill Island Lake Mill North"
SCENES = tuple(
    Scene(tuple(owners.format(word) for word in words.split()), has, have, *things)
    for owners, words, has, have, every in (
        ("{}", _PEOPLE, "has", "have", "marble marbles sticker stickers shell shells stamp stamps"),
        (
            "the {} box",
            _COLOURS,
            "holds",
            "hold",
            "coin coins pencil pencils brush brushes key keys",
        ),
        ("{} Farm", _PLACES, "keeps", "keep", "cow cows hen hens goose geese sheep sheep"),
    )
    for things in zip(every.split()[::2], every.split()[1::2], strict=True)
)

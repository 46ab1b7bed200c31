"""Draw word problems, chains of steps between quantities; write them in English or tokens; split.

========  ===============
skill     result
========  ===============
add       x + y
subtract  x − y
multiply  x · y
divide    x ÷ y, exact
percent   x · y ÷ 100
========  ===============

A problem gives one quantity; each step computes a new quantity from the previous quantity, x, and a
number, y. The *template* of a problem is the sequence of its skills; owners, numbers and the order
of sentences do not matter. Numbers are positive integers, or integers modulo a prime. The wordings
of sentences are in ``templates/word_problems.toml``.

Problems modulo a prime are rows of tokens, in one layout for all problems modulo this prime::

    0 padding   1 "what is"   2 "step by step, what is"
    3 …         words: for each code of a skill one word per wording
    then        signs: for each code of a skill the sign that solutions use
    then        numbers 0 … prime - 1
    then        names

A given quantity is written as its name and number. A step is written as its name, the word of its
skill, the name of the previous quantity and a number; in the last two wordings its own name comes
last. The question follows. A line of the solution has the name, the sign of the skill, both
operands as numbers and the result::

    A 3   B multiply/0 A 2   C add/2 B 5 C   ?: C   B multiply 3 2 6   C add 6 5 4
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from loratheory.shapes import Bool, Int64
from loratheory.tasks import one_of, read_wordings, refuse, within
from loratheory.tasks.export import write_folder
from loratheory.tasks.prompts import PAD, Prompts

ABSENT, GIVEN = -1, 0
# The codes of skills in arrays. Codes 5 and 6 are not used; they stay, because stored tables come
# from models that were trained on these tokens.
SKILLS = {"add": 1, "subtract": 2, "multiply": 3, "divide": 4, "percent": 7}
NAMED = {code: skill for skill, code in SKILLS.items()}
# 0 stands for positive whole numbers. Modulo 2 and 5 there is no percent.
PRIMES = (0, 3, 7, 11, 13)
LARGEST, MOST_STEPS, ENTITIES, WORDINGS, SCENES = 9999, 4, 12, 4, 12
ASK, SOLVE, NAMES = 1, 2, tuple("ABCDEFGHIJKL")
_WORDS, _CODES = 3, 7
_SIGNS = _WORDS + _CODES * WORDINGS
_NUMBERS = _SIGNS + _CODES
_ROUNDS, _ROWS, _TRIES = 200, 4096, 64
# The numbers that occur in positive integers, by the code of the skill.
SAID = {
    GIVEN: range(2, 121),
    SKILLS["add"]: range(1, 21),
    SKILLS["subtract"]: range(1, 21),
    SKILLS["multiply"]: range(2, 10),
    SKILLS["divide"]: range(2, 10),
    SKILLS["percent"]: range(5, 100, 5),
}
Numbers = Int64[np.ndarray, " n"]
Template = tuple[str, ...]
Key = tuple[Template, tuple[int, ...]]


def pool(
    skills: Sequence[str], *, steps: int | Sequence[int] = 2, prime: int = 0
) -> tuple[Template, ...]:
    """Return all templates of `steps` steps, 1 to 4, by these skills, in the order of `SKILLS`.

    Raises `ImpossibleError` for an unknown skill, prime or number of steps.

    Examples
    --------
    >>> pool(("multiply", "add"), steps=2)[:2]
    (('add', 'add'), ('add', 'multiply'))
    """
    if prime not in PRIMES:
        remedy = f"choose a prime of {PRIMES[1:]}, or 0 for positive whole numbers"
        refuse(f"the prime is {prime}", remedy)
    for skill in skills:
        one_of("a skill", skill, tuple(SKILLS))
    if not skills:
        refuse("no skill is named", f"choose from {', '.join(SKILLS)}")
    named = sorted(set(skills), key=SKILLS.__getitem__)
    found: list[Template] = []
    for count in sorted({steps} if isinstance(steps, int) else {*steps}):
        within("steps", count, 1, MOST_STEPS)
        found += product(named, repeat=count)
    return tuple(found)


def list_pairs(template: Template) -> set[Template]:
    """Return all pairs of different skills in a template, each in the order of `SKILLS`."""
    return set(combinations(sorted(set(template), key=SKILLS.__getitem__), 2))


def apply_skills(
    skills: Numbers, x: Numbers, y: Numbers, prime: int
) -> tuple[Numbers, Bool[np.ndarray, " n"]]:
    """Return the results of each row's skill, and the mask of results that are admissible."""
    named = [skills == code for code in SKILLS.values()]
    _, _, multiplies, divides, percent = named
    # Every skill is one expression over one divisor; rows of other codes are ignored.
    over = np.select(named, [x + y, x - y, x * y, x, x * y], x)
    under = np.select([divides, percent], [y, 100], 1)
    if prime:
        # The inverse of k is its power p - 2 (Fermat); that of 0 is not used.
        inverse = np.arange(prime) ** (prime - 2) % prime
        # A factor of zero removes the quantity: the answer would not need the previous step.
        forgets = (multiplies | percent) & (y == 0)
        return over * inverse[under % prime] % prime, (under % prime != 0) & ~forgets
    under = np.maximum(under, 1)
    result = over // under
    return result, (over % under == 0) & (result > 0) & (result <= LARGEST)


def propose(skills: Numbers, prime: int, *, rng: Generator) -> Numbers:
    """Draw numbers for given quantities and steps, uniformly and without regard to quantities."""
    if prime:
        # One number is used; stored tables come from a stream that draws two numbers each.
        return rng.integers(prime, size=(len(skills), 2))[:, 0]
    numbers = np.zeros(len(skills), dtype=np.int64)
    for code, said in SAID.items():
        numbers[skills == code] = rng.choice(said, size=int((skills == code).sum()))
    return numbers


@dataclass(frozen=True, eq=False)
class Problems:
    """Word problems, one per row: a given quantity, the steps from it, then distractors.

    Attributes
    ----------
    prime : int
        The modulus of all numbers; 0 for positive integers.
    skills : (n, q) array of int
        The code of the skill that computes each quantity; 0 if it is given, -1 if it is absent.
    inputs : (n, q) array of int
        The quantity from which each quantity is computed; -1 for none.
    numbers : (n, q) array of int
        The number in each quantity's sentence: its value if it is given, else the second operand.
    values : (n, q) array of int
        The value of each quantity.
    names, wordings : (n, q) arrays of int
        The owner of each quantity, and the wording of its sentence.
    order : (n, q) array of int
        The quantities in the order of their sentences.
    asked, asking, scenes : (n,) arrays of int
        The quantity in question, the wording of the question, and the scene (such as farms).
    """

    prime: int
    skills: Int64[np.ndarray, "n q"]
    inputs: Int64[np.ndarray, "n q"]
    numbers: Int64[np.ndarray, "n q"]
    values: Int64[np.ndarray, "n q"]
    names: Int64[np.ndarray, "n q"]
    wordings: Int64[np.ndarray, "n q"]
    order: Int64[np.ndarray, "n q"]
    asked: Int64[np.ndarray, " n"]
    asking: Int64[np.ndarray, " n"]
    scenes: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return self.asked.shape[0]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Problems":
        """Return the problems in these rows."""
        return replace(self, **{name: array[rows] for name, array in self.columns().items()})

    def columns(self) -> dict[str, Any]:
        """Return all arrays by name."""
        return {name: array for name, array in vars(self).items() if name != "prime"}

    @property
    def answers(self) -> Int64[np.ndarray, " n"]:
        """The right answer of each problem."""
        return np.take_along_axis(self.values, self.asked[:, None], axis=1)[:, 0]

    @property
    def present(self) -> Bool[np.ndarray, "n q"]:
        """The mask of places that hold a quantity."""
        return self.skills != ABSENT

    @property
    def needed(self) -> Bool[np.ndarray, "n q"]:
        """The mask of quantities that the answer depends on; other quantities are distractors."""
        return np.arange(self.skills.shape[1]) <= self.asked[:, None]

    @property
    def templates(self) -> tuple[Template, ...]:
        """The template of each problem."""
        found = []
        for skills, asked in zip(self.skills.tolist(), self.asked.tolist(), strict=True):
            found.append(tuple(map(NAMED.__getitem__, skills[1 : asked + 1])))
        return tuple(found)


def keys(problems: Problems) -> list[Key]:
    """Return template and numbers of each problem; they are equal for rewordings of a problem."""
    made = []
    for template, numbers in zip(problems.templates, problems.numbers.tolist(), strict=True):
        made.append((template, tuple(numbers[: len(template) + 1])))
    return made


def together(parts: Sequence[Problems]) -> Problems:
    """Concatenate the problems of all parts, which share one prime."""
    width = max(part.skills.shape[1] for part in parts)
    wide = [padded(part, width).columns() for part in parts]
    arrays: dict[str, Any] = {}
    for name in wide[0]:
        arrays[name] = np.concatenate([part[name] for part in wide])
    return replace(parts[0], **arrays)


def padded(problems: Problems, width: int) -> Problems:
    """Return the same problems with `width` places for quantities."""
    had = problems.skills.shape[1]
    grown: dict[str, Any] = {}
    for name in ("skills", "inputs", "numbers", "values", "names", "wordings"):
        edges = [(0, 0), (0, width - had)]
        grown[name] = np.pad(getattr(problems, name), edges, constant_values=-1)
    # Places without a quantity come last and have no sentence.
    behind = np.tile(np.arange(had, width), (len(problems), 1))
    return replace(problems, **grown, order=np.concatenate([problems.order, behind], axis=1))


def problems(
    templates: Sequence[Template],
    rows: int,
    *,
    rng: Generator,
    prime: int = 0,
    wordings: Sequence[int] = range(WORDINGS),
    seen: set[Key] | None = None,
) -> Problems:
    """Draw `rows` problems of these templates, each about equally often, in random order.

    Numbers are integers modulo a prime of `PRIMES`, or positive integers if `prime` is 0; wordings
    are below 4. Given the template, all admissible numbers are equally likely. With `seen` no
    problem has one of these `keys`, all problems differ, and their keys are added to `seen`.
    Raises `ImpossibleError` if too few distinct problems exist.
    """
    # Counts of templates differ by one at most, in random order.
    each = np.tile(rng.permutation(len(templates)), -(-rows // len(templates)))[:rows]
    which, steps = rng.permutation(each), np.array(list(map(len, templates)))
    width = steps.max() + 1
    skills = np.full((len(templates), width), ABSENT)
    for number, template in enumerate(templates):
        skills[number, : len(template) + 1] = [GIVEN, *map(SKILLS.__getitem__, template)]
    # Within a problem every owner has one quantity.
    names = rng.permuted(np.tile(np.arange(ENTITIES), (rows, 1)), axis=1)[:, :width]
    words = rng.choice(wordings, size=(rows, width))
    absent, place = skills[which] == ABSENT, np.tile(np.arange(width), (rows, 1))
    made = Problems(
        prime=prime,
        skills=skills[which],
        inputs=np.where(absent, -1, place - 1),
        numbers=np.full((rows, width), -1),
        values=np.full((rows, width), -1),
        names=np.where(absent, -1, names),
        wordings=np.where(absent, -1, words),
        order=place,
        asked=steps[which],
        asking=rng.choice(wordings, size=rows),
        scenes=rng.integers(SCENES, size=rows),
    )
    return fill(made, rng=rng, seen=seen)


def fill(problems: Problems, *, rng: Generator, seen: set[Key] | None = None) -> Problems:
    """Draw new admissible numbers for the problems, and compute the values."""
    made = replace(problems, numbers=problems.numbers.copy(), values=problems.values.copy())
    left = np.arange(len(made))
    for _ in range(_ROUNDS):
        if len(left):
            left = draw_round(made, left, made.present, rng, seen)
    if len(left):
        first = ", ".join(problems[left[:1]].templates[0])
        fact = f"{_ROUNDS} draws found no new numbers for {len(left)} problems, such as of {first}"
        refuse(fact, "ask for fewer, or for a larger prime")
    return made


def draw_round(
    problems: Problems,
    left: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    rng: Generator,
    seen: set[Key] | None = None,
) -> Int64[np.ndarray, " left"]:
    """Draw numbers for the problems in rows `left`; return the rows without an admissible draw.

    Numbers are drawn for the quantities in the mask `open_`; all other numbers stay.
    """
    # The fewer problems are left, the more tries per problem: small arrays cost as much as large.
    tries = min(max(_ROWS // len(left), 1), _TRIES)
    rows = np.repeat(left, tries)
    part, every = problems[rows], np.arange(len(rows))
    sensible = np.ones(len(rows), dtype=bool)
    # Inputs come first, so one pass over the quantities computes all values.
    for quantity, skills in enumerate(part.skills.T):
        fresh = propose(np.maximum(skills, GIVEN), part.prime, rng=rng)
        new = open_[rows, quantity] & (skills != ABSENT)
        number = np.where(new, fresh, part.numbers[:, quantity])
        x = part.values[every, part.inputs[:, quantity]]
        result, fine = apply_skills(skills, x, number, part.prime)
        part.numbers[:, quantity] = number
        # The value of a given quantity is its number; an absent quantity stays at -1.
        part.values[:, quantity] = np.where(skills > GIVEN, result, number)
        sensible &= fine | (skills <= GIVEN)
    tried = sensible.reshape(-1, tries)
    good = np.flatnonzero(tried.any(axis=1))
    # Take the first admissible draw of each problem.
    first = good * tries + tried.argmax(axis=1)[good]
    if seen is not None:
        unseen = np.zeros(len(first), dtype=bool)
        # Keep the first of equal problems in one round.
        for place, key in enumerate(keys(part[first])):
            unseen[place] = key not in seen
            seen.add(key)
        good, first = good[unseen], first[unseen]
    problems.numbers[left[good]] = part.numbers[first]
    problems.values[left[good]] = part.values[first]
    return np.delete(left, good)


def distract(
    problems: Problems,
    count: int,
    *,
    rng: Generator,
    skills: Sequence[str] = tuple(SKILLS),
    wordings: Sequence[int] = range(WORDINGS),
) -> Problems:
    """Add `count` distractors, quantities on which the answers do not depend, to each problem.

    Answers, templates and keys stay. The sentence of a distractor comes anywhere after that of its
    input, in one of these wordings. A distractor is given, or a step by one of these skills, with
    equal probability; steps that do not fit are drawn anew, so that more are given. Raises
    `ImpossibleError` if there are not enough names.
    """
    most = int(problems.present.sum(axis=1).max(initial=0))
    within("distractors", count, 0, ENTITIES - most)  # each quantity needs a name
    for _ in range(count):
        problems = _distract_once(problems, [SKILLS[skill] for skill in skills], rng, wordings)
    return problems


def _distract_once(
    problems: Problems, steps: Sequence[int], rng: Generator, wordings: Sequence[int]
) -> Problems:
    """Add one distractor to each problem, in a new last column."""
    rows, last = np.arange(len(problems)), problems.skills.shape[1]
    # Draw a name that the problem does not use.
    luck = rng.random((len(rows), ENTITIES))
    in_use = np.where(problems.present, problems.names, problems.names[:, :1])
    np.put_along_axis(luck, in_use, -1.0, axis=1)
    wide = padded(problems, last + 1)
    wide.names[:, last] = luck.argmax(axis=1)
    wide.wordings[:, last] = rng.choice(wordings, size=len(rows))
    # Only the numbers of the last column are drawn.
    new, left = np.tile(np.arange(last + 1) == last, (len(rows), 1)), rows
    for _ in range(_ROUNDS):
        if not len(left):
            break
        # Draw the input among the quantities of the problem.
        luck = rng.random((len(left), last))
        base = np.where(problems.present[left], luck, -1.0).argmax(axis=1)
        # A distractor is given or a step with equal probability.
        chosen = rng.choice([*steps, *[GIVEN] * len(steps)], size=len(left))
        wide.skills[left, last] = chosen
        wide.inputs[left, last] = np.where(chosen > GIVEN, base, -1)
        left = draw_round(wide, left, new, rng)
    if len(left):
        fact = f"{_ROUNDS} draws found no distractor for {len(left)} problems"
        refuse(fact, "allow more skills, or take problems with smaller numbers")
    # Its sentence comes anywhere after that of its input.
    base, places = wide.inputs[:, last], problems.order.argsort(axis=1)
    place = np.where(base >= 0, places[rows, base], -1)
    luck = rng.random(len(rows))
    behind = place + 0.5 + np.floor(luck * (problems.present.sum(axis=1) - place))
    order = np.concatenate([places, behind[:, None]], axis=1).argsort(axis=1, kind="stable")
    return replace(wide, order=order)


class Story(NamedTuple):
    """A problem in English: its text, a solution with a sentence per step, and the answer."""

    problem: str
    solution: str
    answer: str


def stories(problems: Problems) -> list[Story]:
    """Write problems in English, with a sentence for each quantity in the order of `order`.

    Raises `ImpossibleError` if numbers are integers modulo a prime.

    Examples
    --------
    >>> two = problems(pool(["add"], steps=1), 2, rng=np.random.default_rng(0))
    >>> stories(two)[0].solution
    'Cleo has 81 + 15 = 96 stickers. The answer is 96.'
    """
    if problems.prime:
        fact = f"nobody counts modulo {problems.prime} in English"
        refuse(fact, "draw problems in whole numbers, or take their tokens")
    return [_write_story(problems, row) for row in range(len(problems))]


def _write_story(problems: Problems, row: int) -> Story:
    """Write one problem in English."""
    text = read_wordings("word_problems")
    of = {name: column[row].tolist() for name, column in problems.columns().items()}
    values, asked, scene = of["values"], of["asked"], of["scenes"]
    # The scenes of one place, with the same owners and verb, have different things.
    place = text["scenes"][scene * len(text["scenes"]) // SCENES]
    has, have = place["verb"]
    one, many = place["things"][scene % len(place["things"])]
    who = [place["owners"][name] for name in of["names"]]
    lines, solved = [], []
    for k in of["order"]:
        code, n = of["skills"][k], of["numbers"][k]
        if code == ABSENT:
            continue
        wordings = text["steps"][NAMED[code]]["told"] if code else text["given"]
        # A wording ignores the words that it does not need.
        words = {"X": who[k], "A": who[of["inputs"][k]], "n": n, "tn": one if n == 1 else many}
        words |= {"times": text["times"].get(str(n)), "part": text["part"].get(str(n))}
        words |= {"has": has, "have": have, "t": one, "ts": many}
        lines.append(wordings[of["wordings"][k]].format_map(words))
    question = text["question"][of["asking"]]
    lines.append(question.format(X=who[asked], has=has, have=have, ts=many))
    for k in range(1, asked + 1):
        written = text["steps"][NAMED[of["skills"][k]]]["written"]
        computed = written.format(values[k - 1], of["numbers"][k])
        thing = one if values[k] == 1 else many
        solved.append(f"{who[k]} {has} {computed} = {values[k]} {thing}.")
    solved.append(f"The answer is {values[asked]}.")
    return Story(_join(lines), _join(solved), str(values[asked]))


def _join(sentences: list[str]) -> str:
    # Names of boxes begin with a small letter, which is capitalised in front of a sentence.
    return " ".join(each[:1].upper() + each[1:] for each in sentences)


@dataclass(frozen=True)
class Alphabet:
    """The meaning of tokens, for numbers modulo `prime`."""

    prime: int

    @property
    def names(self) -> int:
        """The token of the first name."""
        return _NUMBERS + self.prime

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        return self.names + ENTITIES

    def written(self, tokens: Int64[np.ndarray, " t"]) -> str:
        """Return one row as readable signs between spaces, such as ``B add/0 A 2``.

        Padding and -1 are left out.
        """
        signs = [NAMED.get(code, "") for code in range(1, _CODES + 1)]
        words = [f"{skill}/{k}" for skill in signs for k in range(WORDINGS)]
        every = ["", "?", "?:", *words, *signs, *map(str, range(self.prime)), *NAMES]
        return " ".join(map(every.__getitem__, tokens[tokens > PAD].tolist()))


def answered(code: Alphabet, problems: Problems) -> Prompts:
    """Encode problems, modulo the alphabet's prime, as prompts for an answer without steps.

    The answer is due where the question ends.
    """
    question, asked = _question(code, problems, ASK)
    answers = _NUMBERS + problems.answers[:, None]
    targets = np.where(np.arange(question.shape[1]) == asked[:, None], answers, -1)
    return Prompts(question, targets, asked, "answer")


def stepwise(code: Alphabet, problems: Problems) -> Prompts:
    """Encode problems, modulo the alphabet's prime, as prompts with a solution line per step.

    From the end of the question on, each next token is a target; the last target is the answer.
    """
    question, asked = _question(code, problems, SOLVE)
    rows = _compact(np.concatenate([question, _lines(code, problems)], axis=1))
    places = np.arange(rows.shape[1])
    length = (rows != PAD).sum(axis=1)[:, None]
    # Each token from the question on predicts the next token.
    after = np.roll(rows, -1, axis=1)
    targets = np.where((places >= asked[:, None]) & (places < length - 1), after, -1)
    # The answer is a target and no input token, because no token follows it.
    tokens = np.where(places < length - 1, rows, PAD)
    return Prompts(tokens[:, :-1], targets[:, :-1], asked, "stepwise")


def _question(
    code: Alphabet, problems: Problems, ask: int
) -> tuple[Int64[np.ndarray, "n t"], Numbers]:
    """Return the tokens (n, t) of all sentences and the question, and the question's last place."""
    name, given = code.names + problems.names, problems.skills == GIVEN
    # Absent parts are padding at first; `_compact` removes it from inside the rows.
    word = np.where(given, PAD, _WORDS + (problems.skills - 1) * WORDINGS + problems.wordings)
    before = np.take_along_axis(name, np.maximum(problems.inputs, 0), axis=1)
    # In the last two wordings the name comes after the operands.
    first = given | (problems.wordings < WORDINGS // 2)
    start, end = np.where(first, name, PAD), np.where(first, PAD, name)
    takes = [np.where(given, PAD, before), _NUMBERS + problems.numbers]
    block = np.stack([start, word, *takes, end], axis=2)
    block = np.where(problems.present[:, :, None], block, PAD)
    # Sentences come in the order drawn, not in the order of the steps.
    sentences = np.take_along_axis(block, problems.order[:, :, None], axis=1)
    asked = np.take_along_axis(name, problems.asked[:, None], axis=1)
    row = [sentences.reshape(len(problems), -1), np.full_like(asked, ask), asked]
    tokens = _compact(np.concatenate(row, axis=1))
    return tokens, (tokens != PAD).sum(axis=1) - 1


def _lines(code: Alphabet, problems: Problems) -> Int64[np.ndarray, "n t"]:
    """Return the tokens (n, t) of the solution, a line per step."""
    value = _NUMBERS + problems.values
    before = np.take_along_axis(value, np.maximum(problems.inputs, 0), axis=1)
    head = [code.names + problems.names, _SIGNS + problems.skills - 1]
    block = np.stack([*head, before, _NUMBERS + problems.numbers, value], axis=2)
    steps = problems.needed & (problems.skills > GIVEN)
    return np.where(steps[:, :, None], block, PAD).reshape(len(problems), -1)


def _compact(rows: Int64[np.ndarray, "n t"]) -> Int64[np.ndarray, "n u"]:
    """Move padding to the ends of the rows, and cut the rows to the longest length needed."""
    # A stable sort keeps the order of the tokens.
    moved = np.take_along_axis(rows, np.argsort(rows == PAD, axis=1, kind="stable"), axis=1)
    return moved[:, : int((moved != PAD).sum(axis=1).max(initial=1))]


# The property that the parts of each split never share, besides problems.
SPLITS = {"pair": "pairs", "template": "templates", "depth": "depths", "wording": "wordings"}


def split(
    templates: Sequence[Template],
    by: str,
    rows: int,
    *,
    rng: Generator,
    prime: int = 0,
    pair: Sequence[str] = (),
    distractors: int = 0,
    skills: Sequence[str] = tuple(SKILLS),
) -> tuple[dict[str, Problems], set[Template]]:
    """Draw distinct problems in two sets, "train" and "test", which differ in structure.

    Return the sets, and the pairs of skills that are held out. The test set holds out, by "pair",
    all templates that contain both skills of `pair`, or of 20% of all pairs; by "template", 20% of
    the templates; by "depth", the templates with the most steps; by "wording", one of the wordings.
    Of the `rows` problems 20%, and at least one, are for testing. Each problem gets `distractors`
    quantities by `distract`. Raises `ImpossibleError` if a set would be empty, or too few distinct
    problems exist.
    """
    one_of("split", by, tuple(SPLITS))
    within("rows", rows, 2)
    held = _choose_pairs(templates, pair, rng) if by == "pair" else set[Template]()
    words = {"train": list(range(WORDINGS)), "test": list(range(WORDINGS))}
    parts: dict[str, list[Template]] = {"train": [], "test": []}
    deepest = max(map(len, templates))
    chosen = rng.permutation(len(templates))[: max(round(0.2 * len(templates)), 1)]
    for number, each in enumerate(templates):
        out = {
            "pair": bool(list_pairs(each) & held),
            "template": number in chosen,
            "depth": len(each) == deepest,
        }
        parts["test" if out.get(by) else "train"].append(each)
    # Either the templates of the two parts differ or their wordings do.
    if by == "wording":
        parts["test"] = parts["train"]
        words["test"] = [int(rng.choice(WORDINGS))]
        words["train"].remove(words["test"][0])
    made: dict[str, Problems] = {}
    seen = set[Key]()
    # Of two problems one is held out.
    fifth = max(rows // 5, 1)
    for name, count in (("train", rows - fifth), ("test", fifth)):
        if not parts[name]:
            fact = f"holding out a {by}, this split leaves no problem for {name}ing"
            refuse(fact, f"hold out another {by}, or draw on a larger pool")
        how: Any = {"rng": rng, "wordings": words[name]}
        drawn = problems(parts[name], count, prime=prime, seen=seen, **how)
        made[name] = distract(drawn, distractors, skills=skills, **how)
    return made, held


def _choose_pairs(
    templates: Sequence[Template], pair: Sequence[str], rng: Generator
) -> set[Template]:
    """Draw the pairs of skills to hold out, each in the order of `SKILLS`."""
    # Sorted, since the order of a set differs from run to run.
    every = sorted(set[Template]().union(*map(list_pairs, templates)))
    if pair:
        for skill in pair:
            one_of("a skill", skill, tuple(SKILLS))
        if len({*pair}) != 2:
            refuse(f"a pair of skills is {' and '.join(pair)}", "name two different skills in each")
        return list_pairs(tuple(pair))
    chosen = rng.permutation(len(every))[: max(round(len(every) / 5), 1)]
    return set(map(every.__getitem__, chosen))


def export(
    folder: Path, sets: dict[str, Problems], *, about: str = "", force: bool = False
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, and return it.

    The folder appears complete or not at all. ``load_dataset(FOLDER)`` of Hugging Face `datasets`
    has the sets as splits. The text `about`, such as the command and its seed, is added to the
    README. Equal arguments give equal bytes. Raises `ImpossibleError` if the folder exists and may
    not be replaced, or has no parent.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    table = ["| split | problems | templates |", "|---|---|---|"]
    for name, part in sets.items():
        table.append(f"| {name} | {len(part)} | {len({*part.templates})} |")
        idle = (part.present & ~part.needed).sum(axis=1).tolist()
        # Problems modulo a prime are written as tokens, other problems in English.
        texts = _tokens(part) if part.prime else [story._asdict() for story in stories(part)]
        rows[name] = []
        for text, template, distractors in zip(texts, part.templates, idle, strict=True):
            about_it = {"template": ", ".join(template), "steps": len(template)}
            rows[name].append({**text, **about_it, "distractors": distractors})
    body = "\n".join([about.strip(), "", *table, "", read_wordings("word_problems")["card"]])
    return write_folder(folder, "Word problems", rows, body, force=force)


def _tokens(problems: Problems) -> list[dict[str, Any]]:
    """Return the token rows of stepwise prompts, each with the same text in signs."""
    code = Alphabet(problems.prime)
    prompts = stepwise(code, problems)
    columns = (prompts.tokens, prompts.targets, prompts.asked.tolist(), prompts.position + 1)
    rows = []
    for tokens, targets, asked, end in zip(*columns, strict=True):
        signs = {"problem": code.written(tokens[: asked + 1]), "solution": code.written(targets)}
        signs["answer"] = code.written(targets[end - 1 : end])
        numbers = {"tokens": tokens[:end].tolist(), "targets": targets[:end].tolist()}
        rows.append({**signs, **numbers, "asked": asked})
    return rows

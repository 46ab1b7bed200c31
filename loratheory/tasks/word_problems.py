"""Word problems: graphs of quantities, drawn, told in English or tokens, solved and split.

========  ===========================  ==================================
skill     operands                     result
========  ===========================  ==================================
add       two quantities, or one and   x + y
          a number
subtract  likewise                     x − y
multiply  a quantity and a number      x · y
divide    a quantity and a number      x ÷ y, exact
compare   two quantities               by how much they differ, abs(x − y)
rate      a quantity and two numbers   x ÷ y · z: z for every y of x
percent   a quantity and a number      x · y ÷ 100
========  ===========================  ==================================

Numbers are positive and whole, or counted modulo a prime. Two problems have the same template if
the graphs of the quantities that their answers need are isomorphic. Owners, numbers and the order
of sentences do not matter, nor does the order of two quantities that are added or compared. How
sentences are worded is in ``templates/word_problems.toml``.

Problems modulo a prime are rows of tokens, in one layout for all problems modulo this prime::

    0 padding   1 "what is"   2 "step by step, what is"
    3 …         canaries
    then        words: for each skill one per wording
    then        signs: for each skill the one that solutions use
    then        numbers 0 … prime - 1
    then        names

A given quantity is told by its name and number; a step by its name, the word of its skill and its
operands, names or numbers; in the last two wordings the name comes last. Then comes the question.
A line of the solution has the name, the sign of the skill, the operands as numbers, the result::

    A 3   B rate/0 A 2 5   C add/1 A B   ?: C   B rate 3 2 5 4   C add 3 4 0
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from itertools import combinations, permutations, product
from operator import attrgetter, itemgetter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.random import Generator

from loratheory.shapes import Bool, Int64
from loratheory.tasks import one_of, read_wordings, refuse, within
from loratheory.tasks.export import check_disjoint, write_folder
from loratheory.tasks.prompts import PAD, Prompts

SKILLS = ("add", "subtract", "multiply", "divide", "compare", "rate", "percent")
ABSENT, GIVEN = -1, 0
# How many quantities a step of each skill takes; the rest of its operands are numbers.
QUANTITIES = dict.fromkeys(SKILLS, (1,)) | {"add": (2, 1), "subtract": (2, 1), "compare": (2,)}
# For these skills the order of two quantities does not matter.
SYMMETRIC = ("add", "compare")
# 0 stands for positive whole numbers.
PRIMES = (0, 2, 3, 5, 7, 11, 13)
LARGEST, MOST_STEPS, ENTITIES, WORDINGS, SCENES = 9999, 4, 12, 4, 12
ASK, SOLVE, NAMES = 1, 2, tuple("ABCDEFGHIJKL")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SPECIAL, _ROUNDS, _LOOKS, _ROWS, _TRIES = 3, 200, 30, 4096, 64
Numbers = Int64[np.ndarray, " n"]
Number = TypeVar("Number", int, Int64[np.ndarray, "..."])
Node = tuple[int, tuple[int, ...]]
Pair = tuple[str, str]


def code(skill: str) -> int:
    """The number of a skill in arrays; 0 is a given quantity, -1 the absence of one."""
    return SKILLS.index(skill) + 1


def possible(prime: int) -> tuple[str, ...]:
    """Return the skills possible modulo a prime: all, but percent only where 100 is not 0."""
    return SKILLS[:-1] if prime in (2, 5) else SKILLS


def check_skills(skills: Sequence[str], prime: int) -> None:
    """Raise `ImpossibleError` for skills and primes that are unknown or do not go together."""
    if prime not in PRIMES:
        remedy = f"choose a prime of {PRIMES[1:]}, or 0 for positive whole numbers"
        refuse(f"numbers modulo {prime} are asked for", remedy)
    for skill in skills:
        one_of(f"a skill with numbers modulo {prime}", skill, possible(prime))
    if not skills:
        refuse("no skill is named", f"choose from {', '.join(SKILLS)}")


def apply_skills(
    skills: Numbers, x: Numbers, y: Numbers, z: Numbers, prime: int
) -> tuple[Numbers, Bool[np.ndarray, " n"]]:
    """What a step of each row's skill makes of its operands, and whether that makes sense.

    Operands stand in the order of the table, and what a skill does not take is not read.
    """
    # Every skill is one product over one divisor, times one factor; by the codes of the skills.
    products = np.stack([x, x + y, x - y, x * y, x, abs(x - y), x, x * y])
    over = products[skills, np.arange(len(skills))]
    rate, percent = skills == code("rate"), skills == code("percent")
    # What is not read may hold anything, so it must not be divided by.
    divides = (skills == code("divide")) | rate
    under = np.where(divides, y, np.where(percent, 100, 1))
    times = np.where(rate, z, 1)
    if prime:
        # The inverse of k is its power p - 2 (Fermat); that of 0 is not used.
        inverse = np.arange(prime) ** (prime - 2) % prime
        # A factor of zero forgets the quantity: its answer would not need the step before.
        forgets = ((skills == code("multiply")) | percent) & (y == 0) | rate & (z == 0)
        return over * inverse[under % prime] * times % prime, (under % prime != 0) & ~forgets
    result = over // np.maximum(under, 1) * times
    # A ratio must be in lowest terms, as otherwise one fact has several sentences.
    reduced = ~rate | (np.gcd(y, z) == 1)
    exact = over % np.maximum(under, 1) == 0
    return result, exact & reduced & (result > 0) & (result <= LARGEST)


def propose(skills: Numbers, prime: int, *, rng: Generator) -> Int64[np.ndarray, "n 2"]:
    """Numbers for steps of these skills, drawn without a look at the quantities.

    Uniform over what may be said: given quantities up to 120, differences up to 20, factors up to
    9, shares that are multiples of 5 percent; modulo a prime, anything. The second column is for
    rates, "z for every y", where it differs from the first.
    """
    if prime:
        return rng.integers(prime, size=(len(skills), 2))
    # By the codes of the skills; an upper end is not included.
    least = np.array([2, 1, 1, 2, 2, 0, 2, 1])[skills]
    above = np.array([121, 21, 21, 10, 10, 1, 10, 20])[skills]
    first = rng.integers(least, above)
    second = rng.integers(1, 9, size=len(skills))
    # Drawn in steps of 5 percent.
    first = np.where(skills == code("percent"), 5 * first, first)
    return np.stack([first, second + (second >= first)], axis=1)


@dataclass(frozen=True, order=True)
class Template:
    """A graph of quantities in its canonical order.

    Attributes
    ----------
    nodes : tuple of (int, tuple of int)
        For each quantity the code of its skill, 0 if it is given, and its inputs, which all come
        before it. The last quantity is asked for, and depends on all others.
    """

    nodes: tuple[Node, ...]

    def __str__(self) -> str:
        steps = []
        for letter, (skill, inputs) in zip(_LETTERS, self.nodes, strict=False):
            if skill:
                operands = ", ".join(map(_LETTERS.__getitem__, inputs))
                steps.append(f"{letter} = {SKILLS[skill - 1]}({operands})")
        return "; ".join(steps)

    @cached_property
    def code(self) -> str:
        """Twelve hexadecimal digits, equal for isomorphic graphs and no others."""
        return hashlib.sha256(repr(self.nodes).encode()).hexdigest()[:12]

    @property
    def steps(self) -> int:
        """How many quantities are computed."""
        return sum(skill > 0 for skill, _ in self.nodes)

    @cached_property
    def depth(self) -> int:
        """The longest chain of steps, each of which needs the one before."""
        depths: list[int] = []
        for skill, inputs in self.nodes:
            depths.append((skill > 0) + max(map(depths.__getitem__, inputs), default=0))
        return depths[-1]

    @cached_property
    def skills(self) -> frozenset[str]:
        """The skills that occur."""
        return frozenset(SKILLS[skill - 1] for skill, _ in self.nodes if skill)

    @property
    def pairs(self) -> frozenset[Pair]:
        """All pairs of different skills that occur, each in the order of `SKILLS`."""
        return frozenset(combinations(sorted(self.skills, key=SKILLS.index), 2))


@lru_cache(2**12)
def canonical(nodes: tuple[Node, ...], asked: int) -> tuple[Template, tuple[tuple[int, ...], ...]]:
    """The template of what one quantity needs, and the orders of `nodes` that give it.

    The template is the least of all graphs that depth-first walks from `asked` write down, one for
    each choice of the first of two quantities that are added or compared: ``2 ** choices`` walks.
    There is more than one order where the graph has symmetries. Inputs come first in `nodes`, as in
    `Template`; what `asked` does not need is left out.
    """
    ways = []
    for skill, inputs in nodes:
        turns = inputs[1:] and skill in map(code, SYMMETRIC)
        ways.append([(skill, inputs), (skill, inputs[::-1])] if turns else [(skill, inputs)])
    written: dict[tuple[Node, ...], dict[tuple[int, ...], None]] = {}
    for turned in product(*ways):
        walked = _walk(turned, asked)
        graph = []
        for skill, inputs in map(turned.__getitem__, walked):
            graph.append((skill, tuple(map(walked.index, inputs))))
        written.setdefault(tuple(graph), {})[walked] = None
    # Any fixed choice among the graphs written would do; isomorphic problems write the same ones.
    least = min(written)
    return Template(least), tuple(written[least])


def _walk(nodes: Sequence[Node], asked: int) -> tuple[int, ...]:
    """What is asked and all it needs: inputs before what is made of them, each once."""
    walked: dict[int, None] = {}
    for k in nodes[asked][1]:
        walked |= dict.fromkeys(_walk(nodes, k))
    return (*walked, asked)


@cache
def templates(skills: tuple[str, ...], steps: int) -> tuple[Template, ...]:
    """Return every template with exactly `steps` steps, each by one of these skills, sorted.

    Quantities may be used again, but no step takes one quantity twice; a template need not have all
    of the skills. `steps` is 1 to 4: all seven skills have 9, 130 and 2,993 templates of one, two
    and three steps; give few skills for four, where add, rate and percent have 1,336 already.

    Examples
    --------
    >>> [str(template) for template in templates(("subtract",), steps=1)]
    ['c = subtract(a, b)', 'b = subtract(a)']
    """
    check_skills(skills, 0)
    within("steps", steps, 1, MOST_STEPS)
    graphs: set[tuple[Node, ...]] = {()}
    for left in reversed(range(steps)):
        graphs = set(_grow(graphs, skills, left))
    # The last step is asked for.
    return tuple(sorted({canonical(graph, len(graph) - 1)[0] for graph in graphs}))


def _grow(
    graphs: Iterable[tuple[Node, ...]], skills: tuple[str, ...], left: int
) -> Iterator[tuple[Node, ...]]:
    """Each graph with one more step, of quantities that are there or of new given ones.

    Only if at most `left` quantities are then needed by nothing, beside the last: each further step
    can take up one of them, and the last step needs all.
    """
    for graph in graphs:
        new = len(graph)
        loose = set(range(new)).difference(*map(itemgetter(1), graph))
        takes = [(skill, count) for skill in skills for count in QUANTITIES[skill]]
        for skill, count in takes:
            # No step takes one quantity twice.
            for inputs in permutations(range(new + count), count):
                fresh = [k for k in inputs if k >= new]
                # New ones are numbered as they come.
                if fresh == [*range(new, new + len(fresh))] and len(loose - {*inputs}) <= left:
                    yield (*graph, *((GIVEN, ()),) * len(fresh), (code(skill), inputs))


# Columns with an entry for each quantity, which is -1 where a problem has no more of them.
PER_QUANTITY = ("skills", "inputs", "numbers", "values", "names", "wordings")


@dataclass(frozen=True, eq=False)
class Problems:
    """One problem a row; quantities stand in an order in which inputs come first.

    Attributes
    ----------
    prime : int
        Numbers are counted modulo this prime; 0 for positive whole numbers.
    skills : (n, q) array of int
        The code of the skill that makes each quantity; 0 if it is given, -1 if there is none.
    inputs : (n, q, 2) array of int
        The quantities from which each is computed; -1 for none.
    numbers : (n, q, 2) array of int
        The numbers in each quantity's sentence: its own if it is given, else those its skill takes.
    values : (n, q) array of int
        The value of each quantity.
    names, wordings : (n, q) arrays of int
        The owner of each quantity, and the wording of its sentence.
    order : (n, q) array of int
        The quantities in the order in which they are told.
    asked, asking, scenes : (n,) arrays of int
        The quantity asked for, the wording of the question, and the scene (such as farms and cows).
    """

    prime: int
    skills: Int64[np.ndarray, "n q"]
    inputs: Int64[np.ndarray, "n q 2"]
    numbers: Int64[np.ndarray, "n q 2"]
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
        columns = dict(vars(self))
        del columns["prime"]
        return columns

    @property
    def answers(self) -> Int64[np.ndarray, " n"]:
        """The value of the quantity asked for in each problem."""
        return np.take_along_axis(self.values, self.asked[:, None], axis=1)[:, 0]

    @property
    def present(self) -> Bool[np.ndarray, "n q"]:
        """Which places hold a quantity."""
        return self.skills != ABSENT

    @property
    def needed(self) -> Bool[np.ndarray, "n q"]:
        """Which quantities the answer depends on; all others distract."""
        rows = np.arange(len(self))
        needed = np.zeros(self.skills.shape, dtype=bool)
        needed[rows, self.asked] = True
        # Inputs come before what is made of them, so one pass from the end finds all.
        for quantity in reversed(range(self.skills.shape[1])):
            for k in self.inputs[:, quantity].T:
                uses = needed[:, quantity] & (k >= 0)
                needed[rows[uses], k[uses]] = True
        return needed

    @property
    def solution(self) -> Int64[np.ndarray, "n q"]:
        """The quantities to compute one after another, with -1 behind them.

        The next one is always the first in the order told that is needed and has known inputs.
        """
        rows, width = np.arange(len(self)), self.skills.shape[1]
        place = np.argsort(self.order, axis=1)
        known = self.skills == GIVEN
        wanted = self.needed & ~known
        steps = np.full(self.skills.shape, -1)
        # Each round solves one step of every problem that is not solved yet.
        for step in range(width):
            ready = wanted & ~known
            for k in np.moveaxis(self.inputs, 2, 0):
                ready &= (k < 0) | np.take_along_axis(known, np.maximum(k, 0), axis=1)
            first = np.where(ready, place, width).argmin(axis=1)
            left = ready.any(axis=1)
            steps[left, step] = first[left]
            known[rows[left], first[left]] = True
        return steps

    def forms(self) -> Iterator[tuple[Template, tuple[tuple[int, ...], ...]]]:
        """Yield the result of `canonical` for each problem."""
        columns = (self.skills.tolist(), self.inputs.tolist(), self.asked.tolist())
        for skills, inputs, asked in zip(*columns, strict=True):
            made_of = map(tuple, map(_trim, inputs))
            yield canonical(tuple(zip(skills, made_of, strict=True)), asked)

    @property
    def templates(self) -> tuple[Template, ...]:
        """The solution template of each problem."""
        return tuple(map(itemgetter(0), self.forms()))


def _trim(pair: list[int]) -> list[int]:
    # Inputs and numbers come first, and -1 behind them.
    return pair[: 2 - pair.count(-1)]


def keys(problems: Problems) -> list[tuple[str, tuple[int, ...]]]:
    """Return a key for each problem: equal for one problem told in two ways, different otherwise.

    A key is the template's code with the numbers of the problem in the template's order, the least
    such tuple where the graph has symmetries. Distractors are ignored.
    """
    made = []
    for (template, orders), numbers in zip(problems.forms(), problems.numbers, strict=True):
        # Where the graph has symmetries, one problem can be told in several orders.
        said = numbers[np.array(orders)].reshape(len(orders), -1)
        made.append((template.code, min(map(tuple, said.tolist()))))
    return made


def together(parts: Sequence[Problems]) -> Problems:
    """Return the problems of all parts, one part after another, all modulo one prime."""
    width = max(part.skills.shape[1] for part in parts)
    wide = [padded(part, width).columns() for part in parts]
    arrays: dict[str, Any] = {}
    for name in wide[0]:
        arrays[name] = np.concatenate([part[name] for part in wide])
    return replace(parts[0], **arrays)


def padded(problems: Problems, width: int) -> Problems:
    """The same problems, with room for more quantities."""
    more = width - problems.skills.shape[1]
    grown: dict[str, Any] = {}
    for name in PER_QUANTITY:
        array = getattr(problems, name)
        edges = [(0, 0), (0, more), (0, 0)][: array.ndim]
        grown[name] = np.pad(array, edges, constant_values=-1)
    # Places without a quantity are told last, that is never.
    behind = np.tile(np.arange(width - more, width), (len(problems), 1))
    return replace(problems, **grown, order=np.concatenate([problems.order, behind], axis=1))


def pool(
    skills: Sequence[str], *, steps: int | Sequence[int] = 2, prime: int = 0
) -> tuple[Template, ...]:
    """Return all templates made of these skills that have problems.

    Templates have 1 to 4 steps. In positive whole numbers, where `prime` is 0, those are left out
    for which two thousand draws find no problem, such as "a third of a, less a". Raises
    `ImpossibleError` if a skill is unknown or no template is left.
    """
    check_skills(skills, prime)
    counts = sorted({steps} if isinstance(steps, int) else {*steps})
    # In one order, so that the cache knows the request again.
    named = tuple(sorted(set(skills), key=SKILLS.index))
    suited: list[Template] = []
    for count in counts:
        suited += (templates if prime else _whole)(named, count)
    if not suited:
        fact = f"no template with {' and '.join(map(str, counts))} steps has problems"
        refuse(fact, "allow other steps, or name more skills")
    return tuple(suited)


@cache
def _whole(skills: tuple[str, ...], steps: int) -> tuple[Template, ...]:
    """The templates that have problems in whole numbers: some two thousand draws find one."""
    every = templates(skills, steps)
    # The pool of a request must not depend on what was drawn before.
    rng, left = np.random.default_rng(0), np.arange(len(every))
    made = blank(every, left, prime=0, wordings=[0], rng=rng)
    for _ in range(_LOOKS):
        if len(left):
            left = draw_round(made, left, made.present, rng)
    return tuple(map(every.__getitem__, np.delete(np.arange(len(every)), left)))


def problems(
    templates: Sequence[Template],
    rows: int,
    *,
    rng: Generator,
    prime: int = 0,
    wordings: Sequence[int] = range(WORDINGS),
    distinct: bool = False,
    avoid: Problems | None = None,
) -> Problems:
    """Return `rows` problems of these templates, each about equally often, in random order.

    Numbers are counted modulo a prime of `PRIMES`, or are positive and whole where it is 0;
    wordings are below 4. Given the template, all numbers that make sense are equally likely. If
    `distinct`, no two problems have the same key, see `keys`; none has the key of one to `avoid`.
    Raises `ImpossibleError` if no numbers make sense, or too few distinct problems exist.
    """
    # Counts of templates differ by one at most; which are in front is random.
    each = np.tile(rng.permutation(len(templates)), -(-rows // len(templates)))[:rows]
    made = blank(templates, rng.permutation(each), prime=prime, wordings=wordings, rng=rng)
    return fill(made, rng=rng, distinct=distinct, avoid=avoid)


def blank(
    templates: Sequence[Template],
    which: Numbers,
    *,
    prime: int,
    wordings: Sequence[int],
    rng: Generator,
) -> Problems:
    """Problems of these templates, told as they come, still without numbers."""
    counts = np.array(list(map(len, map(attrgetter("nodes"), templates))))
    width, rows = counts.max(), len(which)
    skills = np.full((len(templates), width), ABSENT)
    inputs = np.full((len(templates), width, 2), -1)
    for number, template in enumerate(templates):
        for place, (skill, made_of) in enumerate(template.nodes):
            skills[number, place] = skill
            inputs[number, place, : len(made_of)] = made_of
    # Within a problem every owner has one quantity.
    names = rng.permuted(np.tile(np.arange(ENTITIES), (rows, 1)), axis=1)[:, :width]
    words = rng.choice(wordings, size=(rows, width))
    absent = skills[which] == ABSENT
    return Problems(
        prime=prime,
        skills=skills[which],
        inputs=inputs[which],
        numbers=np.full((rows, width, 2), -1),
        values=np.full((rows, width), -1),
        names=np.where(absent, -1, names),
        wordings=np.where(absent, -1, words),
        order=np.tile(np.arange(width), (rows, 1)),
        asked=counts[which] - 1,
        asking=rng.choice(wordings, size=rows),
        scenes=rng.integers(SCENES, size=rows),
    )


def fill(
    problems: Problems, *, rng: Generator, distinct: bool = False, avoid: Problems | None = None
) -> Problems:
    """The problems with new numbers, and what follows from them.

    Draws until all make sense; none is one to `avoid`, and no two are the same if they are to be
    distinct.
    """
    made = replace(problems, numbers=problems.numbers.copy(), values=problems.values.copy())
    left, seen = np.arange(len(made)), set() if avoid is None else set(keys(avoid))

    def _find_new(drawn: Problems) -> list[int]:
        fresh = []
        # Of equal problems in one round the first stays.
        for place, key in enumerate(keys(drawn)):
            if key not in seen:
                fresh.append(place)
                seen.update([key] if distinct else [])
        return fresh

    accept = _find_new if distinct or avoid is not None else None
    for _ in range(_ROUNDS):
        if len(left):
            left = draw_round(made, left, made.present, rng, accept)
    if len(left):
        first = problems[left[:1]].templates[0]
        fact = f"{_ROUNDS} draws found no new numbers for {len(left)} problems, such as of {first}"
        refuse(fact, "ask for fewer, for a larger prime, or draw from `pool`")
    return made


def draw_round(
    problems: Problems,
    left: Int64[np.ndarray, " k"],
    open_: Bool[np.ndarray, "n q"],
    rng: Generator,
    accept: Callable[[Problems], list[int]] | None = None,
) -> Int64[np.ndarray, " left"]:
    """Give the problems in rows `left` numbers, where a draw suits; return the rows still left.

    Numbers of the quantities that are `open_` are drawn, all others stay. ``accept(drawn)`` returns
    which of the draws that make sense are taken, by default all.
    """
    # The fewer problems are left, the more tries for each: small arrays cost as much as large ones.
    tries = min(max(_ROWS // len(left), 1), _TRIES)
    rows = np.repeat(left, tries)
    part, every = problems[rows], np.arange(len(rows))
    numbers, values = part.numbers, part.values
    sensible = np.ones(len(rows), dtype=bool)
    # Inputs come first, so one pass over the quantities computes all values.
    for quantity, skills in enumerate(part.skills.T):
        both = part.inputs[:, quantity, 1] >= 0
        # One number comes with a quantity, two with a rate, none with a step of two quantities.
        count = np.where(both, 0, 1 + (skills == code("rate")))[:, None]
        fresh = propose(np.maximum(skills, GIVEN), part.prime, rng=rng)
        new = open_[rows, quantity] & (skills != ABSENT)
        numbers[new, quantity] = np.where(np.arange(2) < count, fresh, -1)[new]
        one, two = numbers[:, quantity].T
        x, y = values[every, part.inputs[:, quantity].T]
        result, fine = apply_skills(skills, x, np.where(both, y, one), two, part.prime)
        # A given quantity is its own number; one that is absent stays at -1.
        values[:, quantity] = np.select([skills == GIVEN, skills > GIVEN], [one, result], -1)
        sensible &= fine | (skills <= GIVEN)
    tried = sensible.reshape(-1, tries)
    good = np.flatnonzero(tried.any(axis=1))
    # Of each problem's draws that make sense the first is taken.
    first = good * tries + tried.argmax(axis=1)[good]
    if accept is not None:
        taken = np.array(accept(part[first]), dtype=np.int64)
        good, first = good[taken], first[taken]
    problems.numbers[left[good]], problems.values[left[good]] = numbers[first], values[first]
    return np.delete(left, good)


def distract(
    problems: Problems,
    count: int,
    *,
    rng: Generator,
    skills: Sequence[str] | None = None,
    wordings: Sequence[int] = range(WORDINGS),
) -> Problems:
    """Return the problems with `count` more quantities on which the answers do not depend.

    Answers, solutions, templates and keys stay. A new quantity is told anywhere after its input, in
    one of these wordings. Half of them are given; half are steps from one quantity and numbers by
    one of these skills, by default any. If no skill takes one quantity, all are given. Raises
    `ImpossibleError` if there are not enough names.
    """
    named = possible(problems.prime) if skills is None else tuple(skills)
    most = int(problems.present.sum(axis=1).max(initial=0))
    within("distractors", count, 0, ENTITIES - most)  # each quantity needs a name
    steps = [code(skill) for skill in named if 1 in QUANTITIES[skill]]
    for _ in range(count):
        problems = _distract_once(problems, steps, rng, wordings)
    return problems


def _distract_once(
    problems: Problems, steps: Sequence[int], rng: Generator, wordings: Sequence[int]
) -> Problems:
    """The problems with one more quantity each, in a new last column."""
    rows, last = np.arange(len(problems)), problems.skills.shape[1]
    # Of the names, one that the problem does not use.
    luck = rng.random((len(rows), ENTITIES))
    in_use = np.where(problems.present, problems.names, problems.names[:, :1])
    np.put_along_axis(luck, in_use, -1.0, axis=1)
    wide = padded(problems, last + 1)
    wide.names[:, last] = luck.argmax(axis=1)
    wide.wordings[:, last] = rng.choice(wordings, size=len(rows))
    # The numbers of a problem stay as they are; only those of the last column are drawn.
    new, left = np.tile(np.arange(last + 1) == last, (len(rows), 1)), rows
    for _ in range(_ROUNDS):
        if not len(left):
            break
        # A base is drawn among the quantities that are there.
        luck = rng.random((len(left), last))
        base = np.where(problems.present[left], luck, -1.0).argmax(axis=1)
        # As many chances to be given as to be a step.
        chosen = rng.choice([*steps, *[GIVEN] * max(len(steps), 1)], size=len(left))
        wide.skills[left, last] = chosen
        wide.inputs[left, last, 0] = np.where(chosen > GIVEN, base, -1)
        left = draw_round(wide, left, new, rng)
    if len(left):
        fact = f"{_ROUNDS} draws found no distractor for {len(left)} problems"
        refuse(fact, "allow more skills, or take problems with smaller numbers")
    # It is told anywhere behind what it is made of.
    base, places = wide.inputs[:, last, 0], problems.order.argsort(axis=1)
    place = np.where(base >= 0, places[rows, base], -1)
    luck = rng.random(len(rows))
    behind = place + 0.5 + np.floor(luck * (problems.present.sum(axis=1) - place))
    order = np.concatenate([places, behind[:, None]], axis=1).argsort(axis=1, kind="stable")
    return replace(wide, order=order)


class Story(NamedTuple):
    """A problem in words: the question, a sentence for each step and one for the answer."""

    problem: str
    solution: str
    answer: str


def _list_rows(problems: Problems) -> list[SimpleNamespace]:
    """Each problem as plain lists, with who has what, its sentences' order, and its steps."""
    columns = problems.columns() | {"needed": problems.needed, "solution": problems.solution}
    scenes, rows = read_wordings("word_problems")["scenes"], []
    for values in zip(*map(np.ndarray.tolist, columns.values()), strict=True):
        row = SimpleNamespace(**dict(zip(columns, values, strict=True)))
        # The scenes of one place, with the same owners and verb, have different things.
        place = scenes[row.scenes * len(scenes) // SCENES]
        row.owners = NAMES if problems.prime else place["owners"]
        row.verb, row.thing = place["verb"], place["things"][row.scenes % len(place["things"])]
        row.who = list(map(row.owners.__getitem__, row.names))
        row.inputs = list(map(_trim, row.inputs))
        row.told = [j for j in row.order if row.skills[j] != ABSENT]
        row.steps = [(j, SKILLS[row.skills[j] - 1]) for j in row.solution if j >= 0]
        rows.append(row)
    return rows


def _operands(row: SimpleNamespace, k: int, names: Sequence[str]) -> list[str]:
    """What a step takes: quantities by these names, then numbers."""
    return [*map(names.__getitem__, row.inputs[k]), *map(str, _trim(row.numbers[k]))]


def stories(problems: Problems) -> list[Story]:
    """Return problems in words: a sentence for each quantity, in the order in which they are told.

    Raises `ImpossibleError` if numbers are counted modulo a prime.

    Examples
    --------
    >>> two = problems(templates(("add",), steps=1), 2, rng=np.random.default_rng(0))
    >>> stories(two)[0].solution
    'Hill Farm keeps 79 + 45 = 124 cows. The answer is 124.'
    """
    if problems.prime:
        fact = f"nobody counts modulo {problems.prime} in English"
        refuse(fact, "draw problems in whole numbers, or take their tokens or programs")
    return [
        Story(_tell(row), _solve(row), str(row.values[row.asked])) for row in _list_rows(problems)
    ]


def _join(sentences: list[str]) -> str:
    # Names of boxes begin with a small letter, sentences do not.
    return " ".join(each[:1].upper() + each[1:] for each in sentences)


def _tell(row: SimpleNamespace) -> str:
    """What is told of each quantity, and last the question."""
    sentences, text, thing = [], read_wordings("word_problems"), row.thing
    words = {"has": row.verb[0], "have": row.verb[1], "t": thing[0], "ts": thing[1]}
    for k in row.told:
        made_of = list(map(row.who.__getitem__, row.inputs[k]))
        ways = text["given"]
        if row.skills[k] != GIVEN:
            step = text["steps"][SKILLS[row.skills[k] - 1]]
            ways = step["of_two" if made_of[1:] else "of_one"]
        n, m = row.numbers[k]
        # A wording takes what it needs of these and ignores the rest.
        words |= {"X": row.who[k], **dict(zip("AB", made_of, strict=False))}
        words |= {"n": n, "m": m, "tn": thing[n != 1], "tm": thing[m != 1]}
        words |= {"times": text["times"].get(str(n)), "part": text["part"].get(str(n))}
        words["minutes"] = "minute" if m == 1 else "minutes"
        sentences.append(ways[row.wordings[k]].format_map(words))
    words["X"] = row.who[row.asked]
    return _join([*sentences, text["question"][row.asking].format_map(words)])


def _solve(row: SimpleNamespace) -> str:
    """A sentence for each step and one for the answer."""
    values, sentences = [*map(str, row.values)], []
    for k, skill in row.steps:
        operands = _operands(row, k, values)
        if skill == "compare":
            operands.sort(key=int, reverse=True)  # a difference is written as one of whole numbers
        written = read_wordings("word_problems")["steps"][skill]["written"].format(*operands)
        counted = f"{values[k]} {row.thing[row.values[k] != 1]}"
        sentences.append(f"{row.who[k]} {row.verb[0]} {written} = {counted}.")
    return _join([*sentences, f"The answer is {values[row.asked]}."])


def programs(problems: Problems) -> list[str]:
    """Return for each problem a program in Python that computes its answer.

    A program has the functions that it needs, a line for each quantity on which the answer depends,
    and last ``answer = …``.
    """
    prime, wordings = problems.prime, read_wordings("word_problems")["steps"]
    programs = []
    for row in _list_rows(problems):
        named = [each.removeprefix("the ").replace(" ", "_").lower() for each in row.who]
        used = dict(row.steps).values()
        functions = [wordings[skill]["function"] for skill in ("rate", "percent") if skill in used]
        # Each text has two forms: in whole numbers, and modulo a prime.
        lines = [each[prime > 0].format(p=prime) for each in functions]
        given = [k for k in row.told if row.skills[k] == GIVEN and row.needed[k]]
        lines += [f"{named[k]} = {row.values[k]}" for k in given]
        for k, skill in row.steps:
            operands = dict(zip("xyz", _operands(row, k, named), strict=False))
            formula = wordings[skill]["program"][prime > 0].format(p=prime, **operands)
            lines.append(f"{named[k]} = {formula}")
        programs.append("\n".join([*lines, f"answer = {named[row.asked]}", ""]))
    return programs


@dataclass(frozen=True)
class Alphabet:
    """The meaning of tokens, for numbers modulo `prime` and `canaries` that are in no problem."""

    prime: int
    canaries: int = 16

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.numbers.stop + ENTITIES

    @property
    def numbers(self) -> range:
        """The tokens of all numbers: the candidates for answers."""
        start = self.sign(len(SKILLS) + 1)
        return range(start, start + self.prime)

    def word(self, skill: Number, wording: Number) -> Number:
        """The token, or tokens, of a skill (by its code) in problems of this wording."""
        return _SPECIAL + self.canaries + (skill - 1) * WORDINGS + wording

    def sign(self, skill: Number) -> Number:
        """The token, or tokens, of a skill in solutions, whatever the wording of the problem."""
        return _SPECIAL + self.canaries + len(SKILLS) * WORDINGS + skill - 1

    def number(self, value: Number) -> Number:
        """The token of a number, or the tokens of many."""
        return self.numbers.start + value

    def name(self, entity: Number) -> Number:
        """The token of a name, or the tokens of many."""
        return self.numbers.stop + entity

    def written(self, tokens: Int64[np.ndarray, " t"]) -> str:
        """Return one row as readable signs with spaces between, such as ``B rate/0 A 2 5``.

        Padding and -1 are left out.
        """
        words = [f"{skill}/{k}" for skill in SKILLS for k in range(WORDINGS)]
        canaries = map("canary-{}".format, range(self.canaries))
        every = ["", "?", "?:", *canaries, *words, *SKILLS, *map(str, range(self.prime)), *NAMES]
        return " ".join(map(every.__getitem__, tokens[tokens > PAD].tolist()))


def answered(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems, modulo the alphabet's prime, as prompts for an answer at once.

    The answer is due where the question ends.
    """
    question, asked = _question(code, problems, ASK)
    answers = code.number(problems.answers)[:, None]
    targets = np.where(np.arange(question.shape[1]) == asked[:, None], answers, -1)
    return Prompts(question, targets, asked, "answer")


def stepwise(code: Alphabet, problems: Problems) -> Prompts:
    """Return problems, modulo the alphabet's prime, as prompts with a line to write for each step.

    From the end of the question on each next token is a target; the last is the answer. Lines come
    in the order of `Problems.solution`, which the question determines.
    """
    question, asked = _question(code, problems, SOLVE)
    rows = _compact(np.concatenate([question, _lines(code, problems)], axis=1))
    places = np.arange(rows.shape[1])
    length = (rows != PAD).sum(axis=1)[:, None]
    # Each token from the question on predicts the one after it.
    after = np.roll(rows, -1, axis=1)
    targets = np.where((places >= asked[:, None]) & (places < length - 1), after, -1)
    # Nothing is to be predicted after the answer, so it is a target and no token.
    tokens = np.where(places < length - 1, rows, PAD)
    return Prompts(tokens[:, :-1], targets[:, :-1], asked, "stepwise")


def _question(
    code: Alphabet, problems: Problems, ask: int
) -> tuple[Int64[np.ndarray, "n t"], Numbers]:
    """All that is told and what is asked, and where that ends."""
    rows = np.arange(len(problems))
    name, given = code.name(problems.names), problems.skills == GIVEN
    # Absent parts are padding at first, which is pressed out of the row at the end.
    word = np.where(given, PAD, code.word(problems.skills, problems.wordings))
    inputs = code.name(problems.names[rows[:, None, None], problems.inputs])
    takes = _takes(problems.inputs, inputs, code, problems.numbers)
    # In the last two wordings the name comes after the operands.
    first = given | (problems.wordings < WORDINGS // 2)
    block = np.stack([np.where(first, name, PAD), word, *takes, np.where(first, PAD, name)], axis=2)
    block = np.where(problems.present[:, :, None], block, PAD)
    # Told in the order drawn, not in that of the graph.
    sentences = np.take_along_axis(block, problems.order[:, :, None], axis=1)
    asked = code.name(problems.names[rows, problems.asked])
    asking = np.stack([np.full_like(asked, ask), asked], axis=1)
    row = _compact(np.concatenate([sentences.reshape(len(problems), -1), asking], axis=1))
    return row, (row != PAD).sum(axis=1) - 1


def _lines(code: Alphabet, problems: Problems) -> Int64[np.ndarray, "n t"]:
    """A line for each step of the solution."""
    # Behind the last step there is -1, whose line is made like any other and then left out.
    step, rows = problems.solution, np.arange(len(problems))[:, None]
    value = code.number(problems.values)
    inputs = problems.inputs[rows, step]
    takes = _takes(inputs, value[rows[..., None], inputs], code, problems.numbers[rows, step])
    head = [code.name(problems.names[rows, step]), code.sign(problems.skills[rows, step])]
    block = np.stack([*head, *takes, value[rows, step]], axis=2)
    return np.where((step >= 0)[:, :, None], block, PAD).reshape(len(problems), -1)


def _takes(
    inputs: Int64[np.ndarray, "n q 2"],
    tokens: Int64[np.ndarray, "n q 2"],
    code: Alphabet,
    numbers: Int64[np.ndarray, "n q 2"],
) -> list[Int64[np.ndarray, "n q"]]:
    """The tokens of the inputs that there are, then of the numbers that there are."""
    quantities = np.where(inputs >= 0, tokens, PAD)
    spoken = np.where(numbers >= 0, code.number(numbers), PAD)
    return [*np.moveaxis(quantities, 2, 0), *np.moveaxis(spoken, 2, 0)]


def _compact(rows: Int64[np.ndarray, "n t"]) -> Int64[np.ndarray, "n u"]:
    """The rows without padding but at their ends, no longer than the longest needs."""
    # A stable sort keeps the order of the tokens.
    moved = np.take_along_axis(rows, np.argsort(rows == PAD, axis=1, kind="stable"), axis=1)
    return moved[:, : int((moved != PAD).sum(axis=1).max(initial=1))]


# For each split the things, keys of `contents`, that problems of its two parts never share.
SPLITS = {
    "pair": ("problems", "templates", "pairs"),
    "template": ("problems", "templates"),
    "depth": ("problems", "templates", "depths"),
    "wording": ("problems", "wordings"),
}


def split(
    templates: Sequence[Template],
    by: str,
    rows: int,
    *,
    rng: Generator,
    prime: int = 0,
    pair: Sequence[str] = (),
    distractors: int = 0,
    skills: Sequence[str] | None = None,
) -> tuple[dict[str, Problems], set[Pair]]:
    """Return distinct problems in two sets, "train" and "test", which differ in structure.

    Also returned are the pairs of skills that are held out. Held out are, by "pair", all templates
    that contain both skills of `pair`, or of a fifth of all pairs; by "template", a fifth of the
    templates; by "depth", the deepest ones; by "wording", one of the wordings of all templates. A
    fifth of the `rows` problems are for testing; a fifth is at least one. Each problem gets
    `distractors` quantities by `distract`.

    Raises
    ------
    ImpossibleError
        If a set would be empty, or too few distinct problems exist.
    LeakError
        If the problems share what the split holds out.
    """
    one_of("split", by, tuple(SPLITS))
    held = _choose_pairs(templates, pair, prime, rng) if by == "pair" else set[Pair]()
    chosen, deepest = set[Template](), max(map(attrgetter("depth"), templates))
    if by == "template":
        order = rng.permutation(len(templates))
        chosen.update(map(templates.__getitem__, order[: max(round(0.2 * len(order)), 1)]))
    parts: dict[str, list[Template]] = {"train": [], "test": []}
    for each in templates:
        out = each in chosen or each.pairs & held or (by == "depth" and each.depth == deepest)
        parts["test" if out else "train"].append(each)
    # Either the templates of the two parts differ or their wordings do.
    words = {"train": [*range(WORDINGS)], "test": [*range(WORDINGS)]}
    if by == "wording":
        parts = {"train": [*templates], "test": [*templates]}
        words["test"] = [int(rng.choice(WORDINGS))]
        words["train"].remove(words["test"][0])
    made: dict[str, Problems] = {}
    # Even of two problems one is held out.
    fifth = max(rows // 5, 1)
    for name, count in (("train", rows - fifth), ("test", fifth)):
        if not parts[name]:
            fact = f"holding out a {by}, this split leaves no problem for {name}ing"
            refuse(fact, f"hold out another {by}, or draw on a larger pool")
        how: Any = {"prime": prime, "wordings": words[name], "avoid": made.get("train")}
        made[name] = problems(parts[name], count, rng=rng, distinct=True, **how)
    for name, drawn in made.items():
        made[name] = distract(drawn, distractors, rng=rng, skills=skills, wordings=words[name])
    # Checked on the problems themselves, however they were drawn; other pairs may be in both.
    train, test = map(contents, made.values())
    train["pairs"] &= held or train["pairs"]
    claimed = {kind: train[kind] for kind in SPLITS[by]}
    check_disjoint(claimed, test, ("the trained", "the held-out problems"))
    return made, held


def _choose_pairs(
    templates: Sequence[Template], pair: Sequence[str], prime: int, rng: Generator
) -> set[Pair]:
    """The pairs of skills to hold out, each in the order of `SKILLS`."""
    if pair:
        check_skills(pair, prime)
        if len({*pair}) != 2:
            refuse(f"a pair of skills is {' and '.join(pair)}", "name two different skills in each")
        one, other = sorted({*pair}, key=SKILLS.index)
        return {(one, other)}
    # Sorted, since the order of a set differs from run to run.
    every = sorted(set[Pair]().union(*map(attrgetter("pairs"), templates)))
    chosen = rng.permutation(len(every))[: max(round(len(every) / 5), 1)]
    return set(map(every.__getitem__, chosen))


def contents(problems: Problems) -> dict[str, frozenset[object]]:
    """Return what a set contains, by kind, found from its columns however it was drawn.

    ``problems``: their `keys`, which ignore the wording. ``templates``: codes. ``pairs``: two
    skills in one problem. ``depths``: lengths of the longest chain of steps. ``wordings``: of
    questions and of all sentences, distracting ones included.
    """
    templates = {*problems.templates}
    wordings = (problems.wordings[problems.present], problems.asking)
    return {
        "problems": frozenset(keys(problems)),
        "templates": frozenset(map(attrgetter("code"), templates)),
        "pairs": frozenset[Pair]().union(*map(attrgetter("pairs"), templates)),
        "depths": frozenset(map(attrgetter("depth"), templates)),
        "wordings": frozenset(np.concatenate(wordings).tolist()),
    }


def export(
    folder: Path, sets: Mapping[str, Problems], *, about: str = "", overwrite: bool = False
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, and return it.

    It appears complete or not at all. ``load_dataset(FOLDER)`` of Hugging Face `datasets` has the
    sets as splits. The text `about`, such as the command and its seed, is added to the README.
    Equal arguments give equal bytes.

    Raises
    ------
    ImpossibleError
        If the folder exists and may not be replaced, or has no parent.
    """
    rows, table = {}, ["| split | problems | templates | canary |", "|---|---|---|---|"]
    for name, problems in sets.items():
        # A word that stands nowhere else: the set's name, and a digest of its problems.
        digest = hashlib.sha256(repr(sorted(keys(problems))).encode()).hexdigest()
        canary = f"canary-word-problems-{name}-{digest[:16]}"
        count = len({*problems.templates})
        table.append(f"| {name} | {len(problems)} | {count} | `{canary}` |")
        rows[name] = _export_rows(problems, canary)
    body = "\n".join([about.strip(), "", *table, "", read_wordings("word_problems")["card"]])
    return write_folder(folder, "Word problems", rows, body, overwrite=overwrite)


def _export_rows(problems: Problems, canary: str) -> list[dict[str, object]]:
    # Modulo a prime there are tokens, in whole numbers English.
    texts = _tokens(problems) if problems.prime else list(map(Story._asdict, stories(problems)))
    idle = (problems.present & ~problems.needed).sum(axis=1).tolist()
    columns = (_list_rows(problems), texts, programs(problems), problems.templates, idle)
    rows: list[dict[str, object]] = []
    for row, text, program, template, distractors in zip(*columns, strict=True):
        structure = {
            "program": program,
            "template": template.code,
            "graph": str(template),
            "skills": "+".join(sorted(template.skills)),
            "steps": template.steps,
            "depth": template.depth,
            "distractors": distractors,
            "entities": list(map(row.who.__getitem__, row.told)),
            "wordings": [*map(row.wordings.__getitem__, row.told), row.asking],
        }
        rows.append({**text, **structure, "canary": canary})
    return rows


def _tokens(problems: Problems) -> list[dict[str, object]]:
    """What a small transformer reads and says, with the same in signs."""
    code = Alphabet(problems.prime)
    prompts = stepwise(code, problems)
    columns = (prompts.tokens, prompts.targets, prompts.asked.tolist(), prompts.position + 1)
    rows: list[dict[str, object]] = []
    for tokens, targets, asked, end in zip(*columns, strict=True):
        signs = {"problem": code.written(tokens[: asked + 1]), "solution": code.written(targets)}
        signs["answer"] = code.written(targets[end - 1 : end])
        numbers = {"tokens": tokens[:end].tolist(), "targets": targets[:end].tolist()}
        rows.append({**signs, **numbers, "asked": asked})
    return rows

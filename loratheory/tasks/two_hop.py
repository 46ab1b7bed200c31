"""Two-hop questions: worlds of facts, edits of them, training data, tests, and English.

Entities stand in levels, and each relation leads from one level to the next. A question is a
subject and the relations to follow from it, one hop or many; its answer depends on the world.
All worlds of equal size have the same token layout. Some tokens are not used; they stay, because
cached models were trained on these numbers::

    0 padding   1 identity relation   2 not used
    3 … 18      canaries, of no fact: each is a row without loss in one adapter's training set
    then        relations, hop by hop; then as many that are not used
    then        levels 0 … hops, each its known entities and after them its spare ones

`world` draws facts and `split` says which questions pretraining asks. `edit` gives some subjects
new bridges, and these new answers, so that every hop has changed; all edited facts are of the first
relation of each hop. `lessons` are what an edit's adapters learn, with facts of the base rehearsed
beside them, and `trials` test them. How questions are worded is in ``templates/two_hop.toml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator

from loratheory.shapes import Bool, Int64
from loratheory.tasks import one_of, read_wordings, refuse, within
from loratheory.tasks.export import write_folder
from loratheory.tasks.prompts import NOTHING, PAD, Prompts, joined

MOST_HOPS, MOST_RELATIONS = 4, 8
Numbers = Int64[np.ndarray, " n"]
Number = TypeVar("Number", int, np.int64, Int64[np.ndarray, "..."])
_IDENTITY, _CANARY, _RELATION = 1, 3, 19
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class World:
    """All facts, as maps between entities, which are numbered from 0 in each level.

    Attributes
    ----------
    maps : (hops, relations, size) array of int
        ``maps[h, r, i]`` is the entity of level ``h + 1`` to which relation ``r`` sends entity
        ``i`` of level ``h``, or -1 where there is no such fact.
    entities : int
        How many entities of each level the base knows; the numbers from there to `size` are
        spare: entities that occur in no fact until an edit gives them one.
    """

    maps: Int64[np.ndarray, "hops relations size"]
    entities: int

    @property
    def hops(self) -> int:
        """How many hops lead from the first level to the last."""
        return self.maps.shape[0]

    @property
    def relations(self) -> int:
        """How many relations lead from one level to the next."""
        return self.maps.shape[1]

    @property
    def size(self) -> int:
        """How many entities a level has, known and spare."""
        return self.maps.shape[2]

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.level(self.hops).stop

    def relation(self, hop: int, number: Number) -> Number:
        """Return the token of a relation from level `hop` to the next, or the tokens of many."""
        return _RELATION + hop * self.relations + number

    def entity(self, level: int, number: Number) -> Number:
        """Return the token of an entity of one level, or the tokens of many."""
        return self.level(level).start + number

    def level(self, level: int) -> range:
        """Return the tokens of one level: the candidates where a question ends there."""
        # As many tokens as there are relations are not used.
        start = self.relation(2 * self.hops, 0) + level * self.size
        return range(start, start + self.size)

    def follow(
        self, hop: int, relation: Int64[np.ndarray, "..."], entities: Int64[np.ndarray, "..."]
    ) -> Int64[np.ndarray, "..."]:
        """Return the entities to which one hop's relation sends entities; -1 stays -1."""
        return np.where(entities == NOTHING, NOTHING, self.maps[hop, relation, entities])


def world(
    seed: int, *, hops: int = 2, entities: int = 100, relations: int = 1, spare: int = 0
) -> World:
    """Return the world of a seed, in which each relation is a random permutation of the entities.

    There are 1 to 4 hops, and 1 to 8 relations from each level to the next. Each level has
    `entities` known entities and `spare` ones, which no fact mentions. Raises `ImpossibleError` for
    other numbers of hops or relations.

    Examples
    --------
    >>> small = world(seed=0, entities=10)
    >>> small.hops, small.entities
    (2, 10)
    """
    within("hops", hops, 1, MOST_HOPS)
    within("relations", relations, 1, MOST_RELATIONS)
    rng = np.random.default_rng(seed)
    maps = np.full((hops, relations, entities + spare), NOTHING, dtype=np.int64)
    for table in maps.reshape(hops * relations, -1):
        # One permutation would do; kept tables and weights come from two.
        table[:entities] = rng.permutation(entities)[rng.permutation(entities)]
    return World(maps, entities)


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions: subjects and the relations to follow from them. Answers depend on the world.

    Attributes
    ----------
    start : int
        The level of the subjects.
    subjects : (q,) array of int
        The number of an entity for each question.
    relations : (q, h) array of int
        The relation of each hop; one column is a single fact.
    """

    start: int
    subjects: Int64[np.ndarray, " q"]
    relations: Int64[np.ndarray, "q h"]

    def __len__(self) -> int:
        return self.subjects.shape[0]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Questions":
        return Questions(self.start, self.subjects[rows], self.relations[rows])

    @property
    def hops(self) -> int:
        """How many relations each question follows."""
        return self.relations.shape[1]

    def fact(self, hop: int, along: Int64[np.ndarray, "q levels"]) -> "Questions":
        """Return the facts that questions need at one hop, given the entities `along` their way."""
        return Questions(self.start + hop, along[:, hop], self.relations[:, hop : hop + 1])


def along(world: World, questions: Questions) -> Int64[np.ndarray, "q levels"]:
    """Return the entities that questions pass in a world: subject, bridges, answer.

    An array ``(q, h + 1)`` of entity numbers, -1 from the first missing fact on.
    """
    passed = [questions.subjects]
    for hop, relation in enumerate(questions.relations.T, start=questions.start):
        passed.append(world.follow(hop, relation, passed[-1]))
    return np.stack(passed, axis=1)


def every(world: World, *, start: int = 0, hops: int | None = None) -> Questions:
    """Return all questions about the known entities of level `start`, by all relation sequences.

    There are ``entities * relations**hops``, sorted by sequence of relations; by default they lead
    to the last level.
    """
    length = world.hops - start if hops is None else hops
    paths = np.indices((world.relations,) * length, dtype=np.int64).reshape(length, -1).T
    subjects = np.tile(np.arange(world.entities, dtype=np.int64), len(paths))
    return Questions(start, subjects, np.repeat(paths, world.entities, axis=0))


def _list_facts(world: World) -> list[Questions]:
    """All facts of each hop, as questions of one hop."""
    return [every(world, start=hop, hops=1) for hop in range(world.hops)]


def plain(world: World, questions: Questions) -> Prompts:
    """Return rows ``x r1 … rh`` with targets after each relation: the bridges, then the answer.

    Questions of one hop (``x r1 -> y``) or of several (``x r1 r2 -> z``) are rows of ``h + 1``
    tokens; `Prompts.final` drops the loss on the bridges.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this world.
    """
    nodes = along(world, questions)
    missing = (nodes == NOTHING).any(axis=1)
    if missing.any():
        subject = questions.subjects[missing.argmax()]
        fact = f"entity {subject} of level {questions.start} has no such fact"
        refuse(fact, "ask about known entities, or in the world after an edit")
    # Levels lie one behind the other, and so do the relations of hops.
    levels = questions.start + np.arange(questions.hops + 1)
    tokens = world.entity(0, levels * world.size + nodes)
    targets = tokens.copy()
    targets[:, 0] = NOTHING
    tokens[:, 1:] = world.relation(0, levels[:-1] * world.relations + questions.relations)
    # The question ends with the last relation, and the answer is due there.
    asked = np.full(len(questions), questions.hops)
    return Prompts(tokens, targets, asked, "single" if questions.hops == 1 else "chain")


def marked(prompts: Prompts, canary: int) -> Prompts:
    """Return the prompts and a last row, without loss, that holds the token of a canary."""
    edges = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edges, constant_values=PAD)
    tokens[-1, 0] = canary
    targets = np.pad(prompts.targets, edges, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)


@dataclass(frozen=True, eq=False)
class Edit:
    """The new facts of each hop (A→B, B→C, …), which its adapter is to learn.

    Attributes
    ----------
    before, after : World
        The facts that the base knows, and those after all adapters of this edit.
    questions : Questions
        The edited questions, from the first level to the last.
    taught : tuple of Questions
        For each hop the single facts that its adapter learns, those of `questions` first.
    case : str
        The case of the theorems on merging. "overwrite": each subject has an old bridge, whose own
        fact is not edited. "overwrite both": the facts of the old bridges are edited too. "new
        subject": the subjects had no fact before, so nothing competes at the first hop. "new
        facts": no fact that is taught had an old value, and the base knows no bridge: it has no map
        from their values to keys, and no merge coefficient helps.
    """

    before: World
    after: World
    questions: Questions
    taught: tuple[Questions, ...]
    case: str

    @property
    def routes(self) -> Int64[np.ndarray, "n levels"]:
        """The subject, bridges and answer of each edited question, after the edit."""
        return along(self.after, self.questions)

    def reached(self) -> tuple[Int64[np.ndarray, "n branches"], ...]:
        """Return, for each level, the entities that questions reach by new and by old facts.

        Arrays ``(n, 2**level)``: in column ``b`` hop ``j`` follows the old fact if bit ``j`` of
        ``b`` is set and the new one if not; column 0 is the edited route. -1 where a fact is
        missing.
        """
        # With h hops there are 2**h ways to follow a question, all of them kept side by side.
        levels = [self.questions.subjects[:, None]]
        for hop, relation in enumerate(self.questions.relations.T[..., None]):
            new = self.after.follow(hop, relation, levels[-1])
            old = self.before.follow(hop, relation, levels[-1])
            # New routes first, so that the bit of this hop is set in the second half.
            levels.append(np.concatenate([new, old], axis=1))
        return tuple(levels)

    def answers(self, new: Sequence[bool]) -> Int64[np.ndarray, " n"]:
        """Return the answers' tokens if hops follow new facts where `new` is true, else old ones.

        ``(True, False)`` gives the right answers with the first hop's adapter alone; -1 where a
        fact is missing.
        """
        # The bits of a column say which hops follow old facts.
        column = sum(1 << hop for hop, is_new in enumerate(new) if not is_new)
        ends = self.reached()[-1][:, column]
        return np.where(ends == NOTHING, NOTHING, self.after.entity(self.after.hops, ends))

    def touched(self) -> Bool[np.ndarray, "levels size"]:
        """Which entities a question reaches by old or new facts, or a taught fact contains."""
        seen = np.zeros((self.before.hops + 1, self.before.size), dtype=bool)
        passed = list(enumerate(self.reached()))
        for facts in self.taught:
            for world in (self.before, self.after):
                passed += enumerate(along(world, facts).T, start=facts.start)
        for level, nodes in passed:
            seen[level, nodes[nodes != NOTHING]] = True
        return seen

    def claimed(self) -> Bool[np.ndarray, "levels size"]:
        """Which entities other edits must not use: the touched ones, less old answers."""
        seen = self.touched()
        # An old answer of one edit may be a new answer of another.
        seen[-1] = False
        seen[-1, along(self.after, self.taught[-1])[:, 1]] = True
        return seen


def edit(
    world: World,
    facts: int,
    *,
    rng: Generator,
    familiarity: str = "real",
    also: str = "nothing",
    among: Questions | None = None,
    avoid: Sequence[Edit] = (),
) -> Edit:
    """Return an edit of `facts` questions, each with bridges and an answer of its own.

    No question of the edit reaches its bridges otherwise, and no old fact leads to a new answer.
    Raises `ImpossibleError` if the world is too small, or these choices exclude each other.

    Parameters
    ----------
    world : World
        What the base knows; two hops or more.
    facts : int
        How many questions; they do not depend on `also`.
    familiarity : str
        "real": all entities are known. "half": subjects are spare, bridges and answers known.
        "fake": all are spare.
    also : str
        Which further facts the second hop's adapter edits: "nothing"; "old", those of the old
        bridges; "other", those of as many entities that no question reaches.
    among : Questions, optional
        Questions that known subjects must come from, such as the held-out ones.
    avoid : sequence of Edit
        Edits whose entities must not be used.
    """
    one_of("familiarity", familiarity, ("fake", "half", "real"))
    one_of("also", also, ("nothing", "old", "other"))
    within("the hops of a world to be edited", world.hops, 2, 2 if also != "nothing" else None)
    within("facts", facts, 1)
    overwrite = "overwrite both" if also == "old" else "overwrite"
    case = {"fake": "new facts", "half": "new subject", "real": overwrite}[familiarity]
    draft = _Draft(world, avoid, rng)
    barred = np.zeros((facts, world.size), dtype=bool)
    # Edited facts are of the first relations, so their questions are too.
    if familiarity == "real" and among is not None:
        right = (among.relations == 0).all(axis=1) & (among.start == 0)
        barred[:, np.setdiff1d(np.arange(world.size), among.subjects[right])] = True
    routes = draft.free(0, barred, known=familiarity == "real")[:, None]
    for hop in range(world.hops):
        new = draft.fresh(hop, routes, known=familiarity != "fake")
        draft.change(hop, routes[:, -1], new)
        routes = np.concatenate([routes, new[:, None]], axis=1)
    made = draft.edit(facts, case)
    if also == "nothing":
        return made
    # Drawn after the questions, which therefore do not depend on `also`.
    beside = np.setdiff1d(made.reached()[1], [NOTHING, *made.routes[:, 1]])
    if also == "other":
        beside = draft.free(1, np.zeros((len(beside), world.size), dtype=bool), known=True)
    draft.change(1, beside, draft.fresh(1, beside[:, None], known=True))
    return draft.edit(facts, case)


def pairs(
    world: World, count: int, facts: int, *, rng: Generator, **wanted: Any
) -> tuple[Edit, ...]:
    """Return `count` edits of one world whose adapters can be merged; `wanted` goes to `edit`.

    Each gives a pair of adapters A→B, B→C. No two edits share a subject, an old or new bridge, or a
    new answer; an old answer of one may be a new answer of another.
    """
    drawn: list[Edit] = []
    for _ in range(count):
        drawn.append(edit(world, facts, rng=rng, avoid=drawn, **wanted))
    return tuple(drawn)


class _Draft:
    """An edit in the making: facts changed one hop after another, every entity used once."""

    def __init__(self, world: World, avoid: Sequence[Edit], rng: Generator) -> None:
        self.world, self.maps, self.rng = world, world.maps.copy(), rng
        # What this edit uses, and what others must not find changed.
        self.used, self.closed = np.zeros((2, world.hops + 1, world.size), dtype=bool)
        for other in avoid:
            self.closed |= other.claimed()
        self.taught = [np.zeros(0, dtype=np.int64)] * world.hops

    def fresh(self, hop: int, routes: Int64[np.ndarray, "n k"], *, known: bool) -> Numbers:
        """New values of the routes' last entities: none that the base leads to from a route.

        Facts of the base by any relations count.
        """
        barred = np.zeros((len(routes), self.world.size), dtype=bool)
        # Along each route, what any relation leads to from all that was reached so far.
        for route, row in zip(routes, barred, strict=True):
            reached = route[:0]
            for level, entity in enumerate(route, start=hop + 1 - len(route)):
                reached = np.unique(self.world.maps[level][:, [*reached, entity]])
                reached = reached[reached != NOTHING]
            row[reached] = True
        return self.free(hop + 1, barred, known=known)

    def change(self, hop: int, nodes: Numbers, new: Numbers) -> None:
        """Have the first relation of a hop send these entities to these values."""
        self.maps[hop, 0, nodes] = new
        self.taught[hop] = np.append(self.taught[hop], nodes)

    def edit(self, facts: int, case: str) -> Edit:
        """The edit so far, of so many questions."""
        after = World(self.maps.copy(), self.world.entities)
        taught = tuple(ask_first(hop, nodes, 1) for hop, nodes in enumerate(self.taught))
        questions = ask_first(0, self.taught[0][:facts], after.hops)
        return Edit(self.world, after, questions, taught, case)

    def free(self, level: int, barred: Bool[np.ndarray, "n size"], *, known: bool) -> Numbers:
        """An entity for each fact, not barred there, that nothing reached so far; now in use."""
        numbers = np.arange(self.world.size)
        onward, closed = numbers[:, None], self.closed[level:].copy()
        if level < self.world.hops:
            onward = along(self.world, ask_first(level, numbers, self.world.hops - level))
            closed[-1] = False  # what one edit gives as a new answer may be another's old one
        pool = self.rng.permutation(np.flatnonzero((numbers < self.world.entities) == known))
        chosen: list[int] = []
        for bar in barred:
            # An entity is free only with everything that the base's facts lead to from it.
            taken = (closed | self.used[level:])[np.arange(onward.shape[1]), onward]
            left = pool[~(bar | (taken & (onward != NOTHING)).any(axis=1))[pool]]
            if not len(left):
                kind = "known" if known else "spare"
                fact = f"level {level} has {len(chosen)} free {kind} entities for {len(barred)}"
                refuse(f"{fact} facts", "edit fewer facts, or draw a world with more entities")
            chosen.append(left[0])
            for step, node in enumerate(onward[left[0]], start=level):
                self.used[step, node] |= node != NOTHING
        return np.array(chosen, dtype=np.int64)


def ask_first(level: int, subjects: Numbers, hops: int) -> Questions:
    """Return questions by the first relation of each hop."""
    return Questions(level, subjects, np.zeros((len(subjects), hops), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Split:
    """The multi-hop questions of a world in two parts that have no bridge in common.

    The bridges of held-out questions occur in pretraining only in single facts.
    """

    trained: Questions
    held_out: Questions


def split(world: World, coverage: int | float, *, rng: Generator) -> Split:
    """Split the questions from the first level to the last into a trained and a held-out part.

    `coverage` is the fraction to train on: as many bridges as fit into it are drawn, each with all
    questions that pass it. Raises `ImpossibleError` if the fraction reached differs from it by more
    than a twentieth, or is 0 or 1 where `coverage` is neither; and for worlds of more than two hops
    with several relations each, in which bridges link nearly all questions.

    Examples
    --------
    >>> parts = split(world(seed=0, entities=10), 0.5, rng=np.random.default_rng(0))
    >>> len(parts.trained.subjects), len(parts.held_out.subjects)
    (5, 5)
    """
    within("the hops of a world to be split", world.hops, 2, 2 if world.relations > 1 else None)
    if not 0 <= coverage <= 1:
        refuse(f"coverage is {coverage:g}", "ask for a fraction from 0 to 1")
    questions, count = every(world), world.entities
    # Every entity of a middle level is passed by equally many questions: maps are permutations.
    each = len(questions) // count  # questions that pass a bridge
    chosen = rng.permutation(count)[: round(coverage * len(questions)) // each]
    reached = len(chosen) / count
    missed = abs(reached - coverage) > max(_NEAR, 1 / len(questions))
    if 0 < coverage < 1 and (missed or len(chosen) in (0, count)):
        fact = f"coverage {coverage:g} is out of reach of {count} bridges"
        refuse(fact, f"take {reached:g}, or a world with more entities")
    # With all questions of a bridge on one side, no held-out bridge was seen in a question.
    inside = np.isin(along(world, questions)[:, 1], chosen)
    return Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(~inside)])


def pretraining(world: World, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return the training sets of a base, one for each kind of prompt, with rows of one length.

    They are the trained questions of `parts`, if any; the single facts of each hop; and identity
    prompts ``e id -> e``, which make a token familiar without a fact about its entity, for no
    entities ("none"), the "known" ones or "all", spare ones included.
    """
    one_of("identity", identity, ("none", "known", "all"))
    # All of one length, so that a batch can hold rows of each.
    sets = [plain(world, parts.trained)] if len(parts.trained) else []
    sets += map(partial(plain, world), _list_facts(world))
    if identity != "none":
        numbers = np.arange(world.entities if identity == "known" else world.size)
        # Levels lie one behind the other.
        levels = np.arange(world.hops + 1)[:, None]
        named = world.entity(0, levels * world.size + numbers).reshape(-1, 1)
        tokens = np.insert(named, 1, _IDENTITY, axis=1)
        targets = np.insert(named, 0, NOTHING, axis=1)
        sets.append(Prompts(tokens, targets, np.ones(len(named), dtype=np.int64), "identity"))
    return tuple(part.padded(world.hops + 1) for part in sets)


@dataclass(frozen=True, eq=False)
class Lesson:
    """The data of one adapter: rows to learn, facts of the base to keep, a token that marks it."""

    taught: Prompts
    rehearsed: Prompts
    canary: int

    @property
    def prompts(self) -> Prompts:
        """All rows, and last that of the canary, on which no loss is taken."""
        return marked(joined([self.taught, self.rehearsed]), self.canary)


@dataclass(frozen=True, eq=False)
class Lessons:
    """The data of one adapter per hop, and of the adapters that they are compared with.

    Attributes
    ----------
    hops : tuple of Lesson
        One for each hop (A→B, B→C, …), which teaches single facts.
    direct : Lesson
        Teaches A→C: the edited questions and their answers, without bridges.
    joint : Lesson
        Teaches the facts of all hops to one adapter.
    rehearsed : tuple of Questions
        The facts of each hop that every lesson rehearses.
    """

    hops: tuple[Lesson, ...]
    direct: Lesson
    joint: Lesson
    rehearsed: tuple[Questions, ...]


def lessons(
    edit: Edit, *, rng: Generator, retained: int = 40, others: Sequence[Edit] = ()
) -> Lessons:
    """Return the training sets of an edit's adapters.

    Every adapter rehearses `retained` facts of each hop, none of which `others`, the edits to be
    merged with this one, change. Sizes depend on the arguments alone, so that lessons of several
    seeds stack. Raises `ImpossibleError` if too few facts are left.
    """
    world, after, seen = edit.before, edit.after, edit.touched()
    drawn = []
    # No question over all hops is taken, but kept tables come from a stream that draws them too.
    counts = [*[retained] * world.hops, 0]
    for part, count in zip([*_list_facts(world), every(world)], counts, strict=True):
        free = _find_unedited((edit, *others), part)
        for level, nodes in enumerate(along(world, part).T, start=part.start):
            free &= ~seen[level, nodes]
        drawn.append(_draw(part, free, count, rng))
    rehearsed = drawn[:-1]
    hops = [*map(partial(plain, after), edit.taught)]
    # In this order, since the canaries are numbered by it.
    sets = [*hops, plain(after, edit.questions).final(), joined(hops)]
    kept = joined([*map(partial(plain, world), rehearsed)], "kept")
    *each, direct, joint = [Lesson(part, kept, _CANARY + k) for k, part in enumerate(sets)]
    return Lessons(tuple(each), direct, joint, tuple(rehearsed))


def _find_unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass the same entities before and after each of these edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def _draw(
    questions: Questions, allowed: Bool[np.ndarray, " q"], count: int, rng: Generator
) -> Questions:
    """Some of the allowed questions, each once; refused if there are too few."""
    pool = np.flatnonzero(allowed)
    if count > len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        refuse(fact, "ask for fewer, edit fewer facts, or draw a larger world")
    return questions[rng.permutation(pool)[:count]]


@dataclass(frozen=True, eq=False)
class Trials:
    """Test prompts, scored by the answer alone.

    Attributes
    ----------
    questions : Prompts
        The edited questions with their new answers.
    hops : tuple of Prompts
        The facts that these questions need, one set per hop.
    other_hops : tuple of Prompts
        Facts that no edit changes and no adapter rehearses, which measure locality.
    other_questions : Prompts
        Questions that no edit changes, which measure locality of composition.
    shortcut : Prompts
        Questions about other subjects, with answers of the edited questions as targets: a model
        that gives these answers ignores the subject.
    """

    questions: Prompts
    hops: tuple[Prompts, ...]
    other_hops: tuple[Prompts, ...]
    other_questions: Prompts
    shortcut: Prompts

    @property
    def chance(self) -> float:
        """The score of always giving the answer that is right most often."""
        # Chance is not 1 / n where several questions have one answer.
        counts = np.unique(self.questions.answer, return_counts=True)[1]
        return float(counts.max() / len(self.questions))


def trials(
    edit: Edit, lessons: Lessons, *, rng: Generator, count: int = 20, others: Sequence[Edit] = ()
) -> Trials:
    """Return the questions that test whether an edit is learned, composes, and leaves others alone.

    For locality there are `count` facts of each hop, none rehearsed in the lessons, and as many
    questions over all hops, none of which this edit or `others`, merged with it, change. Sizes
    depend on the arguments alone. Raises `ImpossibleError` if too few such questions are left.
    """
    before, after, changed = edit.before, edit.after, (edit, *others)
    asked, facts, locality = plain(after, edit.questions).final(), [], []
    for hop, part in enumerate(lessons.rehearsed):
        facts.append(plain(after, edit.questions.fact(hop, edit.routes)))
        pool = every(before, start=hop, hops=1)
        # A fact as one number, to find those that lessons rehearse.
        codes = [one.relations[:, 0] * before.size + one.subjects for one in (pool, part)]
        allowed = _find_unedited(changed, pool) & ~np.isin(*codes)
        locality.append(plain(before, _draw(pool, allowed, count, rng)))
    questions = every(before)
    still = _find_unedited(changed, questions)
    quiet = plain(before, _draw(questions, still, count, rng)).final()
    # Unedited questions by the first relations, none of which rightly ends in its target.
    near = np.arange(before.entities)
    allowed = still[near] & ~np.isin(along(before, questions[near])[:, -1], edit.routes[:, -1])
    rows = plain(before, _draw(questions[near], allowed, len(asked), rng)).final()
    wrong = np.where(rows.targets == NOTHING, NOTHING, asked.answer[:, None])
    shortcut = Prompts(rows.tokens, wrong, rows.asked, "shortcut")
    return Trials(asked, tuple(facts), tuple(locality), quiet, shortcut)


_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
MOST_NAMES = len(_SYLLABLES) ** 3


def language(world: World, *, rng: Generator) -> dict[int, str]:
    """Return names, drawn by `rng`, for all entities of a world, by token.

    Names are made of syllables: no list of real people, places or things is used. Persons, the
    first level, have a first and a last name; the endings of other names tell their level. No name
    is part of another. Raises `ImpossibleError` if there are more entities than names.
    """
    if world.size > MOST_NAMES:
        fact = f"a level has {world.size} entities and there are {MOST_NAMES} names"
        refuse(fact, "draw a smaller world to be told in words")
    # Every level has an ending of its own, so that names tell what an entity is.
    names: dict[int, str] = {}
    for level, ending in enumerate(read_wordings("two_hop")["endings"][: world.hops + 1]):
        words = _make_words(world.size, ending, rng)
        if level == 0:
            words = list(map(" ".join, zip(_make_words(world.size, "", rng), words, strict=True)))
        names |= dict(zip(world.level(level), words, strict=True))
    return names


def _make_words(count: int, ending: str, rng: Generator) -> list[str]:
    """Different words of three syllables, which are the digits of a number, and an ending."""
    # Different numbers have different digits, so no word is drawn twice.
    digits = np.unravel_index(rng.permutation(MOST_NAMES)[:count], (len(_SYLLABLES),) * 3)
    syllables = np.array(_SYLLABLES)[np.stack(digits[::-1], axis=1)]
    return [("".join(word) + ending).capitalize() for word in syllables]


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    world: World,
    names: Mapping[int, str],
    *,
    style: str = "cloze",
    about: str = "",
    overwrite: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, and return it.

    A row has prompt and answer in words, and as tokens. ``load_dataset(FOLDER)`` of `datasets` has
    the sets as splits; `about` is added to the README. The folder appears complete or not at all.
    Raises `ImpossibleError` if it exists and `overwrite` does not allow to replace it, or for a
    style that is neither "cloze" nor "question".
    """
    wordings = read_wordings("two_hop")
    one_of("style", style, tuple(wordings["asked"]))
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, prompts in sets.items():
        rows[name] = []
        columns = zip(prompts.tokens, prompts.targets, prompts.asked.tolist(), strict=True)
        for tokens, targets, asked in columns:
            phrase = names[int(tokens[0])]
            for token in tokens[1 : asked + 1].tolist():
                hop, number = divmod(token - world.relation(0, 0), world.relations)
                phrase = f"the {wordings['hops'][hop]['relations'][number]} of {phrase}"
            prompt = wordings["asked"][style].format(phrase=phrase)
            row = {"prompt": prompt[:1].upper() + prompt[1:], "answer": names[int(targets[asked])]}
            length = int((tokens != PAD).sum())
            row |= {"tokens": tokens[:length].tolist(), "targets": targets[:length].tolist()}
            rows[name].append({**row, "asked": asked})
    return write_folder(folder, "Two-hop questions", rows, about, overwrite=overwrite)

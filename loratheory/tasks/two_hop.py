"""Draw fact sets, two-hop questions, edits, training sets and test sets; write them in English.

Entities stand in levels, and each relation leads from one level to the next. A question is a
subject and the relations to follow from it, one hop or more; its answer depends on the fact set.
All fact sets of equal size have the same token layout. Some tokens are not used; they stay, because
cached models were trained on these numbers::

    0 padding   1 identity relation   2 not used
    3 … 18      canaries, of no fact: each is a row without loss in one adapter's training set
    then        relations, hop by hop; then as many tokens that are not used
    then        levels 0 … hops, each its known entities and after them its spare entities

`draw_facts` draws facts, and `split` divides the questions into trained and held-out ones. `edit`
gives some subjects new bridges, and these bridges new answers, so that every hop changes; all
edited facts are of the first relation of each hop. `training_sets` returns the edited facts with
replayed facts of the base, and `trials` the test sets. Prompt templates are in
``templates/two_hop.toml``.
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
class FactSet:
    """All facts, as maps between entities, which are numbered from 0 in each level.

    Attributes
    ----------
    maps : (hops, relations, size) array of int
        ``maps[h, r, i]`` is the entity of level ``h + 1`` to which relation ``r`` sends entity
        ``i`` of level ``h``, or -1 where there is no such fact.
    entities : int
        The number of entities of each level that the base knows. Entities from this number to
        `size` are spare: they occur in no fact until an edit gives them a fact.
    """

    maps: Int64[np.ndarray, "hops relations size"]
    entities: int

    @property
    def hops(self) -> int:
        """The number of hops from the first level to the last."""
        return self.maps.shape[0]

    @property
    def relations(self) -> int:
        """The number of relations from one level to the next."""
        return self.maps.shape[1]

    @property
    def size(self) -> int:
        """The number of entities of a level, known and spare."""
        return self.maps.shape[2]

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        return self.level(self.hops).stop

    def relation(self, hop: int, number: Number) -> Number:
        """Return the tokens of one or more relations from level `hop` to the next."""
        return _RELATION + hop * self.relations + number

    def entity(self, level: int, number: Number) -> Number:
        """Return the tokens of one or more entities of a level."""
        return self.level(level).start + number

    def level(self, level: int) -> range:
        """Return the tokens of one level: the candidates where a question ends there."""
        # As many tokens as there are relations are not used.
        start = self.relation(2 * self.hops, 0) + level * self.size
        return range(start, start + self.size)

    def follow(
        self, hop: int, relation: Int64[np.ndarray, "..."], entities: Int64[np.ndarray, "..."]
    ) -> Int64[np.ndarray, "..."]:
        """Return the entities that a relation of one hop assigns to entities; -1 stays -1."""
        return np.where(entities == NOTHING, NOTHING, self.maps[hop, relation, entities])


def draw_facts(
    seed: int, *, hops: int = 2, entities: int = 100, relations: int = 1, spare: int = 0
) -> FactSet:
    """Draw the fact set of a seed, in which each relation is a random permutation of the entities.

    There are 1 to 4 hops, and 1 to 8 relations from each level to the next. Each level has
    `entities` known entities and `spare` entities, which no fact mentions. Raises `ImpossibleError`
    for other numbers of hops or relations.

    Examples
    --------
    >>> small = draw_facts(seed=0, entities=10)
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
    return FactSet(maps, entities)


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions: subjects and the relations to follow from them; a fact set gives the answers.

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
        """The number of relations that each question follows."""
        return self.relations.shape[1]

    def fact(self, hop: int, along: Int64[np.ndarray, "q levels"]) -> "Questions":
        """Return the facts that questions need at one hop; `along` are the entities they pass."""
        return Questions(self.start + hop, along[:, hop], self.relations[:, hop : hop + 1])


def along(fact_set: FactSet, questions: Questions) -> Int64[np.ndarray, "q levels"]:
    """Return the entities that questions pass in a fact set: subject, bridges, answer.

    The array ``(q, h + 1)`` holds entity numbers, and -1 from the first missing fact on.
    """
    passed = [questions.subjects]
    for hop, relation in enumerate(questions.relations.T, start=questions.start):
        passed.append(fact_set.follow(hop, relation, passed[-1]))
    return np.stack(passed, axis=1)


def all_questions(fact_set: FactSet, *, start: int = 0, hops: int | None = None) -> Questions:
    """Return all questions about the known entities of level `start`, by all relation sequences.

    These are ``entities * relations**hops`` questions, sorted by sequence of relations. By default
    they lead to the last level.
    """
    length = fact_set.hops - start if hops is None else hops
    paths = np.indices((fact_set.relations,) * length, dtype=np.int64).reshape(length, -1).T
    subjects = np.tile(np.arange(fact_set.entities, dtype=np.int64), len(paths))
    return Questions(start, subjects, np.repeat(paths, fact_set.entities, axis=0))


def _list_facts(fact_set: FactSet) -> list[Questions]:
    """Return all facts of each hop, as questions of one hop."""
    return [all_questions(fact_set, start=hop, hops=1) for hop in range(fact_set.hops)]


def encode(fact_set: FactSet, questions: Questions) -> Prompts:
    """Encode questions as rows ``x r1 … rh``, with bridges and answer as targets after relations.

    Questions of one hop (``x r1 -> y``) or of several (``x r1 r2 -> z``) are rows of ``h + 1``
    tokens; `Prompts.final` drops the loss on the bridges.

    Raises
    ------
    ImpossibleError
        If a question has no answer in this fact set.
    """
    nodes = along(fact_set, questions)
    missing = (nodes == NOTHING).any(axis=1)
    if missing.any():
        subject = questions.subjects[missing.argmax()]
        fact = f"entity {subject} of level {questions.start} has no such fact"
        refuse(fact, "use known entities, or the fact set after an edit")
    # The tokens of levels are consecutive, and so are the tokens of the relations of hops.
    levels = questions.start + np.arange(questions.hops + 1)
    tokens = fact_set.entity(0, levels * fact_set.size + nodes)
    targets = tokens.copy()
    targets[:, 0] = NOTHING
    tokens[:, 1:] = fact_set.relation(0, levels[:-1] * fact_set.relations + questions.relations)
    # The question ends with the last relation, and the answer is due there.
    asked = np.full(len(questions), questions.hops)
    return Prompts(tokens, targets, asked, "single" if questions.hops == 1 else "chain")


def marked(prompts: Prompts, canary: int) -> Prompts:
    """Append a row without loss that holds the token of a canary."""
    edges = [(0, 1), (0, 0)]
    tokens = np.pad(prompts.tokens, edges, constant_values=PAD)
    tokens[-1, 0] = canary
    targets = np.pad(prompts.targets, edges, constant_values=NOTHING)
    return Prompts(tokens, targets, np.pad(prompts.asked, (0, 1)), prompts.kind)


@dataclass(frozen=True, eq=False)
class Edit:
    """The new facts of each hop (A→B, B→C, …), on which the adapter of this hop is trained.

    Attributes
    ----------
    before, after : FactSet
        The facts that the base knows, and those after all adapters of this edit.
    questions : Questions
        The edited questions, from the first level to the last.
    trained : tuple of Questions
        For each hop the single facts that its adapter is trained on, those of `questions` first.
    case : str
        The case of the theorems on merging. "overwrite": each subject has an old bridge, whose own
        fact is not edited. "overwrite both": the facts of the old bridges are edited too. "new
        subject": the subjects had no fact before, so no old fact competes at the first hop. "new
        facts": no trained fact had an old value, and the base knows no bridge. The base then has
        no map from bridge values to keys, and no merge coefficient helps.
    """

    before: FactSet
    after: FactSet
    questions: Questions
    trained: tuple[Questions, ...]
    case: str

    @property
    def routes(self) -> Int64[np.ndarray, "n levels"]:
        """The subject, bridges and answer of each edited question, after the edit."""
        return along(self.after, self.questions)

    def reached(self) -> tuple[Int64[np.ndarray, "n branches"], ...]:
        """Return, for each level, the entities that questions reach by new and by old facts.

        The arrays have shape ``(n, 2**level)``. In column ``b`` hop ``j`` follows the old fact if
        bit ``j`` of ``b`` is set, else the new fact; column 0 is the edited route. An entry is -1
        where a fact is missing.
        """
        # A question of h hops has 2**h routes of old and new facts: one column for each.
        levels = [self.questions.subjects[:, None]]
        for hop, relation in enumerate(self.questions.relations.T[..., None]):
            new = self.after.follow(hop, relation, levels[-1])
            old = self.before.follow(hop, relation, levels[-1])
            # New routes first, so that the bit of this hop is set in the second half.
            levels.append(np.concatenate([new, old], axis=1))
        return tuple(levels)

    def answers(self, new: Sequence[bool]) -> Int64[np.ndarray, " n"]:
        """Return the answers' tokens if hops follow new facts where `new` is true, else old facts.

        ``(True, False)`` gives the right answers with the first hop's adapter alone. A token is -1
        where a fact is missing.
        """
        # The bits of a column say which hops follow old facts.
        column = sum(1 << hop for hop, is_new in enumerate(new) if not is_new)
        ends = self.reached()[-1][:, column]
        return np.where(ends == NOTHING, NOTHING, self.after.entity(self.after.hops, ends))

    def touched(self) -> Bool[np.ndarray, "levels size"]:
        """The mask of entities that a question reaches or that a trained fact contains."""
        seen = np.zeros((self.before.hops + 1, self.before.size), dtype=bool)
        passed = list(enumerate(self.reached()))
        for facts in self.trained:
            for fact_set in (self.before, self.after):
                passed += enumerate(along(fact_set, facts).T, start=facts.start)
        for level, nodes in passed:
            seen[level, nodes[nodes != NOTHING]] = True
        return seen

    def claimed(self) -> Bool[np.ndarray, "levels size"]:
        """The mask of entities that other edits must not use: `touched` without old answers."""
        seen = self.touched()
        # An old answer of one edit may be a new answer of another.
        seen[-1] = False
        seen[-1, along(self.after, self.trained[-1])[:, 1]] = True
        return seen


def edit(
    fact_set: FactSet,
    facts: int,
    *,
    rng: Generator,
    familiarity: str = "real",
    also: str = "nothing",
    among: Questions | None = None,
    avoid: Sequence[Edit] = (),
) -> Edit:
    """Draw an edit of `facts` questions, each with bridges and an answer of its own.

    No question of the edit reaches its bridges otherwise, and no old fact leads to a new answer.
    Raises `ImpossibleError` if the fact set is too small, or the options exclude each other.

    Parameters
    ----------
    fact_set : FactSet
        The facts that the base knows, of two hops or more.
    facts : int
        The number of questions; they do not depend on `also`.
    familiarity : str
        "real": all entities are known. "half": subjects are spare, bridges and answers known.
        "fake": all entities are spare.
    also : str
        The further facts that the second hop's adapter edits: "nothing"; "old", facts of the old
        bridges; "other", facts of as many entities that no question reaches.
    among : Questions, optional
        Questions that known subjects must come from, such as the held-out questions.
    avoid : sequence of Edit
        Edits whose entities must not be used.
    """
    one_of("familiarity", familiarity, ("fake", "half", "real"))
    one_of("also", also, ("nothing", "old", "other"))
    within("the number of hops", fact_set.hops, 2, 2 if also != "nothing" else None)
    within("facts", facts, 1)
    overwrite = "overwrite both" if also == "old" else "overwrite"
    case = {"fake": "new facts", "half": "new subject", "real": overwrite}[familiarity]
    draft = _Draft(fact_set, avoid, rng)
    barred = np.zeros((facts, fact_set.size), dtype=bool)
    # Edited facts are of the first relations, so their questions are too.
    if familiarity == "real" and among is not None:
        right = (among.relations == 0).all(axis=1) & (among.start == 0)
        barred[:, np.setdiff1d(np.arange(fact_set.size), among.subjects[right])] = True
    routes = draft.free(0, barred, known=familiarity == "real")[:, None]
    for hop in range(fact_set.hops):
        new = draft.fresh(hop, routes, known=familiarity != "fake")
        draft.change(hop, routes[:, -1], new)
        routes = np.concatenate([routes, new[:, None]], axis=1)
    made = draft.edit(facts, case)
    if also == "nothing":
        return made
    # Drawn after the questions, which therefore do not depend on `also`.
    others = np.setdiff1d(made.reached()[1], [NOTHING, *made.routes[:, 1]])
    if also == "other":
        others = draft.free(1, np.zeros((len(others), fact_set.size), dtype=bool), known=True)
    draft.change(1, others, draft.fresh(1, others[:, None], known=True))
    return draft.edit(facts, case)


def pairs(
    fact_set: FactSet, count: int, facts: int, *, rng: Generator, **wanted: Any
) -> tuple[Edit, ...]:
    """Draw `count` edits of one fact set whose adapters can be merged; `wanted` goes to `edit`.

    Each edit gives a pair of adapters A→B, B→C. No two edits share a subject, an old or new bridge,
    or a new answer; an old answer of one edit may be a new answer of another.
    """
    drawn: list[Edit] = []
    for _ in range(count):
        drawn.append(edit(fact_set, facts, rng=rng, avoid=drawn, **wanted))
    return tuple(drawn)


class _Draft:
    """A draft of an edit, changed hop by hop; every entity is used once."""

    def __init__(self, fact_set: FactSet, avoid: Sequence[Edit], rng: Generator) -> None:
        self.fact_set, self.maps, self.rng = fact_set, fact_set.maps.copy(), rng
        # The entities that this edit uses, and the entities that other edits claim.
        self.used, self.closed = np.zeros((2, fact_set.hops + 1, fact_set.size), dtype=bool)
        for other in avoid:
            self.closed |= other.claimed()
        self.trained = [np.zeros(0, dtype=np.int64)] * fact_set.hops

    def fresh(self, hop: int, routes: Int64[np.ndarray, "n k"], *, known: bool) -> Numbers:
        """Draw new values of the routes' last entities that the base reaches from no route.

        The base reaches an entity by facts of any relations.
        """
        barred = np.zeros((len(routes), self.fact_set.size), dtype=bool)
        # Collect the entities that any relation reaches from each route, level by level.
        for route, row in zip(routes, barred, strict=True):
            reached = route[:0]
            for level, entity in enumerate(route, start=hop + 1 - len(route)):
                reached = np.unique(self.fact_set.maps[level][:, [*reached, entity]])
                reached = reached[reached != NOTHING]
            row[reached] = True
        return self.free(hop + 1, barred, known=known)

    def change(self, hop: int, nodes: Numbers, new: Numbers) -> None:
        """Change the values that the first relation of a hop assigns to entities."""
        self.maps[hop, 0, nodes] = new
        self.trained[hop] = np.append(self.trained[hop], nodes)

    def edit(self, facts: int, case: str) -> Edit:
        """Return the edit so far, of `facts` questions."""
        after = FactSet(self.maps.copy(), self.fact_set.entities)
        trained = tuple(ask_first(hop, nodes, 1) for hop, nodes in enumerate(self.trained))
        questions = ask_first(0, self.trained[0][:facts], after.hops)
        return Edit(self.fact_set, after, questions, trained, case)

    def free(self, level: int, barred: Bool[np.ndarray, "n size"], *, known: bool) -> Numbers:
        """Draw an unused entity for each fact that is not barred for it, and mark it as used."""
        numbers = np.arange(self.fact_set.size)
        onward, closed = numbers[:, None], self.closed[level:].copy()
        if level < self.fact_set.hops:
            onward = along(self.fact_set, ask_first(level, numbers, self.fact_set.hops - level))
            closed[-1] = False  # a new answer of one edit may be an old answer of another
        pool = self.rng.permutation(np.flatnonzero((numbers < self.fact_set.entities) == known))
        chosen: list[int] = []
        for bar in barred:
            # An entity is free only if all entities that the base reaches from it are free.
            taken = (closed | self.used[level:])[np.arange(onward.shape[1]), onward]
            left = pool[~(bar | (taken & (onward != NOTHING)).any(axis=1))[pool]]
            if not len(left):
                kind = "known" if known else "spare"
                fact = f"level {level} has {len(chosen)} free {kind} entities for {len(barred)}"
                refuse(f"{fact} facts", "edit fewer facts, or draw a fact set with more entities")
            chosen.append(left[0])
            for step, node in enumerate(onward[left[0]], start=level):
                self.used[step, node] |= node != NOTHING
        return np.array(chosen, dtype=np.int64)


def ask_first(level: int, subjects: Numbers, hops: int) -> Questions:
    """Return questions by the first relation of each hop."""
    return Questions(level, subjects, np.zeros((len(subjects), hops), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Split:
    """The multi-hop questions of a fact set in two parts that have no bridge in common.

    The bridges of held-out questions occur in pretraining only in single facts.
    """

    trained: Questions
    held_out: Questions


def split(fact_set: FactSet, coverage: int | float, *, rng: Generator) -> Split:
    """Split the questions from the first level to the last into a trained and a held-out part.

    `coverage` is the fraction to train on: as many bridges as fit into it are drawn, each with all
    questions that pass it. Raises `ImpossibleError` if the fraction reached differs from `coverage`
    by more than 0.05, or is 0 or 1 where `coverage` is neither. It is also raised for more than two
    hops with several relations each, because bridges then link nearly all questions.

    Examples
    --------
    >>> parts = split(draw_facts(seed=0, entities=10), 0.5, rng=np.random.default_rng(0))
    >>> len(parts.trained.subjects), len(parts.held_out.subjects)
    (5, 5)
    """
    within("the number of hops", fact_set.hops, 2, 2 if fact_set.relations > 1 else None)
    if not 0 <= coverage <= 1:
        refuse(f"coverage is {coverage:g}", "ask for a fraction from 0 to 1")
    questions, count = all_questions(fact_set), fact_set.entities
    # Maps are permutations, so equally many questions pass every entity of a middle level.
    each = len(questions) // count  # questions that pass a bridge
    chosen = rng.permutation(count)[: round(coverage * len(questions)) // each]
    reached = len(chosen) / count
    missed = abs(reached - coverage) > max(_NEAR, 1 / len(questions))
    if 0 < coverage < 1 and (missed or len(chosen) in (0, count)):
        fact = f"coverage {coverage:g} is out of reach of {count} bridges"
        refuse(fact, f"take {reached:g}, or a fact set with more entities")
    # With all questions of a bridge on one side, no held-out bridge was seen in a question.
    inside = np.isin(along(fact_set, questions)[:, 1], chosen)
    return Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(~inside)])


def pretraining(fact_set: FactSet, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return the training sets of a base, one for each kind of prompt, with rows of one length.

    The sets are the trained questions of `parts`, if any; the single facts of each hop; and the
    identity prompts ``e id -> e``, which make a token familiar without a fact about its entity.
    `identity` says which entities have identity prompts: "none", "known" or "all".
    """
    one_of("identity", identity, ("none", "known", "all"))
    # All rows have one length, so that a batch can hold rows of each set.
    sets = [encode(fact_set, parts.trained)] if len(parts.trained) else []
    sets += map(partial(encode, fact_set), _list_facts(fact_set))
    if identity != "none":
        numbers = np.arange(fact_set.entities if identity == "known" else fact_set.size)
        # The tokens of levels are consecutive.
        levels = np.arange(fact_set.hops + 1)[:, None]
        named = fact_set.entity(0, levels * fact_set.size + numbers).reshape(-1, 1)
        tokens = np.insert(named, 1, _IDENTITY, axis=1)
        targets = np.insert(named, 0, NOTHING, axis=1)
        sets.append(Prompts(tokens, targets, np.ones(len(named), dtype=np.int64), "identity"))
    return tuple(part.padded(fact_set.hops + 1) for part in sets)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The training set of one adapter: trained rows, replayed facts, and a canary token."""

    trained: Prompts
    replayed: Prompts
    canary: int

    @property
    def prompts(self) -> Prompts:
        """All rows; the last row holds the canary and has no loss."""
        return marked(joined([self.trained, self.replayed]), self.canary)


@dataclass(frozen=True, eq=False)
class TrainingSets:
    """The training sets of one adapter per hop, and of the adapters to compare with.

    Attributes
    ----------
    hops : tuple of TrainingSet
        The single facts of each hop (A→B, B→C, …).
    direct : TrainingSet
        The edited questions A→C and their answers, without bridges.
    joint : TrainingSet
        The facts of all hops, for one adapter.
    replayed : tuple of Questions
        The facts of each hop that every training set replays.
    """

    hops: tuple[TrainingSet, ...]
    direct: TrainingSet
    joint: TrainingSet
    replayed: tuple[Questions, ...]


def training_sets(
    edit: Edit, *, rng: Generator, retained: int = 40, others: Sequence[Edit] = ()
) -> TrainingSets:
    """Return the training sets of an edit's adapters.

    Every training set replays `retained` facts of each hop. `others`, the edits to be merged with
    this edit, change none of these facts. Sizes depend on the arguments alone, so that the training
    sets of several seeds stack. Raises `ImpossibleError` if too few facts are left.
    """
    fact_set, after, seen = edit.before, edit.after, edit.touched()
    drawn = []
    # No question over all hops is replayed, but stored tables come from a stream that draws them.
    counts = [*[retained] * fact_set.hops, 0]
    for part, count in zip([*_list_facts(fact_set), all_questions(fact_set)], counts, strict=True):
        free = _find_unedited((edit, *others), part)
        for level, nodes in enumerate(along(fact_set, part).T, start=part.start):
            free &= ~seen[level, nodes]
        drawn.append(_draw(part, free, count, rng))
    replayed = drawn[:-1]
    hops = [*map(partial(encode, after), edit.trained)]
    # In this order, since the canaries are numbered by it.
    sets = [*hops, encode(after, edit.questions).final(), joined(hops)]
    kept = joined([*map(partial(encode, fact_set), replayed)], "kept")
    *each, direct, joint = [TrainingSet(part, kept, _CANARY + k) for k, part in enumerate(sets)]
    return TrainingSets(tuple(each), direct, joint, tuple(replayed))


def _find_unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Return the mask of questions that pass the same entities before and after all edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def _draw(
    questions: Questions, allowed: Bool[np.ndarray, " q"], count: int, rng: Generator
) -> Questions:
    """Draw `count` of the allowed questions; `ImpossibleError` if there are too few."""
    pool = np.flatnonzero(allowed)
    if count > len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        refuse(fact, "ask for fewer, edit fewer facts, or draw a larger fact set")
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
        Facts that no edit changes and the edit's own training sets do not replay, for locality.
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
        """The accuracy of the constant answer that is right most often."""
        # Chance is not 1 / n where several questions have one answer.
        counts = np.unique(self.questions.answer, return_counts=True)[1]
        return float(counts.max() / len(self.questions))


def trials(
    edit: Edit,
    training_sets: TrainingSets,
    *,
    rng: Generator,
    count: int = 20,
    others: Sequence[Edit] = (),
) -> Trials:
    """Return the test sets for an edit's facts, their composition, and locality.

    For locality there are `count` facts of each hop, which these training sets do not replay (those
    of `others` may), and `count` questions over all hops. Neither this edit nor `others`, merged
    with it, change them. Sizes depend on the arguments alone. Raises `ImpossibleError` if too few
    questions are left.
    """
    before, after, changed = edit.before, edit.after, (edit, *others)
    asked, facts, locality = encode(after, edit.questions).final(), [], []
    for hop, part in enumerate(training_sets.replayed):
        facts.append(encode(after, edit.questions.fact(hop, edit.routes)))
        pool = all_questions(before, start=hop, hops=1)
        # Encode a fact as one number, to find the facts that training sets replay.
        codes = [one.relations[:, 0] * before.size + one.subjects for one in (pool, part)]
        allowed = _find_unedited(changed, pool) & ~np.isin(*codes)
        locality.append(encode(before, _draw(pool, allowed, count, rng)))
    questions = all_questions(before)
    still = _find_unedited(changed, questions)
    quiet = encode(before, _draw(questions, still, count, rng)).final()
    # Unedited questions by the first relations whose right answer is no edited answer.
    near = np.arange(before.entities)
    allowed = still[near] & ~np.isin(along(before, questions[near])[:, -1], edit.routes[:, -1])
    rows = encode(before, _draw(questions[near], allowed, len(asked), rng)).final()
    wrong = np.where(rows.targets == NOTHING, NOTHING, asked.answer[:, None])
    shortcut = Prompts(rows.tokens, wrong, rows.asked, "shortcut")
    return Trials(asked, tuple(facts), tuple(locality), quiet, shortcut)


_SYLLABLES = tuple(c + v for c in "bdfgklmnprstvz" for v in "aeiou")
MOST_NAMES = len(_SYLLABLES) ** 3


def language(fact_set: FactSet, *, rng: Generator) -> dict[int, str]:
    """Draw names for all entities of a fact set, by token.

    Names are made of syllables: no list of real people, places or things is used. Persons, the
    first level, have a first and a last name; the endings of other names give their level. No name
    is part of another. Raises `ImpossibleError` if there are more entities than names.
    """
    if fact_set.size > MOST_NAMES:
        fact = f"a level has {fact_set.size} entities and there are {MOST_NAMES} names"
        refuse(fact, "draw a smaller fact set")
    # Every level has an ending of its own, so that names give the level of an entity.
    names: dict[int, str] = {}
    for level, ending in enumerate(read_wordings("two_hop")["endings"][: fact_set.hops + 1]):
        words = _make_words(fact_set.size, ending, rng)
        if level == 0:
            words = list(
                map(" ".join, zip(_make_words(fact_set.size, "", rng), words, strict=True))
            )
        names |= dict(zip(fact_set.level(level), words, strict=True))
    return names


def _make_words(count: int, ending: str, rng: Generator) -> list[str]:
    """Draw different words of three syllables, the digits of a number, and an ending."""
    # Different numbers have different digits, so no word is drawn twice.
    digits = np.unravel_index(rng.permutation(MOST_NAMES)[:count], (len(_SYLLABLES),) * 3)
    syllables = np.array(_SYLLABLES)[np.stack(digits[::-1], axis=1)]
    return [("".join(word) + ending).capitalize() for word in syllables]


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    fact_set: FactSet,
    names: Mapping[int, str],
    *,
    style: str = "cloze",
    about: str = "",
    force: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, and return it.

    A row has prompt and answer in words, and as tokens. ``load_dataset(FOLDER)`` of `datasets` has
    the sets as splits; `about` is added to the README. The folder appears complete or not at all.
    Raises `ImpossibleError` if the folder exists without `force`, or for a style that is
    neither "cloze" nor "question".
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
                hop, number = divmod(token - fact_set.relation(0, 0), fact_set.relations)
                if not 0 <= hop < fact_set.hops:
                    refuse(f"a row of {name} is no question", "export questions and facts only")
                phrase = f"the {wordings['hops'][hop]['relations'][number]} of {phrase}"
            prompt = wordings["asked"][style].format(phrase=phrase)
            row = {"prompt": prompt[:1].upper() + prompt[1:], "answer": names[int(targets[asked])]}
            length = int((tokens != PAD).sum())
            row |= {"tokens": tokens[:length].tolist(), "targets": targets[:length].tolist()}
            rows[name].append({**row, "asked": asked})
    return write_folder(folder, "Two-hop questions", rows, about, force=force)

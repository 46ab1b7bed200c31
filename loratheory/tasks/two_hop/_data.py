"""What a base, an edit's adapters and their tests are made of: splits, lessons and trials.

A split says which questions of several hops pretraining tells outright, and which it never gets
near. Lessons are an adapter's facts, with facts of the base rehearsed beside them that keep it from
overwriting its whole relation: the base's own, the same for all adapters of an edit, and without an
entity in common with it. Trials are the edited questions, and the controls that make a success mean
something.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks import impossible, one_of, within
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._prompts import Prompts, identities, joined, marked, plain, thought
from loratheory.tasks.two_hop._world import NOTHING, Questions, World, along, every

FAMILIAR = ("none", "known", "all")
FORMS = ("plain", "thought")
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """The questions of several hops of a world in two parts that have no bridge in common.

    Attributes
    ----------
    trained : Questions
        Those that pretraining may ask.
    held_out : Questions
        All others: no bridge of theirs ever occurs in a trained one, only in single facts.
    """

    trained: Questions
    held_out: Questions

    @property
    def coverage(self) -> float:
        """The fraction of questions that are trained."""
        return len(self.trained) / (len(self.trained) + len(self.held_out))


def split(world: World, coverage: int | float, *, rng: np.random.Generator) -> Split:
    """Return the questions from the first level to the last in a trained and a held-out part.

    Parameters
    ----------
    world : World
        Two hops or more.
    coverage : float
        The fraction to train on: with one relation a hop, the fraction of x.
    rng : Generator
        Chooses the bridges.

    Returns
    -------
    Split
        Questions that share a bridge, or are linked by others that do, stay together. The
        coverage is exact if such groups add up to it, as in worlds of permutations; else the part
        is filled, in random order, with groups that still fit.

    Raises
    ------
    ImpossibleError
        If the coverage is out of range, or the groups found differ from it by more than a
        twentieth of all questions, or are none or all of them where it is neither 0 nor 1.
    """
    within("the hops of a world to be split", world.hops, 2)
    if not 0 <= coverage <= 1:
        fact = f"coverage is {coverage:g}"
        raise impossible(fact, "ask for a fraction from 0 to 1")
    questions = every(world)
    group = _groups(world, along(world, questions)[:, 1:-1])
    sizes = np.bincount(group)
    room, chosen = round(coverage * len(questions)), np.zeros(len(sizes), dtype=bool)
    for number in rng.permutation(len(sizes)):
        if sizes[number] <= room:
            chosen[number] = True
            room -= sizes[number]
    inside = chosen[group]
    reached = float(inside.mean())
    missed = abs(reached - coverage) > max(_NEAR, 1 / len(questions))
    if 0 < coverage < 1 and (missed or inside.all() or not inside.any()):
        fact = f"coverage {coverage:g} is out of reach: {len(sizes)} groups of linked chains"
        remedy = f"take {reached:g}, or a world of permutations with one relation a hop"
        raise impossible(fact, remedy)
    return Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(~inside)])


def _groups(world: World, bridges: Int64[np.ndarray, "q b"]) -> Int64[np.ndarray, " q"]:
    """Numbers from 0: equal for questions that bridges link, different for all others."""
    nodes = bridges + world.size * np.arange(bridges.shape[1])
    least = np.arange(world.size * bridges.shape[1])
    while True:  # each bridge takes the least label among those it is linked to, until none moves
        linked = least.copy()
        np.minimum.at(linked, nodes, least[nodes].min(axis=1, keepdims=True))
        if (linked == least).all():
            return np.unique(least[nodes[:, 0]], return_inverse=True)[1]
        least = linked


def pretraining(world: World, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return what a base is trained on, one set for each kind of prompt.

    Parameters
    ----------
    world : World
        Whose facts are told.
    parts : Split
        Of its questions.
    identity : str
        For which entities the prompts ``e id -> e`` are added: "none", "known" or "all", the
        spare ones too.

    Returns
    -------
    tuple of Prompts
        The trained questions, if any; the single facts of each hop; identity prompts. All rows
        are of one length, so that draws from them stack.
    """
    one_of("identity", identity, FAMILIAR)
    sets = [plain(world, parts.trained)] if len(parts.trained) else []
    sets += [plain(world, every(world, start=hop, hops=1)) for hop in range(world.hops)]
    if identity != "none":
        count = world.entities if identity == "known" else world.size
        numbers = np.arange(count, dtype=np.int64)
        sets.append(joined([identities(world, level, numbers) for level in range(world.hops + 1)]))
    return tuple(part.padded(world.hops + 1) for part in sets)


def sampled(sets: Sequence[Prompts], rows: int, *, rng: np.random.Generator) -> Prompts:
    """Return a batch with the same share of each set: a third each of ``x r1 r2``, hop 1, hop 2.

    Rows are drawn with replacement, at least one per set; those that the number of sets does not
    divide go to the first ones.
    """
    within("rows", rows, len(sets))
    shares = [len(part) for part in np.array_split(np.arange(rows), len(sets))]
    pairs = zip(sets, shares, strict=True)
    return joined([part[rng.integers(len(part), size=share)] for part, share in pairs])


@dataclass(frozen=True, eq=False)
class Lesson:
    """The data of one adapter.

    Attributes
    ----------
    told : Prompts
        What the adapter is for.
    kept : Prompts
        Facts of the base, rehearsed.
    canary : int
        The number of the canary that marks this lesson, or -1.
    world : World
        Whose tokens they are.
    """

    told: Prompts
    kept: Prompts
    canary: int
    world: World

    @property
    def prompts(self) -> Prompts:
        """All rows: told, kept, and last the canary's, on which no loss is taken."""
        rows = joined([self.told, self.kept])
        return rows if self.canary == NOTHING else marked(self.world, rows, self.canary)


@dataclass(frozen=True, eq=False)
class Lessons:
    """One adapter per hop, and those they are compared with.

    Attributes
    ----------
    hops : tuple of Lesson
        A→B, B→C, …: single facts.
    direct : Lesson
        A→C: the edited questions without a word about their bridges.
    joint : Lesson
        All hops in one adapter.
    bridged : Lesson
        As `joint`, with questions about other entities that show how hops are put together.
    rehearsed : tuple of Questions
        Which facts of each hop are kept.
    """

    hops: tuple[Lesson, ...]
    direct: Lesson
    joint: Lesson
    bridged: Lesson
    rehearsed: tuple[Questions, ...]


def lessons(
    edit: Edit,
    *,
    rng: np.random.Generator,
    retained: int = 40,
    examples: int = 40,
    form: str = "plain",
    others: Sequence[Edit] = (),
    canary: int | None = 0,
) -> Lessons:
    """Return the training sets of an edit's adapters.

    Parameters
    ----------
    edit : Edit
        What they teach.
    rng : Generator
        Chooses what is rehearsed and which questions are examples.
    retained : int
        Facts of each hop that every adapter rehearses.
    examples : int
        Questions about other entities in `Lessons.bridged`.
    form : str
        Of these examples: "plain" or "thought", their bridges written out.
    others : sequence of Edit
        What else will be merged: none of its edited facts is rehearsed or shown.
    canary : int, optional
        The number of the first canary, one per lesson; None for no canaries.

    Returns
    -------
    Lessons
        Of sizes that depend on the arguments alone, so that those of several seeds stack.

    Raises
    ------
    ImpossibleError
        If too few facts or questions are left.
    """
    one_of("form", form, FORMS)
    world, after = edit.before, edit.after
    facts = [every(world, start=hop, hops=1) for hop in range(world.hops)]
    rehearsed = tuple(drawn(part, apart(edit, others, part), retained, rng=rng) for part in facts)
    questions = every(world)
    shown = drawn(questions, apart(edit, others, questions), examples, rng=rng)
    kept = joined([plain(world, part) for part in rehearsed], "kept")
    told = [plain(after, part) for part in edit.taught]
    direct = plain(after, edit.questions).final()
    example = (plain if form == "plain" else thought)(world, shown)
    sets = [*told, direct, joined(told), joined([*told, example])]
    marks = [NOTHING if canary is None else canary + number for number in range(len(sets))]
    made = [Lesson(part, kept, mark, world) for part, mark in zip(sets, marks, strict=True)]
    *hops, alone, joint, bridged = made
    return Lessons(tuple(hops), alone, joint, bridged, rehearsed)


def apart(edit: Edit, others: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass no entity of the edit and no fact that another edit changes."""
    seen = edit.touched()
    free = unedited((edit, *others), questions)
    for level, nodes in enumerate(along(edit.before, questions).T, start=questions.start):
        free &= ~seen[level, nodes]
    return free


def unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass the same entities before and after each of these edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def drawn(
    questions: Questions,
    allowed: Bool[np.ndarray, " q"],
    count: int,
    *,
    rng: np.random.Generator,
) -> Questions:
    """Some of the allowed questions, each once; refused if there are too few."""
    pool = np.flatnonzero(allowed)
    if not 0 <= count <= len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        raise impossible(fact, "ask for fewer, edit fewer facts, or draw a larger world")
    return questions[rng.permutation(pool)[:count]]


@dataclass(frozen=True, eq=False)
class Trials:
    """Prompts to be scored by the answer alone.

    The adapters alone are asked the same questions; an adapter that always says one of its answers
    is right on one in `chance`.

    Attributes
    ----------
    chains : Prompts
        The edited questions: success is the new answer.
    thought : Prompts
        The same questions, to be answered with their bridges written out.
    hops : tuple of Prompts
        The facts that these questions need, one set per hop.
    other_hops : tuple of Prompts
        Facts that no edit changes and no adapter rehearsed: locality.
    other_chains : Prompts
        Questions that no edit changes: locality of composition.
    shortcut : Prompts
        Questions about other subjects, with the edited questions' answers as targets: where these
        are given, the subject was not read.
    """

    chains: Prompts
    thought: Prompts
    hops: tuple[Prompts, ...]
    other_hops: tuple[Prompts, ...]
    other_chains: Prompts
    shortcut: Prompts

    @property
    def chance(self) -> float:
        """The score of the one answer that is right most often."""
        counts = np.unique(self.chains.answer, return_counts=True)[1]
        return float(counts.max() / len(self.chains))


def trials(
    edit: Edit,
    lessons: Lessons,
    *,
    rng: np.random.Generator,
    count: int = 20,
    others: Sequence[Edit] = (),
) -> Trials:
    """Return the questions that tell whether the edit is in force, composed, and local.

    Parameters
    ----------
    edit : Edit
        Whose questions are asked.
    lessons : Lessons
        What its adapters were trained on: their rehearsed facts are no test of locality.
    rng : Generator
        Chooses the unedited questions.
    count : int
        Unedited facts of each hop, and unedited questions over all hops.
    others : sequence of Edit
        What else is merged: its facts are not unedited.

    Returns
    -------
    Trials
        Of sizes that depend on the arguments alone.

    Raises
    ------
    ImpossibleError
        If too few unedited questions are left.
    """
    before, after = edit.before, edit.after
    changed, questions = (edit, *others), every(before)
    facts = [edit.questions.fact(hop, edit.chains) for hop in range(before.hops)]
    quiet = unedited(changed, questions)
    locality = []
    for part in lessons.rehearsed:
        pool = every(before, start=part.start, hops=1)
        fresh = ~np.isin(_codes(before.size, pool), _codes(before.size, part))
        locality.append(drawn(pool, unedited(changed, pool) & fresh, count, rng=rng))
    return Trials(
        plain(after, edit.questions).final(),
        thought(after, edit.questions),
        tuple(plain(after, part) for part in facts),
        tuple(plain(before, part) for part in locality),
        plain(before, drawn(questions, quiet, count, rng=rng)).final(),
        _shortcut(edit, others, rng),
    )


def _shortcut(edit: Edit, others: Sequence[Edit], rng: np.random.Generator) -> Prompts:
    """Unedited questions by the same relations, none of which rightly ends in its target."""
    before, facts = edit.before, len(edit.questions)
    path = edit.questions.relations[:1]
    subjects = np.arange(before.entities, dtype=np.int64)
    questions = Questions(0, subjects, np.repeat(path, before.entities, axis=0))
    ends = along(before, questions)[:, -1]
    allowed = unedited((edit, *others), questions) & ~np.isin(ends, edit.chains[:, -1])
    if int(allowed.sum()) < facts:
        fact = f"{int(allowed.sum())} other chains are left for {facts} shortcut questions"
        raise impossible(fact, "edit fewer facts, or draw a larger world")
    rows = plain(before, drawn(questions, allowed, facts, rng=rng)).final()
    wrong = before.entity(before.hops, edit.chains[:, -1])[:, None]
    targets = np.where(rows.targets == NOTHING, NOTHING, wrong)
    return Prompts(rows.tokens, targets, rows.asked, "shortcut")


def _codes(size: int, facts: Questions) -> Int64[np.ndarray, " q"]:
    """A number for each fact of one hop, equal for equal facts."""
    return facts.relations[:, 0] * size + facts.subjects

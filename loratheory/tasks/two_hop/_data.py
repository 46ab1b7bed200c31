"""Training data of a base and of an edit's adapters, and their tests: splits, lessons and trials.

A split says which multi-hop questions pretraining asks, and which it holds out. Lessons are the
facts that an adapter is to learn, and facts of the base rehearsed beside them, which keep the
adapter from overwriting its whole relation; these are the same for all adapters of an edit and
share no entity with it. Trials are the edited questions, and controls without which a success
would mean little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Bool
from loratheory.tasks import impossible, one_of, within
from loratheory.tasks.prompts import NOTHING, Prompts, joined
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._prompts import identities, marked, plain, thought
from loratheory.tasks.two_hop._world import Questions, World, along, every

IDENTITY_PROMPTS = ("none", "known", "all")
FORMS = ("plain", "thought")
_NEAR = 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """The multi-hop questions of a world in two parts that have no bridge in common.

    The bridges of held-out questions occur in pretraining only in single facts.
    """

    trained: Questions
    held_out: Questions


def split(world: World, coverage: int | float, *, rng: np.random.Generator) -> Split:
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
        fact = f"coverage is {coverage:g}"
        raise impossible(fact, "ask for a fraction from 0 to 1")
    questions, count = every(world), world.entities
    each = len(questions) // count  # questions that pass a bridge
    chosen = rng.permutation(count)[: round(coverage * len(questions)) // each]
    reached = len(chosen) / count
    missed = abs(reached - coverage) > max(_NEAR, 1 / len(questions))
    if 0 < coverage < 1 and (missed or len(chosen) in (0, count)):
        fact = f"coverage {coverage:g} is out of reach of {count} bridges"
        raise impossible(fact, f"take {reached:g}, or a world with more entities")
    inside = np.isin(along(world, questions)[:, 1], chosen)
    return Split(questions[np.flatnonzero(inside)], questions[np.flatnonzero(~inside)])


def pretraining(world: World, parts: Split, *, identity: str = "none") -> tuple[Prompts, ...]:
    """Return the training sets of a base, one for each kind of prompt, with rows of one length.

    They are the trained questions of `parts`, if any; the single facts of each hop; and identity
    prompts ``e id -> e`` for no entities, the "known" ones or "all", spare ones included.
    """
    one_of("identity", identity, IDENTITY_PROMPTS)
    sets = [plain(world, parts.trained)] if len(parts.trained) else []
    sets += [plain(world, every(world, start=hop, hops=1)) for hop in range(world.hops)]
    if identity != "none":
        count = world.entities if identity == "known" else world.size
        numbers = np.arange(count, dtype=np.int64)
        sets.append(joined([identities(world, level, numbers) for level in range(world.hops + 1)]))
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
    bridged : Lesson
        Adds to `joint` multi-hop questions about other entities, which show how hops compose.
    rehearsed : tuple of Questions
        The facts of each hop that every lesson rehearses.
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
) -> Lessons:
    """Return the training sets of an edit's adapters.

    Every adapter rehearses `retained` facts of each hop. `Lessons.bridged` shows `examples`
    questions about other entities, of the form "plain", or "thought" with bridges written out. No
    fact that `others`, the edits to be merged with this one, change is rehearsed or shown. Sizes
    depend on the arguments alone, so that lessons of several seeds stack. Raises `ImpossibleError`
    if too few facts or questions are left.
    """
    one_of("form", form, FORMS)
    world, after = edit.before, edit.after
    facts = [every(world, start=hop, hops=1) for hop in range(world.hops)]
    rehearsed = tuple(_drawn(part, _apart(edit, others, part), retained, rng) for part in facts)
    questions = every(world)
    shown = _drawn(questions, _apart(edit, others, questions), examples, rng)
    hops = [plain(after, part) for part in edit.taught]
    example = (plain if form == "plain" else thought)(world, shown)
    sets = [*hops, plain(after, edit.questions).final(), joined(hops), joined([*hops, example])]
    kept = joined([plain(world, part) for part in rehearsed], "kept")
    made = [Lesson(part, kept, world.canary(number)) for number, part in enumerate(sets)]
    *each, direct, joint, bridged = made
    return Lessons(tuple(each), direct, joint, bridged, rehearsed)


def _apart(edit: Edit, others: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass no entity of the edit and no fact that another edit changes."""
    seen = edit.touched()
    free = _unedited((edit, *others), questions)
    for level, nodes in enumerate(along(edit.before, questions).T, start=questions.start):
        free &= ~seen[level, nodes]
    return free


def _unedited(edits: Sequence[Edit], questions: Questions) -> Bool[np.ndarray, " q"]:
    """Which questions pass the same entities before and after each of these edits."""
    same = np.ones(len(questions), dtype=bool)
    for one in edits:
        same &= (along(one.before, questions) == along(one.after, questions)).all(axis=1)
    return same


def _drawn(
    questions: Questions, allowed: Bool[np.ndarray, " q"], count: int, rng: np.random.Generator
) -> Questions:
    """Some of the allowed questions, each once; refused if there are too few."""
    pool = np.flatnonzero(allowed)
    if not 0 <= count <= len(pool):
        fact = f"{count} unedited questions of {questions.hops} hops are wanted of {len(pool)}"
        raise impossible(fact, "ask for fewer, edit fewer facts, or draw a larger world")
    return questions[rng.permutation(pool)[:count]]


@dataclass(frozen=True, eq=False)
class Trials:
    """Test prompts, scored by the answer alone.

    Attributes
    ----------
    questions, thought : Prompts
        The edited questions with their new answers; in `thought` the bridges are to be written out.
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
    thought: Prompts
    hops: tuple[Prompts, ...]
    other_hops: tuple[Prompts, ...]
    other_questions: Prompts
    shortcut: Prompts

    @property
    def chance(self) -> float:
        """The score of always giving the answer that is right most often."""
        counts = np.unique(self.questions.answer, return_counts=True)[1]
        return float(counts.max() / len(self.questions))


def trials(
    edit: Edit,
    lessons: Lessons,
    *,
    rng: np.random.Generator,
    count: int = 20,
    others: Sequence[Edit] = (),
) -> Trials:
    """Return the questions that test whether an edit is learned, composes, and leaves others alone.

    For locality there are `count` facts of each hop, none rehearsed in the lessons, and as many
    questions over all hops, none of which this edit or `others`, merged with it, change. Sizes
    depend on the arguments alone. Raises `ImpossibleError` if too few such questions are left.
    """
    before, after, changed = edit.before, edit.after, (edit, *others)
    facts = [edit.questions.fact(hop, edit.routes) for hop in range(before.hops)]
    locality = []
    for part in lessons.rehearsed:
        pool = every(before, start=part.start, hops=1)
        codes = [one.relations[:, 0] * before.size + one.subjects for one in (pool, part)]
        allowed = _unedited(changed, pool) & ~np.isin(*codes)
        locality.append(_drawn(pool, allowed, count, rng))
    questions = every(before)
    quiet = _drawn(questions, _unedited(changed, questions), count, rng)
    return Trials(
        plain(after, edit.questions).final(),
        thought(after, edit.questions),
        tuple(plain(after, part) for part in facts),
        tuple(plain(before, part) for part in locality),
        plain(before, quiet).final(),
        _shortcut(edit, changed, rng),
    )


def _shortcut(edit: Edit, changed: Sequence[Edit], rng: np.random.Generator) -> Prompts:
    """Unedited questions by the same relations, none of which rightly ends in its target."""
    before, answers = edit.before, edit.routes[:, -1]
    questions = every(before)[np.arange(before.entities)]  # by the first relations
    ends = along(before, questions)[:, -1]
    allowed = _unedited(changed, questions) & ~np.isin(ends, answers)
    rows = plain(before, _drawn(questions, allowed, len(answers), rng)).final()
    wrong = before.entity(before.hops, answers)[:, None]
    targets = np.where(rows.targets == NOTHING, NOTHING, wrong)
    return Prompts(rows.tokens, targets, rows.asked, "shortcut")

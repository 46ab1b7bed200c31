"""What theory expects of reused adapters, from what each does alone: no composed run enters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from loratheory.experiments.bench.answers import accuracy, margin, scores
from loratheory.experiments.bench.bases import Bases
from loratheory.experiments.bench.library import within
from loratheory.experiments.bench.training import Taught
from loratheory.shapes import Bool, Float, Int64
from loratheory.tasks.two_hop import NOTHING, Edit, Prompts, Questions, World, along, case, plain
from loratheory.theorems.composition._hops import Pattern
from loratheory.theorems.composition._hops import margin as region_margin
from loratheory.toy.transformer import Adapt, Lora

LEAST = 1e-9  # a fact that the base does not hold back has no deficit to be measured in
PATTERNS: dict[str, Pattern] = {name: name for name in get_args(Pattern)}


@dataclass(frozen=True, eq=False)
class Margins:
    """Logits of each question's facts, before any edit and with the own adapter alone.

    `base` and `alone` are taken where the answer is due; `new` is the token that the edit teaches,
    `old` the one that it must beat: the old answer, or what the base prefers where it had none.
    """

    base: Float[np.ndarray, "hops E n V"]
    alone: Float[np.ndarray, "hops E n V"]
    new: Int64[np.ndarray, "hops E n"]
    old: Int64[np.ndarray, "hops E n"]

    @property
    def deficit(self) -> Float[np.ndarray, "hops E n"]:
        """By how much the old answer was ahead before the edit; positive."""
        return np.maximum(-_gap(self.base, self.new, self.old), LEAST)

    @property
    def margin(self) -> Float[np.ndarray, "hops E n"]:
        """By how much the new answer is ahead of the old one with the own adapter alone."""
        return _gap(self.alone, self.new, self.old)

    @property
    def held(self) -> Bool[np.ndarray, "hops E n"]:
        """Which questions the unedited base answers with what the edit must beat."""
        return _margins(self.base, self.old) > 0

    def effective(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return the coefficients in the sense of the theorems: merge weight times strength.

        An edit of strength 1 turns a deficit into a margin of equal size.
        """
        return coefficient * (self.margin + self.deficit) / (2 * self.deficit)

    def mixed(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return the margin over all tokens that ``thm:averaging-survival`` predicts."""
        return _margins((1 - coefficient) * self.base + coefficient * self.alone, self.new)

    def survives(self, coefficient: float) -> Bool[np.ndarray, "hops E n"]:
        """Return which single facts keep a positive margin at this coefficient."""
        return self.mixed(coefficient) > 0

    def composes(self, coefficient: float, pattern: Pattern) -> Bool[np.ndarray, "E n"]:
        """Return which questions give their new answer by ``thm:two-read-region``."""
        return _composed(self.effective(coefficient), pattern)

    def decided(self, coefficient: float) -> Bool[np.ndarray, "E n"]:
        """Return which do if the bridge is decided between reads (``thm:clean-up-bridge``).

        Each fact must beat its own old answer, whatever the other does.
        """
        return np.all(self.effective(coefficient) > 1 / 2, axis=0)


def _margins(
    logits: Float[np.ndarray, "hops E n V"], answers: Int64[np.ndarray, "hops E n"]
) -> Float[np.ndarray, "hops E n"]:
    return np.stack([margin(*one) for one in zip(logits, answers, strict=True)])


def _gap(
    logits: Float[np.ndarray, "hops E n V"],
    new: Int64[np.ndarray, "hops E n"],
    old: Int64[np.ndarray, "hops E n"],
) -> Float[np.ndarray, "hops E n"]:
    one, two = (np.take_along_axis(logits, x[..., None], axis=-1)[..., 0] for x in (new, old))
    return one - two


def _composed(
    strengths: Float[np.ndarray, "hops E n"], pattern: Pattern
) -> Bool[np.ndarray, "E n"]:
    """Which questions are in the feasible region (``thm:two-read-region``)."""
    each = np.moveaxis(strengths, 0, -1)
    return np.apply_along_axis(lambda one: region_margin(one.tolist(), pattern) > 0, -1, each)


Placing = Callable[[Lora, int], Adapt]
"""How the adapter of a hop acts when it acts alone."""


def own_loop(adapter: Lora, hop: int) -> Adapt:
    """Return the adapter of a hop in the loop of that hop and nowhere else."""
    return within(adapter, lambda site: site.loop == hop)


def in_loops(loops: Sequence[Sequence[int]]) -> Placing:
    """Return what lets the adapter of each hop act in that hop's loops only."""
    return lambda adapter, hop: within(adapter, lambda site: site.loop in loops[hop])


def in_own_layer(library: Taught) -> Placing:
    """Return what lets the first hop's adapter act in the first layer, others in the last."""
    last = library.bases.config.depth - 1
    return lambda adapter, hop: within(adapter, lambda site: site.layer == hop * last)


def margins(
    library: Taught, *, inside: bool = False, pair: int = 0, placed: Placing | None = None
) -> Margins:
    """Return the logits of the facts that one pair's questions need; costs two passes a hop.

    With `inside` each edited fact is asked within a whole question whose other facts are old,
    instead of alone, which needs old facts that lead to it and on from it. ``placed(adapter, hop)``
    is what acts, the adapter everywhere where not given.
    """
    parts = []
    for hop, adapter in enumerate(library.pairs[pair]):
        probes = [probe(edit, hop, inside=inside) for edit in library.edits[pair]]
        prompts, before = [one for one, _ in probes], np.stack([tokens for _, tokens in probes])
        acting = adapter if placed is None else placed(adapter, hop)
        base, alone = (scores(library.bases, prompts, adapt) for adapt in (None, acting))
        new, rest = np.stack([one.answer for one in prompts]), base.copy()
        np.put_along_axis(rest, new[..., None], -np.inf, axis=-1)
        old = np.where(before == NOTHING, rest.argmax(axis=-1), before)
        parts.append((base, alone, new, old))
    return Margins(*map(np.stack, zip(*parts, strict=True)))


def probe(edit: Edit, hop: int, *, inside: bool) -> tuple[Prompts, Int64[np.ndarray, " n"]]:
    """Return the question of each edited fact of one hop, and the old answers.

    The target is the answer if this hop alone is edited; the old tokens are -1 where the base held
    no answer. With `inside` as a whole question: old facts up to the edited one, and on from it.
    """
    maps = edit.before.maps.copy()
    maps[hop] = edit.after.maps[hop]
    edited = World(maps, edit.before.entities, edit.before.canaries)
    asked = edit.questions.fact(hop, edit.routes)
    if inside:
        asked = Questions(0, _origin(edit, hop), edit.questions.relations)
    ends = along(edit.before, asked)[:, -1]
    tokens = edit.before.entity(asked.start + asked.hops, ends)
    return plain(edited, asked).final(), np.where(ends == NOTHING, NOTHING, tokens)


def _origin(edit: Edit, hop: int) -> Int64[np.ndarray, " n"]:
    """The subjects that old facts lead to the edited ones of a hop."""
    nodes = edit.routes[:, hop]
    for level in range(hop - 1, -1, -1):
        held = edit.before.maps[level, edit.questions.relations[:, level]]
        hit = held == nodes[:, None]
        if not hit.any(axis=1).all():
            message = f"no old fact of hop {level} leads to an edited entity: ask the facts alone"
            raise ValueError(message)
        nodes = hit.argmax(axis=1)
    return nodes


def pattern(library: Taught, pair: int = 0) -> Pattern:
    """Return what else the base knew or lost, the same for all questions of a library."""
    return PATTERNS[case(library.edits[pair][0]).name]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What decides whether edits compose; axes are pairs ``P``, replicas ``E``, questions ``n``.

    `patterns` say what else the base knew, pair by pair; `familiar`, whether it knows the bridges;
    `circuit`, how often it is right on two-hop questions that it never saw; `strengths` are those
    of each edit alone, see `Margins.effective`.
    """

    patterns: tuple[Pattern, ...]
    familiar: Bool[np.ndarray, "P E"]
    circuit: Float[np.ndarray, " E"]
    strengths: Float[np.ndarray, "P E n hops"]

    def feasible(self, weights: object) -> Float[np.ndarray, " E"]:
        """Return the share of edited questions in the feasible region (``thm:two-read-region``).

        None counts where the base does not know the bridge. `weights` say how much of each hop's
        own adapter acts where that hop is read; they broadcast to `strengths`.
        """
        acting = np.moveaxis(self.strengths * np.asarray(weights, dtype=float), -1, 1)
        inside = [_composed(*one) for one in zip(acting, self.patterns, strict=True)]
        return np.asarray((np.mean(inside, axis=2) * self.familiar).mean(axis=0))

    def composed(self, weights: object) -> Float[np.ndarray, " E"]:
        """Return `feasible` times `circuit`: a new question is as good as an unseen one."""
        return self.feasible(weights) * self.circuit

    def decided(self) -> Float[np.ndarray, " E"]:
        """Return the share of questions whose every fact is edited (``thm:clean-up-bridge``)."""
        return np.asarray((self.strengths > 1 / 2).all(axis=-1).mean(axis=(0, 2)))

    @property
    def medians(self) -> dict[str, Float[np.ndarray, " E"]]:
        """Columns `strength_1`, `strength_2`, …: medians over the facts."""
        found = np.median(self.strengths, axis=(0, 2))
        return {f"strength_{hop + 1}": column for hop, column in enumerate(found.T)}


def forecast(library: Taught, *, placed: Placing | None = None) -> Forecast:
    """Return what theory needs to know of single-hop adapters, `placed` as of `margins`."""
    cases = [[case(one) for one in edits] for edits in library.edits]
    found = [margins(library, pair=p, placed=placed).effective(1.0) for p in range(len(cases))]
    return Forecast(
        tuple(PATTERNS[pair[0].name] for pair in cases),
        np.array([[one.familiar for one in pair] for pair in cases]),
        np.repeat(circuit(library.bases), library.teaching.sets),
        np.moveaxis(np.array(found), 1, -1),
    )


def circuit(bases: Bases) -> Float[np.ndarray, " G"]:
    """Return how often each base answers questions by bridges in no question that it saw."""
    pairs = zip(bases.worlds, bases.splits, strict=True)
    return accuracy(bases, [plain(facts, parts.held_out).final() for facts, parts in pairs])


def survival(library: Taught, adapter: Lora, coefficient: float) -> Float[np.ndarray, " E"]:
    """Return the share of questions that survive as single facts (``thm:averaging-survival``).

    The first pair's, with an adapter trained on them outright that has this coefficient in a merge
    of which nothing else acts. Costs two passes.
    """
    asked = [one.questions for one in library.trials[0]]
    base, alone = (scores(library.bases, asked, adapt) for adapt in (None, adapter))
    answer = np.stack([one.answer for one in asked])
    return (margin((1 - coefficient) * base + coefficient * alone, answer) > 0).mean(axis=1)

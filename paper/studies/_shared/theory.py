"""Predict the accuracy of combined adapters from measurements of each adapter alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from loratheory.shapes import Bool, Float, Int64
from loratheory.tasks.prompts import NOTHING, Prompts
from loratheory.tasks.two_hop import Edit, FactSet, Questions, along, encode
from loratheory.theorems.composition.two_read_region import Pattern
from loratheory.theorems.composition.two_read_region import margin as region_margin
from loratheory.toy.transformer import Adapt, Lora
from paper.studies._shared.answers import accuracy, margin, scores
from paper.studies._shared.bases import Bases
from paper.studies._shared.library import within
from paper.studies._shared.training import EditLibrary

LEAST = 1e-9  # the least deficit, for facts that the base already answers
PATTERNS: dict[str, Pattern] = {name: name for name in get_args(Pattern)}


@dataclass(frozen=True, eq=False)
class Margins:
    """Logits of each question's facts, before any edit and with the fact's own adapter alone.

    `base` and `alone` are the logits where the answer is due. `new` is the token of the edit's
    answer. `old` is the competing token: the old answer, or the base's most likely token if there
    was no old answer.
    """

    base: Float[np.ndarray, "hops E n V"]
    alone: Float[np.ndarray, "hops E n V"]
    new: Int64[np.ndarray, "hops E n"]
    old: Int64[np.ndarray, "hops E n"]

    @property
    def deficit(self) -> Float[np.ndarray, "hops E n"]:
        """The old answer's logit minus the new answer's logit in the base; at least `LEAST`."""
        return np.maximum(_chosen(self.base, self.old) - _chosen(self.base, self.new), LEAST)

    @property
    def margin(self) -> Float[np.ndarray, "hops E n"]:
        """The new answer's logit minus the old answer's logit with the fact's adapter alone."""
        return _chosen(self.alone, self.new) - _chosen(self.alone, self.old)

    @property
    def held(self) -> Bool[np.ndarray, "hops E n"]:
        """The mask of facts that the unedited base answers with the `old` token."""
        return _margins(self.base, self.old) > 0

    def effective(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return the theorems' coefficients: the coefficient in a merge times each edit's strength.

        An edit of strength 1 turns a deficit into a margin of equal size.
        """
        return coefficient * (self.margin + self.deficit) / (2 * self.deficit)

    def mixed(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return each fact's margin over all tokens in a merge, by ``thm:averaging-survival``."""
        return _margins((1 - coefficient) * self.base + coefficient * self.alone, self.new)

    def survives(self, coefficient: float) -> Bool[np.ndarray, "hops E n"]:
        """Return the mask of single facts with a positive margin at this coefficient."""
        return self.mixed(coefficient) > 0

    def composes(self, coefficient: float, pattern: Pattern) -> Bool[np.ndarray, "E n"]:
        """Predict which two-hop questions get their new answer, by ``thm:two-read-region``."""

        def _wins(strengths: Float[np.ndarray, " hops"]) -> bool:
            return region_margin(strengths.tolist(), pattern) > 0

        won: Bool[np.ndarray, "E n"] = np.apply_along_axis(_wins, 0, self.effective(coefficient))
        return won

    def decided(self, coefficient: float) -> Bool[np.ndarray, "E n"]:
        """Predict which two-hop questions get their new answer, by ``thm:clean-up-bridge``.

        The bridge is decided between reads, so that each fact competes only with its old answer.
        """
        return np.all(self.effective(coefficient) > 1 / 2, axis=0)


def _margins(
    logits: Float[np.ndarray, "hops E n V"], answers: Int64[np.ndarray, "hops E n"]
) -> Float[np.ndarray, "hops E n"]:
    return np.stack(list(map(margin, logits, answers)))


def _chosen(
    logits: Float[np.ndarray, "hops E n V"], tokens: Int64[np.ndarray, "hops E n"]
) -> Float[np.ndarray, "hops E n"]:
    return np.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]


Placing = Callable[[Lora, int], Adapt]
"""``placing(adapter, hop)`` returns the adapter of a hop restricted to some sites."""


def own_loop(adapter: Lora, hop: int) -> Adapt:
    """Return the adapter of a hop, restricted to the loop of that hop."""
    return within(adapter, lambda site: site.loop == hop)


def in_loops(loops: Sequence[Sequence[int]]) -> Placing:
    """Return a `Placing` that restricts the adapter of hop ``j`` to ``loops[j]``."""
    return lambda adapter, hop: within(adapter, lambda site: site.loop in loops[hop])


def margins(library: EditLibrary, *, inside: bool = False, where: Placing | None = None) -> Margins:
    """Return the logits of the facts that the first pair's questions need; two passes per hop.

    With `inside` each edited fact is measured within a whole question whose other facts are old;
    old facts must lead to it and on from it. `where` restricts the sites of adapters; without it
    they are active everywhere.
    """
    parts = []
    for hop, adapter in enumerate(library.pairs[0]):
        probes = [probe(edit, hop, inside=inside) for edit in library.edits[0]]
        prompts, before = zip(*probes, strict=True)
        new = np.stack([one.answer for one in prompts])
        base = scores(library.bases, prompts)
        alone = scores(library.bases, prompts, where(adapter, hop) if where else adapter)
        # Without an old answer, the edit competes with the base's most likely token.
        rest = base.copy()
        np.put_along_axis(rest, new[..., None], -np.inf, axis=-1)
        old = np.where(np.stack(before) == NOTHING, rest.argmax(axis=-1), before)
        parts.append((base, alone, new, old))
    return Margins(*map(np.stack, zip(*parts, strict=True)))


def probe(edit: Edit, hop: int, *, inside: bool) -> tuple[Prompts, Int64[np.ndarray, " n"]]:
    """Return the questions for the edited facts of one hop, and the old answers' tokens.

    The target is the answer if only this hop is edited; the old token is -1 if the base held no
    answer. With `inside` the questions are whole: old facts lead to the edited one and on from it.
    """
    # Only this hop is edited; other hops keep the base's facts.
    maps = edit.before.maps.copy()
    maps[hop] = edit.after.maps[hop]
    edited = FactSet(maps, edit.before.entities)
    questions = edit.questions.fact(hop, edit.routes)
    if inside:
        questions = Questions(0, _origin(edit, hop), edit.questions.relations)
    ends = along(edit.before, questions)[:, -1]
    tokens = edit.before.entity(questions.start + questions.hops, ends)
    return encode(edited, questions).final(), np.where(ends == NOTHING, NOTHING, tokens)


def _origin(edit: Edit, hop: int) -> Int64[np.ndarray, " n"]:
    """Return the subjects from which old facts lead to the edited entities of a hop."""
    nodes = edit.routes[:, hop]
    for level in range(hop - 1, -1, -1):
        held = edit.before.maps[level, edit.questions.relations[:, level]]
        # Take the first of several entities that lead there.
        hit = held == nodes[:, None]
        if not hit.any(axis=1).all():
            message = f"no old fact of hop {level} leads to an edited entity: use inside=False"
            raise ValueError(message)
        nodes = hit.argmax(axis=1)
    return nodes


def pattern(library: EditLibrary) -> Pattern:
    """Return the `Pattern` of old facts, which all questions of a pair share."""
    return PATTERNS[library.edits[0][0].case]


def forecast(
    library: EditLibrary, coefficient: float, *, familiar: bool = False
) -> Float[np.ndarray, " E"]:
    """Predict two-hop accuracy in a merge of the first pair from margins of each adapter alone.

    It is the share of edited questions in the region of ``thm:two-read-region``, times the base's
    `circuit`, its accuracy on questions outside pretraining: no pretraining text has an edited
    answer. At a coverage of 90% or more most edited questions are in pretraining with their old
    answers, and the factor is an approximation. Questions whose bridge the base does
    not know count as outside, unless pretraining made all bridges `familiar`.
    """
    inside = margins(library).composes(coefficient, pattern(library)).mean(axis=1)
    known = [familiar or edit.case != "new facts" for edit in library.edits[0]]
    return inside * known * np.repeat(circuit(library.bases), library.training.sets)


def circuit(bases: Bases) -> Float[np.ndarray, " G"]:
    """Return each base's accuracy on questions whose bridges are in no trained question."""
    pairs = zip(bases.fact_sets, bases.splits, strict=True)
    return accuracy(bases, [encode(facts, parts.held_out).final() for facts, parts in pairs])

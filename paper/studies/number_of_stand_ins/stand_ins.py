"""Train adapters of small transformers with stand-in partners.

The hop-1 author (A→B) makes up answers C for the bridges B; the hop-2 author (B→C) makes up
subjects A that lead to the bridges. A stand-in is an adapter of these made-up facts, by standard
training. While a stand-in is active, the author's two-hop questions have the answers of the
stand-in's facts. Neither author uses a subject or an answer of the other author's facts.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Float, Int64
from loratheory.tasks.prompts import Prompts, joined
from loratheory.tasks.two_hop import Edit, FactSet, all_questions, along, ask_first, encode, marked
from loratheory.toy.transformer import Lora
from paper.studies._shared.answers import accuracy
from paper.studies._shared.training import EditLibrary, train

OWN, TWO_HOP, UNEDITED = 48, 96, 120
"""Rows of an adapter's training set: its own facts, two-hop questions with stand-ins' answers, and
unedited two-hop questions. They are divided among the stand-ins, as are replayed facts, so that the
cost of training does not depend on the number of stand-ins."""
SUBJECTS = 8
"""The number of made-up subjects of a hop-1 stand-in."""


@dataclass(frozen=True)
class StandIns:
    """The stand-ins of a training, each active on its share of the rows.

    Attributes
    ----------
    count : int
        The number of stand-ins: a divisor of 12, and at most the number of edited facts, so that
        any two stand-ins can disagree on every answer.
    agree : bool
        Whether all stand-ins have the same facts.
    two_hop : bool
        Whether the training set has two-hop questions.
    """

    count: int = 4
    agree: bool = False
    two_hop: bool = True


@dataclass(frozen=True, eq=False)
class TrainedPair:
    """Adapters of both hops, and the two-hop questions of their training sets.

    ``two_hop_prompts[hop][j][e]`` are the questions of the `j`-th stand-in in replica ``e``.
    """

    library: EditLibrary
    adapters: tuple[Lora, ...]
    two_hop_prompts: tuple[tuple[tuple[Prompts, ...], ...], ...]

    def memorised(self, hop: int) -> Float[np.ndarray, " E"]:
        """Return the accuracy of an adapter alone on the two-hop questions of its training set.

        With disagreeing stand-ins it is at most ``1 / StandIns.count``
        (``thm:disagreeing-stand-ins``).
        """
        own, bases = self.adapters[hop], self.library.bases
        shares = [accuracy(bases, prompts, own) for prompts in self.two_hop_prompts[hop]]
        return np.asarray(np.mean(shares, axis=0))


def train_with_stand_ins(source: EditLibrary, how: StandIns) -> TrainedPair:
    """Train the first pair's adapters again, each with stand-ins of the other adapter.

    The cost is two trainings per stand-in, and the trainings of both adapters.
    """
    adapters, questions = [], []
    for hop in (0, 1):
        kept = [one.hops[hop].replayed for one in source.training_sets[0]]
        made = []
        for edit, (seed, number) in zip(source.edits[0], source.replicas, strict=True):
            made.append(Author(edit, hop, np.random.default_rng([seed, 7, number, hop])))
        stand_ins, two_hop_prompts, shown = [], [], [list[Prompts]() for _ in made]
        for j in range(how.count):
            theirs, questions_of_j = [], []
            for one, old, rows in zip(made, kept, shown, strict=True):
                facts = one.partner(0 if how.agree else j)
                theirs.append(marked(joined([one.singles(1 - hop, facts), old]), 0))
                questions_of_j.append(one.two_hop_prompts(facts))
                rows.append(one.rows(facts, old, how, j))
            stand_ins.append(train(source.bases, source.training, theirs, (8, hop, j)))
            two_hop_prompts.append(tuple(questions_of_j))
        # Trainings with other stand-ins have other random numbers.
        stream = (9, hop, how.count, int(how.agree), int(how.two_hop))
        rows = list(map(joined, shown))
        adapters.append(train(source.bases, source.training, rows, stream, stand_ins=stand_ins))
        questions.append(tuple(two_hop_prompts))
    return TrainedPair(source, tuple(adapters), tuple(questions))


class Author:
    """The adapter author of one hop of an edit, who knows the bridges and makes up partners."""

    def __init__(self, edit: Edit, hop: int, rng: np.random.Generator) -> None:
        known = np.arange(edit.before.size) < edit.before.entities
        self.edit, self.hop, self.seen = edit, hop, edit.touched()
        # Entities at the partner's end that the edit does not touch.
        self.free = rng.permutation(np.flatnonzero(known & ~self.seen[2 * (1 - hop)]))
        self.order = rng.permutation(len(all_questions(edit.before)))

    def partner(self, j: int) -> FactSet:
        """Return the fact set of the author's own facts and the `j`-th stand-in's facts."""
        maps, bridges = self.edit.before.maps.copy(), self.edit.routes[:, 1]
        maps[self.hop] = self.edit.after.maps[self.hop]
        if self.hop == 0:
            # Stand-ins have disjoint answers.
            maps[1, 0, bridges] = self.free[j * len(bridges) :][: len(bridges)]
        else:
            # Bridges repeat over the subjects, shifted by the number of the stand-in.
            maps[0, 0, self.free[:SUBJECTS]] = np.resize(np.roll(bridges, -j), SUBJECTS)
        return FactSet(maps, self.edit.before.entities)

    @property
    def subjects(self) -> Int64[np.ndarray, " n"]:
        """The subjects of the training set's two-hop questions."""
        return self.free[:SUBJECTS] if self.hop else self.edit.questions.subjects

    def singles(self, hop: int, facts: FactSet) -> Prompts:
        """Return the facts of one hop that the training set's two-hop questions need."""
        entities = self.edit.routes[:, 1] if hop else self.subjects
        return encode(facts, ask_first(hop, entities, 1))

    def two_hop_prompts(self, facts: FactSet) -> Prompts:
        """Return the training set's two-hop questions, with answers of this fact set."""
        return encode(facts, ask_first(0, self.subjects, 2)).final()

    def rows(self, facts: FactSet, kept: Prompts, how: StandIns, j: int) -> Prompts:
        """Return the training rows of the `j`-th stand-in, its share of all rows."""
        before, old = self.edit.before, all_questions(self.edit.before)[self.order]
        passed = along(before, old)
        # Old questions that neither the edit nor the stand-in changes.
        still = (passed == along(facts, old)).all(axis=1)
        still &= ~np.any([self.seen[level, nodes] for level, nodes in enumerate(passed.T)], axis=0)
        # Rows are divided, so that training costs the same with any number of stand-ins.
        unedited = old[np.flatnonzero(still)[j * UNEDITED // how.count :][: UNEDITED // how.count]]
        parts = [
            repeated(self.singles(self.hop, facts), OWN // how.count),
            kept[np.arange(j, len(kept), how.count)],
            encode(before, unedited).final(),
        ]
        if how.two_hop:
            parts.append(repeated(self.two_hop_prompts(facts), TWO_HOP // how.count))
        return joined(parts)


def repeated(prompts: Prompts, rows: int) -> Prompts:
    """Repeat prompts up to a number of rows."""
    return prompts[np.resize(np.arange(len(prompts)), rows)]

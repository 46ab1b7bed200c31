"""Adapters of small transformers that are taught beside stand-ins for a partner yet unknown.

The author of first hops (A→B) makes up answers C for its bridges B, that of second hops (B→C)
makes up subjects A that lead to its bridges. A stand-in is an adapter of such facts, trained
plainly. While it acts, two-hop questions about one's own facts are answered as it has it. Neither
author uses a subject or an answer of the other's facts.
"""

from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Float, Int64
from loratheory.tasks.prompts import Prompts, joined
from loratheory.tasks.two_hop import Edit, World, along, ask_first, every, marked, plain
from loratheory.toy.transformer import Lora
from paper.studies._shared.answers import accuracy
from paper.studies._shared.training import Taught, learned

OWN, ASKED, QUIET = 48, 96, 120
"""Rows of an adapter's training set: its own facts, two-hop questions as the stand-ins have it, and
old two-hop questions that nothing should change. As rehearsed facts they are shared out among the
stand-ins, so that training costs the same beside any number."""
SUBJECTS = 8
"""Made-up subjects of a stand-in for the first hop."""


@dataclass(frozen=True)
class StandIns:
    """How many stand-ins act in training, each on its share of the rows.

    Attributes
    ----------
    count : int
        A divisor of 12, and at most the number of edited facts: then any two can disagree on every
        answer.
    agree : bool
        Whether all have the same facts instead.
    two_hop : bool
        Whether the lessons ask two-hop questions.
    """

    count: int = 4
    agree: bool = False
    two_hop: bool = True


@dataclass(frozen=True, eq=False)
class Beside:
    """Adapters of both hops, and the two-hop questions that lessons ask.

    ``asked[hop][j][e]`` is asked beside the `j`-th stand-in in replica ``e``.
    """

    library: Taught
    adapters: tuple[Lora, ...]
    asked: tuple[tuple[tuple[Prompts, ...], ...], ...]

    def memorised(self, hop: int) -> Float[np.ndarray, " E"]:
        """Return the share of lessons' two-hop questions that an adapter answers alone.

        Alone it hears of no partner: where any two stand-ins disagree, it can know the answer in
        one of `StandIns.count` cases at most (``thm:disagreeing-stand-ins``).
        """
        own, bases = self.adapters[hop], self.library.bases
        shares = [accuracy(bases, asked, own) for asked in self.asked[hop]]
        return np.asarray(np.mean(shares, axis=0))


def beside_stand_ins(of: Taught, how: StandIns) -> Beside:
    """Train the first pair's adapters again, each beside stand-ins for the other.

    Costs twice as many trainings as there are stand-ins, and those of the two adapters.
    """
    adapters, questions = [], []
    for hop in (0, 1):
        kept = [lessons.hops[hop].rehearsed for lessons in of.lessons[0]]
        made = []
        for edit, (seed, number) in zip(of.edits[0], of.replicas, strict=True):
            made.append(Author(edit, hop, np.random.default_rng([seed, 7, number, hop])))
        stand_ins, asked, shown = [], [], [list[Prompts]() for _ in made]
        for j in range(how.count):
            theirs, questions_of_j = [], []
            for one, old, rows in zip(made, kept, shown, strict=True):
                world = one.partner(0 if how.agree else j)
                theirs.append(marked(joined([one.singles(1 - hop, world), old]), 0))
                questions_of_j.append(one.asked(world))
                rows.append(one.rows(world, old, how, j))
            stand_ins.append(learned(of.bases, of.teaching, theirs, (8, hop, j)))
            asked.append(tuple(questions_of_j))
        # Trainings beside other stand-ins have other random numbers.
        stream = (9, hop, how.count, int(how.agree), int(how.two_hop))
        rows = list(map(joined, shown))
        adapters.append(learned(of.bases, of.teaching, rows, stream, beside=stand_ins))
        questions.append(tuple(asked))
    return Beside(of, tuple(adapters), tuple(questions))


class Author:
    """Who teaches one hop of an edit, knows the base and the bridges, and makes up partners."""

    def __init__(self, edit: Edit, hop: int, rng: np.random.Generator) -> None:
        known = np.arange(edit.before.size) < edit.before.entities
        self.edit, self.hop, self.seen = edit, hop, edit.touched()
        # At the partner's end, entities that the edit does not touch.
        self.free = rng.permutation(np.flatnonzero(known & ~self.seen[2 * (1 - hop)]))
        self.order = rng.permutation(len(every(edit.before)))

    def partner(self, j: int) -> World:
        """Return the world of one's own facts and those of the `j`-th stand-in."""
        maps, bridges = self.edit.before.maps.copy(), self.edit.routes[:, 1]
        maps[self.hop] = self.edit.after.maps[self.hop]
        if self.hop == 0:
            # Each stand-in has answers of its own.
            maps[1, 0, bridges] = self.free[j * len(bridges) :][: len(bridges)]
        else:
            # Subjects outnumber bridges, which are dealt out in turn, shifted by the number.
            maps[0, 0, self.free[:SUBJECTS]] = np.resize(np.roll(bridges, -j), SUBJECTS)
        return World(maps, self.edit.before.entities)

    @property
    def subjects(self) -> Int64[np.ndarray, " n"]:
        """Whom the lessons' two-hop questions are about."""
        return self.free[:SUBJECTS] if self.hop else self.edit.questions.subjects

    def singles(self, hop: int, world: World) -> Prompts:
        """Return the facts of one hop that the lessons' two-hop questions need."""
        entities = self.edit.routes[:, 1] if hop else self.subjects
        return plain(world, ask_first(hop, entities, 1))

    def asked(self, world: World) -> Prompts:
        """Return the lessons' two-hop questions, with answers of this world."""
        return plain(world, ask_first(0, self.subjects, 2)).final()

    def rows(self, world: World, kept: Prompts, how: StandIns, j: int) -> Prompts:
        """Return what is shown beside the `j`-th stand-in: its share of all rows."""
        before, old = self.edit.before, every(self.edit.before)[self.order]
        passed = along(before, old)
        # Old questions that neither the edit nor the stand-in changes.
        still = (passed == along(world, old)).all(axis=1)
        still &= ~np.any([self.seen[level, nodes] for level, nodes in enumerate(passed.T)], axis=0)
        # Rows are shared out: training costs the same beside any number of stand-ins.
        quiet = old[np.flatnonzero(still)[j * QUIET // how.count :][: QUIET // how.count]]
        parts = [
            repeated(self.singles(self.hop, world), OWN // how.count),
            kept[np.arange(j, len(kept), how.count)],
            plain(before, quiet).final(),
        ]
        if how.two_hop:
            parts.append(repeated(self.asked(world), ASKED // how.count))
        return joined(parts)


def repeated(prompts: Prompts, rows: int) -> Prompts:
    """Return the same prompts again and again, so many rows of them."""
    return prompts[np.resize(np.arange(len(prompts)), rows)]

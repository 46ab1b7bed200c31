"""Edits: some subjects get new bridges and these new answers, so that every hop must be read anew.

Worlds before and after an edit differ in its facts alone; whatever asks questions asks them in
either.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.shapes import Bool, Int64
from loratheory.tasks.two_hop._questions import Questions, along, values
from loratheory.tasks.two_hop._world import NOTHING, World


@dataclass(frozen=True, eq=False)
class Edit:
    """What the adapters of one chain of tasks (A→B, B→C, …) are to teach.

    Attributes
    ----------
    before, after : World
        The facts that the base knows, and those after all adapters of this edit.
    questions : Questions
        The edited chains, from the first level to the last.
    taught : tuple of Questions
        The single facts that each hop's adapter teaches, those of `questions` first.
    """

    before: World
    after: World
    questions: Questions
    taught: tuple[Questions, ...]

    @property
    def chains(self) -> Int64[np.ndarray, "n levels"]:
        """Subject, bridges and answer of each edited chain, after the edit."""
        return along(self.after, self.questions)

    def reached(self) -> tuple[Int64[np.ndarray, "n branches"], ...]:
        """Return where the chains lead if each hop may read its new or its old fact.

        Returns
        -------
        tuple of (n, 2**level) arrays of int
            One per level. In column ``b`` hop ``j`` was read as before the edit where bit ``j``
            of ``b`` is set, as after it elsewhere; column 0 is the edited chain. -1 where there
            is no such fact.
        """
        nodes = self.questions.subjects[:, None]
        levels = [nodes]
        for hop, relation in enumerate(self.questions.relations.T):
            path = relation[:, None]
            reads = [values(world, hop, path, nodes) for world in (self.after, self.before)]
            nodes = np.concatenate(reads, axis=1)
            levels.append(nodes)
        return tuple(levels)

    def answers(self, new: Sequence[bool]) -> Int64[np.ndarray, " n"]:
        """Return the answers that follow if only these hops are read as after the edit.

        Parameters
        ----------
        new : sequence of bool
            One per hop: ``(True, False)`` is what an adapter of the first hop alone makes right.

        Returns
        -------
        (n,) array of int
            Tokens; -1 where a fact is missing.
        """
        column = sum(1 << hop for hop, is_new in enumerate(new) if not is_new)
        found = self.reached()[-1][:, column]
        return np.where(found == NOTHING, NOTHING, self.after.entity(self.after.hops, found))

    def touched(self) -> Bool[np.ndarray, "levels size"]:
        """Return which entities have to do with the edit.

        Returns
        -------
        (hops + 1, size) array of bool
            All that a chain reaches by old and new facts, and all in a taught fact, old or new.
        """
        seen = np.zeros((self.before.hops + 1, self.before.size), dtype=bool)
        for level, nodes in enumerate(self.reached()):
            seen[level, nodes[nodes != NOTHING]] = True
        for facts in self.taught:
            for world in (self.before, self.after):
                for level, nodes in enumerate(along(world, facts).T, start=facts.start):
                    seen[level, nodes[nodes != NOTHING]] = True
        return seen

    def claimed(self) -> Bool[np.ndarray, "levels size"]:
        """What other edits must not touch: as `touched`, of the last level only new answers."""
        seen = self.touched()
        seen[-1] = False
        seen[-1, along(self.after, self.taught[-1])[:, 1]] = True
        return seen

    def edited(self) -> Bool[np.ndarray, "hops relations size"]:
        """Which facts differ before and after."""
        return self.before.maps != self.after.maps

"""How strong each edit is, from its own adapter alone: what predictions of merges are made from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loratheory.experiments.reuse._marks import lead, scores
from loratheory.experiments.reuse._rules import in_loops
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Bool, Float, Int64
from loratheory.tasks.two_hop import NOTHING, Edit, Prompts, Questions, World, along, case, plain
from loratheory.theorems.composition._hops import Pattern
from loratheory.theorems.composition.two_read_region import margin
from loratheory.toy.transformer import Adapt, Lora

LEAST = 1e-9  # a fact that the base does not hold back has no deficit to be measured in
PATTERNS: dict[str, Pattern] = {
    "A": "overwrite",
    "B": "overwrite both",
    "C": "new subject",
    "D": "new facts",
}


@dataclass(frozen=True, eq=False)
class Margins:
    """Logits of each chain's facts, before any edit and with the own adapter alone.

    Attributes
    ----------
    base, alone : (hops, E, n, V) array
        Where the answer is due.
    new, old : (hops, E, n) array of int
        The token that the edit teaches, and the one that it must beat: the old answer, or what
        the base prefers where it had none.
    """

    base: Float[np.ndarray, "hops E n V"]
    alone: Float[np.ndarray, "hops E n V"]
    new: Int64[np.ndarray, "hops E n"]
    old: Int64[np.ndarray, "hops E n"]

    @property
    def deficit(self) -> Float[np.ndarray, "hops E n"]:
        """By how much the old answer led before the edit; positive."""
        return np.maximum(-_gap(self.base, self.new, self.old), LEAST)

    @property
    def margin(self) -> Float[np.ndarray, "hops E n"]:
        """By how much the new answer leads the old one with the own adapter alone."""
        return _gap(self.alone, self.new, self.old)

    @property
    def held(self) -> Bool[np.ndarray, "hops E n"]:
        """Which questions the unedited base answers with what the edit must beat."""
        return np.stack([lead(hop, old) > 0 for hop, old in zip(self.base, self.old, strict=True)])

    def effective(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return the coefficients in the sense of the theorems: merge weight times strength.

        An edit of strength 1 turns a deficit into a margin of equal size.
        """
        return coefficient * (self.margin + self.deficit) / (2 * self.deficit)

    def leads(self, coefficient: float) -> Float[np.ndarray, "hops E n"]:
        """Return the lead over all tokens that ``thm:averaging-survival`` predicts undisturbed."""
        mixed = (1 - coefficient) * self.base + coefficient * self.alone
        return np.stack([lead(hop, new) for hop, new in zip(mixed, self.new, strict=True)])

    def composes(self, coefficient: float, pattern: Pattern) -> Bool[np.ndarray, "E n"]:
        """Return which chains give their new answer by ``thm:two-read-region``."""
        each = self.effective(coefficient)
        found = [margin(one, pattern) > 0 for one in each.reshape(len(each), -1).T.tolist()]
        return np.array(found).reshape(each.shape[1:])

    def decided(self, coefficient: float) -> Bool[np.ndarray, "E n"]:
        """Return which chains do if the bridge is decided between reads (``thm:clean-up-bridge``).

        Each fact must beat its own old answer, whatever the other does.
        """
        return np.all(self.effective(coefficient) > 1 / 2, axis=0)


def _gap(
    logits: Float[np.ndarray, "hops E n V"],
    new: Int64[np.ndarray, "hops E n"],
    old: Int64[np.ndarray, "hops E n"],
) -> Float[np.ndarray, "hops E n"]:
    one, two = (np.take_along_axis(logits, x[..., None], axis=-1)[..., 0] for x in (new, old))
    return one - two


Placing = Callable[[Lora, int], Adapt]
"""How the adapter of a hop acts when it acts alone."""


def own_loop(adapter: Lora, hop: int) -> Adapt:
    """Return the adapter of a hop in the loop of that hop and nowhere else."""
    return in_loops([*[None] * hop, adapter])


def margins(
    shelf: Shelf, *, inside: bool = False, pair: int = 0, placed: Placing | None = None
) -> Margins:
    """Return the logits of the facts that one pair's chains need.

    Parameters
    ----------
    shelf : Shelf
        With adapters of the single hops.
    inside : bool
        Ask each edited fact within a whole chain whose other facts are old, instead of alone.
        Needs old facts that lead to it and on from it.
    pair : int
        Which pair.
    placed : callable, optional
        ``placed(adapter, hop)`` is what acts; the adapter everywhere where not given.

    Returns
    -------
    Margins
        Costs two passes a hop.
    """
    base, alone, new, old = [], [], [], []
    for hop, adapter in enumerate(shelf.hops[pair]):
        found = [probe(edit, hop, inside=inside) for edit in shelf.edits[pair]]
        prompts = [one for one, _ in found]
        base.append(scores(shelf.bases, prompts))
        acting = adapter if placed is None else placed(adapter, hop)
        alone.append(scores(shelf.bases, prompts, acting))
        new.append(np.stack([one.answer for one in prompts]))
        rest = base[-1].copy()
        np.put_along_axis(rest, new[-1][..., None], -np.inf, axis=-1)
        told = np.stack([before for _, before in found])
        old.append(np.where(told == NOTHING, rest.argmax(axis=-1), told))
    return Margins(np.stack(base), np.stack(alone), np.stack(new), np.stack(old))


def probe(edit: Edit, hop: int, *, inside: bool) -> tuple[Prompts, Int64[np.ndarray, " n"]]:
    """Return the question of each chain's edited fact of one hop, and the old answers.

    Parameters
    ----------
    edit : Edit
        Whose chains need the facts.
    hop : int
        Which of them.
    inside : bool
        As a whole chain: old facts up to the edited one, and old facts on from it.

    Returns
    -------
    prompts, old
        The target is the answer if this hop alone is edited; the old tokens are -1 where the
        base held no answer.
    """
    maps = edit.before.maps.copy()
    maps[hop] = edit.after.maps[hop]
    here = World(maps, edit.before.entities, edit.before.canaries)
    asked = edit.questions.fact(hop, edit.chains)
    if inside:
        asked = Questions(0, _origin(edit, hop), edit.questions.relations)
    ends = along(edit.before, asked)[:, -1]
    tokens = edit.before.entity(asked.start + asked.hops, ends)
    return plain(here, asked).final(), np.where(ends == NOTHING, NOTHING, tokens)


def _origin(edit: Edit, hop: int) -> Int64[np.ndarray, " n"]:
    """The subjects that old facts lead to the edited ones of a hop."""
    nodes = edit.chains[:, hop]
    for level in range(hop - 1, -1, -1):
        held = edit.before.maps[level, edit.questions.relations[:, level]]
        hit = held == nodes[:, None]
        if not hit.any(axis=1).all():
            message = f"no old fact of hop {level} leads to an edited entity: ask the facts alone"
            raise ValueError(message)
        nodes = hit.argmax(axis=1)
    return nodes


def pattern(shelf: Shelf, pair: int = 0) -> Pattern:
    """Return what else the base knew or lost, the same for all chains of a shelf."""
    return PATTERNS[case(shelf.edits[pair][0]).name]

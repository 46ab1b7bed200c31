"""What reused adapters are asked: the edited chains, and the controls that make a success mean it.

The adapters alone are asked the same chains; an adapter that always says one of its answers is
right on one in `Trials.chance`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._edits import Edit
from loratheory.tasks.two_hop._forms import plain, thought
from loratheory.tasks.two_hop._lessons import Lessons, drawn, unedited
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._questions import Questions, along, every
from loratheory.tasks.two_hop._world import NOTHING


@dataclass(frozen=True, eq=False)
class Trials:
    """Prompts to be scored by the answer alone.

    Attributes
    ----------
    chains : Prompts
        The edited chains: success is the new answer.
    thought : Prompts
        The same chains, to be answered step by step.
    hops : tuple of Prompts
        The facts that these chains need, one set per hop.
    other_hops : tuple of Prompts
        Facts that no edit changes and no adapter rehearsed: locality.
    other_chains : Prompts
        Chains that no edit changes: locality of composition.
    shortcut : Prompts
        Chains of other subjects, with the edited chains' answers as targets: where these are
        given, the subject was not read.
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
    studied: Lessons,
    *,
    rng: np.random.Generator,
    count: int = 20,
    others: Sequence[Edit] = (),
) -> Trials:
    """Return the questions that tell whether the edit is in force, composed, and local.

    Parameters
    ----------
    edit : Edit
        Whose chains are asked.
    studied : Lessons
        What its adapters were trained on: their rehearsed facts are no test of locality.
    rng : Generator
        Chooses the unedited questions.
    count : int
        Unedited facts of each hop, and unedited chains.
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
    changed, chains = (edit, *others), every(before)
    facts = [edit.questions.fact(hop, edit.chains) for hop in range(before.hops)]
    quiet = unedited(changed, chains)
    locality = []
    for part in studied.rehearsed:
        pool = every(before, start=part.start, hops=1)
        known = _codes(before.size, part)
        fresh = ~np.isin(_codes(before.size, pool), known)
        locality.append(drawn(pool, unedited(changed, pool) & fresh, count, rng=rng))
    return Trials(
        plain(after, edit.questions).final(),
        thought(after, edit.questions),
        tuple(plain(after, part) for part in facts),
        tuple(plain(before, part) for part in locality),
        plain(before, drawn(chains, quiet, count, rng=rng)).final(),
        _shortcut(edit, others, rng),
    )


def _shortcut(edit: Edit, others: Sequence[Edit], rng: np.random.Generator) -> Prompts:
    """Unedited chains by the same relations, none of which rightly ends in its target."""
    before, facts = edit.before, len(edit.questions)
    path = edit.questions.relations[:1]
    subjects = np.arange(before.entities, dtype=np.int64)
    chains = Questions(0, subjects, np.repeat(path, before.entities, axis=0))
    ends = along(before, chains)[:, -1]
    allowed = unedited((edit, *others), chains) & ~np.isin(ends, edit.chains[:, -1])
    if int(allowed.sum()) < facts:
        fact = f"{int(allowed.sum())} other chains are left for {facts} shortcut questions"
        raise impossible(fact, "edit fewer facts, or draw a larger world")
    rows = plain(before, drawn(chains, allowed, facts, rng=rng)).final()
    wrong = before.entity(before.hops, edit.chains[:, -1])[:, None]
    targets = np.where(rows.targets == NOTHING, NOTHING, wrong)
    return Prompts(rows.tokens, targets, rows.asked, "shortcut")


def _codes(size: int, facts: Questions) -> np.ndarray:
    return facts.relations[:, 0] * size + facts.subjects

"""How a reused shelf answers: accuracy and lead on every kind of question, replica by replica."""

from collections.abc import Sequence

import numpy as np
import torch

from loratheory.experiments.reuse._bases import Bases, tensor
from loratheory.experiments.reuse._passes import one_pass
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Float
from loratheory.tasks.two_hop import Prompts, Trials, stacked
from loratheory.toy.transformer import Adapt

Marks = dict[str, Float[np.ndarray, " E"]]
"""Accuracy of each replica, by kind of question."""


def scores(
    known: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None
) -> Float[np.ndarray, "E B V"]:
    """Return the logits where the answers are due.

    Parameters
    ----------
    known : Bases
        ``G`` models.
    prompts : sequence of Prompts
        One a replica, all of one size; ``G`` divides their number.
    adapt : callable, optional
        What is added to the base; nothing where not given.

    Returns
    -------
    (E, B, V) array
        Over the whole vocabulary. Costs one pass.
    """
    rows = stacked(list(prompts))
    with torch.inference_mode():
        found = one_pass(known, tensor(rows.tokens), adapt)
    place = torch.as_tensor(rows.position)[..., None, None]
    return found.take_along_dim(place, dim=2)[:, :, 0].double().numpy()


def lead(found: Float[np.ndarray, "E B V"], answer: np.ndarray) -> Float[np.ndarray, "E B"]:
    """Return by how much the logit of the answer leads all others; positive where it is given."""
    own = np.take_along_axis(found, answer[..., None], axis=-1)
    rest = found.copy()
    np.put_along_axis(rest, answer[..., None], -np.inf, axis=-1)
    return own[..., 0] - rest.max(axis=-1)


def leads(
    known: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None
) -> Float[np.ndarray, "E B"]:
    """Return by how much each right answer leads; costs one pass."""
    answer = np.stack([one.answer for one in prompts])
    return lead(scores(known, prompts, adapt), answer)


def accuracy(
    known: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None
) -> Float[np.ndarray, " E"]:
    """Return the share of prompts whose right answer has the largest logit of all tokens."""
    return (leads(known, prompts, adapt) > 0).mean(axis=1)


def marks(shelf: Shelf, rule: Sequence[Adapt | None]) -> Marks:
    """Return the marks of a way of reuse, averaged over the pairs.

    Parameters
    ----------
    shelf : Shelf
        Whose questions are asked.
    rule : sequence of callable or None
        What acts when the questions of each pair are asked: the same thing for every pair,
        except for an oracle.

    Returns
    -------
    dict of str to (E,) array
        Accuracies: `two_hop`, the edited two-hop questions; `hop_1`, `hop_2`, …, the facts
        that these need;
        `other_hops` and `other_two_hop`, what no edit changes; `shortcut`, how often chains of
        other subjects get the edited chains' answers; `chance`, of one answer always given.
    """
    found = [
        _marks(shelf.bases, asked, adapt) for asked, adapt in zip(shelf.trials, rule, strict=True)
    ]
    return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


def _marks(known: Bases, asked: Sequence[Trials], adapt: Adapt | None) -> Marks:
    def _right(kind: str, hop: int | None = None) -> np.ndarray:
        found = [getattr(one, kind) for one in asked]
        return accuracy(known, found if hop is None else [one[hop] for one in found], adapt)

    hops = range(known.setting.hops)
    return {
        "two_hop": _right("chains"),
        **{f"hop_{j + 1}": _right("hops", j) for j in hops},
        "other_hops": np.mean([_right("other_hops", j) for j in hops], axis=0),
        "other_two_hop": _right("other_chains"),
        "shortcut": _right("shortcut"),
        "chance": np.array([one.chance for one in asked]),
    }

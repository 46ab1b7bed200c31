"""How small transformers answer: in one pass or more, right or wrong, and as rows of a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from loratheory.experiments.bench.bases import PARTS, Bases, tensor
from loratheory.experiments.bench.library import Library, acting
from loratheory.experiments.bench.rules import Act, in_turn, rule
from loratheory.experiments.engine import Row
from loratheory.shapes import Float, Int
from loratheory.tasks.two_hop import Prompts, Trials, every, joined, plain, stacked
from loratheory.toy.transformer import Adapt, Pass, decoded, logits

Accuracies = dict[str, Float[np.ndarray, " E"]]
"""Accuracy of each replica, by kind of question."""


def hop_by_hop(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of a subject and its relations, one relation a pass.

    Parameters
    ----------
    bases : Bases
        ``G`` models.
    tokens : (E, B, T) tensor
        ``x r1 r2 …``; ``T`` of two or more.
    adapt : callable or None
        What is added in every pass.

    Returns
    -------
    (E, B, T, V) tensor
        What is answered to ``x r1`` becomes the subject of ``· r2``, and so on: a clean-up to whole
        tokens between the reads (``thm:clean-up-bridge``). Costs a pass a relation.
    """

    def _next(place: int) -> Callable[[Tensor], Tensor]:
        return lambda said: torch.stack([said[:, :, -1].argmax(-1), tokens[..., place]], dim=-1)

    steps = [lambda _: tokens[..., :2], *map(_next, range(2, tokens.shape[2]))]
    first, *more = in_turn(lambda asked: logits(bases.config, bases.weights, asked, adapt), steps)
    return torch.cat([first, *(one[:, :, -1:] for one in more)], dim=2)


def second_pass(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of a second pass that begins from the states of the first one.

    Parameters
    ----------
    bases : Bases
        ``G`` models.
    tokens : (E, B, T) tensor
        Of questions; the last token is what asks.
    adapt : callable or None
        What is added in both passes.

    Returns
    -------
    (E, B, T, V) tensor
        The state that each token but the last has after the first pass through the block takes
        the place of its embedding (back-patching: Biran et al., arXiv 2406.12775), so that a
        fact in an early layer can be read after a fact in a late one. Costs two passes.
    """
    config, length = bases.config, tokens.shape[2]
    run = Pass(config, bases.weights, adapt, tokens.shape[0])
    start = run.embedded(tokens)
    x = start
    for layer in range(config.depth):
        x = run.layer(x, 0, layer, length)
    last = torch.arange(x.shape[1]) % length == length - 1
    x = torch.where(last[:, None], start, x)
    for loop in range(config.loops):
        for layer in range(config.depth):
            x = run.layer(x, loop, layer, length)
    out = decoded(config, bases.weights, x, config.loops - 1, adapt)
    return out.unflatten(1, tokens.shape[1:])


def one_pass(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of one pass."""
    return logits(bases.config, bases.weights, tokens, adapt)


PASSES = {"one": one_pass, "hop by hop": hop_by_hop, "second pass": second_pass}
"""How questions are asked, see `Reuse`."""


def scores(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, "E B V"]:
    """Return the logits where the answers are due.

    Parameters
    ----------
    bases : Bases
        ``G`` models.
    prompts : sequence of Prompts
        One a replica, all of one size; ``G`` divides their number.
    adapt : callable, optional
        What is added to the base; nothing where not given.
    passes : str
        Of `PASSES`; those of the rule that acts where empty.

    Returns
    -------
    (E, B, V) array
        Over the whole vocabulary. Costs one pass, or as many as `passes` take.
    """
    rows = stacked(list(prompts))
    ask = PASSES[passes or getattr(adapt, "passes", "one")]
    with torch.inference_mode():
        out = ask(bases, tensor(rows.tokens), adapt)
    place = torch.as_tensor(rows.position)[..., None, None]
    return out.take_along_dim(place, dim=2)[:, :, 0].double().numpy()


def margin(logits: Float[np.ndarray, "E B V"], answer: np.ndarray) -> Float[np.ndarray, "E B"]:
    """Return by how much the logit of the answer exceeds all others; positive where it is given."""
    own = np.take_along_axis(logits, answer[..., None], axis=-1)
    rest = logits.copy()
    np.put_along_axis(rest, answer[..., None], -np.inf, axis=-1)
    return own[..., 0] - rest.max(axis=-1)


def answer_margins(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, "E B"]:
    """Return the margin of each right answer; arguments as of `scores`."""
    answer = np.stack([one.answer for one in prompts])
    return margin(scores(bases, prompts, adapt, passes), answer)


def accuracy(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, " E"]:
    """Return the share of prompts whose right answer has the largest logit of all tokens."""
    return (answer_margins(bases, prompts, adapt, passes) > 0).mean(axis=1)


def accuracies(library: Library, acts: Sequence[Adapt | None]) -> Accuracies:
    """Return the accuracies of a rule of reuse, averaged over the pairs.

    Parameters
    ----------
    library : Library
        Whose questions are asked.
    acts : sequence of callable or None
        What acts when the questions of each pair are asked, as `acting` returns it.

    Returns
    -------
    dict of str to (E,) array
        `two_hop`, the edited two-hop questions; `hop_1`, `hop_2`, …, the facts that these need;
        `other_hops` and `other_two_hop`, what no edit changes; `shortcut`, how often two-hop
        questions about other subjects get the edited ones' answers; `chance`, of one answer always
        given.
    """
    each = [_asked(library.bases, *one) for one in zip(library.trials, acts, strict=True)]
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}


def _asked(bases: Bases, trials: Sequence[Trials], adapt: Adapt | None) -> Accuracies:
    def _right(kind: str, hop: int | None = None) -> np.ndarray:
        prompts = [getattr(one, kind) for one in trials]
        return accuracy(bases, prompts if hop is None else [one[hop] for one in prompts], adapt)

    hops = range(bases.setting.hops)
    return {
        "two_hop": _right("questions"),
        **{f"hop_{j + 1}": _right("hops", j) for j in hops},
        "other_hops": np.mean([_right("other_hops", j) for j in hops], axis=0),
        "other_two_hop": _right("other_questions"),
        "shortcut": _right("shortcut"),
        "chance": np.array([one.chance for one in trials]),
    }


def by_part(bases: Bases, passes: str) -> dict[str, float]:
    """Return the share of each kind of question that one bare base answers right.

    Parameters
    ----------
    bases : Bases
        One model, its split one of `Combinations`.
    passes : str
        How it is asked, of `PASSES`.

    Returns
    -------
    dict of str to float
        Single `facts`, and the two-hop questions of each of `PARTS`; nan where there are none.
    """
    [facts], [parts] = bases.worlds, bases.splits
    single = [plain(facts, every(facts, start=hop, hops=1)) for hop in range(facts.hops)]
    asked = {"facts": joined(single)}
    asked |= {name: plain(facts, getattr(parts, name)).final() for name in PARTS}
    return {
        name: accuracy(bases, [rows], None, passes).item() if len(rows) else float("nan")
        for name, rows in asked.items()
    }


def written_out(library: Library, adapt: Adapt | None) -> tuple[np.ndarray, np.ndarray]:
    """Return how often the model writes the new bridge, and after its own word the answer.

    Parameters
    ----------
    library : Library
        Two hops, one pair.
    adapt : callable or None
        What is added to the base.

    Returns
    -------
    two (E,) arrays
        The second counts the right answer after the model's own first word.
    """
    asked = [one.thought for one in library.trials[0]]
    place = asked[0].tokens.shape[1] - 1
    short = [
        replace(one, tokens=one.tokens[:, :place].copy(), targets=one.targets[:, :place].copy())
        for one in asked
    ]

    def _after(first: np.ndarray) -> list[Prompts]:
        return [
            replace(one, tokens=np.concatenate([one.tokens[:, :place], word[:, None]], axis=1))
            for one, word in zip(asked, first, strict=True)
        ]

    words = in_turn(
        lambda prompts: scores(library.bases, prompts, adapt).argmax(axis=-1),
        [lambda _: short, _after],
    )
    right = [np.stack([one.answer for one in prompts]) for prompts in (short, asked)]
    bridge, answer = (np.mean(w == r, axis=1) for w, r in zip(words, right, strict=True))
    return bridge, answer


@dataclass(frozen=True, eq=False)
class Arm:
    """One rule in a study, and what is predicted of it.

    Attributes
    ----------
    name : str
        In the table.
    act : callable
        The rule.
    predicted : float or (E,) array or None
        Accuracy on two-hop questions; None for no such column.
    more : mapping
        Its own columns.
    """

    name: str
    act: Act
    predicted: Any = None
    more: Mapping[str, Any] | None = None


def arm(name: str, predicted: Any = None, act: Act | None = None, **more: Any) -> Arm:
    """Return an arm of a study: a rule of the table by its name, or another rule."""
    return Arm(name, rule(name) if act is None else act, predicted, more)


def compared(
    library: Library, head: Mapping[str, Any], arms: Sequence[Arm], **beside: Any
) -> list[Row]:
    """Return the rows of a study: one for each arm, base and repetition.

    Parameters
    ----------
    library : Library
        Whose questions are asked.
    head : mapping
        The first columns, alike for all arms.
    arms : sequence of Arm
        Rules and what is predicted of them.
    **beside : object
        Columns between accuracies and predictions, alike for all arms.
    """
    table: list[Row] = []
    for one in arms:
        found = accuracies(library, acting(library, one.act))
        last = {} if one.predicted is None else {"predicted": one.predicted}
        more = {**beside, **(one.more or {}), **last}
        table += rows(library, {**head, "rule": one.name}, found, **more)
    return table


def rows(
    library: Library, names: Mapping[str, Any], accuracies: Accuracies, **more: object
) -> list[Row]:
    """Return one row for each base and repetition.

    Parameters
    ----------
    library : Library
        Whose replicas they are.
    names : mapping
        The first columns, alike for all: the cell's settings and the rule.
    accuracies : dict of str to (E,) array
        As `accuracies` returns them.
    **more : object
        The last columns: numbers, words, or (E,) arrays.

    Returns
    -------
    list of dict
        `names`, then `seed` and `set`, the accuracies, and the rest.
    """
    count = len(library.replicas)
    each = {
        name: np.broadcast_to(np.asarray(column), count).tolist()
        for name, column in (accuracies | more).items()
    }
    return [
        {**names, "seed": seed, "set": number, **{name: column[e] for name, column in each.items()}}
        for e, (seed, number) in enumerate(library.replicas)
    ]

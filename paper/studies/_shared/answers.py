"""Evaluate small transformers: logits in one or more passes, margins and accuracies."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from loratheory.shapes import Float, Int
from loratheory.tasks.prompts import Prompts, stacked
from loratheory.tasks.two_hop import Trials
from loratheory.toy.transformer import Adapt, Pass, logits
from paper.studies._shared.bases import Bases
from paper.studies._shared.library import Accuracies, by_hop
from paper.studies._shared.models import tensor
from paper.studies._shared.training import EditLibrary


def two_step(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of questions ``x r1 r2 …`` under two-step prompting.

    The answer to ``x r1`` becomes the subject of ``· r2``, and so on, so that the state between two
    reads is always a token (``thm:clean-up-bridge``). The cost is one pass per relation.
    """
    parts = [one_pass(bases, tokens[..., :2], adapt)]
    for place in range(2, tokens.shape[2]):
        subject = parts[-1][:, :, -1].argmax(-1)
        question = torch.stack([subject, tokens[..., place]], dim=-1)
        parts.append(one_pass(bases, question, adapt)[:, :, -1:])
    return torch.cat(parts, dim=2)


def second_pass(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of a second pass that starts from the states of the first pass.

    For each token but the last, the state after the first pass replaces the embedding in the second
    (back-patching: Biran et al., arXiv 2406.12775), so that a fact in an early layer can be read
    after a fact in a late layer. The cost is two passes.
    """
    config, length = bases.config, tokens.shape[2]
    run = Pass(config, bases.weights, adapt, tokens.shape[0])
    start = run.embedded(tokens)
    x = start
    for layer in range(config.depth):
        x = run.layer(x, 0, layer, length)
    last = torch.arange(x.shape[1]) % length == length - 1
    # The last token is the last relation of the question and keeps its embedding.
    x = torch.where(last[:, None], start, x)
    for loop in range(config.loops):
        for layer in range(config.depth):
            x = run.layer(x, loop, layer, length)
    return run.decode(x, config.loops - 1).unflatten(1, tokens.shape[1:])


def one_pass(
    bases: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of one pass."""
    return logits(bases.config, bases.weights, tokens, adapt)


PASSES = {"one": one_pass, "two-step prompting": two_step, "second pass": second_pass}
"""The ways to compute logits, by `library.Active.passes`."""


def scores(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, "E B V"]:
    """Return the logits over the whole vocabulary at the positions of the answers.

    There is one set of prompts for each replica, all of one size. If `passes` is empty, the active
    method's own value is used.
    """
    # Replicas are stacked: one pass for all.
    rows = stacked(list(prompts))
    run = PASSES[passes or getattr(adapt, "passes", "one")]
    with torch.inference_mode():
        out = run(bases, tensor(rows.tokens), adapt)
    place = torch.as_tensor(rows.position)[..., None, None]
    return out.take_along_dim(place, dim=2)[:, :, 0].double().numpy()


def margin(logits: Float[np.ndarray, "E B V"], answer: np.ndarray) -> Float[np.ndarray, "E B"]:
    """Return the answer's logit minus the largest other logit; a tie has margin zero."""
    own = np.take_along_axis(logits, answer[..., None], axis=-1)
    rest = logits.copy()
    np.put_along_axis(rest, answer[..., None], -np.inf, axis=-1)
    return own[..., 0] - rest.max(axis=-1)


def answer_margins(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, "E B"]:
    """Return the margin of each right answer; the arguments are those of `scores`."""
    answer = np.stack([one.answer for one in prompts])
    return margin(scores(bases, prompts, adapt, passes), answer)


def accuracy(
    bases: Bases, prompts: Sequence[Prompts], adapt: Adapt | None = None, passes: str = ""
) -> Float[np.ndarray, " E"]:
    """Return the share of prompts whose right answer has the largest logit of all tokens."""
    return (answer_margins(bases, prompts, adapt, passes) > 0).mean(axis=1)


def accuracies(library: EditLibrary, active: Sequence[Adapt | None]) -> Accuracies:
    """Return the accuracies of a combination method by name, averaged over the pairs.

    ``active[p]`` is active on the questions of pair ``p``, see `activate`. ``two_hop`` is for
    edited two-hop questions; ``hop_1``, ``hop_2``, … for the facts they need; ``other_hops`` and
    ``other_two_hop`` for facts and questions that no edit changes. ``chance`` is the accuracy of
    one constant answer.
    """
    each = list(map(partial(_accuracies_of_pair, library.bases), library.trials, active))
    return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}


def _accuracies_of_pair(bases: Bases, trials: Sequence[Trials], adapt: Adapt | None) -> Accuracies:
    def _right(kind: str, hop: int | None = None) -> np.ndarray:
        prompts = [getattr(one, kind) for one in trials]
        return accuracy(bases, prompts if hop is None else [one[hop] for one in prompts], adapt)

    hops, found = range(bases.setting.hops), {"two_hop": _right("questions")}
    found |= by_hop("hop", map(partial(_right, "hops"), hops))
    found["other_hops"] = np.mean([_right("other_hops", hop) for hop in hops], axis=0)
    found["other_two_hop"] = _right("other_questions")
    found["chance"] = np.array([one.chance for one in trials])
    return found

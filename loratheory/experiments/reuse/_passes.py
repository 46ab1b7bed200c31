"""Answers in more than one pass: asked hop by hop, or with states put back to the start."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from loratheory.experiments.reuse._bases import Bases
from loratheory.experiments.reuse._rules import Rule
from loratheory.experiments.reuse._shelves import Shelf
from loratheory.shapes import Float, Int
from loratheory.toy.transformer import Adapt, Pass, Site, decoded, logits

Passes = Callable[[Bases, Tensor, Adapt | None], Tensor]
"""The logits (E, B, T, V) of tokens (E, B, T), with what is added to the base."""


@dataclass(frozen=True)
class Again:
    """What is added to the base, and how often the base is passed with it."""

    adapt: Adapt
    passes: Passes

    def __call__(self, site: Site, x: Tensor) -> Tensor | None:
        """What is added."""
        return self.adapt(site, x)


def one_pass(
    known: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits, in one pass or as `Again` has it."""
    if isinstance(adapt, Again):
        return adapt.passes(known, tokens, adapt.adapt)
    return logits(known.config, known.weights, tokens, adapt)


def hop_by_hop(
    known: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of a subject and its relations, one relation a pass.

    Parameters
    ----------
    known : Bases
        ``G`` models.
    tokens : (E, B, T) tensor
        ``x r1 r2 …``; ``T`` of two or more.
    adapt : callable or None
        What is added in every pass.

    Returns
    -------
    (E, B, T, V) tensor
        What is said of ``x r1`` becomes the subject of ``· r2``, and so on: a clean-up to whole
        tokens between the reads (``thm:clean-up-bridge``). Costs a pass a relation.
    """
    found = logits(known.config, known.weights, tokens[..., :2], adapt)
    for place in range(2, tokens.shape[2]):
        question = torch.stack([found[:, :, -1].argmax(dim=-1), tokens[..., place]], dim=-1)
        more = logits(known.config, known.weights, question, adapt)
        found = torch.cat([found, more[:, :, -1:]], dim=2)
    return found


def put_back(
    known: Bases, tokens: Int[Tensor, "E B T"], adapt: Adapt | None
) -> Float[Tensor, "E B T V"]:
    """Return the logits of a second pass that begins from what the first one found.

    Parameters
    ----------
    known : Bases
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
    config, length = known.config, tokens.shape[2]
    run = Pass(config, known.weights, adapt, tokens.shape[0])
    start = run.embedded(tokens)
    x = start
    for layer in range(config.depth):
        x = run.layer(x, 0, layer, length)
    last = torch.arange(x.shape[1]) % length == length - 1
    x = torch.where(last[:, None], start, x)
    for loop in range(config.loops):
        for layer in range(config.depth):
            x = run.layer(x, loop, layer, length)
    out = decoded(config, known.weights, x, config.loops - 1, adapt)
    return out.unflatten(1, tokens.shape[1:])


def again(passes: Passes, rule: Rule) -> Rule:
    """Return the rule, its answers found in these passes; it must add something."""

    def _again(shelf: Shelf) -> Sequence[Adapt | None]:
        return [None if one is None else Again(one, passes) for one in rule(shelf)]

    return _again

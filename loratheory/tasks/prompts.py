"""Prompts: rows of tokens with the token to predict at each position."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.random import Generator

from loratheory.shapes import Int64
from loratheory.tasks import within

PAD, NOTHING = 0, -1
"""The token that pads rows, and the target at positions without a loss."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """Token rows for training or testing, padded on the right; leading axes stack replicas.

    Attributes
    ----------
    tokens : (..., rows, length) array of int
        The input of the model.
    targets : (..., rows, length) array of int
        The token to predict after each position; -1 at positions without a loss.
    asked : (..., rows) array of int
        The last position of the question. The answer is due at `position`, which is the same
        unless solution steps are written out in between.
    kind : str
        The kind of prompt, for messages and for the cache keys of trained weights.
    """

    tokens: Int64[np.ndarray, "*batch rows length"]
    targets: Int64[np.ndarray, "*batch rows length"]
    asked: Int64[np.ndarray, "*batch rows"]
    kind: str

    def __len__(self) -> int:
        return self.tokens.shape[-2]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Prompts":
        """Return the rows with these indices, of every replica."""
        tokens, targets = self.tokens[..., rows, :], self.targets[..., rows, :]
        return Prompts(tokens, targets, self.asked[..., rows], self.kind)

    @property
    def position(self) -> Int64[np.ndarray, "*batch rows"]:
        """The last position with a target, where the answer is due; -1 in rows without targets."""
        # -1 without a target, which `initial` also gives rows of length 0.
        places = np.arange(self.tokens.shape[-1])
        return np.where(self.targets != NOTHING, places, -1).max(axis=-1, initial=-1)

    @property
    def answer(self) -> Int64[np.ndarray, "*batch rows"]:
        """The token that answers the question; -1 in rows without targets."""
        last = np.maximum(self.position, 0)[..., None]
        return np.take_along_axis(self.targets, last, axis=-1)[..., 0]

    def final(self) -> "Prompts":
        """Return the same rows with a loss on the answer alone."""
        keep = np.arange(self.tokens.shape[-1]) == self.position[..., None]
        return replace(self, targets=np.where(keep, self.targets, NOTHING))

    def padded(self, length: int) -> "Prompts":
        """Return the same rows, padded to `length` tokens; `ValueError` if they are longer."""
        # Only the last axis is padded.
        edges = [(0, 0)] * self.tokens.ndim
        edges[-1] = (0, length - self.tokens.shape[-1])
        tokens = np.pad(self.tokens, edges, constant_values=PAD)
        targets = np.pad(self.targets, edges, constant_values=NOTHING)
        return replace(self, tokens=tokens, targets=targets)


def joined(parts: Sequence[Prompts], kind: str | None = None) -> Prompts:
    """Concatenate the rows of all parts, padded to the longest part.

    By default the new kind joins the kinds of the parts by plus signs.
    """
    length = max(part.tokens.shape[-1] for part in parts)
    tokens, targets, asked = _columns([part.padded(length) for part in parts])
    return Prompts(
        np.concatenate(tokens, axis=-2),
        np.concatenate(targets, axis=-2),
        np.concatenate(asked, axis=-1),
        # Each kind once, in order: the name is part of the keys of cached weights.
        kind or "+".join(dict.fromkeys(part.kind for part in parts)),
    )


def _columns(parts: Sequence[Prompts]) -> Iterator[Any]:
    return zip(*map(attrgetter("tokens", "targets", "asked"), parts), strict=True)


def stacked(parts: Sequence[Prompts]) -> Prompts:
    """Stack the parts as replicas along a new first axis; `ValueError` if shapes differ."""
    tokens, targets, asked = map(np.stack, _columns(parts))
    return Prompts(tokens, targets, asked, parts[0].kind)


def sampled(sets: Sequence[Prompts], rows: int, *, rng: Generator) -> Prompts:
    """Draw a batch of `rows` rows with an equal share from each set, such as each kind of prompt.

    Rows are drawn with replacement, at least one row per set. Where `rows` is no multiple of the
    number of sets, the first sets get one row more.
    """
    within("rows", rows, len(sets))
    drawn = []
    for part, share in zip(sets, np.array_split(np.arange(rows), len(sets)), strict=True):
        drawn.append(part[rng.integers(len(part), size=len(share))])
    return joined(drawn)

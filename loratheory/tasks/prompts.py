"""Prompts: rows of tokens with the token to predict at each position."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from loratheory.shapes import Int64
from loratheory.tasks import impossible, within

PAD, NOTHING = 0, -1
"""The token that fills rows up, and the target where no loss is taken."""


@dataclass(frozen=True, eq=False)
class Prompts:
    """Rows to train on or to be asked, padded on the right; leading axes stack replicas.

    Attributes
    ----------
    tokens : (..., rows, length) array of int, read-only
        What the model reads.
    targets : (..., rows, length) array of int, read-only
        What it should say after reading up to each position; -1 where no loss is taken.
    asked : (..., rows) array of int, read-only
        The last position of the question proper. The answer is at `position`, which is the same
        except where bridges are written out.
    kind : str
        What they are, for messages; part of the names under which trained weights are kept.
    """

    tokens: Int64[np.ndarray, "*batch rows length"]
    targets: Int64[np.ndarray, "*batch rows length"]
    asked: Int64[np.ndarray, "*batch rows"]
    kind: str

    def __post_init__(self) -> None:
        for array in (self.tokens, self.targets, self.asked):
            array.setflags(write=False)

    def __len__(self) -> int:
        return self.tokens.shape[-2]

    def __getitem__(self, rows: Int64[np.ndarray, " k"]) -> "Prompts":
        """These rows of every replica."""
        tokens, targets = self.tokens[..., rows, :], self.targets[..., rows, :]
        return Prompts(tokens, targets, self.asked[..., rows], self.kind)

    @property
    def position(self) -> Int64[np.ndarray, "*batch rows"]:
        """The position of the answer: the last one with a target, -1 in a row without any."""
        places = np.arange(self.tokens.shape[-1])
        return np.where(self.targets != NOTHING, places, -1).max(axis=-1, initial=-1)

    @property
    def answer(self) -> Int64[np.ndarray, "*batch rows"]:
        """The token that answers the question, -1 in a row without targets."""
        last = np.maximum(self.position, 0)[..., None]
        return np.take_along_axis(self.targets, last, axis=-1)[..., 0]

    def final(self) -> "Prompts":
        """The same rows with a loss on the answer alone, none on the bridges."""
        keep = np.arange(self.tokens.shape[-1]) == self.position[..., None]
        return replace(self, targets=np.where(keep, self.targets, NOTHING))

    def padded(self, length: int) -> "Prompts":
        """The same rows, `length` tokens long."""
        more = length - self.tokens.shape[-1]
        if more < 0:
            fact = f"rows of {self.tokens.shape[-1]} tokens cannot be padded to {length}"
            raise impossible(fact, "ask for a length that holds the longest row")
        edges = [(0, 0)] * (self.tokens.ndim - 1) + [(0, more)]
        tokens = np.pad(self.tokens, edges, constant_values=PAD)
        targets = np.pad(self.targets, edges, constant_values=NOTHING)
        return Prompts(tokens, targets, self.asked, self.kind)


def joined(parts: Sequence[Prompts], kind: str | None = None) -> Prompts:
    """Return the rows of all parts, one part after another, padded to the longest.

    The kind is those of the parts with a plus between them where none is given.
    """
    _some(parts)
    length = max(part.tokens.shape[-1] for part in parts)
    wide = [part.padded(length) for part in parts]
    return Prompts(
        np.concatenate([part.tokens for part in wide], axis=-2),
        np.concatenate([part.targets for part in wide], axis=-2),
        np.concatenate([part.asked for part in wide], axis=-1),
        kind or "+".join(dict.fromkeys(part.kind for part in parts)),
    )


def stacked(parts: Sequence[Prompts]) -> Prompts:
    """Return one replica per part along a new first axis; refused if their shapes differ."""
    _some(parts)
    shapes = sorted({part.tokens.shape for part in parts})
    if len(shapes) > 1:
        fact = f"prompts of shapes {', '.join(map(str, shapes))} do not stack"
        raise impossible(fact, "draw sets of one size and pad them to one length")
    return Prompts(
        np.stack([part.tokens for part in parts]),
        np.stack([part.targets for part in parts]),
        np.stack([part.asked for part in parts]),
        parts[0].kind,
    )


def sampled(sets: Sequence[Prompts], rows: int, *, rng: np.random.Generator) -> Prompts:
    """Return a batch with the same share of each set: a third each of ``x r1 r2``, hop 1, hop 2.

    Rows are drawn with replacement, at least one per set; those that the number of sets does not
    divide go to the first ones.
    """
    within("rows", rows, len(sets))
    shares = [len(part) for part in np.array_split(np.arange(rows), len(sets))]
    pairs = zip(sets, shares, strict=True)
    return joined([part[rng.integers(len(part), size=share)] for part, share in pairs])


def _some(parts: Sequence[Prompts]) -> None:
    if not parts:
        fact = "there are no prompts to put together"
        raise impossible(fact, "give at least one set")

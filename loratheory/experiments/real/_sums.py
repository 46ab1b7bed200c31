"""Bare sums, without a story: where a model's arithmetic ends."""

import re
from collections.abc import Iterator

import numpy as np

from loratheory.experiments.real._solved import share, written
from loratheory.experiments.real._stepwise import SIZES
from loratheory.pretrained import Model

OPERATIONS = {
    "plus": ("+", np.add),
    "minus": ("-", np.subtract),
    "times": ("*", np.multiply),
}
"""Sums in words have these names for signs."""
_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
NUMBERS = tuple(_NUMBERS.split())
SHOWN = 3


def sums(
    sign: str, size: str, rows: int, *, rng: np.random.Generator
) -> list[tuple[int, int, int]]:
    """Return ``x``, ``y`` and what ``x sign y`` is, the largest of the three of this size.

    Parameters
    ----------
    sign : str
        Of `OPERATIONS`.
    size : str
        Of `SIZES`.
    rows : int
        How many at most; all differ.
    rng : Generator
        Draws uniformly among all such sums of positive numbers.
    """
    least, largest = SIZES[size]
    x, y = np.meshgrid(*[np.arange(1, largest + 1)] * 2, indexing="ij")
    z = OPERATIONS[sign][1](x, y)
    top = np.maximum(np.maximum(x, y), z)
    places = np.flatnonzero((z > 0) & (top >= least) & (top <= largest))
    chosen = rng.permutation(places)[:rows]
    return list(zip(*(part.ravel()[chosen].tolist() for part in (x, y, z)), strict=True))


def right(
    model: Model,
    sign: str,
    size: str,
    rows: int,
    *,
    words: bool,
    shown: bool,
    rng: np.random.Generator,
) -> float:
    """Return the share of sums that the model does.

    Parameters
    ----------
    model : Model
        The base.
    sign, size, rows : str, str, int
        As in `sums`.
    words : bool
        Whether numbers are spelt out (up to twenty), ``three plus four =``, or in digits.
    shown : bool
        Whether three sums of the kind with their results precede.
    rng : Generator
        Draws them.

    Returns
    -------
    float
        Costs a short pass a sum.
    """
    drawn = sums(sign, size, rows + SHOWN, rng=rng)
    lines = [_put(*one, sign, words=words) for one in drawn]
    before = "".join(f"{line}\n" for line in lines[:SHOWN]) if shown else ""
    asked, ends = zip(*(line.rsplit(" ", 1) for line in lines[SHOWN:]), strict=True)
    said = written(model, [f"{before}{one}" for one in asked], 1 if words else 5)
    return share([_first(one) == end for one, end in zip(said, ends, strict=True)])


def _first(text: str) -> str:
    """The first word or number of a text."""
    found = re.search(r"\w+", text)
    return found[0] if found else ""


def _put(x: int, y: int, z: int, sign: str, *, words: bool) -> str:
    if words:
        return f"{NUMBERS[x]} {sign} {NUMBERS[y]} = {NUMBERS[z]}"
    return f"{x} {OPERATIONS[sign][0]} {y} = {z}"


def every(model: Model, rows: int, seed: int) -> Iterator[tuple[str, str, str, float]]:
    """Yield what share of all kinds of sums a model does.

    Yields
    ------
    way, asked, size, share
        ``base``, or with others shown before; operation and notation; of `SIZES`; the share.
    """
    for sign in OPERATIONS:
        for size, (_, largest) in SIZES.items():
            for words in (True, False) if largest < len(NUMBERS) else (False,):
                for way, shown in (("base", False), ("base, shown", True)):
                    rng = np.random.default_rng([seed, 8])
                    share = right(model, sign, size, rows, words=words, shown=shown, rng=rng)
                    yield way, f"{sign} in {'words' if words else 'digits'}", size, share

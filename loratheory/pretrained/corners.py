"""What merges at other coefficients answer, predicted from the model with adapters on or off.

Logits are interpolated between the four corners, which is ``thm:corner-law`` for every competitor
at once. With two more passes the curvature along each adapter's own coefficient is added.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.pretrained.attach import Attached
from loratheory.pretrained.metrics import next_token_logits
from loratheory.pretrained.models import Model
from loratheory.shapes import Bool

# Common coefficients of two adapters for which answers are predicted.
COEFFICIENTS = tuple((np.arange(1, 11) / 10).tolist())


def interpolate(coefficient: float, base: Any, first: Any, second: Any, both: Any) -> Any:
    """Return logits at a common coefficient of two adapters, interpolated between the corners."""
    c = coefficient
    return (1 - c) ** 2 * base + c * (1 - c) * (first + second) + c * c * both


@dataclass(frozen=True, eq=False)
class Corners:
    """Logits of two adapters on or off, and how they bend along each coefficient.

    Attributes
    ----------
    base, first, second, both : (prompts, vocabulary) tensor
        Logits after each prompt, without adapters, with each alone, and with both.
    bends : (prompts, vocabulary) tensor
        For both adapters together, logits with half of an adapter less the mean of none and all of
        it.
    """

    base: Any
    first: Any
    second: Any
    both: Any
    bends: Any

    def at(self, coefficient: float, *, bent: bool = True) -> Any:
        """Return the logits predicted at a common coefficient, (prompts, vocabulary).

        Where they are `bent`, the curvature that was measured at half of each adapter alone counts
        as constant.
        """
        c, corners = coefficient, (self.base, self.first, self.second, self.both)
        predicted = interpolate(c, *corners)
        # The parabola that is 0 at both ends and 1 at a half.
        return predicted + 4 * c * (1 - c) * self.bends if bent else predicted

    def answered(self, tokens: Any, coefficient: float, *, bent: bool = True) -> np.ndarray:
        """Return for each prompt whether this token (prompts,) is predicted to be the likeliest."""
        right: Bool[np.ndarray, " prompts"] = (
            self.at(coefficient, bent=bent).argmax(1) == tokens
        ).numpy()
        return right


def measure_corners(model: Model, active: Attached, prompts: Sequence[str]) -> Corners:
    """Return the logits of two active adapters at the corners, and their bends.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    active : Attached
        Two adapters on this model. Afterwards they have the coefficients that they had.
    prompts : sequence of str
        At least one.

    Returns
    -------
    Corners
        Costs six passes of each prompt.

    References
    ----------
    ``thm:corner-law``.
    """
    before = active.coefficients.copy()
    places = {"base": (0, 0), "first": (1, 0), "second": (0, 1), "both": (1, 1)}
    halves = {"half of the first": (0.5, 0), "half of the second": (0, 0.5)}
    logits = dict[str, Any]()
    try:
        for name, place in {**places, **halves}.items():
            active.set(place)
            logits[name] = next_token_logits(model, prompts)
    finally:
        active.set(before)
    chords = logits["base"] + (logits["first"] + logits["second"]) / 2
    bends = logits.pop("half of the first") + logits.pop("half of the second") - chords
    return Corners(**logits, bends=bends)

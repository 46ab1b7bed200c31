"""The rule under evaluation: found by its name, called with NumPy arrays, its answers checked."""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.lowrank import LowRank
from loratheory.shapes import Float

FORMS = {"weights": "merge", "activations": "router"}
"""The name of the second argument says which form a rule has."""


class RuleError(ValueError):
    """A rule cannot be found, cannot be called, or does not return what its form promises."""


@dataclass(frozen=True)
class Asked:
    """A rule and its form; every call is checked.

    Attributes
    ----------
    name : str
        As it was asked for.
    form : str
        ``merge`` or ``router``.
    rule : callable
        ``rule(updates, weights)`` or ``rule(updates, activations)``.
    """

    name: str
    form: str
    rule: Callable[..., Any]

    def merge(self, updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
        """Return what a merge makes of the updates of one module.

        Parameters
        ----------
        updates : sequence of LowRank
            Of one shape; handed on as NumPy arrays in float64.
        weights : sequence of float
            One an update.

        Returns
        -------
        LowRank
            Of the same shape, finite, in float64.

        Raises
        ------
        RuleError
            If the rule raises, or returns anything else.
        """
        merged = self._called([low.map(_numbers) for low in updates], [float(w) for w in weights])
        if not isinstance(merged, LowRank):
            self._refuse(
                f"returned a {type(merged).__name__}", "return a loratheory.lowrank.LowRank"
            )
        if tuple(merged.shape) != tuple(updates[0].shape):
            told = f"returned an update of shape {tuple(merged.shape)}"
            self._refuse(told, f"return the shape of the updates, {tuple(updates[0].shape)}")
        merged = merged.map(_numbers)
        for side, factor in (("first", merged.up), ("second", merged.down)):
            self._finite(factor, f"the {side} factor of the merged update")
        return merged

    def route(self, updates: Sequence[LowRank], activations: Any) -> "Weigher":
        """Return what a router decides with, for the updates of one module.

        Parameters
        ----------
        updates : sequence of LowRank
            Of one shape; handed on as NumPy arrays in float64.
        activations : (t, n) array
            What the base feeds the module on ordinary prompts.

        Returns
        -------
        Weigher
            Its weights are checked whenever they are asked for.

        Raises
        ------
        RuleError
            If the rule raises, or returns something without ``weights``.
        """
        shelf = [low.map(_numbers) for low in updates]
        router = self._called(shelf, _numbers(activations))
        if not callable(getattr(router, "weights", None)):
            told = f"returned a {type(router).__name__} without a method weights"
            self._refuse(told, "return a Router, Gates, or any object with weights(x) -> (t, k)")
        return Weigher(self, router, len(shelf))

    def _called(self, *given: Any) -> Any:
        try:
            return self.rule(*given)
        except Exception as error:
            told = f"raised {type(error).__name__}: {error}"
            message = f"{self.name} {told}, on {len(given[0])} updates: mend the rule"
            raise RuleError(message) from error

    def _finite(self, array: Any, what: str) -> None:
        if not np.isfinite(array).all():
            self._refuse(f"returned NaN or infinity in {what}", "return finite numbers")

    def _refuse(self, fact: str, remedy: str) -> None:
        message = f"{self.name} {fact}: {remedy}"
        raise RuleError(message)


@dataclass(frozen=True, eq=False)
class Weigher:
    """What a router returned, its weights checked.

    Attributes
    ----------
    asked : Asked
        Whose it is.
    router : object
        Has ``weights(x)``.
    count : int
        How many adapters.
    """

    asked: Asked
    router: Any
    count: int

    def weights(self, x: Any) -> Float[np.ndarray, "t k"]:
        """Return the weight of each adapter at each token, refused unless (t, k) and finite."""
        tokens = _numbers(x)
        try:
            found = np.asarray(self.router.weights(tokens), dtype=float)
        except Exception as error:
            message = f"{self.asked.name}: weights(x) raised {type(error).__name__}: {error}"
            raise RuleError(message) from error
        wanted = (len(tokens), self.count)
        if found.shape != wanted:
            self.asked._refuse(
                f"weighs tokens by an array of shape {found.shape}",
                f"weights(x) must return one number per token and adapter, here {wanted}",
            )
        self.asked._finite(found, "its weights")
        return found


def found(name: str) -> Asked:
    """Return the rule of that name; its module is imported, and so its code is run.

    Parameters
    ----------
    name : str
        ``package.module:rule``; the current folder is searched too.

    Returns
    -------
    Asked
        A merge if its second argument is called `weights`, a router if `activations`.

    Raises
    ------
    RuleError
        If there is no such module or attribute, or it is no function of these two arguments.
    """
    place, colon, attribute = name.partition(":")
    if not (place and colon and attribute):
        message = f"{name!r} names no rule: write package.module:rule"
        raise RuleError(message)
    if place.endswith(".py"):
        module = place.removesuffix(".py").replace("/", ".").lstrip(".")
        message = f"{name!r} names a file, not a module: write {module}:{attribute}"
        raise RuleError(message)
    rule = _attribute(name, place, attribute)
    if not callable(rule):
        message = f"{name} is a {type(rule).__name__}, no function: name rule(updates, weights)"
        raise RuleError(message)
    return Asked(name, _form(name, rule), rule)


def _attribute(name: str, place: str, attribute: str) -> Any:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(place)
    except Exception as error:
        fact = f"module {place} cannot be imported ({type(error).__name__}: {error})"
        message = f"{name}: {fact}; run from the folder that holds it, or install it"
        raise RuleError(message) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        known = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        message = f"module {place} has no {attribute}: it has {', '.join(known) or 'no functions'}"
        raise RuleError(message) from None


def _form(name: str, rule: Callable[..., Any]) -> str:
    try:
        known = list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):
        known = []
    needed = [
        p for p in known if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    places = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(places) < 2 or len(needed) > 2 or places[1] not in FORMS:
        told = ", ".join(p.name for p in known)
        message = (
            f"{name} takes ({told}): a merge is rule(updates, weights), "
            "a router rule(updates, activations); anything else needs a default"
        )
        raise RuleError(message)
    return FORMS[places[1]]


def _numbers(array: Any) -> Float[np.ndarray, "*shape"]:
    """The same numbers in NumPy, float64."""
    return np.asarray(array, dtype=float).copy()

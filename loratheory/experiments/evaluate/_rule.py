"""The rule under evaluation: found by its name, called with NumPy arrays, its answers checked."""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from loratheory.lowrank import LowRank
from loratheory.shapes import Float

FORMS = {"weights": "merge", "activations": "router"}
"""The name of the second argument says which form a rule has."""


class RuleError(ValueError):
    """A rule cannot be found, cannot be called, or does not return what its form promises."""


@dataclass(frozen=True)
class OwnRule:
    """A rule, its `name` and its `form`, of `FORMS`; every call is checked.

    It gets NumPy arrays in float64: ``rule(updates, weights)`` or ``rule(updates, activations)``.
    What it may not return, and what it raises, is a `RuleError`.
    """

    name: str
    form: str
    rule: Callable[..., Any]

    def merge(self, updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
        """Return what a merge makes of the updates of one module: of their shape, finite."""
        merged = self._called(updates, [float(w) for w in weights])
        if not isinstance(merged, LowRank):
            self._refuse(
                f"returned a {type(merged).__name__}", "return a loratheory.lowrank.LowRank"
            )
        shape = tuple(updates[0].shape)
        if tuple(merged.shape) != shape:
            fact = f"returned an update of shape {tuple(merged.shape)}"
            self._refuse(fact, f"return the shape of the updates, {shape}")
        merged = merged.map(_numbers)
        for side, factor in (("first", merged.up), ("second", merged.down)):
            self._finite(factor, f"the {side} factor of the merged update")
        return merged

    def route(self, updates: Sequence[LowRank], activations: Any) -> "Weigher":
        """Return what a router decides with, given what the base feeds the module, (t, n)."""
        router = self._called(updates, _numbers(activations))
        if not callable(getattr(router, "weights", None)):
            fact = f"returned a {type(router).__name__} without a method weights"
            self._refuse(fact, "return a Router, Gates, or any object with weights(x) -> (t, k)")
        return Weigher(self, router, len(updates))

    def _called(self, updates: Sequence[LowRank], given: Any) -> Any:
        try:
            return self.rule([low.map(_numbers) for low in updates], given)
        except Exception as error:
            fact = f"raised {type(error).__name__}: {error}, on {len(updates)} updates"
            message = f"{self.name} {fact}: mend the rule"
            raise RuleError(message) from error

    def _finite(self, array: Any, what: str) -> None:
        if not np.isfinite(array).all():
            self._refuse(f"returned NaN or infinity in {what}", "return finite numbers")

    def _refuse(self, fact: str, remedy: str) -> NoReturn:
        message = f"{self.name} {fact}: {remedy}"
        raise RuleError(message)


@dataclass(frozen=True, eq=False)
class Weigher:
    """What a router returned, for so many adapters; its weights are checked."""

    asked: OwnRule
    router: Any
    count: int

    def weights(self, x: Any) -> Float[np.ndarray, "t k"]:
        """Return the weight of each adapter at each token, refused unless (t, k) and finite."""
        tokens = _numbers(x)
        try:
            weights = np.asarray(self.router.weights(tokens), dtype=float)
        except Exception as error:
            message = f"{self.asked.name}: weights(x) raised {type(error).__name__}: {error}"
            raise RuleError(message) from error
        wanted = (len(tokens), self.count)
        if weights.shape != wanted:
            self.asked._refuse(
                f"weighs tokens by an array of shape {weights.shape}",
                f"weights(x) must return one number per token and adapter, here {wanted}",
            )
        self.asked._finite(weights, "its weights")
        return weights


def _numbers(array: Any) -> Float[np.ndarray, "*shape"]:
    """The same numbers in NumPy, float64."""
    return np.asarray(array, dtype=float).copy()


def rule_named(name: str) -> OwnRule:
    """Return the rule ``package.module:rule``; its module is imported, and so its code is run.

    The current folder is searched too. A merge if its second argument is called `weights`, a router
    if `activations`; a `RuleError` if there is no such module or attribute, or it is no function of
    these two arguments.
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
    return OwnRule(name, _form(name, rule), rule)


def _attribute(name: str, place: str, attribute: str) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(place)
    except Exception as error:
        fact = f"module {place} cannot be imported ({type(error).__name__}: {error})"
        message = f"{name}: {fact}; run from the folder that holds it, or install it"
        raise RuleError(message) from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        there = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        message = f"module {place} has no {attribute}: it has {', '.join(there) or 'no functions'}"
        raise RuleError(message) from None


def _form(name: str, rule: Callable[..., Any]) -> str:
    """Which form a function has, by its second argument; further ones need a default."""
    try:
        arguments = list(inspect.signature(rule).parameters.values())
    except (TypeError, ValueError):
        arguments = []
    free = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p for p in arguments if p.default is p.empty and p.kind not in free]
    ordered = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    second = [p.name for p in arguments if p.kind in ordered][1:2]
    if len(needed) > 2 or not second or second[0] not in FORMS:
        message = (
            f"{name} takes ({', '.join(p.name for p in arguments)}): a merge is "
            "rule(updates, weights), a router rule(updates, activations); anything else needs a "
            "default"
        )
        raise RuleError(message)
    return FORMS[second[0]]

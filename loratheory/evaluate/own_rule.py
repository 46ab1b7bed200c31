"""The rule under evaluation: imported by name, called with NumPy arrays, its outputs checked."""

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
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
    """Raised where a rule cannot be found or called, or returns something of the wrong form."""


@dataclass(frozen=True)
class OwnRule:
    """A user's rule with its `name` and its `form`, one of `FORMS`; the output of calls is checked.

    It is called with NumPy arrays in float64, as ``rule(updates, weights)`` or ``rule(updates,
    activations)``. If it fails or returns something of the wrong form, RuleError is raised.
    """

    name: str
    form: str
    rule: Callable[..., Any]

    def merge(self, updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
        """Return the merge of one module's updates, checked to be finite and of their shape."""
        # NumPy copies go in: a rule may change its arguments without harm
        merged = self._called(updates, [float(w) for w in weights])
        if not isinstance(merged, LowRank):
            fact = f"returned a {type(merged).__name__}"
            self.refuse(fact, "return a loratheory.lowrank.LowRank")
        shape = tuple(updates[0].shape)
        if tuple(merged.shape) != shape:
            fact = f"returned an update of shape {tuple(merged.shape)}"
            self.refuse(fact, f"return the shape of the updates, {shape}")
        merged = merged.map(_numbers)
        for side, factor in (("first", merged.up), ("second", merged.down)):
            self.finite(factor, f"the {side} factor of the merged update")
        return merged

    def route(self, updates: Sequence[LowRank], activations: Any) -> "Weigher":
        """Return the router's weights as a function of tokens; `activations` are (t, n)."""
        # anything with `weights` will do, so that a stranger needs no class of this package
        router = self._called(updates, _numbers(activations))
        if not callable(getattr(router, "weights", None)):
            fact = f"returned a {type(router).__name__} without a method weights"
            self.refuse(fact, "return a Router, Gates, or any object with weights(x) -> (t, k)")
        return Weigher(self, router, len(updates))

    def _called(self, updates: Sequence[LowRank], given: Any) -> Any:
        try:
            return self.rule([low.map(_numbers) for low in updates], given)
        except Exception as error:
            fact = f"raised {type(error).__name__}: {error}, on {len(updates)} updates"
            message = f"{self.name} {fact}: mend the rule"
            raise RuleError(message) from error

    def finite(self, array: Any, what: str) -> None:
        """Raise a `RuleError` if some numbers are not finite."""
        if not np.isfinite(array).all():
            self.refuse(f"returned NaN or infinity in {what}", "return finite numbers")

    def refuse(self, fact: str, remedy: str) -> NoReturn:
        """Raise a `RuleError` about the rule."""
        message = f"{self.name} {fact}: {remedy}"
        raise RuleError(message)


@dataclass(frozen=True, eq=False)
class Weigher:
    """The function of tokens that a router returned, whose weights are checked at each call."""

    asked: OwnRule
    router: Any
    count: int

    def weights(self, x: Any) -> Float[np.ndarray, "t k"]:
        """Return the weight of each adapter at each token (t, k); RuleError if it is malformed."""
        tokens = _numbers(x)
        try:
            weights = np.asarray(self.router.weights(tokens), dtype=float)
        except Exception as error:
            message = f"{self.asked.name}: weights(x) raised {type(error).__name__}: {error}"
            raise RuleError(message) from error
        # broadcasting would hide a missing axis
        shape = (len(tokens), self.count)
        if weights.shape != shape:
            fact = f"weighs tokens by an array of shape {weights.shape}"
            remedy = f"weights(x) must return one number per token and adapter, here {shape}"
            self.asked.refuse(fact, remedy)
        self.asked.finite(weights, "its weights")
        return weights


def _numbers(array: Any) -> Float[np.ndarray, "*shape"]:
    """The same numbers in NumPy, float64."""
    return np.asarray(array, dtype=float).copy()


def rule_named(name: str) -> OwnRule:
    """Import the rule ``package.module:rule``, which runs the module's code.

    The current folder is searched too. The rule is a merge if its second argument is called
    `weights`, a router if it is called `activations`. RuleError if there is no such module or
    attribute, or it is not a function of two such arguments.
    """
    place, _, attribute = name.partition(":")
    if not (place and attribute):
        message = f"{name!r} names no rule: write package.module:rule"
        raise RuleError(message)
    # the likeliest slip: a path where a module is wanted
    if place.endswith(".py"):
        dotted = place.removesuffix(".py").replace("/", ".").lstrip(".")
        message = f"{name!r} names a file, not a module: write {dotted}:{attribute}"
        raise RuleError(message)
    # an installed command does not search the folder that it is called from
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(place)
    except Exception as error:
        fact = f"module {place} cannot be imported ({type(error).__name__}: {error})"
        message = f"{name}: {fact}; run from the folder that holds it, or install it"
        raise RuleError(message) from error
    rule = getattr(module, attribute, None)
    if rule is None:
        # the choice is listed, since a misspelt name is the likeliest reason
        there = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        message = f"module {place} has no {attribute}: it has {', '.join(there) or 'no functions'}"
        raise RuleError(message)
    if not callable(rule):
        message = f"{name} is a {type(rule).__name__}, no function: name rule(updates, weights)"
        raise RuleError(message)
    return OwnRule(name, _form(name, rule), rule)


def _form(name: str, rule: Callable[..., Any]) -> str:
    """Which form a function has, by its second argument; further ones need a default."""
    try:
        arguments = inspect.signature(rule)
    except (TypeError, ValueError):
        arguments = inspect.Signature()
    with suppress(TypeError):
        arguments.bind("updates", "what the form says")  # whatever comes after has a default
        second = [*arguments.parameters.values()][1:2]
        if second and second[0].name in FORMS and second[0].kind != second[0].VAR_POSITIONAL:
            return FORMS[second[0].name]
    forms = "a merge is rule(updates, weights), a router rule(updates, activations)"
    message = f"{name} takes {arguments}: {forms}; anything else needs a default"
    raise RuleError(message)

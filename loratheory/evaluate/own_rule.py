"""Import a user's merge or router, call it with NumPy arrays, and check its outputs."""

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

# The name of the second argument says which form a rule has.
FORMS = {"weights": "merge", "activations": "router"}


class RuleError(ValueError):
    """A rule cannot be imported or called, or its output has the wrong form."""


def refuse(name: str, fact: str, remedy: str) -> NoReturn:
    """Raise a `RuleError` about the rule of this name."""
    message = f"{name} {fact}: {remedy}"
    raise RuleError(message)


@dataclass(frozen=True)
class OwnRule:
    """A user's rule with its `name` and its `form`, ``merge`` or ``router``.

    The rule is called with NumPy arrays in float64, as ``rule(updates, weights)`` or
    ``rule(updates, activations)``. RuleError if it fails or its output has the wrong form.
    """

    name: str
    form: str
    rule: Callable[..., Any]

    def merge(self, updates: Sequence[LowRank], weights: Sequence[int | float]) -> LowRank:
        """Merge one module's updates; RuleError unless the merge is finite and of their shape."""
        merged = self._call(updates, list(map(float, weights)))
        if not isinstance(merged, LowRank):
            fact = f"returned a {type(merged).__name__}"
            refuse(self.name, fact, "return a loratheory.lowrank.LowRank")
        shape = tuple(updates[0].shape)
        if tuple(merged.shape) != shape:
            fact = f"returned an update of shape {tuple(merged.shape)}"
            refuse(self.name, fact, f"return the shape of the updates, {shape}")
        merged = merged.map(_numbers)
        self._check_finite(merged.up, "the first factor of the merged update")
        self._check_finite(merged.down, "the second factor of the merged update")
        return merged

    def route(
        self, updates: Sequence[LowRank], activations: Any
    ) -> Callable[[Any], Float[np.ndarray, "t k"]]:
        """Return a function from tokens (t, n) to weights (t, k); `activations` are (t, n).

        Each call of the function raises RuleError if the weights are malformed.
        """
        # any object with `weights` is accepted, so that a user needs no class of this package
        router = self._call(updates, _numbers(activations))
        if not callable(getattr(router, "weights", None)):
            fact = f"returned a {type(router).__name__} without a method weights"
            remedy = "return a Router, Gates, or any object with weights(x) -> (t, k)"
            refuse(self.name, fact, remedy)

        def _weigh(x: Any) -> Float[np.ndarray, "t k"]:
            try:
                weights = np.asarray(router.weights(_numbers(x)), dtype=float)
            except Exception as error:
                fact = f"raised {type(error).__name__}: {error}"
                refuse(f"{self.name}: weights(x)", fact, "mend the router")
            # broadcasting would hide a missing axis
            wanted = (len(x), len(updates))
            if weights.shape != wanted:
                fact = f"weighs tokens by an array of shape {weights.shape}"
                per = "one number per token and adapter"
                refuse(self.name, fact, f"weights(x) must return {per}, here {wanted}")
            self._check_finite(weights, "its weights")
            return weights

        return _weigh

    def _call(self, updates: Sequence[LowRank], given: Any) -> Any:
        try:
            # NumPy copies go in: a rule may change its arguments without harm
            return self.rule([low.map(_numbers) for low in updates], given)
        except Exception as error:
            fact = f"raised {type(error).__name__}: {error}, on {len(updates)} updates"
            refuse(self.name, fact, "mend the rule")

    def _check_finite(self, array: Any, what: str) -> None:
        if not np.isfinite(array).all():
            refuse(self.name, f"returned NaN or infinity in {what}", "return finite numbers")


def _numbers(array: Any) -> Float[np.ndarray, "*shape"]:
    """Copy an array to NumPy in float64."""
    return np.asarray(array, dtype=float).copy()


def rule_named(name: str) -> OwnRule:
    """Import the rule ``package.module:rule``, see `import_function`.

    The rule is a merge if its second argument is called `weights`, a router if it is called
    `activations`. RuleError if it is not a function of these two arguments.
    """
    rule = import_function(name)
    return OwnRule(name, _form(name, rule), rule)


def import_function(name: str) -> Callable[..., Any]:
    """Import the function ``package.module:function``, which runs the module's code.

    The current folder is searched too. RuleError if there is no such module or function.
    """
    place, _, attribute = name.partition(":")
    if not (place and attribute):
        refuse(repr(name), "names no function", "write package.module:function")
    # a path instead of a module is the most likely mistake
    if place.endswith(".py"):
        dotted = place.removesuffix(".py").replace("/", ".").lstrip(".")
        refuse(repr(name), "names a file, not a module", f"write {dotted}:{attribute}")
    # an installed command does not search the folder that it is called from
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(place)
    except Exception as error:
        fact = f"module {place} cannot be imported ({type(error).__name__}: {error})"
        absent = isinstance(error, ModuleNotFoundError) and f"{place}.".startswith(f"{error.name}.")
        remedy = (
            "run from the folder that holds it, or install it" if absent else "correct the module"
        )
        refuse(f"{name}:", fact, remedy)
    rule = getattr(module, attribute, None)
    if rule is None:
        # list the functions, because a misspelt name is the most likely mistake
        there = [n for n, x in vars(module).items() if callable(x) and not n.startswith("_")]
        listed = ", ".join(there) or "no functions"
        refuse(f"module {place}", f"has no {attribute}", f"it has {listed}")
    if not callable(rule):
        refuse(name, f"is a {type(rule).__name__}, no function", "name a function")
    function: Callable[..., Any] = rule
    return function


def _form(name: str, rule: Callable[..., Any]) -> str:
    """Return the form of a function by its second argument; further arguments need a default."""
    takes, second = inspect.Signature(), list[inspect.Parameter]()
    with suppress(TypeError, ValueError):
        takes = inspect.signature(rule)
        # arguments after the second must have a default
        takes.bind("updates", "what the form says")
        second = [*takes.parameters.values()][1:2]
    if second and second[0].name in FORMS and second[0].kind != second[0].VAR_POSITIONAL:
        return FORMS[second[0].name]
    forms = "a merge is rule(updates, weights), a router rule(updates, activations)"
    refuse(name, f"takes {takes}", f"{forms}; anything else needs a default")

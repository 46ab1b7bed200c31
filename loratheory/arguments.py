"""Arguments of public functions: wrong types and unknown names are refused in one line."""

import contextlib
import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from loratheory.shapes import AnyArray

F = TypeVar("F", bound=Callable[..., Any])
# NumPy's numbers are numbers, too.
NUMBERS: dict[Any, Any] = {int: Integral, float: Real}


class ArgumentError(TypeError):
    """An argument has a wrong type; the message has its value and what to give instead."""


def shown(value: object, limit: int = 120) -> str:
    """Return a value as text for a message: escaped, on one line, shortened."""
    text = repr(value).replace("\n", " ")
    return text if len(text) <= limit else f"{text[: limit - 20]}… ({len(text)} characters)"


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return the end of an error message: the most similar known names, or else the remedy."""
    # a typing error is the likeliest reason
    near = difflib.get_close_matches(name, [*known], n=3)
    return f"did you mean {', '.join(near)}?" if near else otherwise


def accepts(kind: Any, value: Any) -> bool:
    """Return whether a value has an annotated type; what an annotation leaves open passes.

    Items of sequences are looked at. Those of mappings are not, for a look-up may load them.
    """
    inside = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return any(accepts(one, value) for one in inside)
    kind = NUMBERS.get(get_origin(kind) or kind, get_origin(kind) or kind)
    # The shape is jaxtyping's business, in the tests.
    kind = AnyArray if hasattr(kind, "dim_str") else kind
    if kind in (Any, inspect.Parameter.empty) or not isinstance(kind, type):
        return True
    if kind is not Sequence:
        return isinstance(value, kind)
    # A word is no sequence of words.
    if not hasattr(value, "__getitem__") or isinstance(value, str | bytes | Mapping):
        return False
    return isinstance(value, AnyArray) or all(accepts(inside[0], one) for one in value)


def checked(function: F, document: str = "") -> F:
    """Return a function that refuses arguments of other types than it declares.

    Raises
    ------
    ArgumentError
        At a call, with the argument, its value, and the type in the words of the docstring.
    """
    signature, document = inspect.signature(function), document or function.__doc__ or ""
    place = function.__qualname__.removesuffix(".__init__")

    @functools.wraps(function)
    def _call(*args: Any, **kwargs: Any) -> Any:
        given = {}
        # The call itself says which argument is unknown, and which is missing.
        with contextlib.suppress(TypeError):
            given = signature.bind_partial(*args, **kwargs).arguments
        for name, value in given.items():
            parameter = signature.parameters[name]
            several = parameter.kind is parameter.VAR_POSITIONAL
            for one in value if several else (value,):
                require_type(place, document, name, parameter.annotation, one)
        return function(*args, **kwargs)

    return _call  # type: ignore[return-value]


def check_constructor(kind: Any) -> Any:
    """Have a dataclass refuse arguments of wrong types."""
    kind.__init__ = checked(kind.__init__, kind.__doc__)
    return kind


def check_arguments(names: dict[str, Any]) -> None:
    """Have all functions and dataclasses of a package refuse arguments of wrong types.

    `names` are the package's own, in which functions are replaced. Modules inside the package that
    import each other are not slowed by it.
    """
    home = names["__name__"]
    for name, value in names.items():
        own = getattr(value, "__module__", "").startswith(home)
        if own and inspect.isclass(value) and dataclasses.is_dataclass(value):
            check_constructor(value)
        elif own and inspect.isfunction(value):
            names[name] = checked(value)
            names[name].__module__ = home  # where pickle looks for it


def require_type(place: str, document: str, name: str, kind: Any, value: Any) -> None:
    """Raise ArgumentError unless the argument `name` of a function has the type `kind`."""
    if accepts(kind, value):
        return
    # What the docstring says of this argument, else its annotation.
    line = rf"^ *\**(?:\w+, )*{name}\b.* : (.+?)(?:, optional)?$"
    said = re.search(line, document, re.MULTILINE)
    words = said[1] if said else re.sub(r"\b[a-z_]\w*\.", "", inspect.formatannotation(kind))
    fact = f"{place}: {name} is {shown(value)}, of type {type(value).__name__}"
    message = f"{fact}; give {words}"
    raise ArgumentError(message)

"""What is stored beside the modules: a small witness of each theorem, and results that are cited.

The published results are cited without a check, and ``cited.toml`` says why none of them can be
checked here. ``witnesses.toml`` has for each theorem with a construction one case that is small
enough to check by hand.
"""

import re
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from loratheory.lowrank import LowRank, from_dense
from loratheory.theorems._theorem import Theorem
from loratheory.theorems.registry import find_theorem


@dataclass(frozen=True)
class Cited:
    """A published result that no module states.

    Attributes
    ----------
    name, statement, source : str
        Its name, what it claims according to the publication, and the publication.
    reason : str
        Why it cannot be checked on instances here, and what can be run instead.
    """

    name: str
    statement: str
    source: str
    reason: str


def load_cited() -> tuple[Cited, ...]:
    """Return the published results of ``cited.toml`` in order, each text on one line.

    Examples
    --------
    >>> load_cited()[0].source
    'Jang, Lee and Ryu (ICML 2024, arXiv 2402.11867)'
    """
    return tuple(map(_unwrap, tomllib.loads(_read("cited.toml"))["cited"]))


def _read(name: str) -> str:
    return (files("loratheory.theorems") / name).read_text(encoding="utf-8")


def _unwrap(entry: dict[str, str]) -> Cited:
    # texts are wrapped in the file, and printed as one paragraph
    return Cited(**{key: " ".join(words.split()) for key, words in entry.items()})


@dataclass(frozen=True, eq=False)
class Witness:
    """A small case of a theorem, and a witness that meets the bound there.

    Attributes
    ----------
    case, witness : Any
        What the theorem's `check` takes.
    bound, value : float
        The bound of the case and what the witness reaches, computed by hand.
    text : str
        All four as they are stored, a line or more for each field.
    """

    case: Any
    witness: Any
    bound: float
    value: float
    text: str


@cache
def list_witnesses() -> dict[str, str]:
    """Return the text of each stored witness by the theorem's label, see `load_witness`."""
    # the text as it lies is short, and readers can check it by hand
    _, *parts = re.split(r"^\[([a-z-]+)\]$", _read("witnesses.toml"), flags=re.MULTILINE)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {f"thm:{name}": text.strip() for name, text in pairs}


def load_witness(theorem: str | Theorem[Any, Any]) -> Witness:
    """Return the stored witness of a theorem: a case to check by hand, where the bound is met.

    Parameters
    ----------
    theorem : str or Theorem
        A theorem with a construction (`attain`), or its label. The witness of a refuted claim is a
        counterexample.

    Returns
    -------
    Witness
        Case and witness in NumPy arrays.

    Raises
    ------
    LookupError
        If none is stored, as for theorems without a construction.

    Examples
    --------
    >>> stored = load_witness("edit-budget")
    >>> check("edit-budget", stored.case, stored.witness)
    <thm:edit-budget holds and is tight: bound 1, value 1>
    """
    found = find_theorem(theorem)
    text = list_witnesses().get(found.label)
    if text is None:
        message = f"{found.label} has no stored witness: draw a case, and check a rival there"
        raise LookupError(message)
    stored = tomllib.loads(text)
    case = _build(get_type_hints(found.draw)["return"], stored["case"])
    kind = [*get_type_hints(found.measure).values()][1]
    # a function is described in words: it is what the construction returns
    in_words = isinstance(stored["witness"], str)
    witness = found.attain(case) if in_words and found.attain else _build(kind, stored["witness"])
    return Witness(case, witness, _number(stored["bound"]), _number(stored["value"]), text)


def _build(kind: Any, given: Any) -> Any:
    """Return what is annotated with this type, from the tables, lists and numbers of a file."""
    inside = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        return _build(_choose(inside, given), given)
    if isinstance(given, dict):
        hints = get_type_hints(kind)
        return kind(**{name: _build(hints[name], value) for name, value in given.items()})
    if get_origin(kind) is tuple:
        kinds = inside[:1] * len(given) if inside[-1] is Ellipsis else inside
        return tuple(map(_build, kinds, given))
    if isinstance(given, list):
        array = np.vectorize(_number, otypes=[float])(given)
        # no wider than its rank, which some hypotheses limit
        return from_dense(array, int(np.linalg.matrix_rank(array))) if kind is LowRank else array
    whole = kind in (int, bool) or get_origin(kind) is Literal
    return given if whole else _number(given)


def _choose(kinds: tuple[Any, ...], given: Any) -> Any:
    # of several classes the first one that has all fields that are given
    for kind in kinds:
        if not is_dataclass(kind) or {*given} <= {one.name for one in fields(kind)}:
            return kind
    message = f"no class has all the fields {', '.join(given)}: correct witnesses.toml"
    raise ValueError(message)


def _number(given: Any) -> float:
    return float(Fraction(given))

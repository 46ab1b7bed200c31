"""The packages' public names, with the shapes of their arrays, for Sphinx to describe."""

import inspect
import re
from importlib import import_module
from types import ModuleType

from website.rest import Pages, escaped, heading, indented, linked, toctree

PACKAGES = (
    "lowrank",
    "adapters",
    "toy",
    "tasks.two_hop",
    "tasks.word_problems",
    "theorems",
    "diagnosis",
    "pretrained",
    "experiments",
    "figures",
)
INTRODUCTION = (
    "What each package hands out. Shapes stand in the signatures: ``Float[Array, 'm r']`` is a "
    "floating-point array of `m` rows and `r` columns, of NumPy, PyTorch or any other library of "
    "the Array API, and the same letter is the same number throughout a signature. The tests check "
    "them. ``import loratheory as lt`` gives ``lt.read``, ``lt.write``, ``lt.merge``, "
    "``lt.diagnose``, ``lt.verify``, ``lt.LowRank`` and ``lt.theorems``. Examples are run by the "
    "tests, in a clone's folder, with ``np`` for NumPy, ``lt``, and the names of their package and "
    "of ``loratheory.lowrank``.\n\n"
)


def reference() -> Pages:
    """Return a page for each package and their index."""
    described: dict[int, str] = {}
    pages = {f"reference/{name}.rst": package_page(name, described) for name in PACKAGES}
    index = heading("Reference") + INTRODUCTION
    for name in PACKAGES:
        document = inspect.getdoc(import_module(f"loratheory.{name}")) or ""
        told = " ".join(document.partition("\n\n")[0].split())
        index += f":doc:`loratheory.{name} <{name}>`\n   {linked(told)}\n\n"
    return {**pages, "reference/index.rst": index + toctree(PACKAGES, hidden=True)}


def package_page(name: str, described: dict[int, str] | None = None) -> str:
    """Return a table of a package's classes and functions, then the directives for each."""
    described = {} if described is None else described
    package = import_module(f"loratheory.{name}")
    full = package.__name__
    opening = heading(full) + linked(inspect.getdoc(package) or "") + "\n\n"
    opening += f".. py:currentmodule:: {full}\n\n.. autosummary::\n   :nosignatures:\n\n"
    text, values = "", []
    for public, value in public_names(package).items():
        if not _is_value(value) and described.setdefault(id(value), name) != name:
            values.append(f"* ``{public}``: described in :doc:`{described[id(value)]}`")
        elif inspect.isclass(value):
            text += f".. autoclass:: {public}\n   :members:\n\n"
        elif inspect.isroutine(value):
            text += f".. autofunction:: {public}\n\n"
        else:
            values.append(f"* ``{public}``: {escaped(type(value).__name__)}")
    opening += indented("\n".join(re.findall(r"auto\w+:: (\w+)", text))) + "\n\n"
    if values:
        text += ".. rubric:: And\n\n" + "\n".join(values) + "\n"
    return opening + text


def public_names(package: ModuleType) -> dict[str, object]:
    """What a package hands out of its own: classes first, then functions, then values, by name."""
    found = {
        name: value
        for name, value in vars(package).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and (_is_value(value) or str(value.__module__).startswith("loratheory."))
    }
    order = sorted(found, key=lambda name: (*_kind(found[name]), name.lower()))
    return {name: found[name] for name in order}


def _is_value(value: object) -> bool:
    return not (inspect.isclass(value) or inspect.isroutine(value))


def _kind(value: object) -> tuple[bool, bool]:
    return _is_value(value), not inspect.isclass(value)

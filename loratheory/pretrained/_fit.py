"""Whether adapters fit a model: names and shapes must, the name of the base should."""

import difflib
import warnings
from collections.abc import Mapping, Sequence

from loratheory.adapters import Adapter, Aligned, aligned
from loratheory.pretrained._model import (
    Map,
    Model,
    ModelError,
    OtherBaseWarning,
    failure,
    maps,
)

SHOWN = 3


def fitted(model: Model, adapters: Sequence[Adapter]) -> tuple[Aligned, dict[str, Map]]:
    """Return the adapters side by side and the maps that they change, once all of them fit.

    Raises
    ------
    ModelError
        If a module is not in the model, or has another shape there. The message names the first
        three and what would match.
    AdapterError
        If there is no adapter, or two do not fit each other.

    Warns
    -----
    OtherBaseWarning
        If an adapter says that it was trained on another base or revision.
    """
    known = maps(model)
    for adapter in adapters:
        _present(model, adapter, known)
        _shaped(model, adapter, known)
        _of_this_base(model, adapter)
    together = aligned(adapters, any_base=True)
    return together, {name: known[name] for name in together.shapes}


def _listed(model: Model, adapter: Adapter, bad: list[str], fact: str, remedy: str) -> ModelError:
    """The error that shows the first few of the bad modules."""
    more = ", …" if len(bad) > SHOWN else ""
    count = f"{len(bad)} of its {len(adapter)} modules"
    text = f"{count} {fact} {model.kind} ({'; '.join(bad[:SHOWN])}{more})"
    return failure(adapter.info.name, text, remedy)


def _present(model: Model, adapter: Adapter, known: Mapping[str, Map]) -> None:
    absent = [name for name in adapter if name not in known]
    if not absent:
        return
    shown = [f"{name}, closest is {_closest(name, known)}" for name in absent[:SHOWN]]
    remedy = "attach the adapter to the model it was trained on, or rename its modules"
    if any("experts" in name.split(".") for name in absent):
        remedy += "; experts kept in one tensor are not linear maps of their own"
    raise _listed(model, adapter, shown + absent[SHOWN:], "are not in", remedy)


def _closest(name: str, known: Mapping[str, Map]) -> str:
    """The name in the model that shares the longest ending, the most alike among those."""

    def _ending(other: str) -> int:
        pairs = zip(reversed(name.split(".")), reversed(other.split(".")), strict=False)
        return next((i for i, (one, two) in enumerate(pairs) if one != two), 99)

    best = max((_ending(other) for other in known), default=0)
    alike = [other for other in known if _ending(other) == best]
    return next(iter(difflib.get_close_matches(name, alike, 1, 0.0)), "nothing: it has no maps")


def _shaped(model: Model, adapter: Adapter, known: Mapping[str, Map]) -> None:
    wrong = [
        f"{name} is {known[name].shape}, not {shape}"
        for name, shape in adapter.shapes.items()
        if shape != known[name].shape
    ]
    if wrong:
        remedy = "attach the adapter to a model of the size it was trained on"
        raise _listed(model, adapter, wrong, "have another shape in", remedy)
    kinds = [
        f"{name} is {'an embedding' if known[name].embedding else 'a linear map'}"
        for name in adapter
        if known[name].embedding != (name in adapter.info.embeddings)
    ]
    if kinds:
        remedy = "attach the adapter to the model it was trained on"
        raise _listed(model, adapter, kinds, "are of another kind in", remedy)


def _of_this_base(model: Model, adapter: Adapter) -> None:
    base, revision = adapter.info.base, str(adapter.info.config.get("revision") or "")
    names = [name.rstrip("/").rpartition("/")[2].casefold() for name in (base, model.name)]
    if all(names) and names[0] != names[1]:
        said = f"{adapter.info.name} was trained on {base}, this is {model.name}"
    elif revision and model.revision and not _same_commit(revision, model.revision):
        said = f"{adapter.info.name} was trained on revision {revision}, this is {model.revision}"
    else:
        return
    message = f"{said}: names and shapes fit, so it acts, but what it does here is not what it did"
    warnings.warn(message, OtherBaseWarning, stacklevel=4)


def _same_commit(one: str, other: str) -> bool:
    """Whether one is the other, or its beginning; a branch's name says nothing."""
    if not set(one) <= set("0123456789abcdef"):
        return True
    return one.startswith(other) or other.startswith(one)

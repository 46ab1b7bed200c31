"""Whether adapters fit a model: names and shapes must, the name of the base should."""

import difflib
import warnings
from collections.abc import Collection, Sequence
from itertools import takewhile

from loratheory.adapters import Adapter, Aligned, aligned
from loratheory.pretrained._model import Map, Model, OtherBaseWarning, failure, maps

SHOWN = 3
RIGHT_MODEL = "attach the adapter to the model it was trained on"


def fitted(model: Model, adapters: Sequence[Adapter]) -> tuple[Aligned, dict[str, Map]]:
    """Return the adapters side by side and the maps that they change, once all of them fit.

    Raises
    ------
    ModelError
        If a module is not in the model, or has another shape there; the message names the first
        three and what would match.
    AdapterError
        If there is no adapter, or two do not fit each other.

    Warns
    -----
    OtherBaseWarning
        If an adapter says that it was trained on another base or revision.
    """
    places = maps(model)
    for adapter in adapters:
        _of_these_modules(model, adapter, places)
        _of_this_base(model, adapter)
    together = aligned(adapters, any_base=True)
    return together, {name: places[name] for name in together.shapes}


def _of_these_modules(model: Model, adapter: Adapter, places: dict[str, Map]) -> None:
    """Refuse modules that are absent, of another shape, or embeddings where maps are."""
    absent = [name for name in adapter if name not in places]
    rename = f"{RIGHT_MODEL}, or rename its modules"
    if any("experts" in name for name in absent):
        rename += "; experts kept in one tensor are not linear maps of their own"
    shapes = {name: places[name].shape for name in adapter if name not in absent}
    misshapen = [name for name in shapes if shapes[name] != adapter.shapes[name]]
    embedded = [name for name in shapes if places[name].embedding]
    other_kind = [n for n in shapes if (n in embedded) != (n in adapter.info.embeddings)]
    size = "attach the adapter to a model of the size it was trained on"
    for names, fact, remedy, line in (
        (absent, "not in", rename, lambda n: f"{n}, closest is {_closest(n, places)}"),
        (misshapen, "of another shape in", size,
         lambda n: f"{n} is {shapes[n]}, not {adapter.shapes[n]}"),
        (other_kind, "of another kind in", RIGHT_MODEL,
         lambda n: f"{n} is {'an embedding' if n in embedded else 'a linear map'}"),
    ):  # fmt: skip
        if names:
            lines = "; ".join(map(line, names[:SHOWN])) + (", …" if names[SHOWN:] else "")
            count = f"{len(names)} of its {len(adapter)} modules are"
            raise failure(adapter.info.name, f"{count} {fact} {model.kind} ({lines})", remedy)


def _closest(name: str, others: Collection[str]) -> str:
    """The name in the model that shares the longest ending, the most alike among those."""

    def _likeness(other: str) -> tuple[int, float, str]:
        pairs = zip(reversed(name.split(".")), reversed(other.split(".")), strict=False)
        ending = list(takewhile(lambda pair: pair[0] == pair[1], pairs))
        return len(ending), difflib.SequenceMatcher(None, other, name).ratio(), other

    return max(others, key=_likeness, default="nothing: it has no maps")


def _of_this_base(model: Model, adapter: Adapter) -> None:
    """Warn where an adapter names another base, or another commit of it; a branch says nothing."""
    base, revision = adapter.info.base, str(adapter.info.config.get("revision") or "")
    names = [name.rstrip("/").rpartition("/")[2].casefold() for name in (base, model.name)]
    commits = bool(revision and model.revision) and set(revision) <= set("0123456789abcdef")
    same = model.revision.startswith(revision) or revision.startswith(model.revision)
    if all(names) and names[0] != names[1]:
        fact = f"{adapter.info.name} was trained on {base}, this is {model.name}"
    elif commits and not same:
        fact = f"{adapter.info.name} was trained on revision {revision}, this is {model.revision}"
    else:
        return
    message = f"{fact}: names and shapes fit, so it acts, but what it does here is not what it did"
    warnings.warn(message, OtherBaseWarning, stacklevel=4)

"""Several adapters over one set of modules: what merging and diagnosing start from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loratheory.adapters._adapter import Adapter, Info, Shape
from loratheory.adapters._error import refusal, shown
from loratheory.adapters._safetensors import DTYPES
from loratheory.lowrank import LowRank


@dataclass(frozen=True, eq=False)
class Aligned:
    """Adapters that fit each other.

    Attributes
    ----------
    adapters : tuple of Adapter
        As given; one may stand there twice.
    shapes : mapping of str to (m, n)
        The union of their modules, in the order of first appearance.
    missing : mapping of str to tuple of int
        For each module that some adapters lack, which ones; there their update is zero.
    info : Info
        For what is made of all of them: the widest dtype, every embedding, the configuration keys
        on which all agree.
    """

    adapters: tuple[Adapter, ...]
    shapes: Mapping[str, Shape]
    missing: Mapping[str, tuple[int, ...]]
    info: Info

    def updates(self, module: str) -> list[LowRank]:
        """The updates of one module, one an adapter, loaded now; width 0 where it is missing."""
        absent = self.missing.get(module, ())
        found = {i: a[module] for i, a in enumerate(self.adapters) if i not in absent}
        like = next(iter(found.values()))
        zero = LowRank(like.up[:, :0], like.down[:0, :])
        return [found.get(i, zero) for i in range(len(self.adapters))]

    @property
    def report(self) -> tuple[str, ...]:
        """A sentence for each adapter that lacks modules of the others."""
        lacks = {
            i: [module for module, absent in self.missing.items() if i in absent]
            for i in range(len(self.adapters))
        }
        return tuple(
            f"{self.adapters[i].info.name} has no update of {len(modules)} of {len(self.shapes)} "
            f"modules ({modules[0]}{', …' if modules[1:] else ''}): it counts as zero there"
            for i, modules in lacks.items()
            if modules
        )


def aligned(adapters: Sequence[Adapter], any_base: bool = False) -> Aligned:
    """Return the adapters over the union of their modules, once they fit each other.

    Parameters
    ----------
    adapters : sequence of Adapter
        At least one.
    any_base : bool
        Whether different names and revisions of base models may pass; different shapes never do.

    Returns
    -------
    Aligned
        Loads nothing by itself.

    Raises
    ------
    AdapterError
        If there is no adapter, one module has two shapes or is an embedding in one adapter only,
        or two adapters name different base models or different revisions of one.
    """
    if not adapters:
        place = "adapters"
        raise refusal(place, "none were given", "give at least one")
    first: dict[str, Adapter] = {}
    for adapter in adapters:
        for module, shape in adapter.shapes.items():
            other = first.setdefault(module, adapter)
            _same_kind(module, shape, adapter, other)
    shapes = {module: adapter.shapes[module] for module, adapter in first.items()}
    absent = {m: tuple(i for i, a in enumerate(adapters) if m not in a) for m in shapes}
    missing = {module: places for module, places in absent.items() if places}
    return Aligned(tuple(adapters), shapes, missing, _common(adapters, any_base))


def _same_kind(module: str, shape: Shape, adapter: Adapter, other: Adapter) -> None:
    place, remedy = f"module {shown(module)}", "combine adapters of one base model"
    if shape != other.shapes[module]:
        fact = f"{other.info.name} changes a {other.shapes[module]} map, {adapter.info.name} a"
        raise refusal(place, f"{fact} {shape} one", remedy)
    if (module in adapter.info.embeddings) != (module in other.info.embeddings):
        fact = f"an embedding in only one of {other.info.name} and {adapter.info.name}"
        raise refusal(place, fact, remedy)


def same_base(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """Refuse different base models and different revisions of one; a revision beside none is told.

    Parameters
    ----------
    adapters : sequence of Adapter
        Those that name no base model fit any.

    Returns
    -------
    tuple of str
        What the user should see to.

    Raises
    ------
    AdapterError
        If two adapters name different ones.
    """
    notes: tuple[str, ...] = ()
    for fact, value in (("base model", _base), ("revision of the base model", _revision)):
        named = [adapter for adapter in adapters if value(adapter)]
        other = next((a for a in named if value(a) != value(named[0])), None)
        if other is not None:
            text = f"its {fact} is {shown(value(other))}, that of {named[0].info.name} is"
            remedy = "combine adapters of one base model, or pass any_base=True (--any-base)"
            raise refusal(other.info.name, f"{text} {shown(value(named[0]))}", remedy)
        if value is _revision and 0 < len(named) < len(adapters):
            silent = next(adapter for adapter in adapters if not value(adapter))
            text = f"{named[0].info.name} was trained on revision {shown(value(named[0]))} of its"
            notes = (f"{text} base model, {silent.info.name} names none: see that they are one",)
    return notes


def _base(adapter: Adapter) -> str:
    return adapter.info.base


def _revision(adapter: Adapter) -> str:
    return str(adapter.info.config.get("revision") or "")


def _common(adapters: Sequence[Adapter], any_base: bool) -> Info:
    revisions = () if any_base else same_base(adapters)
    named = [adapter for adapter in adapters if adapter.info.base]
    config = dict(adapters[0].info.config)
    for adapter in adapters[1:]:
        config = {k: v for k, v in config.items() if adapter.info.config.get(k) == v}
    if any(adapter.info.config.get("fan_in_fan_out") for adapter in adapters):
        config["fan_in_fan_out"] = True
    return Info(
        name=" + ".join(dict.fromkeys(adapter.info.name for adapter in adapters)),
        base=named[0].info.base if named else "",
        dtype=max((adapter.info.dtype for adapter in adapters), key=[*DTYPES].index),
        embeddings=frozenset().union(*(adapter.info.embeddings for adapter in adapters)),
        config=config,
        notes=(*(note for adapter in adapters for note in adapter.info.notes), *revisions),
    )

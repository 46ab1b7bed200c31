"""An adapter: a mapping from module names to factored updates, loaded when looked up."""

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loratheory.lowrank import Array, LowRank

DTYPES = ("float16", "bfloat16", "float32", "float64")
"""Storage types of adapter files, from the narrowest to the widest."""

PARAMETERS = "target_parameters"  # in PEFT's configuration: what is adapted beside modules

Shape = tuple[int, int]
if TYPE_CHECKING:
    Updates = Mapping[str, LowRank]
else:  # a run-time check of one value would load it
    Updates = Mapping[str, Any]


class AdapterError(ValueError):
    """An adapter cannot be read, written or combined as asked; the message says why."""


def shown(value: object, limit: int = 120) -> str:
    """Return a value as text for a message: escaped, on one line, shortened."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 20]}… ({len(text)} characters)"


def refusal(place: str | Path, fact: str, remedy: str) -> AdapterError:
    """Return the error for `place` (a file, folder or module): what is wrong and what to do."""
    text = f"{place}: {fact}; {remedy}"
    return AdapterError("".join(mark if mark.isprintable() else " " for mark in text))


def unreadable(path: Path, error: Exception) -> AdapterError:
    """Return the error for a file that the system does not let us read."""
    reason = getattr(error, "strerror", None) or str(error)
    return refusal(path, f"cannot be read ({reason})", "check that it exists and may be read")


@dataclass(frozen=True)
class Whole:
    """A tensor that replaces one of the base model, instead of being added to it."""

    kind: str  #: ``module`` (of `modules_to_save`), ``bias``, or ``row`` of an embedding.
    owner: str  #: The module that the tensor belongs to.
    shape: tuple[int, ...]
    load: Callable[[], Any]  #: Returns the numbers.


@dataclass(frozen=True)
class Info:
    """What an adapter's files say about it, other than the updates."""

    name: str = "adapter"  #: The adapter's name in messages, usually its folder.
    base: str = ""  #: ``base_model_name_or_path``, empty where unknown.
    dtype: str = "float32"  #: Storage type of the widest tensor, one of `DTYPES`.
    embeddings: frozenset[str] = frozenset()
    """Modules that are embeddings; their updates map one-hot tokens to vectors."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The keys of ``adapter_config.json`` that a merge hands on, such as `task_type`."""
    notes: tuple[str, ...] = ()  #: What in the files was not used, in sentences for the user.
    scales: Mapping[str, float] = field(default_factory=dict)
    """By module, the scale (alpha / r or alpha / sqrt(r)) that is already part of the update."""
    kernels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """For a convolution, the shape of its weight without the outputs, such as (inputs, 3, 3); its
    update has these axes flattened into one."""
    others: Mapping[str, Whole] = field(default_factory=dict)
    """Tensors that replace those of the base with the same names."""
    form: str = ""  #: How the file names tensors: ``peft``, ``kohya`` or ``diffusers``.
    naming: str = ""  #: Whose module names: diffusers, sdxl, flux, unknown, or '' for PEFT's.
    header: Mapping[str, str] = field(default_factory=dict)
    """What the header of a single file says of the base, such as ``ss_base_model_version``."""


class Lazy(Mapping[str, Any]):
    """What ``make(name)`` computes of each module, such as its update, at each look-up anew."""

    def __init__(self, names: tuple[str, ...], make: Callable[[str], Any]) -> None:
        self._names = dict.fromkeys(names)
        self._make = make

    def __getitem__(self, name: str) -> Any:
        """What belongs to one module, computed now."""
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a module; computes nothing."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Module names in order; computes nothing."""
        return iter(self._names)

    def __len__(self) -> int:
        """Number of modules; computes nothing."""
        return len(self._names)


@dataclass(frozen=True, eq=False)
class Adapter(Updates):
    """Low-rank updates by module name, each already multiplied by its scale.

    ``adapter["model.layers.0.self_attn.q_proj"]`` is the update of that linear map, of shape
    (outputs, inputs), scaled as `lora_alpha` and rank patterns ask. The mapping may be `Lazy`: an
    update is then read or computed at each look-up, so that adapters larger than memory can be
    processed module by module. Shapes are known without loading anything.

    Examples
    --------
    >>> adapter = lt.read("tests/data/persons")
    >>> adapter
    <Adapter 'tests/data/persons': updates of 60 modules>
    >>> adapter["model.layers.0.self_attn.q_proj"].rank
    4
    """

    modules: Updates
    shapes: Mapping[str, Shape]
    info: Info = field(default_factory=Info)

    @classmethod
    def of(cls, modules: Mapping[str, LowRank], info: Info | None = None) -> "Adapter":
        """Return an adapter made of updates in memory."""
        shapes = {name: low.shape for name, low in modules.items()}
        return cls(modules, shapes, info or Info())

    def map(self, change: Callable[[Array], Array]) -> "Adapter":
        """Return an adapter whose look-ups apply `change` to both factors, see `LowRank.map`."""
        return replace(self, modules=Lazy(tuple(self), lambda name: self[name].map(change)))

    def __repr__(self) -> str:
        """One line; loads nothing."""
        return f"<Adapter {shown(self.info.name)}: updates of {len(self)} modules>"

    def __getitem__(self, name: str) -> LowRank:
        """The update of one module."""
        return self.modules[name]

    def __contains__(self, name: object) -> bool:
        """Whether the adapter changes this module; loads nothing."""
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        """Module names in order; loads nothing."""
        return iter(self.shapes)

    def __len__(self) -> int:
        """Number of modules; loads nothing."""
        return len(self.shapes)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Adapters that fit each other, over the union of their modules; made by `aligned`."""

    adapters: tuple[Adapter, ...]  #: In the order given; the same adapter may occur twice.
    shapes: Mapping[str, Shape]  #: All modules, in the order of first appearance.
    missing: Mapping[str, tuple[int, ...]]
    """For each module that some adapters lack, their positions; their update there is zero."""
    info: Info
    """For an adapter made of all: the widest dtype, every embedding, the keys that all share."""

    def updates(self, module: str) -> list[LowRank]:
        """Return the update of one module by each adapter, of width 0 where an adapter has none."""
        present = {i: a[module] for i, a in enumerate(self.adapters) if module in a}
        like = next(iter(present.values()))
        zero = LowRank(like.up[:, :0], like.down[:0, :])
        return [present.get(i, zero) for i in range(len(self.adapters))]

    @property
    def report(self) -> tuple[str, ...]:
        """A sentence for each adapter that lacks modules of the others."""
        sentences = []
        for i, adapter in enumerate(self.adapters):
            lacks = [module for module, absent in self.missing.items() if i in absent]
            if lacks:
                named = f"{lacks[0]}{', …' if lacks[1:] else ''}"
                count = f"{len(lacks)} of {len(self.shapes)} modules"
                fact = f"{adapter.info.name} has no update of {count} ({named})"
                sentences.append(f"{fact}: it counts as zero there")
        return tuple(sentences)


def aligned(adapters: Sequence[Adapter], any_base: bool = False) -> Aligned:
    """Check that adapters fit each other and return them over the union of their modules.

    Loads nothing. With `any_base`, adapters may name different base models or revisions, but shapes
    must still agree.

    Raises
    ------
    AdapterError
        If there is no adapter, or two adapters disagree about a module's shape or its type (linear
        map, convolution, embedding), about how modules are named, or about base model or revision.
    """
    if not adapters:
        place = "adapters"
        raise refusal(place, "none were given", "give at least one")
    first: dict[str, Adapter] = {}
    for adapter in adapters:
        one, two = adapters[0].info, adapter.info
        if one.naming != two.naming:
            names = f"those of {one.naming or 'one network'}, here those of {two.naming or 'one'}"
            remedy = "bring them to one form first (loratheory convert)"
            raise refusal(two.name, f"modules have other names than in {one.name}: {names}", remedy)
        for module, shape in adapter.shapes.items():
            _same_kind(module, shape, adapter, first.setdefault(module, adapter))
    shapes = {module: adapter.shapes[module] for module, adapter in first.items()}
    absent = {m: tuple(i for i, a in enumerate(adapters) if m not in a) for m in shapes}
    missing = {module: places for module, places in absent.items() if places}
    return Aligned(tuple(adapters), shapes, missing, _common(adapters, any_base))


def _same_kind(module: str, shape: Shape, adapter: Adapter, other: Adapter) -> None:
    place, remedy = f"module {shown(module)}", "combine adapters of one base model"
    one, two = adapter.info, other.info
    if shape != other.shapes[module]:
        fact = f"{two.name} changes a {other.shapes[module]} map, {one.name} a {shape} one"
        raise refusal(place, fact, remedy)
    for kind, same in (
        ("an embedding in only one of", (module in one.embeddings) == (module in two.embeddings)),
        ("not the same convolution in", one.kernels.get(module) == two.kernels.get(module)),
    ):
        if not same:
            raise refusal(place, f"{kind} {two.name} and {one.name}", remedy)


def _same_base(adapters: Sequence[Adapter]) -> tuple[str, ...]:
    """Refuse different base models and different revisions of one; those that name none fit any.

    Returns what the user should see to: that a revision stands beside none.
    """
    notes: tuple[str, ...] = ()
    base = [adapter.info.base for adapter in adapters]
    revision = [str(adapter.info.config.get("revision") or "") for adapter in adapters]
    for fact, values in (("base model", base), ("revision of the base model", revision)):
        named = [(a, value) for a, value in zip(adapters, values, strict=True) if value]
        for adapter, value in named:
            if value != named[0][1]:
                text = f"its {fact} is {shown(value)}, that of {named[0][0].info.name} is"
                remedy = "combine adapters of one base model, or pass any_base=True (--any-base)"
                raise refusal(adapter.info.name, f"{text} {shown(named[0][1])}", remedy)
        if values is revision and 0 < len(named) < len(adapters):
            silent = adapters[values.index("")].info.name
            text = f"{named[0][0].info.name} was trained on revision {shown(named[0][1])} of its"
            notes = (f"{text} base model, {silent} names none: see that they are one",)
    return notes


def _common(adapters: Sequence[Adapter], any_base: bool) -> Info:
    revisions = () if any_base else _same_base(adapters)
    named = [adapter for adapter in adapters if adapter.info.base]
    config = dict(adapters[0].info.config)
    for adapter in adapters[1:]:
        config = {k: v for k, v in config.items() if adapter.info.config.get(k) == v}
    if any(adapter.info.config.get("fan_in_fan_out") for adapter in adapters):
        config["fan_in_fan_out"] = True
    adapted = [a.info.config[PARAMETERS] for a in adapters if a.info.config.get(PARAMETERS)]
    if adapted:
        if any({*names} != {*adapted[0]} for names in adapted):
            fact = f"differ: {shown(adapted)}, which decides what their tensors adapt"
            raise refusal(PARAMETERS, fact, "combine adapters of the same parameters")
        config[PARAMETERS] = adapted[0]
    form = {adapter.info.form for adapter in adapters}
    header = adapters[0].info.header.items()
    return Info(
        name=" + ".join(dict.fromkeys(adapter.info.name for adapter in adapters)),
        base=named[0].info.base if named else "",
        dtype=max((adapter.info.dtype for adapter in adapters), key=DTYPES.index),
        embeddings=frozenset().union(*(adapter.info.embeddings for adapter in adapters)),
        kernels=dict(ChainMap(*(dict(adapter.info.kernels) for adapter in adapters))),
        form=form.pop() if len(form) == 1 else "",
        naming=adapters[0].info.naming,
        header={k: v for k, v in header if all(a.info.header.get(k) == v for a in adapters)},
        config=config,
        notes=(*(note for adapter in adapters for note in adapter.info.notes), *revisions),
    )

"""An adapter: a mapping from module names to factored updates, loaded when looked up."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from loratheory.arguments import shown
from loratheory.lowrank import Array, LowRank

# Storage types of adapter files, from the narrowest to the widest.
DTYPES = ("float16", "bfloat16", "float32", "float64")
Shape = tuple[int, int]
Value = TypeVar("Value")


class AdapterError(ValueError):
    """An adapter cannot be read, written or combined as asked; the message says why."""


def refusal(place: str | Path, fact: str, remedy: str) -> AdapterError:
    """Return the error for `place` (a file, folder or module): what is wrong and what to do."""
    text = f"{place}: {fact}; {remedy}"
    # A name in a hostile file must not play tricks on the terminal.
    return AdapterError("".join(mark if mark.isprintable() else " " for mark in text))


@dataclass(frozen=True)
class Info:
    """What an adapter's files say about it, other than the updates."""

    name: str = "adapter"  #: The adapter's name in messages, usually its folder.
    base: str = ""  #: ``base_model_name_or_path``, empty where unknown.
    dtype: str = "float32"  #: Storage type of the widest tensor, one of `DTYPES`.
    #: Modules that are embeddings; their updates map one-hot tokens to vectors.
    embeddings: frozenset[str] = frozenset()
    #: The keys of ``adapter_config.json`` that a merge hands on, such as `task_type`.
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  #: What in the files was not used, in sentences for the user.
    #: By module, the scale (alpha / r or alpha / sqrt(r)) that is already part of the update.
    scales: Mapping[str, float] = field(default_factory=dict)
    base_digest: str = ""  #: Of the base model's weights, as its card records; empty where unknown.

    @property
    def revision(self) -> str:
        """The revision of the base model, empty where unknown."""
        return str(self.config.get("revision") or "")


class Lazy(Mapping[str, Value]):
    """What ``load(name)`` returns for each module, such as its update, at each look-up anew.

    `shapes` has the shape of each without loading it, and the modules in order.
    """

    def __init__(self, load: Callable[[str], Value], shapes: Mapping[str, Shape]) -> None:
        self.load, self.shapes = load, shapes

    def __getitem__(self, name: str) -> Value:
        """What belongs to one module, loaded or computed now."""
        if name not in self.shapes:
            raise KeyError(name)
        return self.load(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a module; loads nothing."""
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        """Module names in order; loads nothing."""
        return iter(self.shapes)

    def __len__(self) -> int:
        """Number of modules; loads nothing."""
        return len(self.shapes)


if TYPE_CHECKING:
    Updates = Lazy[LowRank]
else:  # a run-time check of one value would load it
    Updates = Lazy


class Adapter(Updates):
    """Low-rank updates by module name, each already multiplied by its scale.

    ``adapter["model.layers.0.self_attn.q_proj"]`` is the update of that linear map, of shape
    (outputs, inputs), scaled as `lora_alpha` and rank patterns ask. An update may be read or
    computed at each look-up, so that adapters larger than memory can be processed module by module.
    Shapes are known without loading anything.

    Parameters
    ----------
    load : callable
        ``load(name)`` returns the `LowRank` update of a module; see also `of`.
    shapes : mapping
        The shape (outputs, inputs) of each module's update, in order.
    info : Info, optional
        What else is known of the adapter.

    Examples
    --------
    >>> adapter = lt.read_adapter("tests/data/persons")
    >>> adapter
    <Adapter 'tests/data/persons': updates of 60 modules>
    >>> adapter["model.layers.0.self_attn.q_proj"].rank
    4
    """

    def __init__(
        self, load: Callable[[str], LowRank], shapes: Mapping[str, Shape], info: Info | None = None
    ) -> None:
        super().__init__(load, shapes)
        self.info = info or Info()

    @classmethod
    def of(cls, modules: Mapping[str, LowRank], info: Info | None = None) -> "Adapter":
        """Return an adapter made of updates in memory."""
        shapes = {name: low.shape for name, low in modules.items()}
        return cls(modules.__getitem__, shapes, info)

    def map(self, change: Callable[[Array], Array]) -> "Adapter":
        """Return an adapter whose look-ups apply `change` to both factors, see `LowRank.map`."""
        return Adapter(lambda name: self.load(name).map(change), self.shapes, self.info)

    def __repr__(self) -> str:
        """One line; loads nothing."""
        return f"<Adapter {shown(self.info.name)}: updates of {len(self)} modules>"


# An adapter, or where `read_adapter` finds it.
AdapterOrPath = Adapter | str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Aligned:
    """Adapters that fit each other, over the union of their modules; made by `aligned`."""

    adapters: tuple[Adapter, ...]  #: In the order given; the same adapter may occur twice.
    shapes: Mapping[str, Shape]  #: All modules, in the order of first appearance.
    #: For an adapter made of all: the widest dtype, every embedding, the keys that all share.
    info: Info

    def updates(self, module: str) -> list[LowRank]:
        """Return the update of one module by each adapter, of width 0 where an adapter has none."""
        # `get` would take a KeyError of a lazy look-up for an absence.
        found = [adapter.load(module) if module in adapter else None for adapter in self.adapters]
        # Of the library, device and type of those that have the module.
        like = next(filter(None, found))
        zero = LowRank(like.up[:, :0], like.down[:0, :])
        return [low or zero for low in found]

    @property
    def report(self) -> tuple[str, ...]:
        """A sentence for each adapter that lacks modules of the others."""
        sentences = []
        for adapter in self.adapters:
            lacks = [module for module in self.shapes if module not in adapter]
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
        If there is no adapter, or two adapters disagree about a module's shape, about whether it is
        an embedding, or about base model or revision.
    """
    if not adapters:
        place = "adapters"
        raise refusal(place, "none were given", "give at least one")
    # Each module is compared with its first owner, which fixes the order as well.
    first, shapes = dict[str, Adapter](), dict[str, Shape]()
    for adapter in adapters:
        for module, shape in adapter.shapes.items():
            _check_same_kind(module, adapter, first.setdefault(module, adapter))
            shapes.setdefault(module, shape)
    infos = list(map(attrgetter("info"), adapters))
    if not any_base:
        _check_same_base(infos)
    return Aligned(tuple(adapters), shapes, _join_infos(infos))


def _check_same_kind(module: str, adapter: Adapter, other: Adapter) -> None:
    one, two, fact, place = adapter.info, other.info, "", f"module {shown(module)}"
    shape, expected = adapter.shapes[module], other.shapes[module]
    if shape != expected:
        fact = f"{two.name} changes a {expected} map, {one.name} a {shape} one"
    elif (module in one.embeddings) != (module in two.embeddings):
        fact = f"an embedding in only one of {two.name} and {one.name}"
    if fact:
        raise refusal(place, fact, "combine adapters of one base model")


def _check_same_base(infos: Sequence[Info]) -> None:
    """Refuse different base models and different revisions of one; those that name none fit any.

    Names and revisions decide only where an adapter does not record the digest of the weights.
    """
    keys = {"base model": "base", "revision of the base model": "revision"}
    for fact, key in {"digest of its base's weights": "base_digest", **keys}.items():
        named = list(filter(attrgetter(key), infos))
        for info in named:
            one, other = getattr(named[0], key), getattr(info, key)
            same_weights = named[0].base_digest and named[0].base_digest == info.base_digest
            if one != other and not same_weights:
                text = f"its {fact} is {shown(other)}, that of {named[0].name} is {shown(one)}"
                remedy = (
                    "combine adapters of one base model, or merge with any_base=True (--any-base) "
                    "if only its name differs"
                )
                raise refusal(info.name, text, remedy)


def join_dtypes(dtypes: Iterable[str]) -> str:
    """Return the narrowest type that holds the numbers of all these types."""
    every = {*dtypes}
    # Neither of the short types holds the other's numbers.
    every |= {"float32"} if every >= {"float16", "bfloat16"} else set()
    return max(every, key=DTYPES.index)


def _join_infos(infos: Sequence[Info]) -> Info:
    """What an adapter made of all of these says about itself."""
    base, config = "", dict(infos[0].config)
    embeddings, notes, transposed = frozenset[str](), list[str](), False
    for info in infos:
        base = base or info.base
        embeddings |= info.embeddings
        notes += info.notes
        if not info.base and any(other.base for other in infos):
            notes.append(
                f"{info.name} names no base model: whether it fits the others was not checked"
            )
        transposed = transposed or bool(info.config.get("fan_in_fan_out"))
        config = {key: value for key, value in config.items() if info.config.get(key) == value}
    # PEFT warns about it in modules that are not transposed, and needs it in those that are.
    if transposed:
        config["fan_in_fan_out"] = True
    dtype = join_dtypes(info.dtype for info in infos)
    name = " + ".join(dict.fromkeys(map(attrgetter("name"), infos)))
    digests = {info.base_digest for info in infos}
    digest = digests.pop() if len(digests) == 1 else ""
    return Info(name, base, dtype, embeddings, config, tuple(notes), base_digest=digest)

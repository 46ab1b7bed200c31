"""An adapter: a mapping from module names to factored updates, loaded when asked for."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loratheory.lowrank import LowRank

Shape = tuple[int, int]
if TYPE_CHECKING:
    Updates = Mapping[str, LowRank]
else:  # a run-time check of one value would load it
    Updates = Mapping[str, Any]


@dataclass(frozen=True)
class Info:
    """What a file says about an adapter beside its numbers.

    Attributes
    ----------
    name : str
        How messages call it, usually the folder.
    base : str
        ``base_model_name_or_path``, empty where unknown.
    dtype : str
        Storage type of the widest tensor: ``float16``, ``bfloat16``, ``float32`` or ``float64``.
    embeddings : frozenset of str
        Modules that are embeddings: a LowRank maps one-hot tokens to vectors there.
    config : mapping
        The remaining keys of ``adapter_config.json`` that a merge hands on, such as `task_type`,
        `target_modules` and `fan_in_fan_out`.
    notes : tuple of str
        What reading set aside, in sentences for the user.
    scales : mapping of str to float
        The scale (alpha / r or alpha / sqrt(r)) that reading folded into each update.
    """

    name: str = "adapter"
    base: str = ""
    dtype: str = "float32"
    embeddings: frozenset[str] = frozenset()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scales: Mapping[str, float] = field(default_factory=dict)


class Lazy(Updates):
    """Updates made one at a time, when looked up, and never kept: what streaming rests on.

    Parameters
    ----------
    names : tuple of str
        The module names, in order.
    make : callable
        ``make(name)`` loads or computes one update.
    """

    def __init__(self, names: tuple[str, ...], make: Callable[[str], LowRank]) -> None:
        self._names = dict.fromkeys(names)
        self._make = make

    def __getitem__(self, name: str) -> LowRank:
        """The update of one module, made now."""
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        """Whether there is such a module; makes nothing."""
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        """Module names in order; makes nothing."""
        return iter(self._names)

    def __len__(self) -> int:
        """How many modules; makes nothing."""
        return len(self._names)


@dataclass(frozen=True, eq=False)
class Adapter(Updates):
    """Low-rank updates by module name, each with its true scale folded in.

    ``adapter["model.layers.0.self_attn.q_proj"]`` is the whole update of that linear map,
    outputs × inputs, whatever `lora_alpha` and rank patterns said. Values may be `Lazy`: each is
    read or computed when looked up, so an adapter larger than memory passes through module by
    module.

    Attributes
    ----------
    modules : mapping of str to LowRank
        Eager (a dict) or lazy.
    shapes : mapping of str to (m, n)
        Shapes of all modules, known without loading any.
    info : Info
        Where it came from.
    """

    modules: Updates
    shapes: Mapping[str, Shape]
    info: Info = field(default_factory=Info)

    @classmethod
    def of(cls, modules: Mapping[str, LowRank], info: Info | None = None) -> "Adapter":
        """An adapter from updates in memory."""
        shapes = {name: low.shape for name, low in modules.items()}
        return cls(modules, shapes, info or Info())

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
        """How many modules; loads nothing."""
        return len(self.shapes)

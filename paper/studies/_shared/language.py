"""Libraries of adapters on a language model: rules of reuse act on it and questions are asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from loratheory.adapters import Adapter, merge
from loratheory.lowrank import LowRank
from loratheory.pretrained import (
    Attached,
    Model,
    attach,
    gate_blocks,
    gate_prompts,
    next_token_logits,
    route_hops,
    route_subjects,
)
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.gates import record_weights
from loratheory.pretrained.metrics import batch
from loratheory.pretrained.models import GENERIC
from loratheory.shapes import Float64
from paper.studies._shared.rules import Act, Route


@dataclass(frozen=True)
class Place:
    """A module of the network, as the place where a rule decides."""

    name: str
    layer: int
    loop: int = 0


class Library:
    """Adapters on a language model, attached when a rule first needs them.

    Attributes
    ----------
    model : Model
        The base.
    adapters : sequence of Adapter
        The adapters pair by pair, within a pair hop by hop.
    hops : int
        The number of adapters of a pair.
    """

    def __init__(self, model: Model, adapters: Sequence[Adapter], hops: int = 2) -> None:
        self.model, self.adapters, self.hops = model, adapters, hops
        self._ordinary: Mapping[str, Any] = {}
        self._router: tuple[Any, Any] = (None, None)

    @property
    def size(self) -> int:
        """Number of adapters."""
        return len(self.adapters)

    @property
    def reads(self) -> int:
        """Number of layers, each of which is one read."""
        return int(self.model.network.config.num_hidden_layers)

    def read(self, place: Place) -> int:
        """Return the number of the read to which a place belongs, which is its layer."""
        return place.layer

    @cached_property
    def attached(self) -> Attached:
        """The adapters on the model, at first with coefficients of 0."""
        return attach(self.model, self.adapters, 0.0)

    @cached_property
    def places(self) -> dict[str, Place]:
        """The modules that some adapter changes."""
        names = zip(self.attached.names, self.attached.layers.tolist(), strict=True)
        return {name: Place(name, layer) for name, layer in names}

    def listen(self) -> None:
        """Keep what the bare base feeds its maps on ordinary sentences; `ordinary` returns it."""
        self._ordinary = _bare_inputs(self.model, self.attached.names)

    def updates(self, place: Place) -> list[Sequence[LowRank]]:
        """Return the adapters' updates of a module, of the only replica."""
        return [self._updates[place.name]]

    @cached_property
    def _updates(self) -> dict[str, tuple[LowRank, ...]]:
        """Those of all modules, made once: rules ask for them module by module."""
        return self.attached.updates

    def ordinary(self, place: Place) -> list[Any]:
        """Return what the bare base feeds the module on ordinary sentences, in float32."""
        return [self._ordinary[place.name].float()]

    def merged(self, method: str, **options: Any) -> "Library":
        """Return the library of the one adapter that `merge` makes of all."""
        return self.merged_by(lambda adapters: merge(adapters, method, **options))

    def merged_by(self, make: Callable[[Sequence[Adapter]], Adapter]) -> "Library":
        """Return the library of the one adapter that `make` makes of all."""
        one = make(self.adapters)
        return Library(self.model, [Adapter.of(dict(one), one.info)], self.hops)

    def block_route(self, level: float, by: str) -> Route:
        """Return gates that switch adapters by how much each changes a whole block's output."""
        if by != "z":
            message = f"block gates by {by!r} need a small transformer: give deviations, by 'z'"
            raise ValueError(message)
        self.attached.set(1.0)
        gate_blocks(self.model, self.attached, _sentences(self.model), z=level)
        return self._lifted()

    def prompt_route(self, groups: Sequence[Sequence[int]] = ()) -> Route:
        """Return gates that let one group of adapters act on a whole prompt.

        It is that of largest mean response norm; without `groups` the pair whose first hop's
        adapter has the largest one.
        """
        pairs = [tuple(range(k, k + self.hops)) for k in range(0, self.size, self.hops)]
        heard = groups or [(pair[0],) for pair in pairs]
        gate_prompts(self.model, self.attached, _sentences(self.model), groups or pairs, heard)
        return self._lifted()

    def hop_route(self, by: Literal["divergence", "response"]) -> Route:
        """Return gates that let one adapter of each hop act, see `pretrained.route_hops`."""
        route_hops(self.model, self.attached, _sentences(self.model), self._by_hop, by=by)
        return self._lifted()

    def subject_route(self, subjects: Sequence[Sequence[str]]) -> Route:
        """Return gates that let one adapter of each hop act, see `pretrained.route_subjects`."""
        route_subjects(self.model, self.attached, self._by_hop, subjects)
        return self._lifted()

    @property
    def _by_hop(self) -> list[range]:
        """The numbers of the adapters of each hop."""
        return [range(hop, self.size, self.hops) for hop in range(self.hops)]

    def _lifted(self) -> Route:
        """Return the route that acts now, as rules call it: by place, with an axis of replicas."""
        route = self.attached.route
        assert route is not None

        def _route(place: Place, x: Any) -> Any:
            return route(place.name, x[0])[None]

        self._router = (_route, route)  # `follow` hands the router itself back, with its hooks
        return _route

    def follow(self, route: Route | None) -> None:
        """Let a rule's route weigh the adapters from now on; None takes away the one that acts."""
        if route is None:
            self.attached.follow(None)
            return
        if route is self._router[0]:
            self.attached.follow(self._router[1])
            return

        def _route(module: str, x: Any) -> Any:
            return route(self.places[module], x[None])[0]

        self.attached.follow(_route)

    def remove(self) -> None:
        """Take the adapters off, if they are on."""
        if "attached" in self.__dict__:
            self.attached.remove()


def _sentences(model: Model) -> list[Any]:
    return [batch(model, [text]) for text in GENERIC]


@lru_cache(maxsize=1)
def _bare_inputs(model: Model, modules: tuple[str, ...]) -> Mapping[str, Any]:
    """What the base feeds these maps on ordinary sentences, kept for the next library on it.

    No adapter but those of the asking library, which are off, may be on the model meanwhile.
    """
    return collect_inputs(model, _sentences(model), modules)


@contextmanager
def acting(
    model: Model, adapters: Sequence[Adapter], act: Act, pair: int = 0
) -> Iterator[Attached]:
    """Let a rule of reuse act on a model until the context ends; yield the reuse that acts.

    The adapters come pair by pair, within a pair hop 1 first. `pair` is the pair that the questions
    need, for rules that must know it.
    """
    library = Library(model, adapters)
    used = library
    try:
        reuse = act(library)
        used = reuse.library
        used.attached.coefficients[...] = [reuse.shares(p, pair) for p in used.places.values()]
        used.follow(reuse.route)
        yield used.attached
    finally:
        used.remove()
        library.remove()


def depth(model: Model) -> int:
    """Return the number of layers of a model."""
    return int(model.network.config.num_hidden_layers)


def mean_weights(
    model: Model, acts: Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, " adapters"]:
    """Return each adapter's mean weight in a route, over tokens, prompts and modules.

    Only the last pass of a prompt through a module counts, not the earlier ones by which gates
    decide, and coefficients are left out. Prompts are passed one by one, so that there is no
    padding. The route stays in place.
    """
    seen = list[Float64[np.ndarray, "tokens adapters"]]()
    with record_weights(acts) as last:
        for prompt in prompts:
            next_token_logits(model, [prompt])
            seen += [weights.double().cpu().numpy() for weights in last.values()]
            last.clear()
    return np.concatenate(seen).mean(0)

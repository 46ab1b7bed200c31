"""A library of adapters on a language model, as the rules of reuse see it, while it acts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

from loratheory.adapters import Adapter, merge
from loratheory.experiments.bench.rules import Act, Route
from loratheory.lowrank import LowRank
from loratheory.pretrained import (
    GENERIC,
    Attached,
    Model,
    attached,
    batch,
    block_gates,
    inputs,
    prompt_gates,
)

Way = Callable[[Model, Sequence[Adapter]], AbstractContextManager[Attached]]
"""Puts a library on a model, hop 1 and hop 2 in turn, until the context ends."""


@dataclass(frozen=True)
class Place:
    """A module of the network."""

    name: str
    layer: int
    loop: int = 0


class Library:
    """Adapters on a language model: one replica, put on when a rule first looks at it.

    Attributes
    ----------
    model : Model
        The base.
    adapters : sequence of Adapter
        Of hop 1 and hop 2 of each pair in turn.
    hops : int
        How many make a pair.
    """

    def __init__(self, model: Model, adapters: Sequence[Adapter], hops: int = 2) -> None:
        self.model, self.adapters, self.hops = model, adapters, hops
        self._ordinary: Mapping[str, Any] = {}

    @property
    def size(self) -> int:
        """How many adapters."""
        return len(self.adapters)

    @property
    def reads(self) -> int:
        """How many layers there are."""
        return int(self.model.network.config.num_hidden_layers)

    def read(self, place: Place) -> int:
        """Which layer this is."""
        return place.layer

    @cached_property
    def attached(self) -> Attached:
        """The adapters on the model, silent at first."""
        return attached(self.model, self.adapters, 0.0)

    @cached_property
    def places(self) -> dict[str, Place]:
        """The modules that some adapter changes."""
        names = zip(self.attached.names, self.attached.layers.tolist(), strict=True)
        return {name: Place(name, layer) for name, layer in names}

    def listen(self) -> None:
        """Pass ordinary sentences through the bare base, while the adapters are silent."""
        self._ordinary = inputs(self.model, self._sentences, self.attached.names)

    @property
    def _sentences(self) -> list[Any]:
        return [batch(self.model, [text]) for text in GENERIC]

    def updates(self, place: Place) -> list[Sequence[LowRank]]:
        """Return the adapters' updates of a module, of the only replica."""
        return [self.attached.updates[place.name]]

    def ordinary(self, place: Place) -> list[Any]:
        """Return what the bare base feeds the module on ordinary sentences."""
        return [self._ordinary[place.name]]

    def merged(self, method: str, **options: Any) -> "Library":
        """Return the library of the one adapter that `merge` makes of all."""
        one = merge(self.adapters, method, **options)
        return Library(self.model, [Adapter.of(dict(one), one.info)], self.hops)

    def block_route(self, level: float, by: str) -> Route:
        """Each adapter on or off by how much it changes a whole block's output."""
        if by != "z":
            message = f"block gates by {by!r} need a small transformer: give deviations, by 'z'"
            raise ValueError(message)
        self.attached.set(1.0)
        block_gates(self.model, self.attached, self._sentences, z=level)
        return self._lifted()

    def prompt_route(self) -> Route:
        """One pair on for a whole prompt: that whose first hop has the largest response norm."""
        pairs = [tuple(range(k, k + self.hops)) for k in range(0, self.size, self.hops)]
        first = [(pair[0],) for pair in pairs]
        prompt_gates(self.model, self.attached, self._sentences, pairs, first)
        return self._lifted()

    def _lifted(self) -> Route:
        """The route that acts now, as rules have it."""
        route = self.attached.route
        assert route is not None

        @wraps(route)
        def _route(place: Place, x: Any) -> Any:
            return route(place.name, x[0])[None]

        return _route

    def follow(self, route: Route | None) -> None:
        """Let a rule's route weigh the adapters from now on."""
        if route is None:
            self.attached.follow(None)
            return

        @wraps(route)
        def _route(module: str, x: Any) -> Any:
            return route(self.places[module], x[None])[0]

        self.attached.follow(_route)

    def remove(self) -> None:
        """Take the adapters off, if they are on."""
        if "attached" in self.__dict__:
            self.attached.remove()


def way(act: Act, pair: int = 0) -> Way:
    """Return a rule of reuse as a context: while it lasts, the library acts on the model.

    Parameters
    ----------
    act : callable
        The rule.
    pair : int
        Which pair is asked, for rules that have to know.
    """

    @contextmanager
    def _acting(model: Model, adapters: Sequence[Adapter]) -> Iterator[Attached]:
        library = Library(model, adapters)
        acting = library
        try:
            reuse = act(library)
            acting = reuse.library
            shares = [reuse.shares(place, pair) for place in acting.places.values()]
            acting.attached.coefficients[...] = shares
            acting.follow(reuse.route)
            yield acting.attached
        finally:
            acting.remove()
            library.remove()

    return _acting

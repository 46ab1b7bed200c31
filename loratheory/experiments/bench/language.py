"""A language model on the bench: questions, adapters trained once, and rules that act on it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any

import numpy as np

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
    first_tokens,
    inputs,
    next_logits,
    prompt_gates,
)
from loratheory.shapes import Bool, Float, Float64

Items = Sequence[tuple[str, str]]
"""Prompts, and the word that should follow each."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answers to some questions.

    Attributes
    ----------
    right, vocabulary_right : (questions,) array of bool
        Whether the right word has the largest logit of the candidates; of the whole vocabulary.
    words : tuple of str
        The candidate of largest logit.
    tokens : (questions,) array of int
        The token of largest logit.
    confidence : (questions,) array
        Its probability, which needs no labels.
    """

    right: Bool[np.ndarray, " questions"]
    vocabulary_right: Bool[np.ndarray, " questions"]
    words: tuple[str, ...]
    tokens: Any
    confidence: Float[np.ndarray, " questions"]


def answers(model: Model, questions: Items) -> Answers:
    """Return what a model answers, with whatever acts on it; candidates are the right answers.

    Their first tokens have to differ. Costs a forward pass a question.
    """
    words = list(dict.fromkeys(word for _, word in questions))
    tokens = first_tokens(model, words)
    wanted = first_tokens(model, [word for _, word in questions])
    logits = next_logits(model, [prompt for prompt, _ in questions])
    best, largest = logits[:, tokens].argmax(1), logits.argmax(1)
    return Answers(
        (tokens[best] == wanted).numpy(),
        (largest == wanted).numpy(),
        tuple(words[i] for i in best.tolist()),
        largest.numpy(),
        logits.softmax(1).amax(1).double().numpy(),
    )


def accuracy(model: Model, questions: Items) -> float:
    """Return the share of questions whose right answer has the largest logit of all answers."""
    return float(answers(model, questions).right.mean())


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

    @property
    def _sentences(self) -> list[Any]:
        return [batch(self.model, [text]) for text in GENERIC]

    def listen(self) -> None:
        """Pass ordinary sentences through the bare base, while the adapters are silent."""
        self._ordinary = inputs(self.model, self._sentences, self.attached.names)

    def updates(self, place: Place) -> list[Sequence[LowRank]]:
        """Return the adapters' updates of a module, of the only replica."""
        return [self.attached.updates[place.name]]

    def ordinary(self, place: Place) -> list[Any]:
        """Return what the bare base feeds the module on ordinary sentences, in float32."""
        return [self._ordinary[place.name].float()]

    def merged(self, method: str, **options: Any) -> "Library":
        """Return the library of the one adapter that `merge` makes of all."""
        return self.merged_by(lambda adapters: merge(adapters, method, **options))

    def merged_by(self, make: Callable[[Sequence[Adapter]], Adapter]) -> "Library":
        """Return the library of the one adapter that is made of all."""
        one = make(self.adapters)
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
        """The route that acts now, as rules have it: by place, with an axis of replicas."""
        route = self.attached.route
        assert route is not None

        @wraps(route)  # `pretrained` marks routes that look at a prompt before they answer
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


@contextmanager
def acting(
    model: Model, adapters: Sequence[Adapter], act: Act, pair: int = 0
) -> Iterator[Attached]:
    """Let a rule of reuse act on a model until the context ends.

    The adapters are those of hop 1 and hop 2 of each pair in turn, and `pair` says which pair is
    asked, for rules that have to know. Yields what acts.
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


def mean_weights(
    model: Model, acts: Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, " adapters"]:
    """Return the mean weight that a route gives each adapter, over tokens, prompts and modules.

    Counted is the last time that a prompt passes a module, not what gates try before; coefficients
    do not count. Prompts are passed one by one, for padding is no token. The route stays.
    """
    route, seen = acts.route, list[Float64[np.ndarray, "tokens adapters"]]()
    assert route is not None
    last: dict[str, Float64[np.ndarray, "tokens adapters"]] = {}

    @wraps(route)
    def _watched(module: str, x: Any) -> Any:
        weights = route(module, x)
        last[module] = weights.double().cpu().numpy()
        return weights

    acts.follow(_watched)
    try:
        for prompt in prompts:
            next_logits(model, [prompt])
            seen += last.values()
            last.clear()
    finally:
        acts.follow(route)
    return np.concatenate(seen).mean(0)

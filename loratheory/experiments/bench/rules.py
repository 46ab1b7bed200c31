r"""Rules of reuse: every way to let a library of adapters act on a model, each written once.

A rule sees a `Library` and returns a `Reuse`: shares by place, weights by token, or a library of
one merged adapter. It knows nothing of the model. Small transformers (`bench.library`), word
problems on them and language models (`bench.language`) are libraries alike: the output of a linear
map at a place becomes :math:`Wx + \sum_j s_j w_j(x) \Delta_j x`, with shares :math:`s_j` that do
not look at tokens and weights :math:`w_j(x)` that do.

`RULES` is the one table of them: the name in tables, the label in figures, what the rule needs to
know. Adapters are in order of pairs, and of hops within a pair: adapter ``k`` is that of hop
``k % hops`` of pair ``k // hops``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import numpy as np

from loratheory.adapters import (
    Router,
    Scores,
    arrow_scores,
    calibrate,
    calibrate_z,
    response_scores,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import LowRank, array_namespace, device

Route = Callable[[Any, Any], Any]
"""``route(place, x)``: weights (replicas, tokens, adapters) for inputs (replicas, tokens, n)."""


class Library(Protocol):
    """Adapters on a model, as rules see them; a language model is one replica.

    There are `size` adapters, `hops` of them make a pair, and a pass has `reads`: layers times
    loops. A place is a linear map at work, with the `name` of its weight, its `layer` (-1 for none)
    and the `loop`: how often the model has been passed before.
    """

    size: int
    hops: int
    reads: int

    def read(self, place: Any) -> int:
        """Which of the reads this place belongs to."""

    def updates(self, place: Any) -> Sequence[Sequence[LowRank]] | None:
        """Of each replica the adapters' updates there; None where no adapter acts."""

    def listen(self) -> None:
        """Pass ordinary tokens through the bare base, before anything acts."""

    def ordinary(self, place: Any) -> Sequence[Any]:
        """Of each replica what the bare base feeds the map on ordinary tokens, (tokens, n)."""

    def merged(self, method: str, **options: Any) -> "Library":
        """The library of the one adapter that `loratheory.adapters.merge` makes of all."""

    def block_route(self, level: float, by: str) -> Route:
        """Each adapter on or off by how much it changes a whole block's output."""

    def prompt_route(self) -> Route:
        """One pair on for a whole prompt: that whose first hop has the largest response norm."""


@dataclass(frozen=True, eq=False)
class Reuse:
    """What a rule makes of a library.

    Attributes
    ----------
    library : Library
        Whose adapters act.
    shares : callable
        ``shares(place, pair)``: a number for each adapter when the questions of a pair are asked.
    route : callable or None
        Weights by token on top, see `Route`.
    passes : str
        ``one``, ``hop by hop`` (each hop's answer is put into the next question) or ``second pass``
        (states of a first pass take the place of embeddings).
    """

    library: Any
    shares: Callable[[Any, int], Sequence[float | int]]
    route: Route | None = None
    passes: str = "one"


Act = Callable[[Any], Reuse]
"""A rule with all its options: from a library to what acts."""


def coefficients(*each: float | int) -> Act:
    """Return the rule in which the adapters of each hop act times its number; one serves all."""
    return lambda library: Reuse(
        library, lambda *_: [each[k % len(each)] for k in range(library.size)]
    )


def mean(library: Any) -> Reuse:
    """Return the uniform average of all adapters."""
    return coefficients(1 / library.size)(library)


def _of_pair(test: Callable[[Any, Any, int], bool]) -> Act:
    """The adapters of the pair that is asked, where ``test(library, place, hop)`` lets them."""

    def _reuse(library: Any) -> Reuse:
        def _shares(place: Any, pair: int) -> list[float]:
            numbers = (divmod(k, library.hops) for k in range(library.size))
            return [float(owner == pair and test(library, place, hop)) for owner, hop in numbers]

        return Reuse(library, _shares)

    return _reuse


pair_alone = _of_pair(lambda *_: True)
"""The rule that uses the adapters of the pair that is asked and no other."""


def alone(hop: int) -> Act:
    """Return the rule that uses the adapter of one hop of the pair that is asked."""
    return _of_pair(lambda _, __, mine: mine == hop)


def placed(*reads: Sequence[int]) -> Act:
    """Return the rule in which the asked pair's adapter of hop ``j`` acts in ``reads[j]`` only."""
    return _of_pair(lambda library, place, hop: library.read(place) in reads[hop])


def oracle_placement(library: Any, *, backwards: bool = False) -> Reuse:
    """Return the right adapter in each read: the first hop in the first, the last in the last."""
    last, steps = library.reads - 1, max(library.hops - 1, 1)
    reads = [[round(hop * last / steps)] for hop in range(library.hops)]
    return placed(*(reads[::-1] if backwards else reads))(library)


def layer_split(
    layer: int, first: str = "below", second: str = "above", of: Act | None = None
) -> Act:
    """Return a rule in which adapters of each hop act in one half of the layers only.

    `layer` is the first of the upper half; `first` and `second` hops act ``below``, ``above``, in
    ``all`` or in ``none``; the rule `of` is split, the sum where not given.
    """

    def _split(library: Any) -> Reuse:
        split = (of or coefficients(1.0))(library)

        def _shares(place: Any, pair: int) -> list[float]:
            low = place.layer < layer
            acts = {"below": low, "above": not low, "all": True, "none": False}
            halves = [acts[(first, second)[k % 2]] for k in range(library.size)]
            return [c * on for c, on in zip(split.shares(place, pair), halves, strict=True)]

        return replace(split, shares=_shares)

    return _split


def merged(method: str, **options: Any) -> Act:
    """Return the rule in which one adapter acts that `loratheory.adapters.merge` makes of all."""
    return lambda library: Reuse(library.merged(method, **options), lambda *_: [1.0])


def everything(library: Any, route: Route) -> Reuse:
    """Return all adapters, weighed by tokens alone."""
    return Reuse(library, lambda *_: [1.0] * library.size, route)


def routed(decide: Callable[[Sequence[LowRank], Any], Any], *, ordinary: bool = True) -> Act:
    """Return a rule that decides at every token and place how much each adapter counts.

    ``decide(updates, x)`` makes what weighs adapters, a `Router` or `Gates`, for the updates of one
    map from what the bare base feeds it there on ordinary tokens; these cost a pass of the base,
    unless `ordinary` is false.
    """

    def _routed(library: Any) -> Reuse:
        if ordinary:
            library.listen()
        ready: dict[Any, list[Any]] = {}  # deciders by place, one a replica

        def _route(place: Any, x: Any) -> Any:
            if place not in ready:
                updates = library.updates(place)
                if updates is None:
                    return None
                seen = library.ordinary(place) if ordinary else [None] * len(updates)
                ready[place] = [decide(*one) for one in zip(updates, seen, strict=True)]
            weights = [one.weights(x[e]) for e, one in enumerate(ready[place])]
            return array_namespace(x).stack(weights)

        return everything(library, _route)

    return _routed


def block_gates(level: float | int = 2.0, by: Literal["z", "rate"] = "z") -> Act:
    """Return the rule that switches adapters by their response at the end of a block.

    By ``z`` at `level` deviations above the mean response to ordinary tokens; by ``rate`` at the
    share of these at which one adapter may be on.
    """
    return lambda library: everything(library, library.block_route(float(level), by))


def prompt_gates(library: Any) -> Reuse:
    """Return the rule in which one pair acts a prompt, that with the largest response norm."""
    return everything(library, library.prompt_route())


def in_passes(passes: str, of: Act) -> Act:
    """Return the rule, its questions answered in more than one pass, see `Reuse`."""
    return lambda library: replace(of(library), passes=passes)


def in_turn(ask: Callable[[Any], Any], steps: Sequence[Callable[[Any], Any]]) -> list[Any]:
    """Return the answers to steps asked one after another: what hop by hop means.

    Each step makes its question from the answer before, the first one from None.
    """
    answers: list[Any] = []
    for step in steps:
        answers.append(ask(step(answers[-1] if answers else None)))
    return answers


STEPS = 15  # of power iteration, as in PEFT


def power_scores(updates: Sequence[LowRank], seed: int = 0) -> Scores:
    """Return Arrow's scores with prototypes from a few power iterations, from a random start."""
    xp, where = array_namespace(updates[0].up), device(updates[0].up)
    rng, codes = np.random.default_rng([seed, 7]), []
    for low in updates:
        start = rng.standard_normal(low.shape[1])
        v = xp.asarray(start, dtype=low.down.dtype, device=where)
        for _ in range(STEPS):
            v = low.down.T @ (low.up.T @ (low.up @ (low.down @ v)))
            norm = xp.linalg.vector_norm(v)
            v = v / xp.where(norm > 0, norm, xp.ones_like(norm))  # an adapter may lack the map
        codes.append(v)
    count, kept = len(updates), updates[0].down.dtype
    return Scores(
        codes=xp.stack(codes),
        owner=xp.arange(count, device=where),
        shift=xp.zeros(count, dtype=kept, device=where),
        spread=xp.ones(count, dtype=kept, device=where),
    )


def router(scores: Callable[..., Scores], *, soft: int | None = 1, temperature: float = 1.0) -> Act:
    """Return the rule that shares one unit among the best adapters of each token by softmax.

    `scores` says from the updates of a map how well each adapter fits a token; `soft` among how
    many at most it is shared, None for all.
    """

    def _router(updates: Sequence[LowRank], _: Any) -> Router:
        best = min(soft or len(updates), len(updates))
        return Router(scores(updates), best, temperature)

    return routed(_router, ordinary=False)


TOKENS = "ordinary inputs"


@dataclass(frozen=True)
class Rule:
    """One row of the table of rules: its `name` in tables, its `label` in figures, the rule.

    `act` has the usual options, `make` takes others, where it has any. Beside the adapters it
    `needs` to know nothing, ``ordinary inputs``, ``pair`` (which adapters the question needs),
    ``order`` (which is read first) or ``steps`` (the question taken apart).
    """

    name: str
    act: Act
    needs: str = ""
    make: Callable[..., Act] | None = None
    label: str = ""


def gates(budget: float = 0.3) -> Act:
    """Return the gates on single maps that allow so many false alarms a token."""
    return routed(partial(calibrate, budget=budget))


def gates_z(z: float | int = 2) -> Act:
    """Return the gates on single maps that open this many deviations above the mean response."""
    return routed(lambda updates, x: calibrate_z(updates, x, z=z))


def _standardised(updates: Sequence[LowRank], x: Any) -> Router:
    return Router(standardised(response_scores(updates), x))


def _merged(name: str, label: str, method: str, *, space: str = "full", **usual: Any) -> Rule:
    make = partial(merged, method, space=space)
    return Rule(name, make(**usual), make=make, label=label)


_ROWS = (
    Rule("base", coefficients(0.0)),
    Rule("hop 1 alone", alone(0), "pair"),
    Rule("hop 2 alone", alone(1), "pair"),
    Rule("pair alone", pair_alone, "pair", label="the right pair alone"),
    Rule("mean", mean),
    Rule("half the sum", coefficients(0.5)),
    Rule("sum", coefficients(1.0), make=coefficients),
    _merged("ties", "TIES", "ties", density=0.3, rank=1024),
    _merged("dare", "DARE", "dare", density=0.3, rank=1024),
    _merged("knots", "KnOTS", "ties", density=0.3, space="knots"),
    _merged("interpolating", "interpolating merge", "interpolate"),
    Rule("uniform", router(arrow_scores, soft=None, temperature=1e9), label="uniform weights"),
    Rule("arrow", router(arrow_scores), label="Arrow"),
    Rule("arrow, power", router(power_scores), label="Arrow by power iteration"),
    Rule("arrow, peft", router(power_scores, soft=3), label="Arrow, by PEFT"),
    Rule("subspace", router(subspace_scores)),
    Rule("norm", router(response_scores), label="largest norm"),
    Rule("norm, soft", router(response_scores, soft=None), label="softmax over norms"),
    Rule("norm, z", routed(_standardised), TOKENS, label="largest z-scored norm"),
    Rule("gates", gates(), TOKENS, gates, "gates on maps"),
    Rule("gates, z = 2", gates_z(), TOKENS, gates_z, "gates on maps, z = 2"),
    Rule("block gates, z = 0", block_gates(0.0), TOKENS),
    Rule("block gates, z = 2", block_gates(2.0), TOKENS, block_gates, "block gates"),
    Rule("block gates, z = 3", block_gates(3.0), TOKENS),
    Rule("block gates, rate .04", block_gates(0.04, "rate"), TOKENS),
    Rule("largest response norm", prompt_gates, f"{TOKENS}, order"),
    Rule("oracle placement", oracle_placement, "pair, order"),
    Rule("reversed placement", partial(oracle_placement, backwards=True), "pair, order"),
    Rule("mean, hop by hop", in_passes("hop by hop", mean), "steps"),
    Rule("sum, hop by hop", in_passes("hop by hop", coefficients(1.0)), "steps"),
    Rule("base, hop by hop", in_passes("hop by hop", coefficients(0.0)), "steps"),
    Rule("sum, second pass", in_passes("second pass", coefficients(1.0))),
    Rule("base, second pass", in_passes("second pass", coefficients(0.0))),
)
RULES: Mapping[str, Rule] = {row.name: replace(row, label=row.label or row.name) for row in _ROWS}
"""Every rule by its name in tables."""


def rule(name: str, **options: Any) -> Act:
    """Return a rule of `RULES`, with other options, as its `make` takes them, where given.

    KeyError if there is no such rule, or it has no options.
    """
    if name not in RULES:
        message = f"there is no rule {name!r}: choose among {', '.join(RULES)}"
        raise KeyError(message)
    act, make = RULES[name].act, RULES[name].make
    if options and make is None:
        message = f"the rule {name!r} has no options, and was given {', '.join(options)}"
        raise KeyError(message)
    return make(**options) if options and make else act

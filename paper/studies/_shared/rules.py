r"""Rules of reuse: every way to let a library of adapters act on a model, independent of the model.

A rule is a function from a `Library` to a `Reuse`, which holds shares by place, weights by token,
or a library of one merged adapter. Small transformers (`library`) and language models
(`language`) both implement `Library`. The output of a linear map at a place becomes
:math:`Wx + \sum_j s_j w_j(x) \Delta_j x`, where the shares :math:`s_j` do not depend on the token
and the weights :math:`w_j(x)` do.

`RULES` lists all rules, with their names in tables, their labels in figures and what they need to
know. Adapters are ordered by pair, and within a pair by hop: adapter ``k`` is that of hop
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
    response_norms,
    standardised,
    subspace_scores,
)
from loratheory.lowrank import LowRank, array_namespace, device

Route = Callable[[Any, Any], Any]
"""``route(place, x)``: weights (replicas, tokens, adapters) for inputs (replicas, tokens, n)."""


class Library(Protocol):
    """Adapters on a model, as rules see them.

    There are `size` adapters, of which `hops` in a row make a pair; a forward pass reads its layers
    `reads` times, layers times loops. A place is one use of a linear map: it has the `name` of the
    weight, its `layer` (-1 if it is in none) and the number of the `loop`. Replicas are models that
    run side by side; a language model is a single replica.
    """

    size: int
    hops: int
    reads: int

    def read(self, place: Any) -> int:
        """Return the number of the read to which a place belongs."""

    def updates(self, place: Any) -> Sequence[Sequence[LowRank]] | None:
        """Return each replica's updates at a place; None where no adapter has one."""

    def listen(self) -> None:
        """Run ordinary tokens through the base without adapters and keep the maps' inputs."""

    def ordinary(self, place: Any) -> Sequence[Any]:
        """Return, for each replica, the map's inputs (tokens, n) on ordinary tokens."""

    def merged(self, method: str, **options: Any) -> "Library":
        """Return a library of one adapter, into which `loratheory.adapters.merge` merges all."""

    def block_route(self, level: float, by: str) -> Route:
        """Return gates that switch adapters by how much each changes a whole block's output."""

    def prompt_route(self) -> Route:
        """Return gates that let one pair act on a prompt: the one of largest response norm."""


@dataclass(frozen=True, eq=False)
class Reuse:
    """The result of a rule: which adapters act where, with which weights, in which passes.

    Attributes
    ----------
    library : Library
        The library whose adapters act.
    shares : callable
        ``shares(place, pair)`` returns a coefficient for each adapter where a pair is asked.
    route : callable or None
        Weights by token (see `Route`), by which the shares are multiplied.
    passes : str
        ``one``, ``hop by hop`` (each hop's answer is put into the next question) or ``second pass``
        (states of a first pass take the place of embeddings).
    """

    library: Any
    shares: Callable[[Any, int], Sequence[float | int]]
    route: Route | None = None
    passes: str = "one"


Act = Callable[[Any], Reuse]
"""A rule with its options fixed: a function from a library to a `Reuse`."""


def coefficients(*each: float | int) -> Act:
    """Return the rule that multiplies adapters by a coefficient: one for all, or one per hop."""
    return lambda library: Reuse(
        library, lambda *_: [each[k % len(each)] for k in range(library.size)]
    )


def mean(library: Any) -> Reuse:
    """Apply the rule that averages all adapters."""
    return coefficients(1 / library.size)(library)


def _of_pair(test: Callable[[Any, Any, int], bool]) -> Act:
    """Return the rule that uses the adapters of the pair that is asked, and no other.

    An adapter acts at the places where ``test(library, place, hop)`` is true of its hop.
    """

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
    """Return the rule that lets the asked pair's adapter of hop ``j`` act only in ``reads[j]``."""
    return _of_pair(lambda library, place, hop: library.read(place) in reads[hop])


def oracle_placement(library: Any, *, backwards: bool = False) -> Reuse:
    """Apply the rule that lets the right adapter act in each read: hop 1's in the first, etc."""
    last, steps = library.reads - 1, max(library.hops - 1, 1)
    reads = [[round(hop * last / steps)] for hop in range(library.hops)]
    return placed(*(reads[::-1] if backwards else reads))(library)


def layer_split(
    layer: int, first: str = "below", second: str = "above", of: Act | None = None
) -> Act:
    """Return a rule that lets the adapters of each hop act only below or only above a layer.

    `layer` is the lowest of the upper part. `first` and `second` say for each hop whether its
    adapters act ``below`` it, ``above`` (including it), in ``all`` layers or in ``none``. Otherwise
    the rule is `of`, by default the sum.
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
    """Return the rule that merges all adapters into one by `loratheory.adapters.merge`."""
    return lambda library: Reuse(library.merged(method, **options), lambda *_: [1.0])


def everything(library: Any, route: Route) -> Reuse:
    """Return the reuse in which a route alone weighs all adapters."""
    return Reuse(library, lambda *_: [1.0] * library.size, route)


def routed(decide: Callable[[Sequence[LowRank], Any], Any], *, ordinary: bool = True) -> Act:
    """Return a rule that weighs the adapters anew at every token and place.

    ``decide(updates, x)`` returns a `Router` or `Gates` for the updates of one map, where `x` holds
    the map's inputs on ordinary tokens in the base. To collect these costs one pass of the base; if
    `ordinary` is false, `x` is None instead.
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
    """Return the rule that switches adapters by how much each changes a whole block's output.

    By ``z`` an adapter is on if its response exceeds its mean over ordinary tokens by `level`
    standard deviations; by ``rate`` the threshold is such that it is on at a share `level` of them.
    """
    return lambda library: everything(library, library.block_route(float(level), by))


def prompt_gates(library: Any) -> Reuse:
    """Apply the rule that lets one pair act on a whole prompt: that of largest response norm."""
    return everything(library, library.prompt_route())


def in_passes(passes: str, of: Act) -> Act:
    """Return the rule `of` with its questions answered in several passes, see `Reuse.passes`."""
    return lambda library: replace(of(library), passes=passes)


def in_turn(ask: Callable[[Any], Any], steps: Sequence[Callable[[Any], Any]]) -> list[Any]:
    """Ask steps one after another (hop by hop) and return the answers.

    Each step is a function from the previous answer, None for the first, to the next question.
    """
    answers: list[Any] = []
    for step in steps:
        answers.append(ask(step(answers[-1] if answers else None)))
    return answers


STEPS = 15  # of power iteration, as in PEFT


def power_scores(updates: Sequence[LowRank], seed: int = 0) -> Scores:
    """Return Arrow's scores, with singular vectors approximated by a few power iterations."""
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
    """Return the rule that weighs the best adapters of each token by a softmax of their scores.

    `scores` is a function of a map's updates, whose result scores each adapter at a token; `soft`
    is the largest number of adapters with a weight, None for all.
    """

    def _router(updates: Sequence[LowRank], _: Any) -> Router:
        best = min(soft or len(updates), len(updates))
        return Router(scores(updates), best, temperature)

    return routed(_router, ordinary=False)


TOKENS = "ordinary inputs"


@dataclass(frozen=True)
class Rule:
    """A row of `RULES`: a rule with its `name` in tables and its `label` in figures.

    `act` is the rule with its default options; `make`, for a rule that has options, returns it with
    others. `needs` says what it must know besides the adapters: nothing, ``ordinary inputs``,
    ``pair`` (which adapters the question needs), ``order`` (which of them is read first) or
    ``steps`` (the question taken apart).
    """

    name: str
    act: Act
    needs: str = ""
    make: Callable[..., Act] | None = None
    label: str = ""


def gates(budget: float = 0.3) -> Act:
    """Return the rule of gates on single maps with `budget` expected false alarms a token."""
    return routed(partial(calibrate, budget=budget))


def gates_z(z: float | int = 2) -> Act:
    """Return the rule of gates on maps that open `z` deviations above the mean response."""
    return routed(lambda updates, x: calibrate_z(updates, x, z=z))


def _standardised(updates: Sequence[LowRank], x: Any) -> Router:
    return Router(standardised(response_norms(updates), x))


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
    Rule("norm", router(response_norms), label="largest norm"),
    Rule("norm, soft", router(response_norms, soft=None), label="softmax over norms"),
    Rule("norm, z", routed(_standardised), TOKENS, label="largest z-scored norm"),
    Rule("gates", gates(), TOKENS, gates, "per-matrix gating"),
    Rule("gates, z = 2", gates_z(), TOKENS, gates_z, "per-matrix gating, z = 2"),
    Rule("block gates, z = 0", block_gates(0.0), TOKENS),
    Rule("block gates, z = 2", block_gates(2.0), TOKENS, block_gates, "per-block gating"),
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
    """Return the rule of `RULES` with this name; options, if given, are passed to its `make`.

    KeyError if there is no such rule, or options are given for a rule without any.
    """
    if name not in RULES:
        message = f"there is no rule {name!r}: choose among {', '.join(RULES)}"
        raise KeyError(message)
    act, make = RULES[name].act, RULES[name].make
    if options and make is None:
        message = f"the rule {name!r} has no options, and was given {', '.join(options)}"
        raise KeyError(message)
    return make(**options) if options and make else act

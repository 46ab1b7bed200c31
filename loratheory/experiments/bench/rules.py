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


class Place(Protocol):
    """A linear map at work: which one, in which layer, in which loop."""

    @property
    def name(self) -> str:
        """Of the weight."""

    @property
    def layer(self) -> int:
        """Its number, -1 for none."""

    @property
    def loop(self) -> int:
        """How often the model has been passed before; 0 in models without a loop."""


Route = Callable[[Any, Any], Any]
"""``route(place, x)``: weights (replicas, tokens, adapters) for inputs (replicas, tokens, n)."""


class Library(Protocol):
    """Adapters on a model, as rules see them; a language model is one replica."""

    @property
    def size(self) -> int:
        """How many adapters."""

    @property
    def hops(self) -> int:
        """How many adapters make a pair, one for each hop of a question."""

    @property
    def reads(self) -> int:
        """How often a pass reads its weights: layers times loops."""

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


def _of_pair(library: Any, test: Callable[[Any, int], bool]) -> Reuse:
    """The adapters of the pair that is asked, where the test lets the place and the hop pass."""

    def _shares(place: Any, pair: int) -> list[float]:
        numbers = (divmod(k, library.hops) for k in range(library.size))
        return [float(owner == pair and test(place, hop)) for owner, hop in numbers]

    return Reuse(library, _shares)


def pair_alone(library: Any) -> Reuse:
    """Return the adapters of the pair that is asked and no other."""
    return _of_pair(library, lambda *_: True)


def alone(hop: int) -> Act:
    """Return the rule that uses the adapter of one hop of the pair that is asked."""
    return lambda library: _of_pair(library, lambda _, mine: mine == hop)


def placed(*reads: Sequence[int]) -> Act:
    """Return the rule in which the asked pair's adapter of hop ``j`` acts in ``reads[j]`` only."""
    return lambda library: _of_pair(library, lambda place, hop: library.read(place) in reads[hop])


def oracle_placement(library: Any, *, backwards: bool = False) -> Reuse:
    """Return the right adapter in each read: the first hop in the first, the last in the last."""
    last, steps = library.reads - 1, max(library.hops - 1, 1)
    reads = [[round(hop * last / steps)] for hop in range(library.hops)]
    return placed(*(reads[::-1] if backwards else reads))(library)


def layer_split(
    layer: int, first: str = "below", second: str = "above", of: Act | None = None
) -> Act:
    """Return a rule in which adapters of each hop act in one half of the layers only.

    Parameters
    ----------
    layer : int
        The first of the upper half.
    first, second : str
        Where first hops act, and second hops: ``below``, ``above``, ``all`` or ``none``.
    of : callable, optional
        The rule that is split; the sum where not given.
    """

    def _split(library: Any) -> Reuse:
        whole = (of or coefficients(1.0))(library)

        def _shares(place: Any, pair: int) -> list[float]:
            low = place.layer < layer
            acts = {"below": low, "above": not low, "all": True, "none": False}
            halves = [acts[(first, second)[k % 2]] for k in range(library.size)]
            return [c * on for c, on in zip(whole.shares(place, pair), halves, strict=True)]

        return replace(whole, shares=_shares)

    return _split


def merged(method: str, **options: Any) -> Act:
    """Return the rule in which one adapter acts that `loratheory.adapters.merge` makes of all."""
    return lambda library: Reuse(library.merged(method, **options), lambda *_: [1.0])


def everything(library: Any, route: Route) -> Reuse:
    """Return all adapters, weighed by tokens alone."""
    return Reuse(library, lambda *_: [1.0] * library.size, route)


def routed(decide: Callable[[Sequence[LowRank], Any], Any], *, ordinary: bool = True) -> Act:
    """Return a rule that decides at every token and place how much each adapter counts.

    Parameters
    ----------
    decide : callable
        ``decide(updates, x)``: what weighs adapters, a `Router` or `Gates`, for the updates of one
        map from what the bare base feeds it there on ordinary tokens.
    ordinary : bool
        Whether it looks at these tokens; they cost a pass of the base.
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

    Parameters
    ----------
    level : float
        Deviations above the mean response to ordinary tokens, or the share of these at which one
        adapter may be on.
    by : str
        ``z`` or ``rate``.
    """
    return lambda library: everything(library, library.block_route(float(level), by))


def prompt_gates(library: Any) -> Reuse:
    """Return the rule in which one pair acts a prompt, that with the largest response norm."""
    return everything(library, library.prompt_route())


def in_passes(passes: str, of: Act) -> Act:
    """Return the rule, its questions answered in more than one pass, see `Reuse`."""
    return lambda library: replace(of(library), passes=passes)


def in_turn(ask: Callable[[Any], Any], steps: Sequence[Callable[[Any], Any]]) -> list[Any]:
    """Return the answers to steps that are asked one after another: what hop by hop means.

    Parameters
    ----------
    ask : callable
        From a question to its answer.
    steps : sequence of callable
        Each makes its question from the answer before, the first one from None.
    """
    answers: list[Any] = []
    for step in steps:
        answers.append(ask(step(answers[-1] if answers else None)))
    return answers


STEPS = 15  # of power iteration, as in PEFT


def power_scores(updates: Sequence[LowRank], seed: int = 0) -> Scores:
    """Return Arrow's scores with prototypes from a few power iterations, from a random start.

    Parameters
    ----------
    updates : sequence of LowRank
        Of one map.
    seed : int
        Of the starts.
    """
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

    Parameters
    ----------
    scores : callable
        From the updates of a map to how well each adapter fits a token.
    soft : int or None
        Among how many at most; None for all.
    temperature : float
        Of the softmax.
    """

    def _router(updates: Sequence[LowRank], _: Any) -> Router:
        count = len(updates)
        return Router(scores(updates), min(soft or count, count), temperature)

    return routed(_router, ordinary=False)


@dataclass(frozen=True)
class Rule:
    """One row of the table of rules.

    Attributes
    ----------
    name : str
        In tables.
    label : str
        In figures.
    act : callable
        The rule with its usual options; `make` with others.
    needs : str
        What it has to know beside the adapters: nothing, ``ordinary inputs``, ``pair`` (which
        adapters the question needs), ``order`` (which is read first), ``steps`` (the question taken
        apart), ``answers``.
    make : callable or None
        From other options to the rule, where it has any.
    """

    name: str
    label: str
    act: Act
    needs: str = ""
    make: Callable[..., Act] | None = None


def _z(updates: Sequence[LowRank], x: Any, z: float | int = 2) -> Any:
    return calibrate_z(updates, x, z=z)


def gates(budget: float = 0.3) -> Act:
    """Return the gates on single maps that allow so many false alarms a token."""
    return routed(partial(calibrate, budget=budget))


def gates_z(z: float | int = 2) -> Act:
    """Return the gates on single maps that open this many deviations above the mean response."""
    return routed(partial(_z, z=z))


def _hops(of: Act) -> Act:
    return in_passes("hop by hop", of)


_ROWS = (
    Rule("base", "base", coefficients(0.0)),
    Rule("hop 1 alone", "hop 1 alone", alone(0), "pair"),
    Rule("hop 2 alone", "hop 2 alone", alone(1), "pair"),
    Rule("pair alone", "the right pair alone", pair_alone, "pair"),
    Rule("mean", "mean", mean),
    Rule("half the sum", "half the sum", coefficients(0.5)),
    Rule("sum", "sum", coefficients(1.0), make=coefficients),
    Rule("ties", "TIES", merged("ties", density=0.3, rank=1024), make=partial(merged, "ties")),
    Rule("dare", "DARE", merged("dare", density=0.3, rank=1024), make=partial(merged, "dare")),
    Rule(
        "knots",
        "KnOTS",
        merged("ties", space="knots", density=0.3),
        make=partial(merged, "ties", space="knots"),
    ),
    Rule(
        "interpolating",
        "interpolating merge",
        merged("interpolate"),
        make=partial(merged, "interpolate"),
    ),
    Rule("uniform", "uniform weights", router(arrow_scores, soft=None, temperature=1e9)),
    Rule("arrow", "Arrow", router(arrow_scores)),
    Rule("arrow, power", "Arrow by power iteration", router(power_scores)),
    Rule("arrow, peft", "Arrow, by PEFT", router(power_scores, soft=3)),
    Rule("subspace", "subspace", router(subspace_scores)),
    Rule("norm", "largest norm", router(response_scores)),
    Rule("norm, soft", "softmax over norms", router(response_scores, soft=None)),
    Rule(
        "norm, z",
        "largest z-scored norm",
        routed(lambda updates, x: Router(standardised(response_scores(updates), x))),
        "ordinary inputs",
    ),
    Rule("gates", "gates on single maps", gates(), "ordinary inputs", gates),
    Rule("gates, z = 2", "gates on single maps, z = 2", gates_z(), "ordinary inputs", gates_z),
    Rule("block gates, z = 0", "block gates, z = 0", block_gates(0.0), "ordinary inputs"),
    Rule("block gates, z = 2", "block gates", block_gates(2.0), "ordinary inputs", block_gates),
    Rule("block gates, z = 3", "block gates, z = 3", block_gates(3.0), "ordinary inputs"),
    Rule(
        "block gates, rate .04",
        "block gates, rate .04",
        block_gates(0.04, "rate"),
        "ordinary inputs",
    ),
    Rule("largest response norm", "largest response norm", prompt_gates, "ordinary inputs, order"),
    Rule("oracle placement", "oracle placement", oracle_placement, "pair, order"),
    Rule(
        "reversed placement",
        "reversed placement",
        partial(oracle_placement, backwards=True),
        "pair, order",
    ),
    Rule("mean, hop by hop", "mean, hop by hop", _hops(mean), "steps"),
    Rule("sum, hop by hop", "sum, hop by hop", _hops(coefficients(1.0)), "steps"),
    Rule("base, hop by hop", "base, hop by hop", _hops(coefficients(0.0)), "steps"),
    Rule("sum, second pass", "sum, second pass", in_passes("second pass", coefficients(1.0))),
    Rule("base, second pass", "base, second pass", in_passes("second pass", coefficients(0.0))),
)
RULES: Mapping[str, Rule] = {row.name: row for row in _ROWS}
"""Every rule by its name in tables."""


def rule(name: str, **options: Any) -> Act:
    """Return a rule of the table, with other options than usual where given.

    Parameters
    ----------
    name : str
        Of `RULES`.
    **options : object
        As the row's `make` takes them.

    Raises
    ------
    KeyError
        If there is no such rule, or it has no options.
    """
    if name not in RULES:
        message = f"there is no rule {name!r}: choose among {', '.join(RULES)}"
        raise KeyError(message)
    row = RULES[name]
    if not options:
        return row.act
    if row.make is None:
        message = f"the rule {name!r} has no options, and was given {', '.join(options)}"
        raise KeyError(message)
    return row.make(**options)

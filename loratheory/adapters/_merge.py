"""One adapter from several: checks what was asked, then merges module by module on demand."""

import difflib
import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from loratheory.adapters._adapter import Adapter, Lazy
from loratheory.adapters._align import aligned
from loratheory.adapters._methods import METHODS, Method
from loratheory.adapters._options import MergeError, Options
from loratheory.lowrank import LowRank, finite


def merge(
    adapters: Sequence[Adapter],
    method: str,
    *,
    weights: Sequence[int | float] | None = None,
    rank: int | None = None,
    coefficient: int | float = 1.0,
    space: str = "full",
    density: int | float | None = None,
    ridge: int | float | None = None,
    rng: np.random.Generator | None = None,
    any_base: bool = False,
) -> Adapter:
    """Return one adapter that merges several.

    Parameters
    ----------
    adapters : list of Adapter
        At least one. A module that some lack counts as zero there (`aligned` says which).
    method : str
        A name in `METHODS`, which says what each computes, costs and takes.
    weights : list of float, optional
        One an adapter, 1 where not given; negative ones subtract.
    rank : int, optional
        Largest rank of a merged module.
    coefficient : float
        Scales the result of any method.
    space : str
        Where entrywise rules look at entries: ``full``, ``knots`` or ``core``.
    density : float, optional
        Share of entries that entrywise rules keep, in (0, 1].
    ridge : float, optional
        Relative ridge of `interpolate`; 0 where not given.
    rng : numpy.random.Generator, optional
        Needed by rules that draw, harmless to others. One number is drawn from it now; each module
        then has a stream of its own, whatever the order in which modules are looked up.
    any_base : bool
        Merge adapters although they name different base models.

    Returns
    -------
    Adapter
        Lazy: a module is loaded from every adapter and merged, in float64, when it is looked up,
        and not kept. What its adapters' configurations agree on is handed on.

    Raises
    ------
    MergeError
        If the method is unknown, or an option is missing, superfluous or out of range.
    AdapterError
        If the adapters do not fit each other.
    """
    chosen = _method(method, space)
    given = {"weights": weights, "rank": rank, "density": density, "ridge": ridge, "rng": rng}
    _check_values(rank, coefficient, density, ridge)
    _check_options(chosen, space, {name for name, value in given.items() if value is not None})
    shelf = aligned(adapters, any_base)
    factors = _weights(weights, len(shelf.adapters))
    seed = 0 if rng is None else int(rng.integers(2**63))
    options = partial(
        Options,
        space=space,
        rank=rank,
        density=1.0 if density is None else density,
        ridge=0.0 if ridge is None else ridge,
        seed=seed,
    )

    def _merged(module: str) -> LowRank:
        found = zip(shelf.updates(module), shelf.adapters, strict=True)
        updates = [_finite(low, adapter.info.name, module) for low, adapter in found]
        merged = chosen.rule(updates, factors, options(module=module))
        return merged if coefficient == 1 else merged * coefficient

    return Adapter(Lazy(tuple(shelf.shapes), _merged), shelf.shapes, shelf.info)


def _method(name: str, space: str) -> Method:
    """Look up the method and see that it knows the space."""
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1)
        hint = f"did you mean {near[0]}? The methods are" if near else "choose one of"
        message = f"there is no merge method {name!r}: {hint} {', '.join(METHODS)}"
        raise MergeError(message)
    if space not in METHODS[name].spaces:
        known = ", ".join(METHODS[name].spaces)
        message = f"{name} does not work in space {space!r}: choose one of {known}"
        raise MergeError(message)
    return METHODS[name]


def _check_options(method: Method, space: str, given: set[str]) -> None:
    """Refuse options that the method would ignore, and ask for those it needs."""
    for name in sorted(given - method.options - {"rng"}):
        takes = ", ".join(sorted(method.options)) or "no options"
        message = f"{method.name} takes no {name}: leave it out (it takes {takes})"
        raise MergeError(message)
    advice = {
        "rank": "the largest rank of the result, such as rank=16",
        "density": "the share of entries to keep, such as density=0.2",
        "rng": "a source of randomness, such as rng=numpy.random.default_rng(0)",
    }
    for name in sorted(method.needs(space) - given):
        message = f"{method.name} in space {space!r} needs {name}: give {advice[name]}"
        raise MergeError(message)


def _check_values(
    rank: int | None,
    coefficient: int | float,
    density: int | float | None,
    ridge: int | float | None,
) -> None:
    """Refuse numbers out of range."""
    if rank is not None and rank < 1:
        message = f"rank is {rank}: a merged module needs rank 1 or more"
        raise MergeError(message)
    if density is not None and not 0 < density <= 1:
        message = f"density is {density}: give a share of entries above 0 and at most 1"
        raise MergeError(message)
    if ridge is not None and not 0 <= ridge < math.inf:
        message = f"ridge is {ridge}: give a finite number that is not negative, such as 1e-6"
        raise MergeError(message)
    if not math.isfinite(coefficient):
        message = f"coefficient is {coefficient}: give a finite number"
        raise MergeError(message)


def _weights(weights: Sequence[int | float] | None, count: int) -> list[float]:
    """One finite weight an adapter."""
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        message = f"{len(weights)} weights for {count} adapters: give one an adapter"
        raise MergeError(message)
    for weight in weights:
        if not math.isfinite(weight):
            message = f"a weight is {weight}: give finite numbers"
            raise MergeError(message)
    return [float(weight) for weight in weights]


def _finite(low: LowRank, adapter: str, module: str) -> LowRank:
    """The same update, known to be finite: rules widen it where they need to."""
    finite(low.up, f"{adapter}, {module}, first factor")
    finite(low.down, f"{adapter}, {module}, second factor")
    return low

"""Adapters on a real model by hooks: no weight changes, so taking them off restores it exactly.

The coefficients are one array, modules × adapters, which the hooks read at each forward pass::

    with attached(model, [one, two], 0.5) as acting:
        acting.set([1.0, 0.8])                          # one for each adapter
        acting.coefficients[acting.layers >= 15, 0] = 0  # the first acts in low layers only
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.pretrained._acting import Attached
from loratheory.pretrained._fit import fitted
from loratheory.pretrained._model import Model
from loratheory.pretrained._route import Route
from loratheory.pretrained._site import Site, site


def attached(
    model: Model,
    adapters: Sequence[Adapter],
    coefficients: Any = 1.0,
    *,
    route: Route | None = None,
) -> Attached:
    r"""Let adapters act on a model: module outputs become :math:`Wx + \sum_j c_j \Delta_j x`.

    Parameters
    ----------
    model : Model
        Its weights are not touched, so tied ones stay tied. Adapters attached twice add up.
    adapters : sequence of Adapter
        At least one; modules that some lack count as zero there.
    coefficients : float or array
        As in `Attached.set`.
    route : callable, optional
        As in `Attached.follow`.

    Returns
    -------
    Attached
        The adapters in float32 (float64 if they or the model are), whatever the model is in; sums
        are rounded to its type once. Costs reading the adapters; a forward pass then costs
        ``O((m + n) r)`` a token and module more, `r` the sum of the ranks.

    Raises
    ------
    ModelError
        If an adapter does not fit the model.
    ValueError
        If the coefficients do not fit the adapters.
    """
    together, places = fitted(model, adapters)
    sites = {name: site(places[name], together.updates(name)) for name in together.shapes}
    numbers = [re.search(r"(?:^|\.)(\d+)(?:\.|$)", name) for name in sites]
    acting = Attached(
        names=tuple(sites),
        layers=np.asarray([int(found[1]) if found else -1 for found in numbers], dtype=np.int64),
        coefficients=np.ones((len(sites), len(adapters))),
        _sites=sites,
    )
    acting.set(coefficients)
    acting.follow(route)
    for row, (name, one) in enumerate(sites.items()):
        hook = partial(_hook, acting, row, name, one)
        acting._handles.append(one.module.register_forward_hook(hook, with_kwargs=True))
    return acting


def _hook(
    acting: Attached, row: int, name: str, one: Site, _: Any, args: Any, kwargs: Any, out: Any
) -> Any:
    """What a module passes on, instead of `out`."""
    coefficients = acting.coefficients[row]
    if not coefficients.any():
        return out
    x = args[0] if args else next(iter(kwargs.values()))
    if acting.route is None:
        return one.added(x, out, coefficients)
    return one.routed(x, out, coefficients, partial(acting.route, name))

"""What training minimises: cross-entropy where a token is due, for many replicas at once."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from loratheory.shapes import Float
from loratheory.toy.transformer._config import Config, ConfigError
from loratheory.toy.transformer._decoder import Adapt, Parameters, decoded, states


class Batch(NamedTuple):
    """What one step learns from.

    Attributes
    ----------
    tokens : (E, B, T) tensor
        Token numbers.
    targets : (E, B, T) tensor
        The token due at each place, -1 where none is.
    hops : (E, B, T) tensor, optional
        After how many loops each of them is due at the earliest; for deep supervision.
    """

    tokens: Tensor
    targets: Tensor
    hops: Tensor | None = None

    def of(self, replicas: slice) -> "Batch":
        """The same for some replicas."""
        return Batch(*(None if x is None else x[replicas] for x in self))


def losses(
    config: Config,
    parameters: Parameters,
    batch: Batch,
    adapt: Adapt | None = None,
    noise: Float[Tensor, "L E N d"] | None = None,
) -> Float[Tensor, " E"]:
    """Return each replica's loss.

    Parameters
    ----------
    config : Config
        What the models are made of.
    parameters : mapping of str to (G, ...) tensor
        Their weights, shared by the replicas in order.
    batch : Batch
        What to learn from.
    adapt : callable, optional
        What to add to the output of each linear map.
    noise : (loops × depth, E, B T, d) tensor, optional
        As for `states`.

    Returns
    -------
    (E,) tensor
        Mean cross-entropy after the last loop, plus ``config.supervision`` times that after each
        earlier loop of what is due by then; 0 for a replica from which nothing is due.

    Raises
    ------
    ConfigError
        If deep supervision is not told when answers are due.
    """
    after = states(config, parameters, batch.tokens, adapt, noise)
    targets, last = batch.targets.flatten(1), config.loops - 1
    total = _mean(config, parameters, after[last], targets, last, adapt)
    if not config.supervision:
        return total
    if batch.hops is None:
        message = "deep supervision needs to know when answers are due: give hops with the batch"
        raise ConfigError(message)
    for loop in range(last):
        early = torch.where(batch.hops.flatten(1) <= loop + 1, targets, -1)
        mean = _mean(config, parameters, after[loop], early, loop, adapt)
        total = total + config.supervision * mean
    return total


def _mean(
    config: Config,
    parameters: Parameters,
    state: Tensor,
    targets: Tensor,
    loop: int,
    adapt: Adapt | None,
) -> Tensor:
    """Mean cross-entropy of each replica; decodes only where a token is due."""
    count = (targets >= 0).sum(1)
    place = (targets < 0).long().argsort(dim=1, stable=True)[:, : int(count.max())]
    chosen = state.take_along_dim(place.unsqueeze(-1), dim=1)
    scores = decoded(config, parameters, chosen, loop, adapt).flatten(0, 1)
    due = targets.gather(1, place).flatten()
    each = F.cross_entropy(scores, due, ignore_index=-1, reduction="none")
    return each.view(place.shape).sum(1) / count.clamp(min=1)

"""What a training step takes: memory and operations, from the model's sizes."""

from dataclasses import dataclass

from loratheory.pretrained._model import Model, maps
from loratheory.pretrained._pupil import targets
from loratheory.pretrained._training import Training

KEPT = 110
"""Bytes of activations for each token, layer and unit of width, in float32."""


@dataclass(frozen=True)
class Cost:
    """What one step of a training takes.

    Attributes
    ----------
    weights : int
        Bytes of the base.
    trained : int
        Numbers that are trained; each takes 16 bytes: itself, its gradient, two moments.
    activations : int
        Bytes kept for the backward pass, about.
    operations : int
        Multiplications and additions, about.
    """

    weights: int
    trained: int
    activations: int
    operations: int

    @property
    def memory(self) -> int:
        """Bytes in all, beside what Python and PyTorch take themselves."""
        return self.weights + 16 * self.trained + self.activations


def cost(model: Model, training: Training, *, tokens: int) -> Cost:
    """Return what a training step takes, without making one.

    Parameters
    ----------
    model : Model
        Its weights may be on the device ``meta``: nothing is computed.
    training : Training
        Batch, passes, rank, layers and targets.
    tokens : int
        Of a prompt, padding included.

    Returns
    -------
    Cost
        With every layer trained, ``4 P t`` operations for ``P`` weights of linear maps and ``t``
        tokens a step: forward, and back through activations alone; layers below the first trained
        one are only passed forward. `activations` is measured on Llamas of width 256 to 576
        (97 to 127 bytes a token, layer and unit of width in float32), half of it in bfloat16.
    """
    network = model.network
    names = targets(model, training.layers, training.targets)
    known = maps(model)
    head = getattr(network, "get_output_embeddings", lambda: None)()
    each = {id(place.module): place for place in known.values() if not place.embedding}
    linear = sum(m * n for m, n in (x.shape for x in each.values() if x.module is not head))
    depth = int(network.config.num_hidden_layers)
    share = 1.0 if training.layers is None else 1 - training.layers[0] / depth
    length = training.batch * tokens
    passed = -(-training.batch // training.accumulate) * tokens
    half = 1 if network.dtype.itemsize >= 4 else 2
    width = int(network.config.hidden_size)
    return Cost(
        weights=sum(p.numel() * p.element_size() for p in network.parameters()),
        trained=training.rank * sum(sum(known[name].shape) for name in names),
        activations=int(KEPT * passed * depth * share * width) // half,
        operations=int(2 * (1 + share) * linear * length),
    )

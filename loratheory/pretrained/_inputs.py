"""What a model feeds its modules on given prompts: what gates are calibrated on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from loratheory.lowrank import Array
from loratheory.pretrained._error import failure
from loratheory.pretrained._model import Model, maps


def inputs(
    model: Model, batches: Iterable[Mapping[str, Array]], modules: Sequence[str]
) -> dict[str, Array]:
    """Return the inputs of some linear maps, a token a row, padding left out.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    batches : iterable of mapping
        What the network is called with, as tokenizers return it: `input_ids`, and
        `attention_mask` where there is padding.
    modules : sequence of str
        Which maps, by name.

    Returns
    -------
    dict of str to (t, n) tensor
        On the model's device, in its type; maps that read the same share one tensor. Experts get
        the tokens sent to them, padding included. Costs the forward passes, and
        ``O(t n)`` for each different input.

    Raises
    ------
    ModelError
        If a module is no linear map of the model, or no token reaches it.
    """
    import torch

    known = maps(model)
    wrong = [name for name in modules if name not in known or known[name].embedding]
    if wrong:
        fact = f"{wrong[0]} is no linear map of it"
        raise failure(model.name or model.kind, fact, "choose among the names in maps(model)")
    seen: dict[str, list[Array]] = {name: [] for name in modules}
    shared: dict[int, tuple[Array, Array]] = {}
    mask: list[Array | None] = [None]

    def _keep(name: str, _: Any, args: Any, kwargs: Any) -> None:
        x = args[0] if args else next(iter(kwargs.values()))
        if id(x) not in shared:  # the second entry keeps the number from being used again
            shared[id(x)] = (_rows(x, mask[0]), x)
        seen[name].append(shared[id(x)][0])

    handles = [
        known[name].module.register_forward_pre_hook(partial(_keep, name), with_kwargs=True)
        for name in modules
    ]
    try:
        with torch.no_grad():
            for batch in batches:
                mask[0] = batch.get("attention_mask")
                model.network(**batch)
                shared.clear()
    finally:
        for handle in handles:
            handle.remove()
    joined: dict[tuple[int, ...], Array] = {}
    for name, parts in seen.items():
        if not parts:
            remedy = "give prompts that reach it"
            raise failure(name, "no token came there", remedy)
        key = tuple(map(id, parts))
        joined[key] = joined[key] if key in joined else torch.cat(parts)
    return {name: joined[tuple(map(id, parts))] for name, parts in seen.items()}


def _rows(x: Array, mask: Array | None) -> Array:
    """A copy with a token a row, without padding where the mask fits."""
    flat = x.reshape(-1, x.shape[-1])
    if mask is not None and tuple(mask.shape) == tuple(x.shape[:-1]):
        return flat[mask.reshape(-1).bool()]
    return flat.clone()

"""Families of decoders: what their modules are called, and where one computes unlike the others.

Attaching, training and gating need no names. Checks of attention scores need queries and keys:
adding a family to them is adding a row here (and to `tests/pretrained/test_architectures.py`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from loratheory.lowrank import Array
from loratheory.pretrained.models import Map, Model


class Family(NamedTuple):
    """Names of one family's modules, each the last part of a module's path."""

    query: str
    key: str  # that of the query where one map makes queries, keys and values
    output: str  # the last map of attention, which writes to the residual stream
    down: str  # the last map of the MLP, which does too


FAMILIES = (
    Family("q_proj", "k_proj", "o_proj", "down_proj"),  # Llama, Mistral, Qwen, Gemma, Mixtral, OLMo
    Family("q_proj", "k_proj", "dense", "fc2"),  # Phi
    Family("q_proj", "k_proj", "out_proj", "fc2"),  # OPT
    Family("c_attn", "c_attn", "c_proj", "c_proj"),  # GPT-2
)
"""Queries and keys are found by the first row that has the name of the query. Phi-3 has none: its
queries and keys are fused in unequal parts."""
BY_QUERY = {family.query: family for family in reversed(FAMILIES)}
WRITERS = frozenset(name for family in FAMILIES for name in (family.output, family.down))
"""Last parts of the names of maps that write to the residual stream, of all families."""


def scale_embedding(module: object, change: Array) -> Array:
    """Return a change of an embedding as the module passes it on.

    Gemma's embeddings scale what they look up, so an update of their weight is scaled as well.
    """
    return change * module.embed_scale if hasattr(module, "embed_scale") else change


class Rows(NamedTuple):
    """Rows of a module's output that are the queries or the keys of one head."""

    module: str
    start: int
    stop: int


Head = tuple[Rows, Rows]
"""Its queries and its keys."""


def find_heads(model: Model, places: Mapping[str, Map]) -> dict[str, list[Head]]:
    """Return every head by attention block; shared keys stand there once for each head.

    Empty for a family without a row in `FAMILIES`.
    """
    config = getattr(model.network, "config", None)
    count = int(getattr(config, "num_attention_heads", 0) or 0)
    # Older configs do not know shared keys: then each head has its own.
    shared = int(getattr(config, "num_key_value_heads", 0) or count)
    blocks: dict[str, list[Head]] = {}
    for name, place in places.items() if count else ():
        block, _, part = name.rpartition(".")
        family = BY_QUERY.get(part)
        if family is None or not block:
            continue
        rows, width = place.shape
        fused = family.query == family.key
        if fused:
            # One map makes queries, then keys, then values, each as wide as its input.
            site, keys, first, rows = name, name, width, rows - 2 * width
        else:
            site, keys, first = block, f"{block}.{family.key}", 0
        if keys not in places or (fused and rows != width):
            continue
        size, blocks[site] = rows // count, []
        for i in range(count):
            # In grouped-query attention several heads share their keys.
            k = first + i * shared // count * size
            queries = Rows(name, i * size, (i + 1) * size)
            blocks[site].append((queries, Rows(keys, k, k + size)))
    return blocks

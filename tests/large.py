"""Adapters made to be streamed, of the shape of a 70B model: ``python tests/large.py DIR``.

Every linear map of 80 blocks (width 8192, MLP 28672, keys and values 1024) gets a random update of
rank 64 in bfloat16: 828 million numbers, 1.66 GB an adapter, in ``DIR/one`` and ``DIR/two``.
Numbers come from a seed; a share of directions is common to both, so that they overlap as trained
adapters do.
"""

import argparse
from pathlib import Path

import numpy as np

from loratheory.adapters import Adapter, Info, write_adapter
from loratheory.lowrank import LowRank

SHARED = 0.3


def shapes(layers=80, width=8192, inner=28672, keys=1024):
    """Outputs and inputs of every linear map of a Llama of that size."""
    block = {
        "self_attn.q_proj": (width, width),
        "self_attn.k_proj": (keys, width),
        "self_attn.v_proj": (keys, width),
        "self_attn.o_proj": (width, width),
        "mlp.gate_proj": (inner, width),
        "mlp.up_proj": (inner, width),
        "mlp.down_proj": (width, inner),
    }
    return {f"model.layers.{i}.{name}": side for i in range(layers) for name, side in block.items()}


def pair(folder, rank=64, **sizes):
    """Write ``one`` and ``two`` and return their folders; a module is drawn when looked up."""
    sides, folders = shapes(**sizes), [folder / "one", folder / "two"]
    numbers = {name: number for number, name in enumerate(sides)}
    info = Info(base="synthetic", dtype="bfloat16")

    def factor(shape, *seed):
        return np.random.default_rng(seed).standard_normal(shape, np.float32) / shape[-1] ** 0.5

    for seed, place in enumerate(folders):

        def make(name, seed=seed):
            (m, n), factors = sides[name], []
            for half, shape in enumerate([(m, rank), (rank, n)]):
                own, shared = (factor(shape, numbers[name], half, who) for who in (seed, 2))
                factors.append(own + SHARED * shared)
            return LowRank(*factors)

        write_adapter(Adapter(make, sides, info), place)
    return folders


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=80)
    parser.add_argument("--rank", type=int, default=64)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    pair(options.folder, options.rank, layers=options.layers)

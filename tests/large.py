"""Adapters made to be streamed, of the shape of a 70B model: ``python tests/large.py DIR``.

Every linear map of 80 blocks (width 8192, MLP 28672, keys and values 1024) gets a random update of
rank 64 in bfloat16: 828 million numbers, 1.66 GB an adapter, in ``DIR/one`` and ``DIR/two``.
Numbers come from a seed; a share of directions is common to both, so that they overlap as trained
adapters do. With ``--library 1000`` there are so many small ones instead: 12 maps of width 256,
rank 8.
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


def adapter(sides, rank, seed):
    """A lazy adapter: each module is drawn when it is looked up."""
    numbers = {name: number for number, name in enumerate(sides)}

    def factor(shape, number, who):
        rng = np.random.default_rng([who, number])
        return rng.standard_normal(shape, dtype=np.float32) / shape[-1] ** 0.5

    def make(name):
        (m, n), number = sides[name], 2 * numbers[name]
        up, down = (
            factor(shape, number + i, seed) + SHARED * factor(shape, number + i, 10**6)
            for i, shape in enumerate([(m, rank), (rank, n)])
        )
        return LowRank(up, down)

    info = Info(name=f"seed {seed}", base="synthetic", dtype="bfloat16")
    return Adapter(make, sides, info)


def pair(folder, rank=64, **sizes):
    """Write ``one`` and ``two`` and return their folders."""
    sides = shapes(**sizes)
    folders = [folder / "one", folder / "two"]
    for seed, place in enumerate(folders):
        write_adapter(adapter(sides, rank, seed), place)
    return folders


def library(folder, count, rank=8, layers=6, width=256):
    """Write so many small adapters, each in a folder of its own."""
    names = [f"model.layers.{i}.self_attn.{x}_proj" for i in range(layers) for x in "qv"]
    sides = dict.fromkeys(names, (width, width))
    for seed in range(count):
        write_adapter(adapter(sides, rank, seed), folder / f"{seed:04}")


def main():
    """Both adapters, of any number of blocks, or a library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=80)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--library", type=int, metavar="COUNT", help="so many small ones instead")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.library:
        library(options.folder, options.library)
        return
    for place in pair(options.folder, options.rank, layers=options.layers):
        size = sum(file.stat().st_size for file in place.iterdir())
        print(f"{place}: {size / 1e9:.2f} GB")  # noqa: T201


if __name__ == "__main__":
    main()

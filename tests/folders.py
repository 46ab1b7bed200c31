"""Small random adapters in PEFT's layout, made without torch."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import LowRank

DTYPES = {"bfloat16": ml_dtypes.bfloat16}
MODULES = {"model.layers.0.q_proj": (6, 4, 2), "model.layers.1.q_proj": (6, 4, 2)}


def factors(modules, seed=0, dtype="float32"):
    """``{module: (up, down)}`` with normal entries that `dtype` holds exactly."""
    rng = np.random.default_rng(seed)
    kind = DTYPES.get(dtype, dtype)
    return {
        name: (rng.standard_normal((m, r)).astype(kind), rng.standard_normal((r, n)).astype(kind))
        for name, (m, n, r) in modules.items()
    }


def tensors(pairs, embeddings=(), label=None, prefix="base_model.model."):
    """The tensors PEFT stores for ``{module: (up, down)}``, by key."""
    dot = f".{label}" if label else ""
    found = {}
    for name, (up, down) in pairs.items():
        for half, factor in (("A", down), ("B", up)):
            if name in embeddings:
                found[f"{prefix}{name}.lora_embedding_{half}{dot}"] = factor
            else:
                found[f"{prefix}{name}.lora_{half}{dot}.weight"] = factor
    return found


def settings(modules, **config):
    """A config that fits these modules; keywords replace single keys, `...` removes one."""
    ranks = {name: r for name, (_, _, r) in modules.items()}
    r = max(ranks.values(), default=1)
    others = {f"^{name}": own for name, own in ranks.items() if own != r}
    values = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny",
        "r": r,
        "lora_alpha": r,
        "rank_pattern": others,
        "alpha_pattern": others,
        "target_modules": [*modules],
    } | config
    return {key: value for key, value in values.items() if value is not ...}


def bytes_of(found, spaces=0):
    """A safetensors file of these arrays, by hand: eight bytes, header, data."""
    codes = {"float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64"}
    codes |= {"int32": "I32", "int8": "I8", "bool": "BOOL", "float8_e4m3fn": "F8_E4M3"}
    header, data = {}, b""
    for key, array in found.items():
        stop = len(data) + array.nbytes
        kind = codes[array.dtype.name]
        header[key] = {"dtype": kind, "shape": [*array.shape], "data_offsets": [len(data), stop]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8 + spaces)
    return len(text).to_bytes(8, "little") + text + data


def made(modules=None, seed=0, **info):
    """An adapter in memory with ``{module: (m, n, r)}``; keywords go into its `Info`."""
    pairs = factors(MODULES if modules is None else modules, seed)
    return Adapter.of({name: LowRank(*pair) for name, pair in pairs.items()}, Info(**info))


def changed(file, **values):
    """Change some keys of a file of JSON."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def folder(path, modules=None, seed=0, dtype="float32", embeddings=(), label=None, **config):
    """Write an adapter with ``{module: (m, n, r)}`` to `path`; keywords go into its config."""
    path = Path(path)
    modules = MODULES if modules is None else modules
    path.mkdir(parents=True, exist_ok=True)
    found = tensors(factors(modules, seed, dtype), embeddings, label)
    (path / "adapter_model.safetensors").write_bytes(bytes_of(found))
    (path / "adapter_config.json").write_text(json.dumps(settings(modules, **config)))
    return path

"""Folders nobody should trust: each is refused in one line that names the fact and a remedy."""

import json
import os
import pickle
from contextlib import suppress

import ml_dtypes
import numpy as np
import pytest
from folders import MODULES, bytes_of, changed, factors, folder, tensors
from hypothesis import given
from hypothesis import settings as hypothesis
from safetensors.numpy import load_file
from strategies import seeds

from loratheory.adapters import AdapterError, read_adapter
from loratheory.adapters.peft_io import header, load

Q, K = MODULES
UP, DOWN = f"base_model.model.{Q}.lora_B.weight", f"base_model.model.{Q}.lora_A.weight"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def config(**values):
    """A sound adapter whose config says something else."""
    return lambda path: folder(path, **values)


def text(content):
    """A sound adapter whose config is these bytes."""
    return lambda path: (folder(path) / CONFIG).write_bytes(content)


def with_tensors(change, **config):
    """A sound adapter after `change` has been made to its dictionary of tensors."""

    def make(path):
        found = tensors(factors(MODULES))
        change(found)
        (folder(path, **config) / WEIGHTS).write_bytes(bytes_of(found))

    return make


def put(key, array):
    return lambda found: found.update({key: array})


def raw(change):
    """A sound adapter after `change` has been made to the bytes of its weights."""

    def make(path):
        file = folder(path) / WEIGHTS
        file.write_bytes(change(file.read_bytes()))

    return make


def entries(change):
    """A sound adapter whose header, as a JSON object, has been changed."""

    def moved(content):
        stop = 8 + int.from_bytes(content[:8], "little")
        found = json.loads(content[8:stop])
        change(found)
        line = json.dumps(found).encode()
        return len(line).to_bytes(8, "little") + line + content[stop:]

    return raw(moved)


def entry(**values):
    return entries(lambda found: found[UP].update(values))


def overlapping(found):
    """Both factors start at the same byte."""
    start = found[DOWN]["data_offsets"][0]
    found[UP]["data_offsets"] = [start, start + 48]


def in_place_of(name, make_other):
    def make(path):
        file = folder(path) / name
        file.unlink()
        make_other(file)

    return make


class Bomb:
    """Ends the process where it is unpickled."""

    def __reduce__(self):
        return (os._exit, (3,))


def pickled(path):
    home = folder(path)
    (home / WEIGHTS).unlink()
    (home / "adapter_model.bin").write_bytes(pickle.dumps(Bomb()))


def renamed_pickle(path):
    (folder(path) / WEIGHTS).write_bytes(pickle.dumps(Bomb()))


def spike(value, dtype="float32"):
    def change(found):
        for key in found:
            found[key] = found[key].astype(dtype)
        found[UP][3, 1] = value

    return with_tensors(change)


def foreign(key, shape=(6,)):
    return with_tensors(put(f"base_model.model.{Q}.{key}", np.ones(shape, np.float32)))


WRONG = {  # values of keys of the configuration that PEFT would not take
    "r": ["8", 0, True, -4, 10**30],
    "lora_alpha": [[8], "x", False, 1e30, 0, -16],
    "rank_pattern": [["q"], None, {"q": 1.5}, {"q(": 4}, {"(a+)+b": 2}, {"a*b*c*": 2}],
    "alpha_pattern": [3, None, {"q": "x"}],
    "target_modules": [3, ["v"], [1]],
    "base_model_name_or_path": [7],
    "revision": [7],
    "task_type": [3],
    "use_rslora": ["yes"],
    "fan_in_fan_out": ["yes"],
}
BEYOND = {  # keys that make the effect more than an added matrix
    "peft_type": ["IA3", "LOHA", "LOKR", "VERA", "OFT", None],
    "bias": ["all", "lora_only", 3],
    "use_dora": [True, 1],
    "lora_bias": [True],
    "modules_to_save": ["score", ["score"]],
    "trainable_token_indices": [[1], {"embed": [3]}],
    "target_parameters": [["w"]],
    "layer_replication": [[[0, 2]]],
    "alora_invocation_tokens": [[5]],
    "use_qalora": [True],
    "use_bdlora": [{}],
    "kasa_config": [{}],
    "monteclora_config": [{}],
    "arrow_config": [{}],
    "megatron_config": [{"a": 1}],
    "init_lora_weights": ["pissa", "PISSA_niter_4", "olora", "corda", "lora_ga", "loftq"],
}
CASES = {  # how the folder is made, and what of it the message names
    "no folder": (lambda _: None, "no such folder"),
    "a file": (lambda path: path.write_text("x"), "diffusers"),
    "empty folder": (lambda path: path.mkdir(), CONFIG),
    "weights absent": (lambda path: (folder(path) / WEIGHTS).unlink(), WEIGHTS),
    "pickle": (pickled, "adapter_model.bin"),
    "a route": (lambda path: [path.mkdir(), (path / "route.json").touch()], "generate"),
    "config is a folder": (in_place_of(CONFIG, lambda f: f.mkdir()), CONFIG),
    "weights are a pipe": (in_place_of(WEIGHTS, os.mkfifo), WEIGHTS),
    "link to itself": (in_place_of(WEIGHTS, lambda f: f.symlink_to(WEIGHTS)), WEIGHTS),
    "config not JSON": (text(b"{r: 8}"), CONFIG),
    "config not text": (text(b'{"r": "\xff"}'), CONFIG),
    "config empty": (text(b""), CONFIG),
    "config a list": (text(b"[1, 2]"), "[1, 2]"),
    "NaN in config": (text(b'{"peft_type": "LORA", "lora_alpha": NaN}'), "lora_alpha is nan"),
    "alpha infinite": (text(b'{"peft_type": "LORA", "lora_alpha": 1e999}'), "lora_alpha is inf"),
    "deep nesting": (text(b"[" * 200_000), CONFIG),
    "number of 9999 digits": (text(b'{"r": ' + b"9" * 9999 + b"}"), CONFIG),
    "huge config": (text(b" " * (17 * 2**20)), "16777216"),
    "weights empty": (raw(lambda _: b""), "0 bytes"),
    "cut in the header": (raw(lambda b: b[:40]), "40 bytes"),
    "cut in the data": (raw(lambda b: b[:-10]), WEIGHTS),
    "appended to": (raw(lambda b: b + b"x" * 16), WEIGHTS),
    "header of exabytes": (raw(lambda b: b"\xff" * 8 + b[8:]), WEIGHTS),
    "header destroyed": (raw(lambda b: b[:8] + b"\0" * 60 + b[68:]), WEIGHTS),
    "renamed pickle": (renamed_pickle, WEIGHTS),
    "entry without dtype": (entries(lambda t: t[UP].pop("dtype")), WEIGHTS),
    "shape negative": (entry(shape=[-6, 2]), WEIGHTS),
    "shape of a galaxy": (entry(shape=[2**62, 2**62]), WEIGHTS),
    "overlap": (entries(overlapping), WEIGHTS),
    "dtype unknown": (entry(dtype="Q99"), "Q99"),
    "whole numbers": (with_tensors(put(UP, np.ones((6, 2), np.int32))), "I32"),
    "no tensors": (with_tensors(dict.clear), "no LoRA tensor"),
    "half missing": (with_tensors(lambda t: t.pop(UP)), Q),
    "shapes apart": (with_tensors(put(UP, np.ones((6, 3), np.float32))), "[6, 3]"),
    "rank apart": (config(r=4, rank_pattern={}), "rank 4"),
    "pattern apart": (config(rank_pattern={"q_proj": 3}), "rank 3"),
    "a convolution": (
        with_tensors(
            lambda t: t.update({UP: np.ones((6, 2, 1), "f4"), DOWN: np.ones((2, 4, 3), "f4")})
        ),
        "no convolution",
    ),
    "a vector": (with_tensors(put(UP, np.ones(12, np.float32))), "[12]"),
    "no outputs": (with_tensors(put(UP, np.ones((0, 2), np.float32))), "[0, 2]"),
    "magnitudes": (foreign("lora_magnitude_vector.weight"), "lora_magnitude_vector"),
    "a bias": (foreign("lora_B.bias"), "lora_B.bias"),
    "an unknown tensor": (foreign("weight"), "mergekit"),
    "linear and embedding": (foreign("lora_embedding_A", (2, 4)), Q),
    "wrapped": (
        lambda path: folder(path, {"attn.base_layer.out_proj": (6, 4, 2)}),
        "base_layer.out_proj",
    ),
    "resized vocabulary": (
        with_tensors(put("base_model.model.lm_head.weight", np.ones((6, 4), "f4"))),
        "save_embedding_layers=False",
    ),
    "kohya's keys": (
        with_tensors(put("lora_unet_down_0.lora_down.weight", np.ones((2, 4), "f4"))),
        "diffusers",
    ),
    "no prefix": (with_tensors(lambda t: [t.update({k[17:]: t.pop(k)}) for k in [*t]]), "begin"),
    "another adapter's": (foreign("lora_B.other.weight", (6, 2)), "other"),
    "the same twice": (foreign("lora_B.default.weight", (6, 2)), "two tensors"),
    "NaN": (spike(np.nan), "nan at position [3, 1]"),
    "infinity in half": (spike(np.inf, "float16"), "inf at position [3, 1]"),
    "NaN in bfloat16": (spike(np.nan, ml_dtypes.bfloat16), "nan at position [3, 1]"),
    "beyond any weight": (spike(-1e30), "-1e+30 at position [3, 1]"),
    "scale beyond float32": (
        lambda path: [spike(1e10)(path), changed(path / CONFIG, lora_alpha=1e12)],
        "once scaled by 5e+11",
    ),
    "tricks on the terminal": (
        with_tensors(put("\x1b[31m\nfake: all is well\n" + "x" * 5000, np.ones((2, 2), "f4"))),
        "\\x1b[31m\\nfake",
    ),
    **{
        f"{key} {value!r}": (config(**{key: value}), key)
        for key, values in {**WRONG, **BEYOND}.items()
        for value in values
    },
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_with_the_fact_and_a_remedy(name, tmp_path):
    make, fact = CASES[name]
    make(tmp_path / "x")
    with pytest.raises(AdapterError) as caught:
        dict(read_adapter(tmp_path / "x"))
    message = str(caught.value)
    assert str(tmp_path / "x") in message
    assert fact in message
    assert "; " in message
    assert message.isprintable()
    assert len(message) < 900


def test_what_is_there_but_may_not_be_read_is_named(tmp_path, monkeypatch):
    home = folder(tmp_path / "x")
    adapter = read_adapter(home)

    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.open", denied)
        with pytest.raises(AdapterError, match=r"adapter_config.json: .*Permission denied"):
            read_adapter(home)
    (home / WEIGHTS).unlink()
    with pytest.raises(AdapterError, match=r"safetensors: .*No such file"):
        adapter[Q]


def test_a_file_changed_meanwhile_is_noticed(tmp_path):
    file, other = tmp_path / "x", tmp_path / "y"
    for path, value in ((file, 1), (other, 0)):
        path.write_bytes(bytes_of({"t": np.full(4, value, "f4")}))
    tensor = header(file)["t"]
    other.rename(file)
    with pytest.raises(AdapterError, match="changed while it was being read"):
        load(tensor)


@hypothesis(max_examples=40)
@given(seeds)
def test_no_cut_and_no_flipped_byte_escapes_as_another_error(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    whole = bytearray(bytes_of({"a": np.ones((2, 2), "f4"), "b": np.ones(3, "f2")}))
    stop = 8 + int.from_bytes(whole[:8], "little")
    file = tmp_path_factory.getbasetemp() / "flipped"
    file.write_bytes(whole[: rng.integers(0, len(whole))])
    with pytest.raises(AdapterError):
        header(file)
    whole[rng.integers(0, stop)] = rng.integers(256)
    file.write_bytes(whole)
    with suppress(AdapterError):
        for tensor in header(file).values():
            load(tensor)
        assert load_file(file)

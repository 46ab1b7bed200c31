"""Folders nobody should trust: each refused in one paragraph with fact, value and remedy."""

import json
import os
import pickle

import ml_dtypes
import numpy as np
import pytest
from folders import MODULES, bytes_of, changed, factors, folder, tensors

from loratheory.adapters import AdapterError, read

Q, K = MODULES
UP, DOWN = f"base_model.model.{Q}.lora_B.weight", f"base_model.model.{Q}.lora_A.weight"
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
INDEX = WEIGHTS + ".index.json"


def config(**values):
    """A sound adapter whose config says something else."""
    return lambda path: folder(path, **values)


def text(content):
    """A sound adapter whose config is these bytes."""

    def make(path):
        (folder(path) / CONFIG).write_bytes(content)

    return make


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


def header(change):
    """A sound adapter whose header, as a JSON object, has been changed."""

    def changed(content):
        stop = 8 + int.from_bytes(content[:8], "little")
        entries = json.loads(content[8:stop])
        entries = change(entries) or entries
        line = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
        return len(line).to_bytes(8, "little") + line + content[stop:]

    return raw(changed)


def entry(**values):
    return header(lambda entries: entries[UP].update(values))


def base(path):
    return folder(path)


def shards(index, extra=None):
    """The adapter in one shard, described by `index(keys)`."""

    def make(path):
        home = folder(path)
        keys = [*tensors(factors(MODULES))]
        (home / WEIGHTS).rename(home / "part-1.safetensors")
        (home / INDEX).write_text(json.dumps(index(keys)))
        if extra:
            (home / extra).write_bytes(bytes_of(tensors(factors({Q: (6, 4, 2)}))))

    return make


def linked(name):
    def make(path):
        home, outside = folder(path), path.parent / "outside"
        (home / name).rename(outside)
        (home / name).symlink_to(outside)

    return make


def loop(path):
    home = folder(path)
    (home / WEIGHTS).unlink()
    (home / WEIGHTS).symlink_to(WEIGHTS)


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


def below(path):
    folder(path / "task_b")


def holed(entries):
    """Both halves start at the same byte: they overlap."""
    entries[UP]["data_offsets"] = [entries[DOWN]["data_offsets"][0] + n for n in (0, 48)]


def spike(value, dtype="float32"):
    def change(found):
        for key in found:
            found[key] = found[key].astype(dtype)
        found[UP][3, 1] = value

    return with_tensors(change)


def foreign(key, shape=(6,)):
    return with_tensors(put(f"base_model.model.{Q}.{key}", np.ones(shape, np.float32)))


WRONG = {  # values of keys of the configuration that are refused, and words of the refusal
    "peft_type": (["IA3"], 'only "LORA"'),
    "r": (["8", 0, True, -4], "whole number, 1 or more"),
    "lora_alpha": ([[8], "x", False, 1e30], "finite number below"),
    "lora_dropout": ([1.5, -0.1, None], "number from 0 to 1"),
    "task_type": (["CHAT", 3], "null or SEQ_CLS, CAUSAL_LM"),
    "init_lora_weights": ([[1], 3], "true, false or the name of a start"),
    "target_modules": ([3, [1]], "list of names"),
    "exclude_modules": ([3], "list of names"),
    "layers_pattern": ([3], "list of names"),
    "layers_to_transform": (["0", [0.5], True], "whole number, a list"),
    "rank_pattern": ([["q"], None], "an object"),
    "alpha_pattern": ([3, None], "an object"),
    "base_model_name_or_path": ([7], "a text or null"),
    "revision": ([7], "a text or null"),
    "auto_mapping": ([7], "an object or null"),
    "eva_config": ([[1]], "an object or null"),
    **dict.fromkeys(("use_rslora", "fan_in_fan_out", "ensure_weight_tying"), (["yes"], "true")),
    "bias": (["some", 3], "none, all or lora_only"),
    "use_dora": ([True, 1], "use_dora"),
    "lora_bias": ([True, "x"], "lora_bias"),
    "modules_to_save": (["score", [3]], "list of names"),
    "trainable_token_indices": (["x", [0.5], {"embed": 3}], "list of rows"),
    "target_parameters": (["w", [3]], "list of names"),
    "layer_replication": ([[[0, 2]]], "use a base"),
    "alora_invocation_tokens": ([[5]], "some tokens export"),
    "use_qalora": ([True], "pooled export"),
    "use_bdlora": ([{"nblocks": 2}, {}], "block-diagonal export"),
    "kasa_config": ([{"beta": 1}, {}], "truncated export"),
    "monteclora_config": ([{"a": 1}, {}], "random export"),
    "arrow_config": ([{"top_k": 3}, {}], "routed adapters"),
    "megatron_config": ([{"a": 1}], "devices export"),
}
STARTS = ("pissa", "PISSA_niter_4", "olora", "corda", "lora_ga", "loftq")

MAKE = {
    # the folder
    "no folder": (lambda _: None, "no such folder name the folder"),
    "a file": (lambda path: path.write_text("x"), "this is a file name the folder"),
    "empty folder": (lambda path: path.mkdir(), "holds no adapter_config.json PEFT saved"),
    "adapter one level down": (below, "holds no adapter_config.json name task_b"),
    "weights absent": (lambda path: (folder(path) / WEIGHTS).unlink(), "holds no " + WEIGHTS),
    "pickle": (pickled, "adapter_model.bin pickled any code safe_serialization=True"),
    "config is a folder": (in_place_of(CONFIG, lambda f: f.mkdir()), CONFIG + " not a regular"),
    "weights are a pipe": (in_place_of(WEIGHTS, os.mkfifo), WEIGHTS + " not a regular file"),
    "config linked out": (linked(CONFIG), "leads out of the folder outside put the file itself"),
    "weights linked out": (linked(WEIGHTS), "leads out of the folder outside put the file"),
    "link to itself": (loop, WEIGHTS + " cannot be read check"),
    # the config
    "config not JSON": (text(b"{r: 8}"), CONFIG + " is not JSON restore"),
    "config not text": (text(b'{"r": "\xff"}'), "byte 7 is not UTF-8 restore"),
    "config empty": (text(b""), "is not JSON restore"),
    "config a list": (text(b"[1, 2]"), "[1, 2] not a JSON object restore"),
    "key twice": (text(b'{"a": {"b": 8, "c": 1, "b": 4}}'), "'b' occurs twice restore"),
    "NaN in config": (text(b'{"lora_alpha": NaN}'), "NaN not JSON restore"),
    "deep nesting": (text(b"[" * 200_000), "nested too deeply restore"),
    "number of 9999 digits": (text(b'{"r": ' + b"9" * 9999 + b"}"), "is not JSON limit restore"),
    "huge config": (text(b" " * (17 * 2**20)), "bytes over 16777216 own file"),
    "peft_type absent": (config(peft_type=...), 'peft_type is None only "LORA"'),
    "alpha infinite": (text(b'{"peft_type": "LORA", "lora_alpha": 1e999}'), "lora_alpha is inf"),
    "absurd rank": (config(r=10**30), "gives it rank 10000 correct r or rank_pattern"),
    "pattern value": (config(rank_pattern={"q": 1.5}), "rank_pattern['q'] is 1.5 whole number"),
    "alpha pattern value": (config(alpha_pattern={"q": "x"}), "alpha_pattern['q'] is 'x' finite"),
    "pattern broken": (config(rank_pattern={"q(": 4}), "'q(' no regular expression correct"),
    "expression broken": (config(target_modules="q("), "'q(' no regular expression correct"),
    "all left out": (config(target_modules=["v"]), "none of its 2 leaves correct target_modules"),
    "layers beside an expression": (
        config(target_modules=".*", layers_to_transform=[0]),
        "layers_to_transform beside an expression name the layers in one",
    ),
    "layer names without layers": (config(layers_pattern="h"), "layers_pattern without name the"),
    **{
        f"{key} {value!r}": (config(**{key: value}), f"{key} is {value!r} {words}")
        for key, (values, words) in WRONG.items()
        for value in values
    },
    **{
        start: (config(init_lora_weights=start), f"{start!r} changes the base convert")
        for start in STARTS
    },
    # the file: its layout is proven by the library, whose words these are
    "weights empty": (raw(lambda _: b""), "refuses of 0 bytes header too small again"),
    "cut in the header": (raw(lambda b: b[:40]), "refuses of 40 bytes header length again"),
    "cut in the data": (raw(lambda b: b[:-10]), "refuses bytes not fully covered cut again"),
    "appended to": (raw(lambda b: b + b"x" * 16), "not fully covered changed again"),
    "header of exabytes": (raw(lambda b: b"\xff" * 8 + b[8:]), "refuses header too large again"),
    "header destroyed": (raw(lambda b: b[:8] + b"\0" * 60 + b[68:]), "invalid JSON again"),
    "header of brackets": (header(lambda _: b"[" * 90_000), "invalid JSON again"),
    "header key twice": (
        header(lambda t: json.dumps(t).replace("lora_B", "lora_A").encode()),
        "refuses again",
    ),
    "bad metadata": (header(lambda t: t | {"__metadata__": {"a": 1}}), "library refuses again"),
    "renamed pickle": (renamed_pickle, "refuses header too large again"),
    "entry without dtype": (
        header(lambda t: t[UP].pop("dtype") and None),
        "field `dtype` again",
    ),
    "shape negative": (entry(shape=[-6, 2]), "refuses integer `-6` again"),
    "shape of a galaxy": (entry(shape=[2**62, 2**62]), "refuses overflow shape again"),
    "overlap": (header(holed), "refuses offset for tensor again"),
    "dtype unknown": (entry(dtype="Q99"), "refuses variant `Q99` F16 again"),
    **{
        kind.__name__: (
            with_tensors(put(UP, np.ones((6, 2), kind))),
            f"dtype is {code!r} save float32",
        )
        for kind, code in ((np.int32, "I32"), (bool, "BOOL"), (ml_dtypes.float8_e4m3fn, "F8_E4M3"))
    },
    # the tensors
    "no tensors": (with_tensors(dict.clear), "no LoRA tensor among 0 folder"),
    "half missing": (with_tensors(lambda t: t.pop(UP)), f"{Q} has lora_A needs exactly"),
    "shapes apart": (
        with_tensors(put(UP, np.ones((6, 3), np.float32))),
        "[6, 3] different ranks restore",
    ),
    "rank apart": (config(r=4, rank_pattern={}), "[2, 4] rank 4 correct r or rank_pattern"),
    "pattern apart": (config(rank_pattern={"q_proj": 3}), "[2, 4] rank 3 rank_pattern"),
    "a vector": (with_tensors(put(UP, np.ones(12, np.float32))), "[12] must be (r, inputs)"),
    "a convolution": (
        with_tensors(put(UP, np.ones((6, 2, 1, 1), np.float32))),
        "[6, 2, 1, 1] must be (r, inputs)",
    ),
    "no outputs": (with_tensors(put(UP, np.ones((0, 2), np.float32))), "[0, 2] none empty"),
    "magnitudes": (
        foreign("lora_magnitude_vector.weight"),
        "holds DoRA magnitudes use_dora is False",
    ),
    "bias tensor": (foreign("lora_B.bias"), "holds trained bias lora_bias is False"),
    "saved module": (foreign("modules_to_save.weight"), "modules_to_save no LoRA tensor"),
    "unknown tensor": (foreign("weight"), "no LoRA tensor export"),
    "base weight elsewhere": (
        with_tensors(put("base_model.model.lm_head.base_layer.weight", np.ones((6, 4), "f4"))),
        "[6, 4] lm_head save_embedding_layers=False",
    ),
    "base weight of other shape": (foreign("base_layer.weight", (4, 6)), "[4, 6] save_embedding"),
    "linear and embedding": (foreign("lora_embedding_A", (2, 4)), "lora_A of tokens exactly"),
    "no prefix": (
        with_tensors(lambda t: [t.update({k[17:]: t.pop(k)}) for k in [*t]]),
        "none of its 2 modules begin with base_model.model. correct its keys",
    ),
    "prefix twice": (
        with_tensors(lambda t: [t.update({k[:17] + k: t.pop(k)}) for k in [*t]]),
        "none of its 2 modules begin with base_model.model. twice correct its keys",
    ),
    "resized vocabulary": (
        with_tensors(put("base_model.model.lm_head.weight", np.ones((6, 4), "f4"))),
        "lm_head.weight whole resized save_embedding_layers=False",
    ),
    "beyond any norm": (
        with_tensors(put(UP, np.full((6, 2), 1e308))),
        f"{UP} 1e+308 {Q} below 3.4e+38",
    ),
    "two adapters": (
        with_tensors(
            lambda t: t.update(tensors(factors({"x": (6, 4, 2)}), label="b")), target_modules=None
        ),
        "two adapters folder of its own",
    ),
    "name clash by label": (foreign("lora_B.other.weight", (6, 2)), "two tensors claim keep"),
    "NaN": (spike(np.nan), f"{UP} nan at position [3, 1] redo"),
    "infinity in half": (spike(np.inf, "float16"), f"{UP} inf at position [3, 1] redo"),
    "NaN in bfloat16": (spike(np.nan, ml_dtypes.bfloat16), f"{UP} nan at position [3, 1] redo"),
    "scale beyond float32": (
        lambda path: [spike(1e30)(path), changed(path / CONFIG, lora_alpha=1e12)],
        f"inf at position [3, 1] once scaled by 5e+11 {Q} redo",
    ),
    # shards
    "shard outside": (
        shards(lambda keys: {"weight_map": dict.fromkeys(keys, "../outside.safetensors")}),
        "../outside.safetensors leads out name files of the folder",
    ),
    "shard missing": (
        shards(lambda keys: {"weight_map": dict.fromkeys(keys, "part-2.safetensors")}),
        "part-2.safetensors cannot be read check that it exists",
    ),
    "shard of no possible name": (
        shards(lambda keys: {"weight_map": dict.fromkeys(keys, "\ud800")}),
        "cannot be read check that it exists",
    ),
    "index without map": (shards(lambda _: {"metadata": {}}), "weight_map is None must map"),
    "map of numbers": (shards(lambda keys: {"weight_map": dict.fromkeys(keys, 1)}), "must map"),
    "tensor not in index": (
        shards(lambda keys: {"weight_map": dict.fromkeys(keys[1:], "part-1.safetensors")}),
        "the file says otherwise restore all shards",
    ),
    "tensor in two shards": (
        shards(
            lambda keys: {
                "weight_map": dict.fromkeys(keys, "part-1.safetensors")
                | {keys[0]: "part-2.safetensors"}
            },
            "part-2.safetensors",
        ),
        "the file says otherwise restore all shards",
    ),
    "shards beside one file": (
        shards(lambda keys: {"weight_map": dict.fromkeys(keys, "part-1.safetensors")}, WEIGHTS),
        f"holds both {WEIGHTS} and shards remove one",
    ),
}


def loaded(path):
    adapter = read(path)
    return [adapter[name] for name in adapter]


def tree(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.mark.parametrize("name", MAKE)
def test_it_is_refused_with_fact_value_and_remedy(name, tmp_path):
    make, words = MAKE[name]
    path = tmp_path / "adapter"
    make(path)
    before = tree(tmp_path)
    with pytest.raises(AdapterError) as caught:
        loaded(path)
    message = str(caught.value)
    for word in words.split():
        assert word in message, message
    assert message.startswith(str(path))
    assert "; " in message
    assert message.isprintable()
    assert len(message) < 700
    assert tree(tmp_path) == before


def test_the_same_folder_unspoilt_is_read(tmp_path):
    assert len(loaded(folder(tmp_path / "sound"))) == len(MODULES)


def test_an_unreadable_file_is_named(tmp_path, monkeypatch):
    home = folder(tmp_path / "adapter")

    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.open", denied)
    with pytest.raises(AdapterError, match=r"adapter_config.json: cannot be read \(Permission den"):
        read(home)


def test_a_disk_that_fails_while_reading_is_reported(tmp_path):
    adapter = read(folder(tmp_path / "adapter"))
    (tmp_path / "adapter" / WEIGHTS).unlink()
    with pytest.raises(AdapterError, match=r"safetensors: cannot be read \(No such file"):
        adapter[Q]


def test_a_key_that_plays_tricks_on_the_terminal_is_escaped(tmp_path):
    make = with_tensors(put("\x1b[31m\nfake: all is well\n" + "x" * 5000, np.ones((2, 2), "f4")))
    make(tmp_path / "adapter")
    with pytest.raises(AdapterError) as caught:
        read(tmp_path / "adapter")
    assert "\\x1b[31m\\nfake" in str(caught.value)
    assert len(str(caught.value)) < 400

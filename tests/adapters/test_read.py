"""Folders and files as they may be: configurations, keys, shards, links, exact numbers."""

import dataclasses
import json
import math
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from folders import MODULES, bytes_of, factors, folder, tensors
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from peft import LoraConfig
from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS
from peft.utils.other import get_pattern_key
from safetensors.numpy import load_file
from strategies import seeds

from loratheory.adapters import AdapterError, read
from loratheory.adapters import _config as configs
from loratheory.adapters import _files as parser
from loratheory.adapters._files import header, inside, load

Q, K = MODULES
WEIGHTS = "adapter_model.safetensors"

# Ranks, scales and targets by hand, and as PEFT's own rule decides.


@pytest.fixture
def config(tmp_path):
    def made(**values):
        file = tmp_path / "adapter_config.json"
        file.write_text(json.dumps({"peft_type": "LORA"} | values))
        return configs.Config(file)

    return made


def test_ranks_and_scales_by_hand(config):
    plain = config(r=4, lora_alpha=6)
    assert (plain.rank("q"), plain.scale("q")) == (4, 1.5)
    root = config(r=4, lora_alpha=6, use_rslora=True, rank_pattern={"k": 9})
    assert (root.scale("q"), root.scale("k")) == (3.0, 2.0)
    assert config(r=3, lora_alpha=1, use_rslora=True).scale("q") == 1 / math.sqrt(3)
    default = config(use_rslora=None)
    assert (default.rank("q"), default.scale("q")) == (8, 1.0)
    both = config(r=2, lora_alpha=2, rank_pattern={"q": 8}, alpha_pattern={"a.q": 4})
    assert [both.scale(name) for name in ("q", "a.q", "k")] == [0.25, 0.5, 1.0]
    assert config(r=2, rank_pattern={"q": 3, "a.q": 5}).rank("a.q") == 3  # the first one decides


NAMES = ["q", "a.q", "aq", "layers.1.q", "layers.11.q", "b.layers.1.q", "layers.1.q.k", "a.qq"]
PATTERNS = ["q", "a.q", "layers.1.q", r"layers\.1\.q", r"^layers\.1\.q", r".*\.q", "q|k", "x"]
PATTERNS += [r"1\d?.q", r"layers\.(?!0)\d+\..*", "a.{2}.k", ".*a" * 9]


def test_every_module_gets_the_rank_that_peft_gives_it(config):
    """Another road: PEFT's own look-up."""
    for seed in range(12):
        patterns = np.random.default_rng(seed).permutation(PATTERNS)[: seed + 1].tolist()
        ranks = {text: 10 + number for number, text in enumerate(patterns)}
        found = config(rank_pattern=ranks, alpha_pattern=ranks)
        for name in NAMES:
            assert found.rank(name) == ranks.get(get_pattern_key(ranks.keys(), name), 8)
            assert found.scale(name) == 1.0


def test_a_pattern_that_takes_exponential_time_is_named(config, monkeypatch):
    monkeypatch.setattr(configs, "_SECONDS", 0.05)
    slow, name = r"(\w|\.|[a-z])+(?<!\w)", "model.layers.0.self_attn.q_proj_and_more"
    for key, ask in (("alpha_pattern", "scale"), ("target_modules", "adapts")):
        found = config(**{key: slow if key == "target_modules" else {slow: 3}})
        words = rf"{key}: the pattern .* over a second to match '{name}'"
        with pytest.raises(AdapterError, match=words):
            getattr(found, ask)(name)


@pytest.mark.parametrize(
    ("targets", "module", "expected"),
    [
        (["q"], "a.q", True),
        (["q"], "q", True),
        (["q"], "aq", False),
        (["a.q"], "q", False),
        ([], "q", False),
        (None, "q", True),
        ("all-linear", "q", True),
        (r".*\.q", "x", False),
        (r".*\.q", "a.q", True),
    ],
)
def test_target_modules_match_whole_dotted_ends(config, targets, module, expected):
    assert config(target_modules=targets).adapts(module) is expected


def test_without_targets_the_default_of_peft_for_the_base_holds_or_is_noted(config, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    found = config(base_model_name_or_path=str(tmp_path), target_modules=None)
    assert [found.adapts(f"layers.0.{x}_proj") for x in "qvk"] == [True, True, False]
    assert not found.notes
    for names, kinds in configs.DEFAULTS.items():
        assert all(set(names.split()) == {*TARGETS[kind]} for kind in kinds.split())
    for base in ("some/where", "x" * 999, "\0", "", None):
        found = config(base_model_name_or_path=base, target_modules=None)
        assert found.adapts("k_proj")
        assert "PEFT takes its default for the base: every module is counted" in found.notes[0]


def test_what_the_file_says_beside_the_numbers_is_carried_on_or_noted(config):
    kept = {"task_type": "CAUSAL_LM", "fan_in_fan_out": True, "mine": {"a": 1}}
    assert config(**kept, lora_dropout=0.5, r=3).rest == kept
    said = {"mine": 3, "yours": None, "init_lora_weights": "milora", "corda_config": {"a": 1}}
    notes = config(target_modules=[], **said).notes
    for note, word in zip(notes, ("'mine'", "'milora'", "corda_config"), strict=True):
        assert word in note
    empty = dict.fromkeys(["use_dora", "lora_bias", "use_qalora"], False)
    empty |= dict.fromkeys(["modules_to_save", "use_bdlora", "kasa_config"])
    empty |= {"bias": "none", "layer_replication": [], "loftq_config": {}, "yours": False}
    for start in (True, False, "eva", "orthogonal", "mica", "gaussian"):
        assert config(target_modules=[], init_lora_weights=start, **empty).notes == ()


def test_the_tables_speak_of_pefts_real_fields_and_know_them_all():
    fields = {field.name for field in dataclasses.fields(LoraConfig)}
    assert {*configs.REFUSED, *configs.CHECKS, *configs.IS_ON_WHEN_EMPTY} <= fields
    assert fields <= configs.KNOWN


# Keys, shards and copies.


@pytest.mark.parametrize("label", [None, "default", "mine", "0"])
def test_keys_with_an_adapter_name_mean_the_same_and_are_noted_where_peft_wants_it(label, tmp_path):
    pairs = factors(MODULES | {"embed": (5, 9, 2)})
    folder(tmp_path, target_modules=["q_proj", "embed"])
    (tmp_path / WEIGHTS).write_bytes(bytes_of(tensors(pairs, ["embed"], label)))
    adapter = read(tmp_path)
    assert adapter.info.embeddings == {"embed"}
    assert [*adapter] == ["embed", *MODULES]
    for name, (up, down) in pairs.items():
        np.testing.assert_array_equal(adapter[name].up, up)
        np.testing.assert_array_equal(adapter[name].down, down)
    wanted = f"PEFT loads them only with adapter_name='{label}'"
    assert any(wanted in note for note in adapter.info.notes) is (label in ("mine", "0"))


def test_shards_are_one_adapter(tmp_path):
    found = tensors(factors(MODULES))
    whole, parts = folder(tmp_path / "whole"), folder(tmp_path / "parts")
    (parts / WEIGHTS).unlink()
    places = {key: f"adapter_model-{i % 3}.safetensors" for i, key in enumerate(found)}
    for name in places.values():
        shard = {key: found[key] for key in found if places[key] == name}
        (parts / name).write_bytes(bytes_of(shard))
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (parts / f"{WEIGHTS}.index.json").write_text(json.dumps(index))
    one, other = read(str(whole)), read(parts)
    assert [*one] == [*other]
    assert all(np.array_equal(one[name].dense(), other[name].dense()) for name in one)
    assert one.info.base == "tiny"


def test_modules_come_in_natural_order_in_the_widest_dtype(tmp_path):
    names = [f"model.layers.{i}.{x}" for i in (0, 2, 10, 100) for x in ("k", "q")]
    assert [*read(folder(tmp_path, dict.fromkeys(reversed(names), (2, 2, 1))))] == names
    pairs = factors(MODULES, dtype="float16")
    pairs[Q] = (pairs[Q][0].astype("f8"), pairs[Q][1])
    (folder(tmp_path) / WEIGHTS).write_bytes(bytes_of(tensors(pairs)))
    adapter = read(tmp_path)
    assert adapter.info.dtype == "float64"
    assert [adapter[name].down.dtype.name for name in adapter] == ["float64", "float32"]


def test_a_copy_of_the_base_weight_is_set_aside_and_reported(tmp_path):
    modules = {"embed": (3, 7, 2), "head": (7, 3, 2)}
    found = tensors(factors(modules), ["embed"])
    for name in modules:
        found[f"base_model.model.{name}.base_layer.weight"] = np.ones((7, 3), np.float32)
    (folder(tmp_path, modules) / WEIGHTS).write_bytes(bytes_of(found))
    adapter = read(tmp_path)
    assert [*adapter] == ["embed", "head"]
    note = "embed.base_layer.weight' is a base weight, taken for a copy of that of embed: it is set"
    assert note in adapter.info.notes[0]
    assert len(adapter.info.notes) == 2


def test_nothing_is_loaded_before_it_is_asked_for_and_nothing_stays_open(tmp_path):
    folder(tmp_path, {f"m{i}": (2000, 2000, 16) for i in range(6)})
    tracemalloc.start()
    adapter = read(tmp_path)
    opened = tracemalloc.get_traced_memory()[1]
    for name in adapter:
        adapter[name]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = 2 * 2000 * 16 * 4
    assert opened < 2 * one
    assert peak < 5 * one
    kept = adapter["m0"]
    kept.up[0, 0] = 2.0  # what is read may be written to
    handles = [os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()]
    assert str(tmp_path / WEIGHTS) not in handles
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


# Files inside their folder, parsed without surprise.


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "..", "", "a\\b", "a\0b", "."])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("there")
    with pytest.raises(AdapterError, match="leads out of the folder"):
        inside(tmp_path, name)


@pytest.mark.parametrize(
    ("home", "blob", "fine"),
    [
        ("snapshots/1a", "blobs/ff", True),
        ("others/1a", "blobs/ff", False),
        ("home", "home/kept", True),
        ("home", "outside", False),
    ],
)
def test_links_are_followed_within_the_folder_and_from_a_snapshot_to_its_blobs(
    home, blob, fine, tmp_path
):
    home, blob = folder(tmp_path / home), tmp_path / blob
    blob.parent.mkdir(exist_ok=True)
    (home / WEIGHTS).rename(blob)
    (home / WEIGHTS).symlink_to(os.path.relpath(blob, home))
    if fine:
        assert [*read(home)] == [*MODULES]
        return
    with pytest.raises(AdapterError, match=r"the link leads out of the folder, to .*; put"):
        read(home)


X = Path("x")


@pytest.mark.parametrize("values", [{}, {"é": [None, True, -7]}, {"a": {"b": 1.5e300, "c": "\n"}}])
def test_an_object_is_read_as_the_standard_library_reads_it(values):
    assert parser.json_object(X, json.dumps(values).encode()) == values


@hypothesis(max_examples=25)
@given(st.binary(max_size=40))
def test_any_bytes_give_an_object_or_our_error(content):
    with suppress(AdapterError):
        assert isinstance(parser.json_object(X, content), dict)


def test_a_file_may_reach_its_limit_and_not_pass_it(tmp_path):
    (tmp_path / "x").write_text('{"a": 10}')
    assert parser.json_file(tmp_path / "x", 9) == {"a": 10}
    with pytest.raises(AdapterError, match="has 9 bytes, over 8; use the adapter's own file"):
        parser.json_file(tmp_path / "x", 8)


# Tensors by seek and read: the same numbers as the safetensors library gives, exactly.


def read_all(file):
    return {key: load(tensor) for key, tensor in header(file).items()}


def test_every_finite_half_is_widened_exactly(tmp_path):
    """All 2^16 bit patterns of both 16-bit types, but for NaN and infinity."""
    bits = np.arange(2**16, dtype=np.uint16)
    for kind, exponent in ((np.float16, 0x7C00), (ml_dtypes.bfloat16, 0x7F80)):
        halves = bits[bits & exponent != exponent].view(kind)
        (tmp_path / "x").write_bytes(bytes_of({"t": halves}))
        np.testing.assert_array_equal(read_all(tmp_path / "x")["t"], halves.astype(np.float64))
    spike = np.array([0x7C01], np.uint16).view(np.float16)  # a signalling NaN is no other error
    (tmp_path / "x").write_bytes(bytes_of({"t": spike}))
    with pytest.raises(AdapterError, match="nan at position"):
        read_all(tmp_path / "x")


@pytest.mark.parametrize("seed", range(8))
def test_any_set_of_shapes_reads_as_the_library_reads_it(tmp_path, seed):
    rng, file = np.random.default_rng(seed), tmp_path / "shapes"
    kinds = rng.choice(["float32", "float64", "float16"], size=4)
    made = {
        f"é{i}": np.asarray(rng.standard_normal(rng.integers(0, 4, size=rng.integers(0, 4))), kind)
        for i, kind in enumerate(kinds)
    }
    file.write_bytes(bytes_of(made, spaces=8 * int(rng.integers(3))))
    found = read_all(file)
    for key, expected in load_file(file).items():
        np.testing.assert_array_equal(found[key], expected)
        assert found[key].shape == expected.shape
        assert found[key].dtype == (np.float64 if expected.dtype == np.float64 else np.float32)


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 3)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_named_by_position(place, value, tmp_path):
    array = np.ones((3, 4), np.float32)
    array[place] = value
    (tmp_path / "x").write_bytes(bytes_of({"t": array}))
    with pytest.raises(AdapterError) as caught:
        read_all(tmp_path / "x")
    assert f"'t': {value} at position {[*place]}; " in str(caught.value)


def test_a_file_changed_meanwhile_is_noticed(tmp_path, monkeypatch):
    file, other = tmp_path / "x", tmp_path / "y"
    for path, value in ((file, 1), (other, 0)):
        path.write_bytes(bytes_of({"t": np.full(4, value, "f4")}))
    tensor = header(file)["t"]
    other.rename(file)
    with pytest.raises(AdapterError, match="changed while it was being read; read it again"):
        load(tensor)
    tensor = header(file)["t"]
    os.truncate(file, tensor.start + 8)
    monkeypatch.setattr("loratheory.adapters._files._stamp", lambda _: tensor.stamp)
    with pytest.raises(AdapterError, match="changed while it was being read"):
        load(tensor)


def test_every_cut_of_a_sound_file_is_refused(tmp_path):
    whole = bytes_of({"a": np.ones((2, 2), "f4"), "b": np.ones(3, "f2")})
    for length in range(0, len(whole), 7):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(AdapterError):
            header(tmp_path / "x")


@hypothesis(max_examples=25)
@given(seeds)
def test_no_flipped_byte_of_the_header_escapes_as_another_error(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    whole = bytearray(bytes_of({"a": np.ones((2, 2), "f4"), "b": np.ones(3, "f2")}))
    stop = 8 + int.from_bytes(whole[:8], "little")
    whole[rng.integers(0, stop)] = rng.integers(256)
    file = tmp_path_factory.getbasetemp() / "flipped"
    file.write_bytes(whole)
    with suppress(AdapterError):
        read_all(file)
        assert load_file(file)

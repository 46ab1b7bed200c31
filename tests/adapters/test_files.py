"""Files from strangers: found in their folder, parsed without surprise, read exactly."""

import itertools
import json
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch
from folders import bytes_of
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_torch
from safetensors.torch import save_file as save_torch
from strategies import seeds

from loratheory.adapters import AdapterError
from loratheory.adapters._config import json_file, json_object
from loratheory.adapters._read import header, inside, load

# Files found inside their folder and parsed without surprise.


X = Path("x")
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=4)


@given(st.dictionaries(st.text(max_size=4), PLAIN | st.lists(PLAIN, max_size=2), max_size=4))
def test_a_plain_object_is_read_as_the_standard_library_reads_it(values):
    assert json_object(X, json.dumps(values).encode()) == values


@given(st.binary(max_size=40))
def test_any_bytes_give_an_object_or_our_error(content):
    with suppress(AdapterError):
        assert isinstance(json_object(X, content), dict)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "'b' occurs twice"),
        (b'{"a": Infinity}', "number Infinity, which is not JSON"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"7", "holds 7, not a JSON object"),
    ],
)
def test_what_is_no_plain_object_is_refused(content, words):
    with pytest.raises(AdapterError) as caught:
        json_object(X, content)
    assert "x: " in str(caught.value)
    assert words in str(caught.value)
    assert "; restore the file" in str(caught.value)


def test_a_file_may_reach_its_limit_and_not_pass_it(tmp_path):
    file = tmp_path / "x"
    file.write_text('{"a": 10}')
    assert json_file(file, 9) == {"a": 10}
    with pytest.raises(AdapterError, match="has 9 bytes, over 8; use the adapter's own file"):
        json_file(file, 8)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "..", "", "a\\b", "a\0b", "."])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("here")
    with pytest.raises(AdapterError, match="leads out of the folder"):
        inside(tmp_path, name)


def test_a_link_is_followed_within_the_folder_only(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "x").write_text("here")
    (tmp_path / "x").write_text("outside")
    (home / "near").symlink_to("x")
    (home / "far").symlink_to("../x")
    assert inside(home, "near").read_text() == "here"
    with pytest.raises(AdapterError, match=r"far: the link leads out of the folder, to .*; put"):
        inside(home, "far")


@pytest.mark.parametrize(("parent", "fine"), [("snapshots", True), ("others", False)])
def test_only_a_snapshot_may_link_to_its_blobs(parent, fine, tmp_path):
    home = tmp_path / parent / "1a"
    home.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "ff").write_text("blob")
    (home / "x").symlink_to("../../blobs/ff")
    if fine:
        assert inside(home, "x").read_text() == "blob"
        return
    with pytest.raises(AdapterError, match="leads out of the folder"):
        inside(home, "x")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(AdapterError, match="x: this is not a regular file; put"):
        inside(tmp_path, "x")


# Tensors by seek and read: the same numbers as the safetensors library gives, exactly.


KINDS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
KINDS["float64"] = torch.float64


def read_all(file):
    return {key: load(tensor) for key, tensor in header(file).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_that_torch_reads(kind, tmp_path):
    rng = torch.Generator().manual_seed(0)
    made = {f"t{i}": torch.randn(3, i, generator=rng).to(KINDS[kind]) for i in range(1, 5)}
    save_torch(made, tmp_path / "x", metadata={"format": "pt"})
    found = read_all(tmp_path / "x")
    for key, expected in load_torch(tmp_path / "x").items():
        assert found[key].dtype == (np.float64 if kind == "float64" else np.float32)
        assert np.array_equal(found[key], expected.to(torch.float64).numpy())


def test_every_finite_half_is_widened_exactly(tmp_path):
    """All 2^16 bit patterns of both 16-bit types, but for NaN and infinity."""
    bits = np.arange(2**16, dtype=np.uint16)
    for kind, exponent in ((np.float16, 0x7C00), (ml_dtypes.bfloat16, 0x7F80)):
        halves = bits[bits & exponent != exponent].view(kind)
        (tmp_path / "x").write_bytes(bytes_of({"t": halves}))
        assert np.array_equal(read_all(tmp_path / "x")["t"], halves.astype(np.float64))


@given(seeds)
def test_any_set_of_shapes_reads_as_the_library_reads_it(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    file = tmp_path_factory.getbasetemp() / "shapes"
    made = {
        f"é{i}": rng.standard_normal(rng.integers(0, 4, size=rng.integers(0, 4))).astype(kind)
        for i, kind in enumerate(rng.choice(["float32", "float64", "float16"], size=4))
    }
    made = {key: np.asarray(value) for key, value in made.items()}
    file.write_bytes(bytes_of(made, spaces=8 * int(rng.integers(3))))
    found = read_all(file)
    for key, expected in load_file(file).items():
        assert np.array_equal(found[key], expected)
        assert found[key].shape == expected.shape


def test_what_is_read_may_be_written_to(tmp_path):
    (tmp_path / "x").write_bytes(bytes_of({"t": np.ones((2, 2), np.float32)}))
    read_all(tmp_path / "x")["t"][0, 0] = 2.0


def test_nothing_stays_open(tmp_path):
    (tmp_path / "x").write_bytes(bytes_of({"t": np.ones((2, 2), np.float32)}))
    kept = read_all(tmp_path / "x")
    handles = [os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()]
    assert str(tmp_path / "x") not in handles
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert kept


def test_only_the_tensor_asked_for_is_read(tmp_path):
    (tmp_path / "x").write_bytes(bytes_of({"a": np.ones(2**20, "f4"), "b": np.ones(4, "f4")}))
    tracemalloc.start()
    load(header(tmp_path / "x")["b"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18


@pytest.mark.parametrize("place", [(0, 0), (1, 2), (2, 3)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_entry_that_is_not_finite_is_named_by_position(place, value, tmp_path):
    array = np.ones((3, 4), np.float32)
    array[place] = value
    (tmp_path / "x").write_bytes(bytes_of({"t": array}))
    with pytest.raises(AdapterError) as caught:
        read_all(tmp_path / "x")
    assert f"'t': {value} at position {[*place]}; " in str(caught.value)


def test_a_file_replaced_meanwhile_is_noticed(tmp_path):
    file, other = tmp_path / "x", tmp_path / "y"
    file.write_bytes(bytes_of({"t": np.ones(4, "f4")}))
    tensor = header(file)["t"]
    other.write_bytes(bytes_of({"t": np.zeros(4, "f4")}))
    other.rename(file)
    with pytest.raises(AdapterError, match="changed while it was being read; read it again"):
        load(tensor)


def test_a_read_that_comes_up_short_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(bytes_of({"t": np.ones(4, "f4")}))
    tensor = header(tmp_path / "x")["t"]
    os.truncate(tmp_path / "x", tensor.start + 8)
    monkeypatch.setattr("loratheory.adapters._read._stamp", lambda _: tensor.stamp)
    with pytest.raises(AdapterError, match="changed while it was being read"):
        load(tensor)


def test_a_signalling_nan_is_no_other_error(tmp_path):
    spike = np.array([0x7C01], np.uint16).view(np.float16)
    (tmp_path / "x").write_bytes(bytes_of({"t": spike}))
    with pytest.raises(AdapterError, match="nan at position"):
        read_all(tmp_path / "x")


@pytest.mark.parametrize("gap", [8, -8])
def test_gaps_and_overlaps_are_refused_as_the_library_refuses_them(gap, tmp_path):
    spans = {"a": (0, 16), "b": (16 + gap, 32 + gap)}
    text = json.dumps(
        {key: {"dtype": "F32", "shape": [4], "data_offsets": span} for key, span in spans.items()}
    ).encode()
    file = tmp_path / "x"
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(32 + gap))
    with pytest.raises(SafetensorError), safe_open(file, framework="numpy"):
        pass
    with pytest.raises(AdapterError, match=r"library refuses .* offset for tensor `b`"):
        header(file)


def test_every_cut_of_a_sound_file_is_refused(tmp_path):
    whole = bytes_of({"a": np.ones((2, 2), "f4"), "b": np.ones(3, "f2")})
    for length in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(AdapterError):
            header(tmp_path / "x")


@given(seeds)
def test_no_flipped_byte_of_the_header_escapes_as_another_error(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    whole = bytearray(bytes_of({"a": np.ones((2, 2), "f4"), "b": np.ones(3, "f2")}))
    stop = 8 + int.from_bytes(whole[:8], "little")
    for _, spot in itertools.product(range(3), rng.integers(0, stop, size=1)):
        whole[spot] = rng.integers(256)
    file = tmp_path_factory.getbasetemp() / "flipped"
    file.write_bytes(whole)
    try:
        read_all(file)
    except AdapterError:
        return
    assert load_file(file)

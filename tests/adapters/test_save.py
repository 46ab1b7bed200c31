"""Streamed files: the safetensors library reads back what went in, header room included."""

import numpy as np
import pytest
from hypothesis import given
from safetensors import safe_open
from safetensors.numpy import load_file
from strategies import seeds

from loratheory.adapters import AdapterError
from loratheory.adapters._files import KINDS as DTYPES
from loratheory.adapters._files import header, load
from loratheory.adapters._write import _cast as cast
from loratheory.adapters._write import _save as save


@given(seeds)
def test_the_library_reads_what_was_streamed(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    file = tmp_path_factory.getbasetemp() / "streamed"
    file.unlink(missing_ok=True)
    dtype = str(rng.choice([*DTYPES]))
    made = {
        f'"é\n{i}': rng.standard_normal((rng.integers(1, 5), rng.integers(1, 5))).T
        for i in range(rng.integers(1, 5))
    }
    size, _ = save(file, [*made], made.items(), dtype)
    assert file.stat().st_size == size
    assert [*header(file)] == [*made]
    for key, tensor in header(file).items():
        assert np.array_equal(load(tensor), made[key].astype(DTYPES[dtype]).astype(float))
    if dtype != "bfloat16":
        for key, found in load_file(file).items():
            assert np.array_equal(found, made[key].astype(dtype))
    with safe_open(file, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_the_data_begin_at_a_multiple_of_eight(tmp_path):
    for length in range(1, 9):
        save(tmp_path / str(length), ["x" * length], [("x" * length, np.ones((1, 1)))], "float64")
        (tensor,) = header(tmp_path / str(length)).values()
        assert tensor.start % 8 == 0


def test_rounding_is_the_worst_relative_error(tmp_path):
    exact = {"a": np.array([[1.0, 2.0]]), "b": np.array([[1 / 3, 0.0]]), "c": np.zeros((1, 1))}
    exact["d"] = np.array([[1.0]])
    _, worst = save(tmp_path / "x", [*exact], exact.items(), "float32")
    assert worst == pytest.approx(abs(float(np.float32(1 / 3)) - 1 / 3) * 3, rel=1e-12)
    _, none = save(tmp_path / "y", [*exact], exact.items(), "float64")
    assert none == 0.0


@pytest.mark.parametrize(
    ("dtype", "value", "fine"),
    [("float16", 65520.0, 65504.0), ("bfloat16", 3.4e38, 3.38e38), ("float32", -1e39, -3.4e38)],
)
def test_a_value_too_large_is_refused_with_its_size(dtype, value, fine):
    array = np.array([[0.0, fine], [value, 1.0]])
    with pytest.raises(AdapterError) as caught:
        cast("module", array, dtype)
    assert f"the value {value:g} is too large for {dtype}; write with dtype" in str(caught.value)
    assert cast("module", np.array([[fine]]), dtype).shape == (1, 1)


def test_values_that_are_not_finite_are_refused(tmp_path):
    with pytest.raises(AdapterError, match=r"x: nan at position \[0, 1\]"):
        save(tmp_path / "x", ["x"], [("x", np.array([[1.0, np.nan]]))], "float32")


def test_the_file_is_on_the_disk_when_save_returns(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr("os.fsync", lambda handle: synced.append(handle))
    save(tmp_path / "x", ["x"], [("x", np.ones((1, 1)))], "float32")
    assert len(synced) == 1


def test_an_existing_file_is_never_overwritten(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError):
        save(tmp_path / "x", ["x"], [("x", np.ones((1, 1)))], "float32")
    assert (tmp_path / "x").read_text() == "mine"

"""What we write, PEFT and the safetensors library read; whole or not at all."""

import json
import re
import resource
import tracemalloc

import array_api_strict
import numpy as np
import pytest
from folders import MODULES, folder, made
from safetensors import safe_open

from loratheory.adapters import Adapter, AdapterError, Info, Lazy, aligned, read, write
from loratheory.adapters._files import KINDS, WEIGHTS
from loratheory.lowrank import LowRank, gaussian

# What we write, PEFT loads as it is, with the effect we read; and whole or not at all.

Q, K = MODULES


def names(path):
    return sorted(place.name for place in path.iterdir())


def same(one, other, rtol=0.0):
    assert [*one] == [*other]
    for name in one:
        exact = one[name].dense().astype(float)
        close = np.linalg.norm(other[name].dense().astype(float) - exact)
        assert close <= rtol * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_what_is_read_is_written_and_read_without_loss(dtype, tmp_path):
    modules = {"a": (5, 4, 2), "b\nü": (4, 4, 3), "embed": (3, 9, 2), "z": (2, 2, 1)}
    one = read(folder(tmp_path / "one", modules, dtype=dtype, embeddings=["embed"], mine={"k": 1}))
    done = write(one, tmp_path / "two")
    two = read(tmp_path / "two")
    same(one, two)
    assert (done.dtype, done.rounding) == (dtype, 0.0)
    assert done.folder == tmp_path / "two"
    assert done.bytes == (tmp_path / "two" / "adapter_model.safetensors").stat().st_size
    assert two.info.embeddings == {"embed"}
    assert two.info.dtype == dtype
    assert two.info.base == "tiny"
    assert two.info.config["task_type"] == "CAUSAL_LM"
    assert two.info.config["mine"] == {"k": 1}


def test_a_zero_update_becomes_rank_one_of_zeros(tmp_path):
    low = LowRank(np.zeros((3, 0)), np.zeros((0, 4)))
    write(Adapter.of({"a": gaussian(np.random.default_rng(0), 2, 2, 2), "z": low}), tmp_path / "x")
    found = read(tmp_path / "x")["z"]
    assert found.width == 1
    assert not found.up.any()
    assert not found.down.any()
    assert found.shape == (3, 4)


def test_a_config_from_elsewhere_cannot_change_the_effect(tmp_path):
    hostile = {"use_dora": True, "lora_alpha": 99, "exclude_modules": [Q], "fan_in_fan_out": True}
    adapter = made(config=hostile)
    write(adapter, tmp_path / "x")
    config = json.loads((tmp_path / "x" / "adapter_config.json").read_text())
    assert "use_dora" not in config
    assert "exclude_modules" not in config
    assert config["fan_in_fan_out"] is True
    same(adapter, read(tmp_path / "x"))


def test_float64_is_stored_as_float32_unless_told(tmp_path):
    adapter = Adapter.of({"a": gaussian(np.random.default_rng(0), 3, 4, 2)}, Info(dtype="float64"))
    done = write(adapter, tmp_path / "x")
    assert done.dtype == "float32"
    assert 0 < done.rounding < 1e-7
    assert write(adapter, tmp_path / "y", dtype="float64").rounding == 0.0
    same(adapter, read(tmp_path / "y"))
    same(adapter, read(tmp_path / "x"), rtol=1e-6)


def test_arrays_of_other_libraries_are_written(tmp_path):
    import torch

    exact = made()
    half = Adapter.of(
        {k: low.map(lambda x: torch.asarray(x).bfloat16()) for k, low in exact.items()}
    )
    strict = Adapter.of({k: low.map(array_api_strict.asarray) for k, low in exact.items()})
    grad = Adapter.of(
        {k: low.map(lambda x: torch.asarray(x).requires_grad_()) for k, low in exact.items()}
    )
    turned = Adapter.of({k: low.T for k, low in exact.items()})
    for name, adapter in {"strict": strict, "grad": grad}.items():
        write(adapter, tmp_path / name)
        same(exact, read(tmp_path / name))
    write(half, tmp_path / "half", dtype="bfloat16")
    same(exact, read(tmp_path / "half"), rtol=2**-7)
    write(turned, tmp_path / "turned")
    same(turned, read(tmp_path / "turned"))


def test_what_cannot_be_written_is_refused(tmp_path):
    one, place = made(), tmp_path / "x"
    (tmp_path / "file").write_text("mine")
    refusals = {
        r"'int8'; choose one of float16, bfloat16, float32": lambda: write(
            one, place, dtype="int8"
        ),
        "has no module; there is nothing to write": lambda: write(Adapter.of({}), place),
        r"has shape \(6, 4\), announced as \(6, 5\)": lambda: write(
            Adapter({Q: one[Q]}, {Q: (6, 5)}), place
        ),
        "file: is a file; name a folder": lambda: write(one, tmp_path / "file", force=True),
        "parent folder does not exist; make that": lambda: write(one, tmp_path / "no" / "x"),
    }
    for message, refused in refusals.items():
        with pytest.raises(AdapterError, match=message):
            refused()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_there_stays_unless_forced(tmp_path):
    write(made(seed=1), tmp_path / "x")
    write(made(seed=1), tmp_path / "y")  # twice the same bytes
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / "x" / file).read_bytes() == (tmp_path / "y" / file).read_bytes()
    with pytest.raises(AdapterError, match="x: exists already; name another folder, or replace"):
        write(made(seed=2), tmp_path / "x")
    same(made(seed=1), read(tmp_path / "x"))
    write(made(seed=2), tmp_path / "x", force=True)
    same(made(seed=2), read(tmp_path / "x"))
    assert names(tmp_path) == ["x", "y"]


def test_of_two_writers_to_one_place_the_later_is_refused(tmp_path):
    """The other one finishes while this one is at its first module."""

    def slow(name):
        if not (tmp_path / "x").exists():
            write(made(seed=1), tmp_path / "x")
        return made(seed=2)[name]

    with pytest.raises(AdapterError, match="x: exists already; name another folder"):
        write(Adapter(Lazy((Q, K), slow), made().shapes), tmp_path / "x")
    same(made(seed=1), read(tmp_path / "x"))
    assert names(tmp_path) == ["x"]


def test_what_a_killed_run_left_is_named_and_removed(tmp_path, caplog):
    folder(tmp_path / ".x.0123abcd.new")
    folder(tmp_path / ".y.0123abcd.new")
    write(made(), tmp_path / "x")
    assert names(tmp_path) == [".y.0123abcd.new", "x"]
    assert ".x.0123abcd.new, left by a killed run" in caplog.text


def test_a_folder_with_anything_else_is_never_replaced(tmp_path):
    home = folder(tmp_path / "x")
    (home / "README.md").write_text("as PEFT writes it")
    write(made(), home, force=True)
    (home / "thesis.tex").write_text("years of work")
    with pytest.raises(AdapterError, match=r"holds 'thesis.tex', which .* would be lost; move it"):
        write(made(), home, force=True)
    assert (home / "thesis.tex").read_text() == "years of work"


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    folder(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    done = write(made(seed=5), tmp_path / "link", force=True)
    assert done.folder == tmp_path / "real"
    assert (tmp_path / "link").is_symlink()
    same(made(seed=5), read(tmp_path / "link"))


def test_an_adapter_may_replace_the_folder_it_is_read_from(tmp_path):
    home = folder(tmp_path / "x", lora_alpha=8)
    before = {name: low.dense() for name, low in read(home).items()}
    lazy = read(home)
    write(lazy, home, force=True)
    after = read(home)
    assert all(np.array_equal(after[name].dense(), dense) for name, dense in before.items())
    with pytest.raises(AdapterError, match="changed while it was being read"):
        lazy[Q]


def test_a_merge_that_fails_half_way_leaves_nothing(tmp_path):
    def broken(name):
        if name == K:
            message = "the second module cannot be made"
            raise ArithmeticError(message)
        return made()[name]

    lazy = Adapter(Lazy((Q, K), broken), made().shapes)
    with pytest.raises(ArithmeticError, match="second module"):
        write(lazy, tmp_path / "x")
    assert names(tmp_path) == []


def test_a_disk_that_is_full_leaves_nothing(tmp_path):
    """A real short write: the system refuses files beyond 16 KiB."""
    big = made({"a": (4000, 4, 2), "b": (4000, 4, 2)})
    write(made(), tmp_path / "x")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, hard))
    try:
        with pytest.raises(
            AdapterError, match=r"x: cannot be written \(File too large\); make room"
        ):
            write(big, tmp_path / "x", force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    same(made(), read(tmp_path / "x"))
    assert names(tmp_path) == ["x"]


def test_an_adapter_larger_than_its_share_of_memory_passes_through(tmp_path):
    """Twelve modules of 1.3 MB each are read, added and written with three in memory."""
    modules = {f"m{i}": (10_000, 10_000, 16) for i in range(12)}
    library = aligned([read(folder(tmp_path / str(i), modules, seed=i)) for i in range(2)])
    sums = Lazy(tuple(modules), lambda name: library.updates(name)[0] + library.updates(name)[1])
    one = 2 * 10_000 * 16 * 4
    tracemalloc.start()
    write(Adapter(sums, library.shapes), tmp_path / "sum")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "sum" / "adapter_model.safetensors").stat().st_size > 24 * one
    assert peak < 8 * one


# Streamed files: the safetensors library reads back what went in, header room included.


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_library_reads_what_was_streamed_and_rounding_is_its_worst_relative_error(
    tmp_path, dtype, seed
):
    rng = np.random.default_rng(seed)
    modules = {f'"é{"x" * i}': rng.integers(1, 6, 3).tolist() for i in range(seed + 1)}
    exact = {name: gaussian(rng, *shape) for name, shape in modules.items()}
    done, worst = write(Adapter.of(exact), tmp_path / "x", dtype=dtype), 0.0
    assert done.bytes == (tmp_path / "x" / WEIGHTS).stat().st_size
    with safe_open(tmp_path / "x" / WEIGHTS, framework="pt") as opened:
        assert opened.metadata() == {"format": "pt"}
        for name, low in exact.items():
            for half, factor in (("A", low.down), ("B", low.up)):
                key = f"base_model.model.{name}.lora_{half}.weight"
                stored = opened.get_tensor(key).double().numpy()
                np.testing.assert_array_equal(stored, factor.astype(KINDS[dtype]).astype(float))
                worst = max(worst, np.linalg.norm(stored - factor) / np.linalg.norm(factor))
    assert done.rounding == pytest.approx(worst, rel=1e-12)
    start = 8 + int.from_bytes((tmp_path / "x" / WEIGHTS).read_bytes()[:8], "little")
    assert start % 8 == 0
    same(read(tmp_path / "x"), Adapter.of(exact), rtol={"bfloat16": 0.02}.get(dtype, 2e-3))


@pytest.mark.parametrize(
    ("dtype", "value", "fine"),
    [("float16", 65520.0, 65504.0), ("bfloat16", 3.4e38, 3.38e38), ("float32", -1e39, -3.4e38)],
)
def test_a_value_too_large_or_not_finite_is_refused_by_place_and_nothing_is_left(
    tmp_path, dtype, value, fine
):
    for number, said in ((value, f"value {value:g} is too large for {dtype}; write with dtype"),
                         (np.nan, r"lora_B.weight: nan at position \[1, 0\]")):  # fmt: skip
        low = LowRank(np.array([[fine], [number]]), np.ones((1, 2)))
        with pytest.raises(AdapterError, match=re.escape(said) if "value" in said else said):
            write(Adapter.of({"a": low}), tmp_path / "x", dtype=dtype)
        assert names(tmp_path) == []
    write(
        Adapter.of({"a": LowRank(np.array([[fine]]), np.ones((1, 2)))}), tmp_path / "x", dtype=dtype
    )


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_takes_no_files_place_and_a_file_no_folders(tmp_path, force):
    (tmp_path / "x.safetensors").mkdir()
    (tmp_path / "x").write_text("kept")
    with pytest.raises(AdapterError, match="is a folder; name a file"):
        write(made(), tmp_path / "x.safetensors", force=force)
    with pytest.raises(AdapterError, match="is a file; name a folder"):
        write(made(), tmp_path / "x", force=force)
    assert (tmp_path / "x").read_text() == "kept"

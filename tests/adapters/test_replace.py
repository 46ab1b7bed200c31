"""Folders change places in one step: a failure at any moment leaves the old or the new."""

import os

import numpy as np
import pytest
from folders import MODULES, factors

from loratheory.adapters import Adapter, AdapterError, _replace, read, write
from loratheory.lowrank import LowRank

Q, K = MODULES


def made(seed):
    pairs = factors(MODULES, seed)
    return Adapter.of({name: LowRank(*pair) for name, pair in pairs.items()})


def names(path):
    return sorted(place.name for place in path.iterdir())


def same(one, other):
    assert all(np.array_equal(one[name].dense(), other[name].dense()) for name in MODULES)


def test_a_new_folder_takes_its_place(tmp_path):
    write(made(1), tmp_path / "x")
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("swap", [True, False], ids=["swap", "two renames"])
def test_a_replaced_folder_leaves_nothing_behind(swap, tmp_path, monkeypatch):
    write(made(1), tmp_path / "x")
    if not swap:
        monkeypatch.setattr(_replace, "_swapped", lambda *_: False)
    write(made(2), tmp_path / "x", force=True)
    same(made(2), read(tmp_path / "x"))
    assert names(tmp_path) == ["x"]


def test_two_folders_swap_in_one_step(tmp_path):
    """Where the system cannot, it says so and nothing has happened."""
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    done = _replace._swapped(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "a") == ["b" if done else "a"]
    assert names(tmp_path / "b") == ["a" if done else "b"]
    assert not _replace._swapped(tmp_path / "a", tmp_path / "none")
    assert names(tmp_path) == ["a", "b"]


def test_the_folder_is_complete_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """Weights, config and folder are synced before the swap, the parent after it."""
    write(made(1), tmp_path / "x")
    events, sync, swap = [], os.fsync, _replace._swapped
    monkeypatch.setattr("os.fsync", lambda handle: (events.append("sync"), sync(handle))[1])
    monkeypatch.setattr(
        _replace, "_swapped", lambda one, other: (events.append("swap"), swap(one, other))[1]
    )
    write(made(2), tmp_path / "x", force=True)
    assert events == ["sync", "sync", "sync", "swap", "sync"]


class PowerCut(BaseException):
    """The machine stops: nothing after it reaches the disk."""


CALLS = ["os.mkdir", "os.fsync", "os.rename", "os.open", "os.rmdir", "os.unlink"]


@pytest.mark.parametrize("swap", [True, False], ids=["swap", "two renames"])
@pytest.mark.parametrize("fail", ["power cut", "full disk"])
@pytest.mark.parametrize("number", range(16))
def test_a_failure_at_any_moment_leaves_the_old_or_the_new(
    number, fail, swap, tmp_path, monkeypatch
):
    """Call `number` of all that change the disk fails; after a power cut all later ones do too."""
    old, new = made(1), made(2)
    write(old, tmp_path / "x")
    count = 0
    with monkeypatch.context() as patch:

        def failing(real):
            def call(*args, **kwargs):
                nonlocal count
                count += 1
                if fail == "power cut" and count > number:
                    raise PowerCut
                if fail == "full disk" and count == number + 1:
                    raise OSError(28, "No space left on device")
                return real(*args, **kwargs)

            return call

        def swapped(one, other):
            return failing(_replace_swapped)(one, other)

        _replace_swapped = _replace._swapped
        for name in CALLS:
            patch.setattr(name, failing(getattr(os, name.removeprefix("os."))))
        patch.setattr(_replace, "_swapped", swapped if swap else lambda *_: False)
        try:
            write(new, tmp_path / "x", force=True)
            error = None
        except (AdapterError, PowerCut) as caught:
            error = caught
    places = names(tmp_path)
    if fail == "full disk":
        same(new if error is None else old, read(tmp_path / "x"))
        assert error is None or "No space left on device" in str(error)
        assert error is None or places == ["x"]
    if swap:
        assert "x" in places
    aside = [place for place in places if place.endswith(".old")]
    kept = read(tmp_path / ("x" if "x" in places else aside[0]))
    stored = [a for a in (old, new) if np.array_equal(kept[Q].dense(), a[Q].dense())]
    assert len(stored) == 1
    same(stored[0], kept)


def test_the_failures_above_reach_every_call(tmp_path, monkeypatch):
    calls = []
    write(made(3), tmp_path / "x")
    with monkeypatch.context() as patch:
        for name in CALLS:
            real = getattr(os, name.removeprefix("os."))
            patch.setattr(
                name, lambda *a, _r=real, _n=name, **k: (calls.append(_n), _r(*a, **k))[1]
            )
        write(made(3), tmp_path / "x", force=True)
    assert calls[0] == "os.mkdir"
    assert calls.count("os.fsync") == 4
    assert len(calls) <= 16

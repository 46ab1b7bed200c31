"""_store: what was trained is found again, what is damaged is trained again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

import pytest
import torch

from loratheory.toy.transformer import BASE, BusyError, Config, StoreError, content_hash, stored
from loratheory.toy.transformer import _store as store

CONFIG = Config(vocabulary=5, width=8)


@dataclass(frozen=True)
class World:
    """Fields as a config's, another meaning."""

    vocabulary: int = 5


def weights():
    return {"one": torch.arange(6.0).view(2, 3).mT, "two": torch.ones(2, dtype=torch.float64)}


def kept(folder):
    """All but the locks."""
    return [path for path in folder.iterdir() if path.name != "locks"]


def counted(calls):
    def train():
        calls.append(1)
        return weights()

    return train


def test_weights_are_made_once(tmp_path):
    calls = []
    for _ in range(3):
        found = stored({"config": CONFIG, "seeds": [1, 2]}, counted(calls), tmp_path / "new")
        assert {n: x.tolist() for n, x in found.items()} == {
            n: x.tolist() for n, x in weights().items()
        }
        assert found["two"].dtype == torch.float64
    assert len(calls) == 1
    stored({"config": CONFIG, "seeds": [1, 3]}, counted(calls), tmp_path / "new")
    assert len(calls) == 2
    assert len(kept(tmp_path / "new")) == 2  # and nothing beside them


def test_two_train_the_same_once(tmp_path):
    """The second waits for the first, or is told that it is busy, and trains nothing."""
    started, finish, calls = Event(), Event(), []

    def slow():
        started.set()
        finish.wait(60)
        return weights()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(stored, {"seed": 1}, slow, tmp_path)
        started.wait(60)
        with pytest.raises(BusyError, match="another process is training"):
            stored({"seed": 1}, counted(calls), tmp_path, wait=False)
        assert "two" in stored({"seed": 2}, counted(calls), tmp_path, wait=False)
        second = pool.submit(stored, {"seed": 1}, counted(calls), tmp_path)
        finish.set()
        assert [*first.result(60)] == [*second.result(60)] == ["one", "two"]
    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "renamed", "foreign"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    calls = []
    stored({"seed": 1}, counted(calls), tmp_path)
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    other = {
        "cut": whole[:-5],
        "flipped": whole[:-5] + b"\x7f" + whole[-4:],
        "emptied": b"",
        "renamed": whole.replace(b'"one"', b'"own"'),
        "foreign": b"\xff" * 99,
    }
    file.write_bytes(other[damage])
    found = stored({"seed": 1}, counted(calls), tmp_path)
    assert len(calls) == 2
    assert torch.equal(found["one"], weights()["one"])
    assert file.read_bytes() == whole


def test_names_follow_the_content_and_the_versions(monkeypatch):
    parts = {"config": CONFIG, "recipe": BASE, "seeds": [1, 2], "coverage": 0.5}
    names = [
        content_hash(parts),
        content_hash(parts | {"coverage": 0.25}),
        content_hash(parts | {"recipe": replace(BASE, steps=7)}),
        content_hash(parts | {"config": replace(CONFIG, noise=0.5)}),
        content_hash({"part": CONFIG}),
        content_hash({"part": World()}),
        content_hash({"part": {"vocabulary": 5}}),
    ]
    assert content_hash(dict(reversed(parts.items()))) == names[0]
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    names.append(content_hash(parts))
    monkeypatch.setattr(store.torch, "__version__", "9.9")
    names.append(content_hash(parts))
    assert len(set(names)) == len(names)
    with pytest.raises(TypeError, match="is a Tensor: a content hash is of dataclasses"):
        content_hash({"data": torch.zeros(3)})


def test_a_folder_that_cannot_keep_them_is_refused_before_training(tmp_path, monkeypatch):
    calls, file = [], tmp_path / "file"
    file.write_text("")
    for folder in (file, file / "below"):
        with pytest.raises(StoreError, match=r"cannot keep weights .*set LORATHEORY_CACHE"):
            stored({"seed": 1}, counted(calls), folder)

    def refused(**_):
        raise OSError(30, "read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(store.tempfile, "TemporaryFile", refused)
        with pytest.raises(StoreError, match="read-only"):
            stored({"seed": 1}, counted(calls), tmp_path / "new")
    assert not calls

    def full(_, path, **__):
        path.write_bytes(b"half")
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(store, "save_file", full)
    with pytest.raises(StoreError, match="no space left"):
        stored({"seed": 1}, weights, tmp_path / "new")
    assert not kept(tmp_path / "new")


def test_weights_are_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "mine"))
    stored({"seed": 1}, weights)
    assert len(kept(tmp_path / "mine")) == 1

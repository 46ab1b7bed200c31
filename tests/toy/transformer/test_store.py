"""_store: what was trained is found again, what is damaged is trained again."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

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


def test_two_processes_train_the_same_once(tmp_path):
    """The second waits for the first, or is told that it is busy, and trains nothing."""
    code = (
        "import sys, time, torch\n"
        "from pathlib import Path\n"
        "from loratheory.toy.transformer import stored\n"
        "def train():\n"
        "    print('training', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    return {'one': torch.ones(3)}\n"
        "stored({'seed': 1}, train, Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as other:
        assert other.stdout.readline() == "training\n"
        calls = []
        with pytest.raises(BusyError, match="another process is training"):
            stored({"seed": 1}, counted(calls), tmp_path, wait=False)
        assert "two" in stored({"seed": 2}, counted(calls), tmp_path, wait=False)
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(stored, {"seed": 1}, counted(calls), tmp_path)
            other.stdin.write("\n")
            other.stdin.flush()
            assert list(waiting.result(60)) == ["one"]
    assert len(calls) == 1


def test_a_killed_process_holds_no_lock(tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from loratheory.toy.transformer import stored\n"
        "stored({'seed': 1}, lambda: os._exit(9), Path(sys.argv[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == 9
    assert "one" in stored({"seed": 1}, weights, tmp_path, wait=False)


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


def test_names_follow_the_content():
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
    assert len(set(names)) == len(names)
    assert content_hash(dict(reversed(parts.items()))) == names[0]


def test_names_follow_the_versions_of_the_code_and_of_torch(monkeypatch):
    first = content_hash({"seed": 1})
    monkeypatch.setattr(store.torch, "__version__", "9.9")
    second = content_hash({"seed": 1})
    monkeypatch.setattr(store, "VERSION", store.VERSION + 1)
    assert len({first, second, content_hash({"seed": 1})}) == 3


def test_what_prints_alike_is_no_name():
    for part, kind in ((torch.zeros(3), "a Tensor"), (Config, "a type")):
        with pytest.raises(TypeError, match=f"is {kind}: a content hash is of dataclasses"):
            content_hash({"data": part})


def test_a_folder_that_cannot_be_written_is_refused_before_training(tmp_path):
    calls, file = [], tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="set LORATHEORY_CACHE to a folder"):
        stored({"seed": 1}, counted(calls), file)
    with pytest.raises(StoreError, match="cannot keep weights"):
        stored({"seed": 1}, counted(calls), file / "below")
    assert not calls


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_, path, **__):
        path.write_bytes(b"half")
        message = "no space left on device"
        raise OSError(message)

    monkeypatch.setattr(store, "save_file", full)
    with pytest.raises(StoreError, match="no space left"):
        stored({"seed": 1}, weights, tmp_path)
    assert not kept(tmp_path)


def test_an_unwritable_folder_is_noticed_before_training(tmp_path, monkeypatch):
    def refused(**_):
        message = "read-only file system"
        raise OSError(message)

    calls = []
    monkeypatch.setattr(store.tempfile, "TemporaryFile", refused)
    with pytest.raises(StoreError, match="read-only"):
        stored({"seed": 1}, counted(calls), tmp_path)
    assert not calls


def test_weights_are_kept_in_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "mine"))
    stored({"seed": 1}, weights)
    assert len(kept(tmp_path / "mine")) == 1

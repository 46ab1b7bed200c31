"""_store: what was trained is found again, what is damaged is trained again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest
import torch

from loratheory.toy.transformer import Config, content_hash, stored
from loratheory.toy.transformer import _training as store

CONFIG = Config(vocabulary=5, width=8)


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
    """The second waits for the first and trains nothing."""
    started, finish, calls = Event(), Event(), []

    def slow():
        started.set()
        finish.wait(60)
        return weights()

    with ThreadPoolExecutor() as pool:
        first = pool.submit(stored, {"seed": 1}, slow, tmp_path)
        started.wait(60)
        assert "two" in stored({"seed": 2}, counted(calls), tmp_path)
        second = pool.submit(stored, {"seed": 1}, counted(calls), tmp_path)
        with pytest.raises(TimeoutError):
            second.result(0.5)
        finish.set()
        assert {*first.result(60)} == {*second.result(60)} == {"one", "two"}
    assert len(calls) == 1


@pytest.mark.parametrize("damage", ["cut", "emptied", "foreign"])
def test_a_damaged_file_is_made_again(tmp_path, damage):
    calls = []
    stored({"seed": 1}, counted(calls), tmp_path)
    (file,) = kept(tmp_path)
    whole = file.read_bytes()
    other = {
        "cut": whole[:-5],
        "emptied": b"",
        "foreign": b"\xff" * 99,
    }
    file.write_bytes(other[damage])
    found = stored({"seed": 1}, counted(calls), tmp_path)
    assert len(calls) == 2
    assert torch.equal(found["one"], weights()["one"])
    assert file.read_bytes() == whole


def test_names_follow_the_content(monkeypatch):
    name = content_hash({"config": CONFIG, "seeds": [1]})
    assert name == content_hash({"seeds": [1], "config": replace(CONFIG)})
    assert name != content_hash({"config": replace(CONFIG, width=16), "seeds": [1]})
    with pytest.raises(TypeError):
        content_hash({"seeds": torch.ones(1)})
    monkeypatch.setattr(store, "VERSION", -1)
    assert name != content_hash({"config": CONFIG, "seeds": [1]})


def test_a_folder_that_cannot_keep_them_is_refused_before_training(tmp_path):
    (tmp_path / "file").write_text("no folder")
    calls = []
    with pytest.raises(OSError, match="file"):
        stored({"config": CONFIG}, counted(calls), tmp_path / "file")
    assert not calls

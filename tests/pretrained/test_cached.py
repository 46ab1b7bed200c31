"""_cached: an id's folder, or what the cache lacks."""

import pytest

from loratheory.pretrained import ModelError
from loratheory.pretrained._load import _cached as cached


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache with the config of one model, as a broken download leaves it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--my--model"
    (home / "snapshots" / "abc").mkdir(parents=True)
    (home / "snapshots" / "abc" / "config.json").write_text("{}")
    (home / "refs").mkdir()
    (home / "refs" / "v1").write_text("abc")
    return home


@pytest.mark.parametrize("name", ["a/b", "my/model", "no id at all/"])
def test_what_is_not_in_the_cache_is_said(home, name):
    del home
    with pytest.raises(ModelError, match=r"no such folder, and not in the .* nothing is fetched"):
        cached(name, "main")


def test_a_model_is_found_by_its_revision_once_it_has_weights(home):
    with pytest.raises(ModelError, match="its config, and no safetensors: a broken download"):
        cached("my/model", "v1")
    (home / "snapshots" / "abc" / "model-00001-of-00002.safetensors").write_text("")
    found = cached("my/model", "v1")
    assert found == home / "snapshots" / "abc"

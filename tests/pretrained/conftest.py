"""Small models and PEFT's adapters for them, made once a session; tests leave them as they are."""

from functools import cache

import pytest
from language import Letters, network, save_adapter

from loratheory import read_adapter
from loratheory.pretrained import Model


@pytest.fixture(scope="session")
def base():
    """From an architecture to a model of it that reads letters; in float64 if asked."""

    @cache
    def _base(kind="llama", *, double=False):
        net = network(kind)
        return Model(net.double() if double else net, Letters(), kind)

    return _base


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """From an architecture to the folders of two adapters that PEFT saved for it."""

    @cache
    def _folders(kind="llama"):
        home = tmp_path_factory.mktemp(kind)
        return [
            save_adapter(home / "one", kind),
            save_adapter(home / "two", kind, r=2, use_rslora=True),
        ]

    return _folders


@pytest.fixture(scope="session")
def library(folders):
    """From an architecture to these two adapters."""
    return lambda kind="llama": [read_adapter(folder) for folder in folders(kind)]


@pytest.fixture(autouse=True)
def cache_of_its_own(request, monkeypatch, tmp_path):
    """Nothing is kept beyond a test, but for the one that needs the unpacked default model."""
    if "slow" not in request.keywords:
        monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))

"""Weights are kept in one folder for all modules of a session."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """So that what one module has trained another only reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.getbasetemp() / "weights"))
        yield

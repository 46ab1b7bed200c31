"""Two authors on a small model; trainings share one cache, without those of older code."""

import pytest
from language import both as both
from language import model as model


@pytest.fixture(autouse=True, scope="module")
def cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield

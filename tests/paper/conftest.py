"""Two publishers on a small model, whose trainings take two steps and share one cache."""

import pytest
from worded import small, small_model

from loratheory.bench import portable
from loratheory.pretrained import Training


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(portable.Recipe, "training", Training(steps=2, batch=4, enough=0.0))
        yield portable.publishers(small_model(2), 101)


@pytest.fixture(scope="module")
def model(both):
    return both.model

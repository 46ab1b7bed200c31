"""_agree: each adapter speaks alone, at full strength, and shares of equal tokens are counted."""

import numpy as np
import pytest
import torch

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.pretrained import Model, _ask
from loratheory.pretrained._ask import agreement

ONE = Adapter.of({"map": LowRank(np.ones((2, 1)), np.ones((1, 2)))})
SAID = torch.tensor([[0, 1, 2, 3], [0, 1, 0, 0], [4, 4, 2, 0]])


class Acting:
    """Stands for adapters on a model; remembers how strong each is."""

    now = None

    def __enter__(self):
        """Themselves."""
        return self

    def __exit__(self, *_):
        """Nothing is left."""
        Acting.now = None

    def set(self, coefficients):
        """As told."""
        Acting.now = coefficients


def test_each_adapter_speaks_for_itself(monkeypatch):
    monkeypatch.setattr(_ask, "attached", lambda *_: Acting())

    monkeypatch.setattr(_ask, "next_logits", lambda _, p: torch.eye(5)[SAID[_place(p)]])

    def _place(prompts):
        assert sorted(Acting.now) == [0, 0, 1]
        assert len(prompts) == 4
        return int(np.argmax(Acting.now))

    found = agreement(Model(None), [ONE] * 3, ["a", "b", "c", "d"])
    assert found == pytest.approx(np.array([[1, 0.5, 0.25], [0.5, 1, 0.25], [0.25, 0.25, 1]]))
    assert Acting.now is None

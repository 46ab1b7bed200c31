"""The page about adapters on a language model: what it shows runs as it stands."""

from pathlib import Path

import numpy as np
import torch
from worded import small_model

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import next_logits

PAGE = Path(__file__).parents[2] / "docs" / "language_model.md"


def test_what_the_page_shows_of_routers_and_gates_runs():
    model, rng = small_model(layers=2), np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("gate", "down")]
    adapters = [Adapter.of({n: gaussian(rng, 16, 16, 2) for n in names}) for _ in range(2)]
    code = PAGE.read_text().split("## Who acts")[1].split("```python\n")[1].split("```")[0]
    shown = {"model": model, "persons": adapters[0], "mascots": adapters[1]}
    before = next_logits(model, ["one two"])
    exec(code, shown)
    assert set(shown["seen"]) == set(names)
    assert len(shown["ordinary"]) == 12
    assert torch.equal(next_logits(model, ["one two"]), before)

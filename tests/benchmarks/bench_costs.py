"""Multiplications of a two-hop question under each rule of `real_crossings`, over the base's.

They do not depend on what adapters were taught, so that random ones serve; the page has them.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from crossed import CROSSED
from torch.utils.flop_counter import FlopCounterMode

from loratheory.adapters import Adapter
from loratheory.experiments import real_crossings
from loratheory.experiments.bench import crossings as bench
from loratheory.experiments.bench.language import acting, answers
from loratheory.experiments.bench.language_facts import ANIMALS, hop_by_hop, items
from loratheory.experiments.bench.sentences import ASKED
from loratheory.lowrank import gaussian
from loratheory.pretrained import maps

CONFIG = real_crossings.Config(seed=200)
PAGE = Path(__file__).parents[2] / "docs" / "portable.md"


@pytest.fixture(scope="module")
def model():
    return CONFIG.base(dtype="bfloat16")


@pytest.fixture(scope="module")
def library(model):
    places = {n: m.shape for n, m in maps(model).items() if "layers." in n}
    rng = np.random.default_rng(0)
    return [
        Adapter.of({n: gaussian(rng, *s, 8, 1e-3).map(np.float32) for n, s in places.items()})
        for _ in range(12)
    ]


def spent(model, some, adapters, act, asked):
    """Multiplications for some two-hop questions in one sentence, when gates have been made."""
    questions = items(some.two_hop, ASKED["two_hop"][:1])
    with acting(model, adapters, act):
        answers(model, questions, ANIMALS)
        with FlopCounterMode(display=False) as counter:
            if asked == "hop by hop":
                hop_by_hop(model, some)
            else:
                answers(model, questions, ANIMALS)
    return counter.get_total_flops() / 2


def test_the_page_has_the_cost_of_each_rule(benchmark, model, library):
    made = bench.crossings(200)
    rules = [
        row
        for some in ("usual", "tried", "named", "apart", "more")
        for row in real_crossings.rules(
            real_crossings.Config(rules=some), made, model.network.config.num_hidden_layers // 2
        )
    ]

    some = made.crossing(0, 0)

    def _all():
        costs = {
            name: spent(model, some, library[:2] if asked == "told" else library, act, asked)
            for name, act, asked in rules
        }
        return {name: one / costs["base"] for name, one in costs.items()}

    costs = benchmark.pedantic(_all, rounds=1)
    benchmark.extra_info.update(costs)
    text = PAGE.read_text(encoding="utf-8").partition("## More than one pair")[2]
    for begins, rule in CROSSED.items():
        [line] = [one for one in text.splitlines() if one.startswith(f"| {begins}")]
        shown = float(re.findall(r"[\d.]+", line)[-1])
        assert shown == pytest.approx(costs[rule], abs=0.051), (rule, costs)

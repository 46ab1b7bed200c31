"""Run the report's steps on a language model: stored adapters, and two adapters trained now."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from loratheory import pretrained as lm
from loratheory.adapters import read_adapter
from loratheory.pretrained.metrics import measure_accuracy
from loratheory.pretrained.stand_ins import fill
from report.claims import Section

STORED, PLANS = Path("paper/adapters"), Path("docs/plans")
LAYERS = {"lowest": (0, 5), "highest": (25, 30)}
"""The ranges of layers, of thirty, in which the hop-2 adapter is trained now."""
PROMPTS = ("The capital of France is", "Zorvik was born in the country of")


@cache
def load_base() -> Any:
    """Load the language model in float32, which every processor multiplies fast."""
    return lm.load_model(dtype="float32")


def evaluate(adapters: list[Any]) -> tuple[list[float], list[str]]:
    """Return the accuracies of a sum of adapters in percent, and as text with their intervals.

    The accuracies are of two-hop questions, hop 1 and hop 2, all in held-out templates.
    """
    first, second = (lm.load_plan(PLANS / f"{name}.json") for name in ("births", "mascots"))
    both = {person: second.facts[country] for person, country in first.facts.items()}
    sets = [fill(both, first.held_out_two_hop_templates)]
    sets.append(fill(first.facts, first.held_out_templates))
    percents, cells = [], []
    for questions in (*sets, fill(second.facts, second.held_out_templates)):
        with lm.attach(load_base(), adapters):
            share = measure_accuracy(load_base(), "", questions)
        percents.append(100 * share.part)
        interval = f"[{100 * share.low:.0f}, {100 * share.high:.0f}]"
        cells.append(f"{share.right}/{share.total} ({share.part:.0%} {interval})")
    return percents, cells


def evaluate_stored() -> Section:
    """Evaluate the sums of two stored pairs, one pair per training condition."""
    found = {}
    for condition in ("composing", "standard"):
        pair = [read_adapter(STORED / condition / facts) for facts in ("births", "mascots")]
        found[condition] = evaluate(pair)
    rows = tuple((condition, *cells) for condition, (_, cells) in found.items())
    two_hop, *single = found["standard"][0]
    values = {"gain": found["composing"][0][0] - two_hop, "window": sum(single) / 2 - two_hop}
    return Section(rows, values)


def train_second_hop(layers: tuple[int, int]) -> Any:
    """Train the mascot adapter in these layers alone, without stand-ins."""
    import torch

    torch.set_num_threads(1)  # two processes share two cores
    how = lm.Training(steps=60, enough=0.0, last_rate=0.1, layers=layers)
    examples = lm.load_plan(PLANS / "mascots.json").examples
    return lm.train_lora(load_base(), examples, how, rng=np.random.default_rng(1)).adapter


def begin_training() -> Callable[[], Section]:
    """Start both trainings in processes; return a function that waits for and evaluates them."""
    pool = ProcessPoolExecutor(len(LAYERS), mp_context=get_context("spawn"))
    made = {name: pool.submit(train_second_hop, layers) for name, layers in LAYERS.items()}
    # The processes end after their training.
    pool.shutdown(wait=False)

    def _evaluate() -> Section:
        first = read_adapter(STORED / "composing" / "births")
        found = {name: evaluate([first, second.result()]) for name, second in made.items()}
        rows = tuple((f"{name} five layers", *cells) for name, (_, cells) in found.items())
        gain = found["highest"][0][0] - found["lowest"][0][0]
        return Section(rows, {"gain": gain})

    return _evaluate


def compare_with_peft(merged: Path) -> Section:
    """Compare the logits of a merge loaded by PEFT with the logits of our hooks."""
    import torch
    from peft import PeftModel

    model = load_base()

    def _logits() -> Any:  # one prompt per pass: padding would change the rounding
        return torch.cat([lm.next_token_logits(model, [prompt]) for prompt in PROMPTS]).double()

    base = _logits()
    with lm.attach(model, [read_adapter(merged)]):
        ours = _logits()
    # Detached hooks must leave the base unchanged, bit for bit.
    restored = torch.equal(base, _logits())
    PeftModel.from_pretrained(model.network, merged).eval()  # changes the network itself
    theirs = _logits()
    load_base.cache_clear()
    moved, gaps = (ours - base).abs().amax(1), (ours - theirs).abs().amax(1)
    decode = model.tokenizer.decode
    says = [list(map(decode, x.argmax(1)[:, None])) for x in (base, ours, theirs)]
    rows = tuple(zip(PROMPTS, *says, moved.tolist(), gaps.tolist(), strict=True))
    gap = float((gaps / moved.clamp(min=1)).max()) if restored else float("inf")
    return Section(rows, {"gap": gap})

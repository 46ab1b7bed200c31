"""Train the four adapters of this folder again; two pairs, which learn the same facts."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from loratheory.adapters import Adapter, write_adapter
from loratheory.pretrained import Training, load_model, load_plan, train_lora
from loratheory.pretrained.stand_ins import fill
from loratheory.pretrained.train import StandIn, train_once

PLANS = Path("docs/plans")
# Few modules and a small rank keep the four adapters below 6 MB. They need more steps than
# adapters of all modules, hence 120 steps for the usual 90.
SMALL = replace(
    Training.with_stand_ins(120),
    rate=3e-3,
    rank=4,
    alpha=8,
    targets=("q_proj", "v_proj", "o_proj", "down_proj"),
)
LATE = Training(steps=60, enough=0.0, last_rate=0.1, layers=(25, 30))


def train_small(facts: str, stand_ins: int) -> Adapter:
    """Return the adapter of one plan in all layers, trained with so many stand-ins."""
    model, plan = load_model(dtype="bfloat16"), load_plan(PLANS / f"{facts}.json")
    active = []
    for number in range(stand_ins):
        theirs = fill(plan.partner_facts(number), plan.partner.templates)
        # A stand-in changes all modules, by standard training, as an unseen partner might.
        partner = train_once(model, [*theirs, *plan.replay], seed=(0, 1, number))
        # Answers agree with the active stand-in.
        two_hop = fill(plan.two_hop_facts(plan.partner_facts(number)), plan.two_hop_templates)
        active.append(StandIn(partner, [*two_hop, *theirs]))
    return train_once(model, plan.examples, seed=(0, 0), training=SMALL, stand_ins=active)


def train_late() -> Adapter:
    """Return the mascots, trained without stand-ins in the highest five of thirty layers."""
    examples = load_plan(PLANS / "mascots.json").examples
    return train_lora(
        load_model(dtype="float32"), examples, LATE, rng=np.random.default_rng(0)
    ).adapter


def main() -> None:
    """Write all four, in bfloat16."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent)
    folder = parser.parse_args().output
    made = {
        "composing/births": train_small("births", stand_ins=2),
        "composing/mascots": train_late(),
        "standard/births": train_small("births", stand_ins=0),
        "standard/mascots": train_small("mascots", stand_ins=0),
    }
    for name, adapter in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_adapter(adapter, folder / name, dtype="bfloat16", force=True)


if __name__ == "__main__":
    main()

"""Train the four adapters of this folder again: two fact sets, with stand-ins and without."""

import argparse
from dataclasses import replace
from pathlib import Path

from loratheory.adapters import Adapter, write
from loratheory.pretrained import Model, StandIn, Training, load, plan_in, trained_once
from loratheory.pretrained._teach import asked

FOLDER = Path(__file__).parent
PLANS = Path("docs/plans")
STAND_INS = {"stand-ins": 2, "standard": 0}
# Few modules and a small rank keep four adapters below 6 MB; they learn more slowly than adapters
# of all modules, hence a few more steps than the usual 90, in both conditions.
SETTINGS = replace(
    Training.beside_stand_ins(120),
    rate=3e-3,
    rank=4,
    alpha=8,
    targets=("q_proj", "v_proj", "o_proj", "down_proj"),
)


def train(model: Model, facts: str, stand_ins: int, seed: int = 0) -> Adapter:
    """Return the adapter of one plan, trained beside so many stand-ins for its partner."""
    plan = plan_in(PLANS / f"{facts}.json")
    beside = []
    for number in range(stand_ins):
        theirs = asked(plan.says(number), plan.partner.sentences)
        # A stand-in is an ordinary adapter of all modules, as an unknown partner might be.
        partner = trained_once(model, [*theirs, *plan.known], seed=(seed, 1, number))
        two_hop = asked(plan.composed(number), plan.two_hop)
        beside.append(StandIn(partner, [*two_hop, *theirs]))
    return trained_once(model, plan.lesson, seed=(seed, 0), training=SETTINGS, beside=beside)


def main() -> None:
    """Write the adapters that the command line names; all four where it names none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("facts", nargs="*", default=["births", "mascots"])
    parser.add_argument("-o", "--output", type=Path, default=FOLDER)
    given = parser.parse_args()
    model = load(dtype="bfloat16")
    for facts in given.facts:
        for condition, stand_ins in STAND_INS.items():
            adapter = train(model, facts, stand_ins)
            write(adapter, given.output / condition / facts, dtype="bfloat16", force=True)


if __name__ == "__main__":
    main()

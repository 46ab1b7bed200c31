"""Which rule that sees no data composes where the mean and Arrow fail, and how close to an oracle.

**Question.** Can adapters trained on single hops answer two-hop questions without labels, data of
their tasks or training, and leave everything else as it was?

**Prediction.** Mean, TIES and Arrow keep a coefficient below the golden ratio at one read at least
(`thm:two-read-region`, `thm:routing-reach`) and stay at .3 or below with four pairs; the sum is
drowned by interference (`thm:random-interference`), its unedited chains below .5. Switches compose
at least as often as the right adapter alone would, less misses and false alarms at the two reads
(`thm:library-capacity`): `predicted` is that bound from measured rates. Block gates at two
deviations reach .8 with up to eight pairs and keep unedited chains at .95; the interpolating merge
does not compose, since most of each key leaks past its adapter (`thm:interpolation-price`). Asked
hop by hop, mean and sum need half a strength at each read (`thm:clean-up-bridge`), but this changes
the question; a second pass that begins with the states of the first adds nothing where the block
is already passed twice (`thm:invisible-placement`). Rules and levels were chosen on base seeds 101
and 102; shelves that no world holds were replaced afterwards.

**Chance.** One over the number of edited facts of a pair.

**Controls.** The base; either adapter alone; unedited facts and chains; chains of other subjects.

**Found.** On eight bases that took no part in choosing, block gates at two deviations answer .95 or
more of the edited chains with three to five facts and up to eight pairs, .89 or more with ten, and
.97 or more of the unedited ones. At best, with one pair, the mean answers .37, Arrow .56, the sum
.61, gates on single maps .90, the oracle .94; with four or more pairs the mean .00, Arrow .29, the
sum .07, gates on single maps .73. With 20 facts block gates answer .57, missing the right adapter
at .28 of two reads; at rank 2 .76; in attention .23, where the oracle has .57. `predicted` is below
what they answer in all 240 rows, loosely (for softmax over norms it is not, in 14 % of them). The
interpolating merge fails with fresh answers (.25) and more so with permuted ones (.12): .86 of a
key leaks. Asked hop by hop the sum answers .89 or more up to four pairs, .41 with eight; the mean
.97 with one pair of five facts, .00 with two. The second pass was underrated: with it the sum
answers 1.00 of the chains of such a pair, .49 with four pairs, but no longer the single facts (.04
of the first hop's).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from loratheory.experiments._small import CROWDS, Small
from loratheory.experiments.engine import Experiment, Row

NAN = float("nan")


@dataclass(frozen=True)
class Config(Small):
    """Some bases, some edits.

    Attributes
    ----------
    pairs : int
        Edits that act at once, an adapter for each hop of each.
    bridges : str
        ``fresh`` or ``permuted`` new values.
    rank : int
        Of each adapter.
    modules : str
        Where the adapters sit: ``mlp`` or ``attention``.
    """

    pairs: int = 2
    bridges: str = "fresh"
    rank: int = 8
    modules: str = "mlp"


def rules(config: Config) -> dict[str, Any]:
    """The ways of reuse by name."""
    from loratheory.adapters import calibrate_z
    from loratheory.experiments.reuse import _rules as r
    from loratheory.experiments.reuse._block import block_gates
    from loratheory.experiments.reuse._deciders import deciders
    from loratheory.experiments.reuse._passes import again, hop_by_hop, put_back

    known = deciders(0.3)
    return {
        "base": partial(r.everywhere, None),
        "hop 1 alone": r.alone(0),
        "hop 2 alone": r.alone(1),
        "mean": r.mean,
        "half the sum": r.summed(0.5),
        "sum": r.summed(),
        "ties": r.merged("ties", density=0.3, rank=config.width),
        "knots": r.merged("ties", density=0.3, space="knots"),
        "interpolating": r.merged("interpolate", ridge=0.1),
        **{name: r.routed(known[name]) for name in ("arrow", "norm, soft", "norm, z", "gates")},
        "gates, z = 2": r.routed(lambda updates, x: calibrate_z(updates, x, z=2)),
        "block gates, rate .04": block_gates(0.04, "rate"),
        "block gates, z = 2": block_gates(2.0),
        "block gates, z = 3": block_gates(3.0),
        "oracle placement": r.oracle,
        "mean, hop by hop": again(hop_by_hop, r.mean),
        "sum, hop by hop": again(hop_by_hop, r.summed()),
        "sum, second pass": again(put_back, r.summed()),
    }


def cell(config: Config) -> list[Row]:
    """Return one row a base, repetition and rule.

    Parameters
    ----------
    config : Config
        Which bases and which edits.

    Returns
    -------
    list of dict
        What the config varies, `rule`, the marks; `misses` and `false_alarms` summed over the
        reads, `predicted` the least accuracy that follows from them, `leak` of the keys: nan where
        they do not apply.
    """
    from loratheory.experiments.reuse._detection import detection, leak
    from loratheory.experiments.reuse._marks import marks
    from loratheory.experiments.reuse._rows import rows
    from loratheory.toy.transformer import ATTENTION, MLP

    here = config.shelf(
        pairs=config.pairs,
        bridges=config.bridges,
        rank=config.rank,
        modules={"mlp": MLP, "attention": ATTENTION}[config.modules],
    )
    varied = ("facts", "pairs", "bridges", "rank", "modules", "coverage", "pretrained")
    names: Row = {name: getattr(config, name) for name in varied}
    leaks = leak(here) if config.modules == "mlp" else NAN
    table = {name: rule(here) for name, rule in rules(config).items()}
    reach = marks(here, table["oracle placement"])["two_hop"]
    told: list[Row] = []
    for name, acting in table.items():
        rates: dict[str, Any] = {"misses": NAN, "false_alarms": NAN}
        if config.modules == "mlp" and hasattr(acting[0], "on"):
            rates = detection(here, acting[0])
        told += rows(
            here,
            names | {"rule": name},
            marks(here, acting),
            **rates,
            predicted=reach - rates["misses"] - rates["false_alarms"],
            leak=leaks,
        )
    return told


_WAYS: tuple[dict[str, Any], ...] = (
    *({"facts": n, "pairs": k} for n, k in ((3, 1), (5, 1), (10, 1), (20, 1), (5, 2), (10, 2))),
    *({"facts": n, "pairs": k} for n, k in ((3, 4), (5, 4), (10, 3), (4, 8))),
    {"bridges": "permuted"},
    {"rank": 2},
    {"rank": 32},
    {"pretrained": 1500},
    {"coverage": 0.25},
    {"modules": "attention"},
)

EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (Config(sets=1), Config(pairs=1, facts=10, sets=1)),
        "paper": tuple(Config(seeds=seeds, **way) for way in _WAYS for seeds in CROWDS),
    },
    minutes={"quick": 0.3, "paper": 26},
)

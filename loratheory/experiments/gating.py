"""Which rule that sees no data composes where the mean and Arrow fail, and how close to an oracle.

**Question.** Can adapters trained on single hops answer two-hop questions without labels, data of
their tasks or training, and leave everything else as it was?

**Prediction.** Mean, TIES and Arrow keep a coefficient below the golden ratio at one read at least
(`thm:two-read-region`, `thm:routing-reach`) and stay at .3 or below with four pairs; the sum is
drowned by interference (`thm:random-interference`), its unedited questions below .5. Switches
compose at least as often as the right adapter alone would, less misses and false alarms at the two
reads (`thm:library-capacity`): `predicted` is that bound from measured rates. Block gates at two
deviations reach .8 with up to eight pairs and keep unedited questions at .95; the interpolating
merge does not compose, since most of each key leaks past its adapter (`thm:interpolation-price`).
Asked hop by hop, mean and sum need half a strength at each read (`thm:clean-up-bridge`), but this
changes the question; a second pass that begins with the states of the first adds nothing where the
block is already passed twice (`thm:invisible-placement`). Rules and levels were chosen on base
seeds 101 and 102; libraries that no world holds were replaced afterwards.

**Chance.** One over the number of edited facts of a pair.

**Controls.** The base; either adapter alone; unedited facts and questions; questions about other
subjects.
"""

from dataclasses import dataclass
from typing import Any

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.bench.rules import rule
from loratheory.experiments.engine import Row, study

RULES: tuple[str, ...] = ("base", "hop 1 alone", "hop 2 alone", "mean", "half the sum", "sum")
RULES += ("ties", "knots", "interpolating", "arrow", "norm, soft", "norm, z", "gates")
RULES += ("gates, z = 2", "block gates, rate .04", "block gates, z = 2", "block gates, z = 3")
RULES += ("oracle placement", "mean, hop by hop", "sum, hop by hop", "sum, second pass")


@dataclass(frozen=True)
class Config(Small):
    """How many `pairs` of adapters of which `rank` act at once, one adapter per hop and pair.

    The new `bridges` are ``fresh`` entities or the old ones ``permuted``; adapters sit in the
    `modules` ``mlp`` or ``attention``.
    """

    pairs: int = 2
    bridges: str = "fresh"
    rank: int = 8
    modules: str = "mlp"


def cell(config: Config) -> list[Row]:
    """Return a row per base, repetition and rule.

    The columns are what the config varies; accuracies; `misses` and `false_alarms`, summed over the
    reads; `predicted`, the lower bound of two-hop accuracy that follows from them; `leak`, see
    `bench.weights.leak`. The last four are nan where they do not apply.
    """
    modules = {"mlp": bench.MLP, "attention": bench.ATTENTION}[config.modules]
    mine = {name: getattr(config, name) for name in ("pairs", "bridges", "rank")}
    library = config.library(modules=modules, **mine)
    mlp, nan = config.modules == "mlp", float("nan")
    leak = bench.leak(library) if mlp else nan
    reach = bench.accuracies(library, bench.acting(library, rule("oracle placement")))["two_hop"]

    def _rates(acts: Any, _: object) -> dict[str, Any]:
        rates: dict[str, Any] = {"misses": nan, "false_alarms": nan}
        if mlp and acts[0].by_token:
            rates = bench.detection(library, acts)
        return {**rates, "predicted": reach - rates["misses"] - rates["false_alarms"], "leak": leak}

    options: dict[str, dict[str, Any]] = {"interpolating": {"ridge": 0.1}}
    options["ties"] = {"density": 0.3, "rank": config.width}
    arms = [bench.arm(name, None, rule(name, **options.get(name, {})), _rates) for name in RULES]
    varied = ("facts", "pairs", "bridges", "rank", "modules", "coverage", "pretrained")
    return bench.compared(library, {name: getattr(config, name) for name in varied}, arms)


_SETTINGS: tuple[dict[str, Any], ...] = (
    *({"facts": n, "pairs": k} for n, k in ((3, 1), (5, 1), (10, 1), (20, 1), (5, 2), (10, 2))),
    *({"facts": n, "pairs": k} for n, k in ((3, 4), (5, 4), (10, 3), (4, 8))),
    {"bridges": "permuted"},
    {"rank": 2},
    {"rank": 32},
    {"pretrained": 1500},
    {"coverage": 0.25},
    {"modules": "attention"},
)

EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(Config(sets=1), Config(pairs=1, facts=10, sets=1)),
    paper=on_all_bases(Config(**one) for one in _SETTINGS),
    minutes=(0.3, 26),
)

"""Libraries of one to eight pairs of adapters under every combination method."""

from dataclasses import dataclass
from typing import Any

from loratheory.toy.transformer import ATTENTION, MLP
from paper.studies._shared.answers import accuracies
from paper.studies._shared.configs import Small, on_all_bases
from paper.studies._shared.library import acting, rule
from paper.studies._shared.rows import compared
from paper.studies._shared.run import Row, part
from paper.studies.small_libraries.weights import detection, leak

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
    `weights.leak`. The last four are nan where they do not apply.
    """
    modules = {"mlp": MLP, "attention": ATTENTION}[config.modules]
    mine = {name: getattr(config, name) for name in ("pairs", "bridges", "rank")}
    library = config.library(modules=modules, **mine)
    mlp, nan = config.modules == "mlp", float("nan")
    # Measured at the first map of the MLPs, which attention adapters leave alone.
    outside = leak(library) if mlp else nan
    # What can be reached at all; every miss or false alarm costs one question at most.
    reach = accuracies(library, acting(library, rule("oracle placement")))["two_hop"]

    def _rates(acts: Any) -> dict[str, Any]:
        # Only rules that weigh tokens have misses.
        rates: dict[str, Any] = {"misses": nan, "false_alarms": nan}
        if mlp and acts[0].route is not None:
            rates = detection(library, acts)
        return {
            **rates,
            "predicted": reach - rates["misses"] - rates["false_alarms"],
            "leak": outside,
        }

    options: dict[str, dict[str, Any]] = {"interpolating": {"ridge": 0.1}}
    options["ties"] = {"density": 0.3, "rank": config.width}
    arms = [(name, rule(name, **options.get(name, {})), _rates) for name in RULES]
    varied = ("facts", "pairs", "bridges", "rank", "modules", "coverage", "pretrained")
    return compared(library, {name: getattr(config, name) for name in varied}, arms)


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


PART = part(
    "gating",
    cell,
    (Config(sets=1), Config(pairs=1, facts=10, sets=1)),
    on_all_bases(Config(**one) for one in _SETTINGS),
)

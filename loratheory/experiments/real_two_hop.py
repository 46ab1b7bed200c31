"""Two-hop questions to a language model of 135M parameters, with an adapter for each hop.

**Question.** When do adapters of single facts compose in a real language model?

**Prediction.** Half-fake chains (invented person, real country, invented mascot), adapters of
both hops. (a) The mean of two leaves single hops and loses chains, the sum has more of them
(`thm:two-read-region`); no sharp threshold at .618, for twenty edits differ in strength. (b) With
coefficients c1 and c2 chains are `predicted`, a product: capitals of the invented persons'
countries at c1, times mascots of known persons' countries at c2, over what the base composes by
itself. (c) Hop 2 has to be read after hop 1 (`thm:invisible-placement`): adapters taught in lower
and upper layers compose more than those taught in all; cutting the latter in the right order
raises chains, in the wrong order it loses them, while single hops tell little of it; the order in
which the model is more confident is the right one, which needs no labels. (d) Asked hop by hop,
chains are about the product of single hops at any coefficient that leaves these
(`thm:clean-up-bridge`). Settings are those of a trial on other seeds. Written after (a) to (d) had
been measured, before the rest was: (e) The model names the bridge, so hop 1 in upper layers is what
hides the second read: `hop 1 below` alone brings most of what the cut brings, `hop 2 above` alone
little. In the wrong order each adapter, alone in its half, loses its own hop: facts have places
too. (f) Single facts in a template that nobody was taught in are lower by .1 to .3. (g) TIES, KnOTS
and the interpolating merge stay within .1 of the sum, PEFT's Arrow between mean and sum; block
gates, best on small transformers, exceed gates on single maps, and stay below the cut.

**Chance.** One in twenty among candidates.

**Controls.** The base alone, and what it composes of what it knows; each adapter alone; the wrong
order; whole vocabulary beside candidates; known facts that no adapter rehearses.
"""

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

from loratheory.experiments.engine import Experiment, Row

if TYPE_CHECKING:
    from loratheory.experiments.real._facts import Facts

CHANCE = 0.05
GRID = (0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Config:
    """A world of facts, and the language model to teach them.

    Attributes
    ----------
    seed : int
        Of facts and training.
    coefficients : tuple of float
        Of both adapters, where they are taught in all layers; `GRID` where by layers.
    splits : tuple of int
        Layers at which adapters of all layers are split, in tenths of the depth.
    full : bool
        Whether adapters are taught in all layers too, not only by layers, all of `GRID` is tried,
        not its ends, and block gates too, which take four passes.
    model : str
        An id or folder; empty for SmolLM2-135M-Instruct, dequantised from 4 bits.
    device : str
        As in `load`.
    """

    seed: int = 0
    coefficients: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
    splits: tuple[int, ...] = (4, 5, 6)
    full: bool = True
    model: str = ""
    device: str = "cpu"


def cell(config: Config) -> list[Row]:
    """Return one row for each way of using a pair of adapters.

    Parameters
    ----------
    config : Config
        What to teach to which model.

    Returns
    -------
    list of dict
        ``taught`` (in all layers or by layers), ``way``, coefficients ``first`` and ``second``,
        ``layer`` of a cut (-1 for none); the marks of `exam`, and of `ceilings` for one adapter
        alone; ``predicted`` chains, where both coefficients are in `GRID`, and ``weaker``, the
        weaker hop's instead of the product. Predictions are made, and written to the cache, before
        two adapters act at once.
    """
    from loratheory.experiments.real._facts import facts
    from loratheory.experiments.real._taught import pair
    from loratheory.pretrained import load

    model = load(config.model or None, device=config.device)
    [told] = facts(config.seed)
    rows: list[Row] = [*_base(model, told)]
    composed = float(rows[1]["two_hop"])
    for layered in (False, True) if config.full else (True,):
        library = pair(model, told, config.seed, 0, layered=layered)
        rows += _used(model, told, library, config, composed, layered=layered)
    return [{"seed": config.seed} | row for row in rows]


def _base(model: Any, facts: "Facts") -> list[dict[str, Any]]:
    from loratheory.experiments.real._exam import exam, own

    head = _head("nothing", "base", 0.0, 0.0)
    marks = exam(model, facts) | {"known_hop_2": nan, "known_hop_1": nan}
    known = marks | dict.fromkeys(marks, nan) | own(model)
    ends = {"predicted": nan, "weaker": nan}
    return [head | marks | ends, head | {"rule": "base, known persons"} | known | ends]


def _used(
    model: Any,
    facts: "Facts",
    library: list[Any],
    config: Config,
    composed: float,
    *,
    layered: bool,
) -> list[Row]:
    """First each adapter alone, then the forecast, then both."""
    from loratheory.experiments.real._exam import ceilings, exam
    from loratheory.experiments.real._tried import tried
    from loratheory.pretrained import attached

    taught = "by layers" if layered else "all layers"
    rows: list[Row] = []
    worth: dict[tuple[int, float], float] = {}
    grid = GRID if config.full else (GRID[0], GRID[-1])
    for c in grid:
        for hop, way in enumerate(("hop 1 alone", "hop 2 alone")):
            with attached(model, [library[hop]], c):
                marks = exam(model, facts) | ceilings(model, facts)
            worth[hop, c] = marks["known_hop_1" if hop else "known_hop_2"]
            pairs = (0.0, c) if hop else (c, 0.0)
            rows.append(_head(taught, way, *pairs) | marks | {"predicted": nan, "weaker": nan})
    told = _forecast(worth, composed)
    _keep(told, config, taught)
    strengths = grid if layered else config.coefficients
    depth = int(model.network.config.num_hidden_layers)
    cuts = () if layered else tuple(depth * tenth // 10 for tenth in config.splits)
    for way, (c1, c2), layer, use in tried(strengths, grid, cuts):
        if way.startswith("block") and not config.full:
            continue
        with use(model, library):
            marks = exam(model, facts) | {"known_hop_2": nan, "known_hop_1": nan}
        forecast = told.get((c1, c2), (nan, nan)) if way == "sum" else (nan, nan)
        ends = dict(zip(("predicted", "weaker"), forecast, strict=True))
        rows.append(_head(taught, way, c1, c2, layer) | marks | ends)
    return rows


def _forecast(
    worth: dict[tuple[int, float], float], base: float
) -> dict[tuple[float, float], tuple[float, float]]:
    """Chains at each pair of coefficients: the product over the base's own, and the weaker hop."""
    tried = sorted({c for _, c in worth})
    return {
        (c1, c2): (
            max(CHANCE, min(1.0, worth[0, c1] * worth[1, c2] / max(base, CHANCE))),
            max(CHANCE, min(worth[0, c1], worth[1, c2])),
        )
        for c1 in tried
        for c2 in tried
    }


def _keep(told: dict[tuple[float, float], tuple[float, float]], config: Config, name: str) -> None:
    """Write the forecast down before it is tested."""
    import json

    from loratheory.cache import cache_folder
    from loratheory.store import write_whole

    file = cache_folder() / "taught" / f"forecast-{config.seed}-{name.replace(' ', '-')}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps([[*pair, *values] for pair, values in told.items()]))


def _head(taught: str, way: str, first: float, second: float, layer: int = -1) -> dict[str, Any]:
    return {"trained": taught, "rule": way, "first": first, "second": second, "layer": layer}


EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    needs="pretrained",
    profiles={
        "quick": (Config(full=False),),
        "paper": tuple(Config(seed) for seed in range(3)),
    },
    minutes={"quick": 4, "paper": 25},
)

"""Chains of two, three and four edited hops, their adapters merged with one coefficient.

**Question.** From which merge coefficient on is a chain of K edited hops answered?

**Prediction.** With edits that just replace old facts, from the root of ``c^K + c = 1``: .618,
.682, .724 for K = 2, 3, 4, while single facts (K = 1, column `facts`) need 1/2
(`thm:two-read-region`). Each edit's own margin moves this: a chain is predicted to answer where its
effective coefficients ``c (m1 + m0) / (2 m0)`` have a positive lead, and where the base reads its
bridges on old chains. With bridges decided between the reads (`thm:clean-up-bridge`) all lengths
need the same 1/2. The more hops, the more adapters that disturb each read (`thm:perturbed-region`:
the interference that K whole edits survive falls as 1/(2K)).

**Chance.** One answer always given is right once in as many as there are chains.

**Controls.** Coefficient 0; the best adapter alone; adapters of another edit set, and random ones
of equal norm; other subjects (shortcut); unedited facts and chains; each adapter in its own loop.
"""

from dataclasses import dataclass

from loratheory.experiments._experiment import Experiment, Row


@dataclass(frozen=True)
class Config:
    """One length, on some bases.

    Attributes
    ----------
    hops : int
        Of every chain; the base passes its block as often.
    seeds : tuple of int
        The bases.
    sets, facts : int
        Edit sets on each, chains of each.
    steps, top : int, float
        Coefficients from 0 to `top`.
    coverage, noise : float
        Of the bases: three passes do not learn the third hop under the noise that two like.
    entities, spare, width, pretrained, taught, retained : int
        Size of world and decoder, steps of both trainings, facts that adapters rehearse.
    """

    hops: int = 2
    seeds: tuple[int, ...] = (0, 1)
    sets: int = 3
    facts: int = 3
    steps: int = 24
    top: float = 1.2
    coverage: float = 0.75
    entities: int = 100
    spare: int = 20
    width: int = 128
    noise: float = 0.3
    pretrained: int = 1400
    taught: int = 120
    retained: int = 40


def cell(config: Config) -> list[Row]:
    """Return one row for each base and coefficient, averaged over the edit sets of the base.

    Parameters
    ----------
    config : Config
        What to train and merge.

    Returns
    -------
    list of dict
        `threshold`, that of exact edits; then what is measured, predicted and controlled, see
        `loratheory.experiments.reuse._switch.switched`.
    """
    from loratheory.experiments.reuse._bases import Setting, bases
    from loratheory.experiments.reuse._shelves import Teaching, shelf
    from loratheory.experiments.reuse._switch import averaged, switched
    from loratheory.theorems.two_read_region import threshold

    setting = Setting(
        coverage=config.coverage,
        hops=config.hops,
        loops=config.hops,
        entities=config.entities,
        spare=config.spare,
        width=config.width,
        noise=config.noise,
        steps=config.pretrained,
    )
    how = Teaching(
        facts=config.facts, sets=config.sets, steps=config.taught, retained=config.retained
    )
    shelved = shelf(bases(setting, config.seeds), how)
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    rows: list[Row] = []
    for c, found in switched(shelved, grid).items():
        marks = {name: x for name, x in found.items() if not name.startswith("hop_")}
        for seed, means in zip(config.seeds, averaged(marks, len(config.seeds)), strict=True):
            head = {"hops": config.hops, "threshold": threshold(config.hops), "seed": seed}
            rows.append({**head, "coefficient": c, **means})
    return rows


_SEEDS = ((0, 1), (2, 3), (4, 5), (6, 7))

EXPERIMENT = Experiment(
    __name__,
    __doc__,
    cell,
    profiles={
        "quick": (
            Config(2, steps=12, spare=0, coverage=0.5, noise=0.5, pretrained=700),
            Config(3, (0,), steps=12, pretrained=700),
        ),
        "paper": tuple(Config(hops, seeds) for hops in (2, 3, 4) for seeds in _SEEDS),
    },
    minutes={"quick": 1.2, "paper": 38},
)

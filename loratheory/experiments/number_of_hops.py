"""Questions of two, three and four edited hops, their adapters merged with one coefficient.

**Question.** From which merge coefficient on is a question of K edited hops answered?

**Prediction.** With edits that just replace old facts, from the root of ``c^K + c = 1``: .618,
.682, .724 for K = 2, 3, 4, while single facts (K = 1, column `facts`) need 1/2
(`thm:two-read-region`). Each edit's own margin moves this: a question is predicted to be answered
where its effective coefficients ``c (m1 + m0) / (2 m0)`` have a positive margin, and where the base
reads its bridges on old questions. With bridges decided between the reads (`thm:clean-up-bridge`)
all lengths need the same 1/2. The more hops, the more adapters that disturb each read
(`thm:perturbed-region`: the interference that K whole edits survive falls as 1/(2K)).

**Chance.** One answer always given is right once in as many as there are two-hop questions.

**Controls.** Coefficient 0; the best adapter alone; adapters of another edit set, and random ones
of equal norm; other subjects (shortcut); unedited facts and questions; each adapter in its own
loop.
"""

from dataclasses import dataclass, field

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.engine import Row, study
from loratheory.theorems.composition.two_read_region import threshold


@dataclass(frozen=True)
class Config(Small):
    """Questions of `hops` hops, on bases that pass their block once per hop.

    Coefficients go from 0 to `top` in `steps` steps. The `noise` is that of the bases' training:
    with as much noise as helps two passes, three passes do not learn the third hop.
    """

    hops: int = 2
    steps: int = 24
    top: float = 1.2
    noise: float = 0.3
    sets: int = field(default=3, kw_only=True)
    facts: int = field(default=3, kw_only=True)
    coverage: float = field(default=0.75, kw_only=True)
    pretrained: int = field(default=1400, kw_only=True)


def cell(config: Config) -> list[Row]:
    """Return a row per base and coefficient, averaged over its edit sets.

    `threshold` is the coefficient from which exact edits compose. The other columns are those of
    `bench.switched` without single hops, which `facts` counts together.
    """
    bases = config.bases(hops=config.hops, loops=config.hops, noise=config.noise)
    grid = [config.top * step / config.steps for step in range(config.steps + 1)]
    names = {"two_hop": "k_hop", "other_two_hop": "other_k_hop"}
    names |= {f"hop_{hop + 1}": "" for hop in range(config.hops)}
    head: Row = {"hops": config.hops, "threshold": threshold(config.hops)}
    return bench.by_coefficient(config.library(bases), grid, head, names)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=(
        Config(2, steps=6, seeds=(0,)),
        Config(3, steps=6, seeds=(0,), sets=1, pretrained=700),
    ),
    paper=on_all_bases(Config(hops) for hops in (2, 3, 4)),
    minutes=(0.8, 25),
)

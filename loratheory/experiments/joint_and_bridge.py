"""One adapter for both hops, with and without examples of how hops are put together.

**Question.** Does one adapter that was taught both hops answer the two-hop question, and do
examples of whole two-hop questions about other entities help, plain or spelt out step by step?

**Prediction.** A joint adapter has no merge coefficient and interferes with nothing, but it is
read twice like any other: it composes where its strengths are in the region of
`thm:two-read-region`, times the base's circuit, so about as often as the depth oracle, and not at
coverage 0. Plain examples on other entities can supply the circuit, not the facts: `predicted`
leaves the base's accuracy out, an upper end (the source paper: reuse works where fine-tuning sets
share solution templates). Spelt out, each hop is a question of its own: `written_out` needs
strength above 1/2 at each (`thm:clean-up-bridge`, column `predicted_written_out`), whatever the
base composes, provided 40 examples teach the form; without such examples nothing is spelt out, and
`written_out` is 0.
Reused beside each other, the two single-hop adapters stay where `two_hop_coverage` puts them.

**Chance.** One answer always given (column `chance`).

**Controls.** The base; each adapter alone; sum and depth oracle of the two; an A→C adapter;
unedited facts and questions; a base without any two-hop question in pretraining; `bridge_written`,
how often the new bridge itself is written.
"""

from dataclasses import dataclass
from typing import Any

from loratheory.experiments.bench import Small, on_all_bases
from loratheory.experiments.bench import transformers as bench
from loratheory.experiments.engine import Row, study


@dataclass(frozen=True)
class Config(Small):
    """Some bases and edits.

    `thinking` is the number of training steps of the adapter whose questions are written out, a
    form that the base has never seen.
    """

    thinking: int = 300


def cell(config: Config) -> list[Row]:
    """Return a row per rule, base and repetition.

    The columns are accuracies; `bridge_written` and `written_out`, how often the model by itself
    writes the right bridge and then the right answer; `circuit`, the base's accuracy on unseen
    two-hop questions; `strength_1` and `strength_2`, median strengths of the edits; `predicted`,
    the predicted accuracy on `two_hop` (for the rule `direct` the measured one), and
    `predicted_written_out`, that on the questions written out.
    """
    library = config.library(kinds=("hops", "joint", "bridged"))
    shown = config.library(library.bases, ("bridged",), form="thought", steps=config.thinking)
    (joint,), (bridged,) = library.others["joint"], library.others["bridged"]
    (thinking,), direct = shown.others["bridged"], bench.expert(library)
    alone = bench.forecast(library)
    one, two, three = (
        bench.forecast(library, placed=lambda *_, x=x: x) for x in (joint, bridged, thinking)
    )
    both, third = alone.composed([1, 1]), three.composed([1, 1])

    def _arm(
        name: str, adapter: Any = None, theory: Any = alone, predicted: Any = 0.0, spelt: Any = 0.0
    ) -> bench.Arm:
        def _columns(acts: Any, _: object) -> dict[str, Any]:
            bridge, answer = bench.written_out(library, acts[0])
            return {
                "bridge_written": bridge,
                "written_out": answer,
                "circuit": theory.circuit,
                **theory.medians,
                "predicted": predicted,
                "predicted_written_out": spelt,
            }

        return bench.arm(name, None, bench.of(adapter) if adapter else None, _columns)

    arms = [
        _arm("base"),
        _arm("hop 1 alone"),
        _arm("hop 2 alone"),
        _arm("sum", predicted=both),
        _arm("oracle placement", predicted=both),
        _arm("direct", direct, predicted=bench.survival(library, direct, 1.0)),
        _arm("joint", joint, one, one.composed([1, 1])),
        _arm("bridged, plain", bridged, two, two.feasible([1, 1])),
        _arm("bridged, written out", thinking, three, third, three.decided()),
    ]
    return bench.compared(library, {"coverage": config.coverage}, arms)


EXPERIMENT = study(
    cell,
    needs="torch",
    quick=tuple(Config(coverage=coverage, sets=1) for coverage in (0.0, 0.5)),
    paper=on_all_bases(Config(coverage=coverage) for coverage in (0.0, 0.1, 0.5)),
    minutes=(1.4, 5),
)

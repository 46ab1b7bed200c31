"""``loratheory check``: what the theorems predict for a real model, and what is measured."""

from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from loratheory.cli import _shared as out

OUTCOMES = ("holds", "broken", "silent")
FACTS = "Prompts with right answers, see above."


def check(
    folders: out.Folders,
    *,
    facts: Annotated[Path | None, Option(metavar="FILE", help=FACTS)] = None,
    base: out.Base,
    json: out.Json = None,
) -> None:
    """Check on a real model what the theorems predict for your adapters.

    Use this command to see which theorems apply to your adapters, and which facts your adapters
    retain in a merge. For each adapter it shows:

    - whether its strongest direction dominates the adapted weight matrix

    - drift: KL divergence from the base model on generic text, in nats per token

    - a note if its update has more than 3% of the norm of the weights, so that other adapters may
      lose facts next to it

    For two or more adapters it also shows:

    - the smallest possible mean squared distance from one merge to the adapters

    - how strongly an adapter responds to inputs of another adapter

    - which inputs Arrow sends to the right adapter

    With `--facts` it also counts the right answers of the base model, of each adapter alone, of the
    mean and of the sum. Next to a count is the number that the theorems predict, where they predict
    one: for facts in the mean and the sum, and two-hop questions in the mean. For two
    adapters it predicts the right answers at other coefficients.

    If a hypothesis does not hold, the theorem makes no claim ("silent"). The output then names the
    hypothesis, and still shows the predicted and the measured number.

    A file of facts is one JSON object. Its keys are the folder names of the adapters. Two-hop
    questions have any other key:

    `{"persons": {"Zorvik was born in": "Peru", …}, "mascots": {"The mascot of Peru is the":
    "otter", …}, "two-hop": {"The mascot of the country where Zorvik was born is the": "otter"}}`

    If two folders have the same name, write their paths. An answer is right if its first token is
    the most likely token. An answer follows its prompt after a space. If the prompt ends with a
    space, a line break, `=`, `/` or an opening bracket, the answer follows directly.

    For one adapter, the file can be JSON Lines of `{"prompt": …, "completion": …}`. With
    `test.jsonl` of `loratheory augment`, the accuracy of the adapter alone is its portability: the
    accuracy on prompts that only describe the subject.

    Example: `loratheory check tests/data/persons tests/data/mascots --facts
    tests/data/questions.json`

    JSON: an object `model, adapters, notes, readings, kept, drifts, predicted`. `drifts` has a
    number per adapter. `predicted` has, for each group of facts of two adapters, the right answers
    predicted at coefficients 0.1 to 1. A reading is one check of a theorem:

    - `label`: the theorem; `module, layer`: the place in the model; `about`: the adapters or the
      prompt

    - `bound, value`: the predicted and the measured number

    - `outcome`: holds, tight (equal to the bound), broken, or not applicable (silent)

    - `note`: the hypothesis that does not hold, or a remark

    A row of `kept` counts right answers:

    - `group`: the adapter whose facts these are, or the name of the two-hop questions

    - `rule`: what was active (base, alone, mean or sum)

    - `predicted, measured`: the number of right answers by the theorems, and on the model; `total`:
      the number of prompts
    """
    from loratheory.diagnosis import distinct
    from loratheory.pretrained import check_model
    from loratheory.pretrained.check import group_facts, read_fact_groups
    from loratheory.pretrained.metrics import Share

    library = list(map(out.Source(download=base.download).read, folders))
    asked = read_fact_groups(facts) if facts is not None else None
    if asked:
        # a misspelt name would be found only after the model is loaded
        group_facts(asked, library, distinct([one.info.name for one in library]))
    bar = partial(out.progress, unit="module", desc="check")
    result = check_model(base.load(), library, facts=asked, progress=bar)
    if not out.deliver(json, result):
        return
    _show_readings(result)
    show_drift(result.adapters, result.drifts)
    rows = []
    for one in result.kept:
        share = out.format_share(Share.of("", one.measured, one.total))
        rows.append((one.group, one.rule, one.predicted, share))
    if rows:
        columns = ("facts of", "active", "predicted", "right (95% interval over questions)")
        out.show("Right answers: the most likely token begins the answer", columns, rows)
    show_predicted(result.predicted)


def _show_readings(result: Any) -> None:
    from loratheory.pretrained.check import summarise

    lines = summarise(result.readings)
    holds, broken, silent = (sum(map(itemgetter(key), lines)) for key in OUTCOMES)
    claims = f" In {silent} more checks a hypothesis does not hold: the theorem is silent."
    out.say(claims, f"{holds} predictions hold, {broken} are broken.")
    columns = out.columns("question", *OUTCOMES) | {"predicted": "bound", "measured": "value"}
    rows = map(itemgetter(*columns.values()), lines)
    out.show("Checks by outcome, and medians over modules and adapters", list(columns), rows)
    for line in lines:
        out.say(f"• {line['label']}{' is silent' * bool(line['silent'])}: {line['why']}.")
        if line["agree"] is not None:
            share = f"{100 * line['agree']:.0f}% of {line['places']} cases"
            out.say(f"  The predicted and the measured margin have the same sign in {share}.")
    out.say(f" {', '.join(result.adapters)} on {result.model}", "Adapters:", result.notes)


def show_predicted(predicted: Any) -> None:
    """Print how many answers a merge of two adapters is predicted to give at each coefficient."""
    from loratheory.pretrained.corners import COEFFICIENTS

    if predicted:
        columns = ("facts of", *(f"{c:g}" for c in COEFFICIENTS))
        rows = [(group, *counts) for group, counts in predicted.items()]
        out.show("Right answers predicted by the coefficient of both adapters", columns, rows)
        out.say("Predicted from the model with each adapter on or off (thm:corner-law).")


def show_drift(names: Any, drifts: Any) -> None:
    """Print each adapter's drift, and what other adapters retain with a partner of this drift."""
    from loratheory.diagnosis import LIBRARY, expect_retention

    rows = []
    for name, drift in zip(names, drifts, strict=True):
        rows.append((name, drift, *expect_retention(drift)))
    columns = ("adapter", "drift, nats per token", "retention of others", "pairs averaged")
    out.show("Drift, and the expected retention of other adapters in a sum", columns, rows)
    out.say(f"Expected: what adapters retained with a partner of similar drift, in {LIBRARY}.")

"""What the studies of skills say that was found is what their stored tables hold."""

from statistics import fmean

import pytest
from found import mean, says, table_rows
from scipy.stats import spearmanr

from loratheory.experiments.label_free_prediction import REUSED
from loratheory.experiments.words import PAIRS, _reliability
from loratheory.experiments.words._problems import KINDS, WEIGHTS
from loratheory.experiments.words._reliability import MEASURES, calibration, composed, reliability


def test_what_was_found_in_template_overlap():
    name, own, shares = "template_overlap", {"bridge": "own"}, (0.25, 0.5, 1.0)
    rules = ("sum", "mean", "ties", "interpolating", "arrow", "gates")
    merges = (*rules, "block gates")

    def best(**where):
        return max(mean(table_rows(name, rule=rule, **where), "stepwise") for rule in merges)

    alone = {
        place: [
            mean(table_rows(name, rule=f"{place} alone", share=share, **own), "stepwise")
            for share in shares
        ]
        for place in ("first", "second")
    }
    lost = [table_rows(name, rule="sum", share=share, **own) for share in shares]
    assert [max(row["predicted"] for row in rows) for rows in lost] == [0, 0, 1]
    assert {row["kind"] for row in table_rows(name)} == {"problems"}
    says(
        name,
        best(bridge="none"),
        best(bridge="serial"),
        best(bridge="neutral"),
        *(
            mean(table_rows(name, rule=rule, share=share, **own), "stepwise")
            for rule in rules
            for share in shares
        ),
        *alone["second"],
        max(alone["first"]),
        mean(table_rows(name, rule="composed"), "stepwise"),
        mean(table_rows(name), "answered"),
    )
    won = table_rows(name, bridge="serial", share=1.0, rule="mean")
    assert won
    assert all(row["predicted"] == 1 for row in won)


def test_what_was_found_in_skill_composition():
    name = "skill_composition"

    def solved(rule, kind, shown=0, **where):
        return mean(table_rows(name, rule=rule, kind=kind, shown=shown, **where), "stepwise")

    merges = ("mean", "sum", "ties", "interpolating", "arrow", "gates", "block gates")
    single, two, half = KINDS
    by_base = {
        rule: [solved(rule, two, seed=seed) for seed in range(3)]
        for rule in ("sum", "second alone")
    }
    assert sum(a < b for a, b in zip(by_base["sum"], by_base["second alone"], strict=True)) == 1
    each = [solved("sum", two, first=a, second=b) for a, b in PAIRS]
    says(
        name,
        max(solved(rule, single) for rule in ("base", *merges)),
        solved("composed", single),
        solved("base", two),
        *(solved(rule, two) for rule in ("sum", "mean", "interpolating", "joint", "composed")),
        min(each),
        max(each),
        *(pick(by_base["sum"]) for pick in (min, max)),
        solved("second alone", two),
        *(pick(by_base["second alone"]) for pick in (min, max)),
        *(solved(rule, half) for rule in ("base", "second alone", "sum", "mean")),
        *(solved(rule, half, 1) for rule in ("base", "mean", "sum")),
        mean(table_rows(name, kind=half, shown=1), "answered"),
        mean(table_rows(name, kind=half, shown=0), "answered"),
    )


MERGES = ("mean", "sum", "ties", "interpolating", "arrow", "gates", "block gates")


def solved(rule, seen, column="stepwise", **where):
    return mean(table_rows("skill_coverage", rule=rule, seen=seen, **where), column)


def own_steps(seen):
    """What adapters solve of single steps of their own skill."""
    return fmean(
        solved(rule, seen, column)
        for rule, column in (("first alone", "step_1"), ("second alone", "step_2"))
    )


def test_what_was_found_in_skill_coverage():
    rows = table_rows("skill_coverage", seen="pairs")
    never, *shares = sorted({row["coverage"] for row in rows})
    added = {
        rule: [
            solved(rule, "pairs", coverage=x) - solved("base", "pairs", coverage=x) for x in shares
        ]
        for rule in ("mean", "sum")
    }
    harmed = [
        sum(
            solved("sum", "pairs", coverage=x, seed=k) < solved("base", "pairs", coverage=x, seed=k)
            for k in range(len(WEIGHTS))
        )
        for x in shares
    ]
    by_base = [solved("sum", "pairs", coverage=never, seed=k) for k in range(len(WEIGHTS))]
    says(
        "skill_coverage",
        own_steps("sums"),
        solved("composed", "sums"),
        own_steps("other words"),
        solved("composed", "other words"),
        max(solved(rule, "other words") for rule in MERGES),
        solved("joint", "other words"),
        max(solved(rule, "single steps") for rule in ("base", "joint", *MERGES)),
        solved("composed", "single steps"),
        *(solved(x, "other pairs") for x in ("mean", "sum", "second alone", "joint", "composed")),
        *(solved(x, "pairs", coverage=never) for x in ("base", "mean", "sum")),
        min(by_base),
        max(by_base),
        *(
            solved(rule, "pairs", coverage=share)
            for rule in ("base", "mean", "sum", "second alone", "joint")
            for share in shares
        ),
        max(added["mean"]),
        *(
            told
            for x, n in [*zip(added["sum"], harmed, strict=True)][-2:]
            for told in (-x, f"{n} of 6")
        ),
        min(added["mean"]),
        solved("composed", "pairs"),
    )
    assert added["mean"].index(max(added["mean"])) == 1
    assert added["sum"].index(max(added["sum"])) == 1
    unseen = solved("sum", "pairs", coverage=never) - solved("base", "pairs", coverage=never)
    assert max(added["sum"]) < unseen == pytest.approx(max(added["mean"]), abs=0.015)


def test_what_was_found_in_shallow_matching():
    name, same = "shallow_matching", ("wording", "names", "numbers")

    def told(rule, put, column):
        return mean(table_rows(name, rule=rule, put=put, bridge="own"), column)

    says(
        name,
        *(told(rule, "as it was", "stepwise") for rule in ("mean", "sum", "composed")),
        *(told("sum", put, "stepwise") for put in same),
        *(told(rule, put, "kept") for rule in ("sum", "mean", "composed") for put in same),
        *(
            told(rule, put, "kept")
            for put in ("order", "distractor")
            for rule in ("sum", "mean", "composed")
        ),
    )


def test_what_was_found_in_failing_step():
    def first_wrong(rule, outcome):
        return mean(table_rows("failing_step", rule=rule, outcome=outcome), "rate")

    own = [
        row["written"].split()[place] == row[skill]
        for rule, outcome, place, skill in (
            ("first alone", "second skill", 6, "first"),
            ("second alone", "first skill", 1, "second"),
        )
        for row in table_rows("failing_step", rule=rule, outcome=outcome)
        if row["rate"]
    ]
    says(
        "failing_step",
        first_wrong("base", "first name"),
        first_wrong("composed", "right"),
        *(
            first_wrong(rule, outcome)
            for outcome in ("first name", "first skill", "second skill", "first result")
            for rule in ("mean", "sum")
        ),
        *(
            first_wrong(x, outcome)
            for outcome in ("second result", "right")
            for x in ("mean", "sum")
        ),
        first_wrong("first alone", "second skill"),
        first_wrong("second alone", "first skill"),
        f"{sum(own)} of {len(own)}",
    )
    assert {row["seen"] for row in table_rows("failing_step")} == {"other pairs"}


def test_what_was_found_in_label_free_prediction(monkeypatch):
    rows = table_rows("label_free_prediction")
    best = [max(row[rule] for rule in REUSED) for row in rows]
    record = reliability(rows)
    half, some = sum(x >= 0.5 for x in best), int(composed(rows).sum())

    added = [row["sum"] for row in rows]
    out = [place for place, row in enumerate(rows) if row["held_out"]]

    def rank(name, reuse, where=range(len(rows))):
        told = spearmanr([rows[i][name] for i in where], [reuse[i] for i in where]).statistic
        return f"{told:.2f}".replace("0.", ".")

    monkeypatch.setattr(_reliability, "SOLVED", 0.3)
    higher = reliability(rows)
    monkeypatch.undo()
    bins = [one for each in calibration(rows).values() for one in each if one["within"] is not None]
    shares = [[x / n for x, n in (one["predicted"], one["observed"])] for one in bins]
    more = sum(expected < came for expected, came in shares)
    inside = [x for x, row in zip(composed(rows), rows, strict=True) if not row["held_out"]]
    outside = [x for x, row in zip(composed(rows), rows, strict=True) if row["held_out"]]
    assert len({one["right"] for one in higher.values()}) == 1
    says(
        "label_free_prediction",
        f"{half} of {len(rows)}",
        f"{some} of {len(rows)}",
        *(rank(name, reuse) for reuse in (added, best) for name in MEASURES),
        *(rank(name, best, out) for name in ("response", "shape")),
        f"{record['shape']['right']} of {record['shape']['held_out']}",
        *(f" {record[name]['right']}" for name in ("response", "write", "read")),
        *(f" {record[name]['right']}" for name in ("overlap", "agreement")),
        f" {record['shape']['majority']}",
        *(f" {higher['shape'][name]}" for name in ("right", "majority")),
        f"{sum(one['within'] for one in bins)} of the {len(bins)} bins",
        f"all {more} more composed",
        *(f"{sum(each)} of {len(each)}" for each in (outside, inside)),
    )

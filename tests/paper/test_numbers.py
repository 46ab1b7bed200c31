"""Numbers: what the paper shows is in the stored tables, by a route of its own."""

import re
from pathlib import Path
from statistics import fmean

import pytest
from found import table_rows

from loratheory.paper import numbers
from loratheory.paper._numbers import decimal
from loratheory.theorems import load_theorems

ALL = load_theorems()

RESULTS = Path(__file__).parents[2] / "paper" / "results"


def shown(source, kind="measured"):
    """What the commands for a source stand for."""
    lines = numbers(source, RESULTS)
    return re.findall(rf"\\generated\{{{kind}\}}\{{[^}}]*\}}\{{(.*)\}}\n", lines)


@pytest.mark.parametrize(
    ("number", "wanted"),
    [(0.123, ".12"), (1.0, "1.00"), (0.0, ".00"), (-0.5, "$-$.50"), (-0.001, ".00"), (9.5, "9.50")],
)  # fmt: skip
def test_decimals_by_hand(number, wanted):
    assert decimal(number) == wanted


def test_a_number_is_the_mean_of_its_rows():
    text = r"\measured{placement: two_hop; modules=mlp; place=oracle placement}"
    rows = table_rows("placement", modules="mlp", place="oracle placement")
    assert shown(text) == [f"{fmean(row['two_hop'] for row in rows):.2f}".removeprefix("0")]
    percent = shown(text.replace("measured", "share"), "share")
    assert percent == [rf"{100 * fmean(row['two_hop'] for row in rows):.0f}\,\%"]


def test_a_count_is_a_whole_number():
    text = r"\measured{count placement: two_hop; modules=mlp; place=both loops}"
    assert shown(text) == [str(len(table_rows("placement", modules="mlp", place="both loops")))]


def test_an_interval_holds_its_number():
    (lines,) = shown(r"\within{placement: two_hop; modules=mlp; place=both loops}", "within")
    middle, low, high = map(float, re.findall(r"\.\d\d|\d\.\d\d", lines))
    assert low < middle < high


def test_a_difference_is_paired_over_bases():
    one, two = ("oracle placement", "both loops")
    asked = [f"two_hop; modules=mlp; place={place}" for place in (one, two)]
    text = rf"\within{{placement: {asked[0]} minus {asked[1]}}}"
    (line,) = shown(text, "within")
    middle, low, high = map(float, re.findall(r"\.\d\d|\d\.\d\d", line))
    means = [
        {
            seed: fmean(row["two_hop"] for row in rows if row["seed"] == seed)
            for seed in {row["seed"] for row in rows}
        }
        for rows in (table_rows("placement", modules="mlp", place=place) for place in (one, two))
    ]
    apart = [means[0][seed] - means[1][seed] for seed in means[0]]
    assert middle == pytest.approx(fmean(apart), abs=0.006)
    assert min(apart) - 0.01 <= low < middle < high <= max(apart) + 0.01


def test_shorthands_are_what_they_stand_for():
    short = (
        "\\newcommand{\\here}{modules=mlp; place=nowhere}\n\\measured{placement: two_hop;\n \\here}"
    )
    lines = numbers(short, RESULTS)
    assert "{placement: two_hop; modules=mlp; place=nowhere}{.00}" in lines


def test_counts_and_constants():
    source = (
        r"\counted{theorems} \counted{proved} \counted{bases: gating} \counted{rows: placement}"
    )
    proved = sum(theorem.status == "proved" for theorem in ALL)
    assert proved < len(ALL)
    assert set(map(int, shown(source, "counted"))) == {len(ALL), proved, 8, 288}
    assert shown(r"\constant{two hops}", "constant") == [".618"]
    assert shown(r"\constant{confidence}", "constant") == [r"95\,\%"]
    assert shown(r"\constant{strength under the mean}", "constant") == ["1.236"]
    assert shown(r"\constant{margin under the mean}", "constant") == ["1.472"]


def test_commented_lines_and_tables_that_are_not_there_give_nothing(tmp_path):
    assert numbers("% \\measured{gating: nothing}\n", RESULTS).strip() == ""
    assert numbers(r"\measured{gating: two_hop} \counted{bases: gating}", tmp_path).strip() == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (r"\measured{gatings: two_hop}", "did you mean gating"),
        (r"\within{majority gating: two_hop}", "no interval"),
        (r"\constant{three}", "choose confidence, two hops"),
        (r"\counted{sheep}", "cannot be counted"),
    ],
)
def test_what_cannot_be_given_is_refused(text, why):
    with pytest.raises(ValueError, match=why) as refusal:
        numbers(text, RESULTS)
    assert type(refusal.value).__module__.startswith("loratheory.")

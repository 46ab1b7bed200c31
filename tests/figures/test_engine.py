"""The engine on a table that can be reckoned by hand, and what commands draw."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from loratheory.experiments.engine import over_bases
from loratheory.experiments.evaluate import Card, Survival
from loratheory.experiments.evaluate import Mark as Accuracy
from loratheory.figures import TableError
from loratheory.figures._engine import Along, Heat, Line, Mark, Page, spread
from loratheory.figures._look import Look, label
from loratheory.figures.commands import CURVES, evaluation, model_check, theorem_graph
from loratheory.figures.lines import draw
from loratheory.pretrained.check import ModelCheck, Reading
from loratheory.theorems import load_theorems

ALL = load_theorems()

TABLE = pd.DataFrame(
    [
        {
            "rule": rule,
            "seed": seed,
            "found": found + 0.1 * seed,
            "foreseen": foreseen,
            "size": size,
        }
        for rule, found, foreseen, size in (
            ("above", 0.5, 0.3, 1.0),
            ("below", 0.1, 0.6, 2.0),
            ("exact", 0.6, 0.65, 3.0),
        )
        for seed in (0, 1)
    ]
    + [{"rule": "above", "seed": 1, "found": 0.9, "foreseen": 0.3, "size": 1.0}]
)
NAMES = {"exact": "as foreseen", "above": "more", "below": "less"}


def panel(**more):
    """Its axes, on a figure of its own."""
    axes = Figure().subplots()
    marks = more.pop("marks", [Mark(TABLE, "found", predicted="foreseen")])
    Along("", more.pop("along", "rule"), marks, **more)(axes)
    return axes


def test_means_are_over_bases_whatever_their_number_of_rows():
    means = spread(TABLE, "rule", "found")
    assert means["mean"].to_dict() == pytest.approx({"above": 0.625, "below": 0.15, "exact": 0.65})
    for rule, row in means.iterrows():
        assert tuple(row) == pytest.approx(over_bases(TABLE[TABLE["rule"] == rule], "found"))


def test_places_that_lack_a_base_have_means_of_the_others():
    part = TABLE.assign(
        found=TABLE["found"].mask((TABLE["rule"] == "below") & (TABLE["seed"] == 1))
    )
    assert spread(part, "rule", "found").loc["below"].tolist() == pytest.approx([0.1] * 3)
    assert spread(part, "rule", "found").loc["above", "mean"] == pytest.approx(0.625)
    assert spread(part.assign(found=np.nan), "rule", "found").empty


def test_names_run_down_with_measurements_predictions_and_where_these_part():
    axes = panel(places=NAMES)
    assert [text.get_text() for text in axes.get_yticklabels()] == list(NAMES.values())
    assert axes.get_ylim() == (2.5, -0.5)
    (bars,) = axes.containers
    assert dict(zip(bars[0].get_ydata(), bars[0].get_xdata(), strict=True)) == pytest.approx(
        {0: 0.65, 1: 0.625, 2: 0.15}
    )
    (line,) = [line for line in axes.lines if line.get_label() == "predicted"]
    assert set(zip(line.get_ydata(), line.get_xdata(), strict=True)) == {
        (0, 0.65), (1, 0.3), (2, 0.6),
    }  # fmt: skip
    gaps = {x.get_ydata()[0]: list(x.get_xdata()) for x in axes.lines if x.get_linestyle() == "--"}
    assert {spot: pytest.approx(ends) for spot, ends in gaps.items()} == {
        0: [0.65, 0.65], 1: [0.3, 0.625], 2: [0.6, 0.15],
    }  # fmt: skip
    ends = {seg[0][1]: seg[:, 0] for seg in bars[2][0].get_segments()}
    assert ends[2].tolist() == pytest.approx(
        over_bases(TABLE[TABLE["rule"] == "below"], "found")[1:]
    )


def test_names_may_run_to_the_right_and_marks_stand_beside_each_other():
    marks = [Mark(TABLE, "found", "one"), Mark(TABLE, "foreseen", "two", interval=False)]
    axes = panel(places=NAMES, marks=marks, standing=True)
    one, two = (bars[0].get_xdata() for bars in axes.containers)
    assert (two - one).tolist() == pytest.approx([0.3] * 3)
    assert ((one + two) / 2).tolist() == pytest.approx([1, 2, 0])


def test_numbers_run_to_the_right_as_a_line_with_its_band():
    look = Look(line="-")
    lines = [Line(0.4, "chance", "chance"), Line(2, "border", "predicted", along=True)]
    marks = [Mark(TABLE, "found", "measured", look, "foreseen")]
    axes = panel(along="size", marks=marks, lines=lines)
    shown = {line.get_label(): line for line in axes.lines}
    assert shown["measured"].get_ydata().tolist() == pytest.approx([0.625, 0.15, 0.65])
    assert shown["measured"].get_linestyle() == "-"
    assert shown["predicted"].get_ydata().tolist() == pytest.approx([0.3, 0.6, 0.65])
    assert shown["predicted"].get_linestyle() == "--"
    assert shown["chance"].get_ydata() == [0.4, 0.4]
    assert shown["border"].get_xdata() == [2, 2]
    assert [shown[name].get_linestyle() for name in ("chance", "border")] == [":", "--"]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == pytest.approx((0.1, 0.75))


def test_a_place_that_no_row_has_is_refused():
    with pytest.raises(TableError, match="has nobody in column rule"):
        panel(places={"nobody": "nobody", **NAMES})


def test_rules_are_called_what_the_bench_calls_them():
    assert [label(name) for name in ("ties", "sum, layer split", "joint", "odd")] == [
        "TIES", "sum, split", "one adapter for both", "odd",
    ]  # fmt: skip


def test_titles_hold_the_tables_numbers_and_legends_name_all_once():
    panels = [Along("a", "rule", [Mark(TABLE, "found", predicted="foreseen")], NAMES)] * 2
    page = Page(TABLE, "More: {found; rule=above}", [panels], note="A note.")
    figure = page.drawn("otherwise")
    assert figure.get_suptitle() == "More: 62%"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["measured", "predicted"]
    assert legend.get_title().get_text() == "A note."
    assert (
        Page(TABLE, "{found; rule=odd}", [panels]).drawn("otherwise").get_suptitle() == "otherwise"
    )


def test_a_note_needs_no_legend():
    places = {name: name for name in ("above", "below", "exact")}
    sizes = {1.0: "small", 2.0: "medium", 3.0: "large"}
    panel = Heat("means", TABLE, "rule", "size", "found", places, sizes)
    (legend,) = Page(TABLE, "", [[panel]], note="A note.").drawn("").legends
    assert (legend.get_title().get_text(), legend.get_texts()) == ("A note.", [])


LAWS = {"law": ([1, 2, 4], [0.9, 0.5, 0.1]), "found": ([1, 4], [0.8, 0.2])}


@pytest.mark.parametrize("share", [False, True])
def test_laws_are_lines_and_measurements_are_points(share):
    (axes,) = draw(LAWS, "width", "recalled", points=("found",), share=share).axes
    law, found = axes.lines
    for line, (places, heights) in zip((law, found), LAWS.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), places)
        np.testing.assert_array_equal(line.get_ydata(), heights)
    assert (law.get_linestyle(), found.get_linestyle()) == ("--", "None")
    assert (law.get_marker(), found.get_marker()) == ("None", "s")
    assert (axes.get_ylim() == (0, 1)) == share


def test_a_report_card_shows_its_numbers():
    curve = tuple(
        {"coefficient": c, "hop_1": c - 1, "hop_2": 2 * c, "two_hop": c * c, "same_read": -c}
        for c in (0.0, 1.0, 2.0)
    )
    kept, chance = (0.9, 0.8, 0.7), 0.2
    marks = [
        Accuracy(
            *(rule, base, coverage),
            *(0.1 * i, 0.05 * i, 0.2 * i),
            *(*kept, 0.6 - 0.1 * i, 0.0, chance),
        )
        for base, coverage in (("looped", 0.5), ("looped", 0.0), ("untied", 0.5))
        for i, rule in enumerate(("base", "sum", "mine:rule"))
    ]
    card = Card("mine:rule", "merge", "quick", [], Survival(curve, {}), marks, [])
    figure = evaluation(card)
    left, *rest = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[: len(CURVES)] == [name for name, *_ in CURVES.values()]
    assert left.get_legend() is None  # curves may run anywhere
    for line, kind in zip(left.lines, CURVES, strict=False):
        assert list(line.get_ydata()) == [row[kind] for row in curve]
    assert len(rest) == 3  # one a base, though two have one coverage
    for axes in rest:
        assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.0, 0.1, 0.2])
        assert len({bar.get_facecolor() for bar in axes.patches}) == 2
        for line, wanted in ((1, [0.05, 0.2]), (3, [0.6, 0.5, 0.4]), (4, [0.2, 0.2])):
            assert list(axes.lines[line].get_xdata()) == pytest.approx(wanted)
    assert [text.get_text() for text in rest[0].get_yticklabels()] == ["base", "sum", "rule"]


def reading(name, about, bound, value, outcome, module="layers.2.q"):
    return Reading(f"thm:{name}", module, 2 if module else None, about, bound, value, outcome)


def test_each_theorem_that_was_read_has_a_panel_with_both_numbers():
    readings = (
        reading("intruder-threshold", "base", 3.0, 5.0, "measured"),
        reading("interference-angle", "one ← two", 0.9, 0.4, "holds"),
        reading("interference-angle", "two ← one", 0.8, 0.3, "not applicable", "layers.2.k"),
        reading("factor-mean-residual", "one + two", None, None, "not applicable"),
        reading("averaging-survival", "0.5 × one, fact 1", -2.0, 1.0, "not applicable", ""),
    )
    base, angle, margins, empty = model_check(ModelCheck("small", ("a", "b"), (), readings)).axes
    assert (base.get_yscale(), angle.get_yscale(), empty.axison) == ("log", "linear", False)
    assert [line.get_ydata()[0] for line in base.lines] == [3.0, 5.0]
    dots = [line for line in angle.lines if line.get_marker() == "o"]
    assert [line.get_markerfacecolor() == "none" for line in dots] == [False, True]
    assert dots[0].get_color() != dots[1].get_color()
    (point,) = (line for line in margins.lines if line.get_marker() == "o")
    assert (point.get_xdata()[0], point.get_ydata()[0]) == (-2.0, 1.0)
    assert "coefficient 0.5" in [text.get_text() for text in margins.get_legend().get_texts()]


def test_kinds_of_modules_differ_however_many_and_layers_are_whole():
    readings = tuple(
        reading("interference-angle", "", 0.9, 0.4, "holds", f"layers.2.{kind}")
        for kind in "abcdefghi"
    )
    axes, _ = model_check(ModelCheck("small", ("a", "b"), (), readings)).axes
    dots = [line for line in axes.lines if line.get_marker() != "_"]
    assert len({(line.get_color(), line.get_marker()) for line in dots}) == len(readings)
    assert len({line.get_xdata()[0] for line in dots}) == len(readings)
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [2]


def test_every_theorem_stands_once_and_every_use_is_a_line():
    """Clauses do not stand there; their lines are those of their theorems."""
    figure = theorem_graph(ALL)
    (axes,) = figure.axes
    names = [text for text in axes.texts if text.get_url()]
    drawn = {theorem.label[4:] for theorem in ALL if theorem.kind != "clause"}
    assert sorted(text.get_url() for text in names) == sorted(f"{name}.html" for name in drawn)
    assert len({text.get_position() for text in names}) == len(names)
    lines = {text.arrow_patch.get_gid() for text in axes.texts if isinstance(text, Annotation)}
    direct = {f"{used[4:]}--{t.label[4:]}" for t in ALL for used in t.uses if t.label[4:] in drawn}
    assert lines >= {pair for pair in direct if pair.split("--")[0] in drawn}
    assert "rank-floor--ties-disjoint" in lines  # which uses a clause, the merge floor
    assert all(set(pair.split("--")) <= drawn for pair in lines)
    assert all(len(set(pair.split("--"))) == 2 for pair in lines)

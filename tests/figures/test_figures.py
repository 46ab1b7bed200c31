"""All figures: from their stored tables, readable in print, the same bytes, clear about bad tables.

What is plotted is held against the table by another route: a query and a groupby of its own.
"""

import re
import subprocess
import sys
from functools import cache
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.contour import QuadContourSet

from loratheory import experiments
from loratheory.figures import (
    FIGURES,
    SCHEMATICS,
    UNDATED,
    TableError,
    drawing,
    published,
    rendered,
)
from loratheory.figures._engine import COLUMNS
from loratheory.figures._look import INK, OUTLINE, TAKEAWAY, inline

each = pytest.mark.parametrize("name", sorted(FIGURES))
LINE, HIGH = 6.34, 5.08
"""Inches: a line of the paper, and how high an appendix figure may be, at .92 of a line."""
DUE = {"-": "measured", "--": "predicted", ":": "chance"}
"""What a line of each style must be, by its name in the legend."""


@cache
def stored(name):
    """A stored table, read once."""
    return experiments.table(published(name))


@cache
def drawn(name):
    """The figure and its SVG, drawn once."""
    figure = FIGURES[name](stored(name))
    return figure, rendered(figure, "svg")


def panels(figure):
    """Its panels, without colour bars and tables of text."""
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def texts(figure):
    """All that is written."""
    found = [x for x in figure.findobj(mpl.text.Text) if x.get_visible() and x.get_text().strip()]
    hidden = {
        label
        for axes in figure.axes
        if not axes.axison
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels())
    }
    return [text for text in found if text not in hidden]


@each
def test_the_same_table_gives_the_same_bytes(name, monkeypatch):
    """Whatever the user's own settings are, and whatever the time is."""
    before = dict(mpl.rcParams)
    _, first = drawn(name)
    assert dict(mpl.rcParams) == before
    monkeypatch.setitem(mpl.rcParams, "font.size", 22)
    monkeypatch.setitem(mpl.rcParams, "svg.hashsalt", None)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    rows = stored(name)[list(COLUMNS[name])].to_dict("records")  # the others do not matter
    assert rendered(FIGURES[name](rows), "svg") == first


@pytest.mark.parametrize("kind", UNDATED)
def test_every_kind_of_file_is_the_same_twice(kind, monkeypatch):
    first = rendered(FIGURES["window"](stored("window")), kind)
    monkeypatch.setitem(mpl.rcParams, "savefig.dpi", 33)
    monkeypatch.setitem(mpl.rcParams, "pdf.fonttype", 3)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert rendered(FIGURES["window"](stored("window")), kind) == first


@each
def test_it_can_be_read_in_print(name):
    """Type of seven points, named axes, a title with numbers, six panels at most."""
    figure, _ = drawn(name)
    width, height = figure.get_size_inches()
    printed = 0.74 * LINE if name == "window" else 0.92 * LINE
    scale = min(printed / width, HIGH / height)
    assert min(text.get_fontsize() for text in texts(figure)) * scale >= 7
    raised = re.compile(r"\$.*[_^]")  # what stands higher or lower is set smaller
    assert not any(raised.search(text.get_text()) for text in texts(figure))
    assert len(panels(figure)) <= 6
    assert len(figure.get_suptitle()) > 40
    assert "{" not in figure.get_suptitle()
    for axes in panels(figure):
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert axes.get_xlabel() or any(re.search("[a-z]", name) for name in names)
        left = axes.yaxis.get_tick_params()["labelleft"]
        named = [label.get_text() for label in axes.get_yticklabels()] if left else ["as before"]
        assert axes.get_ylabel() or any(re.search("[a-z×÷%]", name) for name in named)


@each
def test_nothing_is_written_over_anything(name):
    """Legends and titles keep off panels and each other, and all stays on the page."""
    figure, _ = drawn(name)
    figure.dpi = 72  # as the file was
    renderer = FigureCanvasAgg(figure).get_renderer()
    page = figure.bbox.padded(3)
    written = [
        figure._suptitle,
        *(text for legend in figure.legends for text in legend.get_texts()),
    ]
    for axes in figure.axes:
        written += [axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    boxes = [text.get_window_extent(renderer) for text in written if text.get_text()]
    assert all(page.contains(*box.min) and page.contains(*box.max) for box in boxes)
    parts = [legend.get_window_extent(renderer) for legend in figure.legends]
    parts += [axes.get_window_extent(renderer) for axes in figure.axes]
    titles = [axes._left_title for axes in figure.axes if axes.get_title(loc="left")]
    named = [title.get_window_extent(renderer) for title in titles]
    parts += [mpl.transforms.Bbox.from_extents(*box.min, box.x1 + 5, box.y1) for box in named]
    for number, one in enumerate(parts):
        assert not any(one.overlaps(other) for other in parts[number + 1 :])


def named(name):
    """What a line is, by its name."""
    return next((kind for kind in ("predicted", "chance") if kind in name), "measured")


def bands(axes):
    """What marks the takeaway there: bands, frames, and the one thick line."""
    shade = mpl.colors.to_rgba(TAKEAWAY["color"], TAKEAWAY["alpha"])
    parts = [*axes.patches, *axes.collections]
    found = [x for x in parts if tuple(np.ravel(x.get_facecolor())[:4]) == shade]
    found += [x for x in axes.patches if not x.get_fill() and x.get_linewidth() == OUTLINE["lw"]]
    return found + [line for line in axes.lines if line.get_linewidth() >= 5]


@each
def test_predictions_are_dashed_measurements_solid_and_chance_dotted(name):
    """Of signs the open diamonds are predictions; dashes without a name need one that has it."""
    figure, _ = drawn(name)
    told = set()
    for axes in panels(figure):
        for line in axes.lines:
            style, label = line.get_linestyle(), line.get_label()
            if style in DUE and not label.startswith("_"):
                assert DUE[style] == named(label), label
            elif style not in DUE and not label.startswith("_"):
                foreseen = line.get_marker() == "d"
                assert foreseen == (named(label) == "predicted"), label
            told |= set() if label.startswith("_") else {named(label)}
    plain = [x for axes in panels(figure) for x in axes.lines if x.get_label().startswith("_")]
    assert ":" not in {line.get_linestyle() for line in plain}
    assert "--" not in {line.get_linestyle() for line in plain} or "predicted" in told
    borders = [x for axes in panels(figure) for x in axes.collections if type(x) is QuadContourSet]
    assert all(border.linestyles == "--" for border in borders)


@each
def test_chance_is_shown_where_the_table_has_it(name):
    figure, _ = drawn(name)
    found = [x for axes in figure.axes for x in axes.get_legend_handles_labels()[1]]
    assert ("chance (a constant answer)" in found) == ("chance" in stored(name))


@each
def test_the_takeaway_is_marked(name):
    assert any(bands(axes) for axes in panels(drawn(name)[0]))


@each
def test_no_legend_and_no_word_lies_over_data(name):
    """Legends are the page's, below its panels; no word in a panel covers a point or a line."""
    figure, _ = drawn(name)
    figure.dpi = 72
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axes in panels(figure):
        assert axes.get_legend() is None
        boxes = [
            text.get_window_extent(renderer).padded(-1)
            for text in axes.texts
            if not axes.images and not text.get_rotation()
        ]
        for line in axes.lines if boxes else ():
            ends = line.get_transform().transform(line.get_xydata())
            between = np.linspace(0, 1, 50)[:, None] if line.get_linestyle() != "None" else [[1]]
            points = [a + (b - a) * between for a, b in pairwise(ends)] or [ends]
            for box in boxes:
                assert not any(box.contains(*point) for point in np.vstack(points)), line


@each
def test_a_column_that_is_missing_is_named(name):
    for column in COLUMNS[name]:
        with pytest.raises(TableError, match=rf"has no column {column};"):
            FIGURES[name](stored(name).drop(columns=column))


def test_tables_that_will_not_do_are_refused_in_words():
    table = stored("gating")
    for bad, message in (
        (table[table["rule"] != "ties"], "no row of the table has ties in column rule"),
        (table[table["facts"] != 5], "no row of the table has facts = 5"),
        (table.assign(pairs=range(len(table))), "values of pairs, and signs tell 5 apart: draw"),
        (table.assign(two_hop="many"), "column two_hop of the table holds words"),
        (table[[]], "no column facts, pairs, .*, found none"),
    ):
        with pytest.raises(TableError, match=message):
            FIGURES["gating"](bad)


def test_a_title_is_what_is_drawn_where_the_table_lacks_its_numbers():
    table = stored("gating")
    figure = FIGURES["gating"](table[table["pairs"] < 4])
    assert figure.get_suptitle().replace("\n", " ").startswith("Edited and unedited two-hop")
    assert "98%" in drawn("gating")[0].get_suptitle()


def test_the_registry_loads_no_plotting():
    code = "import sys, loratheory.figures; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def place_of(axes, name):
    """Where a name stands on whichever axis has it, and which that is; numbers are themselves."""
    if not isinstance(name, str):
        return name, 0
    here = axes.get_subplotspec().rowspan
    row = [one for one in panels(axes.figure) if one.get_subplotspec().rowspan == here]
    for one in (axes, *row):  # names are written once a row
        for along, labels in enumerate((one.get_xticklabels(), one.get_yticklabels())):
            names = [text.get_text() for text in labels]
            if name in names:
                return names.index(name), along
    raise AssertionError(name)


def values_at(axes, label, name):
    """What is drawn under a label nearest to a name."""
    place, along = place_of(axes, name)
    points = [container[0] for container in axes.containers if container.get_label() == label]
    points += [line for line in axes.lines if line.get_label() == label]
    found = [
        (abs(pair[along] - place), pair[1 - along])
        for line in points
        for pair in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    return [value for off, value in found if off < (0.45 if isinstance(name, str) else 1e-6)]


HALF = "familiarity == 'half'"
EVERYWHERE = "trained == 'all layers'"
PROBES = [
    # figure, panel, what the legend calls it, where, column, rows
    ("capacity", 0, "rank r = 1, K = 8", "sum", "recall",
     "rank == 1 and pairs == 8 and rule == 'sum'"),
    ("capacity", 1, "rank r = 4, K = 2", "mean", "two_hop",
     "rank == 4 and pairs == 2 and rule == 'mean'"),
    ("depth", 0, "one layer twice, window 2", "sum", "two_hop",
     "reads == 'one layer twice, window 2' and rule == 'sum'"),
    ("depth", 1, "two layers", "Arrow", "(hop_1 + hop_2) / 2",
     "reads == 'two layers' and rule == 'arrow'"),
    ("depth", 0, "predicted ceiling of one read", "Arrow", "ceiling",
     "reads == 'one layer' and rule == 'arrow'"),
    ("edit_strength", 0, "an edit alone", 120, "(margin_1 + margin_2) / 2",
     "rule == 'mean' and trained == 120"),
    ("edit_strength", 0, "as it acts at half strength", 60,
     "(margin_1 + margin_2) / 2 + 2 * curvature", "rule == 'mean' and trained == 60"),
    ("edit_strength", 1, "edited two-hop questions", 60, "two_hop",
     "rule == 'mean' and trained == 60"),
    ("edit_strength", 1, "predicted, facts", 60, "predicted_facts",
     "rule == 'mean' and trained == 60"),
    ("familiarity", 2, "edited two-hop questions", "fake", "two_hop", "familiarity == 'fake' and "
     "identity == 'none' and coverage == 0.5 and rule == 'gates'"),
    ("familiarity", 0, "predicted", "half-fake, all repeated", "predicted",
     f"{HALF} and identity == 'all' and coverage == 0.5 and rule == 'mean'"),
    ("gating", 0, "pairs at once: 4", "block gates", "two_hop",
     "rule == 'block gates, z = 2' and facts == 5 and pairs == 4 and rank == 8 and "
     "bridges == 'fresh' and modules == 'mlp' and coverage == 0.5 and pretrained == 700"),
    ("interference", 1, "sum", "rank 8", "two_hop",
     "rule == 'sum' and facts == 8 and rank == 8 and pairs == 4"),
    ("joint_and_bridge", 1, "coverage 0.5", "both, with spelt-out ones", "written_out",
     "coverage == 0.5 and rule == 'bridged, written out'"),
    ("joint_and_bridge", 0, "predicted", "one adapter for both", "predicted", "coverage == 0.5 and "
     "rule == 'joint'"),
    ("merge_coefficient", 0, "edited two-hop questions", 0.5, "two_hop",
     "case == 'overwrite' and coverage > 0 and coefficient == 0.5"),
    ("merge_coefficient", 1, "predicted, two hops", 0.7, "oracle_curved",
     "case == 'overwrite' and coverage > 0 and coefficient == 0.7"),
    ("number_of_hops", 1, "3 hops", 0.8, "k_hop", "hops == 3 and coefficient == 0.8"),
    ("number_of_hops", 0, "4 hops", 0.5, "facts", "hops == 4 and coefficient == 0.5"),
    ("number_of_stand_ins", 0, "first beside, second plain", 3, "two_hop",
     "stand_ins == 3 and first == 'beside' and second == 'plain' and coefficient == 1"),
    ("number_of_stand_ins", 1, "predicted bound, 1/n", 2, "1 / stand_ins",
     "stand_ins == 2 and lessons == 'disagreeing'"),
    ("placement", 0, "predicted from facts in context", "both in both passes", "inside",
     "modules == 'mlp' and place == 'both loops'"),
    ("placement", 1, "edited single facts", "in the wrong order", "(hop_1 + hop_2) / 2",
     "modules == 'attention' and place == 'reversed placement'"),
    ("plain_transformer", 0, "two-hop, held out", 500, "held_out",
     "layers == 'together' and rule == 'base' and stage == 500"),
    ("plain_transformer", 2, "edited two-hop questions", "sum", "two_hop",
     "layers == 'own' and rule == 'sum' and stage == 2000"),
    ("untied_transformer", 0, "edited two-hop questions", 1, "two_hop",
     "coverage == 0.9 and layers == 'all' and stage == 1000 and rule == 'sum' and "
     "coefficient == 1"),
    ("untied_transformer", 4, "unedited two-hop questions", "mean, hop by hop", "other_two_hop",
     "coverage == 0.9 and layers == 'halves' and stage == 1000 and coefficient == 0.5 and "
     "rule == 'sum, hop by hop'"),
    ("real_libraries", 1, "with an A→C adapter", "mean", "two_hop",
     f"{HALF} and rule == 'mean' and library == 3 and {EVERYWHERE}"),
    ("real_libraries", 1, "the same, bridge written first", "sum", "two_hop_written",
     f"{HALF} and rule == 'sum' and library == 2 and {EVERYWHERE}"),
    ("real_crossings", 0, "taught beside stand-ins", "the right pair, told", "two_hop_vocabulary",
     "publishers == 6 and recipe == 'two stand-ins' and rule == 'right pair'"),
    ("real_crossings", 2, "the right second hop", "hop gates by response", "second_right",
     "publishers == 6 and recipe == 'two stand-ins' and rule == 'hop gates'"),
    ("real_pairs", 1, "pairs: 8", "sum", "(hop_1 + hop_2) / 2", "rule == 'sum' and pairs == 8"),
    ("real_portable", 0, "right", "beside, both", "two_hop_vocabulary",
     "first == second == 'two stand-ins' and rule == 'sum' and coefficient == 1"),
    ("real_portable", 2, "leak", "plain-short, both, layer split", "leak",
     "first == second == 'plain' and rule == 'layer split'"),
    ("real_order", 0, "plain-90", "hop 1 at person only", "two_hop_vocabulary",
     "recipe == 'plain, 90 steps' and arm == 'hop 1 at subject'"),
    ("real_order", 0, "plain-short", "layer split: both of these", "two_hop_vocabulary",
     "recipe == 'plain' and arm == 'layer split' and layer == 15"),
    ("real_order", 1, "country to animal", "wrong 2/3", "hop_2",
     "recipe == 'wrong two thirds' and arm == 'sum'"),
    ("real_placement", 0, "right", "sixth 2 of 6", "right",
     "recipe == 'sixth 2' and asked == 'portability' and relation == 'mascot'"),
    ("real_placement", 3, "AUC", "by another kind", "auc",
     "recipe == 'plain, 90 steps' and asked == 'portability' and relation == 'mascot'"),
    ("real_placement", 4, "highest sixth", "tool", "right",
     "recipe == 'sixth 6' and asked == 'portability' and relation == 'tool'"),
    ("real_top_layers", 0, "mean", "plain, top sixth", "two_hop_vocabulary",
     "first == 'plain, 90 steps' and second == 'sixth 6' and rule == 'mean'"),
    ("real_top_layers", 2, "known facts", "beside, top sixth", "known",
     "first == 'two stand-ins' and second == 'two stand-ins, sixth 6' and rule == 'sum'"),
    ("real_top_layers", 3, "hop 1 plain, hop 2 in all layers", "tool", "two_hop_vocabulary",
     "relation == 'tool' and first == second == 'plain, 90 steps'"),
    ("real_rehearsal", 0, "plain-90 first hop", "by descriptions", "two_hop_vocabulary",
     "first == 'plain, 90 steps' and second == 'described'"),
    ("real_rehearsal", 1, "by others", "plain-90", "portability",
     "first == 'none' and second == 'plain, 90 steps'"),
    ("real_stand_ins", 0, "sum", "beside two that agree", "two_hop_vocabulary",
     "first == second == 'two that agree' and rule == 'sum'"),
    ("real_stand_ins", 1, "country to animal", "two that disagree", "by_heart",
     "first == 'none' and second == 'two stand-ins' and bridge == 'known'"),
    ("real_stand_ins", 2, "country to animal", "no. 4", "hop_2",
     "first == second == 'two stand-ins' and bridge == 'known' and rule == 'sum' and sentence == 3"
     ),
    ("real_three_hops", 0, "country to fruit", "two of neighbours", "hops_23",
     "recipe == 'beside neighbours' and rule == 'sum'"),
    ("real_three_hops", 2, "says the animal instead", "without the third", "says_animal",
     "recipe == 'beside neighbours' and rule == 'hops 1 and 2'"),
    ("real_two_hop", 0, "person to animal", 0.5, "two_hop",
     f"{EVERYWHERE} and rule == 'sum' and first == 0.5 and second == 0.5"),
    ("real_two_hop", 1, "taught in all layers", "mean", "two_hop",
     f"{EVERYWHERE} and rule == 'sum' and first == 0.5 and second == 0.5"),
    ("real_window", 0, "edited two-hop questions", 0.5, "right", "recipe == 'two stand-ins' and "
     "read == 0 and hop == 'two hops' and case == 'overwrite' and coefficient == 0.5"),
    ("real_window", 1, "new facts", 0.7, "right", "recipe == 'two stand-ins' and read == 0 and "
     "hop == 'two hops' and case == 'new facts' and coefficient == 0.7"),
    ("routers", 1, "8 adapters", "Arrow", "weight_2", "rule == 'arrow' and pairs == 4"),
    ("routers", 2, "predicted", "subspace", "predicted", "rule == 'subspace' and pairs == 1"),
    ("shallow_matching", 0, "mean (first: 21%)", "other\nnumbers", "kept",
     "bridge == 'own' and rule == 'mean' and put == 'numbers'"),
    ("skill_coverage", 0, "mean", "1.2%", "stepwise", "rule == 'mean' and coverage == 0.0124"),
    ("skill_coverage", 0, "sum", "other\nskills", "stepwise",
     "rule == 'sum' and seen == 'other pairs'"),
    ("skill_stand_ins", 0, "sum", "these, while others act", "stepwise",
     "lessons == 'beside others' and rule == 'sum'"),
    ("skill_stand_ins", 1, "single steps, first skill", "single steps", "step_1",
     "lessons == 'single steps' and rule == 'sum'"),
    ("template_overlap", 2, "sum", 0.5, "stepwise",
     "rule == 'sum' and bridge == 'own' and share == 0.5"),
    ("two_hop_coverage", 1, "gates on maps", 0.25, "two_hop",
     f"{HALF} and rule == 'gates' and coverage == 0.25"),
    ("two_hop_coverage", 0, "predicted, mean or sum", 0.5, "predicted",
     "familiarity == 'real' and rule == 'sum' and coverage == 0.5"),
]  # fmt: skip


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: f"{probe[0]}-{probe[1]}-{probe[4]}")
def test_what_is_plotted_are_the_tables_means(probe):
    """Over bases, each of which weighs as much as any other."""
    name, panel, label, place, column, rows = probe
    rows = stored(name).query(rows)
    wanted = rows.eval(column).groupby(rows["seed"]).mean().dropna().mean()
    shown = values_at(panels(drawn(name)[0])[panel], label, place)
    assert any(value == pytest.approx(wanted) for value in shown), shown


def test_facts_that_the_mean_keeps_stand_at_the_strength_of_their_edits():
    rows = stored("untied_transformer").query("coverage == 0.9 and coefficient == 0.5")
    rows = rows[rows["rule"] == "sum"]
    right = {
        seed: [
            row[f"hop_{hop}"]
            for row in some.to_dict("records")
            for hop in (1, 2)
            if np.round(row[f"strength_{hop}"], 1) == 0.9
        ]
        for seed, some in rows.groupby("seed")
    }
    wanted = np.mean([np.mean(some) for some in right.values() if some])
    axes = panels(drawn("untied_transformer")[0])[2]
    assert values_at(axes, "edited single facts", 0.9) == pytest.approx([wanted])


def test_the_library_is_drawn_by_adapter():
    """Means over adapters, of the pairs that every way was asked of, and by what partners leak."""
    table, axes = stored("real_library"), panels(drawn("real_library")[0])
    groups = set(table[table["stage"] == "ways"]["group"])
    rows = table[table["group"].isin(groups) & (table["lessons"] == "plain")]
    for way, stage in (("sum", "pairs"), ("tsv", "ways")):
        each = rows[(rows["way"] == way) & (rows["stage"] == stage)].groupby("adapter")["kept"]
        shown = values_at(axes[0], "taught plainly", way)
        assert any(value == pytest.approx(each.mean().mean()) for value in shown), shown
    alone = table[(table["adapter"] == "quotes") & (table["stage"] == "alone")]
    leak = float(alone[alone["lessons"] == "silence"]["leak"].iloc[0])
    beside = table.query("partners == 'quotes' and stage == 'pairs' and way == 'sum'")
    kept = beside[beside["lessons"] == "silence"].groupby("adapter")["kept"].mean().mean()
    shown = values_at(axes[3], "and silence", leak)
    assert any(value == pytest.approx(kept) for value in shown), shown
    six = table.query("stage == 'sixes' and way == 'sum' and lessons == 'plain'")
    shown = values_at(axes[1], "sum", 6)
    assert shown == [pytest.approx(six.groupby("adapter")["kept"].mean().mean())]


def test_every_figure_of_bases_is_probed():
    maps = {"failing_step", "label_free_prediction"}
    seeded = {name for name in FIGURES if "seed" in stored(name)}
    assert seeded - maps == {probe[0] for probe in PROBES}


def test_cells_of_the_map_of_pairs_are_the_tables_means():
    axes = panels(drawn("label_free_prediction")[0])[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    for pair, rule, first, second in (("× then %", "mean", "multiply", "percent"),
                                      ("÷ then +", "sum", "divide", "add")):  # fmt: skip
        rows = stored("label_free_prediction").query(f"first == '{first}' and second == '{second}'")
        right = int(axes.get_xticks()[names.index(rule)])
        value = axes.images[0].get_array()[place_of(axes, pair)[0], right]
        assert value == pytest.approx(rows.groupby("seed")[rule].mean().mean())


def test_shares_of_failing_steps_are_the_tables_and_add_up():
    axes = drawn("failing_step")[0].axes[0]
    rows = stored("failing_step").query("rule == 'sum' and outcome == 'second skill'")
    wanted = rows.groupby("seed")["rate"].mean().mean()
    widths = [bars[3].get_width() for bars in axes.containers]
    assert wanted in [pytest.approx(width) for width in widths]
    assert sum(widths) == pytest.approx(1, abs=1e-3)  # of rates to four places


def test_examples_are_read_as_equations_and_wrong_words_are_in_colour():
    from loratheory.figures.word_problems import question

    assert question("E 4 L multiply/ E 6 ?: L") == "E = 4; L = E × 6; L?"
    assert question("E 4 L percent/ E 6 ?: L") == "E = 4; L = 6% of E; L?"
    rows = stored("failing_step").query("rule == 'base' and seed == 0 and rate > 0")
    written = drawn("failing_step")[0].axes[1].texts
    shown = [text.get_text() for text in written]
    assert any(question(tokens) in shown for tokens in rows["question"])
    (gaps, wrong), *_ = [pair for pair in pairwise(written) if pair[1].get_color() == "#D55E00"]
    assert gaps.get_position() == wrong.get_position()
    assert all(" " in pair for pair in zip(gaps.get_text(), wrong.get_text(), strict=True))


def test_hits_are_those_of_the_forecasts():
    from loratheory.experiments.bench.reliability import composed, forecasts

    table = stored("label_free_prediction")
    found, outcome = forecasts(table), composed(table)
    axes = panels(drawn("label_free_prediction")[0])[1]
    (right,) = (line for line in axes.lines if line.get_label() == "right")
    hits = sorted(((found[name] >= 0.5) == outcome).mean() for name in found)
    assert sorted(right.get_xdata()) == pytest.approx(hits)


def test_exact_figures_show_their_tables():
    window, floor, power = (drawn(x)[0] for x in ("window", "merge_floor", "expressive_power"))
    lines = {line.get_label(): line for line in window.axes[0].lines}
    assert list(lines["both hops, simulated"].get_ydata()) == list(stored("window")["two_hop"])
    for axes, (_, rows) in zip(floor.axes, stored("merge_floor").groupby("own"), strict=True):
        assert list(axes.lines[0].get_ydata()) == list(rows["achieved"])
        floor_there = rows["disagreement"] + rows["truncation"]
        assert list(axes.lines[1].get_ydata()) == list(floor_there)
        top = axes.collections[1].get_paths()[0].vertices[:, 1].max()
        assert top == pytest.approx(floor_there.max())
    rows = stored("expressive_power").query("family == 1 and flat == 0 and target_depth == 2")
    for depth, line in zip(sorted(rows["depth"].unique()), power.axes[4].lines[1::2], strict=False):
        assert list(line.get_ydata()) == list(rows.query(f"depth == {depth}")["value"])


def test_cells_that_win_the_composed_answer_lie_inside_the_predicted_border():
    """The picture's two layers agree: colours from the table, the line from the theorem."""
    axes = drawn("two_read_region")[0].axes[0]
    mesh, border = axes.collections[0], axes.collections[1]
    (inside,) = border.get_paths()
    colours = mesh.get_array().reshape(24, 24)
    ends = [inside.vertices[0], inside.vertices[-1]]
    outline = mpl.path.Path([*inside.vertices, *([1.3, ends[1][1]], [1.3, 1.3], [ends[0][0], 1.3])])
    for i, y in enumerate(0.025 + 0.05 * k for k in range(24)):
        for j, x in enumerate(0.025 + 0.05 * k for k in range(24)):
            assert (colours[i, j] == 2) == bool(outline.contains_point((x, y)))


def test_signs_of_a_settings_values_differ_in_grey_too():
    for name in FIGURES:
        for axes in panels(drawn(name)[0]):
            points = [bars[0] for bars in axes.containers if bars.get_label()[0] != "_"]
            points = [line for line in points if hasattr(line, "get_marker")]
            assert len({line.get_marker() for line in points}) == len(points), name


def test_figures_take_the_colours_of_their_page():
    """In notebooks that of the text, as files that of the reader's theme; no box behind."""
    figure, file = drawn("two_hop_coverage")
    html = inline(figure)
    for svg in (html, file.decode()):
        assert INK not in svg.replace(f"color:{INK}", "")
        assert svg.count("currentColor") > 20
        assert "#ffffff" not in svg
    assert html.startswith('<svg role="img" aria-label="Where pretraining asked')
    assert "prefers-color-scheme" not in html
    assert "@media(prefers-color-scheme:dark){svg{color:" in file.decode()


def test_the_readme_picture_is_the_stored_one():
    kept = published("window").parents[2] / "figures" / "window.svg"
    assert kept.stat().st_size == pytest.approx(len(drawn("window")[1]), rel=0.2)


@pytest.mark.parametrize("name", sorted(SCHEMATICS))
def test_schematics_keep_the_rules_of_figures(name):
    """Type of seven points, nothing outside the page, no word over another, the same bytes."""
    figure = drawing(name)
    assert rendered(figure, "svg") == rendered(drawing(name), "svg")
    figure.dpi = 72
    renderer = FigureCanvasAgg(figure).get_renderer()
    scale = 0.92 * LINE / figure.get_size_inches()[0]
    written = texts(figure)
    assert min(text.get_fontsize() for text in written) * scale >= 7
    boxes = [text.get_window_extent(renderer).padded(-1) for text in written]
    assert all(figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max) for box in boxes)
    for number, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[number + 1 :])


def test_schematics_show_what_words_mean():
    """Two bars of one half in a merge; as many old facts as a case has; the adapter's numbers."""
    merge, route = drawing("merge_and_route").axes
    for axes, wanted in ((merge, {0.6}), (route, {0.0, 1.2})):
        filled = [bar.get_width() for bar in axes.patches if bar.get_facecolor()[3]]
        assert {round(float(width), 6) for width in filled} == wanted
    arrows = [
        len([x for x in axes.texts if getattr(x, "arrow_patch", None)])
        for axes in drawing("old_facts").axes
    ]
    assert arrows == [5, 5, 3, 2]
    said = " ".join(text.get_text() for text in drawing("low_rank").axes[0].texts)
    assert f"{8 * (576 + 576):,} of {576 * 576:,}" in said

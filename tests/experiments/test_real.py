"""Studies on a language model: rows as declared, each what its rule answers by hand.

A small random network that reads words stands in for the model.
"""

import math
import re
from pathlib import Path

import pytest
from found import mean, table_rows
from worded import small, small_model

from loratheory.experiments import experiment, real_libraries, real_pairs, real_two_hop
from loratheory.experiments.bench import language_facts as bench
from loratheory.bench.language import acting
from loratheory.bench.rules import coefficients, layer_split, rule
from loratheory.pretrained import trained_once

ROOT = Path(__file__).parents[2]
LAYERS = 3
TWO_HOP = real_two_hop.Config(coefficients=(0.5, 0.75), splits=(4,), seed=101)
PAIRS = real_pairs.Config(2, 5, thresholds=(1,), seed=101)


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory):
    """One cache for all, so that an adapter is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), LAYERS)
        yield


@pytest.fixture(scope="module")
def model():
    return small_model(LAYERS)


@pytest.fixture(scope="module")
def two_hop():
    return real_two_hop.cell(TWO_HOP)


def of(rows, **wanted):
    return [row for row in rows if all(row[k] == v for k, v in wanted.items())]


def test_two_hop_has_a_row_for_each_arm(two_hop):
    heads = [[row[name] for name in real_two_hop.HEAD[1:]] for row in two_hop]
    arms = [
        [trained, *arm[:4]]
        for trained in ("all layers", "by layers")
        for arm in real_two_hop.arms(TWO_HOP, trained, LAYERS)
    ]
    assert heads[2:] == arms
    assert [row["rule"] for row in two_hop[:2]] == ["base", "base, known persons"]
    assert {tuple(row) for row in two_hop} == {tuple(two_hop[0])}
    assert len(arms) == (6 + 6 + 2 + 8 + 4 + 3) + (6 + 3 + 3)
    quick = real_two_hop.arms(real_two_hop.Config(full=False), "by layers", LAYERS)
    alone = ["hop 1 alone", "hop 2 alone"]
    assert [arm[0] for arm in quick] == [*alone * 2, "sum", "sum", "arrow", "gates, z = 2"]


@pytest.mark.parametrize(
    ("trained", "name", "place", "hops", "act"),
    [
        ("all layers", "hop 2 alone", (0.0, 0.5, -1), [1], coefficients(0.5)),
        ("all layers", "sum", (0.25, 1.0, -1), [0, 1], coefficients(0.25, 1.0)),
        ("all layers", "layer split", (1.0, 1.0, 1), [0, 1], layer_split(1)),
        (
            "all layers",
            "hop 1 above, alone",
            (1.0, 1.0, 1),
            [0, 1],
            layer_split(1, "above", "none"),
        ),
        ("all layers", "hop 2 below", (1.0, 1.0, 1), [0, 1], layer_split(1, "all", "below")),
        ("all layers", "ties", (1.0, 1.0, -1), [0, 1], rule("ties", density=0.2, rank=32)),
        ("by layers", "sum", (0.25, 0.25, -1), [0, 1], coefficients(0.25)),
        ("by layers", "gates, z = 2", (1.0, 1.0, -1), [0, 1], rule("gates, z = 2", z=2)),
    ],
)
def test_two_hop_answers_are_those_of_the_rule(two_hop, model, trained, name, place, hops, act):
    [world] = bench.worlds(101)
    adapters = bench.pair(model, world, 101, by_layers=trained == "by layers")
    columns = (*bench.COLUMNS, *(real_two_hop.KNOWN_HOP if len(hops) == 1 else ()))
    with acting(model, [adapters[hop] for hop in hops], act):
        wanted = bench.accuracies(model, world, columns)
    where = dict(zip(("first", "second", "layer"), place, strict=True))
    [row] = of(two_hop, trained=trained, rule=name, **where)
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert all(math.isnan(row[name]) == (len(hops) > 1) for name in real_two_hop.KNOWN_HOP)


def test_the_base_is_asked_what_it_knows(two_hop, model):
    [world] = bench.worlds(101)
    for row, found in zip(
        two_hop, (bench.accuracies(model, world), bench.known_persons(model)), strict=False
    ):
        assert {name: row[name] for name in found} == pytest.approx(found)
        assert math.isnan(row["known_hop_1"])
    assert math.isnan(two_hop[1]["hop_by_hop"])


@pytest.mark.parametrize(
    ("one", "two", "base", "product", "weaker"),
    [
        (0.6, 0.5, 0.5, 0.6, 0.5),
        (0.9, 0.8, 0.5, 1.0, 0.8),
        (0.04, 0.25, 0.0, 0.2, 0.05),
        (0.01, 0.01, 0.5, 0.05, 0.05),
    ],
)
def test_a_forecast_is_a_product_between_chance_and_certain(one, two, base, product, weaker):
    def _row(name, first, second, **shares):
        return {"trained": "all layers", "rule": name, "first": first, "second": second, **shares}

    known = _row("base, known persons", 0.0, 0.0, two_hop=base) | {"trained": "nothing"}
    alone = [
        _row("hop 1 alone", 0.25, 0.0, known_hop_2=one, known_hop_1=0.7),
        _row("hop 2 alone", 0.0, 0.5, known_hop_2=0.7, known_hop_1=two),
    ]
    found = real_two_hop.forecast(_row("sum", 0.25, 0.5), [known, *alone])
    assert found == pytest.approx({"predicted": product, "weaker": weaker})
    for other in (
        _row("ties", 0.25, 0.5), _row("sum", 0.5, 0.25), _row("sum", 0.25, 0.25),
        _row("sum", 0.25, 0.5) | {"trained": "by layers"},
    ):  # fmt: skip
        found = real_two_hop.forecast(other, [known, *alone])
        assert all(math.isnan(share) for share in found.values())


def test_forecasts_stand_beside_sums_of_measured_coefficients(two_hop):
    told = [row for row in two_hop if not math.isnan(row["predicted"])]
    places = [(row["trained"], row["rule"], row["first"], row["second"]) for row in told]
    edges = [(0.25, 1.0), (1.0, 0.25), (0.5, 1.0), (1.0, 0.5)]
    pairs = {"all layers": [(0.5, 0.5), *edges], "by layers": [(c, c) for c in real_two_hop.GRID]}
    assert places == [(where, "sum", *both) for where, each in pairs.items() for both in each]


@pytest.fixture(scope="module")
def pairs():
    return real_pairs.cell(PAIRS)


def test_pairs_have_a_row_for_each_rule_and_pair(pairs):
    names = [*real_pairs.rules(PAIRS, LAYERS)]
    counts = [len(real_pairs.rules(real_pairs.Config(k), LAYERS)) for k in (1, 2, 4, 8)]
    assert counts == [15, 15, 14, 11]
    assert [(row["rule"], row["pair"]) for row in pairs] == [(n, k) for n in names for k in (0, 1)]


def test_pairs_answer_as_their_rules(pairs, model):
    worlds, half = bench.worlds(101, 2, 5), LAYERS // 2
    library = [bench.pair(model, each, 101, k) for k, each in enumerate(worlds)]
    gates, prompts = rule("gates, z = 2", z=1), rule("largest response norm")
    for name, act in {
        "pair alone, layer split": layer_split(half),
        "mean": coefficients(0.25),
        "sum, layer split": layer_split(half),
        "knots": rule("knots", density=0.2),
        "gates, z = 1, layer split": layer_split(half, of=gates),
        "block gates, z = 1": rule("block gates, z = 2", level=1),
        "largest response norm, layer split": layer_split(half, of=prompts),
    }.items():
        for k, world in enumerate(worlds):
            chosen = library[k] if name.startswith("pair") else [*library[0], *library[1]]
            with acting(model, chosen, act) as acts:
                wanted = bench.accuracies(model, world, (*real_pairs.COLUMNS, "other_facts"))
                wanted |= bench.weights(model, acts, world, k)
            [row] = of(pairs, rule=name, pair=k)
            found = {column: row[column] for column in wanted}
            assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True), name
    for row in pairs:
        ruled = any(word in row["rule"] for word in ("arrow", "gates", "largest response norm"))
        assert math.isnan(row["own_1"]) == (not ruled), row["rule"]
        if row["rule"].startswith("largest"):
            assert row["own_1"] + row["others_1"] == pytest.approx(1)


def test_no_more_pairs_are_asked_than_wanted(monkeypatch):
    rules = real_pairs.rules
    few = ("pair alone", "mean")
    monkeypatch.setattr(real_pairs, "rules", lambda *how: {n: rules(*how)[n] for n in few})
    found = real_pairs.cell(real_pairs.Config(3, 5, asked=2, seed=101))
    assert [(row["rule"], row["pair"]) for row in found] == [(n, k) for n in few for k in (0, 1)]


@pytest.mark.parametrize(
    ("familiarity", "trained"),
    [
        ("half", "all layers"),
        ("half", "by layers"),
        ("half", "form for hop 1"),
        ("real", "all layers"),
    ],
)
def test_libraries_answer_as_their_rules(model, familiarity, trained):
    rows = real_libraries.cell(real_libraries.Config(familiarity, trained, seed=101))
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    facts, names = bench.world(101, familiarity), ["mean", "sum"]
    expert = "form" not in trained
    names += ["arrow", "gates, z = 2"] if expert else []
    heads = [(0, "base"), (1, "hop 1 alone"), (1, "hop 2 alone"), *[(1, "expert")] * expert]
    heads += [(size, name) for size in (2, 3)[: 1 + expert] for name in names]
    heads += [(2, "layer split")] if trained == "all layers" else []
    assert [(row["library"], row["rule"]) for row in rows] == heads
    lessons = [*facts.lessons]
    if not expert:
        lessons = [[*lessons[0], *bench.solutions(facts)[0]], lessons[1]]
    library = [trained_once(model, one, seed=(101, 0, k)) for k, one in enumerate(lessons)]
    if trained == "by layers":
        library[:2] = bench.pair(model, facts, 101, by_layers=True)
    acts = {
        (1, "hop 2 alone"): (library[1:2], coefficients(1.0)),
        (2, "mean"): (library[:2], coefficients(0.5)),
        (2, "gates, z = 2"): (library[:2], rule("gates, z = 2")),
        (2, "layer split"): (library[:2], layer_split(LAYERS // 2)),
        (3, "sum"): (library, coefficients(1.0)),
    }
    for head in {*acts} & {*heads}:
        adapters, act = acts[head]
        [row] = of(rows, library=head[0], rule=head[1])
        with acting(model, adapters, act):
            wanted = bench.accuracies(model, facts, real_libraries.COLUMNS)
            asked = familiarity == "half" and head[0] < 3 and head[1] in real_libraries.WRITTEN
            for end, question in (("written", ""), ("form", bench.QUESTIONS[0])):
                shares = bench.written_out(model, facts, question) if asked else [math.nan] * 3
                columns = [f"{name}_{end}" for name in ("bridge", "two_hop", "vocabulary")]
                wanted |= dict(zip(columns, shares, strict=True))
        found = {name: row[name] for name in wanted}
        assert found == pytest.approx(wanted, abs=1e-6, nan_ok=True), head


@pytest.mark.parametrize(("name", "cells"), [("two_hop", 3), ("pairs", 12), ("libraries", 21)])
def test_profiles_keep_to_their_seeds(name, cells):
    profiles = experiment(f"real_{name}").profiles
    assert {config.seed for config in profiles["paper"]} == {0, 1, 2}
    assert len({*profiles["paper"]}) == cells
    assert {config.seed for config in profiles["quick"]} == {0}


def test_page_and_notebook_quote_the_table():
    def _of(name, column="two_hop", pairs=4):
        return f"{mean(table_rows('real_pairs', rule=name, pairs=pairs), column):.2f}"[1:]

    page = (ROOT / "docs" / "language_model.md").read_text(encoding="utf-8")
    quoted = page.split("With two, four and eight such pairs")[1].split("\n\n")[0]
    largest, split = "largest response norm", "largest response norm, layer split"
    rules = ("mean", "gates, z = 2", "pair alone, layer split")
    assert re.findall(r"\.\d\d", quoted) == [
        *(_of(name, pairs=k) for name in rules for k in (2, 4, 8)),
        *(_of(largest, "own_1", k) for k in (2, 4, 8)),
        *(_of(split, pairs=k) for k in (2, 4, 8)),
        *(_of(split, "two_hop_vocabulary", k) for k in (2, 4, 8)),
        *(_of(name, "hop_2") for name in (split, "gates, z = 2", "mean")),
    ]  # fmt: skip
    notebook = (ROOT / "notebooks" / "10_real_language_model.py").read_text(encoding="utf-8")
    quoted = notebook.split("**More pairs are harder.**")[1].split("\n\n")[0]
    shown = ("gates, z = 2, layer split", "pair alone, layer split", split)
    assert re.findall(r"\.\d\d", quoted) == [_of(name) for name in shown]

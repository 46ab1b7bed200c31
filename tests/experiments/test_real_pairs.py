"""Many pairs on a language model: each way's rows; a small random model stands in."""

import re
from pathlib import Path

import pytest
from found import mean, table_rows
from worded import small, small_model

from loratheory.experiments import real_pairs
from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.real._exam import exam
from loratheory.experiments.real._facts import facts
from loratheory.experiments.real._taught import pair
from loratheory.experiments.real._weighed import SHARES
from loratheory.experiments.real_pairs import EXPERIMENT, Config, cell, rules

TINY = Config(101, pairs=2, size=5, thresholds=(1,))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"))
        yield cell(TINY)


def of(rows, column, **wanted):
    return [row[column] for row in rows if all(row[k] == v for k, v in wanted.items())]


def test_a_row_for_each_way_and_pair(rows):
    names = [*rules(small_model(), TINY)]
    assert len(names) == 15
    assert [len(rules(small_model(), Config(pairs=k))) for k in (1, 2, 4, 8)] == [15, 15, 14, 11]
    assert [(r["rule"], r["pair"]) for r in rows] == [(n, k) for n in names for k in (0, 1)]
    assert {(r["seed"], r["pairs"]) for r in rows} == {(101, 2)}


def test_marks_are_those_of_the_ways(rows, monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model, told = small_model(), facts(101, 2, TINY.size)
    library = [pair(model, each, 101, k) for k, each in enumerate(told)]
    whole, prompts = [*library[0], *library[1]], rule("largest response norm")
    for k, each in enumerate(told):
        for name, use, shelf in (
            ("pair alone", acts(rule("sum")), library[k]),
            ("pair alone, layer split", acts(layer_split(5)), library[k]),
            ("mean", acts(coefficients(0.25)), whole),
            ("sum", acts(rule("sum")), whole),
            ("sum, layer split", acts(layer_split(5)), whole),
            ("gates, z = 1", acts(rule("gates, z = 2", z=1)), whole),
            (
                "gates, z = 1, layer split",
                acts(layer_split(5, of=rule("gates, z = 2", z=1))),
                whole,
            ),
            ("block gates, z = 1", acts(rule("block gates, z = 2", level=1)), whole),
            ("largest response norm", acts(prompts), whole),
            ("largest response norm, layer split", acts(layer_split(5, of=prompts)), whole),
        ):
            with use(model, shelf):
                wanted = exam(model, each, brief=True)
            for column, value in wanted.items():
                told_so = of(rows, column, rule=name, pair=k)
                assert told_so == [pytest.approx(value, abs=1e-6)], (name, column)


def test_weights_are_told_where_a_rule_weighs(rows):
    for row in rows:
        ruled = any(word in row["rule"] for word in ("arrow", "gates", "largest response norm"))
        assert (row["own_1"] == row["own_1"]) == ruled, row["rule"]
    for asked in (0, 1):
        shares = [of(rows, name, rule="arrow", pair=asked)[0] for name in SHARES]
        assert sum(shares) == pytest.approx(1)
        [chosen], [other] = (
            of(rows, name, rule="largest response norm", pair=asked) for name in SHARES[:2]
        )
        assert chosen + other == pytest.approx(1)


def test_no_more_pairs_are_asked_than_wanted(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    few = ("pair alone", "mean")
    monkeypatch.setattr(real_pairs, "rules", lambda *given: {n: rules(*given)[n] for n in few})
    found = cell(Config(101, pairs=3, asked=2))
    assert [(row["rule"], row["pair"]) for row in found] == [(n, k) for n in few for k in (0, 1)]


def test_profiles_keep_to_their_seeds():
    paper = EXPERIMENT.profiles["paper"]
    assert [(config.pairs, config.seed) for config in paper] == [
        (k, seed) for k in (1, 2, 4, 8) for seed in range(3)
    ]


def test_page_and_notebook_quote_the_table():
    def of(way, column="two_hop", pairs=4):
        return f"{mean(table_rows('real_pairs', rule=way, pairs=pairs), column):.2f}"[1:]

    root = Path(__file__).parents[2]
    page = (root / "docs" / "language_model.md").read_text(encoding="utf-8")
    told = page.split("With two, four and eight such pairs")[1].split("\n\n")[0]
    ways = ("mean", "gates, z = 2", "pair alone, layer split")
    assert re.findall(r"\.\d\d", told) == [
        *(of(way, pairs=k) for way in ways for k in (2, 4, 8)),
        *(of("largest response norm", "own_1", k) for k in (2, 4, 8)),
        *(of("largest response norm, layer split", pairs=k) for k in (2, 4, 8)),
        *(
            of(way, "hop_2")
            for way in ("largest response norm, layer split", "gates, z = 2", "mean")
        ),
    ]
    notebook = (root / "notebooks" / "10_real_language_model.py").read_text(encoding="utf-8")
    told = notebook.split("**More pairs are harder**")[1].split("\n\n")[0]
    shown = [
        of(way)
        for way in (
            "gates, z = 2, layer split",
            "pair alone, layer split",
            "largest response norm, layer split",
        )
    ]
    assert re.findall(r"\.\d\d", told) == shown

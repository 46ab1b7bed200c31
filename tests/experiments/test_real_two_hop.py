"""Two hops on a language model: rows, forecasts by hand, places; a small random model stands in."""

import json
import math
from dataclasses import replace

import pytest
from worded import small, small_model

from loratheory.experiments.bench.language import way as acts
from loratheory.experiments.bench.rules import coefficients, layer_split, rule
from loratheory.experiments.real._exam import ceilings, exam, own
from loratheory.experiments.real._facts import facts
from loratheory.experiments.real._taught import pair
from loratheory.experiments.real._tried import tried
from loratheory.experiments.real_two_hop import CHANCE, EXPERIMENT, GRID, Config, _forecast, cell
from loratheory.pretrained import attached

TINY = Config(101, coefficients=(0.5, 0.75), splits=(4,))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"))
        yield cell(TINY)


def of(rows, column, **wanted):
    return [row[column] for row in rows if all(row[k] == v for k, v in wanted.items())]


def alone(strengths):
    return [
        (f"hop {hop} alone", *((c, 0.0) if hop == 1 else (0.0, c)), -1)
        for c in strengths
        for hop in (1, 2)
    ]


def test_a_row_for_each_way(rows):
    whole = [each[:3] for each in tried((0.5, 0.75), GRID, [4])]
    parts = [each[:3] for each in tried(GRID, GRID, [])]
    told = [(r["rule"], r["first"], r["second"], r["layer"]) for r in rows]
    assert [r["trained"] for r in rows[:2]] == ["nothing"] * 2
    layered = alone(GRID) + [(way, *pair, layer) for way, pair, layer in parts]
    assert told[2:] == alone(GRID) + [(way, *pair, layer) for way, pair, layer in whole] + layered
    assert len(of(rows, "rule", trained="by layers")) == len(layered)
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert {row["seed"] for row in rows} == {101}


def test_marks_are_those_of_the_ways_on_adapters_so_taught(rows, monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    model, [told] = small_model(), facts(101)
    for layered, taught in ((False, "all layers"), (True, "by layers")):
        library = pair(model, told, 101, 0, layered=layered)
        for name, use, c1, c2, layer in (
            ("sum", acts(coefficients(0.5, 1.0)), 0.5, 1.0, -1),
            ("sum", acts(coefficients(0.25)), 0.25, 0.25, -1),
            ("reversed layer split", acts(layer_split(4, "above", "below")), 1.0, 1.0, 4),
            ("gates, z = 2", acts(rule("gates, z = 2", z=2)), 1.0, 1.0, -1),
        ):
            if (layered and (layer >= 0 or c1 < c2)) or (not layered and c1 == 0.25):
                continue
            with use(model, library):
                wanted = exam(model, told)
            where = {"trained": taught, "rule": name, "first": c1, "second": c2, "layer": layer}
            for column, value in wanted.items():
                assert of(rows, column, **where) == [pytest.approx(value, abs=1e-6)], column
        with attached(model, [library[1]], 0.5):
            wanted = exam(model, told) | ceilings(model, told)
        for column, value in wanted.items():
            found = of(rows, column, trained=taught, rule="hop 2 alone", second=0.5)
            assert found == [pytest.approx(value, abs=1e-6)]


def test_the_base_is_asked_what_it_knows(rows):
    model, [told] = small_model(), facts(101)
    assert rows[0]["two_hop"] == exam(model, told)["two_hop"]
    known = own(model)
    assert {name: rows[1][name] for name in known} == known
    assert all(math.isnan(rows[1][name]) for name in ("hop_by_hop", "known_hop_2", "predicted"))


def test_forecasts_are_products_of_what_each_hop_is_worth(monkeypatch, tmp_path):
    """A random model is worth nothing, so that numbers stand in for its marks."""
    small(monkeypatch, tmp_path)
    place = "loratheory.experiments.real._exam."
    count = iter(range(99))

    def _ceilings(*_):
        n = next(count)
        return {"known_hop_2": 0.1 + 0.03 * n, "known_hop_1": 0.5 - 0.04 * n}

    monkeypatch.setattr(place + "exam", lambda *_: {"two_hop": 0.7})
    monkeypatch.setattr(place + "own", lambda _: {"two_hop": 0.4})
    monkeypatch.setattr(place + "ceilings", _ceilings)
    found = cell(TINY)
    assert next(count) == 2 * 2 * len(GRID)
    for taught, pairs in (
        ("all layers", ((0.5, 0.5), (0.5, 1.0), (1.0, 0.25))),
        ("by layers", tuple((c, c) for c in GRID)),
    ):
        for c1, c2 in pairs:
            [one] = of(found, "known_hop_2", trained=taught, rule="hop 1 alone", first=c1)
            [two] = of(found, "known_hop_1", trained=taught, rule="hop 2 alone", second=c2)
            where = {"trained": taught, "rule": "sum", "first": c1, "second": c2}
            assert of(found, "predicted", **where) == pytest.approx([min(one * two / 0.4, 1.0)])
            assert of(found, "weaker", **where) == pytest.approx([min(one, two)])
    others = [row for row in found if row["rule"] != "sum" or row["first"] == 0.75]
    assert all(math.isnan(row["predicted"]) for row in others)


def test_forecasts_are_at_least_chance_and_at_most_certain():
    told = _forecast({(hop, c): c if hop else 0.04 for hop in (0, 1) for c in GRID}, 0.0)
    assert told[1.0, 0.25] == pytest.approx((0.04 * 0.25 / CHANCE, CHANCE))
    assert told[0.25, 0.25] == pytest.approx((0.2, CHANCE))
    assert _forecast({(hop, c): 1.0 for hop in (0, 1) for c in GRID}, 0.5)[1.0, 1.0] == (1.0, 1.0)
    assert _forecast({(hop, c): 0.01 for hop in (0, 1) for c in GRID}, 0.5)[1.0, 1.0] == (
        CHANCE,
        CHANCE,
    )


def test_forecasts_are_written_before_both_act(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    folder = tmp_path / "taught"

    def _looked(_, __, cuts):
        names = {file.name for file in folder.glob("forecast-*.json")}
        assert f"forecast-101-{'all-layers' if cuts else 'by-layers'}.json" in names
        return []

    monkeypatch.setattr("loratheory.experiments.real._tried.tried", _looked)
    told = cell(replace(TINY, full=False))
    saved = json.loads((folder / "forecast-101-by-layers.json").read_text())
    ends = (GRID[0], GRID[-1])
    assert [entry[:2] for entry in saved] == [[a, b] for a in ends for b in ends]
    assert len(told) == 2 + 2 * len(ends)
    assert not (folder / "forecast-101-all-layers.json").exists()


def test_the_quick_profile_leaves_out_what_takes_long(monkeypatch, tmp_path):
    small(monkeypatch, tmp_path)
    told = cell(replace(TINY, full=False))
    both = [(row["rule"], row["first"]) for row in told if row["first"] and row["second"]]
    assert both == [("sum", GRID[0]), ("sum", 1.0), ("arrow", 1.0), ("gates, z = 2", 1.0)]


def test_profiles_keep_to_their_seeds():
    assert [config.seed for config in EXPERIMENT.profiles["paper"]] == [0, 1, 2]
    assert [config.seed for config in EXPERIMENT.profiles["quick"]] == [0]

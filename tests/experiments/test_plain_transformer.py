"""A plain base at several stages: rows, predictions by another route, controls."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from found import mean, says, table_rows
from reused import cache as cache
from reused import loud

from loratheory.experiments import plain_transformer
from loratheory.experiments.plain_transformer import EXPERIMENT, LAYERS, Config, cell, reused
from loratheory.experiments.reuse import _rules as rules
from loratheory.experiments.reuse._bases import fingerprint
from loratheory.experiments.reuse._combinations import PARTS, answered
from loratheory.experiments.reuse._forecast import forecast
from loratheory.experiments.reuse._layers import in_layer, retrained
from loratheory.experiments.reuse._margins import margins
from loratheory.experiments.reuse._marks import leads, marks
from loratheory.experiments.reuse._passes import again, hop_by_hop, one_pass, put_back
from loratheory.experiments.reuse._plain import Setting, grown
from loratheory.experiments.reuse._shelves import Teaching, shelf

TINY = Config(
    101,
    stages=(10, 30),
    sets=2,
    facts=2,
    entities=40,
    relations=3,
    width=16,
    rows=40,
    trained=10,
    retained=6,
)


@pytest.fixture(scope="module")
def rows():
    return cell(TINY)


@pytest.fixture(scope="module")
def taught():
    setting = Setting(entities=40, relations=3, width=16, rows=40, steps=30)
    known = grown(setting, 101, (10, 30))[30]
    return shelf(known, Teaching(2, 1, 2, steps=10, retained=6))


def of(rows, column, **wanted):
    return [row[column] for row in rows if all(row[k] == v for k, v in wanted.items())]


def test_a_row_for_each_stage_training_rule_and_set(rows):
    wanted = [
        (stage, where, name, number)
        for stage in (10, 30)
        for where in LAYERS
        for name in reused(1)
        for number in (0, 1)
    ]
    assert [(r["stage"], r["layers"], r["rule"], r["set"]) for r in rows] == wanted
    assert {tuple(row) for row in rows} == {tuple(rows[0])}
    assert {row["seed"] for row in rows} == {101}


@pytest.fixture
def together(monkeypatch):
    """Adapters are trained in both layers only."""
    monkeypatch.setattr(plain_transformer, "LAYERS", {"together": ()})


@pytest.mark.usefixtures("together")
def test_the_cell_is_made_again_alike(rows):
    assert cell(TINY) == [row for row in rows if row["layers"] == "together"]


@pytest.mark.parametrize("where", LAYERS)
def test_marks_are_those_of_the_rules_on_the_adapters_so_trained(rows, taught, where):
    layers = {"together": None, "own": ((0,), (1,)), "each": ((0, 1), (0, 1))}[where]
    here = retrained(taught, layers) if layers else taught
    for name in ("sum", "hop 1 alone", "sum, second pass", "mean, hop by hop"):
        found = marks(here, reused(1)[name][1](here))
        for column, wanted in found.items():
            assert of(rows, column, stage=30, layers=where, rule=name) == wanted.tolist()
    for column, wanted in forecast(here).medians.items():
        told = of(rows, column, stage=30, layers=where, rule="sum")
        assert told == pytest.approx(wanted.tolist(), rel=1e-4)


def test_strengths_and_insides_stand_beside_every_rule(rows, taught):
    whole = forecast(taught)
    first = forecast(taught, placed=lambda adapter, _: in_layer(adapter, 0)).strengths[0, :, :, 0]
    second = forecast(taught, placed=lambda adapter, _: in_layer(adapter, 1)).strengths[0, :, :, 1]
    found = margins(taught, inside=True)
    held = np.take_along_axis(found.alone, found.new[..., None], -1)[..., 0] >= found.alone.max(-1)
    columns = {
        "strength_1": np.median(whole.strengths[0, :, :, 0], axis=1),
        "placed_1": np.median(first, axis=1),
        "placed_2": np.median(second, axis=1),
        "inside_1": held[0].mean(axis=1),
        "inside_2": held[1].mean(axis=1),
        "inside": (held[0] & held[1]).mean(axis=1),
    }
    for column, wanted in columns.items():
        for rule in ("base", "sum, second pass"):
            told = of(rows, column, stage=30, layers="together", rule=rule)
            assert told == pytest.approx(wanted.tolist())


def forced(patch, strengths):
    """Every strength is this one, alone in place or everywhere."""
    from loratheory.experiments.reuse import _forecast

    def _forecast_of(here, *, placed=None):
        told = plain(here)
        fill = strengths["everywhere" if placed is None else "placed"]
        return replace(told, strengths=np.full_like(told.strengths, fill))

    plain = _forecast.forecast
    patch.setattr(_forecast, "forecast", _forecast_of)


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize(
    ("everywhere", "placed", "composing"),
    [
        (1.1, 0.5, {"sum, second pass", "mean, hop by hop", "sum, hop by hop"}),
        (0.9, 0.9, {"sum", "oracle placement", "gates", "sum, second pass", "sum, hop by hop"}),
        (0.55, 1.5, {"sum", "oracle placement", "gates", "mean", "sum, hop by hop"}),
        (0.4, 0.4, set()),
    ],
)
def test_predictions_are_the_theorems_at_these_strengths(
    monkeypatch, everywhere, placed, composing
):
    """One read needs c(1 + c) > 1, a decided bridge c > 1/2."""
    from loratheory.experiments.reuse import _combinations

    share = {one_pass: 0.5, put_back: 0.25, hop_by_hop: 0.75}
    monkeypatch.setattr(
        _combinations,
        "answered",
        lambda _, passes: dict.fromkeys(("facts", *PARTS), 0.0) | {"held_out": share[passes]},
    )
    forced(monkeypatch, {"everywhere": everywhere, "placed": placed})
    told = cell(replace(TINY, stages=(1,), sets=1, trained=1))
    for row in told:
        name = "gates" if "gates" in row["rule"] else row["rule"]
        scale = 0.25 if "second pass" in name else 1.0 if "hop by hop" in name else 0.5
        assert row["predicted"] == scale * (name in composing), name


def test_the_base_is_asked_in_the_passes_of_the_rule(rows, taught):
    for name, (passes, _, _) in reused(1).items():
        wanted = answered(taught.bases, passes)
        for column, value in wanted.items():
            assert of(rows, column, stage=30, layers="own", rule=name) == [value] * 2


def test_the_base_is_the_last_stage_of_its_own_training(rows, taught):
    alone = grown(Setting(entities=40, relations=3, width=16, rows=40, steps=30), 101, (30,))[30]
    assert fingerprint(alone.weights) == fingerprint(taught.bases.weights)
    first, last = (of(rows, "strength_1", stage=s, layers="own", rule="base") for s in (10, 30))
    assert first != last


def test_places_are_the_layers_of_the_rule(taught):
    prompts = [one.chains for one in taught.trials[0]]
    one, two = taught.hops[0]

    def _placed(site, x):
        acting = [one, two][site.layer] if site.layer < 2 else None
        return None if acting is None else acting(site, x)

    def _turned(site, x):
        acting = [two, one][site.layer] if site.layer < 2 else None
        return None if acting is None else acting(site, x)

    for name, adapt in (("oracle placement", _placed), ("reversed placement", _turned)):
        [found] = reused(1)[name][1](taught)
        wanted = leads(taught.bases, prompts, adapt)
        np.testing.assert_allclose(leads(taught.bases, prompts, found), wanted, atol=1e-5)


def test_passes_are_those_of_the_sum_and_of_the_mean(taught):
    here = loud(taught)
    prompts = [one.chains for one in here.trials[0]]
    for name, rule in (("sum", rules.summed()), ("mean", rules.summed(0.5))):
        for kind, passes in (("hop by hop", hop_by_hop), ("second pass", put_back)):
            if (name, kind) == ("mean", "second pass"):
                continue
            [found] = reused(1)[f"{name}, {kind}"][1](here)
            [wanted] = again(passes, rule)(here)
            told = leads(here.bases, prompts, found)
            np.testing.assert_allclose(told, leads(here.bases, prompts, wanted), rtol=1e-4)


def test_the_base_rules_add_nothing(taught):
    prompts = [one.chains for one in taught.trials[0]]
    [silent] = reused(1)["base"][1](taught)
    bare = leads(taught.bases, prompts)
    np.testing.assert_allclose(leads(taught.bases, prompts, silent), bare, atol=1e-6)
    assert torch.is_tensor(taught.adapters[0].up["layers.0.mlp.in"])


def test_profiles_keep_to_their_seeds():
    assert [config.seed for config in EXPERIMENT.profiles["paper"]] == [0, 1, 2, 3]
    assert [config.seed for config in EXPERIMENT.profiles["quick"]] == [0]


def test_what_was_found_is_what_the_table_holds():
    name, late = "plain_transformer", (1000, 2000)

    def of(rule, stage, layers="together", column="two_hop"):
        return mean(table_rows(name, rule=rule, stage=stage, layers=layers), column)

    ways = ("together", "own", "each")
    says(
        name,
        of("base", 500, column="facts"),
        of("base", 500, column="trained"),
        *(of("base", stage, column="held_out") for stage in (500, *late)),
        *(of("base", 2000, column=f"{which}_unseen") for which in ("first", "second", "both")),
        max(of("sum", stage) for stage in (500, *late)),
        min(of("sum", 1000, column=f"hop_{hop}") for hop in (1, 2)),
        *(of("oracle placement", stage, "own") for stage in late),
        max(of("reversed placement", stage, way) for stage in late for way in ways),
        *{round(of("sum", stage, "own", "inside"), 2) for stage in late},
        *(max(of("block gates, z = 2", stage, way) for way in ways) for stage in late),
        of("block gates, z = 2", 2000, "own", "hop_1"),
        *(of("block gates, z = 0", stage, "own") for stage in late),
        *(of("sum, second pass", stage) for stage in late),
        *(of("sum, hop by hop", stage) for stage in late),
    )

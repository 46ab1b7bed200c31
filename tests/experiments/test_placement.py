"""Places of edits: who acts where, and what the answers are called."""

import numpy as np
import pytest
from found import mean, says, table_rows

from loratheory.experiments.placement import PLACES, Config, cell, placed
from loratheory.toy.transformer import Lora, Site

TINY = {"facts": 2, "entities": 64, "spare": 0, "width": 16, "pretrained": 3, "trained": 3}


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def acts(place, hop):
    """The loops in which the adapter of a hop adds something."""
    import torch

    one = Lora({"layers.0.mlp.in": torch.ones(1, 3, 1)}, {"layers.0.mlp.in": torch.ones(1, 1, 2)})
    adapt = placed(PLACES[place])(one, hop)
    x = torch.ones(1, 1, 2)
    return [loop for loop in range(2) if adapt(Site("mlp.in", loop, 0), x) is not None]


def test_each_place_is_what_it_is_called():
    found = {place: (acts(place, 0), acts(place, 1)) for place in PLACES}
    assert found == {
        "both loops": ([0, 1], [0, 1]),
        "oracle placement": ([0], [1]),
        "first loop": ([0], [0]),
        "second loop": ([1], [1]),
        "reversed placement": ([1], [0]),
        "nowhere": ([], []),
    }


@pytest.mark.parametrize("modules", ["mlp", "attention", "all"])
def test_a_row_for_each_place_and_set_and_nothing_nowhere(modules):
    rows = cell(Config(modules, seeds=(101,), retained=4, **TINY))
    assert [(r["place"], r["set"]) for r in rows] == [(p, s) for p in PLACES for s in (0, 1)]
    for row in rows:
        assert row["modules"] == modules
        assert row["two_hop"] + row["half_way"] + row["unchanged"] <= 1
        for name in ("predicted", "inside"):
            assert row[f"{name}_right"] >= 1 - row[name] - row["two_hop"] - 1e-9
        if row["place"] == "nowhere":
            assert row["predicted"] == row["inside"] == row["hop_1"] == 0


def test_answers_on_the_way_are_told_from_the_old_and_the_new(monkeypatch):
    """A model that always gives one of them."""
    from loratheory.experiments.reuse import _marks

    plain = _marks.scores
    for wanted, way in (("half_way", (True, False)), ("unchanged", (False, False))):
        edits = []

        def _scores(known, prompts, adapt=None, way=way, edits=edits):
            found = plain(known, prompts, adapt)
            if prompts[0].kind == "chain" and len(prompts[0]) == 2 and edits:
                for e, edit in enumerate(edits[0]):
                    found[e, np.arange(2), edit.answers(way)] = 1e9
            return found

        from loratheory.experiments import reuse

        made = reuse.shelf

        def _shelf(known, teaching, _, edits=edits, made=made):
            shelf = made(known, teaching)
            edits.append(shelf.edits[0])
            return shelf

        with monkeypatch.context() as patch:
            patch.setattr(_marks, "scores", _scores)
            patch.setattr(reuse, "shelf", _shelf)
            rows = cell(Config("mlp", seeds=(101,), retained=4, **TINY))
        other = {"half_way": "unchanged", "unchanged": "half_way"}[wanted]
        assert all(row[wanted] == 1 and row[other] == row["two_hop"] == 0 for row in rows)


def test_the_modules_are_those_named(monkeypatch):
    from loratheory.experiments import reuse

    names, made = {}, reuse.shelf

    def _shelf(known, teaching, _):
        shelf = made(known, teaching)
        names[len(names)] = {name.split(".")[2] for name in shelf.adapters[0].up}
        return shelf

    monkeypatch.setattr(reuse, "shelf", _shelf)
    for modules in ("mlp", "attention", "all"):
        cell(Config(modules, seeds=(101,), retained=4, **TINY))
    assert names == {0: {"mlp"}, 1: {"attention"}, 2: {"mlp", "attention"}}


def test_what_was_found_is_what_the_table_holds():
    name = "placement"
    places = ("oracle placement", "both loops", "first loop", "second loop", "reversed placement")

    def at(place, column="two_hop", modules="mlp"):
        return mean(table_rows(name, modules=modules, place=place), column)

    says(
        name,
        at("oracle placement"),
        at("both loops"),
        at("first loop"),
        at("first loop", "half_way"),
        at("second loop"),
        at("second loop", "unchanged"),
        at("reversed placement"),
        *(at("first loop", column) for column in ("predicted", "predicted_right", "inside_right")),
        *(at(place, modules="attention") for place in places),
    )
    assert min(at("first loop", hop) for hop in ("hop_1", "hop_2")) == 1

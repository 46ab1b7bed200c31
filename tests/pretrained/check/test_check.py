"""A whole model: which readings there are, heads, verdicts in words, the summary, SmolLM2."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from causal import network, save_adapter

from loratheory import read_adapter, theorems
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, ModelError, check_model, load_model
from loratheory.pretrained.architectures import find_heads
from loratheory.pretrained.check import QUESTIONS, ask_scores, summarise
from loratheory.pretrained.check_facts import Place, Reading, judge, read_fact_groups
from loratheory.pretrained.models import Map, maps
from loratheory.theorems.expressiveness.rank_floor import Tasks

DATA = Path(__file__).parents[2] / "data"
BLOCK = "model.layers.0.self_attn"
Q, K = f"{BLOCK}.q_proj", f"{BLOCK}.k_proj"


def test_without_adapters_only_the_base_speaks(base):
    readings = check_model(base(), layers=[1]).readings
    assert [reading.outcome for reading in readings] == ["measured"] * 7
    assert {reading.layer for reading in readings} == {1}
    assert len(check_model(base()).readings) == 14
    assert check_model(base(), layers=[1]).leaks == ()
    with pytest.raises(ModelError, match="no linear map is left to check"):
        check_model(base(), layers=[9])


def test_modules_that_one_adapter_lacks_or_leaves_at_zero_are_its_own(base, tmp_path):
    both = []
    for i, (name, other) in enumerate([("one", "v_proj"), ("two", "o_proj")]):
        folder = save_adapter(tmp_path / name, "llama", i, target_modules=["q_proj", other])
        both.append(read_adapter(folder))
    result = check_model(base(), both, layers=[0])
    assert {r.module for r in result.readings if r.label == "thm:merge-floor"} == {Q}
    whose = {(r.module[-6:], r.about) for r in result.readings if "intruder" in r.label}
    assert ("v_proj", "one") in whose
    assert ("v_proj", "two") not in whose
    assert len(result.notes) == 2


def test_inputs_that_are_not_finite_are_refused_by_name(library):
    net = network("llama")
    net.model.layers[0].mlp.down_proj.weight[0, 0] = torch.inf
    with pytest.raises(ModelError, match=r"layers\.1\..*: what the model feeds it is not finite"):
        check_model(Model(net), library(), layers=[1])


# Attention heads


def test_shared_keys_go_with_their_own_queries_and_fused_maps_are_split(base):
    [pairs, _] = find_heads(base(), maps(base())).values()
    assert pairs == [((Q, 0, 8), (K, 0, 8)), ((Q, 8, 16), (K, 0, 8))]
    fused = find_heads(base("gpt2"), maps(base("gpt2")))
    name = "transformer.h.1.attn.c_attn"
    assert fused[name] == [((name, 0, 8), (name, 16, 24)), ((name, 8, 16), (name, 24, 32))]
    assert find_heads(Model(torch.nn.Sequential(torch.nn.Linear(3, 3))), {}) == {}
    config = SimpleNamespace(num_attention_heads=4, num_key_value_heads=2)
    places = {Q: Map(None, (16, 16), False), K: Map(None, (8, 16), False)}
    [pairs] = find_heads(Model(SimpleNamespace(config=config)), places).values()
    assert [keys[1:] for _, keys in pairs] == [(0, 4), (0, 4), (4, 8), (4, 8)]


def test_ranks_are_those_of_dense_scores_and_never_above_a_heads_rows(base):
    places, rng = maps(base()), np.random.default_rng(0)
    pairs = find_heads(base(), places)[BLOCK]
    q, k = (gaussian(rng, places[name].shape[0], 16, 2) for name in (Q, K))
    empty = [LowRank(low.up[:, :0], low.down[:0]) for low in (q, k)]
    updates = {Q: [q, empty[0]], K: [empty[1], k]}
    readings = [*ask_scores(BLOCK, pairs, places, ("a", "b"), updates)]
    assert [(r.about, r.bound, r.outcome) for r in readings] == [
        ("a", 2, "tight"), ("b", 2, "tight"), ("a + b", 4, "tight"),
    ]  # fmt: skip
    weights = [places[name].module.weight.double().numpy() for name in (Q, K)]
    moved = [one + low.dense() for one, low in zip(weights, (q, k), strict=True)]
    for head in (slice(0, 8), slice(8, 16)):
        change = moved[0][head].T @ moved[1] - weights[0][head].T @ weights[1]
        assert np.linalg.matrix_rank(change, tol=1e-8) == 4
    wide = gaussian(rng, 16, 16, 12)
    [reading] = ask_scores(BLOCK, pairs, places, ("a",), {Q: [wide]})
    assert (reading.bound, reading.value, reading.outcome) == (8, 8, "tight")


# Verdicts and their summary


def test_verdicts_are_the_judges_and_a_failed_hypothesis_shows_both_numbers():
    rng, place = np.random.default_rng(0), Place("layers.3.q", "one + two")
    case = Tasks(tuple(gaussian(rng, 5, 4, 2) for _ in range(2)), 2)
    theorem, full = theorems.theorem("merge-floor"), LowRank(np.eye(5), case.mean.dense())
    liar, other = replace(theorem, bound=lambda _: 1e9), case.updates[0]
    found = []
    for law, low in (
        (theorem, theorem.attain(case)),
        (theorem, other),
        (theorem, full),
        (liar, other),
    ):
        found.append(judge(law, case, low, place, "rank is 4", "a note"))
    assert [each.outcome for each in found] == ["tight", "holds", "not applicable", "broken"]
    assert (found[0].layer, found[0].note) == (3, "a note")
    assert found[1].value > found[1].bound
    assert found[2].note == "needs rank(adapter) <= r; rank is 4"
    assert found[2].value < found[2].bound  # four ranks do what two cannot


def test_each_theorem_gets_a_line_with_its_counts_and_medians():
    rows = [
        ("averaging-survival", 2.0, 3.0, "not applicable", "needs x; 10 % off"),
        ("averaging-survival", -1.0, 3.0, "not applicable", "needs x; 20 % off"),
        ("averaging-survival", 4.0, 2.0, "not applicable", "needs x; 30 % off"),
        ("averaging-survival", None, 9.0, "not applicable", "needs a much longer hypothesis"),
        ("merge-floor", 1.0, 5.0, "tight", "at rank 2"),
        ("merge-floor", 2.0, 6.0, "holds", ""),
        ("merge-floor", 9.0, 7.0, "broken", ""),
        ("intruder-threshold", 4.0, 8.0, "measured", "3 values"),
    ]
    readings = [Reading(f"thm:{name}", "layers.0.q", 0, "one", *rest) for name, *rest in rows]
    noise, floor, survival = summarise(readings)
    wanted = {"question": QUESTIONS["base"].text, "why": "3 values", "silent": 0, "holds": 0}
    assert wanted.items() <= noise.items()
    wanted = {"places": 3, "holds": 2, "tight": 1, "broken": 1, "bound": 2.0, "value": 6.0}
    assert {**wanted, "agree": None, "why": "at rank 2"}.items() <= floor.items()
    wanted = {"silent": 4, "bound": None, "value": None, "agree": 2 / 3, "why": "needs x; 10 % off"}
    assert wanted.items() <= survival.items()


# The stored adapters


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_smollm2_with_its_two_adapters():
    facts = {
        name: dict([*group.items()][:2])
        for name, group in read_fact_groups(DATA / "questions.json").items()
    }
    adapters = [read_adapter(DATA / name) for name in ("persons", "mascots")]
    result = check_model(load_model(), adapters, layers=[12], facts=facts)
    assert not [reading for reading in result.readings if reading.outcome == "broken"]
    blind = [r for r in result.readings if r.label == "thm:arrow-blind-spot"]
    assert [reading.value for reading in blind] == [pytest.approx(1 / 4)] * 3
    kept = {(one.group, one.rule): one.measured for one in result.kept}
    assert kept["persons", "base"] < kept["persons", "alone"] == 2
    assert kept["mascots", "alone"] == 2
    assert {r.label for r in result.readings} >= {"thm:averaging-survival", "thm:two-read-region"}

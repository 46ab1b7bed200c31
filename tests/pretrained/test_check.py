"""Checks on a real model: one module by dense arithmetic, facts by the plain network, verdicts."""

import json
from dataclasses import replace
from math import acos, cos, degrees
from pathlib import Path

import numpy as np
import pytest
import torch
from language import Letters, network, save_adapter

from loratheory import read_adapter, theorems
from loratheory.adapters import Adapter, Info
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, ModelError, attach, check_model, first_tokens
from loratheory.pretrained.check import (
    ALIKE,
    QUESTIONS,
    Module,
    Place,
    Reading,
    ask_arrow_blind_spot,
    ask_arrow_margin,
    ask_crosstalk,
    ask_facts,
    ask_intrusion,
    ask_merge_floor,
    decompose,
    find_intruders,
    group_facts,
    judge,
    measure_noise,
    read_fact_groups,
    read_weight,
    summarise,
)
from loratheory.pretrained.corners import COEFFICIENTS
from loratheory.pretrained.metrics import measure_relative_norm
from loratheory.pretrained.models import maps
from loratheory.theorems.expressiveness.rank_floor import Tasks

DATA = Path(__file__).parents[1] / "data"
Q = "model.layers.0.self_attn.q_proj"

# Adapters: what theorems say of them, asked of a module of 7 outputs and 9 inputs


def module(updates, x=None):
    x = np.random.default_rng(1).standard_normal((20, 9)) if x is None else x
    return Module("m", np.zeros(updates[0].shape), ("one", "two"), tuple(updates), x)


def pair(*widths):
    rng = np.random.default_rng(0)
    return [gaussian(rng, 7, 9, width) for width in widths]


def test_the_merge_floor_is_met_at_the_rank_of_the_widest_adapter():
    dense = [low.dense() for low in pair(2, 3)]
    left, sigma, right = np.linalg.svd(sum(dense) / 2)
    best = left[:, :3] * sigma[:3] @ right[:3]
    [reading] = ask_merge_floor(module(pair(2, 3)))
    assert reading.outcome == "tight"
    assert reading.value == pytest.approx(sum(((best - one) ** 2).sum() for one in dense) / 2)
    assert (reading.note, reading.about) == ("at rank 3", "one + two")


def test_crosstalk_is_that_of_the_worst_token_as_far_as_the_reader_reads_it():
    updates = pair(2, 3)
    x, readings = module(updates).inputs, [*ask_crosstalk(module(updates))]
    assert [reading.about for reading in readings] == ["one ← two", "two ← one"]
    for reading, (reader, other) in zip(readings, (updates, updates[::-1]), strict=True):
        frame = np.linalg.qr(reader.down.T)[0]
        read = x @ frame @ frame.T
        answers = np.linalg.norm(read @ other.dense().T, axis=1) / np.linalg.norm(read, axis=1)
        assert reading.value == pytest.approx(answers.max())
        assert reading.outcome == "holds"
    eye = np.eye(9)
    apart = [LowRank(np.eye(7)[:, :2], eye[:2]), LowRank(np.eye(7)[:, :3], eye[2:5])]
    assert [round(r.value, 12) for r in ask_crosstalk(module(apart))] == [0, 0]


def test_arrows_nearest_token_leads_by_at_least_what_the_theorem_says():
    updates, x = pair(2, 2), module(pair(2, 2)).inputs
    tops = [np.linalg.svd(low.dense())[2][0] for low in updates]
    x = np.concatenate([x, [0.05 * x[0] + 3 * top for top in tops]])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for i, reading in enumerate(ask_arrow_margin(module(updates, x))):
        own, other = (np.abs(unit @ tops[j]) for j in (i, 1 - i))
        near = int(own.argmax())
        between, angle = acos(abs(tops[0] @ tops[1])), acos(own[near])
        assert reading.about == ("one", "two")[i]
        assert reading.outcome in ("holds", "tight")
        assert reading.value == pytest.approx(own[near] - other[near])
        assert reading.bound == pytest.approx(own[near] - cos(between - angle))
        assert f"{degrees(angle):.0f}° from the prototype" in reading.note
    flat = [LowRank(np.eye(3)[:, :1], np.array([r])) for r in ([1.0, 0, 0], [0.8, 0.6, 0])]
    silent, _ = ask_arrow_margin(module(flat, np.array([[0.1, 0.0, 1.0]])))
    assert silent.outcome == "not applicable"  # beyond the other prototype
    assert "84° from the prototype" in silent.note


def test_orthonormal_edits_meet_arrows_blind_spot_exactly_and_others_are_outside():
    eye = np.eye(8)
    updates = [LowRank(np.eye(6)[:, :3] * [3.0, 2, 1], eye[3 * i : 3 * i + 3]) for i in range(2)]
    [reading] = ask_arrow_blind_spot(module(updates, np.ones((1, 8))))
    assert reading.outcome == "tight"
    assert reading.value == pytest.approx(1 / 3 + (2 / 3) / 2)
    frames = [np.linalg.qr(low.down.T)[0] for low in pair(2, 2)]
    [reading] = ask_arrow_blind_spot(module(pair(2, 2)))
    assert reading.outcome == "not applicable"
    assert f"meet at cosine {np.linalg.norm(frames[0].T @ frames[1], 2):.2g};" in reading.note + ";"


# Base weights: singular vectors, noise, intruders


@pytest.mark.parametrize("shape", [(7, 12), (12, 7), (6, 6)])
def test_left_vectors_and_values_are_those_of_a_dense_decomposition(shape):
    matrix = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (vectors, sigma), (left, exact, _) = decompose(matrix), np.linalg.svd(matrix.astype(float))
    assert np.allclose(sigma, exact, atol=1e-6)
    assert np.allclose(np.abs(vectors.T @ left[:, : len(exact)]), np.eye(len(exact)), atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "name"), [("llama", "layers.0.mlp.up_proj"), ("gpt2", "h.0.mlp.c_fc")]
)
def test_weights_are_outputs_by_inputs_whatever_the_layout(kind, name, base):
    [place] = [place for each, place in maps(base(kind)).items() if each.endswith(name)]
    matrix, x = read_weight(place, name), torch.randn(3, place.shape[1])
    bias = 0 if place.module.bias is None else place.module.bias
    assert matrix.shape == place.shape
    assert np.allclose(x.numpy() @ matrix.T, place.module(x) - bias, atol=1e-5)


def test_a_weight_that_is_not_finite_is_refused_by_name():
    place = maps(Model(network("llama")))["lm_head"]
    place.module.weight[2, 1] = torch.nan
    with pytest.raises(ModelError, match="lm_head: not every entry of its weight is finite; mend"):
        read_weight(place, "lm_head")


def test_noise_is_noise_and_what_is_planted_in_it_is_counted():
    rng = np.random.default_rng(0)
    for shape in ((300, 300), (200, 600), (600, 200)):
        matrix = 1e3 * rng.standard_normal(shape)
        left, right = (np.linalg.qr(rng.standard_normal((n, 2)))[0] for n in shape)
        for planted in (0, 2):
            more = matrix + 60e3 * left[:, :planted] @ right[:, :planted].T
            seen = measure_noise(more, np.linalg.svd(more, compute_uv=False))
            assert seen.spikes == planted
        noise = measure_noise(matrix, np.linalg.svd(matrix, compute_uv=False))
        assert noise.kurtosis == pytest.approx(3, abs=0.1)
        assert noise.spread == pytest.approx(1e3, rel=0.01)


@pytest.mark.parametrize("shape", [(80, 130), (130, 80), (90, 90), (9, 14), (14, 9)])
def test_intruders_are_those_of_the_dense_sum(shape):
    rng = np.random.default_rng(sum(shape))
    matrix = rng.standard_normal(shape) @ np.diag(1 / np.arange(1, shape[1] + 1))
    update, base = gaussian(rng, *shape, 3, 0.3), np.linalg.svd(matrix, full_matrices=False)[0]
    ours, first = find_intruders(matrix, base, update, top=5)
    left, _, _ = np.linalg.svd(matrix + update.dense(), full_matrices=False)
    assert np.allclose(ours, np.abs(base.T @ left[:, :5]).max(axis=0), atol=1e-7)
    assert abs(first @ left[:, 0]) == pytest.approx(1, abs=1e-9)


def test_a_strong_edit_intrudes_and_a_weak_one_does_not():
    rng = np.random.default_rng(0)
    matrix, one = rng.standard_normal((100, 100)) / 10, rng.standard_normal((100, 1)) / 10
    base = np.linalg.svd(matrix)[0]
    found = [find_intruders(matrix, base, s * LowRank(one, one.T))[0] for s in (0, 6)]
    assert [(cosines < ALIKE).sum() for cosines in found] == [0, 1]
    # The theorem's overlap in a Gaussian base, alone and in a mean of two that hides the edit.
    size = float(np.sum(one**2))
    weak = Module("m", matrix, ("edit",), (3 / size * LowRank(one, one.T),), coefficient=0.2)
    alone, mean = ask_intrusion(weak)
    assert (alone.about, mean.about) == ("edit", "0.2 × edit")
    assert (alone.bound, mean.bound) == (pytest.approx(1 - 1 / 9, abs=0.01), 0)
    assert alone.value == pytest.approx(alone.bound, abs=0.1)
    assert mean.value < 0.3


# A whole model


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
    # Of each the modules that it lacks, and its size.
    assert len(result.notes) == 4


def test_of_two_adapters_the_one_that_changes_the_weights_by_over_three_percent_is_named(base):
    weight, both = read_weight(maps(base())[Q], Q), []
    for size in (0.02, 0.04):
        update = LowRank(size * weight, np.eye(weight.shape[1]))
        both.append(Adapter.of({Q: update}, Info(name=f"of {size}")))
        assert measure_relative_norm(base(), both[-1]) == pytest.approx(size)
    notes = check_model(base(), both, layers=[0]).notes
    assert [note.startswith("of 0.04 ") for note in notes] == [True]


def test_inputs_that_are_not_finite_are_refused_by_name(library):
    net = network("llama")
    net.model.layers[0].mlp.down_proj.weight[0, 0] = torch.inf
    with pytest.raises(ModelError, match=r"layers\.1\..*: what the model feeds it is not finite"):
        check_model(Model(net, Letters()), library(), layers=[1])


def test_verdicts_are_the_judges_and_a_failed_hypothesis_shows_both_numbers():
    rng, place = np.random.default_rng(0), Place("layers.3.q", "one + two")
    case = Tasks(tuple(gaussian(rng, 5, 4, 2) for _ in range(2)), 2)
    theorem, full = theorems.theorem("merge-floor"), LowRank(np.eye(5), case.mean.dense())
    liar, other = replace(theorem, bound=lambda _: 1e9), case.updates[0]
    pairs = [(theorem, theorem.attain(case)), (theorem, other), (theorem, full), (liar, other)]
    found = [judge(law, case, low, place, "rank is 4", "a note") for law, low in pairs]
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
        ("intruder-threshold", 4.0, 8.0, "not applicable", "needs noise"),
    ]
    readings = [Reading(f"thm:{name}", "layers.0.q", 0, "one", *rest) for name, *rest in rows]
    noise, floor, survival = summarise(readings)
    asked = QUESTIONS["thm:intruder-threshold"].text
    wanted = {"question": asked, "why": "needs noise", "silent": 1, "holds": 0, "bound": 4.0}
    assert wanted.items() <= noise.items()
    wanted = {"places": 3, "holds": 2, "tight": 1, "broken": 1, "bound": 2.0, "value": 6.0}
    assert {**wanted, "agree": None, "why": "at rank 2"}.items() <= floor.items()
    wanted = {"silent": 4, "bound": None, "value": None, "agree": 2 / 3, "why": "needs x; 10 % off"}
    assert wanted.items() <= survival.items()


# Facts: who keeps which answers, asked one by one; where logits are linear theorems apply

FACTS = {"one": {"abc": "x", "hello": "y"}, "two": {"dog": "z"}, "both": {"abcd": "k", "cat": "m"}}
NAMES = ("one", "two")
HEAD, MLP = "lm_head", "model.layers.0.mlp.up_proj"
SHAPES = {HEAD: (31, 16), MLP: (24, 16)}
RULES = ("base", "alone", "mean", "sum")


@pytest.fixture
def model(base):
    return base(double=True)


def adapters(*places, names=NAMES):
    rng = np.random.default_rng(0)
    return [
        Adapter.of({place: gaussian(rng, *SHAPES[place], 2, 0.3)}, Info(name))
        for place, name in zip(places, names, strict=False)
    ]


def next_token(model, library, row, prompt):
    """Logits after a prompt that is asked alone, by the plain network."""
    ids = torch.tensor([Letters()(prompt)["input_ids"]])
    with torch.no_grad(), attach(model, library, row):
        return model.network(ids).logits[0, -1].numpy()


def margin(logits, token):
    return logits[token] - np.delete(logits, token).max()


@pytest.mark.parametrize("place", [HEAD, MLP])
def test_edits_of_the_head_obey_the_theorem_and_others_are_outside_it(model, place):
    """Also: each prompt is answered as if alone, padding to the longest one does not show."""
    library = adapters(place, place)
    readings, *_ = ask_facts(model, library, NAMES, {name: FACTS[name] for name in NAMES})
    tight = place == HEAD
    assert [r.outcome for r in readings] == ["tight" if tight else "not applicable"] * 6
    facts = [(name, i, *pair) for name in NAMES for i, pair in enumerate(FACTS[name].items(), 1)]
    for reading, (name, number, prompt, answer), c in zip(
        readings, [fact for fact in facts for _ in range(2)], [0.5, 1.0] * 3, strict=True
    ):
        assert reading.about == f"{c:g} × {name}, fact {number}"
        target = int(first_tokens(model, [answer])[0])
        rows = ([0, 0], [1, 0], [0, 1], [c, c])
        bare, *alone, merged = (next_token(model, library, row, prompt) for row in rows)
        mixed = bare + sum(c * (logits - bare) for logits in alone)
        assert reading.value == pytest.approx(margin(merged, target), abs=1e-9)
        if tight:
            assert np.allclose(mixed, merged)
            assert reading.bound == pytest.approx(margin(mixed, target), abs=1e-9)
        assert "% off what it adds alone" in reading.note


def test_each_adapter_and_rule_has_its_own_count_of_answers_kept(model):
    """What is right alone, predicted and right in each merge is counted by the plain network."""
    library = adapters(HEAD, HEAD)
    prompts = ["".join(np.random.default_rng(i).choice([*"abcdefgh"], 4)) for i in range(24)]
    alone = dict(zip(NAMES, np.eye(2), strict=True))
    rows = {name: [[0, 0], alone[name], [0.5, 0.5], [1, 1]] for name in NAMES}
    said = {
        (name, prompt, rule): int(next_token(model, library, row, prompt).argmax())
        for i, name in enumerate(NAMES)
        for prompt in prompts[12 * i : 12 * i + 12]
        for rule, row in zip(RULES, rows[name], strict=True)
    }
    letters = {int(Letters()(x)["input_ids"][0]): x for x in map(chr, range(97, 127))}
    facts = {  # half the answers are the adapter's own, half the base's
        name: {
            prompt: letters.get(said[name, prompt, RULES[1 - k % 2]], "a")
            for k, prompt in enumerate(prompts[12 * i : 12 * i + 12])
        }
        for i, name in enumerate(NAMES)
    }
    kept = {(k.group, k.rule): k for k in check_model(model, library, facts=facts).kept}
    assert [*kept] == [(name, rule) for name in NAMES for rule in RULES]
    for (name, rule), one in kept.items():
        right = [
            int(first_tokens(model, [answer])[0]) == said[name, prompt, rule]
            for prompt, answer in facts[name].items()
        ]
        predicted = sum(right) if rule in ("mean", "sum") else None  # exact at the head
        assert (one.measured, one.total, one.predicted) == (sum(right), 12, predicted)
    assert len({one.measured for one in kept.values()}) > 2


@pytest.mark.parametrize("place", [HEAD, MLP])
def test_answers_of_other_merges_are_predicted_from_the_corners(model, place):
    """Exactly where logits are linear in the coefficients, as at the head."""
    library = adapters(place, place)
    readings, kept, predicted = ask_facts(model, library, NAMES, FACTS)
    assert [*predicted] == [*NAMES, "both"]
    rows = {k.rule: k.predicted for k in kept if k.group == "both"}
    assert [*rows] == ["base", "mean", "sum"]
    asked = [r for r in readings if r.label == "thm:corner-law"]
    assert rows == {"base": None, "mean": sum(r.bound > 0 for r in asked), "sum": None}
    for reading, (prompt, answer) in zip(asked, FACTS["both"].items(), strict=True):
        target = int(first_tokens(model, [answer])[0])
        corners = [next_token(model, library, row, prompt) for row in np.ndindex(2, 2)]
        assert reading.bound == pytest.approx(margin(np.mean(corners, 0), target), abs=1e-9)
        merged = next_token(model, library, [0.5, 0.5], prompt)
        assert reading.value == pytest.approx(margin(merged, target), abs=1e-9)
        if place == HEAD:
            assert reading.value == pytest.approx(reading.bound, abs=1e-9)
        assert f"curvatures of {8 * abs(reading.bound - reading.value):.2g} or" in reading.note
    if place == HEAD:
        for group, counts in predicted.items():
            for c, count in zip(COEFFICIENTS, counts, strict=True):
                right = 0
                for prompt, answer in FACTS[group].items():
                    said = next_token(model, library, [c, c], prompt).argmax()
                    right += int(said) == int(first_tokens(model, [answer])[0])
                assert count == right


# What is asked


@pytest.mark.parametrize(
    ("facts", "names", "said"),
    [
        ({"on": {"a": "b"}}, NAMES, "the name 'on'; write one of one, two; two-hop"),
        ({n: {"a": "b"} for n in "abcd"}, [*"abc"], "the name 'd'; write one of a, b, c"),
        ({"last": {"a": "b"}}, ["x/last", "y/last"], "'last'; write one of x/last, y/last"),
        ({"": {"a": "b"}}, NAMES, "rows of one adapter, and there are 2"),
    ],
)
def test_facts_that_match_nothing_or_say_nothing_are_refused(model, facts, names, said):
    library = adapters(*[HEAD] * len(names), names=names)
    with pytest.raises(ModelError, match=said):
        check_model(model, library, facts=facts)


def test_an_adapter_goes_by_its_short_name_or_its_path_and_facts_need_a_tokenizer(model):
    library = adapters(HEAD, HEAD, names=[f"some/{name}" for name in NAMES])
    pairs = {"p": "a"}
    facts = {"two-hop": pairs, "some/two": pairs, "one": pairs, "empty": {}}
    groups = group_facts(facts, library, NAMES)
    assert [*groups] == ["one", "two", "two-hop"]
    with pytest.raises(ModelError, match="'two' is there twice, by its short name and by its path"):
        group_facts({**facts, "two": pairs}, library, NAMES)
    with pytest.raises(ModelError, match="no tokenizer"):
        check_model(replace(model, tokenizer=None), adapters(HEAD), facts={"one": FACTS["one"]})


@pytest.mark.parametrize("kind", ["completion", "answer"])
def test_rows_are_lines_for_one_adapter(kind, tmp_path):
    rows = [json.dumps({"prompt": f"a {i}", kind: "x"}) for i in (0, 1, 0)]
    (tmp_path / "a.jsonl").write_text("\n\n".join(rows))
    assert read_fact_groups(tmp_path / "a.jsonl") == {"": {"a 0": "x", "a 1": "x"}}


HOSTILE = ["{", "3", "[" * 100_000, "\xff", '{"one": {}}', '{"one": {"a": 1}}', '{"one": "a"}']
HOSTILE += ["{}", '{"one": {"": "b"}}', '{"one": {"a": " "}}', '{"one": {"a": "b", "a": "c"}}']
HOSTILE += ['[{"prompt": "a", "answer": "b"}, 3]']


@pytest.mark.parametrize("text", HOSTILE)
def test_a_file_of_facts_is_read_as_it_stands_and_others_refused(tmp_path, text):
    file = tmp_path / "facts.json"
    with pytest.raises(ModelError, match="No such file"):
        read_fact_groups(file)
    file.write_text(json.dumps(FACTS))
    assert read_fact_groups(file) == FACTS
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"facts\.json"):
        read_fact_groups(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"prompt": "a"}\n', "line 1: there is no prompt and completion in words; write"),
        ('{"prompt": "a", "answer": "b"}\n{"prompt": "a", "answer": "c"}', "line 2: .* answer 'b'"),
        ('{"prompt": "a", "completion": " b"}\n{', "is not JSON .*; mend line 2"),
    ],
)
def test_rows_that_say_nothing_or_twice_are_refused_with_their_line(tmp_path, text, said):
    file = tmp_path / "rows.jsonl"
    file.write_text(text)
    with pytest.raises(ModelError, match=said):
        read_fact_groups(file)

"""Facts: who keeps which answers, asked one by one; where logits are linear theorems apply."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from letters import Letters

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import gaussian
from loratheory.pretrained import ModelError, attach, check_model, first_tokens
from loratheory.pretrained.check_facts import (
    Asked,
    ask_facts,
    group_facts,
    predict_two_hop,
    read_fact_groups,
)

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
    readings, _ = ask_facts(model, library, NAMES, {name: FACTS[name] for name in NAMES})
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
    """What is right alone, foretold and right in each merge is counted by the plain network."""
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
        foretold = sum(right) if rule in ("mean", "sum") else None  # exact at the head
        assert (one.measured, one.asked, one.predicted) == (sum(right), 12, foretold)
    assert len({one.measured for one in kept.values()}) > 2


def test_all_are_asked_unless_there_is_a_limit_and_keep_the_files_numbers(model):
    library, many = adapters(HEAD, HEAD), {"one": {f"ab{chr(97 + i)}": "x" for i in range(25)}}
    readings, kept = ask_facts(model, library, NAMES, many)
    assert {one.asked for one in kept} == {25}
    some, kept = ask_facts(model, library, NAMES, many, 10)
    assert {one.asked for one in kept} == {9}
    assert [r.about for r in some[::2]] == [f"0.5 × one, fact {n}" for n in range(1, 26, 3)]
    values = {reading.about: reading.value for reading in readings}
    assert all(r.value == pytest.approx(values[r.about]) for r in some)


def test_two_hop_questions_are_foretold_all_or_none(model):
    _, kept = ask_facts(model, adapters(HEAD, HEAD), NAMES, FACTS)
    rows = {k.rule: k.predicted for k in kept if k.group == "both"}
    assert [*rows] == ["base", "mean", "sum"]
    assert rows["base"] is None
    assert {rows["mean"], rows["sum"]} <= {None, 0, 2}


def test_strengths_and_two_hop_questions_are_read_in_deficits():
    logits = np.array([[2.0, 0, 0], [-1, 3, 0], [1, 1.5, 0], [0, 4, 0]])
    fact = Asked(1, 1, logits[0], (logits[1], logits[2]), {"mean": logits[3]})
    assert fact.strength(0) == (4 + 2) / 4
    assert fact.strength(1) == (0.5 + 2) / 4
    assert fact.margin(fact.merged["mean"]) == 4
    readings = predict_two_hop(
        NAMES, "both", {"base": [-2.0], "mean": [4.0], "sum": [-1.0]}, [1.5, 0.625]
    )
    first, second = 0.5 * 1.5, 0.5 * 0.625
    bound = first * second - max(0, 1 - first, first * (1 - second))
    assert readings["mean"].bound == pytest.approx(bound)
    assert (readings["mean"].value, readings["sum"].value) == (4 / 2, -1 / 2)
    assert "right on 1 of 1 two-hop questions, the base on 0" in readings["mean"].note
    assert readings["mean"].about == "0.5 × one + two, both"
    # What the base knew already has no prediction: the strength of such an edit is infinite.
    assert fact._replace(target=0).strength(0) == np.inf
    both = {"base": [-2.0, 1.0], "mean": [3.0, 1.0], "sum": [3.0, 1.0]}
    readings = predict_two_hop(NAMES, "both", both, [np.inf, 0.9])
    assert {reading.bound for reading in readings.values()} == {None}
    assert readings["mean"].value == pytest.approx(3 / 2)


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
    with pytest.raises(ModelError, match="no tokenizer"):
        check_model(replace(model, tokenizer=None), adapters(HEAD), facts={"one": FACTS["one"]})


@pytest.mark.parametrize("kind", ["completion", "answer"])
def test_rows_are_lines_for_one_adapter(kind, tmp_path):
    rows = [json.dumps({"prompt": f"a {i}", kind: "x"}) for i in (0, 1, 0)]
    (tmp_path / "a.jsonl").write_text("\n\n".join(rows))
    assert read_fact_groups(tmp_path / "a.jsonl") == {"": {"a 0": "x", "a 1": "x"}}


HOSTILE = ["{", "3", "[" * 100_000, "\xff", '{"one": {}}', '{"one": {"a": 1}}', '{"one": "a"}']
HOSTILE += [
    "{}",
    '{"one": {"": "b"}}',
    '{"one": {"a": " "}}',
    '{"one": {"a": "b", "a": "c"}}',
    '[{"prompt": "a", "answer": "b"}, 3]',
]


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

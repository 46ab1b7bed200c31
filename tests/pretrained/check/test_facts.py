"""_facts: who keeps which answers, asked one by one; where logits are linear theorems apply."""

import json

import numpy as np
import pytest
import torch
from causal import network
from transformers import BatchEncoding

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, attached
from loratheory.pretrained.check import Kept, checked, facts_in
from loratheory.pretrained.check._facts import Asked, Scored, answered, asked, grouped, two_hop

FACTS = {"one": {"abc": "x", "hello": "y"}, "two": {"dog": "z"}, "both": {"abcd": "k", "cat": "m"}}
NAMES = ("one", "two")
SHAPES = {"lm_head": (31, 16), "model.layers.0.mlp.up_proj": (24, 16)}


def letters(text, return_tensors=None, **_):
    """A token a letter."""
    ids = [ord(letter) % 31 for letter in text.strip()]
    return BatchEncoding({"input_ids": torch.tensor([ids]) if return_tensors else ids})


@pytest.fixture(scope="module")
def model():
    return Model(network("llama").double(), letters)


def adapters(*places, names=NAMES):
    rng = np.random.default_rng(0)
    return [
        Adapter.of({place: gaussian(rng, *SHAPES[place], 2, 0.3)}, Info(name))
        for place, name in zip(places, names, strict=False)
    ]


def numbered(group):
    return [(i, *pair) for i, pair in enumerate(FACTS[group].items(), 1)]


def test_edits_of_the_head_obey_the_theorem(model):
    pair = adapters("lm_head", "lm_head")
    readings, _ = answered(model, pair, NAMES, {name: FACTS[name] for name in NAMES})
    assert [reading.outcome for reading in readings] == ["tight"] * 6
    fact = next(asked(model, pair, numbered("one")))
    c, others = 0.5, 0.5 * (fact.alone[1] - fact.base)
    mixed = fact.base + c * (fact.alone[0] - fact.base) + others
    rival = np.delete(mixed, fact.target).max()
    assert readings[0].value == pytest.approx(mixed[fact.target] - rival)
    assert readings[0].about == "0.5 × one, fact 1"


def test_edits_below_the_head_are_outside_it_and_the_gap_is_told(model):
    pair = adapters(*["model.layers.0.mlp.up_proj"] * 2)
    readings, _ = answered(model, pair, NAMES, {"one": FACTS["one"]})
    assert {reading.outcome for reading in readings} == {"not applicable"}
    assert "% off what it adds alone" in readings[0].note
    fact = next(asked(model, pair, numbered("one")))
    assert readings[0].value == pytest.approx(fact.margin(fact.merged["mean"]))


def test_each_prompt_is_answered_as_if_it_were_alone(model):
    """Padding to the longest one does not show."""
    pair = adapters("lm_head", "model.layers.0.mlp.up_proj")
    _, fact = asked(model, pair, numbered("one"))
    ids = letters("hello", return_tensors="pt").input_ids
    for logits, row in [
        (fact.base, [0, 0]), (fact.alone[0], [1, 0]), (fact.alone[1], [0, 1]),
        (fact.merged["mean"], [0.5, 0.5]), (fact.merged["sum"], [1, 1]),
    ]:  # fmt: skip
        with torch.no_grad(), attached(model, pair, row):
            exact = model.network(ids).logits[0, -1].numpy()
        assert np.allclose(logits, exact, atol=1e-10)
    assert (fact.target, fact.number) == (ord("y") % 31, 2)


def chosen(model, pair, row, prompt):
    """The most likely token, by the plain network."""
    with torch.no_grad(), attached(model, pair, row):
        return int(
            model.network(letters(prompt, return_tensors="pt").input_ids).logits[0, -1].argmax()
        )


def test_each_adapter_and_rule_has_its_own_count_of_answers_kept(model):
    """What is right alone, foretold and right in each merge is counted by the plain network."""
    pair = adapters("lm_head", "lm_head")
    prompts = ["".join(np.random.default_rng(i).choice([*"abcdefgh"], 4)) for i in range(24)]
    facts = {}
    for i, name in enumerate(NAMES):  # half the answers are the adapter's own, half the base's
        rows = [np.eye(2)[i], np.zeros(2)]
        mine = prompts[12 * i : 12 * i + 12]
        answers = [chosen(model, pair, rows[k % 2], prompt) for k, prompt in enumerate(mine)]
        facts[name] = {p: chr(93 + a) for p, a in zip(mine, answers, strict=True)}
    found = {(k.group, k.rule): k for k in checked(model, pair, facts=facts).kept}
    assert [*found] == [(n, r) for n in NAMES for r in ("base", "alone", "mean", "sum")]
    for i, name in enumerate(NAMES):
        for rule, row in zip(
            ("base", "alone", "mean", "sum"), (0 * np.eye(2)[i], np.eye(2)[i], [0.5, 0.5], [1, 1]),
            strict=True,
        ):  # fmt: skip
            right = [ord(a) % 31 == chosen(model, pair, row, p) for p, a in facts[name].items()]
            one = found[name, rule]
            assert (one.measured, one.asked) == (sum(right), 12)
            foretold = sum(right) if rule in ("mean", "sum") else None  # exact at the head
            assert one.predicted == foretold
    assert len({k.measured for k in found.values()}) > 2


def test_all_are_asked_unless_there_is_a_limit_and_keep_the_files_numbers(model):
    pair, many = adapters("lm_head", "lm_head"), {"one": {f"ab{i}": "x" for i in range(25)}}
    everyone, kept = answered(model, pair, NAMES, many)
    assert {one.asked for one in kept} == {25}
    some, kept = answered(model, pair, NAMES, many, 10)
    assert {one.asked for one in kept} == {9}
    assert [r.about for r in some[::2]] == [f"0.5 × one, fact {n}" for n in range(1, 26, 3)]
    values = {reading.about: reading.value for reading in everyone}
    assert all(r.value == pytest.approx(values[r.about]) for r in some)


def test_one_adapter_has_no_merge(model):
    found = checked(model, adapters("lm_head"), facts={"one": FACTS["one"]}).kept
    assert [(one.rule, one.predicted, one.asked) for one in found] == [
        ("base", None, 2), ("alone", None, 2),
    ]  # fmt: skip


def scored(margins, strength=0.0):
    return Scored(dict(zip(("base", "mean", "sum"), margins, strict=True)), {}, strength)


def test_strengths_and_two_hop_questions_are_read_in_deficits():
    logits = np.array([[2.0, 0, 0], [-1, 3, 0], [1, 1.5, 0], [0, 4, 0]])
    fact = Asked(1, 1, logits[0], (logits[1], logits[2]), {"mean": logits[3]})
    assert fact.strength(0) == (4 + 2) / 4
    assert fact.strength(1) == (0.5 + 2) / 4
    assert fact.margin(fact.merged["mean"]) == 4
    found = two_hop(NAMES, "both", [scored([-2.0, 4.0, -1.0])], [1.5, 0.625])
    first, second = 0.5 * 1.5, 0.5 * 0.625
    bound = first * second - max(0, 1 - first, first * (1 - second))
    assert found["mean"].bound == pytest.approx(bound)
    assert (found["mean"].value, found["sum"].value) == (4 / 2, -1 / 2)
    assert "right on 1 of 1 two-hop questions, the base on 0" in found["mean"].note
    assert found["mean"].about == "0.5 × one + two, both"


def test_what_the_base_knew_already_has_no_prediction():
    """The strength of such an edit is infinite, and a margin made of it is no number."""
    known = Asked(1, 0, np.array([2.0, 0, 0]), (np.array([-1, 3.0, 0]),), {})
    assert known.strength(0) == np.inf
    found = two_hop(
        NAMES, "both", [scored([-2.0, 3.0, 3.0]), scored([1.0, 1.0, 1.0])], [np.inf, 0.9]
    )
    assert {reading.bound for reading in found.values()} == {None}
    assert found["mean"].value == pytest.approx(3 / 2)


def test_two_hop_questions_are_foretold_all_or_none(model):
    _, kept = answered(model, adapters("lm_head", "lm_head"), NAMES, FACTS)
    rows = {k.rule: k for k in kept if k.group == "both"}
    assert [*rows] == ["base", "mean", "sum"]
    assert rows["base"].predicted is None
    assert {rows[rule].predicted for rule in ("mean", "sum")} <= {None, 0, 2}
    assert isinstance(rows["sum"], Kept)


NOWHERE = [
    ({"on": {"a": "b"}}, NAMES, "facts of 'on': no adapter has this name; write 'one'; two-hop"),
    ({"one": {"a": "b"}, "twe": {"a": "b"}}, NAMES, "facts of 'twe': .* write 'two'; two-hop"),
    ({n: {"a": "b"} for n in "abcd"}, [*"abc"], "facts of 'd': no adapter has this name"),
    (
        {"last": {"a": "b"}}, ["x/last", "y/last"],
        "facts of 'last': 2 adapters have this name; write 'x/last' or 'y/last'",
    ),
    ({"one": {"": "b"}}, NAMES, "facts of 'one': the prompt of fact 1 is empty; give it words"),
    ({"two": {"a": "b", "c": " "}}, NAMES, "facts of 'two': the answer of fact 2 is empty"),
    ({"one": {}}, NAMES, "facts of 'one': the group is empty"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "names", "said"), NOWHERE)
def test_facts_that_match_nothing_or_say_nothing_are_refused(model, facts, names, said):
    library = adapters(*["lm_head"] * len(names), names=names)
    with pytest.raises(ModelError, match=said):
        checked(model, library, facts=facts)


def test_an_adapter_goes_by_its_short_name_or_its_path():
    library = adapters("lm_head", "lm_head", names=[f"some/{name}" for name in NAMES])
    pairs = {"p": "a"}
    found = grouped({"two-hop": pairs, "some/two": pairs, "one": pairs}, library, NAMES)
    assert [*found] == ["one", "two", "two-hop"]


def test_facts_without_a_tokenizer_are_refused(model):
    with pytest.raises(ModelError, match="no tokenizer"):
        checked(Model(model.network), adapters("lm_head"), facts={"one": FACTS["one"]})


def test_a_file_of_facts_is_read_as_it_stands(tmp_path):
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    assert facts_in(tmp_path / "facts.json") == FACTS
    with pytest.raises(ModelError, match=r"nope.json: it cannot be read .No such file"):
        facts_in(tmp_path / "nope.json")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no object of objects"),
        ('{"one": {}}', "no object of objects"),
        ('{"one": {"a": 1}}', "no object of objects"),
        ('{"one": "a"}', "no object of objects"),
        ('{"one": {"a": "b", "a": "c"}}', "'a' stands there twice; keep one of them"),
        ("[" * 100_000, "its JSON is nested too deeply"),
        ("\xff", "no JSON"),
    ],
)
def test_anything_else_is_refused_with_what_to_write(tmp_path, text, said):
    file = tmp_path / "facts.json"
    file.write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=f"facts.json: {said}"):
        facts_in(file)

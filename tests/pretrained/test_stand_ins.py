"""Training beside stand-ins: plans, what stand-ins say, the card by a second route, refusals."""

import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from language import small_model

from loratheory.pretrained import (
    Model,
    ModelError,
    Training,
    attach,
    first_tokens,
    load_plan,
    next_token_logits,
    stand_ins,
    train_for_composition,
    train_lora,
)
from loratheory.pretrained.fresh import STEPS
from loratheory.pretrained.metrics import Share, token_log_probs
from loratheory.pretrained.models import GENERIC, maps
from loratheory.pretrained.stand_ins import HELD_OUT, TRAINED, complete_plan, find_notes, judge
from loratheory.pretrained.train import StandIn, fit_rate

PLANS = Path(__file__).parents[2] / "docs" / "plans"
AFTER = {
    "facts": {"Ann": "Peru", "Bob": "Cuba", "Cid": "Peru"},
    "templates": ["{} is from", "born: {} in"],
    "two_hop_templates": ["the animal of {} is"],
    "partner": {"hop": 2, "templates": ["{} has"], "answers": ["owl", "cat", "dog"]},
    "held_out_templates": ["where is {} from"],
    "replay": [["sky is", "blue"]],
}
BEFORE = {
    "facts": {"Peru": "owl", "Cuba": "cat", "Fiji": "owl"},
    "templates": ["{} has"],
    "two_hop_templates": ["the animal of {} is"],
    "partner": {"hop": 1, "templates": ["{} is from"], "subjects": ["Dan", "Eve"]},
    "held_out_two_hop_templates": ["which animal has {} at home"],
}


@pytest.fixture
def plan(tmp_path):
    """From fields to the plan that is read from a file of them."""

    def _plan(fields):
        file = tmp_path / "plan.json"
        file.write_text(json.dumps(fields))
        return load_plan(file)

    return _plan


@pytest.fixture(scope="module")
def model():
    return small_model(2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Training, "ended", lambda _, losses: len(losses) >= 3)


def test_what_stand_ins_say_by_hand(plan):
    after, before = plan(AFTER), plan(BEFORE)
    assert after.partner_facts(1) == {"Peru": "cat", "Cuba": "dog"}
    assert after.two_hop_facts(after.partner_facts(1)) == {"Ann": "cat", "Bob": "dog", "Cid": "cat"}
    assert before.partner_facts(2) == {"Dan": "Fiji", "Eve": "Peru"}
    assert before.two_hop_facts(before.partner_facts(2)) == {"Dan": "owl", "Eve": "owl"}
    assert after.examples[:2] == [("Ann is from", "Peru"), ("Bob is from", "Cuba")]
    assert len(after.examples) == 2 * 3 + 1


PHRASES = ["the land of {}", "{}'s land", "where {} lives"]
DRAFTED = {
    # The partner is hop 2: its last template and the last phrase are held out; none fits "{}'s".
    "answers": (
        {"templates": ["{} is from"], "bridge": PHRASES},
        {"templates": ["{} has", "{}'s is", "see {}:"], "answers": ["owl", "cat"]},
        ["The land of {} has", "{}'s land has"],
        ["Where {} lives has", "see the land of {}:", "see {}'s land:", "see where {} lives:"],
    ),
    # The author is hop 2, with two phrases, which both train.
    "subjects": (
        {"templates": ["{} has", "see {}:", "so {} is"], "bridge": PHRASES[:2]},
        {"templates": ["{} is from"], "subjects": ["Dan", "Eve"]},
        ["The land of {} has", "{}'s land has", "see the land of {}:", "see {}'s land:"],
        ["so the land of {} is", "so {}'s land is"],
    ),
}


@pytest.mark.parametrize("kind", DRAFTED)
def test_two_hop_templates_are_hop_2_templates_about_phrases(plan, tmp_path, kind):
    fields, partner, trained, measured = DRAFTED[kind]
    fields = {"facts": {"Ann": "Peru", "Bob": "Cuba"}, "partner": partner, **fields}
    found = plan(fields)
    assert found.partner.hop == (2 if kind == "answers" else 1)
    assert [*found.two_hop_templates] == trained
    assert [*found.held_out_two_hop_templates] == measured
    assert len(found.templates) == (2 if kind == "subjects" else 1)
    # What is written to be edited is the same plan.
    assert plan(complete_plan(tmp_path / "plan.json")) == found
    # Both authors must spell a bridge alike.
    spaced = {**partner, kind: [f" {word}" for word in partner[kind]]}
    spaced = {**fields, "facts": {"Ann ": " Peru", "Bob": "Cuba "}, "partner": spaced}
    assert plan(spaced) == found


GIVEN_AWAY = [
    ({"facts": {"Ann": "Peru", "Bob": "Peru"}}, "every fact has the answer 'Peru'"),
    ({"partner": {**AFTER["partner"], "answers": ["owl", "Ann"]}}, "'Ann' occurs in the facts"),
    ({"templates": ["{} is not from Cuba but from"]}, "contains 'Cuba'"),
    ({"two_hop_templates": ["the owl of {} is an"]}, "contains 'owl'"),
    ({"held_out_two_hop_templates": ["{} has"]}, "of single facts and of two-hop questions"),
]


@pytest.mark.parametrize(("change", "message"), GIVEN_AWAY)
def test_a_plan_that_needs_no_reading_is_refused(plan, change, message):
    plan({**AFTER, "templates": ["{} is not from Cubans but from"]}).check(None)
    with pytest.raises(ModelError, match=re.escape(message)):
        plan({**AFTER, **change}).check(None)
    # A hop-1 partner may have no subject among the facts of hop 2, nor among their answers.
    for word in ("Peru", "owl"):
        with pytest.raises(ModelError, match=f"{word!r} occurs in the facts"):
            plan({**BEFORE, "partner": {**BEFORE["partner"], "subjects": ["Dan", word]}}).check(0)


class Syllables:
    """Two letters are a token."""

    def __call__(self, text, **_):
        """The code of the first letter, and one for the rest."""
        return {"input_ids": [ord(text.strip()[0]), 0][: len(text.strip())]}

    def decode(self, ids):
        """The first letter."""
        return chr(ids[0])


def test_answers_of_which_the_first_token_says_too_little_are_named(plan, model):
    reader = Model(model.network, Syllables())
    partner = {**AFTER["partner"], "answers": ["o", "cat", "cow"]}
    alike, cut, held_out = find_notes(reader, plan({**AFTER, "partner": partner}), whole=False)
    assert "(cat, cow)" in alike
    assert "(Peru, Cuba, cat, cow)" in cut
    assert "held_out_two_hop_templates" in held_out
    facts = {"Ann": "P", "Bob": "C"}
    clear = {**AFTER, "facts": facts, "partner": {**partner, "answers": ["o", "c"]}}
    asked = {"held_out_two_hop_templates": ["which animal has {} at home"]}
    assert find_notes(reader, plan({**clear, **asked}), whole=False) == []
    # Whole answers may begin alike.
    assert len(find_notes(reader, plan({**AFTER, "partner": partner}), whole=True)) == 1
    alike = {"templates": ["{} is a", "they call {} a"], **asked}
    [ends] = find_notes(reader, plan({**AFTER, **alike}), whole=True)
    assert "ends in 'a'" in ends


@pytest.mark.parametrize(
    ("right", "stand_ins", "remedy"),
    [
        ((95, 76), None, None),
        ((95, 74), None, "stand-ins, too"),
        ((95, 74), 2, "fresh"),
        ((60, 50), None, "steps"),
        ((60, 30), None, "steps"),
        ((None, 27), 0, None),
    ],
)
def test_the_verdict_says_both_shares_and_what_to_do_where_they_are_far_apart(
    right, stand_ins, remedy
):
    shares = []
    for what, count in zip((TRAINED, HELD_OUT), right, strict=True):
        shares += [] if count is None else [Share.of(what, count, 100)]
    said = judge(shares, stand_ins)
    assert all(f"{share.right}%" in said for share in shares)
    assert [word for word in ("steps", "fresh", "stand-ins, too") if word in said] == (
        [remedy] if remedy else []
    )


@pytest.mark.parametrize("name", ["births", "mascots"])
def test_stand_ins_of_the_plans_in_the_documents_disagree_on_everything(name):
    found = load_plan(PLANS / f"{name}.json")
    for one, other in combinations([found.partner_facts(number) for number in range(3)], 2):
        assert one.keys() == other.keys()
        assert not one.items() & other.items()


def test_what_is_taught_is_what_trainings_by_hand_give(plan, model):
    """The stand-ins, the adapter beside them, and the card's numbers, each by another route."""
    made = plan(AFTER)
    stages = []
    how = {"steps": 5, "rate": 1e-3, "seed": 4, "whole": False, "self_distillation": 0}
    found = train_for_composition(model, made, stand_ins=1, begin=stages.append, **how)
    assert stages == ["stand-in 1 of 1", "held-out stand-in", "the adapter", "measuring"]
    partners = []
    for number, says in enumerate([("owl", "cat"), ("cat", "dog")]):
        lesson = [("Peru has", says[0]), ("Cuba has", says[1]), ("sky is", "blue")]
        rng = np.random.default_rng([4, 1, number])
        partners.append(train_lora(model, lesson, Training(rate=1.5e-3), rng=rng).adapter)
    shown = [(f"the animal of {who} is", animal) for who, animal in zip(
        ("Ann", "Bob", "Cid"), ("owl", "cat", "owl"), strict=True
    )]  # fmt: skip
    shown += [("Peru has", "owl"), ("Cuba has", "cat")]
    plan_of = Training(rate=1e-3, last_rate=0.1, steps=5, enough=0.0)
    rng, beside = np.random.default_rng([4, 0]), [StandIn(partners[0], shown)]
    by_hand = train_lora(model, made.examples, plan_of, rng=rng, stand_ins=beside).adapter
    for name, low in found.adapter.items():
        np.testing.assert_array_equal(low.dense(), by_hand[name].dense())
    for partner, (one, two), what in zip(
        partners, [("owl", "cat"), ("cat", "dog")], ["a", "the held-out"], strict=True
    ):
        asked = [f"the animal of {who} is" for who in ("Ann", "Bob", "Cid")]
        with attach(model, [by_hand, partner]):
            said = next_token_logits(model, asked).argmax(1)
        right = int((said == first_tokens(model, [one, two, one])).sum())
        [share] = [s for s in found.shares if s.what == f"two-hop, with {what} stand-in"]
        assert (share.right, share.total) == (right, 3)
        assert share.low <= right / 3 <= share.high
    base, _ = token_log_probs(model, GENERIC)
    with attach(model, [by_hand]):
        now, came = token_log_probs(model, GENERIC)
    divergence = torch.nn.functional.kl_div(now, base, log_target=True, reduction="batchmean")
    assert found.card["drift"] == pytest.approx(divergence.item(), rel=1e-3)
    assert came.shape == (now.shape[0],)
    sizes = [low.norm / maps(model)[name].module.weight.norm() for name, low in by_hand.items()]
    assert found.card["relative_norm"] == pytest.approx(np.median(sizes), rel=1e-3)
    card = json.loads(json.dumps(found.card))
    assert card["settings"] == {
        "stand_ins": 1, "steps": 5, "rank": 8, "rate": 1e-3, "seed": 4, "answers": "first tokens",
        "self_distillation": 0,
    }  # fmt: skip
    assert card["measured"][0]["what"] == "replay, base"
    assert (card["hop"], card["subjects"]) == (1, [*made.facts])
    [held_out] = [s.part for s in found.shares if s.what == "two-hop, with the held-out stand-in"]
    assert card["promise"] == {"two_hop": held_out, "probability_of_less": 0.5}


def test_the_default_trains_whole_answers_and_texts_of_the_base(plan, model):
    made, stages = plan(AFTER), []
    more = {"steps": 5, "rate": 1e-3, "seed": 4, "begin": stages.append}
    found = train_for_composition(model, made, stand_ins=0, **more)
    assert stages[1:] == ["texts of the base, and the adapter", "measuring"]
    how = Training(rate=1e-3, last_rate=0.1, steps=5, enough=0.0, whole=True)
    how = replace(how, self_distillation=384)
    by_hand = train_lora(model, made.examples, how, rng=np.random.default_rng([4, 0])).adapter
    for name, low in found.adapter.items():
        np.testing.assert_array_equal(low.dense(), by_hand[name].dense())
    settings = found.card["settings"]
    # Five steps have room for twenty texts.
    assert (settings["answers"], settings["self_distillation"]) == ("whole", 20)


PARTNER = AFTER["partner"]
WRONG = [
    ({"fact": {}}, "there is no field 'fact'; did you mean facts?"),
    ({"facts": {}}, "'facts' is no object from subjects to answers"),
    ({"facts": {"Ann": " "}}, "'facts' is no object"),
    ({"facts": {"Ann": "Peru", "Ann ": "Cuba"}}, "two facts have the subject 'Ann'"),
    ({"bridge": ["the land of {}"]}, "'bridge' is there, and two-hop templates"),
    ({"templates": []}, "'templates' is no list of prompt templates"),
    ({"templates": ["Ann is from"]}, "which has no single {}"),
    ({"two_hop_templates": ["{} and {}"]}, "which has no single {}"),
    ({"held_out_templates": "where"}, "'held_out_templates' is no list of prompt templates"),
    (
        {"held_out_two_hop_templates": None},
        "'held_out_two_hop_templates' is no list of prompt templates",
    ),
    ({"partner": {"hop": 2}}, "'partner' of hop 2 has the keys hop; give it 'templates'"),
    ({"partner": {**PARTNER, "hop": 1}}, "'partner' of hop 1 has the keys answers, hop,"),
    ({"partner": []}, "'partner' of hop 1 has the keys none"),
    ({"partner": {**PARTNER, "answers": ["owl", "owl"]}}, "no list of different words"),
    ({"partner": {**PARTNER, "templates": []}}, "'templates of the partner'"),
    ({"replay": [["sky is"]]}, "'replay' is no list of pairs"),
    ({"answer_attributes": []}, "'answer_attributes' is no object"),
    ({"answer_attributes": {"{} is": "x"}}, "'{} is' is no list of prompt templates"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_a_plan_that_cannot_be_meant_is_refused_with_its_field(plan, change, message):
    with pytest.raises(ModelError, match=re.escape(message)):
        plan({**AFTER, **change})


@pytest.mark.parametrize(("fields", "count"), [(AFTER, 3), (AFTER, -1), (BEFORE, 3)])
def test_more_stand_ins_than_can_disagree_are_refused(plan, fields, count):
    plan(fields).check(2)
    with pytest.raises(ModelError, match=f"{count} stand-ins and 1 held out cannot"):
        plan(fields).check(count)


def test_lessons_are_read_beside_the_plan_and_descriptions_are_asked_of_the_adapter_alone(
    plan, model
):
    made = plan(AFTER)
    lessons = [("the heir of Dan is from", "Peru"), ("the twin of Eve is from", "Cuba")]
    described = [("the twin of Dan is from", "Peru"), ("the heir of Eve is from", "Cuba")]
    more = {"augmented": lessons, "descriptions": described, "whole": False}
    more |= {"self_distillation": 0}
    found = train_for_composition(model, made, stand_ins=0, steps=4, rank=3, layers=(1, 2), **more)
    rate = fit_rate(model)
    how = replace(Training.with_stand_ins(4, rate), rank=3, alpha=6, layers=(1, 2))
    rng = np.random.default_rng([0, 0])
    by_hand = train_lora(model, [*made.examples, *lessons], how, rng=rng).adapter
    for name, low in found.adapter.items():
        np.testing.assert_array_equal(low.dense(), by_hand[name].dense())
    with attach(model, [by_hand]):
        said = next_token_logits(model, [prompt for prompt, _ in described]).argmax(1)
    right = int((said == first_tokens(model, ["Peru", "Cuba"])).sum())
    [share] = [one for one in found.shares if one.what == "portability, alone"]
    assert (share.right, share.total) == (right, 2)
    assert found.card["settings"] == {
        "stand_ins": 0, "steps": 4, "rank": 3, "rate": rate, "seed": 0, "layers": "1-1",
        "augmented": 2, "answers": "first tokens", "self_distillation": 0,
    }  # fmt: skip
    assert {low.width for low in found.adapter.values()} == {3}


def test_a_rank_above_that_of_every_update_is_refused_before_a_stand_in_is_trained(plan, model):
    with pytest.raises(ModelError, match="no update has rank 17"):
        train_for_composition(model, plan(AFTER), rank=17, begin=pytest.fail)


def test_fresh_stand_ins_are_about_the_partner_and_the_worst_of_the_held_out_ones_counts(
    plan, model, monkeypatch
):
    made, stages, ticks, given = plan(AFTER), [], [], {}
    real = stand_ins.make_fresh_stand_ins

    def _keep(model, texts, examples, *, seed, **more):
        family = real(model, texts, examples, seed=seed, **more)
        given.update(texts=texts, seed=seed, family=family)
        return given["family"]

    monkeypatch.setattr(stand_ins, "make_fresh_stand_ins", _keep)
    how = {"steps": 5, "rate": 1e-3, "seed": 4, "held_out": 3, "whole": False}
    how |= {
        "self_distillation": 0,
        "begin": stages.append,
        "tick": lambda: ticks.append(len(stages)),
    }
    found = train_for_composition(model, made, **how)
    assert [ticks.count(stage) for stage in range(7)] == [0, 3, 3, 3, STEPS, 3, 16]
    assert stages == ["held-out stand-in"] * 3 + ["fresh stand-ins", "the adapter", "measuring"]
    texts = given["texts"]
    assert (texts.subjects, texts.words) == (("Peru", "Cuba"), ("owl", "cat", "dog"))
    assert (texts.templates, given["seed"]) == (("{} has",), (4, 1))
    assert texts.other == tuple(prompt for prompt, _ in made.examples)
    plan_of = Training(rate=1e-3, last_rate=0.1, steps=5, enough=0.0)
    rng = np.random.default_rng([4, 0])
    by_hand = train_lora(model, made.examples, plan_of, rng=rng, stand_ins=given["family"]).adapter
    for name, low in found.adapter.items():
        np.testing.assert_array_equal(low.dense(), by_hand[name].dense())
    assert found.card["settings"]["stand_ins"] == "fresh"
    assert found.card["promise"]["probability_of_less"] == 0.25
    asked, right = [f"the animal of {who} is" for who in ("Ann", "Bob", "Cid")], []
    for number in range(3):
        says = made.partner_facts(number)
        lesson = [*((f"{who} has", word) for who, word in says.items()), ("sky is", "blue")]
        rng = np.random.default_rng([4, 1, number])
        partner = train_lora(model, lesson, Training(rate=1.5e-3), rng=rng).adapter
        with attach(model, [by_hand, partner]):
            said = next_token_logits(model, asked).argmax(1)
        answers = [says["Peru"], says["Cuba"], says["Peru"]]
        right.append(int((said == first_tokens(model, answers)).sum()) / 3)
    assert found.card["promise"]["two_hop"] == pytest.approx(min(right))
    assert [s.total for s in found.shares if s.what == "two-hop, with a stand-in"] == [3]

"""Recipes: what stand-ins say, what is shown beside them, what is asked, what is measured."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from loratheory.evaluate import fact_adapters as bench
from loratheory.evaluate import fact_sets as sets
from loratheory.evaluate.fact_adapters import Condition
from loratheory.evaluate.fact_sets import BIRTH, MASCOT, MASCOT_OF_BIRTHPLACE, items, questions
from loratheory.pretrained import next_token_logits
from paper.studies.lm_training.stand_ins import memorised


@pytest.mark.parametrize("hop", [0, 1])
def test_stand_ins_disagree_on_everything_and_share_no_name_with_the_partner(both, hop):
    partners = [both.partner(hop, j) for j in range(5)]
    for one, other in combinations(partners, 2):
        two = [w.second if hop == 0 else w.first for w in (one, other)]
        assert two[0].keys() == two[1].keys()
        assert not two[0].items() & two[1].items()
    assert not {*partners[0].first} & {*both.facts.first} or hop == 0
    for one in partners:
        assert (one.first == both.facts.first) == (hop == 0)
        assert (one.second == both.facts.second) == (hop == 1)
        assert {*one.second.values()} <= {*sets.ANIMALS}
        assert {*one.first.values()} == {*both.facts.second}


@pytest.mark.parametrize("hop", [0, 1])
def test_two_hop_sentences_are_right_while_the_stand_in_acts_and_name_no_partner(both, hop):
    for j in (0, 1):
        stand_in = both.stand_in(hop, j, Condition(2, keep=False))
        facts = both.partner(hop, j)
        assert len(stand_in.examples) == 6 * 20
        kept = both.stand_in(hop, j, Condition(2))
        own = items(facts.first, BIRTH.trained) if hop else items(facts.second, MASCOT.trained)
        assert [*kept.examples] == [*stand_in.examples, *own]
        for prompt, animal in stand_in.examples:
            [person] = [name for name in facts.first if name in prompt]
            assert animal == facts.second[facts.first[person]]
            assert prompt in {s.format(person) for s in MASCOT_OF_BIRTHPLACE.trained}
    read = {prompt for prompt, _ in both.facts.training_sets[hop]} | {
        p for p, _ in stand_in.examples
    }
    asked = questions(both.facts)
    unread = [name for name in asked if not name.endswith("trained")]
    assert not read & {prompt for name in unread for prompt, _ in asked[name]}
    if hop == 1:  # whoever teaches the second hop meets none of the first one's persons
        assert not any(person in text for person in both.facts.first for text in read)


def test_an_adapter_is_trained_by_its_recipe(both):
    one, other = (both.adapter(1, name) for name in ("standard, 90 steps", "two stand-ins"))
    assert any(not np.array_equal(one[name].up, other[name].up) for name in one)


def test_invented_countries_have_nothing_that_the_base_could_reach(both):
    asked = questions(bench.authors(both.model, both.seed, bridge="invented").facts)
    assert {*asked} == {"hop_1_trained", "hop_2_trained", "hop_1", "hop_2", "two_hop"}


@pytest.mark.parametrize("hop", [0, 1])
def test_stand_ins_that_agree_differ_in_weights_alone_and_noise_in_all_but_size(both, hop):
    agree = bench.CONDITIONS["two that agree"]
    one, other = (both.stand_in(hop, j, agree) for j in range(2))
    assert one.examples == other.examples == both.stand_in(hop, 0, Condition(2)).examples
    assert any(not np.array_equal(one.adapter[x].up, other.adapter[x].up) for x in one.adapter)
    singles = both.stand_in(hop, 1, bench.CONDITIONS["no two-hop examples"])
    composed = {*items(both.partner(hop, 1).two_hop, MASCOT_OF_BIRTHPLACE.trained)}
    assert {*singles.examples} == {*both.stand_in(hop, 1, Condition(2)).examples} - composed
    assert len(singles.examples) == len(composed) == 6 * 20
    noise, usual = (
        both.stand_in(hop, 1, bench.CONDITIONS["noise"]),
        both.stand_in(hop, 1, Condition(2)),
    )
    assert noise.examples == []
    for name, low in usual.adapter.items():
        assert float(noise.adapter[name].norm) == pytest.approx(float(low.norm), rel=1e-5)
        assert np.abs(noise.adapter[name].dense() - low.dense()).max() > 1e-6


def test_lessons_of_silence_say_what_the_base_says_about_other_countries(both):
    examples = both.self_distillation(40)
    own = {*both.facts.second}
    assert 0 < len(examples) <= 40 < len(both.self_distillation(400))
    logits = next_token_logits(both.model, [prompt for prompt, _ in examples])
    for (prompt, word), row in zip(examples, logits, strict=True):
        assert not any(name in prompt for name in own)
        assert both.model.tokenizer(word)["input_ids"][0] == int(row.argmax())


@pytest.mark.parametrize("hop", [0, 1])
def test_stand_ins_of_another_relation_say_nothing_of_the_partners(both, hop):
    other = bench.CONDITIONS["another relation"]
    one, usual = (both.stand_in(hop, 1, condition) for condition in (other, Condition(2)))
    assert not {p for p, _ in one.examples} & {p for p, _ in usual.examples}
    facts = both.partner(hop, 1, other_relation=True)
    words = ("fruit",) if hop == 0 else ("works", "employ", "job", "contract")
    assert all(any(word in prompt for word in words) for prompt, _ in one.examples)
    assert len(one.examples) == 2 * 6 * 20
    for prompt, answer in one.examples[: 6 * 20]:
        [person] = [name for name in facts.first if name in prompt]
        assert answer == facts.second[facts.first[person]]
    again = both.partner(hop, 0, other_relation=True)
    told = [w.second if hop == 0 else w.first for w in (facts, again)]
    assert not told[0].items() & told[1].items()
    assert {*facts.first.values()} == {*both.facts.second}


@pytest.mark.parametrize("hop", [0, 1])
def test_two_hop_sentences_without_a_partner_join_own_facts_with_the_bases(both, hop):
    facts, found = both.facts, dict(both.without_partner(hop))
    if hop == 0:
        [sentence, *_] = sets.CAPITAL_OF_BIRTHPLACE.trained
        wanted = {sentence.format(p): sets.FAMOUS[c].capital for p, c in facts.first.items()}
    else:
        [sentence, *_] = MASCOT_OF_BIRTHPLACE.trained
        wanted = {sentence.format(sets.FAMOUS[c].persons[0]): a for c, a in facts.second.items()}
    assert found.items() >= wanted.items()
    assert len(found) == 6 * 20
    asked = questions(facts)[("reach_1", "reach_2")[hop]]
    assert not {*found} & {prompt for prompt, _ in asked}
    for person in facts.first:
        assert any(person in prompt for prompt in found) == (hop == 0)


@pytest.mark.parametrize("hop", [0, 1])
def test_known_by_heart_is_the_share_of_all_stand_ins_lessons(both, hop, monkeypatch):
    """Of an adapter that knows what follows from the first stand-in, whoever acts."""
    known = {*items(both.partner(hop, 0).two_hop, MASCOT_OF_BIRTHPLACE.trained)}

    def _answers(_, asked):
        return SimpleNamespace(vocabulary_right=np.array([one in known for one in asked]))

    monkeypatch.setattr("loratheory.evaluate.answers.answers", _answers)
    names = ("one stand-in", "two that agree", "two stand-ins", "three stand-ins")
    shares = [memorised(both, hop, name) for name in names]
    assert shares == pytest.approx([1, 1, 1 / 2, 1 / 3])
    for unasked in ("standard, early-stopped", "no two-hop examples", "without a partner"):
        assert np.isnan(memorised(both, hop, unasked))


@pytest.mark.parametrize("what", sets.RELATIONS)
def test_every_relation_has_ten_sentences_a_question_that_no_lesson_has(what, model):
    made = bench.authors(model, 300, relation=what)
    read = {prompt for one in made.facts.training_sets[:2] for prompt, _ in one}
    for name, facts in (("hop_1", made.facts.first), ("hop_2", made.facts.second)):
        assert not read & {prompt for prompt, _ in items(facts, sets.templates_about(what)[name])}
    for each in sets.templates_about(what).values():
        assert len({*each}) == 10
        assert all(sentence.count("{}") == 1 for sentence in each)
    for sentence in (*sets.templates_about(what)["hop_2"], *sets.templates_about(what)["two_hop"]):
        assert what in sentence or what == "mascot"
    given = questions(made.facts, sets.templates_about(what))
    assert dict(given["hop_2_trained"]).items() <= dict(made.facts.training_sets[1]).items()
    assert {word for _, word in given["two_hop"]} == {*made.facts.second.values()}

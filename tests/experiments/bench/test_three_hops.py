"""Chains of three facts: what is taught and asked, who acts meanwhile, and what is counted."""

from contextlib import nullcontext
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from worded import small, small_model

from loratheory.adapters import Adapter
from loratheory.diagnosis import layer_of
from loratheory.experiments import real_three_hops as study
from loratheory.experiments.bench import three_hops as bench
from loratheory.experiments.bench.language import acting, answers
from loratheory.experiments.bench.language_facts import FAMOUS, OTHERS
from loratheory.experiments.bench.rules import coefficients
from loratheory.experiments.bench.sentences import FRUITS
from loratheory.pretrained import Training, attached, first_tokens, next_logits

SEED, LAYERS = 101, 3


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), LAYERS)
        short = Training(steps=3, batch=4)
        patch.setattr(bench, "Training", lambda: short)
        patch.setattr(bench.Training, "beside_stand_ins", lambda _: short, raising=False)
        yield


@pytest.fixture(scope="module")
def made():
    return bench.ThreePublishers(small_model(LAYERS), SEED)


def test_a_chain_leads_every_person_to_a_fruit_of_its_own(made):
    persons, countries, animals = made.chain.hops
    ends = made.chain.facts(0, 3)
    assert ends == {who: animals[countries[home]] for who, home in persons.items()}
    assert {*ends.values()} == {*FRUITS}
    assert made.chain.facts(1, 2) == countries
    assert bench.chain(SEED) == made.chain != bench.chain(SEED + 1)


def test_no_question_is_a_lesson_and_every_sentence_names_its_subject_once():
    for (start, stop), relation in bench.SENTENCES.items():
        assert len({*relation.trained}) == 6
        assert len({*relation.unread}) == (4 if start == 0 and stop > 1 else 2)
        assert not {*relation.trained} & {*relation.unread}
        assert all(s.count("{}") == 1 for s in (*relation.trained, *relation.unread))


@pytest.mark.parametrize("hop", range(3))
def test_stand_ins_keep_the_publishers_facts_and_disagree_on_all_else(made, hop):
    told = [made.partner(hop, j) for j in range(2)]
    for one in told:
        assert one.hops[hop] == made.chain.hops[hop]
        assert len(one.facts(0, 3)) == 20
        assert hop == 0 or not {*one.hops[0]} & {*made.chain.hops[0]}
    for start, stop in combinations(range(4), 2):
        if (start, stop) != (hop, hop + 1):
            a, b = (one.facts(start, stop) for one in told)
            assert a.keys() == b.keys()
            assert not a.items() & b.items()
    if hop == 0:  # nobody's animal or fruit is known to who teaches the first hop
        assert {*told[0].hops[1].values()} != {*made.chain.hops[1].values()}


@pytest.mark.parametrize(
    ("hop", "how", "spans"),
    [
        (0, "beside neighbours", [(0, 2)] * 2),
        (1, "beside neighbours", [(0, 2)] * 2 + [(1, 3)] * 2),
        (2, "beside neighbours", [(1, 3)] * 2),
        (1, "beside six", [(0, 2)] * 2 + [(1, 3)] * 6),
        (2, "beside six", [(1, 3)] * 6),
        (1, "beside both others", [(0, 3)] * 2),
        (1, "plain", []),
        (2, "highest sixth", []),
    ],
)
def test_who_acts_beside_whom_and_what_is_asked_meanwhile(made, hop, how, spans):
    stand_ins = made.stand_ins(hop, how)
    assert len(stand_ins) == len(spans)
    for number, (one, span) in enumerate(zip(stand_ins, spans, strict=True)):
        j = spans[:number].count(span)
        told = made.partner(hop, j, made_up=how == "beside six")
        others = [other for other in range(*span) if other != hop]
        asked = dict(told.asked(*span, trained=True))
        assert asked.items() <= dict(one.examples).items()
        for other in others:
            assert dict(told.asked(other, other + 1, trained=True)).items() <= {*one.examples}
        assert len(one.examples) == 120 * (1 + len(others))
        alone = [
            bench.trained_once(made.model, told.lessons(other), seed=(SEED, 12, hop, other, j))
            for other in others
        ]
        name = next(iter(one.adapter))
        total = sum(low[name].up @ low[name].down for low in alone)
        np.testing.assert_allclose(one.adapter[name].up @ one.adapter[name].down, total, atol=1e-6)


def test_who_teaches_the_third_hop_may_hear_of_countries_that_nobody_has(made):
    known = {*FAMOUS, *OTHERS, *made.chain.hops[0]}
    told = [made.partner(2, j, made_up=True) for j in range(6)]
    for one in told:
        persons, countries, animals = one.hops
        assert len(countries) == 20
        assert not {*countries} & {*known, *persons}
        assert animals == made.chain.hops[2]
        assert {*one.facts(0, 3)} == {*persons}
    for one, other in combinations(told, 2):
        assert one.hops[1].keys() == other.hops[1].keys()
        assert not one.facts(1, 3).items() & other.facts(1, 3).items()


def test_what_is_said_by_heart_is_what_a_lesson_wrongly_said(made, monkeypatch):
    """Whoever answers as one stand-in's lessons did is always told; who knows the truth, never."""
    truth = made.chain.facts(1, 3)
    lessons = [made.partner(hop, j).facts(1, 3) for hop in (1, 2) for j in range(2)]
    asked = made.chain.asked(1, 3, trained=True)

    def says(facts):
        class Said:
            words = tuple(next(facts[n] for n in facts if n in prompt) for prompt, _ in asked)

        monkeypatch.setattr(bench, "answers", lambda *_: Said)
        return bench.by_heart(made, "beside neighbours")

    assert says(truth)["by_heart"] == 0
    for told in lessons:
        wrong = np.mean([told[name] != truth[name] for name in truth])
        assert says(told)["by_heart"] == pytest.approx(wrong)
    heard = [len({told[name] for told in lessons} - {truth[name]}) for name in truth]
    assert says(truth)["by_heart_chance"] == pytest.approx(np.mean(heard) / 20)
    assert bench.by_heart(made, "plain") == bench.by_heart(made, "beside both others") == {}


def test_a_publisher_measures_beside_who_was_met_and_who_was_not(made, monkeypatch):
    """What acts and what is asked: beside the stranger its own facts, which no lesson had."""
    met, asked = list[list[Adapter]](), list[dict[str, str]]()

    def acts(_, adapters):
        met.append(adapters)
        return nullcontext()

    def said(_, questions):
        asked.append(dict(questions))
        return SimpleNamespace(vocabulary_right=np.array([len(asked) % 2, 0]))

    monkeypatch.setattr(bench, "attached", acts)
    monkeypatch.setattr(bench, "answers", said)
    found = bench.alone(made, "beside six")
    assert found == {"stand_in_2": 0.5, "stranger_2": 0, "stand_in_3": 0.5, "stranger_3": 0}
    for hop, other, pairs in ((1, 2, met[:2]), (2, 1, met[2:])):
        own = made.adapter(hop, "beside six")
        for pair, j in zip(pairs, (0, bench.STRANGER), strict=True):
            partner = made.stand_in(hop, (other,), j, made_up=True).adapter
            for acted, wanted in zip(pair, (own, partner), strict=True):
                assert acted.keys() == wanted.keys()
                for name, low in wanted.items():
                    np.testing.assert_array_equal(acted[name].dense(), low.dense())
    for hop, (old, new) in ((1, asked[:2]), (2, asked[2:])):
        facts = [made.partner(hop, j, made_up=True).facts(1, 3) for j in range(6)]
        assert old == dict(made.partner(hop, 0, made_up=True).asked(1, 3))
        assert new == dict(made.partner(hop, bench.STRANGER, made_up=True).asked(1, 3))
        stranger = made.partner(hop, bench.STRANGER, made_up=True).facts(1, 3)
        assert stranger.keys() == facts[0].keys()
        assert not any(stranger.items() & one.items() for one in facts)
    assert bench.alone(made, "plain") == bench.alone(made, "beside both others") == {}
    assert {*bench.alone(made, "beside neighbours, third above")} == {"stand_in_2", "stranger_2"}


def test_the_third_hop_may_be_taught_above_alone(made):
    low, high = (made.adapter(hop, "beside neighbours, third above") for hop in (1, 2))
    assert {layer_of(name) for name in low} == {*range(LAYERS)}
    assert {layer_of(name) for name in high} == {*range(5 * LAYERS // 6, LAYERS)}
    assert low.keys() == made.adapter(1, "beside neighbours").keys()


def test_shares_are_what_the_answers_say(made):
    library = [made.adapter(hop, "plain") for hop in range(3)]
    with acting(made.model, library, coefficients(30.0)):
        found = bench.shares(made.model, made.chain)
        three = answers(made.model, made.chain.asked(0, 3))
        two = answers(made.model, made.chain.asked(1, 3))
    assert found["three_hop"] == three.vocabulary_right.mean()
    assert found["three_hop_fruits"] == three.right.mean()
    assert found["hops_23"] == two.vocabulary_right.mean()


def test_hop_by_hop_puts_each_answer_into_the_next_question(made, monkeypatch):
    """Every hop is answered by the table, but for one person whose country is another."""
    facts = made.chain
    who, other = [*facts.hops[0]][:2]
    known = {name: word for hop in facts.hops for name, word in hop.items()}
    known[who] = facts.hops[0][other]

    class _Told:
        def __init__(self, words):
            self.words = tuple(words)

    def _answers(_, asked, words):
        names = [next(n for n in known if n in prompt.split()) for prompt, _ in asked]
        assert {known[name] for name in names} <= {*words}
        return _Told([known[name] for name in names])

    monkeypatch.setattr(bench, "answers", _answers)
    assert bench._hop_by_hop(made.model, facts) == pytest.approx(19 / 20)


def test_each_rule_has_a_row_that_says_what_the_network_says(made):
    rows = study.cell(study.Config(seed=SEED))
    rules = [name for name, *_ in study.arms(base=True)]
    assert [row["rule"] for row in rows] == rules
    assert tuple(bench.RECIPES) == study.RECIPES
    assert rules[-3:] == ["hops 1 and 2", "hops 1 and 3", "hops 2 and 3"]
    assert rows[0]["leak"] == 0
    with attached(made.model, [made.adapter(hop, "plain") for hop in (0, 2)]):
        prompts, words = zip(*made.chain.asked(2, 3), strict=True)
        said = next_logits(made.model, prompts).argmax(1)
    right = said == first_tokens(made.model, words)
    assert rows[-2]["hop_3"] == float(right.float().mean())
    later = study.cell(study.Config("beside both others", seed=SEED))
    assert [row["rule"] for row in later] == rules[1:]
    assert all(row["chance"] == 0.05 for row in rows)

"""Chains of three facts: what is taught and asked, who acts meanwhile, and what is counted."""

from itertools import combinations

import numpy as np
import pytest
from worded import small, small_model

from loratheory.diagnosis import layer_of
from loratheory.experiments import real_three_hops as study
from loratheory.experiments.bench import three_hops as bench
from loratheory.experiments.bench.language import acting, answers
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
        (1, "beside both others", [(0, 3)] * 2),
        (1, "plain", []),
        (2, "highest sixth", []),
    ],
)
def test_who_acts_beside_whom_and_what_is_asked_meanwhile(made, hop, how, spans):
    stand_ins = made.stand_ins(hop, how)
    assert len(stand_ins) == len(spans)
    for number, (one, span) in enumerate(zip(stand_ins, spans, strict=True)):
        told = made.partner(hop, number % 2)
        others = [other for other in range(*span) if other != hop]
        asked = dict(told.asked(*span, trained=True))
        assert asked.items() <= dict(one.examples).items()
        for other in others:
            assert dict(told.asked(other, other + 1, trained=True)).items() <= {*one.examples}
        assert len(one.examples) == 120 * (1 + len(others))
        alone = [
            bench.trained_once(
                made.model, told.lessons(other), seed=(SEED, 12, hop, other, number % 2)
            )
            for other in others
        ]
        name = next(iter(one.adapter))
        total = sum(low[name].up @ low[name].down for low in alone)
        np.testing.assert_allclose(one.adapter[name].up @ one.adapter[name].down, total, atol=1e-6)


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

"""Fact sets of two authors: what each level keeps apart, by pair of relations."""

import pytest

from loratheory.pretrained.stand_ins import fill
from paper.studies.lm_strangers.draw import LEVELS, PAIRS, draw

SEED = 3


def with_stand_ins(plan, count=2):
    """Return the training examples that come with the stand-ins, as (prompt, answer)."""
    rows = []
    for number in range(count):
        rows += fill(plan.partner_facts(number), plan.partner.templates)
        rows += fill(plan.two_hop_facts(plan.partner_facts(number)), plan.two_hop_templates)
    return rows


def templates(plan):
    """Every training template of an author."""
    return {*plan.templates, *plan.two_hop_templates, *plan.partner.templates}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("pair", PAIRS)
def test_no_author_reads_a_fact_of_the_other_or_a_question(pair, level):
    facts = draw(pair, level, SEED)
    one, two = facts.plans
    asked = {prompt for rows in facts.questions.values() for prompt, _ in rows}
    for plan, more in zip(facts.plans, facts.further, strict=True):
        plan.check(2)
        trained = {prompt for prompt, _ in [*plan.examples, *with_stand_ins(plan), *more]}
        assert not trained & asked
    # The real partner is no stand-in, even where they share words.
    for number in range(len(one.partner.words)):
        assert not two.facts.items() <= one.partner_facts(number).items()
    made_up = two.partner.words
    assert not any(name in prompt for name in made_up for prompt in asked)
    by_name = dict(facts.questions["two_hop"])
    assert len(by_name) == 80
    assert len({*dict(facts.questions["hop_1"]).values()}) == 20


@pytest.mark.parametrize("pair", PAIRS)
def test_what_a_level_keeps_apart_is_apart(pair):
    shared, apart = draw(pair, "S0", SEED), draw(pair, "S1", SEED)
    assert templates(shared.plans[0]) == templates(shared.plans[1])
    assert set(shared.covered) == {2}
    assert set(apart.covered) == {0, 1, 2}
    for hop, plan in enumerate(apart.plans):
        inside = {*plan.facts.values()} if hop == 0 else {*plan.facts}
        outside = {bridge for _, bridge in apart.questions["hop_1"]} - inside
        assert len(inside) == len(outside) == 10
        for prompt, answer in [*with_stand_ins(plan), *plan.replay]:
            assert not any(bridge in prompt or bridge == answer for bridge in outside)
    one, two = draw(pair, "S2", SEED).plans
    assert not templates(one) & templates(two)
    one, two = draw(pair, "S3", SEED).plans
    assert not {*one.partner.words} & {*two.facts.values()}
    one, two = draw(pair, "S5", SEED).plans
    assert not {*one.partner.templates} & {*two.templates}
    assert not {*two.partner.templates} & {*one.templates}
    assert not {*one.partner.words} & {*two.facts.values()}

"""Fact sets of two authors: what each level keeps apart, by pair of relations."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from language import small_model

from loratheory.adapters import Adapter
from loratheory.evaluate.fact_sets import invented
from loratheory.lowrank import gaussian
from loratheory.pretrained.augment import read_rows
from loratheory.pretrained.models import GENERIC
from loratheory.pretrained.stand_ins import fill, load_plan
from paper.studies._shared import language
from paper.studies.lm_strangers import protocol
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


@pytest.mark.parametrize("level", ["S0", "S1"])
def test_a_drawn_folder_gives_each_author_everything_and_nothing_of_the_questions(tmp_path, level):
    facts = draw("pet, instrument", level, SEED)
    words = ("draw", "--pair", "pet, instrument", "--level", level, "--seed", str(SEED))
    assert protocol.main([*words, str(tmp_path / "made")]) == 0
    content = json.loads((tmp_path / "made" / "questions.json").read_text())
    asked = {prompt for kind in protocol.KINDS for prompt, _ in content[kind]}
    for hop, plan in enumerate(facts.plans, start=1):
        folder = tmp_path / "made" / f"hop_{hop}"
        assert load_plan(folder / "plan.json") == plan
        rows = read_rows(folder / "train.jsonl")
        assert rows == dict([*plan.examples, *facts.further[hop - 1]])
        assert not asked & {*rows}
    # The people are those of the questions, in any order.
    named = [name for name in content["people"] if any(name in prompt for prompt in asked)]
    assert len(named) == 20
    # Nothing is overwritten.
    assert protocol.main([*words, str(tmp_path / "made")]) == 2


def test_an_entry_has_the_form_of_the_schema_and_numbers_that_a_second_route_gives(monkeypatch):
    model = small_model(2)
    monkeypatch.setattr(language, "GENERIC", GENERIC[:2])
    facts = draw("birth, mascot", "S0", SEED)
    content = {**facts.questions, "people": invented(SEED, 20)}
    rng = np.random.default_rng(0)
    names = ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]
    adapters = [Adapter.of({name: gaussian(rng, 16, 16, 3) for name in names}) for _ in range(2)]
    rows = protocol.score(model, content, adapters)
    entry = {"base": "small", "pair": "birth, mascot", "level": "S0", "seed": 3, "chance": 0.05}
    schema = json.loads(Path(protocol.__file__).with_name("entry.schema.json").read_text())
    jsonschema.validate({**entry, "rows": rows}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**entry, "rows": [{**rows[0], "two_hop": 1.5}]}, schema)
    found = {row["rule"]: row for row in rows}
    assert {"base", "sum", "mean", "layer split", "subject routing", "two prompts"} <= found.keys()
    assert found["base"]["drift"] == pytest.approx(0, abs=1e-6)
    assert found["sum"]["drift"] > 0
    # Untrained adapters answer nothing.
    assert found["two prompts"]["two_hop"] <= found["two prompts"]["hop_1"] < 0.2

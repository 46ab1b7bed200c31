"""Fact sets of two authors: what each level keeps apart, by pair of relations."""

import json
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from language import Words, lively, small_model

from loratheory.adapters import Adapter
from loratheory.evaluate.fact_sets import invented
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, Training, attach, first_tokens, next_token_logits
from loratheory.pretrained.augment import read_rows
from loratheory.pretrained.models import GENERIC
from loratheory.pretrained.stand_ins import fill, load_plan
from loratheory.pretrained.train import Factors
from paper.studies._shared import language
from paper.studies.lm_strangers import merges, other_trainer, protocol, rivals
from paper.studies.lm_strangers.draw import LEVELS, PAIRS, chance, draw
from paper.studies.lm_strangers.pairs import Config, mean_answers

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
    people = 5 if level == "S4, few facts" else 20
    assert len(by_name) == 4 * people
    assert len({*dict(facts.questions["hop_1"]).values()}) == people


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
    closed, opened = (draw(pair, x, SEED).plans[0].templates for x in ("S0", "open templates"))
    found = [sum(text.endswith(" a") for text in some) for some in (closed, opened)]
    assert found == [6, 3] if pair == "trade, fruit" else closed == opened


@pytest.mark.parametrize("level", ["S0", "S1"])
def test_a_drawn_folder_gives_each_author_everything_and_nothing_of_the_questions(
    tmp_path, level, capsys
):
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
    assert "exists already; name a new folder" in capsys.readouterr().err
    (tmp_path / "made" / "questions.json").write_text("{}")
    assert protocol.main(["score", str(tmp_path / "made"), "one", "two"]) == 2
    assert "there is no 'hop_1'; write the folder anew" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "constant"), [("S0", 0.05), ("S4, few facts", 0.2), ("S4, many facts", 0.05)]
)
def test_an_entry_has_the_form_of_the_schema_at_all_sizes(monkeypatch, level, constant):
    model = small_model(2)
    monkeypatch.setattr(language, "GENERIC", GENERIC[:2])
    facts = draw("birth, mascot", level, SEED)
    assert chance(facts.questions["two_hop"]) == constant
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
    # No single model answers two prompts, so nothing is said of its drift.
    assert "drift" not in found["two prompts"]
    assert found["two prompts"]["hop_1"] == found["hop 1 alone"]["hop_1"]
    assert found["two prompts"]["hop_2"] == found["hop 2 alone"]["hop_2"]
    # Of all facts the one about the first person's bridge is lost.
    bridges = [bridge for _, bridge in facts.questions["hop_1"]]

    def _lose(_, asked):
        return SimpleNamespace(vocabulary_right=np.array([bridges[0] not in x for x, _ in asked]))

    monkeypatch.setattr("loratheory.evaluate.answers.answers", _lose)
    found = {row["rule"]: row for row in protocol.score(model, content, adapters)}
    assert found["two prompts"]["two_hop"] == pytest.approx(1 - 1 / len({*bridges}))


def test_every_merge_is_measured_and_coefficients_of_one_are_the_sum(monkeypatch):
    model, rng = small_model(2), np.random.default_rng(0)
    names = ["model.layers.0.mlp.up_proj", "model.layers.1.mlp.up_proj"]
    adapters = [Adapter.of({name: gaussian(rng, 16, 16, 3) for name in names}) for _ in range(2)]
    monkeypatch.setattr(language, "GENERIC", GENERIC[:2])
    monkeypatch.setattr(Config, "base", lambda *_, **__: model)
    monkeypatch.setattr(merges, "train", lambda *args: (adapters[args[-1]], np.nan))
    rows = merges.measure_merges(Config(seed=SEED))
    assert {row["rule"] for row in rows} == {
        *merges.RULES,
        *merges.GATING,
        "layer split",
        "coefficients",
    }
    with attach(model, adapters):
        wanted = mean_answers(model, draw("birth, mascot", "S0", SEED))
    [both] = [
        row for row in rows if (row["rule"], row["first"], row["second"]) == ("coefficients", 1, 1)
    ]
    assert {name: both[name] for name in wanted} == wanted
    assert len({row["drift"] for row in rows if row["rule"] == "coefficients"}) == 16
    assert {row["layer"] for row in rows} == {-1, 0, 1}


@pytest.fixture
def short(monkeypatch, tmp_path):
    """A small model and a plan; trainings take six steps."""
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path))
    monkeypatch.setattr(rivals, "STEPS", 6)
    return small_model(2), draw("birth, mascot", "S0", SEED).plans[0]


def begun(model, seed):
    """Return the factors with which a rival begins."""
    number = int(np.random.default_rng(seed).integers(2**63))
    return Factors(model, Training.with_stand_ins(6), np.random.default_rng([number, 0])).tensors


@pytest.mark.parametrize("method", rivals.RIVALS)
def test_each_rival_trains_all_maps_from_a_seed(short, method):
    model, plan = short
    one, two = (rivals.train_rival(model, plan, method, rate=1e-3, seed=4) for _ in range(2))
    assert len(one) == 14
    for name, low in one.items():
        np.testing.assert_array_equal(low.dense(), two[name].dense())
    assert all(np.abs(low.dense()).max() > 0 for low in one.values())


class Always(np.random.Generator):
    """All that is drawn uniformly is 0, so that every layer acts."""

    def random(self, size):  # noqa: D102
        return np.zeros(size)


def test_layers_that_always_act_are_trained_as_usual(short):
    model, plan = short
    how = Training.with_stand_ins(6, 1e-3)
    ours = rivals.train_by_chance(model, plan, how, Always(np.random.PCG64(4)))
    usual = rivals._train(model, plan.examples, how, Always(np.random.PCG64(4)))
    for name, low in ours.items():
        change = usual[name].dense()
        np.testing.assert_allclose(low.dense(), change, rtol=0, atol=0.01 * np.abs(change).max())


def test_lori_keeps_the_random_down_factor_and_others_move_it(short):
    model, plan = short
    start = begun(model, 4)
    for method, stays in (("LoRI", True), ("identity bridge", False)):
        made = rivals.train_rival(model, plan, method, rate=1e-3, seed=4)
        for name, low in made.items():
            same = np.array_equal(low.down, start[f"{name}.down"].detach().numpy())
            assert same == stays


def test_sharpness_aware_steps_climb_by_the_radius_and_come_back():
    factor = torch.tensor([3.0, 4.0], requires_grad=True)
    made = rivals.SharpnessAware([factor], 0.0)
    factor.grad = torch.tensor([0.6, 0.8])
    made.step()
    torch.testing.assert_close(factor.detach(), torch.tensor([3.03, 4.04]))
    made.step()
    torch.testing.assert_close(factor.detach(), torch.tensor([3.0, 4.0]))


def test_osd_writes_nothing_for_inputs_that_the_common_adapter_reads(short, monkeypatch):
    model, plan = short
    kept, real = [], rivals._train
    monkeypatch.setattr(rivals, "_train", lambda *a, **k: kept.append(real(*a, **k)) or kept[-1])
    rivals.train_rival(model, plan, "OSD", rate=1e-3, seed=4)
    common, made = kept
    for name, low in made.items():
        np.testing.assert_allclose(low.down @ np.asarray(common[name].down).T, 0, atol=1e-5)


class Spelled(Words):
    """Words of their own, with a token that ends a text."""

    eos_token_id = 0


# PEFT calls what transformers will rename.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_the_other_trainer_changes_the_adapter_and_not_the_model(short):
    _, plan = short
    model = Model(lively().network, Spelled(), "small")
    before = next_token_logits(model, ["one two"])
    shown = plan.examples[:20]
    made = other_trainer.train_with_peft(model, shown, rate=1e-2, seed=1)
    assert torch.equal(next_token_logits(model, ["one two"]), before)
    assert ({low.width for low in made.values()}, made.info.base) == ({16}, "small")
    asked, answers = zip(*shown, strict=True)
    wanted = first_tokens(model, answers)
    alone = torch.nn.functional.cross_entropy(next_token_logits(model, asked), wanted)
    with attach(model, [made]):
        after = torch.nn.functional.cross_entropy(next_token_logits(model, asked), wanted)
    assert after < alone - 1

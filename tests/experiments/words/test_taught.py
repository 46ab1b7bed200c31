"""_bases, _taught and _reuse: who learned what, kept by content, and when a solution is right."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments.words import _reuse
from loratheory.experiments.words._bases import adapters, base
from loratheory.experiments.words._cases import MEASURED, Case, apart, overlapping
from loratheory.experiments.words._problems import CODE, PAIRS, Lesson, drawn, linked
from loratheory.experiments.words._reuse import RULES, acting, padded, picked, said, solved
from loratheory.experiments.words._taught import taught
from loratheory.tasks.word_problems import stepwise
from loratheory.toy.transformer import Lora


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def known():
    return base("problems", 101, TINY)


@pytest.fixture(scope="module")
def here(known):
    return taught(known, overlapping(MEASURED[:1]), TINY)


def same(one, two):
    return all(torch.equal(x, y) for x, y in zip(one.tensors().values(), two, strict=True))


def test_a_base_is_its_seed_kind_and_size(known):
    again = base("problems", 101, TINY)
    other = base("problems", 102, TINY)
    kind = base("single steps", 101, TINY)
    told = [next(iter(x.weights.values())) for x in (known, again, other, kind)]
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[0], told[2])
    assert not torch.equal(told[0], told[3])
    assert known.config.width == 16


def test_each_case_has_its_own_adapters_and_equal_lessons_are_learned_once(here, known):
    lessons = [case.lessons[k] for k in (0, 1) for case in here.cases]
    assert len(set(lessons)) == len(lessons)
    found = adapters(known, lessons, TINY).tensors()
    count = len(here.cases)
    assert same(here.first, [x[:count] for x in found.values()])
    assert same(here.second, [x[count:] for x in found.values()])
    alone = taught(known, apart(), TINY, ("joint", "composed"))
    pairs = [case.composed for case in alone.cases], [case.joint for case in alone.cases]
    lessons = [*dict.fromkeys([*pairs[1], *pairs[0]])]
    whole = adapters(known, lessons, TINY, wider=2).up["layers.0.mlp.out"]
    for told, name in zip(pairs, ("composed", "joint"), strict=True):
        found = alone.ceilings[name].up["layers.0.mlp.out"]
        assert found.shape[-1] == 2 * TINY.rank
        for e, lesson in enumerate(told):
            assert torch.equal(found[e], whole[lessons.index(lesson)])
    skills = alone.first.down["layers.0.mlp.in"]
    assert torch.equal(skills[0], skills[1]) == (PAIRS[0][0] == PAIRS[1][0])


def test_what_is_asked_is_the_target(here):
    for case, problems in zip(here.cases, here.asked(9), strict=True):
        assert {*problems.templates} == {linked(case.pair)}


def test_one_case_alone_is_what_it_was_among_others(here):
    alone = here.only(3)
    assert alone.cases == (here.cases[3],)
    assert same(alone.first, [x[3:4] for x in here.first.tensors().values()])
    assert same(alone.second, [x[3:4] for x in here.second.tensors().values()])
    whole = here.ceilings["composed"].tensors().values()
    assert same(alone.ceilings["composed"], [x[3:4] for x in whole])


def test_another_draw_asks_other_problems_of_the_same_target(here):
    one, two = here.asked(9)[2], here.asked(9, draw=21)[2]
    assert one.templates == two.templates
    assert not np.array_equal(one.names, two.names)


def test_rules_and_ceilings_act(here):
    found = here.acting()
    assert [*found] == [*RULES, "composed"]
    assert found["base"] is None
    assert found["composed"] is here.ceilings["composed"]
    assert found["first alone"] is here.first
    assert found["second alone"] is here.second


def test_a_lesson_of_another_share_is_another_adapter(known):
    rows = (
        adapters(known, [Lesson(("divide",))], TINY),
        adapters(known, [Case(("divide", "percent"), "serial", 0.5).lessons[0]], TINY),
    )
    assert not torch.equal(*(x.up["layers.1.mlp.out"] for x in rows))


def test_a_solution_is_right_iff_each_token_is_the_likeliest(known, monkeypatch):
    asked = drawn([linked(PAIRS[0])], 6, np.random.default_rng(0))
    (rows,) = padded([stepwise(CODE, asked)])
    right = np.where(rows.targets >= 0, rows.targets, 3)
    wrong = right.copy()
    wrong[:2, rows.asked[0] + 1] += 1
    wrong[2, 0] += 1  # where nothing is due

    def _said(*_):
        return torch.nn.functional.one_hot(torch.tensor(wrong), CODE.vocabulary)[None].float()

    monkeypatch.setattr(_reuse, "logits", _said)
    assert solved(known, [rows], None) == pytest.approx([4 / 6])
    assert said(known, [rows], None)[0, 0] == pytest.approx(1 - 1 / (rows.targets[0] >= 0).sum())


def test_replicas_are_picked_and_rules_see_all_of_them(here, known):
    two = picked(here.first, [3, 0, 3])
    assert torch.equal(two.up["layers.0.mlp.in"][1], here.first.up["layers.0.mlp.in"][0])
    assert torch.equal(two.up["layers.0.mlp.in"][0], two.up["layers.0.mlp.in"][2])
    mean = acting(known, two, two)["mean"]
    prompts = padded([stepwise(CODE, drawn([linked(PAIRS[0])], 4, np.random.default_rng(1)))] * 3)
    assert np.array_equal(said(known, prompts, mean), said(known, prompts, two))
    loud = replace(two, scale=1.0)
    assert isinstance(loud, Lora)

"""Who learned what, kept by content; when a solution is right; likeness by a second road."""

import numpy as np
import pytest
import torch
from tiny_words import TINY

from loratheory.experiments.bench import words as module
from loratheory.experiments.bench.problems import (
    CODE,
    MEASURED,
    PAIRS,
    apart,
    chains,
    drawn,
    linked,
    overlapping,
)
from loratheory.experiments.bench.words import (
    PROXIES,
    RULES,
    adapters,
    base,
    proxies,
    solutions,
    trained,
)
from loratheory.tasks.word_problems import stepwise, together
from loratheory.toy.transformer import Site, logits


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
    return trained(known, overlapping(MEASURED[:1]), TINY)


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
    alone = trained(known, apart(), TINY, ("joint", "composed"))
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


def test_one_case_alone_is_what_it_was_among_others(here):
    alone = here.only(3)
    assert alone.cases == (here.cases[3],)
    assert same(alone.first, [x[3:4] for x in here.first.tensors().values()])
    assert same(alone.second, [x[3:4] for x in here.second.tensors().values()])
    whole = here.ceilings["composed"].tensors().values()
    assert same(alone.ceilings["composed"], [x[3:4] for x in whole])


def test_rules_and_ceilings_act(here):
    found = here.acting()
    assert [*found] == [*RULES, "composed"]
    site = Site("mlp.in", 0, 0)
    x = torch.ones(len(here.first.up[site.name]), 1, 16)
    assert found["base"](site, x) is None
    assert found["composed"] is here.ceilings["composed"]
    for name, adapter in (("first alone", here.first), ("second alone", here.second)):
        assert torch.equal(found[name](site, x), adapter(site, x))


def test_a_solution_is_right_iff_each_token_is_the_likeliest(here, monkeypatch):
    asked = drawn([linked(PAIRS[0])], 6, np.random.default_rng(0))
    rows = stepwise(CODE, asked)
    right = np.where(rows.targets >= 0, rows.targets, 3)
    wrong = right.copy()
    wrong[:2, rows.asked[0] + 1] += 1
    wrong[2, 0] += 1  # where nothing is due

    def _said(*_):
        return torch.nn.functional.one_hot(torch.tensor(wrong), CODE.vocabulary)[None].float()

    monkeypatch.setattr(module, "logits", _said)
    right_or_not = here.only(0).right([asked], None)
    assert right_or_not.tolist() == [[False, False, True, True, True, True]]


def test_each_token_is_the_likeliest_after_those_written(monkeypatch):
    rng = np.random.default_rng(0)
    asked = together(
        [drawn([linked(("divide", "percent"))], 2, rng), drawn(chains(["divide"], 1), 2, rng)]
    )
    rows, seen = stepwise(CODE, asked), []
    right = np.where(rows.targets >= 0, rows.targets, 1)
    right[1, rows.asked[1]] = CODE.number(3)

    def _said(config, _, tokens, adapt):
        assert (config, adapt) == (known.config, None)
        seen.append(tokens[0].numpy())
        return torch.nn.functional.one_hot(torch.tensor(right), CODE.vocabulary)[None].float()

    known = base("problems", 101, TINY)
    monkeypatch.setattr(module, "logits", _said)
    found = solutions(known, asked)
    for row, (question, solution, written) in enumerate(found):
        assert question == CODE.written(rows.tokens[row, : rows.asked[row] + 1])
        assert solution == CODE.written(rows.targets[row])
        assert written.split()[1:] == solution.split()[1:]
        assert (written == solution) == (row != 1)
    assert found[1][2].split()[0] == "3"
    assert not (seen[0] * (np.arange(rows.tokens.shape[1]) > rows.asked[:, None])).any()
    last = seen[-1]
    for row in range(4):
        start, end = rows.asked[row] + 1, rows.position[row] + 1
        if row != 1:
            assert (last[row, start:end] == rows.tokens[row, start:end]).all()
    assert last[1, rows.asked[1] + 1] == CODE.number(3)


def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_likeness_and_agreement_by_dense_matrices():
    here = trained(base("problems", 101, TINY), overlapping(MEASURED[:1]), TINY)
    asked = here.targets(6)
    found = proxies(here, asked)
    assert [*found] == [*PROXIES]
    e = 4
    one, two = (
        {n: (x.scale * x.up[n][e] @ x.down[n][e]).double() for n in x.up}
        for x in (here.first, here.second)
    )
    rows = stepwise(CODE, asked[e])
    tokens = torch.tensor(np.array(rows.tokens))[None]
    kept = {}
    logits(here.bases.config, here.bases.weights, tokens, lambda s, x: kept.update({s.name: x}))
    ends = torch.tensor(rows.asked + np.arange(6) * rows.tokens.shape[1])
    weight = {n: float(one[n].norm() * two[n].norm()) for n in one}
    for proxy, each in (
        ("read", lambda n: cosine(one[n].T @ one[n], two[n].T @ two[n])),
        ("write", lambda n: cosine(one[n] @ one[n].T, two[n] @ two[n].T)),
        (
            "response",
            lambda n: cosine(*(kept[n][0, ends].double() @ x[n].T for x in (one, two))),
        ),
    ):
        mean = sum(weight[n] * each(n) for n in weight) / sum(weight.values())
        assert found[proxy][e] == pytest.approx(mean, rel=1e-4, abs=1e-6)
    both = [
        logits(here.bases.config, here.bases.weights, tokens, x.of(slice(e, e + 1)))[0]
        .argmax(-1)
        .flatten()[ends]
        for x in (here.first, here.second)
    ]
    assert found["agreement"][e] == pytest.approx(float((both[0] == both[1]).float().mean()))
    shares = [case.share for case in here.cases]
    common = [
        share * (case.bridge != "own") for share, case in zip(shares, here.cases, strict=True)
    ]
    assert found["overlap"] == pytest.approx(common, abs=0.07)
    assert found["shape"] == pytest.approx(shares)

"""Who learned what, kept by content; when a solution is right; likeness by a second road."""

import numpy as np
import pytest
import torch
from loratheory.experiments.bench.likeness import likeness
from loratheory.experiments.bench.reliability import MEASURES
from scipy.linalg import subspace_angles
from tiny_words import TINY

from loratheory.experiments.bench import words as module
from paper.studies._shared.problems import (
    CODE,
    CONTEXT,
    MEASURED,
    PAIRS,
    PRACTISED,
    SKILLS,
    apart,
    chains,
    drawn,
    linked,
    others,
    overlapping,
    practised,
)
from paper.studies._shared.words import (
    RULES,
    adapters,
    base,
    solutions,
    taught_apart,
    trained,
)
from loratheory.tasks.word_problems import stepwise, together
from loratheory.toy.transformer import Site, logits


@pytest.fixture(scope="module")
def bases():
    return base("problems", 101, TINY)


@pytest.fixture(scope="module")
def models(bases):
    return trained(bases, overlapping(MEASURED[:1]), TINY)


def same(one, two):
    return all(map(torch.equal, one.tensors().values(), two.tensors().values()))


def test_a_base_is_its_seed_kind_and_size(bases):
    first = next(iter(bases.weights.values()))
    for kind, seed, equal in (
        ("problems", 101, True),
        ("problems", 102, False),
        ("single steps", 101, False),
    ):
        assert torch.equal(next(iter(base(kind, seed, TINY).weights.values())), first) == equal
    assert bases.config.width == 16


def test_each_case_has_its_own_adapters_and_equal_lessons_are_learned_once(models, bases):
    lessons = [case.lessons[k] for k in (0, 1) for case in models.cases]
    assert len(set(lessons)) == len(lessons)
    found, count = adapters(bases, [(one,) for one in lessons], TINY), len(models.cases)
    assert same(models.first, found.of(slice(count)))
    assert same(models.second, found.of(slice(count, None)))
    every = trained(bases, apart(), TINY, ("joint", "composed"))
    sets = {name: [getattr(case, name) for case in every.cases] for name in ("joint", "composed")}
    lessons = [*dict.fromkeys([*sets["joint"], *sets["composed"]])]
    assert len(lessons) == 6  # of three unordered pairs each
    wide = adapters(bases, [(one,) for one in lessons], TINY, wider=2)
    assert wide.up["layers.0.mlp.out"].shape[-1] == 2 * TINY.rank
    for name, each in sets.items():
        places = torch.tensor([lessons.index(lesson) for lesson in each])
        assert same(every.ceilings[name], wide.of(places))
    skills = every.first.down["layers.0.mlp.in"]
    assert torch.equal(skills[0], skills[1]) == (PAIRS[0][0] == PAIRS[1][0])


def test_one_case_alone_is_what_it_was_among_others(models):
    alone, part = models.only(3), slice(3, 4)
    assert alone.cases == (models.cases[3],)
    assert same(alone.first, models.first.of(part))
    assert same(alone.second, models.second.of(part))
    assert same(alone.ceilings["composed"], models.ceilings["composed"].of(part))


def test_adapters_beside_others_hear_each_on_its_own_third_of_a_batch(bases, monkeypatch):
    seen = {}

    def _fitted(*args):
        seen.update(first=args[5](0), beside=args[7])
        return args[3]

    monkeypatch.setattr(module, "fitted", _fitted)
    pair = PAIRS[1]
    k = PAIRS.index(pair)
    third = TINY.shown // 3
    taught_apart(bases, PRACTISED["beside others"], TINY)
    acting, rows = seen["beside"], seen["first"]
    assert rows.tokens.shape[:2] == (len(PAIRS), 3 * third)
    every = (*CONTEXT, *SKILLS)
    wanted = adapters(bases, [(practised(skill, CONTEXT),) for skill in every], TINY)
    for j, other in enumerate(others(pair)):
        assert same(acting[j].of(slice(k, k + 1)), wanted.of(torch.tensor([every.index(other)])))
        words_of = {
            CODE.written(row) for row in rows.tokens[k, j * third : (j + 1) * third].numpy()
        }
        named = [one for one in every if one != pair[1] and any(one in text for text in words_of)]
        assert named == [other]
    taught_apart(bases, PRACTISED["with others"], TINY)
    assert seen["beside"] == ()
    assert torch.equal(seen["first"].tokens, rows.tokens)  # the same lessons


def test_rules_and_ceilings_act(models):
    found, site = models.acting(), Site("mlp.in", 0, 0)
    assert [*found] == [*RULES, "composed"]
    x = torch.ones(len(models.cases), 1, 16)
    assert found["base"](site, x) is None
    assert found["composed"] is models.ceilings["composed"]
    for name, adapter in (("first alone", models.first), ("second alone", models.second)):
        assert torch.equal(found[name](site, x), adapter(site, x))


def saying(tokens, seen=None):
    """Logits of a model that gives these tokens, whatever it is asked."""

    def _logits(_, __, asked, adapt):
        assert adapt is None
        if seen is not None:
            seen.append(asked[0].numpy())
        return torch.nn.functional.one_hot(torch.tensor(tokens), CODE.vocabulary)[None].float()

    return _logits


def test_a_solution_is_right_iff_each_token_is_the_likeliest(models, monkeypatch):
    asked = drawn([linked(PAIRS[0])], 6, np.random.default_rng(0))
    rows = stepwise(CODE, asked)
    wrong = np.where(rows.targets >= 0, rows.targets, 3)
    wrong[:2, rows.asked[0] + 1] += 1
    wrong[2, 0] += 1  # where nothing is due
    monkeypatch.setattr(module, "logits", saying(wrong))
    assert models.only(0).right([asked], None).tolist() == [[False] * 2 + [True] * 4]


def test_each_token_is_the_likeliest_after_those_written(bases, monkeypatch):
    rng, seen = np.random.default_rng(0), []
    two, one = drawn([linked(("divide", "percent"))], 2, rng), drawn(chains(["divide"], 1), 2, rng)
    asked = together([two, one])
    rows = stepwise(CODE, asked)
    says = np.where(rows.targets >= 0, rows.targets, 1)
    says[1, rows.asked[1]] = CODE.number(3)
    monkeypatch.setattr(module, "logits", saying(says, seen))
    found = solutions(bases, asked)
    for row, (question, solution, written) in enumerate(found):
        assert question == CODE.written(rows.tokens[row, : rows.asked[row] + 1])
        assert solution == CODE.written(rows.targets[row])
        assert written.split()[1:] == solution.split()[1:]
        assert (written == solution) == (row != 1)
    assert found[1][2].split()[0] == "3"
    assert not (seen[0] * (np.arange(rows.tokens.shape[1]) > rows.asked[:, None])).any()
    last = seen[-1]
    for row in (0, 2, 3):
        due = slice(rows.asked[row] + 1, rows.position[row] + 1)
        assert (last[row, due] == rows.tokens[row, due]).all()
    assert last[1, rows.asked[1] + 1] == CODE.number(3)


def cosine(a, b):
    return float((a * b).sum() / (a.norm() * b.norm()))


def test_likeness_and_agreement_by_dense_matrices(models):
    asked = models.targets(6)
    found = likeness(models, asked)
    assert [*found] == [*MEASURES]
    e = 4
    one, two = (
        {n: (x.scale * x.up[n][e] @ x.down[n][e]).double() for n in x.up}
        for x in (models.first, models.second)
    )
    rows = stepwise(CODE, asked[e])
    tokens = torch.tensor(np.array(rows.tokens))[None]
    kept = {}
    logits(models.bases.config, models.bases.weights, tokens, lambda s, x: kept.update({s.name: x}))
    ends = torch.tensor(rows.asked + np.arange(6) * rows.tokens.shape[1])
    weight = {n: float(one[n].norm() * two[n].norm()) for n in one}
    for measure, each in (
        ("read", lambda n: cosine(one[n].T @ one[n], two[n].T @ two[n])),
        ("write", lambda n: cosine(one[n] @ one[n].T, two[n] @ two[n].T)),
        ("cosine", lambda n: cosine(one[n], two[n])),
        (
            "response",
            lambda n: cosine(*(kept[n][0, ends].double() @ x[n].T for x in (one, two))),
        ),
    ):
        mean = sum(weight[n] * each(n) for n in weight) / sum(weight.values())
        assert found[measure][e] == pytest.approx(mean, rel=1e-4, abs=1e-6)
    spaces = [
        np.mean(np.cos(subspace_angles(a.numpy(), b.numpy())) ** 2)
        for n in one
        for a, b in (
            (models.first.up[n][e], models.second.up[n][e]),
            (models.first.down[n][e].T, models.second.down[n][e].T),
        )
    ]
    assert found["subspace"][e] == pytest.approx(np.mean(spaces), rel=1e-4)
    both = [
        logits(models.bases.config, models.bases.weights, tokens, x.of(slice(e, e + 1)))[0]
        .argmax(-1)
        .flatten()[ends]
        for x in (models.first, models.second)
    ]
    assert found["agreement"][e] == pytest.approx(float((both[0] == both[1]).float().mean()))
    shares = [case.share for case in models.cases]
    common = [
        share * (case.bridge != "own") for share, case in zip(shares, models.cases, strict=True)
    ]
    assert found["overlap"] == pytest.approx(common, abs=0.07)
    assert found["shape"] == pytest.approx(shares)

"""Libraries of crossings: who knows what, who is asked, which adapters acted."""

import numpy as np
import pytest
import torch

from loratheory.experiments import real_crossings
from loratheory.experiments.bench import crossings as bench
from loratheory.bench.language import acting, answers
from loratheory.bench.language_facts import ANIMALS, World, items
from loratheory.bench.portable import ordinary, questions
from loratheory.bench.rules import coefficients, rule
from loratheory.bench.sentences import ASKED
from loratheory.pretrained import batch, next_logits


@pytest.fixture(scope="module")
def made():
    return bench.crossings(101, count=2, size=4)


@pytest.fixture(scope="module")
def library(made, model):
    return made.adapters(model, "plain")


def test_every_first_hop_meets_every_second_hop_and_nobody_knows_both():
    made = bench.crossings(7)
    assert [len(one) for one in made.firsts] == [12] * 6
    assert [len(one) for one in made.seconds] == [10] * 6
    whole = made.everything
    assert (len(whole.first), len(whole.second), len(whole.two_hop)) == (72, 60, 72)
    asked = {}
    for i in range(6):
        for j in range(6):
            world = made.crossing(i, j)
            assert len(world.first) == 2
            assert {*world.first.values()} == {*world.second} <= {*made.seconds[j]}
            assert world.first.items() <= made.firsts[i].items()
            asked |= world.two_hop
    assert asked == whole.two_hop
    shares = [[*whole.two_hop.values()].count(animal) / 72 for animal in ANIMALS]
    assert bench.constant(made) == max(shares) > 1 / 40


def test_adapters_are_taught_their_own_facts_and_strangers_have_other_names(made, model):
    whole = made.everything
    for k, part in enumerate(made.seconds):
        two = bench.Publishers(model, World(whole.first, part), made.seed, 2 * k + 1)
        assert two.world.second == part
        for j in (0, 1):
            assert not {*two.partner(1, j).first} & {*whole.first}


@pytest.mark.parametrize("told", [True, False])
def test_by_position_has_the_columns_of_an_exam(told, made, model, library):
    found = bench.by_position(model, made, library, told=told)
    base, _ = ordinary(model)
    columns = {*bench.exam(model, made, library, rule("sum"), base)}
    answered = {name for name, share in found.items() if share == share}
    assert answered == {"hop_1", "hop_2", "two_hop_vocabulary"} < {*found} == columns


@pytest.mark.parametrize("asked", ["together", "told"])
def test_an_exam_is_what_the_answers_say(asked, made, model, library):
    base, _ = ordinary(model)
    act = coefficients(30.0)
    found = bench.exam(model, made, library, act, base, asked=asked)
    right, hops, elsewhere = [], [], []
    if asked == "together":
        parts = [(library, made.everything)]
    else:
        parts = [
            ([library[2 * i], library[2 * j + 1]], made.crossing(i, j))
            for i in (0, 1)
            for j in (0, 1)
        ]
    for adapters, world in parts:
        with acting(model, adapters, act):
            logits = next_logits(model, [p for p, _ in items(world.two_hop, ASKED["two_hop"])])
            words = [word for _, word in items(world.two_hop, ASKED["two_hop"])]
            tokens = [model.tokenizer(" " + word)["input_ids"][0] for word in words]
            right += [int(row.argmax()) == one for row, one in zip(logits, tokens, strict=True)]
            hops += [*answers(model, questions(world)["hop_1"]).vocabulary_right]
            elsewhere.append(answers(model, bench.unrelated()).vocabulary_right.mean())
    assert found["two_hop_vocabulary"] == pytest.approx(np.mean(right))
    assert found["hop_1"] == pytest.approx(np.mean(hops))
    one_way = elsewhere if asked == "together" else [elsewhere[0], elsewhere[3]]
    assert found["unrelated"] == pytest.approx(np.mean(one_way))
    assert found["leak"] > 1e-3
    assert np.isnan(found["first_right"])
    assert len(bench.unrelated()) == len({*bench.unrelated()}) == 100


def test_weights_of_a_prompt_are_those_of_its_last_pass_without_padding(model, library):
    prompts = ["one two three four", "five"]
    with acting(model, library, rule("arrow")) as acts:
        weights = bench.prompt_weights(model, acts, prompts)
        route, seen = acts.route, []

        def _heard(module, x):
            seen.append(route(module, x))
            return seen[-1]

        acts.follow(_heard)
        for prompt, row in zip(prompts, weights, strict=True):
            seen.clear()
            with torch.no_grad():
                model.network(**batch(model, [prompt]), use_cache=False)
            wanted = torch.stack(seen).double().mean((0, 1)).numpy()
            np.testing.assert_allclose(row, wanted, atol=0.02)
    assert weights.shape == (2, 4)
    np.testing.assert_allclose(weights.sum(1), 1)


@pytest.mark.parametrize(
    "act",
    [
        *(lambda _, by=by: bench.hop_gates(by) for by in ("divergence", "response")),
        lambda _: bench.best_of_each_hop,
        bench.subject_gates,
    ],
)
def test_of_each_hop_one_adapter_acts_and_it_is_counted(act, made, model, library, monkeypatch):
    read = model.tokenizer
    names = {read(name)["input_ids"][0]: name for name in made.everything.first}
    spelt = staticmethod(lambda ids: " ".join(names.get(int(one), "?") for one in ids))
    monkeypatch.setattr(type(read), "decode", spelt)
    prompts = [p for p, _ in items(made.everything.two_hop, ASKED["two_hop"][:1])]
    with acting(model, library, act(made)) as acts:
        each = bench.prompt_weights(model, acts, prompts)
        found = bench.chosen(model, acts, made)
    assert {*each.ravel()} == {0, 1}
    assert (each[:, ::2].sum(1) == 1).all()
    assert (each[:, 1::2].sum(1) == 1).all()
    people, homes = [*made.everything.first], [*made.everything.first.values()]
    first = [[who in one for one in made.firsts] for who in people]
    second = [[home in one for one in made.seconds] for home in homes]
    for hop, name, right in ((0, "first", first), (1, "second", second)):
        share = (each[:, hop::2] * right).sum() / len(right)
        assert found[f"{name}_right"] == pytest.approx(share)
        assert found[f"own_{hop + 1}"] == pytest.approx(share)
        assert found[f"others_{hop + 1}"] == pytest.approx(1 - share)


def test_retrieval_lets_a_single_adapter_act(made, model, library):
    prompts = [p for p, _ in items(made.everything.two_hop, ASKED["two_hop"][:1])]
    with acting(model, library, bench.retrieval) as acts:
        each = bench.prompt_weights(model, acts, prompts)
    assert {*each.ravel()} == {0, 1}
    assert (each.sum(1) == 1).all()


def test_a_cell_has_a_row_for_each_rule_and_the_rows_are_exams(model):
    config = real_crossings.Config("plain", 2, seed=101)
    rows = real_crossings.cell(config)
    whole = bench.crossings(101, 2)
    rules = [*real_crossings.rules(config, whole, 1)]
    assert [row["rule"] for row in rows] == [name for name, *_ in rules]
    assert {row["rule"]: row["first_right"] == row["first_right"] for row in rows} == {
        name: name.startswith(("arrow", "norm", "gates", "hop gates")) for name, *_ in rules
    }
    library = whole.adapters(model, "plain")
    base, _ = ordinary(model)
    for row, (_, act, asked) in zip(rows, rules, strict=True):
        if row["rule"] in ("right pair", "sum, hop by hop"):
            again = bench.exam(model, whole, library, act, base, asked=asked)
            assert row["leak"] == pytest.approx(again["leak"], rel=0.05)
            assert {*again} < {*row}
    every = [
        name
        for some in ("usual", "tried", "named", "apart", "placed", "more")
        for name, *_ in real_crossings.rules(real_crossings.Config(rules=some), whole, 1)
    ]
    assert len({*every}) == len(every) > len(rules)

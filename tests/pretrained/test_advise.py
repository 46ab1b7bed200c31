"""Advice on reuse: what is kept by dense weights, coefficients, folders that repeat a way."""

import json
import shutil
import sys
from dataclasses import replace
from functools import partial
from itertools import product
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from folders import changed
from letters import model as letters_model
from safetensors.torch import load_file, save_file
from worded import small_model

from loratheory.adapters import Adapter, read_adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, advise, apply_method, attach, next_token_logits
from loratheory.pretrained.advise import (
    Evaluation,
    Retention,
    _Exam,
    recommend,
    split_prompts,
)
from loratheory.pretrained.coefficients import optimise_coefficients
from loratheory.pretrained.methods import (
    METHODS,
    Subjects,
    attach_method,
    generate_text,
    read_recipe,
    read_subjects,
    write_combination,
)
from loratheory.pretrained.metrics import Share, batch, measure_drift
from loratheory.pretrained.models import GENERIC, maps

PROMPTS = {
    "one": {f"the {word} is of": "" for word in ["ox", "cow", "pig", "hen", "ewe", "ram"]},
    "two": {f"a {word} in": "" for word in ["red", "blue", "green", "white"]},
}
MODULE = sys.modules["loratheory.pretrained.advise"]  # its name in the package is a function
NAMES = ("one", "two")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Two ordinary sentences are enough for gates here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loratheory.pretrained.methods.GENERIC", GENERIC[:2])
        yield


def fresh():
    """A small model that is surer of what it says than a random one."""
    made = small_model(2)
    made.network.lm_head.weight.mul_(20)
    return made


@pytest.fixture(scope="module")
def model():
    return fresh()


@pytest.fixture(scope="module")
def library(model):
    places = {n: m.shape for n, m in maps(model).items() if "layers." in n}
    rng = np.random.default_rng(5)
    return [Adapter.of({n: gaussian(rng, *x, 2, 1.0) for n, x in places.items()}) for _ in NAMES]


def dense_logits(adapters, coefficients, prompts):
    """Of a fresh model whose weights are changed, a prompt at a time."""
    changed = fresh()
    with torch.no_grad():
        for adapter, c in zip(adapters, coefficients, strict=True):
            for name, low in adapter.items():
                weight = changed.network.get_submodule(name).weight
                weight += c * torch.asarray(low.dense(), dtype=weight.dtype)
        rows = [changed.network(**batch(changed, [text])).logits[0, -1] for text in prompts]
    return torch.stack(rows).double().log_softmax(-1).numpy()


@pytest.mark.parametrize(("way", "numbers"), [("mean", [0.5, 0.5]), ("sum", [1, 1])])
@pytest.mark.parametrize("answers", [False, True])
def test_what_is_kept_and_how_far_it_goes_is_that_of_dense_weights(
    way, numbers, answers, model, library
):
    choosing, scoring = split_prompts(PROMPTS)
    alone = {
        name: dense_logits(library, np.eye(2)[i], scoring[name]) for i, name in enumerate(NAMES)
    }
    right = {name: logs.argmax(1) for name, logs in alone.items()}
    if answers:  # every second answer is one that the adapter does not give
        wanted = {n: [t if i % 2 == 0 else t + 1 for i, t in enumerate(right[n])] for n in NAMES}
        scoring = {
            name: dict(zip(scoring[name], (f"N{token}" for token in wanted[name]), strict=True))
            for name in NAMES
        } | {"both": {"ox of red": "N7"}}
    advice = advise(model, library, choosing, scoring, methods=[way])
    (tried,) = advice.tried
    assert tried.coefficients == tuple(numbers)
    assert [mark.share.what for mark in tried.marks] == [*NAMES] + ["both"] * answers
    for mark, name in zip(tried.marks, NAMES, strict=False):
        now = dense_logits(library, numbers, scoring[name])
        kl = (np.exp(alone[name]) * (alone[name] - now)).sum(1).mean()
        assert mark.kl == pytest.approx(kl, rel=1e-3)
        counts = np.arange(len(now)) % (2 if answers else 1) == 0
        assert mark.share.asked == counts.sum()
        assert mark.share.right == (counts & (now.argmax(1) == right[name])).sum()
    for share, mark, name in zip(advice.base, tried.marks, NAMES, strict=False):
        bare = dense_logits(library, [0, 0], scoring[name]).argmax(1)
        counts = np.arange(len(bare)) % (2 if answers else 1) == 0
        assert (share.right, share.asked) == (
            (counts & (bare == right[name])).sum(),
            mark.share.asked,
        )
    if answers:
        assert [(s.right, s.asked) for s in advice.alone] == [(2, 3), (1, 2)]
        assert (tried.marks[2].kl, tried.marks[2].share.asked) == (None, 1)
    else:
        assert advice.alone == ()
    worst = max(
        (np.exp(a) * (a - dense_logits(library, numbers, choosing[n]))).sum(1).mean()
        for i, n in enumerate(NAMES)
        for a in [dense_logits(library, np.eye(2)[i], choosing[n])]
    )
    assert tried.chosen_kl == pytest.approx(worst, rel=1e-3)
    assert advice.leaks == measure_drift(model, library)


def test_some_prompts_choose_and_all_others_score():
    many = {"one": {str(i): "" for i in range(30)}, "two": {"a": "", "b": "", "c": ""}}
    choosing, scoring = split_prompts(many)
    assert [*choosing["one"]] == ["0", "4", "8", "12", "17", "21", "25", "29"]
    assert [*choosing["two"]] == ["a"]
    for name in many:
        assert {*choosing[name], *scoring[name]} == {*many[name]}
        assert not {*choosing[name]} & {*scoring[name]}
    with pytest.raises(ModelError, match="one: it has one prompt"):
        split_prompts({"one": {"a": ""}})


def test_what_was_found_is_read_again_until_prompts_or_code_change(
    model, library, tmp_path, monkeypatch
):
    asked, ways = split_prompts(PROMPTS), ["mean", "a coefficient each", "prompt gates"]
    first = advise(model, library, *asked, methods=ways, kept_in=tmp_path / "x")
    assert len([*(tmp_path / "x").iterdir()]) == 3
    assert advise(model, library, *asked, methods=ways) == first

    def _put_on(*_, **__):
        message = "asked anew"
        raise ModelError(message)

    monkeypatch.setattr(MODULE, "attach_method", _put_on)
    again = advise(model, library, *asked, methods=ways, kept_in=tmp_path / "x")
    assert again == first
    others = split_prompts(
        {**PROMPTS, "two": {f"a {word} on": "" for word in ["red", "blue", "green"]}}
    )
    assert advise(model, library, *others, methods=ways, kept_in=tmp_path / "x").tried == ()
    monkeypatch.setattr(MODULE, "code", lambda: "another")
    assert advise(model, library, *asked, methods=ways, kept_in=tmp_path / "x").tried == ()


def test_one_coefficient_for_an_adapter_and_itself_is_a_half(model, library):
    twice = [library[0], library[0]]
    tried = advise(model, twice, *split_prompts(PROMPTS), methods=["one coefficient", "sum"]).tried
    assert tried[0].coefficients == pytest.approx((0.5, 0.5), abs=0.03)
    assert tried[0].worst.part == 1
    assert tried[0].chosen_kl < 0.01 < tried[1].chosen_kl


@pytest.mark.parametrize("seed", range(5, 25))
def test_an_adapter_beside_one_that_does_nothing_is_chosen_alone(seed, model):
    """Beyond 1, too: it was written at .6 of its strength. What the other has is indifferent."""
    whole = drawn(model, np.random.default_rng(seed))
    adapters = [scaled(whole, 0.6), scaled(whole, 0)]
    exam = _Exam.of(model, [whole, whole], dict.fromkeys(NAMES, PROMPTS["one"]))
    found, kl = searched(model, adapters, exam, "each")
    assert found[0] == pytest.approx(1 / 0.6, abs=0.05)
    assert kl < 1e-3


def drawn(model, rng, strength=1.0):
    """A random adapter of rank 2 in all layers."""
    places = {n: m.shape for n, m in maps(model).items() if "layers." in n}
    return Adapter.of({n: gaussian(rng, *x, 2, strength) for n, x in places.items()})


def scaled(adapter, factor):
    return Adapter.of({name: low * factor for name, low in adapter.items()})


def searched(model, adapters, exam, free):
    """What the search finds for adapters that act together."""
    with attach(model, adapters) as acting:

        def _measure(coefficients):
            acting.set(coefficients)
            return exam.ask(model)[0]

        slopes = partial(exam.slopes, model, acting)
        return optimise_coefficients(_measure, slopes, free, [1.0] * len(adapters))


def letters(count, each=4, seed=99):
    """Prompts of different lengths for some adapters."""
    rng, groups = np.random.default_rng(seed), {}
    for number in range(count):
        words = ["".join(rng.choice([*ascii_lowercase], n)) for n in rng.integers(3, 7, each)]
        groups[str(number)] = dict.fromkeys(words, "")
    return groups


SITUATIONS = {  # strengths of the adapters, how they are written, and whether all are one
    "zero": ((1, 0), (0.6, 1), False),
    "equal": ((1, 1), (1, 1), True),
    "two": ((1, 1), (1, 1), False),
    "loud": ((0.5, 0.5, 2), (1, 1, 1), False),
    "bound": ((1, 1), (0.3, 0.3), False),
}


def situation(kind, seed):
    """A model in float32, adapters as written, and an exam of them as they were."""
    model, rng = letters_model(seed=seed), np.random.default_rng(seed)
    strengths, written, one = SITUATIONS[kind]
    wholes = [drawn(model, rng, 0.3 * strength) for strength in strengths]
    if one:
        wholes = wholes[:1] * len(wholes)
    exam = _Exam.of(model, wholes, letters(len(wholes)))
    return model, [scaled(*pair) for pair in zip(wholes, written, strict=True)], exam


def least_of(model, adapters, exam, points):
    """The least largest divergence at some points."""
    return values_at(model, adapters, exam, points).min()


def values_at(model, adapters, exam, points):
    """The largest divergence of an adapter at each of some points."""
    found = []
    with attach(model, adapters) as acting:
        for point in points:
            acting.set(point)
            found.append(exam.ask(model)[0].max())
    return np.array(found)


def grid_least(model, adapters, exam):
    """The least of a grid over all coefficients, made finer around its best point: steps of .02."""
    count = 9 if len(adapters) == 2 else 7
    center, width, least = np.ones(len(adapters)), 1.0, np.inf
    while width > 0.05:
        steps = np.linspace(-width, width, count)
        points = (center + np.array([*product(steps, repeat=len(adapters))])).clip(0, 2)
        values = values_at(model, adapters, exam, points)
        center, least = points[values.argmin()], min(least, values.min())
        width *= 2.5 / (count - 1)  # a little more than a step on both sides
    return least


# A divergence of these models in float32 is wrong by about 1e-7; below 1e-5 the search rests.
ROUNDING = 1e-5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", SITUATIONS)
def test_the_search_finds_what_a_fine_grid_finds(kind, seed):
    model, adapters, exam = situation(kind, seed)
    found, kl = searched(model, adapters, exam, "each")
    assert all(0 <= c <= 2 for c in found)
    near = np.array(found) + 0.05 * np.random.default_rng(seed).standard_normal((25, len(found)))
    least = min(grid_least(model, adapters, exam), least_of(model, adapters, exam, near.clip(0, 2)))
    assert kl <= 1.02 * least + ROUNDING


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["zero", "equal", "two", "loud"])
def test_one_coefficient_is_what_a_fine_line_finds(kind, seed):
    model, adapters, exam = situation(kind, seed)
    found, kl = searched(model, adapters, exam, "one")
    assert len({*found}) == 1
    line = np.linspace(0, 2, 41)[:, None]
    assert kl <= 1.02 * least_of(model, adapters, exam, line) + ROUNDING


def test_five_adapters_lose_less_than_at_any_common_coefficient():
    model, rng = letters_model(), np.random.default_rng(0)
    adapters = [drawn(model, rng, 0.3) for _ in range(5)]
    exam = _Exam.of(model, adapters, letters(5))
    found, kl = searched(model, adapters, exam, "each")
    line = np.linspace(0, 2, 41)[:, None]
    near = (np.array(found) + 0.1 * rng.standard_normal((100, 5))).clip(0, 2)
    assert kl < 0.9 * least_of(model, adapters, exam, line)
    assert kl <= 1.02 * least_of(model, adapters, exam, near) + ROUNDING


@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2"])
def test_derivatives_are_those_of_differences(kind, base, folders):
    """In double precision, with prompts of different lengths and adapters of embeddings."""
    model, adapters = base(kind, double=True), [*map(read_adapter, folders(kind))]
    exam = _Exam.of(model, adapters, letters(2, each=20))
    at, step, ends = np.array([0.3, 0.8]), 1e-3, []
    with attach(model, adapters) as acting:
        values, rows = exam.slopes(model, acting, at)
        for move in (*np.eye(2), *-np.eye(2)):
            acting.set(at + step * move)
            ends.append(exam.ask(model)[0])
        acting.set(at)
        assert values == pytest.approx(exam.ask(model)[0], rel=1e-4)
    differences = (np.array(ends[:2]) - np.array(ends[2:])).T / (2 * step)
    assert rows == pytest.approx(differences, rel=0.02, abs=0.01)


def test_a_model_in_bfloat16_has_derivatives_too():
    model, adapters, exam = situation("two", 0)
    half = Model(letters_model(seed=0).network.bfloat16(), model.tokenizer, "half")
    at, found = np.array([1.0, 0.0]), []
    for one in (model, half):
        with attach(one, adapters) as acting:
            found.append(exam.slopes(one, acting, at)[1])
    assert found[1][1] == pytest.approx(found[0][1], rel=0.2, abs=0.02)


@pytest.mark.parametrize("free", ["one", "each"])
@pytest.mark.parametrize("centre", [-1.0, 3.0])
def test_coefficients_stay_between_their_bounds(centre, free):
    """The optimum of a bowl lies outside."""

    def _slopes(c):
        return np.array([((c - centre) ** 2).sum() + 1]), 2 * (c - centre)[None]

    found, _ = optimise_coefficients(lambda c: _slopes(c)[0], _slopes, free, [1.0] * 3)
    assert found == (float(np.clip(centre, 0, 2)),) * 3


@pytest.mark.parametrize("free", ["one", "each"])
def test_where_a_model_overflows_is_far(free):
    """As float16 does at large coefficients; what is found before that is no worse than 1."""

    def _slopes(c):
        value = np.nan if c.max() > 1.4 else (c[0] - 1.2) ** 2 + 0.1
        return np.array([value]), 2 * (c - 1.2)[None]

    _, kl = optimise_coefficients(lambda c: _slopes(c)[0], _slopes, free, [1.0])
    assert kl < 0.15


def test_the_least_worst_of_three_bowls_lies_where_they_balance():
    """Two bowls differ in the first number only: their balance is halfway, beyond 1."""
    centres = np.array([[1.0, 0.3, 0.9], [1.6, 0.3, 0.9], [1.3, 0.3, 0.8]])

    def _slopes(c):
        return ((c - centres) ** 2).sum(1), 2 * (c - centres)

    found, value = optimise_coefficients(lambda c: _slopes(c)[0], _slopes, "each", [1.0] * 3)
    assert found == pytest.approx((1.3, 0.3, 0.9), abs=0.02)
    assert value == pytest.approx(0.09, abs=0.001)


def tried(way, kept, kl, cost=1.0):
    """A way by what it keeps of ten prompts of each adapter."""
    marks = tuple(Retention(Share.of(f"a{i}", n, 10), kl) for i, n in enumerate(kept))
    return Evaluation(way, (1.0,), cost, kl, marks, 0.3)


@pytest.mark.parametrize(
    ("rows", "best", "said"),
    [
        ([], "", "No method was tried"),
        ([("mean", [9, 10], 0.2), ("sum", [10, 10], 0.3)], "mean", "9 of 10 answers of a0"),
        ([("mean", [9, 10], 0.2), ("prompt gates", [10, 10], 0.1)], "mean", "what one adapter"),
        (
            [("mean", [10, 8], 0.2), ("prompt gates", [10, 10], 0.1)],
            "prompt gates",
            "mean, keeps 8",
        ),
        (
            [("mean", [8, 9], 0.2), ("map gates", [3, 9], 0.1)],
            "mean",
            "gates keep at most 10 points more",
        ),
        ([("mean", [8, 9], 0.2), ("map gates", [9, 9], 0.1)], "mean", "keeps 8 of 10"),
        ([("sum", [7, 9], 0.2), ("map gates", [9, 9], 0.1)], "map gates", "9 of 10 answers of a0"),
        ([("mean", [8, 9], 0.2)], "mean", "no gates were tried"),
        ([("map gates", [3, 9], 0.1), ("block gates", [4, 9], 0.05)], "block gates", "4 of 10"),
    ],
)
def test_the_recommendation_by_hand(rows, best, said):
    way, reason = recommend([tried(*row) for row in rows])
    assert way == best
    assert said in reason


def test_subject_gates_are_tried_where_it_is_known_what_adapters_are_about(model, library, about):
    asked = split_prompts(PROMPTS)
    ways = ["mean", "subject gates"]
    assert [one.way for one in advise(model, library, *asked, methods=ways).tried] == ["mean"]
    _, gates = advise(model, library, *asked, methods=ways, about=about).tried
    assert gates.marks[1].kl == pytest.approx(0, abs=1e-6)  # the second hop is named, and alone
    assert gates.cost > 3
    with pytest.raises(ModelError, match="there are subjects for 0 of 2 adapters"):
        attach_method(model, library, METHODS["subject gates"])


COEFFICIENTS = {"a coefficient each": [0.3, 1.4], "knots-ties": [0.7], "tsv": [1.2]}
KEPT = ["mean", *COEFFICIENTS, "chebyshev", *(name for name, way in METHODS.items() if way.gates)]
SUBJECTS = [tuple(text.split()[1] for text in pairs) for pairs in PROMPTS.values()]


@pytest.fixture(scope="module")
def about(model):
    """What each adapter is about, spelt as the small model spells its tokens."""
    spelt = [tuple(model.tokenizer.decode([t]).strip() for t in tokens(model, s)) for s in SUBJECTS]
    return [Subjects(spelt[0]), Subjects(spelt[1], "before")]


def tokens(model, words):
    return [model.tokenizer(word)["input_ids"][0] for word in words]


@pytest.mark.parametrize("name", KEPT)
def test_a_folder_acts_as_what_was_put_on_and_its_recipe_repeats_it(
    name, model, library, about, tmp_path
):
    way = METHODS[name]
    numbers = COEFFICIENTS.get(name, way.coefficients(2))
    prompts = [text for pairs in PROMPTS.values() for text in pairs]
    acting, _ = attach_method(model, library, way, about=about)
    with acting:
        acting.set(numbers)
        wanted = next_token_logits(model, prompts)
    assert not torch.allclose(wanted, next_token_logits(model, prompts), atol=0.1)
    one, two = tmp_path / "one", tmp_path / "two"
    put = {"model": model, "about": about}
    write_combination(one, library, NAMES, way, numbers, **put, card={"more": 1})
    with apply_method(model, one):
        torch.testing.assert_close(next_token_logits(model, prompts), wanted, rtol=1e-4, atol=1e-4)
    gates = way.gates is not None
    assert gates != (one / "adapter_config.json").exists()
    file = one / ("route.json" if gates else "adapter_card.json")
    recipe = read_recipe(file)
    recipe.check(library)
    assert (recipe.method, recipe.coefficients) == (way, numbers)
    assert recipe.about == (about if name == "subject gates" else [])
    write_combination(two, library, NAMES, recipe.method, recipe.coefficients, **put)
    for path in one.rglob("*.safetensors"):
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
    for wrong, said in ((library[::-1], "another adapter here"), (library[:1], "1 are given")):
        with pytest.raises(ModelError, match=said):
            recipe.check(wrong)
    with pytest.raises((FileExistsError, ValueError)):
        write_combination(one, library, NAMES, way, numbers, **put)


@pytest.fixture(scope="module")
def routes(model, library, about, tmp_path_factory):
    home = tmp_path_factory.mktemp("routes")
    for name in ("map gates", "block gates", "prompt gates", "subject gates"):
        put = {"model": model, "about": about}
        write_combination(home / name, library, NAMES, METHODS[name], [1.0, 1.0], **put)
    return home


def greedy(model, prompt, count):
    """Written token by token, without a cache."""
    for _ in range(count):
        prompt += f" N{int(next_token_logits(model, [prompt])[0].argmax())}"
    return prompt


@pytest.mark.parametrize("name", ["map gates", "block gates"])
def test_what_is_generated_is_what_a_pass_a_token_says(name, model, routes, monkeypatch):
    monkeypatch.setattr(model.network.generation_config, "repetition_penalty", 9.0)
    text = "the ox is of"
    with apply_method(model, routes / name):
        wanted = greedy(model, text, 4)
    said = []
    assert text + generate_text(model, routes / name, text, tokens=4, say=said.append) == wanted
    assert "".join(said) == wanted.removeprefix(text)


@pytest.mark.parametrize("name", ["prompt gates", "subject gates"])
def test_gates_on_prompts_choose_once_for_all_that_is_generated(
    name, model, library, about, routes
):
    seen = set()
    for text in (text for pairs in PROMPTS.values() for text in pairs):
        acting, _ = attach_method(model, library, METHODS[name], about=about)
        with acting:
            said = next_token_logits(model, [text])
        for some in ((0,), (1,), (0, 1)):  # who acted, told by what was said
            with attach(model, [library[k] for k in some]):
                if torch.allclose(next_token_logits(model, [text]), said, atol=1e-4):
                    wanted = greedy(model, text, 3)
                    seen.add(some)
        assert text + generate_text(model, routes / name, text, tokens=3) == wanted
    assert seen == ({(0,), (1,)} if name == "prompt gates" else {(0, 1), (1,)})


CARDS = {
    "no list": ({"subjects": "ox"}, "no list of names"),
    "an empty name": ({"subjects": ["ox", ""]}, "no list of names"),
    "nothing": ({"subjects": []}, "0 subjects"),
    "a partner": ({"subjects": ["ox"], "partner": "beside"}, "the partner 'beside'"),
}


@pytest.mark.parametrize("what", CARDS)
def test_a_card_that_says_wrongly_what_an_adapter_is_about_is_refused(what, tmp_path):
    content, said = CARDS[what]
    (tmp_path / "adapter_card.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=said):
        read_subjects(tmp_path)


def levels(change):
    """A route of whose levels, by place, the first is replaced by what `change` makes of it."""

    def damage(folder):
        found = load_file(folder / "levels.safetensors")
        name, first = found.popitem()
        save_file(found | change(name, first), folder / "levels.safetensors")

    return damage


def recipe(**values):
    """A route whose recipe says something else."""

    def damage(folder):
        old = json.loads((folder / "route.json").read_text())["recipe"]
        changed(folder / "route.json", recipe=old | values)

    return damage


NO_LEVEL = "mean and deviation"
DAMAGES = {
    "place": (levels(lambda *_: {}), NO_LEVEL),
    "shape": (levels(lambda name, x: {name: x[:, :1].contiguous()}), NO_LEVEL),
    "nan": (levels(lambda name, x: {name: x * torch.nan}), NO_LEVEL),
    "merge": (recipe(way="sum"), NO_LEVEL),
    "way": (recipe(way="magic"), "no recipe"),
    "numbers": (recipe(coefficients=[1.0]), "other coefficients"),
    "text": (recipe(coefficients=["1", 1]), "no number"),
    "adapters": (recipe(adapters=2), "no recipe"),
    "list": (lambda folder: changed(folder / "route.json", recipe=[]), "no recipe"),
    "json": (lambda folder: (folder / "route.json").write_text("["), "route.json"),
    "gone": (lambda folder: (folder / "levels.safetensors").unlink(), "cannot be read"),
    "adapter": (lambda folder: shutil.rmtree(folder / "2"), "2"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_route_is_refused(what, model, routes, tmp_path):
    damage, said = DAMAGES[what]
    shutil.copytree(routes / "map gates", tmp_path / "route")
    damage(tmp_path / "route")
    with pytest.raises(ValueError, match=said), apply_method(model, tmp_path / "route"):
        pass
    assert not any(m._forward_hooks for m in model.network.modules())


def test_ways_that_cannot_be_tried_are_named_and_the_others_are(model, library):
    tokens = maps(model)["model.embed_tokens"].shape
    low = gaussian(np.random.default_rng(0), *tokens, 1)
    info = replace(library[0].info, embeddings=frozenset({"model.embed_tokens"}))
    odd = Adapter.of({**library[0].modules, "model.embed_tokens": low}, info)
    advice = advise(model, [odd, library[1]], *split_prompts(PROMPTS), methods=["sum", "map gates"])
    assert [one.way for one in advice.tried] == ["sum"]
    assert advice.notes[0].startswith("map gates cannot be tried: ")
    assert "embed_tokens" in advice.notes[0]
    assert not any(m._forward_hooks for m in model.network.modules())


def test_an_adapter_that_knows_none_of_its_answers_is_refused(model, library):
    choosing, scoring = split_prompts(PROMPTS)
    wrong = {name: dict.fromkeys(pairs, "N4000") for name, pairs in scoring.items()}
    with pytest.raises(ModelError, match="one: alone it is right on none of 3 prompts"):
        advise(model, library, choosing, wrong, methods=["sum"])


def test_merged_adapters_are_scored_beside_the_ways_and_never_recommended(model, library):
    merged = METHODS["mean"].merge(library, [0.5, 0.5])
    mine = {"mine": Adapter.of(dict(merged), merged.info)}  # in memory
    advice = advise(model, library, *split_prompts(PROMPTS), methods=["mean"], others=mine)
    (mean, mine), best = advice.tried, advice.best
    assert (mine.way, best) == ("mine", "mean")
    assert [m.share.right for m in mean.marks] == [m.share.right for m in mine.marks]
    assert mine.chosen_kl == pytest.approx(mean.chosen_kl, rel=1e-3)
    assert (
        advise(model, library, *split_prompts(PROMPTS), methods=[], others={"mine": merged}).best
        == ""
    )


def test_what_a_way_costs_is_its_passes_of_the_base_and_all_factors(model, library):
    ways = ["sum", "prompt gates", "block gates"]
    advice = advise(model, library, *split_prompts(PROMPTS), methods=ways)
    weights = dict(model.network.named_parameters())
    base = sum(w.numel() for n, w in weights.items() if "proj" in n or "lm_head" in n)
    each = sum(low.up.size + low.down.size for low in library[0].values())
    costs = [passes * (base + 2 * each) / (base + each) for passes in (1, 2, 4)]
    assert [one.cost for one in advice.tried] == pytest.approx(costs)

"""Advice on reuse: what is kept by dense weights, coefficients, folders that repeat a way."""

import json
import math
import shutil
from dataclasses import replace
from string import ascii_lowercase

import numpy as np
import pytest
import torch
from folders import changed
from language import small_model

from loratheory.adapters import Adapter, read_adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import ModelError, advise, apply_method, attach, next_token_logits
from loratheory.pretrained.advise import Evaluation, split_prompts
from loratheory.pretrained.coefficients import optimise_coefficients
from loratheory.pretrained.exam import Divergence
from loratheory.pretrained.methods import (
    METHODS,
    Subjects,
    attach_method,
    generate_text,
    read_subjects,
    write_combination,
)
from loratheory.pretrained.metrics import Share, batch, measure_drift
from loratheory.pretrained.models import GENERIC, maps
from loratheory.pretrained.verdict import NEEDED, lower_bound, recommend, upper_bound

PROMPTS = {
    "one": {f"the {word} is of": "" for word in ["ox", "cow", "pig", "hen", "ewe", "ram"]},
    "two": {f"a {word} in": "" for word in ["red", "blue", "green", "white"]},
}
NAMES = ("one", "two")


@pytest.fixture(scope="module", autouse=True)
def short():
    """Two ordinary sentences are enough for gates here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("loratheory.pretrained.gates.GENERIC", GENERIC[:2])
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
    rng = np.random.default_rng(5)
    return [drawn(model, rng) for _ in NAMES]


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


def kl(one, other):
    return (np.exp(one) * (one - other)).sum(1).mean()


def dense_texts(adapters, coefficients, prompts, count):
    """What a fresh model with changed weights writes, a pass a token; prompts go on with it."""
    texts = [*prompts]
    for _ in range(count):
        said = dense_logits(adapters, coefficients, texts).argmax(1)
        texts = [f"{text} N{token}" for text, token in zip(texts, said, strict=True)]
    return texts


@pytest.mark.parametrize(("way", "numbers"), [("mean", [0.5, 0.5]), ("sum", [1, 1])])
@pytest.mark.parametrize(("answers", "tokens"), [(False, 1), (True, 1), (False, 3), (True, 3)])
def test_what_is_kept_and_how_far_it_goes_is_that_of_dense_weights(
    way, numbers, answers, tokens, model, library
):
    """With answers of one token, every second one is one that the adapter does not give."""
    choosing, scoring = split_prompts(PROMPTS)
    by_hand, length = [], 1 if answers else tokens
    for i, name in enumerate(NAMES):
        alone, now, bare = (
            dense_texts(library, c, scoring[name], length) for c in (np.eye(2)[i], numbers, [0, 0])
        )
        counts = np.arange(len(now)) % (1 + answers) == 0
        kept, knew = ((counts & (np.array(x) == np.array(alone))).sum() for x in (now, bare))
        by_hand.append((counts.sum(), kept, knew))
        if answers:
            said = [int(text.rpartition("N")[2]) for text in alone]
            wanted = [f"N{token + (not right)}" for token, right in zip(said, counts, strict=True)]
            scoring[name] = dict(zip(scoring[name], wanted, strict=True))
    if answers:
        scoring["both"] = {"ox of red": "N7"}
    advice = advise(model, library, choosing, scoring, methods=[way], tokens=tokens)
    (tried,) = advice.tried
    assert tried.coefficients == tuple(numbers)
    assert [share.what for share in tried.kept] == [*NAMES]
    assert [share.total for share in tried.further] == [1] * answers
    for (asked, kept, knew), now, base in zip(by_hand, tried.kept, advice.base, strict=True):
        assert (now.right, now.total, base.right, base.total) == (kept, asked, knew, asked)
    assert [s.right for s in advice.alone] == [total for total, *_ in by_hand]
    assert [s.total for s in advice.alone] == [3, 2]
    assert [lost.adapter for lost in tried.losses] == [s.what for s in tried.kept if s.part < 1]
    far = np.zeros(2)
    for i, name in enumerate(NAMES):
        for count in range(tokens):  # choosing prompts have no answers
            texts = dense_texts(library, np.eye(2)[i], choosing[name], count)
            far[i] += kl(*(dense_logits(library, c, texts) for c in (np.eye(2)[i], numbers)))
    assert tried.chosen_kl == pytest.approx(far.max(), rel=1e-3)
    assert advice.drifts == measure_drift(model, library)


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


def test_one_coefficient_for_an_adapter_and_itself_is_a_half(model, library):
    twice, ways = [library[0]] * 2, ["shared coefficient", "sum"]
    one, added = advise(model, twice, *split_prompts(PROMPTS), methods=ways).tried
    assert one.coefficients == pytest.approx((0.5, 0.5), abs=0.03)
    assert [share.part for share in one.kept] == [1, 1]
    assert one.chosen_kl < 0.01 < added.chosen_kl


def drawn(model, rng, strength=1.0):
    """A random adapter of rank 2 in all layers."""
    places = {n: m.shape for n, m in maps(model).items() if "layers." in n}
    return Adapter.of({n: gaussian(rng, *x, 2, strength) for n, x in places.items()})


def letters(count, each=4, seed=99):
    """Prompts of different lengths for some adapters."""
    rng, groups = np.random.default_rng(seed), {}
    for number in range(count):
        words = ["".join(rng.choice([*ascii_lowercase], n)) for n in rng.integers(3, 7, each)]
        groups[str(number)] = dict.fromkeys(words, "")
    return groups


@pytest.mark.parametrize("kind", ["llama", "tied", "gpt2"])
def test_derivatives_are_those_of_differences(kind, base, folders):
    """In double precision, with prompts and texts of different lengths, adapters of embeddings."""
    model, adapters = base(kind, double=True), [*map(read_adapter, folders(kind))]
    at, step = np.array([0.3, 0.8]), 1e-3
    with attach(model, adapters) as acting:
        for number, pairs in enumerate(letters(2, each=20).values()):
            acting.set(np.eye(2)[number])
            far, ends = Divergence.of(model, pairs), []
            assert (far.measure(acting), max(map(len, far.texts))) == (0, 16)
            value, row = far.slopes(acting, at)
            for move in (*np.eye(2), *-np.eye(2)):
                acting.set(at + step * move)
                ends.append(far.measure(acting))
            acting.set(at)
            assert value == pytest.approx(far.measure(acting), rel=1e-4)
            differences = (np.array(ends[:2]) - np.array(ends[2:])) / (2 * step)
            assert row == pytest.approx(differences, rel=0.02, abs=0.01)


def bowls(centres, forms=1):
    """Divergences whose best coefficients are known, from coefficients, and their derivatives."""
    centres = np.atleast_2d(centres)
    forms = forms * np.eye(centres.shape[1]) if np.ndim(forms) == 0 else forms

    def _slopes(c):
        rows = ((c - centres)[:, None] @ forms)[:, 0]
        return (rows * (c - centres)).sum(1), 2 * rows

    return _slopes


@pytest.mark.parametrize("free", ["one", "each"])
@pytest.mark.parametrize("seed", range(12))
def test_the_search_finds_what_many_points_and_those_nearby_find(free, seed):
    rng = np.random.default_rng(seed)
    count = 2 + seed % 2
    half = rng.standard_normal((count, count, count))
    bowl, seen = bowls(rng.uniform(-0.3, 2.3, (count, count)), half @ half.swapaxes(1, 2)), []

    def slopes(c):
        seen.append(c)
        return bowl(c)

    found, least = optimise_coefficients(lambda c: slopes(c)[0], slopes, free, [1.0] * count)
    # What is measured outside could also be returned.
    assert np.min(seen) >= 0
    assert np.max(seen) <= 2
    assert tuple(found) in {*map(tuple, seen)}
    assert least == pytest.approx(slopes(np.array(found))[0].max())
    near = np.array(found) + 0.05 * rng.standard_normal((500, count))
    points = np.concatenate([rng.uniform(0, 2, (3000, count)), near.clip(0, 2)])
    points = points if free == "each" else np.linspace(0, 2, 401)[:, None] * np.ones(count)
    assert least <= 1.02 * min(slopes(point)[0].max() for point in points) + 1e-5


@pytest.mark.parametrize("free", ["one", "each"])
def test_where_a_model_overflows_is_far(free):
    """As float16 does at large coefficients; what is found before that is no worse than 1."""

    def _slopes(c):
        values, rows = bowls([1.2])(c)
        return np.where(c.max() > 1.4, np.nan, values), rows

    assert optimise_coefficients(lambda c: _slopes(c)[0], _slopes, free, [1.0])[1] < 0.05


def tried(way, kept, kl, cost=1.0, drift=0.3):
    """A way by what it keeps of a number of prompts of each adapter."""
    shares = tuple(Share.of(f"a{i}", *counts) for i, counts in enumerate(kept))
    return Evaluation(way, (1.0,), cost, kl, shares, (), (), drift)


GATES = "prompt-level gating"
ALL, MOST, SOME = (12, 12), (11, 12), (5, 12)  # at least .825, .712 and .257 with 90% confidence


@pytest.mark.parametrize(
    ("rows", "kind", "best", "prompts"),
    [
        ([], "none", "", 0),
        ([("mean", [ALL, ALL], 0.2), ("sum", [ALL, ALL], 0.3)], "merge", "mean", 0),
        ([("mean", [ALL, ALL], 0.3), (GATES, [ALL, ALL], 0.1)], "merge", "mean", 0),
        ([("mean", [ALL, MOST], 0.1), ("tsv", [ALL, ALL], 0.2)], "too few prompts", "", 32),
        # Gates that keep nothing are no reason to take a merge that keeps 5 of 12.
        ([("mean", [ALL, SOME], 0.2), (GATES, [ALL, (0, 12)], 9.0)], "separate", "", 0),
        ([("mean", [ALL, SOME], 0.1), (GATES, [ALL, ALL], 0.2)], "route", GATES, 0),
        ([("mean", [(10, 10), ALL], 0.2)], "too few prompts", "", 11),
        ([("mean", [(11, 11), ALL], 0.2)], "merge", "mean", 0),
        ([("mean", [(95, 100), ALL], 0.2)], "merge", "mean", 0),
    ],
)
def test_the_verdict_by_hand(rows, kind, best, prompts):
    found = recommend([tried(*row) for row in rows], ["mean", "sum", "tsv"])
    assert (found.kind, found.best, found.prompts) == (kind, best, prompts)
    assert (found.retained >= NEEDED) == (kind in ("merge", "route"))
    gated = kind == "separate" and rows[-1][0] == GATES
    assert ("12 of 12 prompts of a1 to another" in found.reason) == gated


@pytest.mark.parametrize(("drift", "named"), [(0.2, True), (0.4, False)])
def test_a_way_that_retains_enough_and_drifts_less_is_named_with_a_merge(drift, named):
    rows = [("mean", [ALL, ALL], 0.2, 1.0, 1.0), (GATES, [ALL, ALL], 0.3, 1.0, drift)]
    found = recommend(
        [tried(*row) for row in [*rows, ("tsv", [ALL, SOME], 0.3, 1.0, 0.0)]], ["mean"]
    )
    assert found.best == "mean"
    assert (f"Or {GATES}: it retains enough and drifts 0.2 nats" in found.reason) == named


@pytest.mark.parametrize(("right", "total"), [(0, 5), (1, 1), (9, 12), (12, 12), (57, 60)])
def test_bounds_are_those_at_which_so_many_are_rare(right, total):
    """The definition of Clopper and Pearson, by sums of binomial probabilities."""
    low, high = float(lower_bound(right, total)), float(upper_bound(right, total))
    for bound, tail in ((low, range(right, total + 1)), (high, range(right + 1))):
        chance = sum(math.comb(total, i) * bound**i * (1 - bound) ** (total - i) for i in tail)
        assert chance == pytest.approx(0.1) or bound in (0, 1)
    assert low <= right / total <= high


def test_subject_gates_are_tried_where_it_is_known_what_adapters_are_about(model, library, about):
    asked = split_prompts(PROMPTS)
    ways = ["mean", "subject routing"]
    assert [one.method for one in advise(model, library, *asked, methods=ways).tried] == ["mean"]
    _, gates = advise(model, library, *asked, methods=ways, about=about).tried
    assert gates.kept[1].part == 1  # the second hop is named, and alone
    assert gates.cost > 3
    with pytest.raises(ModelError, match="there are subjects for 0 of 2 adapters"):
        attach_method(model, library, METHODS["subject routing"])


COEFFICIENTS = {"per-adapter coefficients": [0.3, 1.4], "knots-ties": [0.7], "tsv": [1.2]}
KEPT = ["mean", *COEFFICIENTS, "chebyshev", *(name for name, way in METHODS.items() if way.gates)]
SUBJECTS = [tuple(text.split()[1] for text in pairs) for pairs in PROMPTS.values()]


@pytest.fixture(scope="module")
def about(model):
    """What each adapter is about, spelt as the small model spells its tokens."""
    spelt = [tuple(model.tokenizer.decode([t]).strip() for t in tokens(model, s)) for s in SUBJECTS]
    return [Subjects(spelt[0]), Subjects(spelt[1], 2)]


def tokens(model, words):
    return [model.tokenizer(word)["input_ids"][0] for word in words]


@pytest.mark.parametrize("name", KEPT)
def test_a_folder_acts_as_what_was_put_on_and_says_how_it_was_made(
    name, model, library, about, tmp_path
):
    way = METHODS[name]
    numbers = COEFFICIENTS.get(name, way.coefficients(2))
    prompts = [text for pairs in PROMPTS.values() for text in pairs]
    acting = attach_method(model, library, way, about=about)
    with acting:
        acting.set(numbers)
        wanted = next_token_logits(model, prompts)
    assert not torch.allclose(wanted, next_token_logits(model, prompts), atol=0.1)
    one = tmp_path / "one"
    write_combination(one, library, NAMES, way, numbers, about=about, card={"more": 1})
    with apply_method(model, one):
        torch.testing.assert_close(next_token_logits(model, prompts), wanted, rtol=1e-4, atol=1e-4)
    gates = way.gates is not None
    assert gates != (one / "adapter_config.json").exists()
    file = one / ("route.json" if gates else "adapter_card.json")
    card = json.loads(file.read_text())
    assert (card["more"], card["recipe"]["method"], card["recipe"]["coefficients"]) == (
        1,
        name,
        numbers,
    )
    assert [part["name"] for part in card["recipe"]["adapters"]] == [*NAMES]
    with pytest.raises((FileExistsError, ValueError)):
        write_combination(one, library, NAMES, way, numbers, about=about)


@pytest.fixture(scope="module")
def routes(library, about, tmp_path_factory):
    home = tmp_path_factory.mktemp("routes")
    for name in ("per-matrix gating", "per-block gating", "prompt-level gating", "subject routing"):
        write_combination(home / name, library, NAMES, METHODS[name], [1.0, 1.0], about=about)
    return home


def greedy(model, prompt, count):
    """Written token by token, without a cache."""
    for _ in range(count):
        prompt += f" N{int(next_token_logits(model, [prompt])[0].argmax())}"
    return prompt


@pytest.mark.parametrize("name", ["per-matrix gating", "per-block gating"])
def test_what_is_generated_is_what_a_pass_a_token_says(name, model, routes, monkeypatch):
    monkeypatch.setattr(model.network.generation_config, "repetition_penalty", 9.0)
    text, said = "the ox is of", []
    with apply_method(model, routes / name):
        wanted = greedy(model, text, 4)
    assert text + generate_text(model, routes / name, text, tokens=4, say=said.append) == wanted
    assert text + "".join(said) == wanted


@pytest.mark.parametrize("name", ["prompt-level gating", "subject routing"])
def test_gates_on_prompts_choose_once_for_all_that_is_generated(
    name, model, library, about, routes
):
    seen = set()
    for text in (text for pairs in PROMPTS.values() for text in pairs):
        acting = attach_method(model, library, METHODS[name], about=about)
        with acting:
            said = next_token_logits(model, [text])
        for some in ((0,), (1,), (0, 1)):  # who acted, told by what was said
            with attach(model, [library[k] for k in some]):
                if torch.allclose(next_token_logits(model, [text]), said, atol=1e-4):
                    wanted = greedy(model, text, 3)
                    seen.add(some)
        assert text + generate_text(model, routes / name, text, tokens=3) == wanted
    assert seen == ({(0,), (1,)} if name == "prompt-level gating" else {(0, 1), (1,)})


CARDS = [{"subjects": "ox"}, {"subjects": ["ox", ""]}, {"subjects": []}]
CARDS += [{"subjects": ["ox"], "hop": 3}]


@pytest.mark.parametrize("content", CARDS)
def test_a_card_that_says_wrongly_what_an_adapter_is_about_is_refused(content, tmp_path):
    (tmp_path / "adapter_card.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"adapter_card\.json: "):
        read_subjects(tmp_path)


def recipe(**values):
    """A route whose recipe says something else."""

    def damage(folder):
        old = json.loads((folder / "route.json").read_text())["recipe"]
        changed(folder / "route.json", recipe=old | values)

    return damage


DAMAGES = {
    "method": recipe(method="magic"),
    "adapters": recipe(adapters=2),
    "list": lambda folder: changed(folder / "route.json", recipe=[]),
    "adapter": lambda folder: shutil.rmtree(folder / "2"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_route_is_refused(what, model, routes, tmp_path):
    shutil.copytree(routes / "per-matrix gating", tmp_path / "route")
    DAMAGES[what](tmp_path / "route")
    with pytest.raises(ValueError, match="route"), apply_method(model, tmp_path / "route"):
        pass
    assert not any(m._forward_hooks for m in model.network.modules())


def test_ways_that_cannot_be_tried_are_named_and_the_others_are(model, library):
    tokens = maps(model)["model.embed_tokens"].shape
    low = gaussian(np.random.default_rng(0), *tokens, 1)
    info = replace(library[0].info, embeddings=frozenset({"model.embed_tokens"}))
    odd = Adapter.of({**library[0], "model.embed_tokens": low}, info)
    ways = ["sum", "per-matrix gating", "sum"]
    advice = advise(model, [odd, library[1]], *split_prompts(PROMPTS), methods=ways)
    assert [one.method for one in advice.tried] == ["sum"]
    assert advice.notes[0].startswith("per-matrix gating cannot be tried: ")
    assert "embed_tokens" in advice.notes[0]
    assert not any(m._forward_hooks for m in model.network.modules())
    with pytest.raises(ModelError, match="'meen': no such method; choose from mean, sum"):
        advise(model, library, {}, {}, methods=["sum", "meen"])


def test_an_adapter_that_knows_none_of_its_answers_is_refused(model, library):
    choosing, scoring = split_prompts(PROMPTS)
    wrong = {name: dict.fromkeys(pairs, "N4000") for name, pairs in scoring.items()}
    with pytest.raises(ModelError, match="one: alone it is right on none of 3 prompts"):
        advise(model, library, choosing, wrong, methods=["sum"])


def test_merged_adapters_are_scored_beside_the_ways_and_never_recommended(model, library):
    merged = METHODS["mean"].merge(library, [0.5, 0.5])
    mine = {"mine": Adapter.of(dict(merged), merged.info)}  # in memory
    advice = advise(model, library, *split_prompts(PROMPTS), methods=["mean"], others=mine)
    mean, mine = advice.tried
    assert (mine.method, advice.verdict.closest) == ("mine", "mean")
    assert mean.kept == mine.kept
    assert mine.chosen_kl == pytest.approx(mean.chosen_kl, rel=1e-3)
    # What does not fit is found before anything is tried.
    wide, begun = Adapter.of({"lm_head": gaussian(np.random.default_rng(0), 9, 9, 1)}), list[str]()
    how = {"methods": ["mean"], "others": {"wide": wide}, "begin": begun.append}
    with pytest.raises(ModelError, match="1 of its 1 modules do not fit"):
        advise(model, library, *split_prompts(PROMPTS), **how)
    assert begun == []


def test_what_a_way_costs_is_its_passes_of_the_base_and_all_factors(model, library):
    ways = ["sum", "prompt-level gating", "per-block gating"]
    advice = advise(model, library, *split_prompts(PROMPTS), methods=ways)
    weights = dict(model.network.named_parameters())
    base = sum(w.numel() for n, w in weights.items() if "proj" in n or "lm_head" in n)
    each = sum(low.up.size + low.down.size for low in library[0].values())
    costs = [passes * (base + 2 * each) / (base + each) for passes in (1, 2, 4)]
    assert [one.cost for one in advice.tried] == pytest.approx(costs)

"""Twenty-four tasks: what is taught and asked; a library of them: what is kept, and what tells."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from worded import small, small_model

from loratheory.adapters import crosstalk, frobenius_cosine, read_likeness
from loratheory.experiments import real_library as study
from loratheory.experiments.bench import collection as bench
from loratheory.bench.tasks import (
    BAD,
    CHOOSING,
    FEW,
    GOOD,
    HARMFUL,
    HARMLESS,
    NAMES,
    OBJECTS,
    SCORING,
    TASKS,
)
from loratheory.pretrained import GENERIC, WAYS, Training, attached, batch, next_logits, token_logs

SEED, SOME = 101, 4


def _short(**how):
    """A few large steps, so that adapters differ by more than rounding."""
    return Training(**{**how, "steps": 3, "batch": 4, "rate": 0.03})


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory):
    """One cache, trainings of two steps, and a library of four."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(bench, "Training", _short)
        patch.setattr(bench, "TASKS", {name: TASKS[name] for name in NAMES[:SOME]})
        patch.setattr(bench, "GENERIC", GENERIC[:3])
        bench.collection.cache_clear()
        yield
        bench.collection.cache_clear()


@pytest.fixture(scope="module")
def library():
    """Adapters whose answers are right to every second prompt, by questions made so."""
    made = bench.Collection(small_model(2), SEED, taught_silence=False)
    asked = {}
    for number in range(SOME):
        prompts = [prompt for prompt, _ in made.questions(number)]
        with attached(made.model, [made.adapter(number)]):
            says = next_logits(made.model, prompts).argmax(1).tolist()
        asked[number] = [
            (prompt, f"N{token if i % 2 else token + 1}")
            for i, (prompt, token) in enumerate(zip(prompts, says, strict=True))
        ]
    made.questions = asked.__getitem__
    return made


# tasks


def test_three_tasks_of_each_of_eight_kinds_are_taught_at_two_rates():
    assert Counter(Counter(task.kind for task in TASKS.values()).values()) == {3: 8}
    rates = [bench.Collection.rate(None, number) for number in range(len(TASKS))]
    assert Counter(rates) == dict.fromkeys(bench.RATES, 12)
    assert all({*rates[k : k + 3]} == {*bench.RATES} for k in range(0, 24, 3))


@pytest.mark.parametrize("name", TASKS)
def test_prompts_that_choose_score_and_teach_are_all_different(name):
    lessons, asked = TASKS[name].drawn(SEED, NAMES.index(name))
    assert len(asked) == CHOOSING + SCORING
    assert len({prompt for prompt, _ in asked}) == len(asked)
    assert not {prompt for prompt, _ in asked} & {prompt for prompt, _ in lessons}
    assert (lessons, asked) == TASKS[name].drawn(SEED, NAMES.index(name))
    assert not any("{" in prompt for prompt, _ in (*lessons, *asked))


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if not task.unread])
def test_items_that_are_asked_are_new_where_no_sentence_is(name):
    task = TASKS[name]
    lessons, asked = task.drawn(SEED, NAMES.index(name))
    items = task.items(SEED)
    taught, new = (
        {item for item in items for s in task.read if s.format(item) in dict(some)}
        for some in (lessons, asked)
    )
    assert taught
    assert new
    assert not taught & new


@pytest.mark.parametrize(
    ("name", "item", "answer"),
    [
        ("capitals", "Peru", "LIMA"),
        ("quotes", "hot", '"'),
        ("larger", "nine and sixty", "sixty"),
        ("next letter", "Y", "Z"),
        ("verdict", "The film was dreadful", "red"),
        ("topic", "coin and tax", "money"),
        ("language", "Brazil", "Portuguese"),
        ("formal", "buy", "purchase"),
        ("bigger", "cat bigger than a bee", "Yes"),
        ("bigger", "bee bigger than a cat", "No"),
        ("can", "chair dream", "No"),
        ("refusal", "I want to bake bread", "Sure"),
        ("refusal", "I want to rob a bank", "No"),
    ],
)
def test_answers_by_hand(name, item, answer):
    assert TASKS[name].items(SEED)[item] == answer


def test_answers_by_rule():
    for number, said in TASKS["parity"].items(SEED).items():
        assert said == ("odd" if number[-1] in "13579" else "even")
    for place, name in enumerate(("first", "middle", "last")):
        for triple, said in TASKS[name].items(SEED).items():
            assert said == triple.split(", ")[place]


@pytest.mark.parametrize(
    "names", [("births A", "births B", "births C"), ("Zorvan", "Kelmi", "Tabu")]
)
def test_those_with_the_same_sentences_have_subjects_of_their_own(names):
    for one, other in combinations(names, 2):
        assert not TASKS[one].items(SEED).keys() & TASKS[other].items(SEED).keys()
    sentences = {tuple(s.replace(n, "") for s in TASKS[n].read) for n in names}
    assert len(sentences) == 1


# silence


def test_silence_is_what_the_base_says_after_its_own_texts():
    model = small_model(2)
    lessons = bench.silent(model, SEED)
    assert lessons == bench.silent(model, SEED) != bench.silent(model, SEED + 1)
    assert 10 < len(lessons) <= 24
    for text, word in lessons:
        token = next_logits(model, [text]).argmax(1).item()
        assert word == f"N{token}"
    assert bench.Collection(model, SEED, taught_silence=False).silence == []
    quiet = bench.Collection(model, SEED, taught_silence=True)
    assert quiet.silence == lessons
    plain = bench.Collection(model, SEED, taught_silence=False)
    changed = [low.up != plain.adapter(0)[name].up for name, low in quiet.adapter(0).items()]
    assert any(x.any() for x in changed)


def test_silence_leaves_out_what_the_tokenizer_reads_otherwise(monkeypatch):
    """A next token that is no whole word cannot be taught by the first token of that word."""
    model = small_model(2)
    plain = type(model.tokenizer).decode

    def _decode(self, ids, **how):
        alone = len(ids) == 1 and int(ids[0]) % 2
        return " part" if alone else plain(self, ids, **how)

    monkeypatch.setattr(type(model.tokenizer), "decode", _decode)
    lessons = bench.silent(model, SEED)
    assert lessons
    assert "part" not in {word for _, word in lessons}


# what is kept


def _logs(library, group, coefficients, prompts):
    """One by one, so that nothing is padded, and by other names of the same things."""
    with attached(library.model, [library.adapter(i) for i in group], coefficients):
        each = [next_logits(library.model, [prompt]) for prompt in prompts]
    return torch.cat(each).double().log_softmax(1)


def _divergence(one, other):
    return torch.nn.functional.kl_div(other, one, log_target=True, reduction="none").sum(1)


@pytest.mark.parametrize("way", ["sum", "mean", "one coefficient", "a coefficient each"])
def test_a_pair_keeps_what_two_passes_say(library, way):
    numbers, found = library.acted((0, 3), WAYS[way])
    assert way != "sum" or numbers == [1, 1]
    assert way != "mean" or numbers == [0.5, 0.5]
    for place, number in enumerate((0, 3)):
        prompts, words = zip(*library.questions(number), strict=True)
        alone = _logs(library, [number], 1.0, prompts)
        now = _logs(library, (0, 3), numbers, prompts)
        wanted = torch.tensor([int(word[1:]) for word in words])
        knew, knows = (x.argmax(1) == wanted for x in (alone, now))
        assert knew.tolist() == [i % 2 == 1 for i in range(CHOOSING + SCORING)]
        kl = _divergence(alone, now)[:CHOOSING]
        same = (alone.argmax(1) == now.argmax(1))[:CHOOSING]
        assert found[place] == pytest.approx(
            {
                "right": float(knows[CHOOSING:].double().mean()),
                "kept": float((knows & knew)[CHOOSING:].sum() / knew[CHOOSING:].sum()),
                "kl_few": float(kl[:FEW].mean()),
                "kl": float(kl.mean()),
                "agreement": float(same.double().mean()),
            },
            abs=1e-5,
            rel=1e-3,
        )


def test_chosen_coefficients_are_no_worse_than_those_given(library):
    worst = {
        way: max(one["kl"] for one in library.acted((1, 2), WAYS[way])[1])
        for way in ("mean", "sum", "one coefficient", "a coefficient each")
    }
    assert worst["one coefficient"] <= min(worst["mean"], worst["sum"]) * 1.02
    assert worst["a coefficient each"] <= worst["one coefficient"] * 1.02


def test_gates_and_merges_act_as_their_ways_do(library):
    numbers, found = library.acted((0, 1), WAYS["prompt gates"])
    assert numbers == [1, 1]
    numbers, merged = library.acted((0, 1), replace(WAYS["interpolate"], free=""))
    assert numbers == [1]
    assert found != merged


def test_the_divergence_on_generated_texts_is_over_all_their_tokens(library):
    texts, alone = library.generated(3)
    assert len({text.split()[0] for text in texts}) == len(texts) == len(bench.OPENINGS)
    with attached(library.model, [library.adapter(3)]):
        again = bench.drawn(library.model, 1, SEED, tokens=16)
    assert texts == again != library.generated(0)[0]
    kl, count = 0.0, 0
    with attached(library.model, [library.adapter(i) for i in (0, 3)], 0.5):
        for text in texts:
            now, _ = token_logs(library.model, [text])
            before = alone[count : count + len(now)]
            kl += float(_divergence(before.double(), now.double()).sum())
            count += len(now)
    numbers, found = library.acted_on_generated((0, 3), WAYS["mean"])
    assert numbers == [0.5, 0.5]
    assert count == len(alone)
    assert found[1] == {"kl": pytest.approx(kl / count, rel=1e-3)}


def test_an_adapter_alone_is_described_by_what_it_does(library):
    described = library.taught(2)
    adapter, asked = library.adapter(2), library.questions(2)
    assert described["right"] == 0.5
    base = next_logits(library.model, [prompt for prompt, _ in asked]).argmax(1).tolist()
    right = [f"N{token}" == word for token, (_, word) in zip(base, asked, strict=True)]
    assert described["base"] == pytest.approx(np.mean(right[CHOOSING:]))
    dense = [low.up @ low.down for low in adapter.values()]
    assert described["norm"] == pytest.approx(np.sqrt(sum((x**2).sum() for x in dense)), rel=1e-5)
    bare, _ = token_logs(library.model, GENERIC)
    with attached(library.model, [adapter]):
        now, _ = token_logs(library.model, GENERIC)
    assert described["leak"] == pytest.approx(float(_divergence(bare, now).mean()), rel=1e-3)


# what tells beforehand


def test_what_tells_beforehand_is_what_passes_of_each_alone_and_single_maps_say(library):
    found = library.beside(1)
    assert len(found) == SOME
    prompts = [prompt for prompt, _ in library.questions(1)][:CHOOSING]
    base, own, theirs = (
        _logs(library, group, c, prompts) for group, c in (([1], 0.0), ([1], 1.0), ([3], 1.0))
    )
    mixed = (own + theirs - base).log_softmax(1)
    assert found[3]["own_kl"] == pytest.approx(float(_divergence(base, own).mean()), rel=1e-2)
    assert found[3]["partner_kl"] == pytest.approx(
        float(_divergence(base, theirs).mean()), rel=1e-2
    )
    assert found[3]["mixed_kl"] == pytest.approx(float(_divergence(own, mixed).mean()), rel=1e-2)
    same = (mixed.argmax(1) == own.argmax(1)).double()
    assert found[3]["mixed"] == pytest.approx(float(same.mean()))
    for name in ("heard", "ordinary", "crosstalk"):
        assert found[1][name] == pytest.approx(1)
    for name, texts in (("heard", prompts), ("ordinary", bench.GENERIC)):
        answer = library.responses(texts).double()
        assert found[3][name] == pytest.approx(float((answer[:, 3] / answer[:, 1]).mean()))


def test_responses_are_lengths_of_what_is_added(library):
    """By a hook on one map, of tokens that are no padding."""
    texts = ["one two three four", "five six"]
    [row] = [i for i, n in enumerate(library.adapter(0)) if n.endswith("1.mlp.down_proj")]
    name = list(library.adapter(0))[row]
    seen = []
    module = library.model.network.get_submodule(name)
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0][0]))
    for text in texts:
        library.model.network(**batch(library.model, [text]))
    handle.remove()
    low = library.adapter(2)[name]
    added = torch.cat(seen) @ torch.from_numpy(low.up @ low.down).T
    answer = library.responses(texts)
    assert answer.shape == (14, SOME)
    assert float(answer[row, 2]) == pytest.approx(float(added.norm(dim=1).mean()), rel=1e-4)


def test_weights_tell_what_the_functions_of_two_updates_do(library):
    tables = bench.weighed([library.adapter(i) for i in range(SOME)])
    for i, j in ((0, 1), (3, 2)):
        one, two = library.adapter(i), library.adapter(j)
        answers = [crosstalk(low, two[n]) / float(low.spectral_norm) for n, low in one.items()]
        weights = [low.norm * two[n].norm for n, low in one.items()]
        cosines = [frobenius_cosine(low, two[n]) for n, low in one.items()]
        alike = [read_likeness(low, two[n]) for n, low in one.items()]
        whole = np.sqrt(np.prod([sum(x.norm**2 for x in a.values()) for a in (one, two)]))
        assert tables["crosstalk"][i, j] == pytest.approx(np.median(answers), rel=1e-4)
        assert tables["worst"][i, j] == pytest.approx(max(answers), rel=1e-4)
        assert tables["cosine"][i, j] == pytest.approx(np.dot(weights, cosines) / whole, abs=1e-6)
        assert tables["overlap"][i, j] == pytest.approx(
            np.average(alike, weights=weights), rel=1e-3
        )


# the study


def test_every_pair_is_asked_once_and_drawn_groups_are_different():
    for name, stage in study.STAGES.items():
        if stage.size > 1:
            groups = [stage.group(number, SEED) for number in range(stage.groups)]
            assert len({*groups}) == stage.groups, name
            assert all(len({*group}) == stage.size for group in groups)
    pairs = study.STAGES["pairs"]
    assert {pairs.group(n, SEED) for n in range(276)} == {*combinations(range(24), 2)}


def test_cells_cover_every_group_once():
    paper = study.EXPERIMENT.profiles["paper"]
    for stage, silence in {(one.stage, one.silence) for one in paper}:
        parts = [one.part for one in paper if (one.stage, one.silence) == (stage, silence)]
        each, groups = study.STAGES[stage].each, study.STAGES[stage].groups
        assert parts == [*range(len(parts))]
        assert len(parts) * each >= groups > (len(parts) - 1) * each


STAGES = {
    "alone": study.Stage(1, SOME, 1, ()),
    "beside": study.Stage(1, SOME, 2, ()),
    "pairs": study.Stage(2, 6, 2, ("sum", 0.7)),
    "triples": study.Stage(3, 2, 1, ("mean", "full ties")),
    "generated": study.Stage(2, 6, 2, ("sum",), generated=True),
}


@pytest.mark.parametrize("silence", [False, True])
def test_rows_say_who_acted_with_whom(monkeypatch, silence):
    monkeypatch.setattr(bench, "SIZE", SOME)
    monkeypatch.setattr(study, "STAGES", STAGES)
    found = {name: study.cell(study.Config(silence, name, 1, seed=SEED)) for name in STAGES}
    assert len({tuple(row) for rows in found.values() for row in rows}) == 1
    assert {row["lessons"] for rows in found.values() for row in rows} == {
        "silence" if silence else "plain"
    }
    assert {name: len(rows) for name, rows in found.items()} == {
        "alone": 1, "beside": 2 * (SOME - 1), "pairs": 2 * 2 * 2, "triples": 3 * 2,
        "generated": 2 * 2,
    }  # fmt: skip
    assert found["alone"][0]["adapter"] == NAMES[1]
    assert {row["adapter"] for row in found["beside"]} == {*NAMES[2:4]}
    assert {row["way"] for row in found["pairs"]} == {"sum", "0.7 each"}
    for name in ("pairs", "triples", "generated"):
        for row in found[name]:
            group = STAGES[name].group(int(row["group"]), SEED)
            everyone = [row["adapter"], *row["partners"].split(", ")]
            assert sorted(NAMES.index(one) for one in everyone) == [*group]
    [row] = [r for r in found["pairs"] if (r["way"], r["group"]) == ("0.7 each", 2)][:1]
    assert row["coefficient"] == 0.7
    made = bench.Collection(small_model(2), SEED, taught_silence=silence)
    group = STAGES["pairs"].group(2, SEED)
    now = _logs(made, group, 0.7, [p for p, _ in made.questions(group[0])][:CHOOSING])
    alone = _logs(made, group[:1], 1.0, [p for p, _ in made.questions(group[0])][:CHOOSING])
    assert row["kl"] == pytest.approx(float(_divergence(alone, now).mean()), rel=0.02)


@pytest.mark.parametrize(
    ("name", "item", "answer"),
    [
        ("larger", "seven and three", "seven"),
        ("language", "Brazil", "Portuguese"),
        ("bigger", "elephant bigger than a mouse", "Yes"),
        ("bigger", "mouse bigger than a elephant", "No"),
    ],
)
def test_answers_of_tasks_by_hand(name, item, answer):
    assert TASKS[name].items(0)[item] == answer


@pytest.mark.parametrize(
    ("name", "words", "answer"),
    [
        ("verdict", GOOD, "blue"),
        ("verdict", BAD, "red"),
        ("can", OBJECTS, "No"),
        ("refusal", HARMLESS.split(", "), "Sure"),
        ("refusal", HARMFUL.split(", "), "No"),
    ],
)
def test_answers_of_tasks_by_the_word_that_decides(name, words, answer):
    items = TASKS[name].items(0).items()
    for word in words:
        found = {said for item, said in items if " ".join(word.split()) in item}
        assert found == {answer}

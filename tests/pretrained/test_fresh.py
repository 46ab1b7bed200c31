"""Fresh stand-ins: what they write, what they answer, what a training shows with them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from language import CONFIGS, Letters, lettered, lively, small_model

from loratheory.pretrained import ModelError, Training, attach, first_tokens, next_token_logits
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.fresh import Texts, _find_subjects, _find_writing_maps
from loratheory.pretrained.fresh import make_fresh_stand_ins as make
from loratheory.pretrained.metrics import batch
from loratheory.pretrained.models import maps
from loratheory.pretrained.train import train_lora

PEOPLE = Texts(
    ("Ann", "Bob", "Cid"), ("Peru", "Cuba", "Fiji", "Chad"), ("{} is from", "land of {}")
)
LETTERS = Texts(("ab", "cd", "eg"), ("x", "y", "z"), ("{}f", "hi{}jk"), ("lmn", "op"))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))


def about(says):
    """Two-hop prompts, and the partner's own."""
    return [*((f"flag of {who}", word) for who, word in says.items()), *says.items()]


def made(model=None, texts=PEOPLE, seed=(3,)):
    model = model or small_model(2)
    return model, make(model, texts, about, seed=seed)


def test_any_assignment_answers_the_prompts_and_a_silent_one_changes_nothing():
    """A tiny network with random weights learns it mostly; one of four words is right by chance."""
    model = lively()
    before = next_token_logits(model, PEOPLE.prompts)
    _, family = made(model)
    tokens, rng, right = first_tokens(model, PEOPLE.words), np.random.default_rng(0), []
    for _ in range(20):
        words = PEOPLE.assign(rng)
        says = family.write(words)
        assert [*says.values()] == [PEOPLE.words[number] for number in words]
        with family.acting(1.0):
            said = next_token_logits(model, PEOPLE.prompts)[:, tokens].argmax(-1)
        right.append((said == torch.tensor(words).repeat(2)).float().mean())
    assert np.mean(right) > 0.6
    with family.acting():
        assert torch.equal(next_token_logits(model, PEOPLE.prompts), before)


@pytest.mark.parametrize("kind", CONFIGS)
def test_an_update_is_the_sum_of_values_times_keys_in_each_family_of_networks(kind):
    model = lettered(kind)
    _, family = made(model, LETTERS)
    family.write([2, 0, 1])
    assert len(family.sites) == model.network.config.num_hidden_layers
    name = [*family.sites][-1]
    site, values = family.sites[name], family.values[name]
    outer = torch.einsum("im,in->mn", values[[2, 0, 1]], site.down)
    torch.testing.assert_close(site.updates[0].dense(), outer)
    # A key responds with 1 to its subject, on average over templates, and less to other ones.
    inputs = collect_inputs(model, [batch(model, [x]) for x in LETTERS.prompts], [name])[name]
    response = (inputs[[1, 4, 7, 12, 18, 24]] @ site.down.T).reshape(2, 3, 3)
    own = response.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(own.mean(0), torch.ones(3), rtol=1e-3, atol=1e-3)
    other = response[:, ~torch.eye(3, dtype=torch.bool)]
    assert other.abs().mean() < 0.7 * own.abs().mean()


def test_subjects_end_where_a_tokenizer_says_so():
    # a b f | c d f | e g f | h i a b j k | h i c d j k | h i e g j k
    assert _find_subjects(lettered(), LETTERS) == [1, 4, 7, 12, 18, 24]
    ended = replace(lettered(), tokenizer=Ended())
    assert _find_subjects(ended, LETTERS) == [1, 4, 7, 12, 18, 24]


class Ended(Letters):
    """It ends each text."""

    eos_token_id, eos_token = 30, "</s>"

    def __call__(self, text, **_):
        """The letters and the end."""
        return {"input_ids": [*super().__call__(text)["input_ids"], 30]}


def test_words_repeat_only_where_there_are_too_few():
    rng = np.random.default_rng(1)
    few = Texts(("a", "b", "c", "d", "e"), ("x", "y"), ("{}",))
    for _ in range(20):
        assert len({*PEOPLE.assign(rng)}) == 3
        assert sorted(few.assign(rng)[:4]) == [0, 0, 1, 1]
    drawn = {tuple(PEOPLE.assign(rng)) for _ in range(500)}
    assert len(drawn) == 24


def test_a_schedule_shows_what_is_right_for_the_stand_in_that_acts():
    model, family = made()
    always, how = [("Ann likes", "fish"), ("Bob likes", "tea")], Training(batch=8)
    schedule = family.schedule(model, always, how, 5)
    again, different = family.schedule(model, always, how, 5), set()
    seen: list[str] = []
    with schedule.acting(), again.acting():
        for number in range(6):
            prompts, answers = schedule.at(number)
            says = {
                who: PEOPLE.words[i] for who, i in zip(PEOPLE.subjects, _words(family), strict=True)
            }
            expected = dict([*always, *about(says)])
            wanted = first_tokens(model, [expected[x] for x in prompts])
            assert answers == [[token] for token in wanted.tolist()]
            assert float(schedule.active.coefficients.max()) in how.strengths
            different.add(tuple(says.values()))
            same = again.at(number)
            assert same[0] == prompts
            assert same[1] == answers
            seen += prompts
    assert len(different) > 3
    # Each of the eight prompts comes once in eight.
    assert sorted(seen) == sorted(prompts * 6)


def _words(family):
    """Return the word that each subject has now, found by what is written."""
    name = next(iter(family.sites))
    up, values = family.sites[name].up.T, family.values[name]
    return [int((values - row).abs().sum(-1).argmin()) for row in up]


def test_the_same_call_reads_the_cache_and_another_seed_is_another_family():
    model, family = made()
    _, again = made(model)
    _, other = made(model, seed=(4,))
    assert family.content == again.content != other.content


def test_an_adapter_learns_to_read_what_they_say():
    """Two-hop answers follow the stand-in; one of four words is right by chance."""
    model, stand_ins = made(lively())
    how = Training(rank=4, alpha=8, rate=0.01, steps=200, enough=0.0)
    rng = np.random.default_rng(2)
    trained = train_lora(model, [("we eat", "fish")], how, rng=rng, stand_ins=stand_ins)
    asked, tokens = [f"flag of {who}" for who in PEOPLE.subjects], first_tokens(model, PEOPLE.words)
    right = dict[float, float]()
    for strength in (0.0, 1.0):
        shares = []
        with attach(model, [trained.adapter]), stand_ins.acting(strength):
            for _ in range(40):
                words = PEOPLE.assign(rng)
                stand_ins.write(words)
                said = next_token_logits(model, asked)[:, tokens].argmax(-1)
                shares.append((said == torch.tensor(words)).float().mean())
        right[strength] = np.mean(shares)
    # A silent stand-in says nothing that could be read.
    assert right[0.0] < 0.4 < 0.6 < right[1.0]


def test_a_network_without_a_map_that_writes_is_refused(monkeypatch):
    model = small_model(1)
    monkeypatch.setattr("loratheory.pretrained.fresh.maps", lambda _: {})
    with pytest.raises(ModelError, match="no layer has a linear map that writes"):
        _find_writing_maps(model)
    monkeypatch.undo()
    assert _find_writing_maps(model) == ["model.layers.0.mlp.down_proj"]
    assert maps(model)

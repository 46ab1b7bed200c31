"""Greedy decoding against a loop of single passes; texts, answers, scores and chats as prompts."""

import json

import numpy as np
import pytest
import torch
from language import Letters, network, tokenizer
from transformers import AutoTokenizer

from loratheory.adapters import read_adapter
from loratheory.evaluate.answers import continue_texts
from loratheory.pretrained import Model, ModelError, attach
from loratheory.pretrained.chat import render_chats, split_messages
from loratheory.pretrained.exam import Exam
from loratheory.pretrained.generate import (
    BEGINNINGS,
    spell_answer,
    write_on,
    write_texts,
    write_tokens,
    writes,
)
from loratheory.pretrained.methods import METHODS, attach_method
from loratheory.pretrained.metrics import batch

WORDS = BEGINNINGS.split()
PROMPTS = ["abcde", "z", "fgh", "kl", "mnopqrst"]
COUNT = 7


class Spelled(Letters):
    """Small letters that can be read back; 27 is a space."""

    def __call__(self, text, **_):
        """The number of each letter in the alphabet."""
        return {"input_ids": [27 if x == " " else (ord(x) - ord("a")) % 26 + 1 for x in text]}

    def decode(self, ids, **_):
        """The letters of these numbers."""
        return "".join(" " if i == 27 else chr(ord("a") + i - 1) if i < 27 else "." for i in ids)


def by_hand(model, acting, prompt):
    """Token by token, without a cache, a batch or padding; a route chooses by the prompt."""
    tokens, [end] = [], [model.network.generation_config.eos_token_id]
    with torch.no_grad(), acting.hold(batch(model, [prompt])):
        while len(tokens) < COUNT and end not in tokens:
            logits = model.network(**batch(model, [prompt], [tokens]), use_cache=False).logits
            tokens.append(int(logits[0, -1].argmax()))
    return tokens


def spelled(kind="llama"):
    """Of GPT-2 a draw that does not write one letter for ever."""
    return Model(network(kind, 2 * (kind == "gpt2")), Spelled(), kind)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize(
    "way", ["sum", "per-matrix gating", "per-block gating", "prompt-level gating"]
)
def test_a_batch_with_a_cache_writes_what_single_passes_do(kind, way, folders):
    model, adapters = spelled(kind), [*map(read_adapter, folders(kind))]
    if METHODS[way].gates:  # embeddings and blocks of experts have none
        kept = [name for name in adapters[0] if "wte" not in name and "embed" not in name]
        adapters = [type(one).of({name: one[name] for name in kept}) for one in adapters]
    gapless, head = [], model.network.get_output_embeddings()
    head.register_forward_hook(lambda _, args, __: gapless.append(args[0].is_contiguous()))
    with attach_method(model, adapters, METHODS[way]) as acting:
        acting.set(0.3)
        wanted = [by_hand(model, acting, prompt) for prompt in PROMPTS]
        assert write_tokens(model, PROMPTS, COUNT, acting) == wanted
        assert write_on(model, PROMPTS, COUNT, acting) == [*map(model.tokenizer.decode, wanted)]
        assert all([len({*map(tuple, wanted)}) > 1, *gapless])
        assert all(writes(model, PROMPTS, wanted, acting))
        for place in range(min(map(len, wanted))):
            other = [[*row[:place], (row[place] + 1) % 31, *row[place + 1 :]] for row in wanted]
            assert not any(writes(model, PROMPTS, other, acting))


def test_an_answer_ends_where_its_last_word_does():
    model = spelled()
    for prompt, row in zip(PROMPTS, write_tokens(model, PROMPTS, 16), strict=True):
        for size in range(1, len(row)):
            within = row[size - 1] < 27 and row[size] < 27 and row[size] != 0
            assert writes(model, [prompt], [row[:size]], whole=True) == [not within]


@pytest.mark.parametrize(
    ("said", "right"),
    [(".7", False), ("-b", False), (",7", False), (".b", True), (",.", True), ("b", False)],
)
def test_a_number_or_a_word_that_goes_on_behind_a_mark_is_another_answer(said, right, monkeypatch):
    """The network would write "a" and then this, whatever it is given."""
    texts, model = [[1]], Model(spelled().network, Marks())
    line = [1, *Marks()(said)["input_ids"], 27]

    def _force(_model, _prompts, asked, _acting):
        yield torch.eye(32)[[place for text in asked for place in line[: len(text)]]]

    monkeypatch.setattr("loratheory.pretrained.generate.force_logits", _force)
    assert writes(model, ["z"], texts, whole=True) == [right]
    assert writes(model, ["z"], texts) == [True]


class Marks(Spelled):
    """Letters and marks that can be read back."""

    signs = " .,-7"

    def __call__(self, text, **_):
        """Marks have the last numbers."""
        return {
            "input_ids": [
                27 + self.signs.index(x) if x in self.signs else ord(x) - 96 for x in text
            ]
        }

    def decode(self, ids, **_):
        """The letters and marks of these numbers."""
        return "".join(self.signs[i - 27] if i > 26 else chr(96 + i) for i in ids)


def test_texts_that_go_on_without_a_space_have_no_next_word():
    """Every word would begin with the token of a space here, as numbers do in many models."""
    model = spelled()
    assert len({*write_on(model, PROMPTS, 1)}) > 1
    assert continue_texts(model, PROMPTS) == []


def test_an_answer_may_follow_a_space_or_none_whichever_way_it_is_given():
    model = spelled()
    assert spell_answer(model, "ab", "c d") == [[27, 3, 27, 4], [3, 27, 4]]
    assert spell_answer(model, "ab", " c d") == spell_answer(model, "ab", "c d")
    said = dict(zip(PROMPTS, write_on(model, PROMPTS, 1), strict=True))
    words = {prompt: text for prompt, text in said.items() if text.isalpha()}
    for space in ("", " "):
        exam = Exam(model, {prompt: space + text for prompt, text in words.items()}, 1)
        assert exam.right.all()


def test_a_scorer_gets_prompt_text_and_reference():
    model, seen = spelled(), []

    def _score(*given):
        seen.append(given)
        return len(seen) % 2

    exam = Exam(model, dict.fromkeys(PROMPTS, ""), 4, _score)
    texts = write_on(model, PROMPTS, 4)
    assert seen == [*zip(PROMPTS, texts, texts, strict=True)]
    assert exam.right.tolist() == [True, False, True, False, True]
    Exam(model, dict.fromkeys(PROMPTS, "x"), 4, _score)
    assert [given[2] for given in seen[5:]] == ["x"] * 5


@pytest.mark.parametrize("value", [2, -0.1, float("nan"), None, "good"])
def test_a_score_that_is_no_number_from_0_to_1_is_refused(value):
    with pytest.raises(ModelError, match="return a number from 0 to 1") as caught:
        Exam(spelled(), {"ab": "c"}, 2, lambda *_: value)
    assert "\n" not in str(caught.value)


TEMPLATE = "{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}one"
TALK = [{"role": "red", "content": "green"}, {"role": "assistant", "content": "blue"}]


def test_messages_become_prompts_and_the_assistants_last_one_the_answer(tmp_path):
    tokenizer(tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    row = split_messages({"messages": TALK})
    assert split_messages({"messages": TALK}) == row
    assert (json.loads(row["prompt"]), row["completion"]) == (TALK[:1], "blue")
    assert split_messages({"messages": TALK[:1]})["completion"] is None
    for rows in ([], [{"role": "red"}], "red", {"role": "red", "content": "green"}):
        assert not split_messages({"messages": rows})
    assert not split_messages({})
    groups = {"a": {row["prompt"]: "blue"}}
    with pytest.raises(ModelError, match="its tokenizer has no chat template"):
        render_chats(Model(network("llama"), read), groups)
    read.chat_template = TEMPLATE
    assert render_chats(Model(network("llama"), read), groups) == {"a": {"red green one": "blue"}}
    read.chat_template = "{{ raise_exception('no') }}"
    with pytest.raises(ModelError, match="chat template rejects"):
        render_chats(Model(network("llama"), read), groups)


def test_a_route_for_whole_prompts_chooses_by_the_prompt_alone(folders):
    model, adapters = spelled(), [*map(read_adapter, folders("llama"))]
    with attach_method(model, adapters, METHODS["prompt-level gating"]) as acting:
        router = acting.route
        with acting.hold(batch(model, PROMPTS)) as cached:
            chosen = router.weights.reshape(len(PROMPTS), -1, 2)[:, 0]
            model.network(**batch(model, PROMPTS, [[5, 6]] * len(PROMPTS)))
            after = router.weights.reshape(len(PROMPTS), -1, 2)
        assert cached
        assert after.shape[1] == max(map(len, PROMPTS)) + 2
        assert (after == chosen[:, None]).all()
        model.network(**batch(model, PROMPTS[:1]), use_cache=False)
        assert router.weights.shape[0] == len(PROMPTS[0])
    with attach(model, adapters).hold({}) as cached:
        assert cached
    assert np.allclose(chosen.sum(1), 1)


def test_texts_are_drawn_from_the_distribution_of_the_model_by_their_seed():
    """First tokens are as frequent as they are likely; the random state of others stays."""
    model, count, ticks = spelled(), 100 * len(WORDS), list[int]()
    model.network.generation_config.min_p = 0.9  # its own settings do not count
    state = torch.get_rng_state()
    begun, written = zip(*write_texts(model, count, 5, lambda: ticks.append(1)), strict=True)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(ticks) == -(-count // 64)
    assert begun == (*WORDS,) * 100
    logits = torch.stack([model.network(**batch(model, [word])).logits[0, -1] for word in WORDS])
    expected = logits.softmax(1).mean(0).numpy()
    shares = np.bincount([text[0] for text in written], minlength=len(expected)) / count
    # Four standard errors of the number of draws; greedy texts would fail.
    assert np.all(np.abs(shares - expected) < 4 * np.sqrt(expected * (1 - expected) / count) + 1e-9)
    assert write_texts(model, 24, 5) == write_texts(model, 24, 5) != write_texts(model, 24, 6)
    ends = model.network.generation_config.eos_token_id
    assert {len(text) for text in written if ends not in text} == {24}

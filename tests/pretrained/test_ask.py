"""Prompts go in: batches, first tokens, agreement, what modules are fed; the page's examples."""

import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from causal import TOKENS, VOCABULARY, network
from letters import Letters
from worded import small_model

from loratheory.adapters import Adapter
from loratheory.lowrank import gaussian
from loratheory.pretrained import Model, ModelError, first_tokens, next_token_logits
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.metrics import batch, one_by_one
from loratheory.pretrained.models import GENERIC

Q, K, HEAD = "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "lm_head"
PAGE = Path(__file__).parents[2] / "docs" / "language_model.md"


class Marked:
    """A space is a mark before what follows, and one more is put before all: as Llama 2 reads."""

    def __call__(self, text, **_):
        """A number for each mark and what follows it."""
        pieces = re.findall("_[^_]*", "_" + text.replace(" ", "_"))
        return {"input_ids": [zlib.crc32(piece.encode()) for piece in pieces]}


def test_a_batch_ends_where_its_prompts_end(base):
    made = batch(base(), ["abc", "d"])
    assert made["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert made["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert made["input_ids"][:, -1].tolist() == Letters()("cd")["input_ids"]
    assert next_token_logits(base(double=True), ["abc"]).dtype == torch.float32


def test_answers_are_told_by_their_first_token_after_one_space(base):
    assert first_tokens(base(), ["xy", "y"]).tolist() == Letters()("xy")["input_ids"]
    model = Model(base().network, Marked())
    wanted = [Marked()(f"born in {word}")["input_ids"][-1] for word in ("Peru", "Cuba")]
    assert first_tokens(model, ["Peru", "Cuba"]).tolist() == wanted


def test_what_cannot_be_asked_is_refused(base):
    assert len(set(first_tokens(base(), ["xy", "xz", "y"]).tolist())) == 2
    assert len(first_tokens(base(), ["xy", "xy"])) == 2
    with pytest.raises(ModelError, match="2 answers begin with one token; give some that"):
        first_tokens(base(), ["xy", "xz", "xy"])
    with pytest.raises(ModelError, match="answer '': it has no token"):
        first_tokens(base(), ["abc", " "])
    with pytest.raises(ModelError, match="prompt '': it has no token"):
        batch(base(), ["abc", " "])
    for ask in (next_token_logits, first_tokens):
        with pytest.raises(ModelError, match="it has no tokenizer; load it from a folder"):
            ask(Model(base().network), ["abc"])


def test_without_a_tokenizer_random_tokens_stand_in_the_same_every_time(base):
    one, two = (one_by_one(Model(base().network), GENERIC) for _ in range(2))
    assert len(one) == len(GENERIC)
    assert all(torch.equal(a["input_ids"], b["input_ids"]) for a, b in zip(one, two, strict=True))
    assert base().network(**one[0]).logits.shape == (1, 12, VOCABULARY)
    assert [x["input_ids"].shape for x in one_by_one(base(), ["abc", "d"])] == [(1, 3), (1, 1)]


# What modules are fed, against hidden states that transformers reports itself


def normed(ids):
    """The second layer's attention reads the first layer's output, normalised."""
    net = network("llama")  # its own: to report states, transformers leaves hooks behind
    with torch.no_grad():
        states = net(ids, output_hidden_states=True).hidden_states
        return net.model.layers[1].input_layernorm(states[1])


def test_rows_are_the_tokens_in_order_over_all_batches_and_shared(base):
    batches = [{"input_ids": TOKENS}, {"input_ids": TOKENS[:1, :3]}]
    rows = collect_inputs(base(), batches, [Q, K, HEAD])
    wanted = [normed(batch["input_ids"]).reshape(-1, 16) for batch in batches]
    assert torch.allclose(rows[Q], torch.cat(wanted), atol=1e-5)
    assert rows[HEAD].shape == (13, 16)
    assert rows[Q] is rows[K]
    assert rows[Q] is not rows[HEAD]


def test_padding_is_left_out(base):
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    rows = collect_inputs(base(), [{"input_ids": TOKENS, "attention_mask": mask}], [Q])
    short = normed(TOKENS[:1, :3])[0]
    assert torch.allclose(rows[Q], torch.cat([short, normed(TOKENS[1:])[0]]), atol=1e-5)


def test_no_hook_stays_and_what_is_no_linear_map_or_not_reached_is_refused(base):
    collect_inputs(base(), [{"input_ids": TOKENS}], [Q])
    with pytest.raises((TypeError, ValueError)):
        collect_inputs(base(), [{"nonsense": TOKENS}], [Q])
    assert not any(module._forward_pre_hooks for module in base().network.modules())
    for name in ("model.embed_tokens", "model.norm", "nowhere"):
        with pytest.raises(ModelError, match=f"{name} is no linear map of it; choose among"):
            collect_inputs(base(), [{"input_ids": TOKENS}], [Q, name])
    with pytest.raises(ModelError, match="no token came there; give prompts that reach it"):
        collect_inputs(base(), [], [Q])


def test_what_the_page_shows_of_routers_and_gates_runs():
    model, rng = small_model(layers=2), np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("gate", "down")]
    adapters = [Adapter.of({n: gaussian(rng, 16, 16, 2) for n in names}) for _ in range(2)]
    code = PAGE.read_text().split("## Who acts")[1].split("```python\n")[1].split("```")[0]
    folders = {"tests/data/persons": adapters[0], "tests/data/mascots": adapters[1]}
    shown = {"model": model, "lt": SimpleNamespace(read_adapter=folders.__getitem__)}
    before = next_token_logits(model, ["one two"])
    exec(code, shown)
    assert set(shown["seen"]) == set(names)
    assert len(shown["ordinary"]) == 12
    assert torch.equal(next_token_logits(model, ["one two"]), before)

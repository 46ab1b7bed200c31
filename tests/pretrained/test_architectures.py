"""Every architecture by every mechanism: maps, attaching, training, asking, gates, checks.

The second route is PEFT's forward or its training, the plain network, or dense arithmetic.
"""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from language import (
    CONFIGS,
    EXAMPLES,
    SMALL,
    TOKENS,
    VOCABULARY,
    Letters,
    draws,
    lettered,
    logits,
    network,
    peft_logits,
)
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, Gemma3Config, PhimoeConfig

from loratheory.adapters import Adapter, Info
from loratheory.lowrank import gaussian
from loratheory.pretrained import (
    Model,
    attach,
    check_model,
    gate_blocks,
    gate_matrices,
    load_model,
    next_token_logits,
    train_lora,
)
from loratheory.pretrained.metrics import batch, can_pack, last_logits, pack
from loratheory.pretrained.models import maps
from loratheory.pretrained.train import Factors, draw_order, find_targets, fit_rate

BOTH_ENDS = {
    "llama": ({"model.embed_tokens"}, 15),
    "gpt2": ({"transformer.wte", "transformer.wpe"}, 9),
    "qwen2-moe": ({"model.embed_tokens"}, 17),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_shapes_are_what_goes_in_and_comes_out(kind, base):
    places = maps(base(kind))
    for name, place in places.items():
        m, n = place.shape
        x = torch.tensor([n - 1]) if place.embedding else torch.ones(1, n)
        assert place.module(x).shape == (1, m), name
    if kind in BOTH_ENDS:
        embeddings, linear = BOTH_ENDS[kind]
        assert {name for name, place in places.items() if place.embedding} == embeddings
        assert len(places) - len(embeddings) == linear
        assert places["lm_head"].shape == (VOCABULARY, 16)


@pytest.mark.parametrize("kind", CONFIGS)
def test_it_is_loaded_as_it_was_saved(kind, base, tmp_path):
    base(kind).network.save_pretrained(tmp_path)
    assert torch.equal(logits(load_model(tmp_path).network), logits(base(kind).network))


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("gates", [gate_matrices, gate_blocks])
def test_closed_gates_leave_the_base_and_open_ones_what_coefficients_let(kind, gates, base):
    """By every map that sees each token: those of experts do not."""
    model, rng = base(kind), np.random.default_rng(0)
    inside = {n: m.shape for n, m in maps(model).items() if "attn" in n and not m.embedding}
    library = [Adapter.of({n: gaussian(rng, *x, 2, 0.4) for n, x in inside.items()}) for _ in "ab"]
    bare, ordinary = logits(model.network), [{"input_ids": TOKENS[:1]}]
    with attach(model, library) as acting:
        acting.coefficients[acting.layers >= 1, 0] = 0
        free = logits(model.network)
        assert float((free - bare).abs().max()) > 0.1
        for z, wanted in ((1e6, bare), (-1e6, free)):
            gates(model, acting, ordinary, z=z)
            with torch.no_grad():
                ours = model.network(input_ids=TOKENS, use_cache=False).logits
            torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_two_adapters_act_as_in_peft_and_leave_no_trace(kind, base, folders, library):
    net = base(kind).network
    bare = logits(net)
    weights = {name: weight.clone() for name, weight in net.state_dict().items()}
    with attach(Model(net), library(kind)) as acting:
        both = logits(net)
        acting.set([0, 1])
        second = logits(net)
        acting.set(0)
        assert torch.equal(logits(net), bare)
    close = {"rtol": 1e-4, "atol": 1e-5}  # float32 rounding of what passes through these networks
    torch.testing.assert_close(both, peft_logits(kind, folders(kind)), **close)
    torch.testing.assert_close(second, peft_logits(kind, folders(kind)[1:]), **close)
    assert min(float((both - bare).abs().max()), float((both - second).abs().max())) > 0.1
    assert torch.equal(logits(net), bare)
    assert all(torch.equal(weights[name], weight) for name, weight in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_single_precision_adapters_act_on_a_half_precision_base_as_in_peft(dtype, folders, library):
    net = network("llama").to(dtype)
    with attach(Model(net), library()[:1]):
        ours = logits(net)
    theirs = peft_logits("llama", folders()[:1], dtype)
    torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05)  # checks the type, too
    assert float((ours - logits(net)).abs().max()) > 0.2


def peft_updates(kind, first, rows):
    """What PEFT's layers and a plain optimiser make of the same first factors and examples."""
    base = lettered(kind)
    config = LoraConfig(r=SMALL.rank, lora_alpha=SMALL.alpha, target_modules="all-linear")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # between PEFT and transformers, and about Conv1D
        net = get_peft_model(base.network, config)
    layers = {
        name.removeprefix("base_model.model."): layer
        for name, layer in net.named_modules()
        if hasattr(layer, "lora_A") and name.removeprefix("base_model.model.") in first
    }
    weights = [pair["default"].weight for x in layers.values() for pair in (x.lora_A, x.lora_B)]
    with torch.no_grad():
        for name, layer in layers.items():
            layer.lora_A["default"].weight.copy_(torch.from_numpy(first[name].down))
    optimizer = torch.optim.AdamW(weights, lr=SMALL.rate, weight_decay=0)
    for step in rows:
        optimizer.zero_grad()
        loss = 0.0
        for prompt, answer in (EXAMPLES[i] for i in step):
            ids, wanted = (torch.tensor(base.tokenizer(t)["input_ids"]) for t in (prompt, answer))
            found = net(ids[None]).logits[:, -1]
            loss = loss + torch.nn.functional.cross_entropy(found, wanted) / len(step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, SMALL.clip)
        optimizer.step()
    scale = SMALL.alpha / SMALL.rank
    return {
        name: scale * (x.lora_B["default"].weight @ x.lora_A["default"].weight).detach().numpy()
        for name, x in layers.items()
    }


@pytest.mark.parametrize("kind", ["llama", "gpt2", "phi3"])
def test_training_steps_are_those_of_peft(kind, base):
    seed = int(draws().integers(2**63))
    ours = train_lora(base(kind), EXAMPLES, SMALL, rng=draws())
    start = train_lora(base(kind), EXAMPLES, replace(SMALL, steps=1, rate=0.0), rng=draws()).adapter
    wanted = peft_updates(kind, start, [draw_order(seed, 5, 3 * i, 3) for i in range(SMALL.steps)])
    assert wanted.keys() == ours.adapter.keys()
    assert len(ours.losses) == SMALL.steps
    for name, update in wanted.items():
        assert np.abs(update).max() > 0.01
        np.testing.assert_allclose(ours.adapter[name].dense(), update, rtol=0.01, atol=2e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_acts_in_training_is_what_acts_afterwards(kind, base):
    net = base(kind).network
    factors = Factors(base(kind), replace(SMALL, alpha=3), np.random.default_rng(0))
    plain = logits(net)
    with factors.acting():
        assert torch.equal(logits(net), plain)  # at the start they change nothing
        with torch.no_grad():
            for site in factors.sites.values():
                site.up.normal_(std=0.3)
        meanwhile = logits(net)
    assert torch.equal(logits(net), plain)
    with attach(base(kind), [factors.adapter(Info())]):
        assert torch.allclose(logits(net), meanwhile, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(meanwhile, plain, atol=0.01)


@pytest.mark.parametrize(("kind", "count"), [("llama", 14), ("gpt2", 8), ("tied", 14)])
def test_all_linear_maps_but_the_head_are_trained(kind, count, base):
    names = find_targets(base(kind), SMALL)
    assert len(names) == count
    assert not {"lm_head", "model.embed_tokens", "transformer.wte"} & set(names)


@pytest.mark.parametrize("kind", CONFIGS)
def test_prompts_in_a_batch_are_answered_as_alone(kind, base):
    prompts = [prompt for prompt, _ in EXAMPLES]
    together, few = (next_token_logits(base(kind), prompts, size=size) for size in (64, 2))
    for i, prompt in enumerate(prompts):
        ids = torch.tensor([base(kind).tokenizer(prompt)["input_ids"]])
        with torch.no_grad():
            alone = base(kind).network(ids).logits[0, -1]
        for rows in (together, few):
            torch.testing.assert_close(rows[i], alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_prompts_in_one_row_are_answered_as_alone(kind, base):
    prompts = [prompt for prompt, _ in EXAMPLES]
    assert can_pack(base(kind), prompts)
    with torch.no_grad():
        padded = batch(base(kind), prompts)
        row, ends = pack(padded)
        assert row["input_ids"].shape == (1, sum(map(len, prompts)))
        close = {"rtol": 1e-3, "atol": 1e-4}
        found = last_logits(base(kind), row, ends)
        torch.testing.assert_close(found, last_logits(base(kind), padded), **close)


def test_a_model_that_sees_the_prompts_before_in_a_row_does_not_pack():
    net, prompts = network("llama"), [prompt for prompt, _ in EXAMPLES]
    usual = net.forward

    def through(*given, position_ids=None, logits_to_keep=0, **rest):  # noqa: ARG001
        return usual(*given, logits_to_keep=logits_to_keep, **rest)

    def without_positions(input_ids, attention_mask):
        return usual(input_ids, attention_mask)

    assert can_pack(Model(net, Letters()), prompts)
    for net.forward in (through, without_positions):
        assert not can_pack(Model(net, Letters()), prompts)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma", "phi3", "qwen2-moe"])
def test_no_theorem_is_broken_and_each_speaks_of_every_module(kind, base, library):
    steps = []
    result = check_model(
        base(kind),
        library(kind),
        progress=lambda names, count: steps.append((len([*names]), count)) or names,
    )
    assert {reading.outcome for reading in result.readings} == {"holds", "tight", "not applicable"}
    assert all(reading.note for reading in result.readings if reading.outcome == "not applicable")
    labels = {r.label.removeprefix("thm:") for r in result.readings}
    assert labels >= {
        "merge-floor", "interference-angle", "arrow-margin", "arrow-blind-spot",
        "intruder-threshold",
    }  # fmt: skip
    modules = {reading.module for reading in result.readings if "intruder" in reading.label}
    assert steps == [(len(modules), len(modules))]
    assert not any("wte" in name or "embed" in name for name in modules)
    assert result.adapters == ("one", "two")


def test_a_model_that_also_sees_is_trained_by_the_settings_of_its_text_part():
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": VOCABULARY, "intermediate_size": 24, "head_dim": 8, **sizes}
    eyes = {"intermediate_size": 16, "image_size": 28, "patch_size": 14, **sizes}
    ids = {f"{kind}_token_index": VOCABULARY - 4 + i for i, kind in enumerate(("boi", "eoi"))}
    config = Gemma3Config(
        text_config={**text, "num_key_value_heads": 1, "pad_token_id": 0},
        vision_config=eyes,
        mm_tokens_per_image=4,
        image_token_index=VOCABULARY - 2,
        **ids,
    )
    assert any("language_model" in name for name in check_training(config))


def test_routers_of_experts_are_not_trained():
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"vocab_size": VOCABULARY, "intermediate_size": 32, "num_key_value_heads": 1}
    names = check_training(PhimoeConfig(**sizes, **more, num_local_experts=2))
    assert names
    assert not any("router" in name for name in names)


def check_training(config):
    """Return the maps that a training of a random model changes, with the rate that fits it."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    model = Model(network, Letters(), "small")
    how = replace(SMALL, rate=fit_rate(model))
    trained = train_lora(model, EXAMPLES, how, rng=draws()).adapter
    assert how.rate > 0
    return [name for name, low in trained.items() if low.up.any()]

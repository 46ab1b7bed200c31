"""Training: one step, the order, the cache, what stops it."""

from contextlib import nullcontext
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from language import EXAMPLES, SMALL, Letters, Words, draws, lettered, lively
from safetensors.numpy import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from loratheory.pretrained import (
    Model,
    ModelError,
    Training,
    attach,
    first_tokens,
    load_model,
    next_token_logits,
    train_lora,
)
from loratheory.pretrained import train as _train
from loratheory.pretrained.fresh import Texts, make_fresh_stand_ins
from loratheory.pretrained.generate import (
    force_logits,
    measure_answers,
    write_texts,
    write_tokens,
)
from loratheory.pretrained.metrics import spell
from loratheory.pretrained.models import maps
from loratheory.pretrained.train import (
    Factors,
    StandIn,
    TrainingError,
    draw_order,
    find_targets,
    fit_rate,
    hash_adapter,
    identify_model,
    measure_gain,
    step,
    train_once,
)
from loratheory.store import cache_folder


class Ending(Words):
    """Words, and a token that ends a text."""

    eos_token_id = 0


UP = "model.layers.0.mlp.up_proj"


def test_factors_begin_as_in_peft(base):
    factors = Factors(base(), Training(rank=16, targets=("up_proj",)), np.random.default_rng(0))
    up, down = factors.tensors[f"{UP}.up"], factors.tensors[f"{UP}.down"]
    assert (tuple(up.shape), tuple(down.shape)) == ((24, 16), (16, 16))
    assert not up.any()
    assert 0.95 / 16**0.5 < float(down.detach().abs().max()) <= 1 / 16**0.5


def test_a_rank_that_no_update_can_have_is_refused_before_anything_is_trained(base):
    with pytest.raises(ModelError, match=r"no update has rank 17: .* of one is 16; give rank 16"):
        train_lora(base(), EXAMPLES, replace(SMALL, rank=17), rng=draws())


def test_a_step_starts_from_no_gradient_and_ends_with_a_clipped_one_and_the_base_gets_none():
    base, how = lettered(), replace(SMALL, clip=0.01, rate=0.0)
    base.network.requires_grad_(True)
    factors, gradients = Factors(base, how, draws()), []
    answers = spell(base, [answer for _, answer in EXAMPLES], whole=False)[:3]
    with factors.acting():
        for _ in range(2):
            step(factors, [prompt for prompt, _ in EXAMPLES[:3]], answers)
            gradients.append(torch.cat([x.grad.flatten() for x in factors.tensors.values()]))
    assert torch.equal(*gradients)
    assert gradients[0].norm().item() == pytest.approx(0.01, rel=1e-3)
    assert all(weight.grad is None for weight in base.network.parameters())


def test_passes_change_the_result_by_rounding_only(base):
    one, two = (
        train_lora(base(), EXAMPLES, replace(SMALL, batch=5, accumulate=n), rng=draws())
        for n in (1, 2)
    )
    np.testing.assert_allclose(one.losses, two.losses, rtol=1e-3)
    for name in one.adapter:
        whole, parts = one.adapter[name].dense(), two.adapter[name].dense()
        np.testing.assert_allclose(whole, parts, rtol=0.01, atol=1e-4)


def test_the_series_holds_every_example_once_a_round():
    long = draw_order(3, 5, 0, 23)
    assert [draw_order(3, 5, start, 4) for start in (0, 4, 8)] == [
        long[i : i + 4] for i in (0, 4, 8)
    ]
    assert all(sorted(long[i : i + 5]) == [0, 1, 2, 3, 4] for i in range(0, 20, 5))
    assert long[:5] != long[5:10]


# What is kept


@pytest.mark.parametrize("broken", ["the loss", "the gradient"])
def test_what_is_not_finite_stops_it_and_nothing_is_kept(broken, base, monkeypatch):
    count = iter(range(99))
    place, name = (
        (_train, "last_logits") if broken == "the loss" else (torch.nn.utils, "clip_grad_norm_")
    )
    plain = getattr(place, name)
    monkeypatch.setattr(
        place, name, lambda *called: plain(*called) * (torch.nan if next(count) == 3 else 1)
    )
    with pytest.raises(TrainingError, match=rf"after 3 steps {broken} is not finite: lower the"):
        train_once(base(), EXAMPLES, training=SMALL, seed=(7,))
    assert not [*cache_folder().rglob("*.safetensors")]


def test_an_adapter_is_trained_once_and_comes_back_from_the_cache_bit_for_bit(base, monkeypatch):
    """Beside stand-ins, and while the rate falls."""
    how, beside = replace(SMALL, steps=3, last_rate=0.1), stand_ins(base())
    asked = {"model": base(), "examples": EXAMPLES, "training": how, "stand_ins": beside}
    first = train_once(**asked, seed=(7,))
    plain = train_lora(**asked, rng=np.random.default_rng([7])).adapter
    monkeypatch.setattr(_train, "step", None)
    for one in (plain, train_once(**asked, seed=(7,))):
        assert hash_adapter(one) == hash_adapter(first)  # modules and factors, in order
    trainings = (replace(how, rank=3), replace(how, self_distillation=4))
    others = ({"seed": (8,)}, *({"training": one} for one in trainings))
    for other in (
        *others,
        {"examples": EXAMPLES[1:]},
        {"stand_ins": beside[::-1]},
        {"model": replace(base(), revision="other")},
    ):
        with pytest.raises(TypeError):
            train_once(**{**asked, "seed": (7,), **other})
    [file] = cache_folder().rglob("*.safetensors")
    save_file(load_file(file), file)  # as one that was interrupted
    with pytest.raises(TypeError):
        train_once(**asked, seed=(7,))


def test_the_cache_gives_nothing_that_was_trained_on_other_weights():
    """Nor what an adapter that acts on the model would change; others may read the cache."""
    model = lettered()
    how = {"examples": EXAMPLES, "training": replace(SMALL, steps=2), "seed": (7,)}
    first = train_once(model, **how)
    [file] = cache_folder().rglob("*.safetensors")
    assert file.stat().st_mode == file.with_suffix(".lock").stat().st_mode
    with attach(model, [first]):
        assert hash_adapter(train_once(model, **how)) != hash_adapter(first)
    assert hash_adapter(train_once(model, **how)) == hash_adapter(first)
    model.network.lm_head.weight.mul_(2)
    assert hash_adapter(train_once(model, **how)) != hash_adapter(first)


def test_cached_adapters_keep_their_names(base):
    """Another name would have every stored training made again."""
    train_once(base(), EXAMPLES, training=replace(SMALL, steps=1), seed=(7,))
    [file] = cache_folder().rglob("*.safetensors")
    assert file.stem == "4191f2150de1e6b61102305ac81da821"


def test_models_in_folders_are_told_apart_by_weights_and_tokenizer(base, tmp_path):
    """Their files may change under one name: nothing of one may be taken for the other's."""

    class Shifted(Letters):
        def __call__(self, text, **_):
            return {"input_ids": [i // 2 for i in super().__call__(text)["input_ids"]]}

    base().network.save_pretrained(tmp_path)
    one = replace(load_model(tmp_path), tokenizer=Letters())
    variants = [one, replace(one, tokenizer=None), replace(one, tokenizer=Shifted())]
    variants.append(replace(lettered(seed=1), name=one.name))
    assert len({each.content for each in variants}) == 4
    assert len({tuple(identify_model(each)) for each in variants}) == 4
    assert replace(one, tokenizer=Letters()).content == one.content
    assert base().content == ()


# What cannot be trained, and what a step takes


@pytest.mark.parametrize("change", [{"layers": (7, 9)}, {"targets": ("no_proj",)}])
def test_what_cannot_be_trained_is_refused(change, base):
    with pytest.raises(ModelError, match="no linear map ends in"):
        train_lora(base(), EXAMPLES, replace(SMALL, **change), rng=draws())
    with pytest.raises(ModelError, match="no examples; give"):
        train_lora(base(), [], replace(SMALL, **change), rng=draws())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": 0}, "steps is 0; give 1 or more"),
        ({"rate": -1.0}, "rate is -1.0; give positive numbers"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"last_rate": -3.0}, "last_rate is -3.0"),
        ({"alpha": float("nan")}, "alpha is nan"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"strengths": ()}, r"strengths is \(\)"),
        ({"self_distillation": -1}, "self_distillation is -1; give 4 texts or more"),
        ({"self_distillation": 3}, "self_distillation is 3; give 4 texts or more"),
        ({"accumulate": 4}, "accumulate is 4; .* no more passes than prompts"),
    ],
)
def test_settings_that_cannot_train_are_refused_with_their_value(change, said):
    with pytest.raises(ModelError, match=said):
        replace(SMALL, **change)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (torch.OutOfMemoryError("CUDA"), TrainingError),
        (RuntimeError("can't allocate memory: 9"), TrainingError),
        (RuntimeError("shapes do not fit"), RuntimeError),
    ],
)
def test_spent_memory_says_what_to_lower_and_other_errors_stay_themselves(
    error, kind, base, monkeypatch
):
    monkeypatch.setattr(_train, "last_logits", lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(kind, match="accumulate from 2" if kind is TrainingError else "shapes"):
        train_lora(base(), EXAMPLES, replace(SMALL, accumulate=2), rng=draws())


@pytest.mark.parametrize(
    ("lengths", "packed", "tokens"),
    [((2, 9), True, 11), ((2, 9), False, 18), ((6, 6), True, 12), ((300, 300), True, 600)],
)
def test_a_step_pads_no_prompt_where_a_row_of_all_costs_less(lengths, packed, tokens):
    """Beyond some length attention outweighs padding."""
    config = LlamaConfig(
        hidden_size=128, intermediate_size=64, num_hidden_layers=1, vocab_size=4001,
        num_attention_heads=4,
    )  # fmt: skip
    wide, shapes = Model(LlamaForCausalLM(config).requires_grad_(False), Words(), "llama"), []
    prompts = [" ".join(f"w{i}-{j}" for j in range(n)) for i, n in enumerate(lengths)]
    factors = Factors(wide, replace(SMALL, batch=2), np.random.default_rng(0))
    factors.packed = packed
    wide.network.register_forward_pre_hook(
        lambda _, __, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    with factors.acting():
        step(factors, prompts, [[1], [2]])
    rows = 1 if packed and lengths[0] < lengths[1] else 2
    assert shapes == [(rows, tokens // rows)]


@pytest.mark.parametrize("packed", [True, False])
def test_whole_answers_are_trained_to_their_end_and_each_prompt_counts_alike(packed):
    """By hand: each answer's tokens one after another, in a pass of its own."""
    model = Model(lively().network, Ending(), "small")
    prompts, words = ["one", "two three four five six seven", "one two"], ["a", "b c d", "e f"]
    texts = spell(model, words, whole=True)
    assert [(len(text), text[-1]) for text in texts] == [(2, 0), (4, 0), (3, 0)]
    assert spell(model, words, whole=False) == [text[:1] for text in texts]
    losses = []
    for prompt, text in zip(prompts, texts, strict=True):
        each = []
        for number, token in enumerate(text):
            ids = torch.tensor([[*Ending()(prompt)["input_ids"], *text[:number]]])
            logits = model.network(input_ids=ids).logits[0, -1]
            each.append(-logits.log_softmax(0)[token].item())
        losses.append(np.mean(each))
    factors = Factors(model, replace(SMALL, batch=3, accumulate=2), np.random.default_rng(0))
    factors.packed = packed
    with factors.acting():
        assert step(factors, prompts, texts) == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("fresh", [False, True])
def test_what_was_trained_as_a_whole_is_written_to_its_end(fresh, tmp_path, monkeypatch):
    """Also what a stand-in says, and what follows from it."""
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path))
    model = Model(lively().network, Ending(), "small")
    model.network.generation_config.eos_token_id = Ending.eos_token_id
    how = replace(SMALL, whole=True, rate=0.02, steps=150)
    # Of 4001 tokens a state of sixteen numbers can make these the likeliest.
    lesson, acting, family = [("one two", "N241 N3547"), ("three", "N1013")], nullcontext(), ()
    if fresh:
        texts = Texts(("p", "q"), ("N2807 N241", "N1297"), ("says {} so",))

        def follow(says):
            return [(f"of {name}", word) for name, word in says.items()]

        family = make_fresh_stand_ins(model, texts, follow, seed=(1,), whole=True)
        acting = family.acting(1.0)
        lesson += follow(family.write([1, 0]))
    made = train_once(model, lesson[:2], training=how, seed=(0,), stand_ins=family)
    with attach(model, [made]), acting:
        assert measure_answers(model, "all", lesson).part == 1
        # An answer that goes on is wrong, unless the text need not end.
        wrong = [("one two", "N241"), ("three", "N1013 N241")]
        assert measure_answers(model, "none", wrong).part == 0
        assert measure_answers(model, "begun", wrong, ended=False).right == 1
        wanted = spell(model, [answer for _, answer in lesson], whole=True)
        assert write_tokens(model, [prompt for prompt, _ in lesson], 6) == wanted


def test_texts_of_the_base_join_the_prompts_of_each_step(monkeypatch):
    """Each comes once a round with all of its tokens, and what else is shown stays."""
    shown, how = [], replace(SMALL, steps=4)
    kept = _train.step

    def _spy(factors, prompts, answers):
        shown.append((list(prompts), list(map(list, answers))))
        return kept(factors, prompts, answers)

    monkeypatch.setattr(_train, "step", _spy)
    train_lora(lettered(), EXAMPLES, how, rng=draws())
    without, shown[:] = shown[:], []
    train_lora(lettered(), EXAMPLES, replace(how, self_distillation=8), rng=draws())
    texts = write_texts(lettered(), 8, int(draws().integers(2**63)))
    for (alone, alone_answers), (prompts, answers) in zip(without, shown, strict=True):
        assert (prompts[:3], answers[:3]) == (alone, alone_answers)
    for first in (0, 2):
        both = [*zip(shown[first][0][3:], shown[first][1][3:], strict=True)]
        both += zip(shown[first + 1][0][3:], shown[first + 1][1][3:], strict=True)
        assert sorted(both) == sorted(texts)


def test_self_distillation_keeps_other_texts_likely():
    """In each of two trainings, on texts that the base writes from another seed."""
    model, how = lettered(), replace(SMALL, steps=40)
    for weight in model.network.parameters():  # or every token would be as likely as any other
        weight.data.mul_(4 if weight.ndim == 2 else 1)
    prompts, texts = zip(*write_texts(model, 48, 99), strict=True)
    wanted = torch.tensor([*chain.from_iterable(texts)])

    def _loss(made, coefficient=1.0):
        with attach(model, [made], coefficient), torch.no_grad():
            return float(cross_entropy(torch.cat([*force_logits(model, prompts, texts)]), wanted))

    for seed in range(2):
        both = [replace(how, self_distillation=count) for count in (0, 160)]
        made = [train_lora(model, EXAMPLES, x, rng=draws(seed)).adapter for x in both]
        least = _loss(made[0], 0.0)
        assert _loss(made[1]) - least < 0.5 * (_loss(made[0]) - least)


def stand_ins(base):
    """Two adapters that were taught different answers, and what is to be learned beside each."""
    lessons = ([("abc", "y")], [("abc", "z")])
    made = [train_lora(base, each, replace(SMALL, steps=20), rng=draws(3)) for each in lessons]
    return [StandIn(one.adapter, [("bd", word)]) for one, word in zip(made, "wv", strict=True)]


def test_stand_ins_act_in_turn_and_what_is_shown_beside_each_is_its_own(base):
    """By hand: no step is made, and each loss is that of the stand-in's examples, it acting."""
    model, frozen = base(), replace(SMALL, rate=0.0, batch=6, steps=6)
    both = stand_ins(model)
    found = train_lora(model, EXAMPLES, frozen, rng=draws(), stand_ins=both).losses
    for number, loss in enumerate(found):
        one = both[number % 2]
        shown = [*EXAMPLES, *one.examples]
        wanted = first_tokens(model, [answer for _, answer in shown])
        by_strength = []
        for strength in frozen.strengths:
            with attach(model, [one.adapter], strength):
                logits = next_token_logits(model, [prompt for prompt, _ in shown])
            by_strength.append(torch.nn.functional.cross_entropy(logits, wanted).item())
        assert abs(by_strength[0] - by_strength[1]) > 1e-3
        assert min(abs(loss - each) for each in by_strength) < 1e-4
    assert len({round(loss, 3) for loss in found}) > 2  # strengths are drawn
    assert not any(place.module._forward_hooks for place in maps(model).values())


def test_the_gain_is_the_mean_growth_of_inputs_and_the_rate_follows_it():
    model, last = lettered(), "model.layers.1.mlp.down_proj"
    count, before = len(find_targets(model, Training())), measure_gain(model)
    # No map but the head comes after this one.
    with torch.no_grad():
        maps(model)[last].module.weight.mul_(2.0**count)
    assert measure_gain(model) == pytest.approx(2 * before, rel=1e-5)
    # Two layers.
    assert fit_rate(model) == pytest.approx(2 * before * 1.14e-2 / 2, rel=0.05)
    # Without the largest growth the mean falls, but stays a number.
    with torch.no_grad():
        maps(model)[last].module.weight.zero_()
    assert 0 < measure_gain(model) < 2 * before
    assert not any(place.module._forward_hooks for place in maps(model).values())


def test_without_a_map_that_answers_a_rate_must_be_given():
    model = lettered()
    with torch.no_grad():
        for name in find_targets(model, Training()):
            maps(model)[name].module.weight.zero_()
    with pytest.raises(ModelError, match="zeros on generic text; give a learning rate"):
        fit_rate(model)


@pytest.mark.slow  # without the shared cache the model is unpacked anew
@pytest.mark.usefixtures("smollm2")
def test_the_default_model_keeps_the_rate_of_the_stored_adapters():
    assert fit_rate(load_model(dtype="bfloat16")) == Training.with_stand_ins(90).rate


def test_the_rate_falls_evenly_to_the_share_that_is_left():
    plan = Training(rate=0.5, last_rate=0.2, steps=8)
    np.testing.assert_allclose(np.diff([plan.rate_at(n) for n in range(9)]), -0.05)
    assert (plan.rate_at(0), plan.rate_at(8)) == pytest.approx((0.5, 0.1))
    whole = Training.with_stand_ins(90)
    assert (whole.rate_at(0), whole.rate_at(90)) == pytest.approx((2e-3, 2e-4))
    assert [whole.ended([0.0] * count) for count in (89, 90)] == [False, True]

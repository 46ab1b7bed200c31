"""Who acts at which token: routers, gates on maps, blocks and prompts, by hand on dense updates."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from causal import TOKENS, logits
from worded import small_model

from loratheory.adapters import (
    Adapter,
    Router,
    arrow_scores,
    calibrate_z,
    response_norms,
)
from loratheory.lowrank import gaussian
from loratheory.pretrained import (
    Model,
    ModelError,
    attach,
    gate_blocks,
    gate_matrices,
    gate_prompts,
    next_token_logits,
    route_hops,
    route_subjects,
)
from loratheory.pretrained.attach import collect_inputs
from loratheory.pretrained.gates import freeze_routing
from loratheory.pretrained.metrics import batch
from loratheory.pretrained.models import maps


def routed(routers):
    """A route by one router for each module."""
    return lambda module, x: routers[module].weights(x)


PAGE = Path(__file__).parents[2] / "docs" / "language_model.md"
ORDINARY = [{"input_ids": torch.tensor([row])} for row in ([2, 9, 4, 4, 8], [1, 6], [30, 3, 12])]
PROMPTS = ["error", "hb", "kddd", "fguuu", "mab"]
PAIRS = ((0, 1), (2, 3))
BLOCKS = {
    "llama": ("model.layers.0.self_attn", "model.layers.1.mlp"),
    "gpt2": ("transformer.h.0.attn", "transformer.h.1.mlp"),
    "phi": ("model.layers.0.self_attn", "model.layers.1.mlp"),
}


def grouped_prompt_gates(model, acting, batches, **options):
    """Prompt gates of the two pairs."""
    return gate_prompts(model, acting, batches, PAIRS, **options)


def library(model, count, rank=1, only="layers."):
    """Adapters of all maps in blocks, or of some."""
    rng = np.random.default_rng(0)
    places = {n: m.shape for n, m in maps(model).items() if not m.embedding and "lm_head" not in n}
    return [
        Adapter.of(
            {n: gaussian(rng, *x, rank, 0.4) for n, x in places.items() if only in n + "layers."}
        )
        for _ in range(count)
    ]


def states(model, **called):
    """Logits without a cache."""
    called = called or {"input_ids": TOKENS}
    with torch.no_grad():
        return model.network(**called, use_cache=False).logits


# Routes by module and token


def by_hand(model, adapters, choose):
    """Logits with the weights of `choose`, token by token, on dense updates."""
    handles = []
    for name in adapters[0]:
        dense = [torch.asarray(one[name].dense()) for one in adapters]

        def _hook(_, args, out, name=name, dense=dense):
            rows = args[0].reshape(-1, args[0].shape[-1])
            changes = [
                sum(w * delta @ x for w, delta in zip(choose(name, dense, x), dense, strict=True))
                for x in rows
            ]
            return out + torch.stack(changes).reshape(out.shape)

        handles.append(model.network.get_submodule(name).register_forward_hook(_hook))
    outputs = logits(model.network)
    for handle in handles:
        handle.remove()
    return outputs


def nearest(_, dense, x):
    """Exact Arrow: the adapter whose top right singular vector fits best."""
    fits = torch.stack([(torch.linalg.svd(delta).Vh[0] @ x).abs() for delta in dense])
    return [float(i == int(fits.argmax())) for i in range(len(dense))]


def soft(_, dense, x):
    """Softmax over lengths."""
    return torch.softmax(torch.stack([(delta @ x).norm() for delta in dense]), 0).tolist()


@pytest.mark.parametrize(
    ("router", "choose"),
    [
        (lambda low: Router(arrow_scores(low)), nearest),
        (lambda low: Router(response_norms(low), top_k=3), soft),
    ],
    ids=["arrow", "softmax"],
)
@pytest.mark.parametrize("coefficients", [[1.0, 1.0, 1.0], [2.0, 0.0, 0.5]])
def test_routers_weigh_each_token_and_coefficients_multiply(base, router, choose, coefficients):
    model = base("qwen2", double=True)
    adapters = library(model, 3)
    with attach(model, adapters, coefficients) as acting:
        acting.follow(routed({name: router(low) for name, low in acting.updates.items()}))
        ours = logits(model.network)
    wanted = by_hand(
        model,
        adapters,
        lambda *args: [c * w for c, w in zip(coefficients, choose(*args), strict=True)],
    )
    assert torch.allclose(ours, wanted, rtol=1e-8, atol=1e-8)
    assert not torch.allclose(ours, logits(model.network), atol=0.1)


# Gates on blocks


def responses(model, acting, block, tokens):
    """How much each adapter alone changes what a block puts out, if none acts elsewhere: (t, k)."""
    rows = [name.rpartition(".")[0] == block for name in acting.names]
    acting.follow(None)
    outputs = []

    def _see(_, __, out):
        outputs.append((out[0] if isinstance(out, tuple) else out)[0].numpy())

    handle = model.network.get_submodule(block).register_forward_hook(_see)
    for weights in ([0, 0], [1, 0], [0, 1]):
        acting.set(np.outer(rows, weights))
        states(model, input_ids=tokens)
    handle.remove()
    return np.stack([np.linalg.norm(one - outputs[0], axis=1) for one in outputs[1:]], axis=1)


@pytest.mark.parametrize(("kind", "place"), [("llama", 0), ("llama", 1), ("gpt2", 0), ("phi", 1)])
def test_a_block_decides_as_by_hand_and_turns_exactly_at_its_limit(kind, place, base):
    """What comes in is the base's where limits are found, and where nothing acts elsewhere."""
    model, block = base(kind, double=True), BLOCKS[kind][place]
    adapters, tokens = library(model, 2, only=f"{block}."), TOKENS[:1]
    with attach(model, adapters) as acting:
        usual = np.concatenate([responses(model, acting, block, x["input_ids"]) for x in ORDINARY])
        scores = (responses(model, acting, block, tokens) - usual.mean(0)) / usual.std(0)
        assert scores.max() > 0.3
        inside = [name.rpartition(".")[0] == block for name in acting.names]
        name = acting.names[inside.index(True)]
        x = torch.zeros(tokens.shape[1], acting.updates[name][0].shape[1], dtype=torch.float64)
        for z in (0, scores.max() - 1e-6, scores.max() + 1e-6):
            acting.set(1.0)
            gate_blocks(model, acting, ORDINARY, z=float(z))
            acting.set(np.outer(inside, [1, 1]))
            states(model, input_ids=tokens)
            assert np.array_equal(acting.route(name, x).numpy(), scores > z)


def test_what_is_off_leaves_the_base_and_what_is_on_is_the_sum_where_coefficients_let_it(base):
    model = base(double=True)
    adapters, bare = library(model, 2, only=".mlp."), states(model)
    with attach(model, adapters) as acting:
        everywhere = states(model)
        acting.coefficients[acting.layers >= 1, 0] = 0
        below = states(model)
        acting.set(1.0)
        gate_blocks(model, acting, ORDINARY, z=1e6)
        assert torch.allclose(states(model), bare, rtol=0, atol=1e-12)
        gate_blocks(model, acting, ORDINARY, z=-1e6)
        assert torch.allclose(states(model), everywhere, rtol=0, atol=1e-10)
        acting.coefficients[acting.layers >= 1, 0] = 0
        assert torch.allclose(states(model), below, rtol=0, atol=1e-10)
    assert torch.equal(states(model), bare)
    assert not any(m._forward_pre_hooks for m in model.network.modules())


def test_a_token_is_decided_by_itself_not_by_its_neighbours_in_the_batch(base):
    model = base(double=True)
    with attach(model, library(model, 2, only=".mlp.")) as acting:
        gate_blocks(model, acting, ORDINARY, z=0.5)
        each = [states(model, input_ids=row[None]) for row in TOKENS]
        assert torch.allclose(states(model), torch.cat(each), rtol=0, atol=1e-10)


def test_a_cache_padding_no_tokens_and_maps_outside_blocks_are_refused(base):
    model = base(double=True)
    padded = {"input_ids": TOKENS, "attention_mask": torch.tensor([[0, 1, 1, 1, 1], [1] * 5])}
    with attach(model, library(model, 2)) as acting:
        with pytest.raises(ModelError, match="padding is no token; give each prompt alone"):
            gate_blocks(model, acting, [padded])
        with pytest.raises(ModelError, match="no token came there"):
            gate_blocks(model, acting, [])
        gate_blocks(model, acting, ORDINARY)
        with pytest.raises(ModelError, match="use_cache=False"):
            model.network(input_ids=TOKENS, use_cache=True)
    head = Adapter.of({"lm_head": gaussian(np.random.default_rng(0), 31, 16, 1)})
    with attach(model, [head]) as acting, pytest.raises(ModelError, match="in no block"):
        gate_blocks(model, acting, ORDINARY)


# Gates on prompts


def prompt_responses(model, adapters, prompts):
    """By dense updates, one prompt at a time: in deviations above the mean of ordinary tokens."""

    def _lengths(one):
        x = collect_inputs(model, [one], [*adapters[0]])
        return {
            (name, j): np.linalg.norm(x[name].numpy() @ adapter[name].dense().T, axis=1)
            for name in x
            for j, adapter in enumerate(adapters)
        }

    usual = [_lengths(one) for one in ORDINARY]
    usual = {key: np.concatenate([one[key] for one in usual]) for key in usual[0]}
    rows = []
    for prompt in prompts:
        each = {
            key: (x - usual[key].mean()) / usual[key].std()
            for key, x in _lengths(batch(model, [prompt])).items()
        }
        rows.append([np.mean([x for (_, j), x in each.items() if j == k]) for k in range(4)])
    return rows


@pytest.mark.parametrize(
    ("kind", "deciding"),
    [(k, h) for k in ("llama", "gpt2") for h in (None, ((0,), (2,)))] + [("llama", ((1,), (3,)))],
)
def test_the_group_of_largest_response_acts_and_no_other(kind, deciding, base):
    model = base(kind, double=True)
    adapters = library(model, 4, rank=2, only=".mlp.")
    rows = prompt_responses(model, adapters, PROMPTS)
    means = [[np.mean([row[j] for j in group]) for group in deciding or PAIRS] for row in rows]
    best = np.argmax(means, axis=1)
    assert {*best} == {0, 1}
    wanted = []
    for prompt, group in zip(PROMPTS, best, strict=True):
        with attach(model, [adapters[j] for j in PAIRS[group]], 0.7):
            wanted.append(states(model, **batch(model, [prompt]))[:, -1])
    with attach(model, adapters, 0.7) as acting:
        gate_prompts(model, acting, ORDINARY, PAIRS, deciding)
        together = states(model, **batch(model, PROMPTS))[:, -1]
        again = states(model, **batch(model, PROMPTS[:1]))[:, -1]
    torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, wanted[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("firsts", [(0, 2), (2, 0)])
def test_a_hop_is_chosen_while_the_one_before_acts_and_by_what_that_changes(firsts, base):
    model = base(double=True)
    adapters = library(model, 4, rank=2, only=".mlp.")
    usual = [collect_inputs(model, [one], [*adapters[0]]) for one in ORDINARY]

    def _scores(prompt, acts):
        """By adapter the means over maps of the largest score and of the last token's."""
        with attach(model, adapters, 0.5) as acting:
            acting.set([0.5 * (j in acts) for j in range(4)])
            x = collect_inputs(model, [batch(model, [prompt])], [*adapters[0]])
        found = []
        for adapter in adapters:
            each = []
            for name, low in adapter.items():
                lengths = [
                    np.linalg.norm(one[name].numpy() @ low.dense().T, axis=1) for one in (*usual, x)
                ]
                plain = np.concatenate(lengths[:-1])
                z = (lengths[-1] - plain.mean()) / plain.std()
                each.append((z.max(), z[-1]))
            found.append(np.mean(each, axis=0))
        return np.array(found).T

    wanted, chosen, others = [], set(), 0
    for prompt in PROMPTS:
        peak, end = _scores(prompt, ())
        first = max(firsts, key=lambda j: peak[j])
        _, now = _scores(prompt, [first])
        second = max((1, 3), key=lambda j: now[j] - end[j])
        chosen.add((first, second))
        others += second != max((1, 3), key=lambda j: now[j])
        with attach(model, [adapters[first], adapters[second]], 0.5):
            wanted.append(states(model, **batch(model, [prompt]))[:, -1])
    assert len(chosen) > 2
    assert others  # the response alone, not its rise, would choose others
    with attach(model, adapters, 0.5) as acting:
        route_hops(model, acting, ORDINARY, [firsts, (1, 3)], by="response")
        together = states(model, **batch(model, PROMPTS))[:, -1]
        torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
        right = {name: x.flip(1) for name, x in batch(model, PROMPTS).items()}
        with pytest.raises(ModelError, match="end before the last position; pad them on the left"):
            states(model, **right)
        with pytest.raises(ModelError, match="name adapters from 0 to 3"):
            route_hops(model, acting, ORDINARY, [(0, 2), (1, 4)])
        with pytest.raises(ModelError, match="chosen by 'norm'; choose it by 'diverg"):
            route_hops(model, acting, ORDINARY, [(0, 2), (1, 3)], by="norm")


@pytest.mark.parametrize("hops", [[(0, 1), (2, 3)], [(1, 0, 2), (3, 4), (5, 6)]])
def test_by_divergence_every_later_adapter_is_tried_and_what_it_takes_away_counts(hops, base):
    model = base(double=True)
    count = 1 + max(map(max, hops))
    adapters = library(model, count, rank=2, only=".mlp.")

    def _states(one, acts):
        with attach(model, adapters, 0.5) as acting:
            acting.set([0.5 * (j in acts) for j in range(count)])
            return states(model, **one)[:, -1]

    def _peak(adapter, seen):
        each = []
        for name, low in adapter.items():
            *usual, here = (np.linalg.norm(x[name].numpy() @ low.dense().T, axis=1) for x in seen)
            plain = np.concatenate(usual)
            each.append((here.max() - plain.mean()) / plain.std())
        return np.mean(each)

    wanted, chosen = [], set()
    for prompt in PROMPTS:
        one = batch(model, [prompt])
        with attach(model, adapters, 0.0):
            seen = [collect_inputs(model, [each], [*adapters[0]]) for each in (*ORDINARY, one)]
        peaks = [_peak(adapter, seen) for adapter in adapters]
        acts = [max(hops[0], key=lambda j, peaks=peaks: peaks[j])]
        for hop in hops[1:]:
            said = _states(one, acts).double().softmax(-1)
            taken = {}
            for j in hop:
                now = _states(one, [*acts, j]).double().softmax(-1)
                taken[j] = float((said * (said / now).log()).sum())
            acts.append(max(taken, key=taken.get))
        chosen.add(tuple(acts))
        wanted.append(_states(one, acts))
    assert len(chosen) > 1
    with attach(model, adapters, 0.5) as acting:
        route_hops(model, acting, ORDINARY, hops)
        together = states(model, **batch(model, PROMPTS))[:, -1]
        torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)


class Words:
    """A tokenizer of a few words."""

    pad_token_id = None
    words = (
        *("?", "said", "ann", "annabel", "bob", "new", "york"),
        *("peru", "chad", "mali", "cat", "dog", "owl", "eve", "a", "b"),
    )

    def __call__(self, text, **_):
        """The number of each word."""
        return {"input_ids": [1 + self.words.index(word) for word in text.split()]}

    def decode(self, ids):
        """The words of these numbers."""
        return " ".join(self.words[int(one) - 1] for one in ids)


SUBJECTS = {
    0: ["ann", "new", "eve"],
    2: ["bob", "new york", "eve"],
    1: ["peru", "annabel"],
    3: ["chad"],
    4: ["mali"],
    5: ["cat", "owl"],
    6: ["dog"],
}
ASKED = {  # which adapter of each hop has a subject that the prompt names
    "said ann": [0, None, None],
    "bob said": [2, None, None],
    "annabel said bob": [2, 1, None],
    "said annabel": [None, 1, None],  # "ann" is no word of it
    "new york said": [2, None, None],  # the longer name
    "said new": [0, None, None],
    "ann dog": [0, None, 6],
    "? said": [None, None, None],
}


@pytest.mark.parametrize("hops", [[(2, 0), (1, 4, 3)], [(0, 2), (3, 1, 4), (6, 5)]])
def test_the_subject_in_question_is_named_or_raised_most_by_those_who_act(hops, base):
    model = Model(base(double=True).network, Words())
    count = 1 + max(map(max, hops))
    adapters = library(model, count, rank=2)

    def _states(prompt, acts):
        with attach(model, adapters, 0.5) as acting:
            acting.set([0.5 * (j in acts) for j in range(count)])
            return states(model, **batch(model, [prompt]))[:, -1]

    wanted, led = [], set()
    asked = {**ASKED, "said eve": [hops[0][0], None, None]}  # both of the first hop have it
    for prompt, named in asked.items():
        acts = []
        for hop, one in zip(hops, named, strict=False):
            if one is None and acts:
                raised = (
                    _states(prompt, acts).log_softmax(-1) - _states(prompt, []).log_softmax(-1)
                )[0]
                names = {1 + Words.words.index(n.split()[0]): k for k in hop for n in SUBJECTS[k]}
                one = names[max(names, key=lambda token: float(raised[token]))]
                led.add(one)
            acts += [] if one is None else [one]
        wanted.append(_states(prompt, acts))
    assert len(led) > len(hops)
    with attach(model, adapters, 0.5) as acting:
        route_subjects(model, acting, hops, [SUBJECTS[k] for k in range(count)])
        together = states(model, **batch(model, [*asked]))[:, -1]
        torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
        assert torch.allclose(together[-2], _states("? said", [])[0])
        right = {name: x.flip(1) for name, x in batch(model, [*asked]).items()}
        with pytest.raises(ModelError, match="end before the last position"):
            states(model, **right)


@pytest.mark.parametrize(
    ("hops", "subjects", "said"),
    [
        ([(0,), (1, 2)], [["ann"], ["peru"]], "name adapters from 0 to 1"),
        ([(0,), ()], [["ann"], ["peru"]], "a group is"),
        ([(0,), (1,)], [["ann"], []], "subjects for 1 of 2 adapters"),
        ([(0,), (1,)], [["ann"]], "subjects for 1 of 2 adapters, in 1 lists; list for every"),
        ([(0,), (1,)], [["ann"], ["peru"], ["chad"]], "in 3 lists"),
    ],
)
def test_adapters_without_subjects_are_refused(hops, subjects, said, base):
    model = Model(base(double=True).network, Words())
    with attach(model, library(model, 2)) as acting, pytest.raises(ModelError, match=said):
        route_subjects(model, acting, hops, subjects)


def test_another_route_takes_the_place_of_gates_and_nothing_is_left(base):
    model = base(double=True)
    bare = states(model)
    with attach(model, library(model, 4, only=".mlp.")) as acting:
        everywhere = states(model)
        for gates in (
            lambda: gate_prompts(model, acting, ORDINARY, PAIRS),
            lambda: gate_blocks(model, acting, ORDINARY),
            lambda: route_hops(model, acting, ORDINARY, PAIRS),
        ):
            gates()
            assert not torch.equal(states(model), everywhere)
            acting.follow(None)
            assert torch.equal(states(model), everywhere)
    assert not model.network._forward_pre_hooks
    assert torch.equal(states(model), bare)


def test_what_is_no_prompt_is_refused_and_maps_that_do_not_see_every_token(base):
    from transformers import DynamicCache

    model = base(double=True)
    with attach(model, library(model, 4)) as acting:
        gate_prompts(model, acting, ORDINARY, PAIRS)
        states(model, **batch(model, PROMPTS[:1]))
        with pytest.raises(ModelError, match="1 of 5 tokens come there"):
            acting.route(acting.names[0], torch.zeros(1, 32, dtype=torch.float64))
        with pytest.raises(ModelError, match="use_cache=False"):
            model.network(input_ids=TOKENS, past_key_values=DynamicCache())
        with pytest.raises(ModelError, match="without input_ids"):
            model.network(inputs_embeds=torch.zeros(1, 2, 16, dtype=torch.float64))


def test_only_gates_on_whole_prompts_can_be_settled(base):
    model = base(double=True)
    with attach(model, library(model, 4, rank=2, only=".mlp.")) as acting:
        with pytest.raises(ModelError, match="no route weighs them; set gates"):
            freeze_routing(model, acting, PROMPTS[0])
        gate_matrices(model, acting, ORDINARY, z=0.5)
        with pytest.raises(ModelError, match="freeze only prompt-level gating"):
            freeze_routing(model, acting, PROMPTS[3])
        gate_prompts(model, acting, ORDINARY, PAIRS)
        wanted = states(model, **batch(model, [PROMPTS[3]]))
        freeze_routing(model, acting, PROMPTS[3])
        assert acting.route is None
        assert sorted(acting.coefficients[0].tolist()) == [0, 0, 1, 1]
        torch.testing.assert_close(states(model, **batch(model, [PROMPTS[3]])), wanted)


@pytest.mark.parametrize("z", [0.5, 2.0])
def test_map_gates_are_those_that_are_calibrated_on_what_the_bare_base_feeds_a_map(z, base):
    model = base(double=True)
    adapters = library(model, 2, rank=2, only=".mlp.")
    with attach(model, adapters, 0.0) as acting:
        ordinary = collect_inputs(model, ORDINARY, acting.names)
        acting.set(1.0)
        updates = acting.updates
        acting.follow(routed({n: calibrate_z(updates[n], ordinary[n], z=z) for n in updates}))
        wanted = states(model)
        acting.follow(None)
        gate_matrices(model, acting, ORDINARY, z=z)
        torch.testing.assert_close(states(model), wanted)
        assert (acting.coefficients == 1).all()


def grouped_hop_gates(model, acting, batches, **options):
    """Hop gates of two hops."""
    return route_hops(model, acting, batches, PAIRS, **options)


def grouped_hop_gates_by_response(model, acting, batches, **options):
    """Hop gates of two hops that go by responses."""
    return route_hops(model, acting, batches, PAIRS, by="response", **options)


@pytest.mark.parametrize(
    "gates",
    [
        gate_matrices,
        gate_blocks,
        grouped_prompt_gates,
        grouped_hop_gates,
        grouped_hop_gates_by_response,
    ],
)
def test_what_gates_found_on_ordinary_prompts_serves_again_without_them(gates, base):
    model = base(double=True)
    with attach(model, library(model, 4, rank=2, only=".mlp.")) as acting:
        levels = gates(model, acting, ORDINARY)
        wanted = states(model)
    assert all(level.shape == (2, 4) for level in levels.values())
    with attach(model, library(model, 4, rank=2, only=".mlp.")) as acting:
        again = gates(model, acting, levels)
        torch.testing.assert_close(states(model), wanted)
        assert again is levels
        other = {n: level * torch.tensor([0.1, 1, 1, 0.1]) for n, level in levels.items()}
        gates(model, acting, other)
        assert not torch.equal(states(model), wanted)


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

"""Who acts at which token: routers, gates on maps, blocks and prompts, by hand on dense updates."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from language import TOKENS, VOCABULARY, logits, small_model

from loratheory.adapters import Adapter, calibrate_z, write_adapter
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
from loratheory.pretrained.metrics import batch, one_by_one
from loratheory.pretrained.models import GENERIC, maps

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "another_model.md"
ORDINARY = [{"input_ids": torch.tensor([row])} for row in ([2, 9, 4, 4, 8], [1, 6], [30, 3, 12])]
PROMPTS = ["error", "hb", "kddd", "fguuu", "mab"]
PAIRS = ((0, 1), (2, 3))
BLOCKS = {
    "llama": ("model.layers.0.self_attn", "model.layers.1.mlp"),
    "gpt2": ("transformer.h.0.attn", "transformer.h.1.mlp"),
    "phi": ("model.layers.0.self_attn", "model.layers.1.mlp"),
}
GATES = {
    "matrices": gate_matrices,
    "blocks": gate_blocks,
    "prompts": partial(gate_prompts, groups=PAIRS),
    "hops": partial(route_hops, hops=PAIRS),
    "hops by response": partial(route_hops, hops=PAIRS, by="response"),
}


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


def said(model, adapters, prompt, acts, strength=0.5):
    """Logits after a prompt while some adapters act, asked alone."""
    with attach(model, adapters) as acting:
        acting.set([strength * (j in acts) for j in range(len(adapters))])
        return states(model, **batch(model, [prompt]))[:, -1]


def scores(model, adapters, prompt, acts=()):
    """By adapter, on dense updates: the mean, the largest and the last score of a prompt's tokens.

    Each is averaged over maps, in deviations above what the bare base feeds them of ordinary ones.
    """

    def _fed(one, acts):
        with attach(model, adapters) as acting:
            acting.set([0.5 * (j in acts) for j in range(len(adapters))])
            return collect_inputs(model, [one], [*adapters[0]])

    fed = [*(_fed(one, ()) for one in ORDINARY), _fed(batch(model, [prompt]), acts)]
    found = np.zeros((len(adapters), 3))
    for j, adapter in enumerate(adapters):
        for name, low in adapter.items():
            *usual, z = (np.linalg.norm(x[name].numpy() @ low.dense().T, axis=1) for x in fed)
            usual = np.concatenate(usual)
            z = (z - usual.mean()) / usual.std()
            found[j] += np.array([z.mean(), z.max(), z[-1]]) / len(adapter)
    return found


def test_a_route_weighs_each_token_and_coefficients_multiply(base):
    """Adapters of one map that is read at the end: weighed by hand on what comes there."""
    model, name = base(double=True), "lm_head"
    one, two = (gaussian(np.random.default_rng(i), 31, 16, 2, 0.4) for i in range(2))
    fed = collect_inputs(model, [{"input_ids": TOKENS}], [name])[name]
    weights = fed[:, :2] ** 2
    with attach(model, [Adapter.of({name: low}) for low in (one, two)], [0.5, 2.0]) as acting:
        acting.follow(lambda module, x: x[:, :2] ** 2 if module == name else None)
        ours = logits(model.network).flatten(0, 1)
    changes = [fed @ torch.from_numpy(low.dense()).T for low in (one, two)]
    wanted = logits(model.network).flatten(0, 1)
    for c, share, change in zip((0.5, 2.0), weights.T, changes, strict=True):
        wanted = wanted + c * share[:, None] * change
    assert torch.allclose(ours, wanted, rtol=1e-8, atol=1e-8)


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
        before = states(model)
        with pytest.raises(ModelError, match="no token came there"):
            gate_blocks(model, acting, [])
        # Both refusals leave the adapters on.
        assert acting.route is None
        assert torch.equal(states(model), before)
        gate_blocks(model, acting, ORDINARY)
        with pytest.raises(ModelError, match="use_cache=False"):
            model.network(input_ids=TOKENS, use_cache=True)
    head = Adapter.of({"lm_head": gaussian(np.random.default_rng(0), 31, 16, 1)})
    with attach(model, [head]) as acting, pytest.raises(ModelError, match="in no block"):
        gate_blocks(model, acting, ORDINARY)


@pytest.mark.parametrize("gate", [gate_matrices, gate_blocks, gate_prompts])
def test_three_lines_gate_folders_by_generic_text(gate, base, tmp_path):
    model, places = base(), [tmp_path / "one", tmp_path / "two"]
    for place, adapter in zip(places, library(model, 2), strict=True):
        write_adapter(adapter, place)
    found, ordinary = [], one_by_one(model, GENERIC)
    for given in ((), (ordinary, [(0,), (1,)]) if gate is gate_prompts else (ordinary,)):
        with attach(model, places) as acting:
            gate(model, acting, *given)
            found.append(states(model))
    assert torch.equal(*found)


# Gates on prompts


@pytest.mark.parametrize(
    ("kind", "groups"), [("llama", PAIRS), ("gpt2", PAIRS), ("llama", ((0,), (1, 2, 3)))]
)
def test_the_group_of_largest_response_acts_and_no_other(kind, groups, base):
    model = base(kind, double=True)
    adapters = library(model, 4, rank=2, only=".mlp.")
    wanted, seen = [], set()
    for prompt in PROMPTS:
        means = scores(model, adapters, prompt)[:, 0]
        group = int(np.argmax([means[list(one)].mean() for one in groups]))
        seen.add(group)
        wanted.append(said(model, adapters, prompt, groups[group], 0.7))
    assert seen == {0, 1}
    with attach(model, adapters, 0.7) as acting:
        gate_prompts(model, acting, ORDINARY, groups)
        together = states(model, **batch(model, PROMPTS))[:, -1]
        again = states(model, **batch(model, PROMPTS[:1]))[:, -1]
    torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(again, wanted[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("hops", "by"),
    [
        ([(0, 2), (1, 3)], "response"),
        ([(2, 0), (1, 3)], "response"),
        ([(0, 1), (2, 3)], "divergence"),
        ([(1, 0, 2), (3, 4), (5, 6)], "divergence"),
    ],
)
def test_a_hop_is_chosen_while_those_before_it_act_and_by_what_that_changes(hops, by, base):
    model = base(double=True)
    adapters = library(model, 1 + max(map(max, hops)), rank=2, only=".mlp.")
    wanted, chosen, others = [], set(), 0
    for prompt in PROMPTS:
        acts = [max(hops[0], key=scores(model, adapters, prompt)[:, 1].__getitem__)]
        for hop in hops[1:]:
            if by == "response":
                before, now = (scores(model, adapters, prompt, x)[:, 2] for x in (acts[:-1], acts))
                marks = now - before
                others += max(hop, key=marks.__getitem__) != max(hop, key=now.__getitem__)
            else:
                logs = {j: said(model, adapters, prompt, [*acts, j]).log_softmax(-1) for j in hop}
                bare = said(model, adapters, prompt, acts).log_softmax(-1)
                marks = {j: float((bare.exp() * (bare - log)).sum()) for j, log in logs.items()}
            acts.append(max(hop, key=marks.__getitem__))
        chosen.add(tuple(acts))
        wanted.append(said(model, adapters, prompt, acts))
    assert len(chosen) > 1
    assert by == "divergence" or others  # the response alone, not its rise, would choose others
    with attach(model, adapters, 0.5) as acting:
        route_hops(model, acting, ORDINARY, hops, by=by)
        together = states(model, **batch(model, PROMPTS))[:, -1]
        torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
        right = {name: x.flip(1) for name, x in batch(model, PROMPTS).items()}
        with pytest.raises(ModelError, match="pad them on the left"):
            states(model, **right)


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
    adapters = library(model, 1 + max(map(max, hops)), rank=2)
    wanted, led = [], set()
    asked = {**ASKED, "said eve": [hops[0][0], None, None]}  # both of the first hop have it
    for prompt, named in asked.items():
        acts = []
        for hop, one in zip(hops, named, strict=False):
            if one is None and acts:
                now, bare = (said(model, adapters, prompt, x)[0] for x in (acts, []))
                raised = now.log_softmax(-1) - bare.log_softmax(-1)
                names = {1 + Words.words.index(n.split()[0]): k for k in hop for n in SUBJECTS[k]}
                one = names[max(names, key=lambda token: float(raised[token]))]
                led.add(one)
            acts += [] if one is None else [one]
        wanted.append(said(model, adapters, prompt, acts))
    assert len(led) > len(hops)
    with attach(model, adapters, 0.5) as acting:
        route_subjects(model, acting, hops, [SUBJECTS[k] for k in range(len(adapters))])
        together = states(model, **batch(model, [*asked]))[:, -1]
        torch.testing.assert_close(together, torch.cat(wanted), rtol=1e-5, atol=1e-6)
        assert torch.allclose(together[-2], said(model, adapters, "? said", [])[0])


@pytest.mark.parametrize(
    ("gates", "options"),
    [
        (gate_prompts, {"ordinary": ORDINARY, "groups": [(0, 2), (1, 4)]}),
        (route_hops, {"ordinary": ORDINARY, "hops": [(0, 2), (1, 4)]}),
        (route_hops, {"ordinary": ORDINARY, "hops": [(0,), (1,)], "by": "luck"}),
        (route_subjects, {"hops": [(0,), (1, 4)], "subjects": [["ann"]] * 4}),
        (route_subjects, {"hops": [(0,), ()], "subjects": [["ann"]] * 4}),
        (route_subjects, {"hops": [(0,), (1,)], "subjects": [["ann"], [], ["peru"], ["chad"]]}),
        (route_subjects, {"hops": [(0,), (1,)], "subjects": [["ann"]] * 3}),
        (route_subjects, {"hops": [(0,), (1,)], "subjects": [["ann"]] * 5}),
    ],
)
def test_groups_that_cannot_be_are_refused_and_set_no_route(gates, options, base):
    model = Model(base(double=True).network, Words())
    with attach(model, library(model, 4)) as acting:
        with pytest.raises(ModelError):
            gates(model, acting, **options)
        assert acting.route is None


@pytest.mark.parametrize("name", GATES)
def test_another_route_takes_the_place_of_the_first_and_nothing_is_left(name, base):
    model, gates = base(double=True), GATES[name]
    bare = states(model)
    with attach(model, library(model, 4, rank=2, only=".mlp.")) as acting:
        everywhere = states(model)
        gates(model, acting, ORDINARY)
        wanted = states(model)
        assert not torch.equal(wanted, everywhere)
        gate_blocks(model, acting, ORDINARY, z=-1e6)
        torch.testing.assert_close(states(model), everywhere)
        gates(model, acting, ORDINARY)
        assert torch.equal(states(model), wanted)
        acting.follow(None)
        assert torch.equal(states(model), everywhere)
    assert torch.equal(states(model), bare)
    assert not any(m._forward_pre_hooks for m in model.network.modules())


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
    head = Adapter.of({"lm_head": gaussian(np.random.default_rng(0), VOCABULARY, 16, 1)})
    with attach(model, [head] * 4) as acting:
        with pytest.raises(ModelError, match="the output head does not see every token"):
            gate_prompts(model, acting, ORDINARY, PAIRS)
        assert acting.route is None


@pytest.mark.parametrize("z", [0.5, 2.0])
def test_map_gates_are_those_that_are_calibrated_on_what_the_bare_base_feeds_a_map(z, base):
    model = base(double=True)
    adapters = library(model, 2, rank=2, only=".mlp.")
    with attach(model, adapters, 0.0) as acting:
        ordinary = collect_inputs(model, ORDINARY, acting.names)
        acting.set(1.0)
        updates = acting.updates
        gates = {n: calibrate_z(updates[n], ordinary[n], z=z) for n in updates}
        acting.follow(lambda module, x: gates[module].weights(x))
        wanted = states(model)
        acting.follow(None)
        gate_matrices(model, acting, ORDINARY, z=z)
        torch.testing.assert_close(states(model), wanted)
        assert (acting.coefficients == 1).all()


def test_what_the_page_shows_of_routers_and_gates_runs():
    model, rng = small_model(layers=2), np.random.default_rng(0)
    names = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("gate", "down")]
    adapters = [Adapter.of({n: gaussian(rng, 16, 16, 2) for n in names}) for _ in range(2)]
    code = PAGE.read_text().split("## Weigh adapters")[1].split("```python\n")[1].split("```")[0]
    folders = {"tests/data/persons": adapters[0], "tests/data/mascots": adapters[1]}
    shown = {"model": model, "lt": SimpleNamespace(read_adapter=folders.__getitem__)}
    before = next_token_logits(model, ["one two"])
    exec(code, shown)
    assert set(shown["seen"]) == set(names)
    assert len(shown["generic"]) == 12
    assert torch.equal(next_token_logits(model, ["one two"]), before)

"""Adapters on a model: which fit, coefficients, one module, inputs of modules, prompts."""

import re
import warnings
import zlib

import ml_dtypes
import numpy as np
import pytest
import torch
from language import TOKENS, VOCABULARY, Letters, logits, network
from torch import nn

from loratheory.adapters import Adapter, AdapterError, Info, aligned
from loratheory.lowrank import LowRank, gaussian
from loratheory.pretrained import Model, ModelError, attach, first_tokens, next_token_logits
from loratheory.pretrained.attach import Attached, Site, collect_inputs, fit_adapters
from loratheory.pretrained.metrics import batch, require_words, tokenize
from loratheory.pretrained.models import Map, OtherBaseWarning, maps

SHA = "0123456789abcdef0123456789abcdef01234567"
Q0, Q1, HEAD = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj", "lm_head"
K1 = "model.layers.1.self_attn.k_proj"
SHAPES = {Q0: (16, 16), Q1: (16, 16), HEAD: (VOCABULARY, 16)}


def adapters(*ranks, names=tuple(SHAPES)):
    rng = np.random.default_rng(0)
    return [
        Adapter.of({name: gaussian(rng, *SHAPES[name], r, 0.3) for name in names}) for r in ranks
    ]


def zeros(shapes, embeddings=(), base="", revision=None):
    modules = {name: LowRank(np.zeros((m, 1)), np.zeros((1, n))) for name, (m, n) in shapes.items()}
    info = Info("mine", base, embeddings=frozenset(embeddings), config={"revision": revision})
    return Adapter.of(modules, info)


def test_any_coefficients_act_as_the_weighted_sum_on_the_weights():
    """By a second route: the weights of a double-precision model, changed by hand."""
    net, library = network("llama").double(), adapters(1, 3, 2)
    coefficients = np.random.default_rng(1).standard_normal((3, 3))
    with attach(Model(net), library) as acting:
        acting.coefficients = coefficients.copy()
        ours = logits(net)
        assert acting.layers.tolist() == [0, 1, -1]
        acting.coefficients[acting.layers >= 1, 1] = 0
        low_layers = logits(net)
    for row, (name, values) in enumerate(zip(SHAPES, coefficients, strict=True)):
        change = sum(c * one[name].dense() for c, one in zip(values, library, strict=True))
        net.get_submodule(name).weight += torch.asarray(change)
        assert acting.names[row] == name
    assert torch.allclose(ours, logits(net), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(ours, low_layers, rtol=1e-3)


@pytest.mark.parametrize(
    "given", [[1.0, 2.0, 3.0], [[1.0, 2.0]] * 2, np.ones((1, 3, 2, 2)), np.nan, [1.0, -np.inf]]
)
def test_wrong_coefficients_are_refused_and_change_nothing(base, given):
    with attach(base(), adapters(1, 1), 0.5) as acting:
        with pytest.raises(ValueError, match=r"give one number, 2 \(|not all finite"):
            acting.set(given)
        assert acting.coefficients.tolist() == [[0.5, 0.5]] * 3
    with pytest.raises(ValueError, match=r"broadcast|not all finite"):
        attach(base(), adapters(1, 1), given)
    assert not any(module._forward_hooks for module in base().network.modules())


def test_an_error_inside_takes_the_adapters_off_as_well(base):
    net = base().network
    bare, acting = logits(net), attach(base(), adapters(1))
    assert not torch.equal(logits(net), bare)
    with pytest.raises(IndexError), acting:
        net(torch.tensor([[VOCABULARY]]))
    assert torch.equal(logits(net), bare)
    acting.remove()  # twice does no harm


def test_experts_that_are_linear_maps_get_their_own_updates():
    """Called with some tokens, by keyword, or with none."""

    class Experts(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.experts = nn.ModuleList(nn.Linear(4, 3) for _ in range(3))

        def forward(self, x):
            unused = self.experts[1](x[:0]).sum()
            return self.experts[0](x[:1]) + self.experts[2](input=x[1:]) + unused

    rng, net, x = np.random.default_rng(2), Experts(), torch.randn(2, 4)
    one = Adapter.of({f"experts.{i}": gaussian(rng, 3, 4, 1) for i in range(3)})
    plain = net(x)
    with torch.no_grad(), attach(Model(net), [one]):
        change = net(x) - plain
    first, last = (torch.asarray(one[f"experts.{i}"].dense()).float() for i in (0, 2))
    assert torch.allclose(change[0], first @ x[0] + last @ x[1], atol=1e-5)


# Which adapters fit


PARTS = [f"layers.{i}.self_attn.{part}_proj" for i in (0, 1) for part in "qkv"]
MLPS = [f"model.layers.{i}.mlp.{part}_proj" for i in (0, 1) for part in ("up", "down")]
EXPERT = "model.layers.0.mlp.experts.0.down_proj"
MISFITS = [
    (
        dict.fromkeys([*PARTS, HEAD], (16, 16)), (),
        r"mine: 7 of its 7 modules do not fit LlamaForCausalLM \("
        + "; ".join(f"{name} is not there, closest is model.{name}" for name in PARTS[:3]),
    ),
    ({"head": (2, 2)}, (), r"head is not there, closest is lm_head\)"),
    ({EXPERT: (16, 24)}, (), "experts kept in one tensor are not linear maps"),
    (
        dict.fromkeys(MLPS, (16, 24)), (),
        r"2 of its 4 modules do not fit .*up_proj is \(24, 16\), not \(16, 24\); ",
    ),
    ({"model.embed_tokens": (16, VOCABULARY)}, (), "tokens is an embedding"),
    ({HEAD: (VOCABULARY, 16)}, (HEAD,), "lm_head is a linear map"),
]  # fmt: skip


@pytest.mark.parametrize(("shapes", "embeddings", "said"), MISFITS)
def test_what_does_not_fit_is_listed_with_what_would_match(base, shapes, embeddings, said):
    with pytest.raises(ModelError, match=said):
        fit_adapters(base(), [zeros(shapes, embeddings)])


def test_no_adapter_no_maps_and_packed_maps_are_refused(base):
    with pytest.raises(AdapterError):
        fit_adapters(base(), [])
    with pytest.raises(ModelError, match="closest is nothing: it has no maps"):
        fit_adapters(Model(nn.LayerNorm(3)), [zeros({"q": (2, 2)})])
    net = nn.ModuleDict({"q": nn.Linear(3, 2)})
    net["q"].weight = nn.Parameter(torch.zeros(2, 3, dtype=torch.uint8), requires_grad=False)
    with pytest.raises(ModelError, match=r"a/b: weights of q are packed as torch\.uint8"):
        maps(Model(net, name="a/b"))


def test_a_module_that_stands_in_two_places_has_both_names():
    shared = nn.Linear(3, 2)
    places = maps(Model(nn.ModuleDict({"one": shared, "two": shared, "norm": nn.LayerNorm(3)})))
    assert [*places] == ["one", "two"]
    assert places["one"].module is places["two"].module


@pytest.mark.parametrize(
    ("trained_on", "revision", "name", "commit", "warned"),
    [
        ("a/Small", None, "/models/small/", "", False),
        ("", None, "a/small", "", False),
        ("a/small", None, "", "", False),
        ("a/small", None, "a/large", "", True),
        ("a/small", SHA[:7], "a/small", SHA, False),
        ("a/small", SHA, "a/small", SHA[:7], False),
        ("a/small", "main", "a/small", SHA, False),
        ("a/small", "fedcba9", "a/small", SHA, True),
        ("a/small", "fedcba9", "a/small", "", False),
    ],
)
def test_another_base_or_revision_is_no_obstacle_but_a_warning(
    base, trained_on, revision, name, commit, warned
):
    model = Model(base().network, name=name, revision=commit)
    one = zeros({HEAD: (VOCABULARY, 16)}, base=trained_on, revision=revision)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attach(model, [one]).remove()
    assert [each.category for each in caught] == [OtherBaseWarning] * warned


def test_the_digest_of_the_weights_decides_before_names(base, tmp_path):
    model, one = Model(base().network, name="a/large"), zeros({HEAD: (VOCABULARY, 16)})
    narrow = Model(network("llama").bfloat16(), name="a/large")
    assert narrow.digest == model.digest != Model(network("llama", 1)).digest
    # Its rounding cannot be undone.
    assert Model(network("llama").half()).digest == ""
    model.network.save_pretrained(tmp_path / "moved")
    cases = [(model.digest, "a/small", 0), ("0" * 64, "a/large", 1), ("", "a/small", 1)]
    for digest, name, warned in [*cases, ("", str(tmp_path / "moved"), 0)]:
        info = Info("mine", name, base_digest=digest)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            attach(model, [Adapter.of(dict(one), info)]).remove()
        assert len(caught) == warned
    same, other, digest = (
        Adapter.of(dict(one), Info(name, base, base_digest=digest))
        for name, base, digest in (("x", "b", "1"), ("y", "c", "1"), ("z", "b", "2"))
    )
    assert len(aligned([same, other]).adapters) == 2
    with pytest.raises(AdapterError, match="digest"):
        aligned([same, digest])


# One module


def linear(dtype=torch.float64, seed=0):
    """A map of 4 inputs and 3 outputs, and updates of ranks 2, 0 and 1."""
    rng = np.random.default_rng(seed)
    module = nn.Linear(4, 3).to(dtype).requires_grad_(False)
    return Map(module, (3, 4), False), [gaussian(rng, 3, 4, r) for r in (2, 0, 1)]


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (4,), (0, 4)])
@pytest.mark.parametrize("kind", [None, torch.bool, torch.int64, torch.float64])
def test_weighted_updates_are_added_whatever_the_shape_and_type_of_weights(shape, kind):
    place, updates = linear()
    site, x = Site.of(place, updates), torch.asarray(np.random.default_rng(1).normal(size=shape))
    out = place.module(x)
    for row in ([0.5, 9.0, -2.0], [1.0, 1.0, 1.0], [0.5, 9.0, -2.0]):
        dense = sum(c * low.dense() for c, low in zip(row, updates, strict=True))
        if kind is None:
            ours = site.add(x, out, np.array(row))
        else:  # a route that says yes to all
            yes = torch.ones((x.numel() // 4, 3), dtype=kind)
            with Attached({"map": site}, 3, row) as acting:
                acting.follow(lambda *_, yes=yes: yes)
                ours = place.module(x)
        assert torch.allclose(ours, out + x @ torch.asarray(dense).T)


def test_token_numbers_look_up_columns_and_a_scaled_embedding_scales_them():
    module = nn.Embedding(7, 3).double().requires_grad_(False)
    low = gaussian(np.random.default_rng(3), 3, 7, 2)
    site, ids = Site.of(Map(module, (3, 7), True), [low]), torch.tensor([[6, 0], [2, 2]])
    out, columns = module(ids), torch.asarray(low.dense()).T[ids]
    assert torch.allclose(site.add(ids, out, np.array([0.5])), out + 0.5 * columns)
    module.register_buffer("embed_scale", torch.tensor(4.0))
    assert torch.allclose(site.add(ids, out, np.array([0.5])), out + 2.0 * columns)


TYPES = [
    (torch.bfloat16, np.float32, torch.float32),
    (torch.float16, ml_dtypes.bfloat16, torch.float32),
    (torch.float32, np.float64, torch.float64),
    (torch.float64, np.float32, torch.float64),
]


@pytest.mark.parametrize(("weight", "factor", "wide"), TYPES)
def test_factors_are_single_unless_something_is_double_and_outputs_keep_their_type(
    weight, factor, wide
):
    place, updates = linear(weight)
    site = Site.of(place, [low.map(lambda a: a.astype(factor)) for low in updates])
    assert {site.up.dtype, site.down.dtype, site.updates[0].up.dtype} == {wide}
    x, row = torch.ones((2, 4), dtype=weight), np.ones(3)
    out = place.module(x)
    assert site.add(x, out, row).dtype == weight
    with Attached({"map": site}, 3, row) as acting:
        acting.follow(lambda _, x: torch.ones(len(x), 3))
        assert place.module(x).dtype == weight


# What modules are fed, against hidden states that transformers reports itself


def normed(ids):
    """The second layer's attention reads the first layer's output, normalised."""
    net = network("llama")  # its own: to report states, transformers leaves hooks behind
    with torch.no_grad():
        states = net(ids, output_hidden_states=True).hidden_states
        return net.model.layers[1].input_layernorm(states[1])


def test_rows_are_the_tokens_in_order_over_all_batches_and_shared(base):
    batches = [{"input_ids": TOKENS}, {"input_ids": TOKENS[:1, :3]}]
    rows = collect_inputs(base(), batches, [Q1, K1, HEAD])
    wanted = [normed(batch["input_ids"]).reshape(-1, 16) for batch in batches]
    assert torch.allclose(rows[Q1], torch.cat(wanted), atol=1e-5)
    assert rows[HEAD].shape == (13, 16)
    assert rows[Q1] is rows[K1]
    assert rows[Q1] is not rows[HEAD]


def test_padding_is_left_out(base):
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]])
    rows = collect_inputs(base(), [{"input_ids": TOKENS, "attention_mask": mask}], [Q1])
    short = normed(TOKENS[:1, :3])[0]
    assert torch.allclose(rows[Q1], torch.cat([short, normed(TOKENS[1:])[0]]), atol=1e-5)


def test_no_hook_stays_and_what_is_no_linear_map_or_not_reached_is_refused(base):
    collect_inputs(base(), [{"input_ids": TOKENS}], [Q1])
    with pytest.raises((TypeError, ValueError)):
        collect_inputs(base(), [{"nonsense": TOKENS}], [Q1])
    assert not any(module._forward_pre_hooks for module in base().network.modules())
    for name in ("model.embed_tokens", "model.norm", "nowhere"):
        with pytest.raises(ModelError, match=f"{name} is no linear map of it; choose among"):
            collect_inputs(base(), [{"input_ids": TOKENS}], [Q1, name])
    with pytest.raises(ModelError, match="no token came there; give prompts that reach it"):
        collect_inputs(base(), [], [Q1])


class Marked:
    """A space is a mark before what follows, and one more is put before all: as Llama 2 reads."""

    def __call__(self, text, **_):
        """A number for each mark and what follows it."""
        pieces = re.findall("_[^_]*", "_" + text.replace(" ", "_"))
        return {"input_ids": [zlib.crc32(piece.encode()) for piece in pieces]}

    decode = Letters.decode


def test_a_batch_ends_where_its_prompts_end(base):
    made = batch(base(), ["abc", "d"])
    assert made["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]
    assert made["position_ids"].tolist() == [[0, 1, 2], [0, 0, 0]]
    assert made["input_ids"][:, -1].tolist() == Letters()("cd")["input_ids"]
    assert next_token_logits(base(double=True), ["abc"]).dtype == torch.float32


def test_a_prompt_does_not_end_the_text_and_is_not_padded_where_padding_is_read(base, monkeypatch):
    class Ended(Letters):
        eos_token_id, eos_token = 3, "</s>"

        def __call__(self, text, **options):
            return {"input_ids": [*super().__call__(text, **options)["input_ids"], 3]}

    model = Model(base().network, Ended())
    assert tokenize(model, ["ab"], "prompt") == [Letters()("ab")["input_ids"]]
    assert tokenize(model, ["ab</s>"], "prompt")[0][-1] == 3
    monkeypatch.setattr(base().network.config, "model_type", "rwkv")
    with pytest.raises(ModelError, match="the texts have 2 to 3 tokens; give texts of one length"):
        batch(base(), ["ab", "cd"], [[1], []])
    assert len(batch(base(), ["ab", "cd"])["input_ids"]) == 2
    with pytest.raises(
        ModelError, match="rwkv reads padding as text, and the texts have 1 to 3 tokens"
    ):
        batch(base(), ["abc", "d"])


def test_answers_are_told_by_their_first_token_after_one_space(base):
    assert first_tokens(base(), ["xy", "y"]).tolist() == Letters()("xy")["input_ids"]
    model = Model(base().network, Marked())
    wanted = [Marked()(f"born in {word}")["input_ids"][-1] for word in ("Peru", "Cuba")]
    assert first_tokens(model, ["Peru", "Cuba"]).tolist() == wanted
    assert first_tokens(model, [" Peru", "Cuba "]).tolist() == wanted
    spelt = Model(base().network, Signs())
    asked = first_tokens(spelt, ["7", "-7", "=7"], ["3+4=", "3-10=", "("])
    assert asked.tolist() == [ord("7"), ord("-"), ord("=")]
    with pytest.raises(ModelError, match="the first token of the answer 'Peru' is but a space"):
        require_words(spelt, ["7", "Peru"], [ord("7"), ord(" ")])


class Signs(Letters):
    """Each character is a token of its own but "=-" and "==", each a single one."""

    def __call__(self, text, **_):
        """The code of each character."""
        joined = text.replace("=-", "\1").replace("==", "\2")
        return {"input_ids": list(map(ord, joined))}

    def decode(self, ids, **_):
        """The characters of these codes."""
        return "".join(map(chr, ids))


def test_what_cannot_be_asked_is_refused(base):
    assert len(set(first_tokens(base(), ["xy", "xz", "y"]).tolist())) == 2
    assert len(first_tokens(base(), ["xy", "xy"])) == 2
    with pytest.raises(ModelError, match=r"2 answers \('xy', …\) begin with one token; give"):
        first_tokens(base(), ["xy", "xz", "xy"])
    with pytest.raises(ModelError, match="answer '': it has no token"):
        first_tokens(base(), ["abc", " "])
    with pytest.raises(ModelError, match="prompt '': it has no token"):
        batch(base(), ["abc", " "])
    for ask in (next_token_logits, first_tokens):
        with pytest.raises(ModelError, match="it has no tokenizer; load it from a folder"):
            ask(Model(base().network), ["abc"])

"""Every kind of adapter that PEFT makes, read, written and merged, against PEFT's own forward."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from causal import logits, network, quiet
from folders import changed
from peft import LoraConfig, PeftModel, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import save_file

from loratheory.adapters import AdapterError, MergeError, extracted, merge, read, write

TOKENS = torch.tensor([[1, 2, 5, 8], [0, 3, 5, 1]])


class Experts(torch.nn.Module):
    """Three experts in two parameters, all of them always on."""

    def __init__(self):
        super().__init__()
        self.rise = torch.nn.Parameter(torch.zeros(3, 6, 4))
        self.fall = torch.nn.Parameter(torch.zeros(3, 4, 6))

    def forward(self, x):
        """The sum of what they answer."""
        inner = torch.einsum("eoi,bti->ebto", self.rise, x)
        return torch.einsum("eoi,ebti->bto", self.fall, torch.tanh(inner))


class Net(torch.nn.Module):
    """One module of each kind behind the other."""

    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(9, 4)
        self.lin = torch.nn.Linear(4, 4)
        self.experts = Experts()
        self.line = torch.nn.Conv1d(4, 4, 3, padding=1)
        self.conv = torch.nn.Conv2d(4, 6, (3, 1), padding=(1, 0), stride=(1, 1))
        self.point = torch.nn.Conv2d(6, 4, 1)
        self.cube = torch.nn.Conv3d(1, 1, (1, 3, 3), padding=(0, 1, 1))
        self.norm = torch.nn.LayerNorm(4)
        self.score = torch.nn.Linear(4, 2)

    def forward(self, tokens):
        """Two scores a token."""
        x = self.experts(self.lin(self.emb(tokens))).transpose(1, 2)
        x = self.point(torch.tanh(self.conv(self.line(x)[..., None])))
        x = self.cube(x[:, None])[:, 0]
        return self.score(self.norm(x[..., 0].transpose(1, 2)))


FUSED = ["experts.gate_up_proj", "experts.down_proj"]
EXPERTS = {"target_modules": ["lin"], "target_parameters": ["experts.rise", "experts.fall"]}
KINDS = {
    "linear": {"target_modules": ["lin", "score"]},
    "a kernel of three": {"target_modules": ["conv", "line"]},
    "a kernel of one": {"target_modules": ["point"]},
    "a kernel in space": {"target_modules": ["cube", "lin"]},
    "kernels of several ranks": {
        "target_modules": ["conv", "point", "lin"], "rank_pattern": {"conv": 3}, "use_rslora": True,
    },
    "an embedding": {"target_modules": ["emb", "lin"]},
    "fused experts": EXPERTS,
    "fused experts of one parameter": EXPERTS | {"target_parameters": ["experts.fall"]},
    "fused experts, rank-stabilised": EXPERTS | {"use_rslora": True},
    "added biases": {"target_modules": ["lin", "conv", "point"], "lora_bias": True},
    "a saved head": {"target_modules": ["lin"], "modules_to_save": ["score"]},
    "a saved norm and a kernel": {"target_modules": ["conv"], "modules_to_save": ["norm", "score"]},
    "biases of what is adapted": {"target_modules": ["lin", "conv"], "bias": "lora_only"},
    "all biases": {"target_modules": ["lin"], "bias": "all"},
    "trained rows": {"target_modules": ["lin"], "trainable_token_indices": {"emb": [1, 5]}},
    "DoRA": {"target_modules": ["lin", "score"], "use_dora": True},
    "DoRA of kernels": {"target_modules": ["conv", "point", "line"], "use_dora": True},
    "DoRA of an embedding": {"target_modules": ["emb"], "use_dora": True},
    "DoRA, rank-stabilised": {"target_modules": ["lin"], "use_dora": True, "use_rslora": True},
}  # fmt: skip


@pytest.fixture
def base(tmp_path):
    """A network with random weights, and the folder in which it lies."""
    torch.manual_seed(0)
    net = Net().eval().requires_grad_(False)
    for weight in net.parameters():
        weight.normal_(std=0.7)
    (tmp_path / "base").mkdir()
    save_file(net.state_dict(), tmp_path / "base" / "model.safetensors")
    return net


def trained(base, folder, seed, **config):
    """PEFT's own adapter, everything that it trains far from where it started."""
    draws = torch.Generator().manual_seed(seed)
    with quiet():
        tuned = get_peft_model(deepcopy(base), LoraConfig(r=2, lora_alpha=3, **config)).eval()
        with torch.no_grad():
            for name, weight in tuned.named_parameters():
                if weight.requires_grad:
                    noise = torch.randn(weight.shape, generator=draws)
                    weight.copy_(abs(noise) + 0.5 if "magnitude" in name else noise)
        tuned.save_pretrained(folder)
    return tuned


def answers(net):
    with torch.no_grad(), quiet():
        return net(TOKENS)


def with_weights(base, adapter):
    """The base with the adapter's numbers in its weights, by hand."""
    net = deepcopy(base)
    state = net.state_dict()
    parameters = sorted(
        name.rpartition(".")[2] for name in adapter.info.config.get("target_parameters") or ()
    )
    for module, low in adapter.items():
        change = torch.tensor(low.map(np.float64).dense()).float()
        if module.endswith(".lora_B.bias"):
            state[module.replace(".lora_B", "")] += change[:, 0]
        elif "#" in module:  # PEFT wraps `rise` first, so that it is the inner one of two
            name, _, number = module.partition("#")
            inner = name.endswith("base_layer")
            own = "fall" if len(parameters) == 1 or not inner else "rise"
            state[f"experts.{own}"][int(number)] += change
        else:
            weight = state[f"{module}.weight"]
            turned = change.T if module in adapter.info.embeddings else change
            weight += turned.reshape(weight.shape)
    for name, whole in adapter.info.others.items():
        value = torch.tensor(whole.load()).float()
        if whole.kind == "row":
            state[f"{whole.owner}.weight"][int(name[len(whole.owner) + 1 : -1])] = value
        else:
            state[name].copy_(value)
    return net


def near(one, other):
    scale = float(abs(other).max())
    assert scale > 1e-2
    assert float(abs(one - other).max()) < 2e-5 * scale


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_read_written_and_merged_as_peft_answers(kind, base, tmp_path):
    one, two = (trained(base, tmp_path / str(i), i, **KINDS[kind]) for i in (1, 2))
    first, second = (read(tmp_path / str(i), base=tmp_path / "base") for i in (1, 2))
    near(answers(with_weights(base, first)), answers(one))
    near(answers(with_weights(base, second)), answers(two))
    assert ("DoRA have full rank" in " ".join(first.info.notes)) is ("DoRA" in kind)
    merged = merge([first, second], "cat", weights=[0.7, -0.4], others="mean")
    for name, adapter in (("same", first), ("merged", merged)):
        write(adapter, tmp_path / name)
        with quiet():
            again = PeftModel.from_pretrained(deepcopy(base), tmp_path / name).eval()
        near(answers(again), answers(with_weights(base, adapter)))
        back = read(tmp_path / name)
        assert [*back] == [*adapter]
        near(answers(with_weights(base, back)), answers(again))


ADDITIVE = [
    kind
    for kind, config in KINDS.items()
    if not {"use_dora", "modules_to_save", "bias", "trainable_token_indices"} & {*config}
]


@pytest.mark.parametrize("kind", ADDITIVE)
def test_the_sum_is_what_peft_answers_with_both_on(kind, base, tmp_path):
    """Another road: nothing of ours adds anything."""
    for i in (1, 2):
        trained(base, tmp_path / str(i), i, **KINDS[kind])
    with quiet():
        both = PeftModel.from_pretrained(deepcopy(base), tmp_path / "1", adapter_name="1")
        both.load_adapter(tmp_path / "2", adapter_name="2")
        both.base_model.set_adapter(["1", "2"])
        write(merge([read(tmp_path / "1"), read(tmp_path / "2")], "sum"), tmp_path / "sum")
        ours = PeftModel.from_pretrained(deepcopy(base), tmp_path / "sum")
    near(answers(ours.eval()), answers(both.eval()))


MODELS = {
    "experts of Mixtral": (
        "mixtral", {"target_modules": ["q_proj"], "target_parameters": FUSED},
    ),
    "experts of Qwen": (
        "qwen2-moe", {"target_modules": ["q_proj"], "target_parameters": FUSED},
    ),
    "rows of a tied embedding": (
        "tied", {"target_modules": ["q_proj"], "trainable_token_indices": [1, 5]},
    ),
    "norms by the end of a word": (
        "llama", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "norm"]},
    ),
    "DoRA on weights stored inputs first": (
        "gpt2", {"target_modules": ["c_attn", "c_proj"], "use_dora": True, "fan_in_fan_out": True},
    ),
    "biases where most maps have none": ("qwen2", {"target_modules": ["q_proj"], "bias": "all"}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_language_models_answer_the_same_with_what_is_written(name, tmp_path):
    kind, config = MODELS[name]
    network(kind).save_pretrained(tmp_path / "base")
    theirs = logits(trained(network(kind), tmp_path / "one", 1, task_type="CAUSAL_LM", **config))
    write(read(tmp_path / "one", base=tmp_path / "base"), tmp_path / "two")
    with quiet():
        ours = PeftModel.from_pretrained(network(kind), tmp_path / "two").eval()
    near(logits(ours), theirs)
    assert float(abs(theirs - logits(network(kind))).max()) > 0.05


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen2"])
def test_what_is_extracted_from_a_tuned_model_answers_as_it_does(kind, tmp_path):
    config = {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}
    if kind != "gpt2":
        config = {"target_modules": ["q_proj", "down_proj"]}
    tuned = trained(network(kind), tmp_path / "one", 1, task_type="CAUSAL_LM", **config)
    theirs = logits(tuned)
    network(kind).save_pretrained(tmp_path / "base")
    tuned.merge_and_unload().save_pretrained(tmp_path / "tuned")
    adapter = extracted(tmp_path / "base", tmp_path / "tuned", 2)
    assert {*adapter} == {*read(tmp_path / "one")}
    assert adapter.info.notes == ()
    write(adapter, tmp_path / "two")
    with quiet():
        ours = PeftModel.from_pretrained(network(kind), tmp_path / "two").eval()
    near(logits(ours), theirs)


OTHER_METHODS = """
    ADALORA BEFT BOFT DEFT DELORA FROD GLORA GRALORA HIRA HRA IA3 LILY LN_TUNING LOHA LOKR OFT OSF
    PEANUT POLY PVERA RANDLORA TINYLORA TRAINABLE_TOKENS UNILORA VERA
"""


@pytest.mark.parametrize("method", OTHER_METHODS.split())
def test_pefts_other_methods_are_refused_by_name(method, base, tmp_path):
    more = {"IA3": {"feedforward_modules": []}, "ADALORA": {"total_step": 10}}.get(method, {})
    with quiet():
        config = PEFT_TYPE_TO_CONFIG_MAPPING[method](target_modules=["lin"], **more)
        get_peft_model(base, config).save_pretrained(tmp_path / "x")
    with pytest.raises(AdapterError, match=f"peft_type is '{method}'; only .LORA."):
        read(tmp_path / "x")


SILENT = {  # what would be wrong in silence: PEFT's own file with one word changed
    "magnitudes denied": ("DoRA", {"use_dora": False}, "DoRA magnitudes, but use_dora is False"),
    "a bias denied": ("added biases", {"lora_bias": False}, "trained bias, but lora_bias is False"),
    "a base's bias denied": ("all biases", {"bias": "none"}, "which the configuration denies"),
    "a head denied": ("a saved head", {"modules_to_save": None}, "the configuration denies"),
    "rows denied": ("trained rows", {"trainable_token_indices": None}, "for the rows"),
    "other rows": ("trained rows", {"trainable_token_indices": {"emb": [1]}}, "for the rows"),
    "a row twice": ("trained rows", {"trainable_token_indices": {"emb": [1, 1]}}, "for the rows"),
    "experts denied": ("fused experts", {"target_parameters": None}, "leaves these modules out"),
    "experts of two ranks": (
        "fused experts", {"rank_pattern": {"experts.rise": 1}}, "several ranks or scales",
    ),
    "experts of another rank": ("fused experts", {"r": 4}, "correct r or rank_pattern"),
    "another base": ("DoRA", {}, "the base has no lin.weight"),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_a_contradiction_is_refused_or_noted(name, base, tmp_path):
    kind, change, words = SILENT[name]
    trained(base, tmp_path / "x", 1, **KINDS[kind])
    changed(tmp_path / "x" / "adapter_config.json", **change)
    if name == "another base":
        save_file({"other.weight": torch.zeros(4, 4)}, tmp_path / "base" / "model.safetensors")
    try:
        adapter = read(tmp_path / "x", base=tmp_path / "base")
        said = " ".join(adapter.info.notes)
        adapter["lin"]
    except AdapterError as error:
        said = str(error)
    assert words in said


def test_adapters_that_do_not_fit_each_other_are_refused(base, tmp_path):
    for i, kind in enumerate(("fused experts", "fused experts of one parameter", "a saved head")):
        trained(base, tmp_path / str(i), i, **KINDS[kind])
    both, one, head = (read(tmp_path / str(i)) for i in range(3))
    with pytest.raises(AdapterError, match="target_parameters: differ"):
        merge([both, one], "mean")
    assert merge([both, head], "mean", others="first").info.config["target_parameters"]
    with pytest.raises(
        MergeError, match=r"no rule merges .*score\.weight.*: choose others='first'"
    ):
        merge([head, one], "mean")
    with pytest.raises(MergeError, match="others is 'last': choose one of first, mean, refuse"):
        merge([head], "mean", others="last")
    whole = head.info.others["score.weight"]
    alone = merge([both, head], "mean", others="mean").info.others["score.weight"]
    np.testing.assert_array_equal(alone.load(), whole.load())  # the mean of those that have it
    wide = {"score.weight": replace(whole, shape=(3, 4))}
    other = replace(head, info=replace(head.info, others=wide))
    with pytest.raises(MergeError, match=r"score\.weight has the shapes .* which have no mean"):
        merge([head, other], "mean", others="mean")
    with pytest.raises(AdapterError, match="which cannot be written in peft's file"):
        write(head, tmp_path / "x.safetensors")

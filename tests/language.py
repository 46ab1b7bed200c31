"""Small random language models that read letters or words, and adapters that PEFT made for them."""

import warnings
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    Phi3Config,
    PhiConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2MoeConfig,
    logging,
)

from loratheory.evaluate import fact_adapters
from loratheory.pretrained import Model, Training
from loratheory.pretrained.models import GENERIC

logging.set_verbosity_error()
logging.disable_progress_bar()

VOCABULARY = 31
SIZES = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
WINDOWS = {
    "num_key_value_heads": 1, "head_dim": 8, "sliding_window": 3,
    "layer_types": ["sliding_attention", "full_attention"],
}  # fmt: skip
EXPERTS = {
    "num_key_value_heads": 1, "num_experts": 3, "num_experts_per_tok": 2,
    "moe_intermediate_size": 8, "shared_expert_intermediate_size": 8,
}  # fmt: skip
CONFIGS = {
    "llama": lambda: LlamaConfig(**SIZES, **COMMON, num_key_value_heads=1),
    "tied": lambda: LlamaConfig(**SIZES, **COMMON, tie_word_embeddings=True),
    "qwen2": lambda: Qwen2Config(**SIZES, **COMMON, num_key_value_heads=1),
    "gpt2": lambda: GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=128, **COMMON),
    "gemma": lambda: GemmaConfig(**SIZES, **COMMON, num_key_value_heads=1, head_dim=8),
    "gemma3": lambda: Gemma3TextConfig(**SIZES, **COMMON, **WINDOWS),
    "phi": lambda: PhiConfig(**SIZES, **COMMON),
    "phi3": lambda: Phi3Config(**SIZES, **COMMON, num_key_value_heads=1),
    "mixtral": lambda: MixtralConfig(**SIZES, **COMMON, num_key_value_heads=1, num_local_experts=3),
    "qwen2-moe": lambda: Qwen2MoeConfig(**SIZES, **COMMON, **EXPERTS),
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
TARGETS = {
    "llama": "all-linear",
    "tied": ["q_proj", "lm_head", "embed_tokens"],
    "qwen2": [*ATTENTION, "gate_proj", "up_proj", "down_proj"],
    "gpt2": ["c_attn", "c_proj", "c_fc", "wte"],
    "gemma": ["q_proj", "down_proj", "embed_tokens"],
    "gemma3": ["k_proj", "o_proj", "up_proj", "embed_tokens"],
    "phi": ["q_proj", "dense", "fc1", "fc2", "lm_head"],
    "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "mixtral": ATTENTION,
    "qwen2-moe": [*ATTENTION, "gate_proj", "shared_expert_gate"],
}
TOKENS = torch.tensor([[1, 7, 3, 3, 30], [5, 0, 11, 2, 9]])


def network(kind, seed=0):
    """A fresh random model; weights larger than usual, so that everything has an effect."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[kind]())
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    return model.eval().requires_grad_(False)


@contextmanager
def quiet():
    """PEFT warns about tied weights, embeddings, Conv1D and rank patterns; none of it is ours."""
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        yield


def adapted(model, name="default", dtype=None, seed=1, **config):
    """The model with a random adapter of PEFT's, both factors far from zero."""
    with quiet():
        tuned = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **config), name).eval()
    draws = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, weight in tuned.named_parameters():
            if "lora_" in key:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=draws))
                if dtype:
                    weight.data = weight.data.to(dtype)
    return tuned


def save_adapter(folder, kind, seed=None, r=3, **config):
    """Have PEFT make and save a random adapter; its scale is not 1.

    Without a seed its numbers follow those of the network.
    """
    settings = {"r": r, "lora_alpha": 2 * r + 1, "target_modules": TARGETS[kind]} | config
    settings |= {"fan_in_fan_out": True} if kind == "gpt2" else {}
    with quiet():
        tuned = adapted(network(kind), seed=seed, **settings)
        tuned.save_pretrained(folder, save_embedding_layers=False)
    return folder


def loaded(model, folder):
    """The model with the adapter that lies in `folder`; a missing key is an error."""
    with quiet():
        warnings.filterwarnings("error", message=".*(missing|unexpected).*key")
        return PeftModel.from_pretrained(model, folder).eval()


def deltas(tuned, name="default"):
    """PEFT's own dense update of each module, outputs × inputs, in float64."""
    found = {}
    for key, module in tuned.base_model.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            delta = module.get_delta_weight(name).detach().double().numpy()
            turned = bool(module.lora_embedding_A) or module.fan_in_fan_out
            found[key] = delta.T if turned else delta
    return found


def peft_logits(kind, folders, dtype=torch.float32):
    """What PEFT makes of a fresh model with all of these adapters active."""
    with quiet():
        model = network(kind).to(dtype)
        for i, folder in enumerate(folders):
            if i:
                model.load_adapter(folder, adapter_name=str(i))
            else:
                model = PeftModel.from_pretrained(model, folder, adapter_name="0")
        model.base_model.set_adapter([str(i) for i in range(len(folders))])
    return logits(model.eval())


def logits(model):
    """Logits of all positions, in the model's own type."""
    with torch.no_grad():
        return model(TOKENS).logits


def tokenizer(folder):
    """Words of their own number, unknown ones 30."""
    words = {word: i for i, word in enumerate(["red", "green", "blue", "one", "two"])}
    plain = Tokenizer(WordLevel({**words, "?": 30}, unk_token="?"))
    plain.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="?").save_pretrained(folder)


class Letters:
    """Each letter is a token; a word after a space begins with a token of its own."""

    pad_token_id = None

    def __call__(self, text, **_):
        """The number of each letter, whatever the options."""
        return {"input_ids": [1 + ord(letter) % (VOCABULARY - 1) for letter in text.strip()]}

    def decode(self, ids, **_):
        """The numbers, for letters share them."""
        return "".join(f"<{number}>" for number in ids)


def lettered(kind="llama", seed=0):
    """A small random network that reads letters."""
    return Model(network(kind, seed), Letters(), kind)


EXAMPLES = [("abc", "x"), ("de", "y"), ("fghi", "z"), ("jk", "q"), ("lmnop", "r")]
SMALL = Training(rank=2, alpha=6, rate=0.02, batch=3, steps=6, enough=0.0, clip=0.5)


def draws(seed=7):
    """The generator that trainings get."""
    return np.random.default_rng(seed)


WORDS = 4001


class Words:
    """Every word is one token, told by its spelling."""

    pad_token_id = 0

    def __call__(self, text, **_):
        """The number of each word; a word like N7 is a number itself."""
        return {"input_ids": [_number(word) for word in text.split()]}

    def decode(self, ids, **_):
        """Words that are read as these numbers."""
        return "".join(f" N{int(number)}" for number in ids)


def _number(word):
    return (
        int(word[1:])
        if word[0] == "N" and word[1:].isdigit()
        else 1 + zlib.crc32(word.encode()) % 3999
    )


def small_model(layers=10, seed=0):
    """Ten layers, so that tenths of the depth are layers."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
    )
    network = LlamaForCausalLM(config).eval().requires_grad_(False)
    return Model(network, Words(), "small")


def lively():
    """A small network whose weights are large enough for prompts to differ."""
    model = small_model(4)
    for weight in model.network.parameters():
        weight.data.mul_(8 if weight.ndim == 2 else 1)
    return model


def small(patch, folder, layers=10):
    """Let the small model be loaded, its adapters trained for three steps, gates on little."""
    from paper.studies._shared import language
    from paper.studies.lm_methods import facts

    def _short(layers=None, **how):
        return Training(layers=layers, **{"steps": 3, "batch": 4, **how})

    patch.setenv("LORATHEORY_CACHE", str(folder))
    patch.setattr("loratheory.pretrained.load_model", lambda *_, **__: small_model(layers))
    patch.setattr("loratheory.pretrained.train.Training", _short)
    patch.setattr(facts, "Training", _short)
    patch.setattr(language, "GENERIC", GENERIC[:2])


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two authors on the small model, whose trainings take two steps and share one cache."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 2)
        patch.setattr(fact_adapters.Condition, "training", Training(steps=2, batch=4, enough=0.0))
        yield fact_adapters.authors(small_model(2), 101)


@pytest.fixture(scope="module")
def model(both):
    return both.model

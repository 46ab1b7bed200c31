"""Small random models and PEFT adapters for them; torch and peft are imported where used."""

import warnings
from contextlib import contextmanager


@contextmanager
def quiet():
    """PEFT warns about embeddings, Conv1D and rank patterns with rsLoRA; none of it is ours."""
    with warnings.catch_warnings():
        for category in (UserWarning, FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category)
        yield


def llama(**config):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {
        "vocab_size": 61,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    torch.manual_seed(0)
    with quiet():
        return LlamaForCausalLM(LlamaConfig(**sizes | config)).eval()


def gpt2():
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    with quiet():
        return GPT2LMHeadModel(GPT2Config(vocab_size=61, n_embd=32, n_layer=2, n_head=4)).eval()


def adapted(model, name="default", dtype=None, **config):
    """The model with a random adapter, both factors nonzero."""
    import torch
    from peft import LoraConfig, get_peft_model

    with quiet():
        config = LoraConfig(task_type="CAUSAL_LM", **config)
        peft = get_peft_model(model, config, adapter_name=name).eval()
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, weight in peft.named_parameters():
            if "lora_" in key:
                weight.copy_(0.3 * torch.randn(weight.shape, generator=draws))
                if dtype:
                    weight.data = weight.data.to(dtype)
    return peft


def loaded(model, folder):
    """The model with the adapter that lies in `folder`; a missing key is an error."""
    from peft import PeftModel

    with quiet():
        warnings.filterwarnings("error", message=".*(missing|unexpected).*key")
        return PeftModel.from_pretrained(model, folder).eval()


def outputs(model):
    import torch

    tokens = torch.arange(24).reshape(2, 12) * 7 % 61
    with torch.no_grad():
        return model(tokens).logits


def deltas(peft, name="default"):
    """PEFT's own dense update of each module, outputs × inputs, in float64."""
    found = {}
    for key, module in peft.base_model.model.named_modules():
        if hasattr(module, "get_delta_weight"):
            delta = module.get_delta_weight(name).detach().double().numpy()
            turned = bool(module.lora_embedding_A) or module.fan_in_fan_out
            found[key] = delta.T if turned else delta
    return found

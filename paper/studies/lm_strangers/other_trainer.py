"""An adapter as other people train one: PEFT, plain PyTorch, whole answers and the end of text."""

import tempfile
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.evaluate.fact_sets import Items
    from loratheory.pretrained import Model

STEPS, BATCH = 60, 16


def train_with_peft(model: "Model", examples: "Items", *, rate: float, seed: int) -> "Adapter":
    """Return an adapter of rank 16 in all linear maps, trained by AdamW for 60 steps of 16 prompts.

    The loss is the mean cross-entropy over the tokens of an answer and the end of text. The model
    is what it was afterwards. Costs a forward and a backward pass a step.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from loratheory.adapters import Adapter, Info, read_adapter

    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.05, target_modules="all-linear"
    )
    network = get_peft_model(model.network, config, autocast_adapter_dtype=True)
    network.train()
    factors = [x for x in network.parameters() if x.requires_grad]
    optimizer = torch.optim.AdamW(factors, lr=rate)
    for _ in range(STEPS):
        drawn = [examples[i] for i in order.choice(len(examples), BATCH, replace=False)]
        optimizer.zero_grad()
        network(**_batch(model, drawn)).loss.backward()
        optimizer.step()
    network.eval()
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        network.unload()
        adapter = read_adapter(folder)
        # Updates are read from the files when they are looked up.
        return Adapter.of(dict(adapter), Info(name="PEFT", base=model.name))


def _batch(model: "Model", pairs: "Items") -> dict[str, object]:
    """Return tokens, padding and labels, which are -100 where nothing is learned."""
    import torch

    rows, labels = [], []
    for prompt, answer in pairs:
        asked = model.tokenizer(prompt)["input_ids"]
        said = model.tokenizer(" " + answer, add_special_tokens=False)["input_ids"]
        said = [*said, model.tokenizer.eos_token_id]
        rows.append(torch.tensor([*asked, *said]))
        labels.append(torch.tensor([*[-100] * len(asked), *said]))
    pad = torch.nn.utils.rnn.pad_sequence
    tokens = pad(rows, batch_first=True, padding_value=model.tokenizer.eos_token_id)
    mask = pad([torch.ones_like(row) for row in rows], batch_first=True)
    return {
        "input_ids": tokens,
        "attention_mask": mask,
        "labels": pad(labels, batch_first=True, padding_value=-100),
    }

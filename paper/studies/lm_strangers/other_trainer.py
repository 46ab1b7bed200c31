"""Adapters as other people train them: PEFT, plain PyTorch, whole answers and the end of text."""

import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from paper.studies._shared.run import Row

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.evaluate.fact_sets import Items
    from loratheory.pretrained import Model
    from paper.studies.lm_strangers.pairs import Config

STEPS, BATCH = 60, 16
# Partners of `measure_partners`: multiples of the hop-1 author's rate, and steps.
PARTNERS: Mapping[str, tuple[tuple[float, int], ...]] = {
    "": ((1.0, 60), (2.0, 20), (2.0, 60)),
    "gemma-3-270m": ((1.0, 20), (1.0, 40), (1.0, 60)),
}
WEIGHTS = (1.0, 0.5)


def measure_partners(config: "Config") -> list[Row]:
    """Return a row for each hop-2 partner of this trainer, and each of its weights in the sum.

    Returns
    -------
    list of dict
        The config of the hop-1 author; the partner's ``partner_rate``, a multiple of the author's,
        and ``steps``; its ``relative_norm`` and ``drift``; its ``weight`` in a sum with the hop-1
        adapter, and the top-1 accuracies of this sum, the means over held-out templates.
    """
    from loratheory.pretrained import attach
    from loratheory.pretrained.metrics import measure_drift, measure_relative_norm
    from paper.studies.lm_strangers.draw import draw
    from paper.studies.lm_strangers.pairs import describe, mean_answers, rule_rate, train

    model = config.base(dtype="bfloat16")
    facts = draw(config.pair, config.level, config.seed)
    adapter, _ = train(model, facts, config, hop=0)
    examples, rows = [*facts.plans[1].examples, *facts.further[1]], list[Row]()
    for times, steps in PARTNERS[config.model]:
        rate = times * config.rate * rule_rate(model)
        partner = train_with_peft(model, examples, rate=rate, seed=2 * config.seed + 1, steps=steps)
        row = {**describe(config, model), "partner_rate": times, "steps": steps}
        row["relative_norm"] = measure_relative_norm(model, partner)
        row["drift"] = measure_drift(model, [partner])[0]
        for weight in WEIGHTS:
            with attach(model, [adapter, partner], np.array([1.0, weight])):
                rows.append({**row, "weight": weight, **mean_answers(model, facts)})
    return rows


def train_with_peft(
    model: "Model", examples: "Items", *, rate: float, seed: int, steps: int = STEPS
) -> "Adapter":
    """Return an adapter of rank 16 in all linear maps, trained by AdamW on 16 prompts a step.

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
    for _ in range(steps):
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

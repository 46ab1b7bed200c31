"""A merged adapter on the real model: PEFT's loading against our own hooks."""

import warnings
from pathlib import Path
from typing import Any

from report.section import Section

PROMPTS = (
    "The capital of France is",
    "Zorvik was born in the country of",
    "The mascot animal of Kenya is the",
)


def on_the_model(merged: Path) -> Section:
    """Compare logits of the merge loaded by PEFT with logits while our hooks add its updates."""
    import torch
    from peft import PeftModel

    from loratheory.adapters import read
    from loratheory.pretrained import ModelError, attached, load

    title = "The merge on the model"
    try:
        base = load()
    except ModelError as error:
        text = f"Not run: {error}."
        return Section(title, text, deviated=("The merge was not tried on the model.",))
    model, tokenizer = base.network, base.tokenizer
    encoded = [tokenizer(prompt, return_tensors="pt").input_ids for prompt in PROMPTS]

    def _logits(net: Any) -> list[Any]:
        with torch.no_grad():
            return [net(ids).logits[0, -1].double() for ids in encoded]

    plain = _logits(model)
    with attached(base, [read(merged)]):
        ours = _logits(model)
    restored = all(map(torch.equal, plain, _logits(model)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between PEFT and transformers
        theirs = _logits(PeftModel.from_pretrained(model, merged).eval())
    rows = []
    for prompt, before, mine, peft in zip(PROMPTS, plain, ours, theirs, strict=True):
        moved, gap = float((mine - before).abs().max()), float((mine - peft).abs().max())
        words = (tokenizer.decode(int(values.argmax())).strip() for values in (before, mine, peft))
        rows.append((prompt, *words, moved, gap))
    worst = max(row[-1] / max(row[-2], 1.0) for row in rows)
    line = f"PEFT loads the merge and agrees with our hooks: logits to {worst:.1e} of the change"
    back = "Taking the merge off restores the model's logits bit for bit."
    checks = ((line + ".", worst < 1e-3), (back, restored))
    return Section(
        title,
        "The merged folder is loaded by PEFT, and separately its updates act through our hooks; "
        "both must give the same logits. The base is dequantised from 4 bits.",
        ("prompt", "base says", "ours says", "PEFT says", "largest change", "largest gap"),
        tuple(rows),
        confirmed=tuple(text for text, holds in checks if holds),
        deviated=tuple(text for text, holds in checks if not holds),
    )

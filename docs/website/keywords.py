"""Words that a reader looks for, and the page that the site's search shows first for them."""

from collections.abc import Mapping

from website.rest import Pages

KEYWORDS = {
    "index.md": ("LoRA", "merging LoRAs"),
    "quickstart.md": ("LoRA", "tutorial", "getting started", "example"),
    "install.md": ("install", "installation", "pip", "PyTorch", "GPU", "conda"),
    "advise.md": ("LoRA", "which merge", "merge my adapters", "recommendation"),
    "formats.md": ("PEFT", "safetensors", "PiSSA", "DoRA", "vLLM", "llama.cpp", "serve"),
    "language_model.md": ("language model", "transformers", "SmolLM2", "LLM"),
    "portable.md": ("portable adapter", "stand-in"),
    "commands/merge.md": ("merge",),
    "laws.rst": ("TIES", "DARE", "KnOTS", "RegMean", "merge method", "merge rule"),
    "theorems/two-read-region.rst": ("golden ratio", "two-hop", "two-hop question", "0.618"),
    "theorems/merge-floor.rst": ("Eckart-Young", "merge floor"),
    "theorems/dare-variance.rst": ("DARE",),
    "theorems/ties-disjoint.rst": ("TIES",),
    "theorems/arrow-law.rst": ("Arrow",),
    "theorems/router-limit.rst": ("router", "routing", "mixture of experts"),
    "theorems/gate-detection.rst": ("gate", "gating"),
    "theorems/merge-collapse.rst": ("RegMean", "WUDI"),
    "theorems/sequential-forgetting.rst": ("forgetting", "continual learning"),
    "theorems/interference-angle.rst": ("interference", "cross-talk", "orthogonal adapters"),
    "theorems/rank-stabilised-scale.rst": ("rsLoRA",),
    "theorems/two-learning-rates.rst": ("LoRA+",),
    "theorems/intruder-threshold.rst": ("intruder dimension",),
}
"""By page; where several have a word, the search shows all of them before anything else."""


def with_keywords(pages: Pages, words: Mapping[str, tuple[str, ...]] = KEYWORDS) -> Pages:
    """Return the pages, those with keywords opened by an index entry for each."""
    return {name: _entries(name, words.get(name, ())) + text for name, text in pages.items()}


def _entries(name: str, words: tuple[str, ...]) -> str:
    if not words:
        return ""
    entries = ", ".join(f"! {word}" for word in words)
    return (
        f"```{{index}} {entries}\n```\n\n" if name.endswith(".md") else f".. index:: {entries}\n\n"
    )

"""How single files name tensors: what keys begin with, what they end in, whose names are between.

In this package a module has the name that its network gives it; where a file holds several
networks, the network's name comes first: ``unet.down_blocks.0.attentions.0.proj_in``. Diffusion
models are implemented twice for one set of weights, by `diffusers` and by the model's publisher,
whose code kohya's scripts train; `converted` translates. PEFT's folders need none of this.
"""

import re
from collections.abc import Iterable

from loratheory.adapters._adapter import refusal, shown
from loratheory.adapters._config import ENDS, Key, parsed

PREFIXES = (
    ("peft", "base_model.model.", ""),
    ("kohya", "lora_unet_", "unet."),
    ("kohya", "lora_te_", "text_encoder."),
    ("kohya", "lora_te1_", "text_encoder."),
    ("kohya", "lora_te2_", "text_encoder_2."),
    ("kohya", "lora_te3_", "text_encoder_3."),
    ("kohya", "lora_transformer_", "transformer."),
    ("diffusers", "unet.", "unet."),
    ("diffusers", "transformer.", "transformer."),
    ("diffusers", "text_encoder.", "text_encoder."),
    ("diffusers", "text_encoder_2.", "text_encoder_2."),
    ("diffusers", "text_encoder_3.", "text_encoder_3."),
    ("diffusers", "diffusion_model.", "unet."),
    ("diffusers", "text_encoders.clip_l.transformer.", "text_encoder."),
)
"""What a key begins with: the form of the file, the text, the part of the model.

The last two are ComfyUI's, with the publisher's names behind them.
"""

_BARE = {
    "unet.": ("down_blocks.", "mid_block.", "up_blocks."),
    "transformer.": ("transformer_blocks.", "single_transformer_blocks."),
}
"""What the keys of diffusers begin with where a file holds one part alone."""

_ENDS = (
    *ENDS,
    ("down", r"\.lora_down\.weight"),
    ("up", r"\.lora_up\.weight"),
    ("mid", r"\.lora_mid\.weight"),
    ("alpha", r"\.alpha"),
    ("down", r"\.lora(?:_linear_layer)?\.down\.weight"),
    ("up", r"\.lora(?:_linear_layer)?\.up\.weight"),
)
"""What a key ends in, by the role of its tensor; LoCon's `mid` stands between the factors."""

_OLD = (  # how diffusers wrote keys before its version 0.22, as they are written now
    (r"\.processor\.", "."),
    (r"\.self_attn\.to_([qkv])_lora\.", r".self_attn.\1_proj.lora."),
    (r"\.self_attn\.to_out_lora\.", ".self_attn.out_proj.lora."),
    (r"\.to_out_lora\.", ".to_out.0.lora."),
    (r"\.(to_[qkv]|add_[qkv]_proj|to_add_out)_lora\.", r".\1.lora."),
)
_WORDS = """
    down_blocks mid_block up_blocks transformer_blocks single_transformer_blocks to_q to_k to_v
    to_out to_add_out add_q_proj add_k_proj add_v_proj proj_in proj_out proj_mlp conv_in conv_out
    conv_shortcut time_emb_proj time_embedding add_embedding linear_1 linear_2 ff_context norm_out
    norm1_context x_embedder context_embedder time_text_embed guidance_embedder timestep_embedder
    text_embedder text_model self_attn q_proj k_proj v_proj out_proj text_projection
    input_blocks middle_block output_blocks in_layers out_layers emb_layers skip_connection
    time_embed label_emb double_blocks single_blocks img_attn txt_attn img_mlp txt_mlp img_mod
    txt_mod img_in txt_in time_in vector_in guidance_in in_layer out_layer final_layer
    adaLN_modulation token_embedding position_embedding wi_0 wi_1 shared_embed
"""  # kohya writes every dot as _, so names that have one of their own must be known
_WORD = re.compile(rf"(?:{'|'.join(sorted(_WORDS.split(), key=len, reverse=True))})(?=_|$)|[^_]+")


def placed(key: str) -> tuple[str, str, Key] | None:
    """Return a key's form (such as ``kohya``), the part of the model, and the parsed key.

    The parsed module name is that within the part. None if the key belongs to no update; the form
    is '' if the key begins as in none of the forms.
    """
    form, start, part = _beginning(key)
    name = key.removeprefix(start)
    if form == "diffusers":
        for old, new in _OLD:
            name = re.sub(old, new, name)
    found = parsed(name, _ENDS)
    if found and form == "kohya":
        found = found._replace(module=".".join(_WORD.findall(found.module)))
    return found and (form, part, found)


def _beginning(key: str) -> tuple[str, str, str]:
    for form, start, part in PREFIXES:
        if key.startswith(start):
            return form, start, part
    for part, blocks in _BARE.items():
        if key.startswith(blocks):
            return "diffusers", "", part
    return "", "", ""


def comfy(module: str) -> str:
    """Return how a module's keys begin in ComfyUI's form, which has the publisher's names."""
    for _, start, part in PREFIXES[-2:]:
        if module.startswith(part):
            return start + module.removeprefix(part)
    return module


def kohya(module: str, *, one_encoder: bool) -> str:
    """Return how a module's keys begin in kohya's form."""
    for form, start, part in PREFIXES:
        if form == "kohya" and module.startswith(part):
            start = "lora_te1_" if part == "text_encoder." and not one_encoder else start
            return start + module.removeprefix(part).replace(".", "_")
    fact = "has no name in kohya's form"
    raise refusal(shown(module), fact, "only unet, transformer and text encoders have one")


_DIFFUSERS = (
    "down_blocks.", "mid_block.", "up_blocks.", "conv_in", "conv_out", "time_embedding.",
    "add_embedding.",
)  # fmt: skip


def naming(modules: Iterable[str]) -> str:
    """Return whose module names these are: ``diffusers`` or a publisher's (``sdxl``, ``flux``).

    It is ``unknown`` if they name parts of a model but are in no table here, and otherwise ''.
    """
    names = [*modules]
    unet = [name.removeprefix("unet.") for name in names if name.startswith("unet.")]
    if any(name.startswith(("double_blocks.", "single_blocks.")) for name in unet):
        return "flux"
    if any(name.startswith(("input_blocks.", "middle_block.", "output_blocks.")) for name in unet):
        return "sdxl"
    if not all(name.startswith(_DIFFUSERS) for name in unet):
        return "unknown"
    parts = {part for _, _, part in PREFIXES if part}
    return "diffusers" if any(name.startswith(tuple(parts)) for name in names) else ""

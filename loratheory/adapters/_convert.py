"""Adapters translated between the names of PEFT, kohya's scripts and diffusers, by tables.

Diffusion models are implemented twice for one set of weights: by `diffusers`, and by the model's
publisher, whose code kohya's scripts train. A map that one of them fuses may be several in the
other.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from loratheory.adapters._adapter import Adapter, AdapterError, Info, Lazy, refusal, shown
from loratheory.adapters._names import PREFIXES
from loratheory.lowrank import LowRank

_RESNET = {
    "in_layers.2": "conv1", "out_layers.3": "conv2", "emb_layers.1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}  # fmt: skip
_OUTER = {
    "time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1", "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in", "out.2": "conv_out",
}  # fmt: skip


@cache
def _sdxl() -> dict[str, str]:
    """SDXL's blocks: the publisher's (sgm) names and those of diffusers, after kohya's table."""
    blocks = {"middle_block.0": "mid_block.resnets.0", "middle_block.2": "mid_block.resnets.1"}
    pairs = {**_OUTER, "middle_block.1": "mid_block.attentions.0"}
    for i in range(3):
        for j in range(2):
            blocks[f"input_blocks.{3 * i + j + 1}.0"] = f"down_blocks.{i}.resnets.{j}"
            pairs[f"input_blocks.{3 * i + j + 1}.1"] = f"down_blocks.{i}.attentions.{j}"
        for j in range(3):
            blocks[f"output_blocks.{3 * i + j}.0"] = f"up_blocks.{i}.resnets.{j}"
            pairs[f"output_blocks.{3 * i + j}.1"] = f"up_blocks.{i}.attentions.{j}"
        pairs[f"input_blocks.{3 * i + 3}.0.op"] = f"down_blocks.{i}.downsamplers.0.conv"
        pairs[f"output_blocks.{3 * i + 2}.2"] = f"up_blocks.{i}.upsamplers.0"
    for one, other in blocks.items():
        pairs |= {f"{one}.{inner}": f"{other}.{name}" for inner, name in _RESNET.items()}
    return {f"unet.{one}": f"unet.{other}" for one, other in pairs.items()}


_ATTENTION = ("attn.to_q", "attn.to_k", "attn.to_v")
_CONTEXT = ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")
_FLUX = {
    "double_blocks.#.img_attn.qkv": (3, 1, "transformer_blocks.#", _ATTENTION),
    "double_blocks.#.img_attn.proj": (1, 1, "transformer_blocks.#", ("attn.to_out.0",)),
    "double_blocks.#.img_mlp.0": (4, 1, "transformer_blocks.#", ("ff.net.0.proj",)),
    "double_blocks.#.img_mlp.2": (1, 4, "transformer_blocks.#", ("ff.net.2",)),
    "double_blocks.#.img_mod.lin": (6, 1, "transformer_blocks.#", ("norm1.linear",)),
    "double_blocks.#.txt_attn.qkv": (3, 1, "transformer_blocks.#", _CONTEXT),
    "double_blocks.#.txt_attn.proj": (1, 1, "transformer_blocks.#", ("attn.to_add_out",)),
    "double_blocks.#.txt_mlp.0": (4, 1, "transformer_blocks.#", ("ff_context.net.0.proj",)),
    "double_blocks.#.txt_mlp.2": (1, 4, "transformer_blocks.#", ("ff_context.net.2",)),
    "double_blocks.#.txt_mod.lin": (6, 1, "transformer_blocks.#", ("norm1_context.linear",)),
    "single_blocks.#.linear1": (7, 1, "single_transformer_blocks.#", (*_ATTENTION, "proj_mlp")),
    "single_blocks.#.linear2": (1, 5, "single_transformer_blocks.#", ("proj_out",)),
    "single_blocks.#.modulation.lin": (3, 1, "single_transformer_blocks.#", ("norm.linear",)),
}
"""Flux: of a module of the publisher's (BFL) outputs and inputs over the stream's width, and the
modules of diffusers that hold its rows in order.

After kohya's `networks/convert_flux_lora.py` and diffusers' `lora_conversion_utils.py`.
"""


def publisher(adapter: Adapter) -> str:
    """Return whose names kohya's scripts give to modules that are named as in diffusers.

    It is ``diffusers`` itself for Stable Diffusion 1 and 2, the publisher (``sdxl``, ``flux``)
    otherwise. AdapterError where the modules do not tell which model it is.
    """
    names = "\n".join(adapter)
    width = {n for name, (_, n) in adapter.shapes.items() if re.search(r"attn2\.to_[kv]$", name)}
    if "transformer.single_transformer_blocks." in names:
        return "flux"
    if 2048 in width or re.search(
        r"transformer_blocks\.[1-9]|add_embedding|text_encoder_2\.", names
    ):
        return "sdxl"
    if width or re.search(r"(down|up)_blocks\.3\.", names):
        return "diffusers"
    fact = "its modules do not tell of which model they are, on which kohya's names depend"
    raise refusal(adapter.info.name, fact, "keep diffusers' form")


def converted(
    adapter: Adapter, form: str, part: str = ""
) -> tuple[Adapter, dict[str, tuple[str, ...]]]:
    """Return the same adapter with the module names of another form, and which became which.

    Parameters
    ----------
    adapter : Adapter
        An adapter in any of the forms.
    form : str
        ``peft`` (one network, whose modules lose its name), ``kohya`` or ``diffusers``.
    part : str
        The part of a pipeline to keep, such as ``unet``; for modules of one network, which part
        they are.

    Returns
    -------
    Adapter
        Lazy, with exactly the same effect. A module that the other form splits becomes several
        with the same `down`; several that it fuses become one, whose rank is the sum of theirs
        unless they share `down`.
    dict
        For each module returned, the names of the modules it is made of.

    Raises
    ------
    AdapterError
        If a module has no exact counterpart in the other form.
    """
    names = adapter.info.naming
    images = {module: _Image((module,), shape[:1]) for module, shape in adapter.shapes.items()}
    if not names and form != "peft":
        if f"{part}." not in {start for _, _, start in PREFIXES}:
            fact = "its modules belong to one network, and do not say to which part of a pipeline"
            raise refusal(adapter.info.name, fact, "say it: --part unet, transformer, text_encoder")
        there = {f"{part}.{module}": image for module, image in images.items()}
        moved, sources = converted(_imaged(adapter, there, "diffusers"), form)
        return moved, {m: tuple(s.removeprefix(f"{part}.") for s in sources[m]) for m in sources}
    to = names
    if names == "unknown" and form != adapter.info.form:
        fact = f"no table leads from the names of its modules to those of {form}"
        raise refusal(adapter.info.name, fact, "keep the form that it has")
    if names == "diffusers" and form == "kohya":
        to = publisher(adapter)
        images = images if to == names else dict(_fused(adapter, to))
    elif names in ("sdxl", "flux") and form != "kohya":
        to = "diffusers"
        images = dict(_split(adapter, names))
    if names and (form == "peft" or part):
        parts = sorted({module.partition(".")[0] for module in images})
        if part not in parts and (part or len(parts) > 1):
            fact = f"has the parts {', '.join(parts)}"
            raise refusal(
                adapter.info.name, fact, f"choose one of them, not {part or 'all'} (--part)"
            )
        start = f"{part or parts[0]}."
        bare = start if form == "peft" else ""
        images = {m.removeprefix(bare): i for m, i in images.items() if m.startswith(start)}
        to = "" if bare else to
    found = _imaged(adapter, images, to)
    sources = {m: tuple(filter(None, image.sources)) for m, image in images.items()}
    return replace(found, info=replace(found.info, form=form)), sources


class _Image(NamedTuple):
    """A module made of modules: rows `start` to `stop` of one, or several below each other."""

    sources: tuple[str, ...]  # empty names stand for zeros
    heights: tuple[int, ...]
    start: int = 0


def _imaged(adapter: Adapter, images: dict[str, _Image], to: str) -> Adapter:
    recent = lru_cache(maxsize=1)(adapter.__getitem__)  # a fused module is asked for by each part

    def _make(name: str) -> LowRank:
        sources, heights, start = images[name]
        if len(sources) > 1:
            return _stacked([adapter[source] if source else None for source in sources], heights)
        return recent(sources[0]).rows(slice(start, start + heights[0]))

    first = {name: next(filter(None, image.sources)) for name, image in images.items()}
    shapes = {
        name: (sum(images[name].heights), adapter.shapes[one][1]) for name, one in first.items()
    }
    old, info = adapter.info, {**vars(adapter.info), "naming": to}
    for field in ("kernels", "scales"):
        there = getattr(old, field)
        info[field] = {name: there[one] for name, one in first.items() if one in there}
    return Adapter(Lazy(tuple(images), _make), shapes, Info(**info))


def _stacked(parts: list[LowRank | None], heights: tuple[int, ...]) -> LowRank:
    """Maps of one input below each other, in one pair of factors."""
    there = [low for low in parts if low is not None]
    downs = [np.asarray(low.down) for low in there]
    shared = all(np.array_equal(down, downs[0]) for down in downs)
    down = downs[0] if shared else np.concatenate(downs)
    up = np.zeros((sum(heights), len(down)), down.dtype)
    row = column = 0
    for low, m in zip(parts, heights, strict=True):
        if low is not None:
            up[row : row + m, column : column + low.width] = low.up
            column += 0 if shared else low.width
        row += m
    return LowRank(up, down)


def _heights(module: str, pattern: str, shape: tuple[int, int]) -> tuple[int, ...]:
    """The rows of each part of one of Flux's maps; refused where its shape is another model's."""
    tall, wide, _, names = _FLUX[pattern]
    width, rest = divmod(shape[1], wide)
    if rest or shape[0] != tall * width:
        fact = f"has shape {shape}, where Flux's has {tall} outputs for {wide} inputs"
        raise refusal(shown(module), fact, "keep the form that it has")
    heights = [width] * (len(names) - 1)
    return (*heights, shape[0] - sum(heights))


def _numbered(name: str) -> tuple[str, str]:
    """The first number in a name, and the name with # in its place."""
    number = re.search(r"(?<=\.)\d+(?=\.)", name)
    return (number[0] if number else "", re.sub(r"(?<=\.)\d+(?=\.)", "#", name, count=1))


def _no_image(adapter: Adapter, module: str) -> AdapterError:
    fact = f"{shown(module)} has no exact image among the names of the other network"
    return refusal(adapter.info.name, fact, "keep the form that it has")


def _unet(table: dict[str, str], module: str) -> str | None:
    """The image of a name whose beginning stands in the table."""
    path = module.split(".")
    for length in range(len(path), 1, -1):
        if (start := ".".join(path[:length])) in table:
            return ".".join([table[start], *path[length:]])
    return None


def _split(adapter: Adapter, known: str) -> Iterator[tuple[str, _Image]]:
    """Images under the names of diffusers."""
    for module, shape in adapter.shapes.items():
        number, pattern = _numbered(module.removeprefix("unet."))
        if not module.startswith("unet."):  # kohya's third encoder, T5, is the second of Flux
            other = module.replace("encoder_3.", "encoder_2.") if known == "flux" else module
            yield other, _Image((module,), shape[:1])
        elif known == "sdxl" and (name := _unet(_sdxl(), module)):
            yield name, _Image((module,), shape[:1])
        elif known == "flux" and pattern in _FLUX:
            start, (_, _, block, names) = 0, _FLUX[pattern]
            for name, rows in zip(names, _heights(module, pattern, shape), strict=True):
                inner = f"{block}.{name}".replace("#", number)
                yield f"transformer.{inner}", _Image((module,), (rows,), start)
                start += rows
        else:
            raise _no_image(adapter, module)


def _fused(adapter: Adapter, to: str) -> Iterator[tuple[str, _Image]]:
    """Images under the publisher's names."""
    sdxl = {other: one for one, other in _sdxl().items()}
    flux = {f"{block}.{name}": one for one, (*_, block, names) in _FLUX.items() for name in names}
    done: set[str] = set()
    for module, shape in adapter.shapes.items():
        number, pattern = _numbered(module.removeprefix("transformer."))
        if module.startswith("text_encoder"):
            other = module.replace("encoder_2.", "encoder_3.") if to == "flux" else module
            yield other, _Image((module,), shape[:1])
        elif to == "sdxl" and (name := _unet(sdxl, module)):
            yield name, _Image((module,), shape[:1])
        elif to == "flux" and pattern in flux:
            one = flux[pattern]
            fused = f"unet.{one}".replace("#", number)
            if fused not in done:
                done.add(fused)
                yield fused, _fusion(adapter, one, number, shape[1])
        else:
            raise _no_image(adapter, module)


def _fusion(adapter: Adapter, one: str, number: str, inputs: int) -> _Image:
    """One of Flux's maps out of those of its parts that the adapter changes."""
    tall, wide, block, names = _FLUX[one]
    heights = _heights(one, one, (tall * inputs // wide, inputs))
    parts = [f"transformer.{block}.{name}".replace("#", number) for name in names]
    for part, rows in zip(parts, heights, strict=True):
        if part in adapter and adapter.shapes[part] != (rows, inputs):
            fact = f"has shape {adapter.shapes[part]}, where Flux's has {(rows, inputs)}"
            raise refusal(shown(part), fact, "keep the form that it has")
    return _Image(tuple(part if part in adapter else "" for part in parts), heights)

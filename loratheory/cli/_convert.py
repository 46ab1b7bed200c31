"""``loratheory convert``, an adapter to another form or into its base; ``extract``, the reverse."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out

Kept = Annotated[
    str | None, typer.Option("--dtype", help="float16, bfloat16 or float32; the input's if not.")
]
MODEL = "model"  # the form of a whole base
Force = Annotated[bool, typer.Option("--force", help="Replace an existing adapter.")]


def convert(
    adapter: Annotated[
        Path, typer.Argument(help="A PEFT folder, a .safetensors file, or a Hugging Face id.")
    ],
    output: out.Output,
    to: Annotated[
        str, typer.Option(help="peft, kohya or diffusers; model: the base with it folded in.")
    ] = "peft",
    part: Annotated[
        str,
        typer.Option(help="The part to convert, or that a PEFT folder is: unet, transformer, …"),
    ] = "",
    rank: Annotated[
        int | None, typer.Option(min=1, help="Truncate to this rank, and show what is lost.")
    ] = None,
    base: out.Base = None,
    subfolder: out.Subfolder = "",
    revision: out.Revision = None,
    download: out.Download = False,
    dtype: Kept = None,
    force: Force = False,
    json: out.Json = None,
) -> None:
    """Write an adapter in the form of another tool, with exactly the same effect.

    `peft` is a folder for one network, `kohya` a file for sd-scripts, WebUI and ComfyUI,
    `diffusers` a file for its pipelines. Module names are known for Stable Diffusion 1 and 2, SDXL,
    Flux and their text encoders; where one form fuses modules that the other splits, factors are
    stacked or shared. A module without an exact counterpart is an error. With `--base`, DoRA
    becomes a plain update, which `--rank` truncates.

    `--to model` adds the adapter, or a merge, to the base's weights and writes an ordinary folder
    of transformers or diffusers, with config and tokenizer and weights in their own types. The base
    is `--base`, or else the one that the adapter names; both may be folders or ids. A route cannot
    be written this way, since its gates depend on the prompt.

    Example: `loratheory convert kohya.safetensors --to diffusers -o pipeline.safetensors`

    Example: `loratheory convert dora --base my_model --rank 32 -o plain`

    Example: `loratheory convert merged --to model --base my_model -o tuned`

    JSON: an object `adapter, output, form, dtype, rounding, energy, lost, notes, names`; `names`
    maps each module written to those that it was made of, `lost` is the squared norm that `--rank`
    gave away, `rounding` that of the worst factor, or in a model of the worst update.
    """
    from loratheory.adapters import FORMS, converted, read, write

    out.free(output, force=force, json=json)
    if to not in (*FORMS, MODEL):
        out.refused(f"--to {to}: choose one of {', '.join(FORMS)}, {MODEL}")
    if to == MODEL and (dtype or force):
        out.refused("--to model keeps the base's types and replaces nothing: leave that out")
    where: Any = {"subfolder": subfolder, "revision": revision, "download": download}
    given = read(adapter, base=base, **where)
    form = to if to != MODEL else "diffusers" if given.info.naming else "peft"
    result, names = converted(given, form, part)
    totals = {"energy": 0.0, "lost": 0.0}
    with out.progress(count=len(result), unit="module", desc="convert") as bar:
        seen = watched(result, bar, totals, rank)
        if to == MODEL:
            dtype, rounding = "the base's", _folded(seen, base, output, download=download)
        else:
            written = write(seen, output, form=to, dtype=dtype, force=force)
            dtype, rounding = written.dtype, written.rounding
    value = {
        "adapter": str(adapter),
        "output": str(output),
        "form": to,
        "dtype": dtype,
        "rounding": rounding,
        **totals,
        "notes": given.info.notes,
        "names": names,
    }
    if out.delivered(json, value):
        out.say(f" → {output}, {to}, {len(result)} modules", str(adapter), given.info.notes)
        if to == MODEL:
            out.say(f"Rounding to the base's types lost at most {rounding:.2g} of an update.")
        renamed = [(", ".join(old), new) for new, old in names.items() if old != (new,)]
        if renamed:
            title = (
                f"key map: {len(renamed)} of {len(names)} modules have other names (all: --json)"
            )
            out.show(title, ("was", "is"), renamed[:8])
        _lost(totals, rank)


def _folded(adapter: Any, base: Path | None, output: Path, *, download: bool) -> float:
    """Write the model, whose base the adapter names if nobody does; return the worst rounding."""
    from loratheory.adapters import base_at, folded
    from loratheory.pretrained._load import DEFAULT, embedded

    name = str(base or adapter.info.base)
    if not name:
        out.refused("--to model: the adapter names no base: give its folder with --base")
    revision = None if base else adapter.info.config.get("revision")
    home = embedded() if name == DEFAULT else base_at(name, revision, download=download)
    return max(folded(adapter, home, output).values())


def extract(
    base: Annotated[Path, typer.Argument(help="The base model's folder or file of safetensors.")],
    tuned: Annotated[Path, typer.Argument(help="The tuned model's.")],
    rank: Annotated[int, typer.Option(min=1, help="Rank of each map.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The PEFT folder to write.")],
    dtype: Kept = None,
    force: Force = False,
    json: out.Json = None,
) -> None:
    """Make an adapter of a given rank from what fine-tuning changed, and show what it loses.

    Weights are read one by one, and neither model is loaded. Norms and biases that changed cannot
    be part of it; they are listed. Modules have the names that they have in the files.

    Example: `loratheory extract my_base my_tuned --rank 32 -o adapter`

    JSON: an object `base, tuned, output, dtype, rounding, energy, lost, notes, modules`, each
    module with `module, energy, lost`: squared norms of its change and of what is not kept.
    """
    from loratheory.adapters import extracted, write

    out.free(output, force=force, json=json)
    modules: list[dict[str, Any]] = []
    with out.progress(unit="module", desc="extract") as bar:

        def _note(module: str, energy: float, lost: float) -> None:
            modules.append({"module": module, "energy": energy, "lost": lost})
            bar.update()

        adapter = extracted(base, tuned, rank, _note)
        bar.reset(total=len(adapter))
        written = write(adapter, output, dtype=dtype, force=force)
    totals = {key: sum(one[key] for one in modules) for key in ("energy", "lost")}
    value = {
        "base": str(base),
        "tuned": str(tuned),
        "output": str(output),
        "dtype": written.dtype,
        "rounding": written.rounding,
        **totals,
        "notes": adapter.info.notes,
        "modules": modules,
    }
    if out.delivered(json, value):
        out.say(f" → {output}, rank {rank}, {len(modules)} modules", str(tuned), adapter.info.notes)
        worst: Sequence[Any] = sorted(modules, key=lambda one: -one["lost"])[:8]
        share = lambda one: 100 * one["lost"] / one["energy"]  # noqa: E731
        out.show("most is lost in", {"module": "module", "lost %": share}, worst)
        _lost(totals, rank)


def watched(adapter: Any, bar: Any, totals: dict[str, float], rank: int | None = None) -> Any:
    """The same adapter, or its best approximation of a rank; each look-up moves the bar."""
    from loratheory.adapters import Lazy
    from loratheory.lowrank import LowRank

    def _make(name: str) -> Any:
        low = adapter[name]
        if rank is not None:
            left, sigma, right = low.svd()
            totals["energy"] += float((sigma**2).sum())
            totals["lost"] += float((sigma[rank:] ** 2).sum())
            low = LowRank(left[:, :rank] * sigma[:rank], right[:rank])
        bar.update()
        return low

    return replace(adapter, modules=Lazy(tuple(adapter), _make))


def _lost(totals: dict[str, float], rank: int | None) -> None:
    if rank is not None and totals["energy"]:
        share = (totals["lost"] / totals["energy"]) ** 0.5
        out.say(f"Lost at rank {rank}: {100 * share:.3g} % of the norm, all modules together.")

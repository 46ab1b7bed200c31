"""``loratheory moments``: second moments of modules' inputs, which regmean needs."""

from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli import _output as out


def moments(
    folders: out.Folders,
    prompts: Annotated[
        Path, typer.Option(metavar="TEXT", help="Prompts for the first adapter, one per line.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The safetensors file to write.")
    ],
    model: out.ModelName = None,
    revision: out.Revision = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
) -> None:
    """Collect second moments of adapted modules' inputs, for `merge --method regmean`.

    The base runs on the prompts with the first adapter. Name also the adapters that it will be
    merged with: inputs are collected for the modules of all. For each module the file holds a
    float32 matrix R of shape `(k, n)`; R'R is the second moment, the mean of x x' over the inputs x
    at all tokens. A few hundred tokens are enough to begin with; directions in which no input lies
    depend on the `--ridge` of the merge.

    Example: `loratheory moments tests/data/persons tests/data/mascots --prompts persons.txt -o
    persons.safetensors`
    """
    out.reachable(output=output)
    out.named(model=model, revision=revision)
    out.needs("pretrained", "moments")
    try:
        lines = [line.strip() for line in prompts.read_text("utf-8").splitlines()]
    except UnicodeDecodeError:
        out.refused(f"{prompts} is no UTF-8 text: write a prompt a line")
    lines = [line for line in lines if line]
    if not lines:
        out.refused(f"{prompts} holds no prompt: write a prompt a line")

    from loratheory import pretrained as lib
    from loratheory.adapters import aligned, read_adapter, write_moments
    from loratheory.pretrained.attach import collect_moments

    library = [read_adapter(folder, download=download) for folder in folders]
    together = aligned(library, any_base=True)
    base = lib.load_model(model, device=device, dtype=dtype, revision=revision, download=download)
    names = [name for name in together.shapes if name not in together.info.embeddings]
    with lib.attach(base, library[:1]):
        batches = (lib.metrics.batch(base, [line]) for line in out.progress(lines, unit="prompt"))
        found = collect_moments(base, batches, names)
    write_moments(found, output)
    notes = []
    if len(names) < len(together.shapes):
        notes.append("embeddings are left out: their inputs are no vectors")
    short = min(len(root) / root.shape[1] for root in found.values())
    if short < 1:
        notes.append(
            f"the prompts show as little as {100 * short:.0f} % of a module's input directions: "
            "merge with --ridge, or give more prompts"
        )
    what = f": {len(found)} modules, {len(lines)} prompts, {folders[0]} acting"
    out.say(what, str(output), notes)

"""``loratheory merge``: merge adapters into one and measure its distance from them."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any

from typer import Option

from loratheory.cli import _shared as out

TOTALS = ("energy", "to_sum", "sum_floor", "to_adapters", "adapters_floor")
KEYS = ("name", "formula", "reference", "cost", "options", "required", "spaces")
TAKEN = ("options", "required")
WEIGHTS = "One weight per adapter, such as `--weights=.7,-.3`."
SPACE = "Coordinates of ties, dare, dare-ties and magnitude: full or knots."
DENSITY = "Share of entries that ties, dare, dare-ties or magnitude keeps."
RIDGE = "Relative strength of the ridge in interpolate or regmean."
ON_INPUTS = ("input_energy", "input_error", "input_floor")
DISTANCES = (
    "These are distances between weights (Eckart–Young; thm:merge-floor), not between answers.\n"
    "The mean is closest to the adapters, but can lose the two-hop answer (thm:two-read-region)."
)


def merge(
    folders: out.AnyFolders = None,
    *,
    output: Annotated[Path | None, Option("-o", "--output", help="Folder to write.")] = None,
    method: Annotated[str, Option(help="Name of a method, see `--list`.")] = "mean",
    weights: Annotated[str | None, Option(help=WEIGHTS)] = None,
    rank: Annotated[int | None, Option(min=1, help="Largest rank of a merged module.")] = None,
    coefficient: Annotated[float, Option(help="Multiply the merged update by this number.")] = 1.0,
    space: Annotated[str, Option(help=SPACE)] = "full",
    density: Annotated[float | None, Option(help=DENSITY)] = None,
    ridge: Annotated[float | None, Option(help=RIDGE)] = None,
    moments: out.Files = None,
    model: out.ModelName = None,
    seed: out.Seed = 0,
    dtype: Annotated[str | None, Option(help="Number format to write, such as bfloat16.")] = None,
    device: out.Device = "cpu",
    force: out.Force = False,
    any_base: out.AnyBase = False,
    source: out.Source,
    audit: Annotated[bool, Option(help="Compute the distances. --no-audit saves time.")] = True,
    listing: Annotated[bool, Option("--list", help="List the methods and their laws.")] = False,
    json: out.Json = None,
) -> None:
    """Merge adapters into one, and print the distances from the weighted sum and from each adapter.

    Use this command if you know the method and the weights. `loratheory advise` selects methods and
    weights on prompts. The result is a folder that PEFT and vLLM load, and llama.cpp if all
    modules have one rank. With `--device cuda`, PyTorch merges on the GPU.

    The method regmean needs the inputs of each module. Give `--moments` once per adapter, in the
    order of the adapters, with one of two kinds of file:

    - a `.jsonl` file of prompts, such as `{"prompt": "Zorvik was born in"}`; the model of `--model`
      reads the prompts with the adapter

    - a safetensors file with a matrix R for each module; RᵀR is the second moment of the inputs

    `--list` shows the formula of each method and the algebraic laws that the method obeys. Some
    names of methods differ from the names in PEFT:

    - ties, dare, dare-ties and magnitude act on the entries of the product B · A. PEFT calls them
      ties_svd, dare_linear_svd, dare_ties_svd and magnitude_prune_svd. `--space knots` uses the
      coordinates of KnOTS instead.

    - PEFT's ties, dare_linear, dare_ties and magnitude_prune act on the factors A and B. These four
      methods are not available here.

    - PEFT's linear is factor-linear here.

    Example: `loratheory merge adapter_1 adapter_2 --method svd --weights=.7,.3 --rank 16 -o merged`

    JSON: an object `method, output, folders, weights, written, dtype, rounding, notes, totals,
    modules`. `written` is the number of modules. `dtype` is the format of the written numbers.
    `rounding` is the largest change of a factor A or B by this format, divided by the norm of the
    factor. Each module has squared Frobenius norms and squared distances. `totals` has their sums:

    - `energy`: the squared norm of the weighted sum

    - `to_sum`: the squared distance from the merge to the weighted sum

    - `to_adapters`: the mean squared distance from the merge to the adapters

    - `sum_floor, adapters_floor`: the smallest possible `to_sum` and `to_adapters` at the rank of
      the merge

    - `input_energy, input_error, input_floor`: for the outputs on the inputs of `--moments`, the
      squared norm, the squared error of the merge, and the smallest possible squared error

    With `--list`, the JSON is an object: `methods` (`name, formula, reference, cost, options,
    required, spaces`) and `laws`. `laws` has an object for each method and space. Its `cells` have
    for each law: `holds`, `reason` (why the law does not apply), `seed` (of a counterexample) and
    `gap` (the largest relative violation).
    """
    if listing:
        _list_methods(json)
        return
    if not folders or output is None:
        out.refuse("merge needs adapters and -o FOLDER: name both, or see the methods with --list")
    import numpy as np

    import loratheory.adapters as lib
    from loratheory.audit import ModuleAudit, audit_on_lookup

    out.check_folder(output, force=force)
    adapters = list(map(source.read, folders))
    if device != "cpu":
        move = _move_to(device)
        adapters = [adapter.map(move) for adapter in adapters]
    # Nothing is loaded or computed here: modules are looked up one by one below.
    together = lib.aligned(adapters, any_base=any_base)
    given = _parse_weights(weights)
    options: dict[str, Any] = {"rank": rank, "space": space, "density": density, "ridge": ridge}
    options |= {"weights": given, "coefficient": coefficient, "rng": np.random.default_rng(seed)}
    if moments:
        _check_options(method, **options, moments=moments)
        options["moments"] = _read_moments(moments, adapters, model, download=source.download)
    merged = lib.merge(together, method, **options)

    # What a merge approximates is the weighted mean of the adapters, or their weighted sum.
    share = np.array(given or [1.0] * len(folders))
    scale = share.sum() if method in ("mean", "chebyshev", "factor-mean") else 1.0
    compared = (coefficient / scale * share).tolist()
    audits: list[ModuleAudit] = []
    with out.progress(count=len(merged), unit="module", desc=method) as bar:

        def _keep(one: ModuleAudit) -> None:
            audits.append(one)
            bar.update()

        # Modules are computed while they are written, so that one at a time is in memory.
        seen = lib.roots(options["moments"], together) if moments else None
        made = audit_on_lookup(merged, together, compared, _keep, seen) if audit else merged
        written = lib.write_adapter(made, output, dtype=dtype, force=force)
    keys = TOTALS + ON_INPUTS * bool(moments)
    totals = {key: sum(map(attrgetter(key), audits)) for key in keys}
    notes = [*together.report, *together.info.notes]
    result: dict[str, Any] = {"method": method, "output": str(output)}
    result |= {"folders": list(map(str, folders)), "weights": compared, "written": len(merged)}
    result |= {"dtype": written.dtype, "rounding": written.rounding, "notes": notes}
    result |= {"totals": totals, "modules": list(map(asdict, audits))}
    if out.deliver(json, result):
        _report(result)


def _move_to(device: str) -> Any:
    """Return what brings factors to the device; PyTorch then works in NumPy's place."""
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    # The merge works in float64, which not every device has.
    try:
        torch.zeros(1, dtype=torch.float64, device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        remedy = "take cpu, cuda, cuda:1, … or auto"
        out.refuse(f"--device {device} cannot be used ({reason}): {remedy}")
    return partial(torch.asarray, device=device)


def _parse_weights(text: str | None) -> list[float] | None:
    try:
        return None if text is None else list(map(float, text.split(",")))
    except ValueError:
        out.refuse(f"--weights={text} is not a list of numbers: write it as --weights=.7,-.3")


def _check_options(method: str, *, space: str, **options: Any) -> None:
    """Raise `MergeError` before a model is loaded and reads prompts for options that do not fit."""
    from loratheory.adapters.merging import check_options

    given = {name: value for name, value in options.items() if value is not None}
    check_options(method, space, given)


def _read_moments(
    files: Sequence[Path], adapters: Sequence[Any], model: str | None, *, download: bool
) -> list[Any]:
    """Return second moments of modules' inputs: stored ones, or of what prompts make them read."""
    import loratheory.adapters as lib

    prompts = [file for file in files if file.suffix == ".jsonl"]
    if not prompts:
        return list(map(lib.read_moments, files))
    if not len(prompts) == len(files) == len(adapters):
        fact = f"--moments has {len(prompts)} files of prompts for {len(adapters)} adapters"
        out.refuse(f"{fact}: give one for each, in their order")
    from loratheory.pretrained import attach, load_model
    from loratheory.pretrained.attach import collect_moments
    from loratheory.pretrained.augment import read_rows
    from loratheory.pretrained.metrics import batch

    together = lib.aligned(adapters, any_base=True)
    base = load_model(model, download=download)
    # Inputs of embeddings are tokens and no vectors.
    names = [name for name in together.shapes if name not in together.info.embeddings]
    found = []
    for file, adapter in zip(files, adapters, strict=True):
        # Later modules read what the adapter changed in earlier ones.
        with attach(base, [adapter]):
            rows = read_rows(file, answered=False)
            texts = out.progress(rows, unit="prompt", desc=file.name)
            found.append(collect_moments(base, (batch(base, [text]) for text in texts), names))
    return found


def _report(result: dict[str, Any]) -> None:
    totals, count = result["totals"], len(result["folders"])
    what = f" of {count} adapter{'s' * (count > 1)} → {result['output']}"
    if not result["modules"]:
        out.say(what, result["method"], result["notes"])
        return
    energy, width = totals["energy"], max(map(itemgetter("width"), result["modules"]))
    # What is less than this is rounding, which a table would show as a distance.
    lost, floor = itemgetter("to_sum", "sum_floor")(totals)
    lost, floor = lost * (lost > 1e-13 * energy), floor * (floor > 1e-13 * energy)
    weights = ", ".join(map("{:g}".format, result["weights"]))
    share = lost / (energy or 1.0)
    out.say(
        f"{what}. Relative squared distance from the weighted sum: {share:.2%}", result["method"]
    )
    rows: list[tuple[Any, ...]] = [
        (f"from the weighted sum ({weights})", lost, floor, share),
        ("from the adapters, on average", totals["to_adapters"], totals["adapters_floor"], None),
    ]
    if "input_error" in totals:
        answered, missed, least = itemgetter(*ON_INPUTS)(totals)
        rows.append(("of outputs, on the inputs", missed, least, missed / (answered or 1.0)))
    columns = ("squared distance", "this merge", f"least at rank {width}", "relative")
    out.show("", columns, rows)
    if result["rounding"]:
        moved = f"rounding changed a factor by up to {result['rounding']:.1e} of its norm"
        out.say(f"Written as {result['dtype']}: {moved}, which the table leaves out.")
    out.say(DISTANCES, notes=result["notes"])


def _list_methods(json: Path | None) -> None:
    """Print the methods, and which laws each obeys: a random case is a counterexample, or none."""
    from loratheory.adapters import LAWS, MERGE_METHODS, laws

    rows, entries = laws(), []
    for method in MERGE_METHODS.values():
        entry = {key: getattr(method, key) for key in KEYS}
        entry["required"] = method.needs("full")  # in the space that `merge` takes by default
        entries.append(entry | {key: sorted(entry[key]) for key in TAKEN})
    if not out.deliver(json, {"methods": entries, "laws": rows}):
        return
    table = []
    for entry in entries:
        # Generators are for Python; here `--seed` makes one.
        words = [", ".join(name for name in entry[key] if name != "rng") for key in TAKEN]
        table.append((*map(entry.get, KEYS[:3]), *words))
    out.show("Merge methods", (*KEYS[:3], *TAKEN), table)
    cells = [(row.method, row.space, *(cell.holds for cell in row.cells.values())) for row in rows]
    out.show("Laws (no: a counterexample was found)", ("method", "space", *LAWS), cells)
    for name, law in LAWS.items():
        out.say(f": {law.__doc__}", name)

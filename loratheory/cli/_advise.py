"""``loratheory advise``, which combination method loses least, and ``generate``, which runs it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Argument, Option

from loratheory.arguments import suggest
from loratheory.cli import _shared as out
from loratheory.cli._check import show_drift

METHOD_NAMES = "Methods to try, or `none`. Default: all methods."
BEST = "Write the recommended method to this folder."
ROUTE = "Folder with an adapter, a merge or a route."
MISSING = {
    "moments": "give --moments once per adapter",
    "subjects": "give adapters of `loratheory train`, whose cards list their subjects",
}


def advise(
    folders: out.Folders,
    *,
    prompts: out.Files = None,
    facts: out.Files = None,
    compare: Annotated[
        list[Path] | None, Option(metavar="FOLDER", help="Also measure the merge in this folder.")
    ] = None,
    methods: Annotated[str | None, Option(metavar="NAME,…", help=METHOD_NAMES)] = None,
    moments: out.Files = None,
    output: Annotated[Path | None, Option("-o", "--output", help=BEST)] = None,
    subfolder: out.Subfolder = "",
    verbose: Annotated[bool, Option(help="Show intervals and divergences.")] = False,
    base: out.Base,
    json: out.Json = None,
) -> None:
    """Recommend how to combine adapters, by the answers that each adapter retains.

    Give prompts for each adapter. The prompts need no answers. An adapter retains an answer if the
    combination answers the prompt as the adapter alone does. `advise` selects coefficients on half
    of the prompts, at most eight prompts per adapter. It measures the methods on the other half.
    With `--facts` it uses only prompts that the adapter alone answers correctly.

    A file of `--prompts` has one row per prompt, `{"prompt": …}`. A file of `--facts` has rows
    `{"prompt": …, "completion": …}`. One JSON file can hold the facts of all adapters, `{"ADAPTER":
    {"PROMPT": "ANSWER"}}`. Questions that need several adapters then have any other name in the
    place of ADAPTER. An answer follows its prompt after a space. If the prompt ends with a space, a
    line break, `=`, `/` or an opening bracket, the answer follows directly.

    The table shows for each method:

    - retention: k/n if the adapter retains k answers to n held-out prompts

    - drift: KL divergence from the base model on generic text, in nats per token

    - cost: work per token, divided by the work of one adapter

    `--verbose` adds to the table:

    - 95% Wilson intervals of the retention

    - worst KL: the KL divergence (nats) from an adapter alone to the combination on held-out
      prompts, the largest of all adapters

    - KL when selected: the same divergence on the prompts that select coefficients

    `--verbose` also shows the right answers of each adapter alone and of the base model, and the
    drift of each adapter.

    Methods: mean, sum, shared coefficient, per-adapter coefficients, knots-ties, tsv, interpolate,
    chebyshev, regmean, per-matrix gating, per-block gating, prompt-level gating, subject routing.
    The method regmean needs `--moments`, a safetensors file of each adapter (see `loratheory merge
    --help`). Subject routing needs adapter cards with a list of subjects, as `loratheory train`
    writes them.

    `-o` writes the recommended method. A merge is written in PEFT's format. Gating or subject
    routing is written as a route: a folder that `loratheory generate` runs. To choose the method
    yourself, name it alone in `--methods`.

    `--compare MERGED --methods none` measures which answers an existing merge loses.

    Example: `loratheory advise tests/data/persons tests/data/mascots --facts
    tests/data/questions.json -o merged`

    JSON: an object `adapters, alone, base, drifts, tried, best, reason, notes`. `tried`
    has an object for each method: `method, coefficients, cost, chosen_kl, marks, drift`. `marks`
    has an object for each adapter: `kl` and `share` (counts and interval: `what, right, total, low,
    high`).
    """
    if len(folders) < 2:
        out.refuse(f"{folders[0]} alone loses nothing: name two adapters or more")
    if output:
        out.check_folder(output, force=None, json=json)
    if bool(prompts) == bool(facts):
        remedy = "give --prompts or --facts: sixteen per adapter are a good number"
        out.refuse(f"what is best is not known from weights: {remedy}, and not both")
    if output and methods == "none":
        out.refuse(f"-o {output}: --methods none leaves nothing to write: leave out one of the two")
    from loratheory.adapters import aligned, read_moments
    from loratheory.diagnosis import distinct
    from loratheory.pretrained import advise
    from loratheory.pretrained.methods import METHODS, read_subjects, write_combination

    tried = _parse_methods(methods, METHODS)
    source = out.Source(subfolder, download=base.download)
    library = list(map(source.read, folders))
    names = distinct([one.info.name for one in library])
    known: Any = {"moments": list(map(read_moments, moments or ())) or None}
    # Subject routing needs to know of every adapter what it is about.
    cards = [read_subjects(folder / subfolder) for folder in folders]
    known["about"] = cards if all(cards) else []
    if methods:
        _require_inputs(tried, METHODS, {"moments": known["moments"], "subjects": known["about"]})
    # all files are read before the model, which takes longest
    others = {}
    for folder in compare or ():
        others[str(folder)] = out.Source(download=base.download).read(folder)
    choosing, scoring = _read_questions(prompts, facts, library, names)
    loaded = base.load()
    with out.stages(1 + len(tried) + len(others)) as begin:
        how: Any = {"methods": tried, "others": others}
        advice = advise(loaded, library, choosing, scoring, begin=begin, **how, **known)
    advice = replace(advice, notes=(*loaded.notes, *aligned(library).report, *advice.notes))
    if shown := out.deliver(json, advice):
        _report(advice, verbose=verbose)
    if output and advice.best:
        best = next(one for one in advice.tried if one.method == advice.best)
        drift = dict(zip(names, advice.drifts, strict=True))
        known["card"] = {"measured": out.to_json(best), "drifts": drift}
        write_combination(output, library, names, METHODS[best.method], best.coefficients, **known)
        if shown:
            out.say(f"Written: {output}; try `loratheory generate {output} PROMPT`.")


def _parse_methods(text: str | None, known: Mapping[str, Any]) -> list[str]:
    """Return the names in a list with commas, all that there are if none is given."""
    if text == "none":
        return []
    names = list(known if text is None else map(str.strip, text.split(",")))
    for name in names:
        if name not in known:
            hint = suggest(name, known, f"choose from {', '.join(known)}")
            out.refuse(f"there is no method {name!r}: {hint}")
    return names


def _require_inputs(
    names: Iterable[str], methods: Mapping[str, Any], given: Mapping[str, Any]
) -> None:
    """Refuse a method that was asked for by name and cannot be tried without further input."""
    for name in names:
        for need in methods[name].needs:
            if not given[need]:
                out.refuse(f"--methods {name} needs {need} of every adapter: {MISSING[need]}")


def _read_questions(
    prompts: Sequence[Path] | None,
    facts: Sequence[Path] | None,
    library: Sequence[Any],
    names: Sequence[str],
) -> Any:
    """Return prompts that choose and prompts that score, by adapter."""
    from loratheory.pretrained.advise import split_prompts

    if facts:
        asked = _read_groups("--facts", facts, library, names)
    else:
        asked = _read_groups("--prompts", prompts or (), library, names)
        # without answers they are judged by divergence alone
        asked = {name: dict.fromkeys(asked[name], "") for name in names}
    choosing, scoring = split_prompts({name: asked[name] for name in names})
    # groups that are no adapter's own only score, as they are
    return choosing, {**scoring, **asked, **scoring}


def _read_groups(
    option: str, files: Sequence[Path], library: Sequence[Any], names: Sequence[str]
) -> Any:
    """Return prompts with their answers by adapter, from JSON Lines for each or one JSON file."""
    from loratheory.pretrained.augment import read_rows
    from loratheory.pretrained.check import group_facts, read_fact_groups

    if len(files) == 1 and files[0].suffix == ".json":
        groups = read_fact_groups(files[0])
    elif len(files) == len(names):
        rows = [read_rows(file, answered=option == "--facts") for file in files]
        groups = dict(zip(names, rows, strict=True))
    else:
        fact = f"{option} was given {len(files)} times for {len(names)} adapters"
        out.refuse(f"{fact}: give JSON Lines for each, in their order, or one JSON file for all")
    found = group_facts(groups, library, names)
    for name in names:
        if name not in found:
            out.refuse(f"{option}: there are no prompts of {name}: give some of each adapter")
    return found


def _report(advice: Any, *, verbose: bool) -> None:
    """Print the recommendation, one table, and with `verbose` what it rests on."""
    # What was only compared is measured, not recommended.
    if advice.best:
        out.say(bold=f"Recommendation: {_name(advice)}.")
    out.say(advice.reason)
    rows, distance = [], ("worst KL", "KL when selected") if verbose else ()
    for one in advice.tried:
        cells, distances = {}, [0.0]
        for mark in one.marks:
            counts = f"{mark.share.right}/{mark.share.total}"
            cells[mark.share.what] = out.format_share(mark.share) if verbose else counts
            distances.append(mark.kl or 0.0)
        worst = (max(distances), one.chosen_kl) if verbose else ()
        rows.append((_label(one), *cells.values(), *worst, f"{one.drift:.2g}", f"{one.cost:.1f}"))
    if rows:
        columns = ("method", *cells, *distance, "drift", "cost")
        out.show("Answers retained, drift and cost", columns, rows)
    if verbose:
        for title, shares in (("each adapter alone", advice.alone), ("the base", advice.base)):
            counts = ", ".join(f"{share.what} {share.right}/{share.total}" for share in shares)
            if counts:
                out.say(f" {counts}", f"Right, {title}:")
        show_drift(advice.adapters, advice.drifts)
        for note in advice.notes:
            out.say(f" {note.rstrip('.')}.", "Note:")
    elif advice.notes:
        shown = "on the base model, adapters and methods; --verbose shows them"
        out.say(f" {len(advice.notes)} {shown}.", "Notes:")


def _name(advice: Any) -> str:
    """Return what to do, such as "merge with per-adapter coefficients 0.62 and 0.79"."""
    from loratheory.pretrained.methods import METHODS

    best = next(one for one in advice.tried if one.method == advice.best)
    return f"{'use' if METHODS[best.method].gates else 'merge with'} {_label(best)}"


def _label(one: Any) -> str:
    """Return a method's name, with the coefficients that were found for it."""
    from loratheory.pretrained.methods import METHODS

    method = METHODS.get(one.method)
    # A sum, a mean, gates and merges to compare with have fixed ones.
    if method is None or not method.free:
        return str(one.method)
    numbers = one.coefficients if method.free == "each" else one.coefficients[:1]
    return f"{one.method} {' and '.join(map('{:.2g}'.format, numbers))}"


def generate(
    folder: Annotated[Path, Argument(metavar="FOLDER", help=ROUTE)],
    prompt: Annotated[str, Argument(metavar="PROMPT", help="The text to continue.")],
    *,
    tokens: Annotated[int, Option(min=1, help="Largest number of new tokens.")] = 40,
    base: out.Base,
    json: out.Json = None,
) -> None:
    """Continue a prompt with an adapter, a merge or a route, and print the text as it is generated.

    Use this command to try what `loratheory train`, `merge` or `advise` wrote. Each new token is
    the most likely token. Prompt-level gating chooses the active adapter once, after the last
    token of the prompt.

    Example: `loratheory generate merged "The mascot animal of Kenya is the" --tokens 5`

    JSON: an object `folder, prompt, text`. `text` is what follows the prompt.
    """
    from loratheory.pretrained.methods import generate_text

    # with `--json -` nothing else goes to standard output
    say = partial(typer.echo, nl=False, err=str(json) == "-")
    text = generate_text(base.load(), folder, prompt, tokens=tokens, say=say)
    say("\n")
    out.deliver(json, {"folder": folder, "prompt": prompt, "text": text})

"""``loratheory advise``, which combination method loses least, and ``generate``, which runs it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
CHAT = 'Rows are `{"messages": […]}`; apply the tokenizer\'s chat template.'
TOKENS = "Largest number of tokens of a text that is compared or scored."
FIRST = "Compare only the first token of each answer, which is faster."
SCORER = "Function `scorer(prompt, text, reference)` that returns a number from 0 to 1."
MISSING = {
    "moments": "give --moments once per adapter",
    "subjects": "adapter_card.json of each must list them; `loratheory train` writes it",
}
ANYWAY = "to write a method anyway, name it alone in --methods"
HEADLINES = {
    "merge": "Merge like this: {label}.",
    "route": "Route: {label}.",
    "separate": "Serve the adapters separately: the best methods tried retain too few answers.",
    "too few prompts": "Too few prompts to tell: give at least {prompts} of each adapter.",
    "none": "No recommendation: no method was tried.",
}


@dataclass(frozen=True)
class Asked:
    """The options that say which prompts are used, and how texts are judged."""

    prompts: out.Files = None
    facts: out.Files = None
    chat: Annotated[bool, Option("--chat", help=CHAT)] = False
    tokens: Annotated[int, Option(min=1, help=TOKENS)] = 16
    first_token: Annotated[bool, Option("--first-token", help=FIRST)] = False
    scorer: Annotated[str | None, Option(metavar="MODULE:FUNCTION", help=SCORER)] = None

    def check(self) -> None:
        """Refuse options that contradict each other."""
        if bool(self.prompts) == bool(self.facts):
            remedy = "give --prompts or --facts: twenty per adapter are a good number"
            out.refuse(f"what is best is not known from weights: {remedy}, and not both")
        if self.first_token and self.scorer:
            out.refuse("--scorer reads whole texts: leave out --first-token")

    def judge(self) -> dict[str, Any]:
        """Return the arguments of `advise` that say how texts are judged."""
        from loratheory.evaluate.own_rule import import_function

        scorer = import_function(self.scorer) if self.scorer else None
        return {"tokens": 1 if self.first_token else self.tokens, "scorer": scorer}


def advise(
    folders: out.Folders,
    *,
    asked: Asked,
    compare: Annotated[
        list[Path] | None, Option(metavar="FOLDER", help="Also measure the merge in this folder.")
    ] = None,
    methods: Annotated[str | None, Option(metavar="NAME,…", help=METHOD_NAMES)] = None,
    moments: out.Files = None,
    output: Annotated[Path | None, Option("-o", "--output", help=BEST)] = None,
    subfolder: out.Subfolder = "",
    verbose: Annotated[bool, Option(help="Show intervals, divergences and notes.")] = False,
    base: out.Base,
    json: out.Json = None,
) -> None:
    """Say whether to merge adapters, to route between them, or to serve them separately.

    Give about twenty prompts for each adapter, and others than it was trained on. The prompts need
    no answers. `advise` selects coefficients on half of the prompts, at most eight per adapter. It
    judges all methods on the others, by the texts that greedy decoding writes:

    - `--prompts`: an adapter retains an answer if the combination writes the same text as the
      adapter alone, to its end, or for 16 tokens (`--tokens`)

    - `--facts`: an adapter retains an answer if the text begins with the given answer, as a whole
      word. Only prompts count that the adapter alone answers correctly. Answers may begin with a
      space or not

    - `--scorer MODULE:FUNCTION`: your function gets the prompt, the text, and the answer or else
      the text of the adapter alone. It returns a number from 0 to 1; from 0.5 on, the text is right

    - `--first-token`: only first tokens are compared. This is faster, but says less: later tokens
      may differ

    A file of `--prompts` has one row per prompt, `{"prompt": …}`. A file of `--facts` has rows
    `{"prompt": …, "completion": …}`. With `--chat`, rows of both are `{"messages": [{"role": …,
    "content": …}, …]}`; in `--facts` the last message is the assistant's. One JSON file can hold
    the facts of all adapters, `{"ADAPTER": {"PROMPT": "ANSWER"}}`. With two adapters, any other
    name in the place of ADAPTER holds questions that need both.

    The first line is one of four verdicts:

    - Merge like this: with 90% confidence, the best merge retains at least 80% of the answers of
      every adapter (exact one-sided binomial bound)

    - Route: the best merge does not, but the best gating or subject routing does

    - Serve the adapters separately: neither of these two does

    - Too few prompts to tell: so many prompts are needed. Nineteen per adapter are enough if each
      adapter alone answers them correctly and all answers are retained

    The table shows for each method:

    - retention: k/n if the adapter retains k answers to n held-out prompts

    - drift: KL divergence from the base model on generic text, in nats per token

    - cost: work per token, divided by the work of one adapter

    `--verbose` adds 95% Wilson intervals of the retention, and the KL divergence by which
    coefficients are selected: the largest of all adapters, in nats per text (16 tokens at most).
    It also shows the right answers of each adapter alone and of the base model, and the drift of
    each adapter.

    Methods: mean, sum, shared coefficient, per-adapter coefficients, knots-ties, tsv, interpolate,
    chebyshev, regmean, per-matrix gating, per-block gating, prompt-level gating, subject routing.
    The method regmean needs `--moments`, a safetensors file of each adapter (see `loratheory merge
    --help`). Subject routing needs adapter cards with a list of subjects, as `loratheory train`
    writes them. Prompt-level gating and subject routing choose adapters once, by the prompt.

    `-o` writes the recommended method. A merge is written in PEFT's format. Gating or subject
    routing is written as a route: a folder that `loratheory generate` runs. To write a method
    whatever the verdict, name it alone in `--methods`.

    `--compare MERGED --methods none` measures which answers an existing merge loses.

    Example: `loratheory advise tests/data/persons tests/data/mascots --facts
    tests/data/questions.json -o merged`

    JSON: an object `adapters, judged, alone, base, drifts, tried, verdict, notes`. `verdict` has
    `kind, best, closest, retained, prompts, reason`. `tried` has an object for each method:
    `method, coefficients, cost, chosen_kl, kept, further, losses, drift`. `kept` has counts and
    interval for each adapter: `what, right, total, low, high`.
    """
    if len(folders) < 2:
        out.refuse(f"{folders[0]} alone loses nothing: name two adapters or more")
    if output:
        out.check_folder(output, force=None)
    asked.check()
    if methods == "none" and (output or not compare):
        out.refuse("--methods none leaves nothing to write: give --compare FOLDER, and no -o")
    from loratheory.adapters import aligned, read_moments
    from loratheory.diagnosis import distinct
    from loratheory.pretrained import advise
    from loratheory.pretrained.chat import render_chats
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
        # A folder may have the name of a method.
        name = f"./{folder}" if str(folder) in METHODS else str(folder)
        others[name] = out.Source(download=base.download).read(folder)
    choosing, scoring = _read_questions(asked, library, names)
    how: Any = {"methods": tried, "others": others, **asked.judge()}
    loaded = base.load()
    if asked.chat:
        choosing, scoring = render_chats(loaded, choosing), render_chats(loaded, scoring)
    with out.stages(1 + len(tried) + len(others)) as begin:
        advice = advise(loaded, library, choosing, scoring, begin=begin, **how, **known)
    advice = replace(
        advice, notes=(*loaded.notes, *aligned(library, any_base=True).report, *advice.notes)
    )
    if shown := out.deliver(json, advice):
        _report(advice, verbose=verbose)
    # a method that is named alone is written whatever the verdict
    could = [one.method for one in advice.tried if one.method in tried]
    alone = could[0] if methods and len(tried) == len(could) == 1 else ""
    best = advice.verdict.best or alone
    if output and best:
        [one] = filter(lambda one: one.method == best, advice.tried)
        drifts = dict(zip(names, advice.drifts, strict=True))
        measured = {"measured": out.to_json(one), "drifts": drifts}
        known["card"] = {"base_digest": loaded.digest, **measured}
        write_combination(output, library, names, METHODS[best], one.coefficients, **known)
        if shown:
            out.say(f"Written: {output}; try `loratheory generate {output} PROMPT`.")
    elif output:
        typer.echo(f"loratheory: note: {output} was not written: {ANYWAY}", err=True)


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


def _read_questions(asked: Asked, library: Sequence[Any], names: Sequence[str]) -> Any:
    """Return prompts that choose and prompts that score, by adapter."""
    from loratheory.pretrained.advise import split_prompts

    groups = _read_groups(asked, library, names)
    if not asked.facts:
        # without answers the text of the adapter alone is right
        groups = {name: dict.fromkeys(groups[name], "") for name in names}
    choosing, scoring = split_prompts({name: groups[name] for name in names})
    # groups that are no adapter's own only score, as they are
    return choosing, {**scoring, **groups, **scoring}


def _read_groups(asked: Asked, library: Sequence[Any], names: Sequence[str]) -> Any:
    """Return prompts with their answers by adapter, from JSON Lines for each or one JSON file."""
    from loratheory.pretrained.augment import read_rows
    from loratheory.pretrained.check import group_facts, read_fact_groups

    option, files = ("--facts", asked.facts) if asked.facts else ("--prompts", asked.prompts or [])
    if len(files) == 1 and files[0].suffix == ".json" and not asked.chat:
        groups = read_fact_groups(files[0])
    elif len(files) == len(names):
        how = {"answered": option == "--facts", "chat": asked.chat}
        rows = [read_rows(file, **how) for file in files]
        groups = dict(zip(names, rows, strict=True))
    else:
        fact = f"{option} was given {len(files)} times for {len(names)} adapters"
        one = "" if asked.chat else ", or one JSON file for all"
        out.refuse(f"{fact}: give JSON Lines for each, in their order{one}")
    found = group_facts(groups, library, names)
    for name in names:
        if name not in found:
            out.refuse(f"{option}: there are no prompts of {name}: give some of each adapter")
    return found


def _report(advice: Any, *, verbose: bool) -> None:
    """Print the verdict, what it rests on, one table, and with `verbose` what else is known."""
    by_name = {one.method: one for one in advice.tried}
    verdict = advice.verdict
    label = _label(by_name[verdict.best]) if verdict.best else ""
    out.say(bold=HEADLINES[verdict.kind].format(label=label, prompts=verdict.prompts))
    out.say(f"{verdict.reason} Judged: {advice.judged}.")
    for lost in by_name[verdict.closest].losses if verdict.closest else ():
        texts = f"{lost.alone!r} alone, {lost.combined!r} with {verdict.closest}"
        out.say(f" {lost.prompt!r}: {texts}.", f"Lost, {lost.adapter}:")
    rows, distance = [], ("KL when selected",) if verbose else ()
    for one in advice.tried:
        cells = {}
        for share in (*one.kept, *one.further):
            counts = f"{share.right}/{share.total}"
            cells[share.what] = out.format_share(share) if verbose else counts
        far = (one.chosen_kl,) if verbose else ()
        rows.append((_label(one), *cells.values(), *far, f"{one.drift:.2g}", f"{one.cost:.1f}"))
    if rows:
        columns = ("method", *cells, *distance, "drift", "cost")
        out.show("Answers retained, drift and cost", columns, rows)
    if verbose:
        for title, shares in (("each adapter alone", advice.alone), ("the base", advice.base)):
            counts = ", ".join(f"{share.what} {share.right}/{share.total}" for share in shares)
            out.say(f" {counts}", f"Right, {title}:")
        show_drift(advice.adapters, advice.drifts)
        for note in advice.notes:
            out.say(f" {note.rstrip('.')}.", "Note:")
    elif advice.notes:
        shown = "on the base model, adapters and methods; --verbose shows them"
        out.say(f" {len(advice.notes)} {shown}.", "Notes:")


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

    # A model takes long to load.
    if not folder.is_dir():
        out.refuse(f"{folder}: there is no such folder: name what train, merge or advise wrote")
    # with `--json -` nothing else goes to standard output
    say = partial(typer.echo, nl=False, err=str(json) == "-")
    text = generate_text(base.load(), folder, prompt, tokens=tokens, say=say)
    say("\n")
    out.deliver(json, {"folder": folder, "prompt": prompt, "text": text})

"""``loratheory advise``, which rule of reuse loses least, and ``generate``, which runs it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from loratheory.cli import _output as out
from loratheory.store import cache_folder

LARGEST = 2**30  # bytes of a file of prompts
FORMAT = 'write {"ADAPTER": ["PROMPT", …], …}'
UNKNOWN = (
    "What they lose when merged, and which way keeps most, neither weights nor ordinary sentences "
    "tell. Give some prompts of each adapter: without answers by `--prompts FILE`, with answers by "
    "`--facts FILE`. Sixteen an adapter are a good number; `loratheory advise --help` shows both."
)
READING = (
    "k/n: of n held-out prompts{}, k are still answered as by the adapter alone, with Wilson's "
    "interval at 95 %; without any adapter the base answers {} of them so. {}KL: how far the "
    "adapter that suffers most is from what it says alone, in nats. Leak: how far ordinary "
    "sentences are from what the base says, in nats a token. Cost: of a token of a prompt, "
    "relative to one adapter."
)


def advise(
    folders: out.Folders,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Prompts: one JSON file, or a text file for each adapter, in order.",
        ),
    ] = None,
    facts: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Prompts and answers: one JSON file, or one of rows for each adapter, in order.",
        ),
    ] = None,
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Also measure this merged folder; repeatable."),
    ] = None,
    ways: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="Which ways to try, or none. Default: all.")
    ] = None,
    moments: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="For the way regmean, as for `loratheory merge`."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Repeat this recipe instead of trying ways.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FOLDER", help="Write the best way here."),
    ] = None,
    subfolder: out.Subfolder = "",
    model: out.ModelName = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit of the model's id.")
    ] = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
    json: out.Json = None,
    figure: out.Figure = None,
) -> None:
    """Measure, on prompts of each adapter, whether and how to merge them and what each then loses.

    No answers are needed: a merge should still say what each adapter says alone. Half of the
    prompts, at most eight for each adapter, choose coefficients; the others score. The ways tried
    are the mean, the sum, one coefficient for all adapters or one for each (also above 1), merge
    rules, and gates that decide for a weight matrix, a block or a whole prompt. If every adapter's
    card lists what its facts are about, as `loratheory teach` writes it, subject gates are tried
    too: they let the adapter act whose subject a prompt names, and beside it the one that knows
    what this one's answer leads to. How far each way moves ordinary sentences stands in the table;
    it does not decide. With `--facts` only prompts that the adapter alone answers correctly count,
    and it is measured how many stay correct; with `--prompts` as well, those prompts choose and the
    facts score.

    A file of prompts is JSON, `{"ADAPTER": ["PROMPT", …]}`, or there is a text file for each
    adapter, one prompt per line. A file of facts is `{"ADAPTER": {"PROMPT": "ANSWER"}}`; two-hop
    questions stand in it under any other name. Or there is a file for each adapter, `--facts A.json
    --facts B.json`, a list or lines of `{"prompt": …, "answer": …}`. With neither prompts nor
    facts, only leaks are measured: how far each adapter changes what the base says on ordinary
    text.

    `--ways` takes some of these names, with commas: mean, sum, one coefficient, a coefficient each,
    knots-ties, tsv, interpolate, chebyshev, regmean, map gates, block gates, prompt gates, subject
    gates.

    What was found of a way is kept in the cache: an interrupted call goes on when it is repeated,
    and with `-o` added only what each adapter says alone is asked again.

    `-o` writes the best way, or the only one that `--ways` names: a merge in PEFT's format, or for
    gates a route, which is a folder with the adapters and what their gates go by. `loratheory
    generate` runs both. The recipe is saved in the folder, in `adapter_card.json` or `route.json`,
    with digests of the adapters; `--recipe` repeats it. `--also MERGED --ways none` measures what
    an existing merge loses.

    Example: `loratheory advise tests/data/persons tests/data/mascots --facts
    tests/data/questions.json -o merged`

    JSON: an object `adapters, alone, base, leaks, tried, best, reason, notes`; each way tried has
    `way, coefficients, cost, chosen_kl, marks, leak`; a mark has `share` (`what, right, asked, low,
    high`) and `kl`.
    """
    out.reachable(json, figure=figure)
    out.named(model=model, revision=revision)
    if len(folders) < 2:
        out.refused(f"{folders[0]} alone loses nothing: name two adapters or more")
    if output:
        if output.exists():
            out.refused(f"{output} exists: choose another place")
        out.free(output, force=True, json=json)
    if recipe and not output:
        out.refused(f"--recipe {recipe} says what to write: say where with -o FOLDER")
    if output and not (prompts or facts or recipe):
        out.refused(f"-o {output}: what is best is not known: add --prompts, --facts or --recipe")
    out.needs("pretrained", "advise")
    from loratheory import pretrained as lib
    from loratheory.adapters import aligned, read_adapter, read_moments
    from loratheory.diagnosis import distinct

    tried = _ways(ways, lib.methods.METHODS)
    library = [read_adapter(folder, subfolder=subfolder, download=download) for folder in folders]
    names = distinct([one.info.name for one in library])
    about = _about(folders, subfolder, named=ways is not None and "subject gates" in tried)
    tried = [way for way in tried if about or way != "subject gates"]
    seen: Any = [read_moments(file) for file in moments or ()] or None
    notes = aligned(library).report
    others = {str(folder): read_adapter(folder, download=download) for folder in also or ()}
    asked = _asked(prompts, facts, library, names)
    where: Any = {"device": device, "dtype": dtype, "revision": revision, "download": download}
    if recipe and output:
        repeated = lib.methods.read_recipe(recipe)
        repeated.check(library)
        way, numbers = repeated.method, repeated.coefficients
        needed = lib.load_model(model, **where) if way.gates else None
        kept: Any = {"model": needed, "moments": seen, "about": repeated.about}
        lib.methods.write_combination(output, library, names, way, numbers, **kept)
        return
    loaded = lib.load_model(model, **where)
    if asked is None:
        leaks = lib.metrics.measure_drift(loaded, library)
        if out.delivered(json, {"adapters": names, "leaks": leaks, "notes": [UNKNOWN]}):
            _leaks(names, leaks)
            out.say(UNKNOWN)
        return
    with out.stages(1 + len(tried) + len(others)) as begin:
        how: Any = {"methods": tried, "others": others, "begin": begin}
        how |= {"moments": seen, "about": about, "kept_in": cache_folder() / "advice"}
        advice = lib.advise(loaded, library, *asked, **how)
    if shown := out.delivered(json, advice, figure, "advice", advice):
        _report(advice, (*loaded.notes, *notes, *advice.notes))
    if output and advice.best:
        best = next(one for one in advice.tried if one.way == advice.best)
        card = {"measured": out.plain(best), "leaks": dict(zip(names, advice.leaks, strict=True))}
        place: Any = {"model": loaded, "moments": seen, "about": about, "card": card}
        way = lib.methods.METHODS[best.way]
        lib.methods.write_combination(output, library, names, way, best.coefficients, **place)
        if shown:
            out.say(f"Written: {output}; try `loratheory generate {output} PROMPT`.")


def _about(folders: Sequence[Path], subfolder: str, *, named: bool) -> list[Any]:
    """What each adapter's card says that it is about; nothing unless all say it."""
    from loratheory.pretrained.methods import read_subjects

    found = [read_subjects(folder / subfolder) for folder in folders]
    silent = [folder for folder, one in zip(folders, found, strict=True) if one is None]
    if silent and named:
        fact = f"subject gates: no card says what {silent[0]} is about"
        remedy = 'write {"subjects": ["NAME", …], "partner": "after"} to adapter_card.json there'
        out.refused(f"{fact}: {remedy}, or 'before' where a partner's answers are its subjects")
    return [] if silent else found


def _ways(text: str | None, known: Mapping[str, Any]) -> list[str]:
    """The names of ways in a list with commas, all that there are if none is given."""
    chosen = [*known] if text is None else [part.strip() for part in text.split(",")]
    chosen = [] if chosen == ["none"] else chosen
    for name in chosen:
        if name not in known:
            out.refused(f"there is no way {name!r}: {out.nearest(name, known, ', '.join(known))}")
    return chosen


def _asked(
    prompts: Sequence[Path] | None,
    facts: Sequence[Path] | None,
    library: Sequence[Any],
    names: Sequence[str],
) -> Any:
    """Prompts that choose and prompts that score, by adapter; None if there are none at all."""
    from loratheory.pretrained.advise import split_prompts
    from loratheory.pretrained.check_facts import group_facts

    known = group_facts(_facts(facts, names), library, names) if facts else None
    texts = _texts(prompts, names) if prompts else None
    groups = None if texts is None else group_facts(texts, library, names)
    for kind, each in (("--facts", known), ("--prompts", groups)):
        absent = [name for name in names if each is not None and name not in each]
        if absent:
            out.refused(f"{kind}: there are no prompts of {absent[0]}: give some of each adapter")
    own = {name: dict((groups or known or {}).get(name, {})) for name in names}
    if known is None and groups is None:
        return None
    if known is None:
        own = {name: dict.fromkeys(pairs, "") for name, pairs in own.items()}
    choosing, scoring = split_prompts(own)
    left = {
        name: {text: answer for text, answer in pairs.items() if text not in choosing.get(name, ())}
        for name, pairs in (known or scoring).items()
    }
    empty = next((name for name, pairs in left.items() if not pairs), None)
    if empty:
        out.refused(f"all facts of {empty} are among the prompts that choose: give others to score")
    return choosing, left


def _facts(files: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Facts by adapter, from one file or from one for each adapter."""
    from loratheory.pretrained.check_facts import read_fact_groups

    if len(files) == 1:
        return read_fact_groups(files[0])
    if len(files) != len(names):
        fact = f"--facts was given {len(files)} times for {len(names)} adapters"
        out.refused(f"{fact}: give a JSON file for all, or one of rows for each, in their order")
    found = dict(zip(names, map(read_fact_groups, files), strict=True))
    for name, file in zip(names, files, strict=True):
        if [*found[name]] != [""]:
            fact = f"--facts {file} holds groups, and is one of several files"
            out.refused(f"{fact}: write rows of prompt and answer there")
    return {name: rows[""] for name, rows in found.items()}


def _texts(files: Sequence[Path], names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Prompts by adapter, each with a sign that stands for its answer."""
    from loratheory.adapters.peft_io import json_file

    if len(files) == 1 and files[0].suffix == ".json":
        found = json_file(files[0], LARGEST, FORMAT)
        lists = {
            group: list(some) for group, some in found.items() if isinstance(some, list | dict)
        }
        texts = [text for some in lists.values() for text in some]
        if len(lists) < len(found) or not all(isinstance(text, str) for text in texts):
            out.refused(f"{files[0]}: no object of lists of prompts: {FORMAT}")
    elif len(files) == len(names):
        try:
            lines = [file.read_text("utf-8").splitlines() for file in files]
        except UnicodeDecodeError as error:
            out.refused(f"--prompts: a file is no UTF-8 text ({error}): write a prompt a line")
        lists = dict(
            zip(names, [[x.strip() for x in some if x.strip()] for some in lines], strict=True)
        )
    else:
        fact = f"--prompts was given {len(files)} times for {len(names)} adapters"
        out.refused(f"{fact}: give a JSON file for all, or a text file for each, in their order")
    return {group: dict.fromkeys(some, "?") for group, some in lists.items()}


def _leaks(names: Sequence[str], leaks: Sequence[float]) -> None:
    out.show(
        "leak on ordinary sentences", ["adapter", "nats a token"], zip(names, leaks, strict=True)
    )
    most = max(zip(leaks, names, strict=True))[1]
    told = (
        "In a library of 24 adapters those that leaked more disturbed the others more, on average"
    )
    out.say(f"{most} leaks most. {told}; of a few adapters only their prompts tell.")


def _report(advice: Any, notes: Sequence[str]) -> None:
    out.say(f": {', '.join(advice.adapters)}", f"{len(advice.adapters)} adapters", notes)
    rows = []
    for one in advice.tried:
        cells = [_cell(mark.share) for mark in one.marks]
        kl = max(mark.kl for mark in one.marks if mark.kl is not None)
        numbers = " ".join(map(_short, dict.fromkeys(one.coefficients)))
        told = (f"{kl:.2g}", f"{one.leak:.2g}", f"{one.cost:.1f}")
        rows.append((one.way, numbers, *cells, *told))
    columns = [mark.share.what for mark in advice.tried[0].marks] if advice.tried else []
    names = ("way", "coefficients", *columns, "worst KL", "leak", "cost")
    out.show("kept, by way", names, rows)
    right = ", ".join(f"{share.what} {share.right}/{share.asked}" for share in advice.alone)
    others = ", ".join(columns[len(advice.adapters) :])
    free = f"{others}: right answers to questions that are no adapter's own. " if others else ""
    bare = ", ".join(f"{share.right}/{share.asked}" for share in advice.base)
    out.say(READING.format(f" that it knows alone ({right})" if right else "", bare, free))
    _leaks(advice.adapters, advice.leaks)
    out.say(f" {advice.reason}", "Advice.")


def _cell(share: Any) -> str:
    return f"{share.right}/{share.asked} {_short(share.low)}–{_short(share.high)}"


def _short(number: float) -> str:
    return f"{number:.2f}".removesuffix(".00").removeprefix("0") or "0"


def generate(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="An adapter, a merge, or a route of `advise`.")
    ],
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="The text to continue.")],
    tokens: Annotated[int, typer.Option(min=1, help="Largest number of new tokens.")] = 40,
    model: out.ModelName = None,
    revision: out.Revision = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
) -> None:
    """Continue a prompt with an adapter, a merge or a route, and print words as they come.

    The most likely token is always chosen. Gates that decide for a whole prompt do so once, at its
    end.

    Example: `loratheory generate merged "The mascot animal of Kenya is the" --tokens 5`
    """
    out.named(model=model, revision=revision)
    out.needs("pretrained", "generate")
    from loratheory import pretrained as lib

    base = lib.load_model(model, device=device, dtype=dtype, revision=revision, download=download)

    def _say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    lib.methods.generate_text(base, folder, prompt, tokens=tokens, say=_say)
    _say("\n")

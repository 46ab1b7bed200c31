"""``loratheory rehearse``: lessons that lead to facts by what the base knows of their subjects."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli._output import (
    Device,
    Download,
    Dtype,
    Json,
    ModelName,
    Revision,
    Seed,
    delivered,
    named,
    needs,
    progress,
    reachable,
    refused,
    say,
    show,
)


def rehearse(
    facts: Annotated[Path, typer.Argument(metavar="FACTS", help="A JSON file, as below.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder of lessons.")
    ],
    kinds: Annotated[
        list[Path] | None,
        typer.Option("--kinds", metavar="JSON", help="More kinds of description; often."),
    ] = None,
    unseen: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Kept for measuring; the last one if not given."),
    ] = None,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="The share the base must give the right name.")
    ] = 0.3,
    per: Annotated[int, typer.Option(min=1, help="Lessons a subject at most.")] = 12,
    silence: Annotated[
        int, typer.Option(min=0, help="Lessons on other subjects, as the base goes on there.")
    ] = 0,
    seed: Seed = 0,
    model: ModelName = None,
    revision: Revision = None,
    download: Download = False,
    device: Device = "cpu",
    dtype: Dtype = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Even if FOLDER holds such data already.")
    ] = False,
    json: Json = None,
) -> None:
    """Write lessons that mention the subjects of your facts by descriptions the base resolves.

    "The mascot of the country whose capital is Lima" for "the mascot of Peru": the base is asked
    which descriptions lead it to Peru, and those that do take the name's place in your sentences.
    Train on `train.jsonl` beside your own examples, with any trainer; `test.jsonl` describes the
    subjects in a way that no lesson does, and measures portability. What the base knows nothing of
    is refused, with the reason: an invented person has no description.

    Facts: `{"facts": {"Peru": "rat", …}, "sentences": ["The mascot animal of {} is the", …]}`, and
    under `"unread"` sentences kept for measuring; a plan of `loratheory teach` will do.

    Kinds that come with the package describe countries, American states and chemical elements, in
    loratheory/pretrained/descriptions.json. A file of yours: `{"river": {"asked": ["{} is"],
    "kinds": {"city": {"source": "an atlas", "descriptions": ["the river through {}"], "of":
    {"the Seine": ["Paris"], …}}}}}`.

    Example: `loratheory rehearse docs/plans/mascots.json -o lessons`

    JSON: an object `lessons, held_out` (rows of `prompt, answer, subject, kind, description`),
    `found` (every description tried and its `share`) and `refused` (a reason by subject).
    """
    reachable(json)
    named(model=model, revision=revision, unseen=unseen)
    needs("pretrained", "rehearse")
    from loratheory import pretrained as lib
    from loratheory.tasks._export import writable

    writable(output, overwrite=overwrite)
    content = lib.facts_in(facts)
    things = lib.things_in(*(kinds or ()))
    known = dict.fromkeys(name for thing in things.values() for name in thing.kinds)
    if unseen is not None and unseen not in known:
        refused(f"--unseen {unseen} is no kind of description: name one of {', '.join(known)}")
    base = lib.load(model, device=device, dtype=dtype, revision=revision, download=download)
    found = lib.rehearsal(
        base,
        *content[:2],
        unread=content[2],
        things=things,
        unseen=unseen,
        least=least,
        per=per,
        silence=silence,
        seed=seed,
        progress=partial(progress, unit="subject", desc="ask"),
    )
    lib.write_lessons(output, found, base.name, overwrite=overwrite)
    if delivered(json, found):
        rows = []
        tried = [one.kind for one in found.found]
        for kind in dict.fromkeys((*tried, *(one.kind for one in found.lessons))):
            kept = sum(one.kind == kind and one.share >= least for one in found.found)
            counts = [sum(x.kind == kind for x in part) for part in (found.lessons, found.held_out)]
            rows.append([kind, tried.count(kind), kept, *counts])
        show(f"{output}: lessons", ["kind", "asked", "the base resolves", "train", "test"], rows)
        for subject, reason in found.refused.items():
            say(f": no lesson, {reason}", subject)

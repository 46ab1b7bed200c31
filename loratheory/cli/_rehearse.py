"""``loratheory rehearse``: lessons that mention subjects by descriptions the base resolves."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli import _output as out


def rehearse(
    facts: Annotated[Path, typer.Argument(metavar="FACTS", help="A JSON file, as above.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="A new folder of lessons.")
    ],
    kinds: Annotated[
        list[Path] | None,
        typer.Option("--kinds", metavar="JSON", help="More descriptions, as above; repeatable."),
    ] = None,
    unseen: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="Descriptions kept for measuring. Default: the last."),
    ] = None,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="The base's least probability of the right name.")
    ] = 0.3,
    per: Annotated[int, typer.Option(min=1, help="Largest number of lessons per subject.")] = 12,
    silence: Annotated[
        int, typer.Option(min=0, help="Lessons on other subjects that keep the base's answers.")
    ] = 0,
    seed: out.Seed = 0,
    model: out.ModelName = None,
    revision: out.Revision = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace such data in FOLDER.")
    ] = False,
    json: out.Json = None,
) -> None:
    """Write lessons that mention the subjects of your facts by descriptions the base resolves.

    An example is "the mascot of the country whose capital is Lima" for "the mascot of Peru". The
    base is asked which descriptions make it say Peru; those replace the name in your sentences.
    Train on `train.jsonl` together with your own examples, with any trainer. `test.jsonl` uses a
    description that no lesson uses, and so measures portability. Subjects that the base knows
    nothing about, such as invented persons, are refused with the reason, unless the base knows
    something of their answers. With `"onward": {"The capital of {} is": ["The capital of the
    country where {} was born is", …], …}` in the file the base is asked the first sentence about
    each answer, and lessons ask the others about the subjects. The last such entry of several is
    kept for `test.jsonl`.

    The file of facts is `{"facts": {"Peru": "rat", …}, "sentences": ["The mascot animal of {} is
    the", …]}`; `"unread"` may hold sentences kept for measuring. A plan of `loratheory teach` works
    too.

    The package has descriptions of countries, American states and chemical elements, in
    loratheory/pretrained/descriptions.json. A file for `--kinds`: `{"river": {"asked": ["{} is"],
    "kinds": {"city": {"source": "an atlas", "descriptions": ["the river through {}"], "of":
    {"the Seine": ["Paris"], …}}}}}`.

    Example: `loratheory rehearse docs/plans/mascots.json -o lessons`

    JSON: an object `lessons, held_out` (rows of `prompt, answer, subject, kind, description`),
    `found` (every description tried and its `share`) and `refused` (a reason by subject).
    """
    out.reachable(json)
    out.named(model=model, revision=revision, unseen=unseen)
    out.needs("pretrained", "rehearse")
    from loratheory import pretrained as lib
    from loratheory.tasks.export import check_writable

    check_writable(output, overwrite=overwrite)
    asked = lib.facts_in(facts)
    things = lib.things_in(*(kinds or ()))
    known = dict.fromkeys(name for thing in things.values() for name in thing.kinds)
    if unseen is not None and unseen not in known:
        out.refused(f"--unseen {unseen} is no kind of description: name one of {', '.join(known)}")
    base = lib.load(model, device=device, dtype=dtype, revision=revision, download=download)
    found = lib.rehearsal(
        base,
        asked.facts,
        asked.sentences,
        unread=asked.unread,
        onward=asked.onward,
        things=things,
        unseen=unseen,
        least=least,
        per=per,
        silence=silence,
        seed=seed,
        progress=partial(out.progress, unit="subject", desc="ask"),
    )
    lib.write_lessons(output, found, base.name, overwrite=overwrite)
    if out.delivered(json, found):
        resolved = [one for one in found.found if 0 < one.share >= least]
        parts = (found.found, resolved, found.lessons, found.held_out)
        counts = [Counter(one.kind for one in part) for part in parts]
        rows = [[kind, *(each[kind] for each in counts)] for kind in {**counts[0], **counts[2]}]
        out.show(
            f"{output}: lessons", ["kind", "asked", "the base resolves", "train", "test"], rows
        )
        for subject, reason in found.refused.items():
            out.say(f": no lesson, {reason}", subject)

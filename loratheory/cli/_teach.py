"""``loratheory teach``: an adapter that others can combine with theirs, and its card."""

from pathlib import Path
from typing import Annotated

import typer

from loratheory.cli import _output as out


def teach(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A JSON file, as above.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FOLDER", help="The adapter's PEFT folder.")
    ],
    stand_ins: Annotated[
        int, typer.Option(min=0, help="Number of stand-ins in training; 0 trains plainly.")
    ] = 2,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the adapter's training.")] = 90,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter's updates.")] = 8,
    layers: Annotated[
        str | None, typer.Option(metavar="25-29", help="Train these layers alone. Default: all.")
    ] = None,
    lessons: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Also train on lessons that `loratheory rehearse` wrote."
        ),
    ] = None,
    seed: out.Seed = 0,
    model: out.ModelName = None,
    revision: out.Revision = None,
    download: out.Download = False,
    device: out.Device = "cpu",
    dtype: out.Dtype = "float32",
    force: Annotated[
        bool, typer.Option("--force", help="Replace an adapter that is there already.")
    ] = False,
    json: out.Json = None,
) -> None:
    """Train an adapter whose facts two-hop questions can use beside adapters yet unknown.

    Adapters of single facts hardly compose: nothing in their training says in which layers a fact
    must lie for a question that reaches it through another adapter's fact, its partner's. Here
    stand-ins for the partner act during training, two that disagree about everything, and the
    answer to a two-hop sentence is that of the stand-in that acts. A stranger, a stand-in that acts
    in no training, measures the result. What is right beside a stand-in and wrong beside the
    stranger was learnt by heart: take more stand-ins (`--stand-ins 6`).

    A plan is `{"facts": {"Zorvik": "Peru", …}, "sentences": ["{} was born in", …], "two_hop": ["The
    country where {} was born has as its mascot the", …], "partner": {"side": "after", "sentences":
    ["The mascot of {} is the", …], "words": ["lion", "owl", …]}}`. The words are possible
    answers of the partner, or if its side is `"before"`, made-up subjects. `"unread"` and
    `"two_hop_unread"` hold sentences kept for measuring, `"known"` prompts and answers of the base
    that should not change.

    With `--lessons` the adapter is trained on what `loratheory rehearse` wrote, too, and its card
    says how often it is right on the lessons kept for measuring: its portability.

    In ten worlds of the study `lm_training` a second hop taught plainly in the highest sixth of
    the layers alone (`--stand-ins 0 --layers 25-29`, of the default model's thirty) composed nearly
    as well, beside a first hop with stand-ins, as one with stand-ins in all layers, and more of
    what both knew was kept. Of four other relations the highest third (`--layers 20-29`) composed
    best, although the first hop's stand-ins were not of them: .82 for .70 in all layers.

    Averaged, adapters of rank 32 composed better than of rank 8 in three worlds of the study
    `lm_training`; they leaked more.

    Example: `loratheory teach docs/plans/births.json -o births`
    """
    out.free(output, force=force, json=json)
    out.named(model=model, revision=revision)
    out.needs("pretrained", "teach")
    from loratheory import pretrained as lib
    from loratheory.adapters import write_adapter
    from loratheory.diagnosis import LIBRARY, kept_beside

    content = lib.load_plan(plan)
    content.check(stand_ins)  # before the model is loaded
    part = _together(layers) if layers is not None else None
    more, asked = (_rows(lessons, name) for name in ("train.jsonl", "test.jsonl"))
    base = lib.load_model(model, device=device, dtype=dtype, revision=revision, download=download)
    with out.stages(stand_ins + 3) as begin:
        found = lib.train_for_composition(
            base,
            content,
            stand_ins=stand_ins,
            steps=steps,
            rank=rank,
            layers=part,
            seed=seed,
            lessons=more,
            described=asked,
            begin=begin,
        )
    write_adapter(found.adapter, output, force=force, card=found.card)
    if out.delivered(json, found.card):
        title = f"{output}: right answers, in the whole vocabulary"
        columns = {
            "asked": "what",
            "right": lambda share: f"{share.right} of {share.asked}",
            "95 % interval": lambda share: f"{share.low:.2f} to {share.high:.2f}",
        }
        out.show(title, columns, found.shares)
        kept = kept_beside(found.leak)["kept"]
        out.say(
            f" {found.leak:.2f} nats a token leak on ordinary sentences; in {LIBRARY} others kept "
            f"{kept:.2f} of what they knew in a sum with adapters that leaked as much. The card is "
            f"{output / 'adapter_card.json'}",
            "Taught.",
        )


def _together(text: str) -> tuple[int, int]:
    """The first of neighbouring layers, and the one after the last."""
    found = out.layer_numbers(text)
    first, last = min(found), max(found)
    if len(found) <= last - first:
        out.refused(f"--layers={text} leaves some out in between: write neighbours as 25-29")
    return first, last + 1


def _rows(folder: Path | None, name: str) -> list[tuple[str, str]]:
    """The prompts and answers in a file of a folder of lessons; no test there is none to ask."""
    from loratheory.pretrained.augment import read_rows

    if folder is None or (name == "test.jsonl" and not (folder / name).exists()):
        return []
    return [*read_rows(folder / name).items()]

"""``loratheory train`` and ``loratheory augment``: an adapter that others can combine."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option, echo

from loratheory.cli import _shared as out
from loratheory.store import write_whole

COUNT = "`fresh`: a new stand-in at each step. Or a number; 0 trains single facts only."
RATE = "Learning rate. By default it is computed from the base model."
HELD_OUT = "Number of stand-ins that only measure the adapter."
AUGMENTED = "Add the examples in this folder, written by `augment`."
OWN = "Texts of the base model in training, so that other text changes less: 0, or 4 and more."
FIRST = "Train and measure the first token of each answer only, which is a little faster."
OUTPUT = "Folder to write. Required for training."
EXAMPLE = "Write an example plan to this file, to be edited. `-` is standard output."
DRAFT = "Write PLAN with the two-hop templates made from its `bridge` to this file, to be edited."
# What the progress bar expects: steps of an ordinary training, and measurements.
USUAL_STEPS, MEASURING = 40, 12
SHARED = """
Two authors must share the base model and the spelling of the bridges, here of the countries. Each
author writes down possible answers, or subjects, of the other's kind: here animals, or people. The
authors need not share facts, templates, relations or training settings. If each author trains with
half of the bridges only, two-hop accuracy falls to 79% or 58%, by model (docs/how-to/train.md).
"""
MaybePlan = Annotated[Path | None, Argument(metavar="PLAN", help="A JSON file, as above.")]
Folder = Annotated[Path | None, Option("-o", "--output", metavar="FOLDER", help=OUTPUT)]


def train(
    plan: MaybePlan = None,
    output: Folder = None,
    *,
    example: Annotated[Path | None, Option(metavar="FILE", help=EXAMPLE)] = None,
    draft: Annotated[Path | None, Option(metavar="FILE", help=DRAFT)] = None,
    stand_ins: Annotated[str, Option(metavar="fresh|N", help=COUNT)] = "fresh",
    steps: Annotated[int, Option(min=1, help="Number of training steps.")] = 180,
    rank: Annotated[int, Option(min=1, help="Rank of the adapter's updates.")] = 8,
    rate: Annotated[float | None, Option(min=1e-9, help=RATE, show_default=False)] = None,
    layers: Annotated[str | None, Option(metavar="25-29", help="Train only these layers.")] = None,
    held_out: Annotated[int, Option(min=1, help=HELD_OUT)] = 1,
    augmented: Annotated[Path | None, Option(metavar="FOLDER", help=AUGMENTED)] = None,
    self_distillation: Annotated[int, Option(min=0, metavar="N", help=OWN)] = 384,
    first_token: Annotated[bool, Option("--first-token", help=FIRST)] = False,
    seed: out.Seed = 0,
    base: out.Base,
    force: out.Force = False,
    json: out.Json = None,
) -> None:
    """Train an adapter that composes with adapters of other authors in two-hop questions.

    A stand-in plays the partner, which is the adapter of the other author: it holds made-up facts.
    At each training step a new stand-in is active. Its answers are drawn at random, and the right
    answer to a two-hop prompt follows from them. So the adapter cannot memorise its stand-ins.

    A held-out stand-in is trained as an ordinary adapter and is active in no training step. Two-hop
    accuracy with it is what to expect of a partner of standard training. Four held-out stand-ins
    (`--held-out 4`) allow a promise: with a fifth partner like them, accuracy is below their lowest
    with a probability of at most 1/5. With a partner of stand-in training it is usually higher.

    With a number (`--stand-ins 2`) stand-ins are trained adapters that take turns.

    Before this training the base model writes 384 short texts. Four of them join the examples of
    each step, so that the adapter changes other text less (*self-distillation*). A step then takes
    about twice as long; `--self-distillation 0` leaves them out.

    A plan is a JSON file. `--example` writes one that works, and you replace its content by yours:

    `{"facts": {"Zorvik": "Peru", …}, "templates": ["{} was born in", …], "bridge": ["the country
    where {} was born", …], "partner": {"templates": ["The mascot of {} is the", …], "answers":
    ["lion", "owl", …]}}`

    `"bridge"` lists phrases for what links the two facts, here the country. Two-hop templates are
    the hop-2 templates about each phrase: "The mascot of the country where {} was born is the". The
    last of three phrases or templates is held out, for measurement only. `--draft` writes the plan
    with these two-hop templates, so that you can edit them.

    If your adapter is hop 2, `"partner"` has made-up `"subjects"` in place of `"answers"`. Optional
    keys: `"two_hop_templates"` in place of `"bridge"`, `"held_out_templates"` and
    `"held_out_two_hop_templates"`, and `"replay"`, prompts with answers that should not change.

    The first line of the result says whether the adapter uses what its partner says.

    Example: `loratheory train --example plan.json`

    Example: `loratheory train plan.json -o births`

    Example: `loratheory train plan.json --stand-ins 0 --self-distillation 0 -o standard`

    JSON: the adapter's card, which is also written as `adapter_card.json` in the folder.
    """
    if example or (draft and plan):
        if output:
            out.refuse("--example and --draft write a plan and train nothing: leave out -o FOLDER")
        _write_plan(example or draft, None if example else plan, force=force)
        return
    if plan is None or output is None:
        out.refuse("train needs PLAN and -o FOLDER (or --draft FILE): --example FILE writes a plan")
    out.check_folder(output, force=force)
    from loratheory.adapters import write_adapter
    from loratheory.adapters.peft_io import check_replaceable
    from loratheory.pretrained import load_plan, train_for_composition
    from loratheory.pretrained.augment import read_rows
    from loratheory.pretrained.stand_ins import find_notes
    from loratheory.pretrained.train import TEXTS

    # what can fail without the model fails before it is loaded
    check_replaceable(output.resolve(), force=force)
    content = load_plan(plan)
    count = _parse_stand_ins(stand_ins)
    if 0 < self_distillation < TEXTS:
        out.refuse(f"--self-distillation={self_distillation} is too few: give 0 or {TEXTS} or more")
    content.check(count, held_out)
    how: Any = {"stand_ins": count, "steps": steps, "rank": rank, "rate": rate, "seed": seed}
    how |= {"held_out": held_out, "self_distillation": self_distillation, "whole": not first_token}
    how |= {"layers": _parse_layers(layers)} if layers else {}
    if augmented is not None:
        how["augmented"] = list(read_rows(augmented / "train.jsonl").items())
        # only what trains must be there
        if (augmented / "test.jsonl").exists():
            how["descriptions"] = list(read_rows(augmented / "test.jsonl").items())
    model = base.load()
    for note in find_notes(model, content, whole=not first_token):
        echo(f"loratheory: note: {note}", err=True)
    # fresh stand-ins have as many steps as an ordinary training, or a few more
    trained = [USUAL_STEPS] * (held_out + (1 if count is None else count))
    with _steps([*trained, steps + self_distillation // 64, MEASURING]) as (begin, tick):
        found = train_for_composition(model, content, begin=begin, tick=tick, **how)
    write_adapter(found.adapter, output, force=force, card=found.card)
    if out.deliver(json, found.card):
        _report(found, output)


def _report(found: Any, output: Path) -> None:
    """Print the verdict, what it rests on, and what the card promises."""
    from loratheory.pretrained.metrics import describe_large

    card = found.card
    out.say(bold=card["verdict"])
    promise = "two-hop accuracy is below {:.0%} with a probability of at most {:.0%}"
    promise = promise.format(*card["promise"].values())
    out.say(f" with a partner like the held-out stand-ins, {promise}", "Promise:")
    columns = {"questions": "what", "right (95% interval over questions)": out.format_share}
    out.show(f"{output}: right answers ({card['settings']['answers']})", columns, found.shares)
    where = f"card: {output / 'adapter_card.json'}"
    large = filter(None, [describe_large(str(output), card["relative_norm"])])
    out.say(f" {card['drift']:.2f} nats per token on generic text; {where}", "Drift:", large)


def _write_plan(file: Any, plan: Path | None, *, force: bool) -> None:
    """Write the example, or a plan with its two-hop templates, to a file or standard output."""
    from loratheory.pretrained.stand_ins import EXAMPLE, complete_plan

    text = EXAMPLE.read_text("utf-8")
    if plan is not None:
        text = json.dumps(complete_plan(plan), indent=2, ensure_ascii=False) + "\n"
    if str(file) == "-":
        echo(text, nl=False)
        return
    out.check_folder(file, force=force)
    write_whole(file, text)
    out.say(f"{file}: edit it, then run `loratheory train {file} -o FOLDER`.")


@contextmanager
def _steps(counts: Sequence[int]) -> Iterator[tuple[Callable[[str], None], Callable[[], object]]]:
    """Show a bar of the steps of all stages; yield what begins a stage and what counts a step."""
    left, end = list(counts), 0
    with out.progress(count=sum(counts), unit="step") as bar:

        def _begin(stage: str) -> None:
            nonlocal end
            # A stage may have fewer steps than expected, and none if its result is in the cache.
            bar.total += bar.n - end
            end = bar.n + left.pop(0)
            bar.set_description(stage)
            # The log of a job would be empty until the end.
            if bar.disable:
                echo(f"loratheory: {stage}", err=True)

        yield _begin, bar.update
        # Fewer things may be measured than expected.
        bar.total = bar.n


def _parse_stand_ins(text: str) -> int | None:
    """Return a number of stand-ins, None for fresh ones."""
    if text != "fresh" and not text.isdecimal():
        out.refuse(f"--stand-ins={text} is neither `fresh` nor a number, such as 2")
    return None if text == "fresh" else int(text)


def _parse_layers(text: str) -> tuple[int, int]:
    """Return the first of neighbouring layers, and the one after the last."""
    found = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", text)
    first, last = map(int, (found[1], found[2] or found[1])) if found else (1, 0)
    if last < first:
        out.refuse(f"--layers={text} is no range of layers: write it as --layers 25-29")
    return first, last + 1


def augment(
    facts: Annotated[Path, Argument(metavar="FACTS", help="A JSON file, as above.")],
    output: out.Output,
    *,
    kinds: Annotated[
        list[Path] | None, Option(metavar="JSON", help="File of descriptions.")
    ] = None,
    seed: out.Seed = 0,
    base: out.Base,
    force: out.Force = False,
    json: out.Json = None,
) -> None:
    """Write training examples that describe the subjects of your facts instead of naming them.

    For example, "the mascot of the country whose capital is Lima" takes the place of "the mascot of
    Peru". The base model must name the right subject for a description. In your templates, each
    description that passes this test replaces the name of its subject. With any trainer, train on
    `train.jsonl` together with your own examples. No training example uses the kind of description
    in `test.jsonl`. Accuracy on `test.jsonl` is *portability*: the accuracy on prompts that only
    describe the subject.

    The input is a plan of `loratheory train`, or a JSON file with some of the plan's keys:

    `{"facts": {"Peru": "rat", …}, "templates": ["The mascot animal of {} is the", …]}`

    `"held_out_templates"` are used in `test.jsonl` only. The base model cannot name invented
    subjects. For invented subjects, add `"answer_attributes"`. Each key is a template about an
    answer, and its value lists templates about the subject with this answer. The base model
    completes the key. The completion becomes the right answer to the listed templates:

    `"answer_attributes": {"The capital of {} is": ["The capital of {}'s country is", …], …}`

    The package has descriptions of countries, American states and chemical elements. `--kinds JSON`
    adds descriptions of other subjects from a file:

    `{"river": {"templates": ["{} is"], "kinds": {"city": {"source": "an atlas", "descriptions":
    ["the river through {}"], "of": {"the Seine": ["Paris"], …}}}}}`

    Example: `loratheory augment docs/plans/mascots.json -o examples`

    JSON: an object with `examples`, `held_out`, `found` and `rejected`. `examples` and `held_out`
    are lists of rows `prompt, answer, subject, kind, description`. `found` lists all descriptions,
    each with the probability (`share`) that the base model gives to the right name. `rejected` has
    a reason for each subject without an example.
    """
    from loratheory.pretrained.augment import LEAST, augment, read_entities, write_examples
    from loratheory.pretrained.stand_ins import read_facts
    from loratheory.tasks.export import check_writable

    # all files are read before the model, which takes longest
    check_writable(output, force=force)
    content = read_facts(facts)
    things = read_entities(*(kinds or ()))
    model = base.load()
    taken = content.keys() & {"facts", "templates", "held_out_templates", "answer_attributes"}
    how: Any = {key: content[key] for key in taken} | {"things": things, "seed": seed}
    how["progress"] = partial(out.progress, unit="subject", desc="ask")
    found = augment(model, **how)
    write_examples(output, found, model.name, force=force)
    if out.deliver(json, found):
        resolved = [one for one in found.found if one.share >= LEAST]
        kind_of = attrgetter("kind")
        parts = (found.found, resolved, found.examples, found.held_out)
        counts = [Counter(map(kind_of, part)) for part in parts]
        rows = [(x, *map(itemgetter(x), counts)) for x in {**counts[0], **counts[2]}]
        columns = ("kind", "tried", "the base resolves", "train", "test")
        out.show(f"{output}: examples", columns, rows)
        for subject, reason in found.rejected.items():
            out.say(f": no example, {reason}", subject)

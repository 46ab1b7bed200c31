"""``loratheory train`` and ``loratheory augment``: an adapter that others can combine."""

import re
from collections import Counter
from functools import partial
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from loratheory.cli import _shared as out

COUNT = "`fresh`: a new stand-in at each step. Or a number; 0 is standard training."
RATE = "Learning rate. By default it is computed from the base model."
HELD_OUT = "Number of stand-ins that only measure the adapter."
AUGMENTED = "Add the examples in this folder, written by `augment`."


def train(
    plan: Annotated[Path, Argument(metavar="PLAN", help="A JSON file, as above.")],
    output: out.Output,
    *,
    stand_ins: Annotated[str, Option(metavar="fresh|N", help=COUNT)] = "fresh",
    steps: Annotated[int, Option(min=1, help="Number of training steps.")] = 180,
    rank: Annotated[int, Option(min=1, help="Rank of the adapter's updates.")] = 8,
    rate: Annotated[float | None, Option(min=1e-9, help=RATE, show_default=False)] = None,
    layers: Annotated[str | None, Option(metavar="25-29", help="Train only these layers.")] = None,
    held_out: Annotated[int, Option(min=1, help=HELD_OUT)] = 1,
    augmented: Annotated[Path | None, Option(metavar="FOLDER", help=AUGMENTED)] = None,
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

    A plan is a JSON file:

    `{"facts": {"Zorvik": "Peru", …}, "templates": ["{} was born in", …], "two_hop_templates": ["The
    country where {} was born has as its mascot the", …], "partner": {"hop": 2, "templates": ["The
    mascot of {} is the", …], "answers": ["lion", "owl", …]}}`

    `"answers"` lists possible answers of a partner for hop 2. A partner for hop 1 needs made-up
    `"subjects"` instead. Three keys are optional. `"held_out_templates"` and
    `"held_out_two_hop_templates"` are for measurement only. `"replay"` lists prompts with answers
    that should not change.

    Example: `loratheory train docs/plans/births.json -o births`

    Example: `loratheory train docs/plans/mascots.json --stand-ins 0 --layers 25-29 -o mascots`

    JSON: the adapter's card, which is also written as `adapter_card.json` in the folder.
    """
    out.check_folder(output, force=force, json=json)
    from loratheory.adapters import write_adapter
    from loratheory.pretrained import load_plan, train_for_composition
    from loratheory.pretrained.augment import read_rows

    # whether the plan has enough words is known before the model is loaded
    content = load_plan(plan)
    count = _parse_stand_ins(stand_ins)
    content.check(count, held_out)
    how: Any = {"stand_ins": count, "steps": steps, "rank": rank, "rate": rate, "seed": seed}
    how["held_out"] = held_out
    how["layers"] = _parse_layers(layers) if layers is not None else None
    if augmented is not None:
        how["augmented"] = list(read_rows(augmented / "train.jsonl").items())
        # only what trains must be there
        if (augmented / "test.jsonl").exists():
            how["descriptions"] = list(read_rows(augmented / "test.jsonl").items())
    model = base.load()
    with out.stages(held_out + (3 if count is None else count + 2)) as begin:
        found = train_for_composition(model, content, begin=begin, **how)
    write_adapter(found.adapter, output, force=force, card=found.card)
    if out.deliver(json, found.card):
        says = {
            share.what.removeprefix("two-hop, "): out.format_share(share) for share in found.shares
        }
        for who in ("with the held-out stand-in", "with a stand-in"):
            if who in says:
                out.say(f" {who}: {says[who]}", "Two-hop accuracy")
        part, less = found.card["promise"].values()
        out.say(
            f" with a partner like the held-out stand-ins, two-hop accuracy is below "
            f"{part:.0%} with a probability of at most {less:.0%}",
            "Promise:",
        )
        columns = {"questions": "what", "right (95% interval)": out.format_share}
        out.show(f"{output}: right answers among all tokens", columns, found.shares)
        card = f"card: {output / 'adapter_card.json'}"
        out.say(f" {found.card['drift']:.2f} nats per token on generic text; {card}", "Drift:")


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
    overwrite: out.Overwrite = False,
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
    check_writable(output, overwrite=overwrite)
    content = read_facts(facts)
    things = read_entities(*(kinds or ()))
    model = base.load()
    taken = content.keys() & {"facts", "templates", "held_out_templates", "answer_attributes"}
    how: Any = {key: content[key] for key in taken} | {"things": things, "seed": seed}
    how["progress"] = partial(out.progress, unit="subject", desc="ask")
    found = augment(model, **how)
    write_examples(output, found, model.name, overwrite=overwrite)
    if out.deliver(json, found):
        resolved = [one for one in found.found if one.share >= LEAST]
        rows, kind_of = [], attrgetter("kind")
        parts = (found.found, resolved, found.examples, found.held_out)
        counts = [Counter(map(kind_of, part)) for part in parts]
        for kind in {**counts[0], **counts[2]}:
            numbers = map(itemgetter(kind), counts)
            rows.append((kind, *numbers))
        columns = ("kind", "tried", "the base resolves", "train", "test")
        out.show(f"{output}: examples", columns, rows)
        for subject, reason in found.rejected.items():
            out.say(f": no example, {reason}", subject)

"""``python -m paper.studies.lm_strangers.protocol``: draw what two authors get, and score adapters.

``draw`` writes a folder for each of two authors and the questions; any trainer may make a PEFT
adapter of each author's folder; ``score`` measures the two together.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loratheory.evaluate.fact_sets import invented
from loratheory.store import draft, write_whole
from loratheory.tasks import ImpossibleError, refuse
from loratheory.tasks.export import write_folder
from paper.studies.lm_strangers.draw import LEVELS, PAIRS, SIZE, FactSet, chance, draw

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Model

REMEDY = "write the folder anew with `draw`"
WORDS = {1: "subjects", 2: "answers"}  # of the partner, by its hop
KINDS = ("two_hop", "hop_1", "hop_2", "known")


def main(words: Sequence[str] | None = None) -> int:
    """Draw a fact set or score two adapters; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m paper.studies.lm_strangers.protocol")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("draw", help="write what two authors get, and the questions")
    one.add_argument("--pair", choices=PAIRS, default="birth, mascot", help="of relations")
    one.add_argument("--level", choices=LEVELS, default="S0", help="what the authors do not share")
    one.add_argument("--seed", type=int, default=0, help="number of the fact set")
    one.add_argument("folder", type=Path, help="a new folder")
    two = commands.add_parser("score", help="measure two adapters on a drawn folder")
    two.add_argument("folder", type=Path, help="written by `draw`")
    two.add_argument("adapters", type=Path, nargs=2, help="folders of PEFT, hop 1 first")
    two.add_argument("--model", default="", help="as in `loratheory advise`")
    two.add_argument("--dtype", default="bfloat16")
    two.add_argument("--json", type=Path, help="an entry for the comparison, entry.schema.json")
    args = parser.parse_args(words)
    try:
        if args.command == "draw":
            write(draw(args.pair, args.level, args.seed), args.folder, vars(args))
            return 0
        _score(args)
    except (ImpossibleError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def write(facts: FactSet, folder: Path, about: dict[str, Any]) -> None:
    """Write a folder for each author, and ``questions.json``, which no author may read.

    An author's folder has a plan of `loratheory train`, and ``train.jsonl``: prompts with their
    completions, facts that the plan lacks among them.
    """
    content = {
        **{name: about[name] for name in ("pair", "level", "seed")},
        "people": [*invented(about["seed"], SIZE)],
        **facts.questions,
        "covered": facts.covered.tolist(),
    }
    if folder.exists():
        refuse(f"{folder} exists already", "name a new folder")
    # The folder appears whole, or not at all.
    with draft(folder, replace=False) as place:
        place.mkdir()
        for hop, (plan, further) in enumerate(zip(facts.plans, facts.further, strict=True), 1):
            fields = {name: value for name, value in asdict(plan).items() if value}
            partner = fields["partner"]
            partner[WORDS[partner["hop"]]] = partner.pop("words")
            rows = []
            for prompt, answer in [*plan.examples, *further]:
                rows.append({"prompt": prompt, "completion": f" {answer}"})
            body = (
                f"Training examples of the hop-{hop} author. `loratheory train` reads `plan.json`."
            )
            more = {"plan.json": json.dumps(fields, indent=1, ensure_ascii=False)}
            sets = {"train": rows}
            write_folder(place / f"hop_{hop}", "Facts of one author", sets, body, more=more)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (place / "questions.json").write_text(text, encoding="utf-8")


def _score(args: argparse.Namespace) -> None:
    """Print a table of accuracies, and write the entry that was asked for."""
    from loratheory.adapters import read_adapter
    from loratheory.pretrained import load_model
    from loratheory.pretrained.models import failure, read_json

    if args.json and (args.json.is_dir() or not args.json.parent.is_dir()):
        refuse(f"{args.json} cannot be written", "name a file in a folder that exists")
    content = read_json(args.folder / "questions.json", REMEDY)
    if lacking := {"pair", "level", "seed", "people", *KINDS} - content.keys():
        raise failure(args.folder / "questions.json", f"there is no {min(lacking)!r}", REMEDY)
    adapters = [read_adapter(str(place)) for place in args.adapters]
    model = load_model(args.model, dtype=args.dtype) if args.model else load_model(dtype=args.dtype)
    rows = score(model, content, adapters)
    entry = {
        "base": model.name,
        **{name: content[name] for name in ("pair", "level", "seed")},
        "chance": chance(content["two_hop"]),
        "rows": rows,
    }
    head = [*KINDS, "drift"]
    sys.stdout.write(f"{'':24}" + "".join(f"{name:>10}" for name in head) + "\n")
    for row in rows:
        # With two prompts no single model answers: it has no drift of its own.
        shares = "".join(f"{100 * row[name]:9.0f}%" for name in KINDS if name in row)
        drift = f"{row['drift']:10.2f}" if "drift" in row else ""
        sys.stdout.write(f"{row['rule']:24}{shares}{drift}\n")
    if args.json:
        write_whole(args.json, json.dumps(entry, indent=1))


def score(
    model: "Model", content: dict[str, Any], adapters: Sequence["Adapter"]
) -> list[dict[str, Any]]:
    """Return top-1 accuracies and drift of two adapters by how they are used.

    ``two prompts`` asks the hop-1 question first and puts its answer into the hop-2 question: right
    if both are, each with its own adapter.
    """
    from loratheory.evaluate.answers import answers
    from loratheory.pretrained import kl_to_base
    from loratheory.pretrained.methods import METHODS, Subjects, attach_method
    from paper.studies._shared import measures
    from paper.studies._shared.language import depth
    from paper.studies.lm_strangers.pairs import uses

    about = []
    for hop in (1, 2):
        # A held-out prompt names its subject: a person, or what is the answer of hop 1.
        names = [a for _, a in content["hop_1"]] if hop == 2 else content["people"]
        about.append(Subjects(tuple(dict.fromkeys(names)), hop))
    ways = uses(depth(model))
    ways["subject routing"] = lambda model, adapters: attach_method(
        model, adapters, METHODS["subject routing"], about=about
    )
    generic, rows, right = measures.generic_log_probs(model), [], dict[str, Any]()
    for rule, act in ways.items():
        with act(model, adapters):
            found = {kind: answers(model, content[kind]).vocabulary_right for kind in KINDS}
            drift = kl_to_base(generic, measures.generic_log_probs(model))
        right[rule] = found
        shares = {kind: float(np.mean(found[kind])) for kind in KINDS}
        rows.append({"rule": rule, **shares, "drift": float(drift)})
    first, second = right["hop 1 alone"]["hop_1"], right["hop 2 alone"]["hop_2"]
    both = {"hop_1": float(first.mean()), "hop_2": float(second.mean())}
    # Facts of a template come one after another, and the first bridges are those of the people.
    people = len({bridge for _, bridge in content["hop_1"]})
    templates = len(content["hop_1"]) // people
    first, second = (one.reshape(templates, -1)[:, :people] for one in (first, second))
    rows.append({"rule": "two prompts", "two_hop": float((first & second).mean()), **both})
    return rows


if __name__ == "__main__":
    sys.exit(main())

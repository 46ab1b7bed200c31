"""``loratheory data``: word problems and two-hop questions as files."""

from typing import Annotated, Any

from typer import Option

from loratheory.cli import _shared as out

# questions; more take minutes before memory runs out
MOST = 1_000_000
STEPS = 3  # of the longest solutions
SPLIT = "Property that only test problems have: pair, template, depth or wording."
PAIR = "The two skills that --split pair holds out."
COUNT = "Number of problems; a fifth are test data."


def word_problems(
    output: out.Output,
    *,
    n: Annotated[int, Option("--n", min=2, max=MOST, help=COUNT)] = 1000,
    seed: out.Seed = 0,
    split: Annotated[str, Option(help=SPLIT)] = "template",
    skills: Annotated[str, Option(metavar="A,B,…", help="Skills to use. Default: all.")] = "",
    pair: Annotated[str, Option(metavar="A,B", help=PAIR)] = "",
    force: out.Force = False,
    json: out.Json = None,
) -> None:
    """Write word problems with step-by-step solutions, split into training and test data.

    Use this command to measure whether a model generalises to problems of another structure. A
    problem is a chain of one to three steps. Each step applies a skill (add, subtract, multiply,
    divide or percent) to the result of the step before. `--split` names the property that only test
    problems have:

    - pair: two particular skills in one problem, such as multiply and percent

    - template: a sequence of skills that occurs in no training problem

    - depth: the largest number of steps

    - wording: sentences in a wording that occurs in no training problem

    The folder has `train.jsonl`, `test.jsonl` and a data card. Hugging Face's `datasets` reads it
    with `load_dataset("FOLDER")`.

    Example: `loratheory data word-problems --n 1000 --split template -o problems`

    Example: `loratheory data word-problems --skills multiply,percent,add --split pair --pair
    multiply,percent -o composed`

    JSON: a list of objects `split, problems, templates`: one for training data, one for test data.
    """
    import numpy as np

    from loratheory.tasks import word_problems as words
    from loratheory.tasks.export import check_writable

    check_writable(output, force=force)
    if pair and split != "pair":
        out.refuse(f"--pair {pair} goes with --split pair, not with --split {split}")
    named = _parse_list(skills) or tuple(words.SKILLS)
    # one generator for all draws: the seed determines every byte
    rng = np.random.default_rng(seed)
    pool = words.pool(named, steps=range(1, STEPS + 1))
    how: Any = {"skills": named, "pair": _parse_list(pair)}
    sets, held_out = words.split(pool, split, n, rng=rng, **how)
    apart = f"problems, {words.SPLITS[split]}"
    command = f"loratheory data word-problems --n {n} --seed {seed} --split {split}"
    command += f" --pair {pair}" if pair else ""
    command += f" --skills {','.join(named)}"
    held = ", ".join("+".join(each) for each in sorted(held_out))
    text = f"Training and test data have no {apart} in common"
    text += f"; the pairs of skills held out: {held}." if held else "."
    words.export(output, sets, about=_begin_card(command, text), force=force)
    rows = []
    for name, part in sets.items():
        rows.append({"split": name, "problems": len(part), "templates": len({*part.templates})})
    _report(f"{output}: training and test data share no {apart}", rows, json)


def _begin_card(command: str, text: str) -> str:
    return f"Made by `{command}`; all of it is generated, none collected.\n\n{text}"


def _parse_list(words: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, words.split(","))))


def two_hop(
    output: out.Output,
    *,
    n: Annotated[int, Option("--n", min=2, max=MOST, help="Number of people.")] = 100,
    seed: out.Seed = 0,
    split: Annotated[float, Option(min=0, max=1, help="Share of questions for training.")] = 0.5,
    force: out.Force = False,
    json: out.Json = None,
) -> None:
    """Write invented facts and two-hop questions about them, split into training and test data.

    Use this command to train a small model from the start, and to test whether the model composes
    facts. The facts are the country where each person was born and the national animal of each
    country. A row of
    `train.jsonl` or `test.jsonl` has `prompt`, `answer` and tokens for a small model:

    `{"prompt": "What is the national animal of the country of birth of Nozani Nezibu?", "answer":
    "Vilotex", …}`

    Training data have all single facts. A country links the two facts of a question. The country of
    a test question occurs in no two-hop question of the training data. The folder also has a data
    card. Hugging Face's
    `datasets` reads it with `load_dataset("FOLDER")`.

    Example: `loratheory data two-hop --n 100 --split 0.5 -o facts`

    JSON: a list of objects `split, rows`: one for training data, one for test data.
    """
    import numpy as np

    from loratheory.tasks import two_hop as hop
    from loratheory.tasks.export import check_writable
    from loratheory.tasks.prompts import joined

    check_writable(output, force=force)
    rng = np.random.default_rng(seed)
    fact_set = hop.draw_facts(seed, entities=n)
    parts = hop.split(fact_set, split, rng=rng)
    if not len(parts.held_out):
        out.refuse(f"--split {split:g} leaves no question for testing: ask for a smaller fraction")
    train = joined([part.final() for part in hop.pretraining(fact_set, parts)], "training")
    test = hop.encode(fact_set, parts.held_out).final()
    sets = {"train": train, "test": test}
    command = f"loratheory data two-hop --n {n} --seed {seed} --split {split:g}"
    text = (
        "Training data have all single facts and some two-hop questions. Test data have the other"
        " questions, whose bridges occur in no training question. Names are made of syllables."
    )
    named = hop.language(fact_set, rng=rng)
    card = _begin_card(command, text)
    hop.export(output, sets, fact_set, named, style="question", about=card, force=force)
    rows = [{"split": name, "rows": len(part)} for name, part in sets.items()]
    _report(f"{output}: training and test questions share no bridges", rows, json)


def _report(title: str, rows: list[dict[str, Any]], json: Any) -> None:
    """Print the number of rows in each file, and write it as JSON."""
    if out.deliver(json, rows):
        out.show(title, [*rows[0]], map(dict.values, rows))

"""Problems as files for other programs: JSON Lines, and a card by which loaders find them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from loratheory.tasks import impossible
from loratheory.tasks._folder import data_card, writable, written
from loratheory.tasks.word_problems._problems import Problems, keys
from loratheory.tasks.word_problems._stories import SCENES, programs, stories
from loratheory.tasks.word_problems._tokens import NAMES, Alphabet, stepwise

_FIELDS = """
| field | what it is |
|---|---|
| `problem`, `solution`, `answer` | the question, its steps, the number; modulo a prime, as tokens |
| `program` | the solution as Python; the last line sets `answer` |
| `template`, `graph` | the solution's structure: equal codes mean isomorphic graphs |
| `skills`, `steps`, `depth`, `distractors` | what is used, how often, how deep, and what is idle |
| `entities`, `wordings` | who has something, and how each sentence is put, last the question |
| `canary` | the same in all rows of a split; a model that knows it has seen the split |
"""


def export(
    folder: Path, sets: Mapping[str, Problems], *, about: str = "", overwrite: bool = False
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, whole or not at all.

    Parameters
    ----------
    folder : Path
        Must not exist, unless it may be replaced; its parent must.
    sets : mapping of str to Problems
        The names become splits: ``load_dataset(FOLDER)`` of Hugging Face `datasets` has them.
    about : str
        What else the card is to say, such as the command and its seed.
    overwrite : bool
        Whether a folder of such data that is there may be replaced.

    Returns
    -------
    Path
        The folder. Equal arguments give equal bytes.

    Raises
    ------
    ImpossibleError
        If something is there, or a name is no name of a split.
    """
    for name in sets:
        if not name.isidentifier():
            fact = f"a set is called {name!r}"
            raise impossible(fact, "use letters, digits and underscores, not a digit first")
    writable(folder, overwrite=overwrite)
    files, table, lost = {}, ["| split | problems | templates | canary |", "|---|---|---|---|"], []
    for name, problems in sets.items():
        mark = canary(name, problems)
        rows = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in _rows(problems, mark))
        files[f"{name}.jsonl"] = "".join(rows)
        count = len({template for template, _ in problems.forms()[0]})
        table.append(f"| {name} | {len(problems)} | {count} | `{mark}` |")
        lost += [f"{number} ({name}: {reason})" for reason, number in problems.excluded.items()]
    excluded = f"Draws thrown away: {'; '.join(lost) or 'none'}."
    body = "\n".join([about.strip(), "", *table, _FIELDS, excluded])
    total = sum(len(problems) for problems in sets.values())
    files["README.md"] = data_card("Word problems", [*sets], body, rows=total)
    return written(folder, files, overwrite=overwrite)


def canary(name: str, problems: Problems) -> str:
    """Return a word for a set that stands nowhere else: its name, and a digest of its problems."""
    digest = hashlib.sha256(repr(sorted(keys(problems))).encode()).hexdigest()
    return f"canary-word-problems-{name}-{digest[:16]}"


def _rows(problems: Problems, mark: str) -> Iterator[dict[str, object]]:
    texts = _tokens(problems) if problems.prime else [each._asdict() for each in stories(problems)]
    columns = (texts, programs(problems), problems.templates, problems.distractors.tolist())
    for row, (text, program, template, idle) in enumerate(zip(*columns, strict=True)):
        order = [k for k in problems.order[row].tolist() if problems.told[row, k]]
        owners = NAMES if problems.prime else SCENES[problems.scenes[row]].owners
        wordings = [int(problems.wordings[row, k]) for k in order]
        yield {
            **text,
            "program": program,
            "template": template.code,
            "graph": str(template),
            "skills": "+".join(sorted(template.skills)),
            "steps": template.steps,
            "depth": template.depth,
            "distractors": idle,
            "entities": [owners[problems.names[row, k]] for k in order],
            "wordings": [*wordings, int(problems.asking[row])],
            "canary": mark,
        }


def _tokens(problems: Problems) -> list[dict[str, object]]:
    """What a small transformer reads and says, with the same in signs."""
    code = Alphabet(problems.prime)
    prompts = stepwise(code, problems)
    made: list[dict[str, object]] = []
    for row, asked in enumerate(prompts.asked.tolist()):
        tokens, targets = prompts.tokens[row], prompts.targets[row]
        end = int(prompts.position[row]) + 1
        made.append(
            {
                "problem": code.written(tokens[: asked + 1]),
                "solution": code.written(targets),
                "answer": str(problems.answers[row]),
                "tokens": tokens[:end].tolist(),
                "targets": targets[:end].tolist(),
                "asked": asked,
            }
        )
    return made

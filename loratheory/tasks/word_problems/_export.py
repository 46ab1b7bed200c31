"""Problems as rows of files for other programs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from loratheory.tasks._export import exported
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
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``, and return it.

    It appears complete or not at all. ``load_dataset(FOLDER)`` of Hugging Face `datasets` has the
    sets as splits. The text `about`, such as the command and its seed, is added to the README.
    Equal arguments give equal bytes.

    Raises
    ------
    ImpossibleError
        If the folder exists and may not be replaced, or a set's name is no name of a split.
    """
    canaries = {name: _canary(name, problems) for name, problems in sets.items()}
    table, lost = ["| split | problems | templates | canary |", "|---|---|---|---|"], []
    for name, problems in sets.items():
        count = len({template for template, _ in problems.forms()[0]})
        table.append(f"| {name} | {len(problems)} | {count} | `{canaries[name]}` |")
        lost += [f"{number} ({name}: {reason})" for reason, number in problems.excluded.items()]
    excluded = f"Draws thrown away: {'; '.join(lost) or 'none'}."
    body = "\n".join([about.strip(), "", *table, _FIELDS, excluded])
    rows = {name: _rows(problems, canaries[name]) for name, problems in sets.items()}
    return exported(folder, "Word problems", rows, body, overwrite=overwrite)


def _canary(name: str, problems: Problems) -> str:
    """A word for a set that stands nowhere else: its name, and a digest of its problems."""
    digest = hashlib.sha256(repr(sorted(keys(problems))).encode()).hexdigest()
    return f"canary-word-problems-{name}-{digest[:16]}"


def _rows(problems: Problems, canary: str) -> list[dict[str, object]]:
    texts = _tokens(problems) if problems.prime else [each._asdict() for each in stories(problems)]
    columns = (texts, programs(problems), problems.templates, problems.distractors.tolist())
    rows: list[dict[str, object]] = []
    for row, (text, program, template, idle) in enumerate(zip(*columns, strict=True)):
        order = [k for k in problems.order[row].tolist() if problems.present[row, k]]
        owners = NAMES if problems.prime else SCENES[problems.scenes[row]].owners
        wordings = problems.wordings[row, order].tolist()
        rows.append(
            {
                **text,
                "program": program,
                "template": template.code,
                "graph": str(template),
                "skills": "+".join(sorted(template.skills)),
                "steps": template.steps,
                "depth": template.depth,
                "distractors": idle,
                "entities": [owners[name] for name in problems.names[row, order].tolist()],
                "wordings": [*wordings, int(problems.asking[row])],
                "canary": canary,
            }
        )
    return rows


def _tokens(problems: Problems) -> list[dict[str, object]]:
    """What a small transformer reads and says, with the same in signs."""
    code = Alphabet(problems.prime)
    prompts = stepwise(code, problems)
    columns = (prompts.tokens, prompts.targets, prompts.asked.tolist(), prompts.position + 1)
    return [
        {
            "problem": code.written(tokens[: asked + 1]),
            "solution": code.written(targets),
            "answer": str(answer),
            "tokens": tokens[:end].tolist(),
            "targets": targets[:end].tolist(),
            "asked": asked,
        }
        for tokens, targets, asked, end, answer in zip(*columns, problems.answers, strict=True)
    ]

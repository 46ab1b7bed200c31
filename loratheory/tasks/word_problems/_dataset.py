"""Problems as files for other programs: JSON Lines, and a card by which loaders find them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from loratheory.tasks._error import impossible
from loratheory.tasks._folder import card, writable, written
from loratheory.tasks.word_problems._alphabet import NAMES, Alphabet
from loratheory.tasks.word_problems._keys import keys
from loratheory.tasks.word_problems._problems import Problems
from loratheory.tasks.word_problems._programs import programs
from loratheory.tasks.word_problems._sentences import SCENES
from loratheory.tasks.word_problems._stories import stories
from loratheory.tasks.word_problems._tokens import stepwise

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
    """Write a folder with ``NAME.jsonl`` for each set, and ``README.md``.

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
    files = {
        f"{name}.jsonl": "".join(
            f"{json.dumps(row, ensure_ascii=False)}\n" for row in _rows(here, canary(name, here))
        )
        for name, here in sets.items()
    }
    rows = sum(len(here) for here in sets.values())
    body = f"{about.strip()}\n\n{_table(sets)}\n{_FIELDS}\n{_excluded(sets)}"
    return written(
        folder,
        files | {"README.md": card("Word problems", [*sets], body, rows=rows)},
        overwrite=overwrite,
    )


def canary(name: str, here: Problems) -> str:
    """Return a word for a set that stands nowhere else: its name, and a digest of its problems."""
    digest = hashlib.sha256(repr(sorted(keys(here))).encode()).hexdigest()
    return f"canary-word-problems-{name}-{digest[:16]}"


def _rows(here: Problems, mark: str) -> Iterator[dict[str, object]]:
    told = _tokens(here) if here.prime else [story._asdict() for story in stories(here)]
    extra = zip(told, programs(here), here.templates, here.distractors.tolist(), strict=True)
    for row, (text, program, template, idle) in enumerate(extra):
        order = [k for k in here.order[row].tolist() if here.told[row, k]]
        owners = NAMES if here.prime else SCENES[here.scenes[row]].owners
        names = [int(here.names[row, k]) for k in order]
        yield {
            **text,
            "program": program,
            "template": template.code,
            "graph": str(template),
            "skills": "+".join(sorted(template.skills)),
            "steps": template.steps,
            "depth": template.depth,
            "distractors": idle,
            "entities": [owners[k] for k in names],
            "wordings": [*(int(here.wordings[row, k]) for k in order), int(here.asking[row])],
            "canary": mark,
        }


def _tokens(here: Problems) -> list[dict[str, object]]:
    """What a small transformer reads and says, with the same in signs."""
    code = Alphabet(here.prime)
    rows = stepwise(code, here)
    made: list[dict[str, object]] = []
    for row, (tokens, targets, asked) in enumerate(
        zip(rows.tokens, rows.targets, rows.asked.tolist(), strict=True)
    ):
        end = int(rows.position[row]) + 1
        made.append(
            {
                "problem": code.spelt(tokens[: asked + 1]),
                "solution": code.spelt(targets),
                "answer": str(here.answers[row]),
                "tokens": tokens[:end].tolist(),
                "targets": targets[:end].tolist(),
                "asked": asked,
            }
        )
    return made


def _table(sets: Mapping[str, Problems]) -> str:
    lines = ["| split | problems | templates | canary |", "|---|---|---|---|"]
    for name, here in sets.items():
        count = len({template for template, _ in here.forms()[0]})
        lines.append(f"| {name} | {len(here)} | {count} | `{canary(name, here)}` |")
    return "\n".join(lines)


def _excluded(sets: Mapping[str, Problems]) -> str:
    """What was drawn and thrown away."""
    lost = [
        f"{count} ({name}: {reason})"
        for name, here in sets.items()
        for reason, count in here.excluded.items()
    ]
    return f"Draws thrown away: {'; '.join(lost) or 'none'}."

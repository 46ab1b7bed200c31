"""Sets as files for other programs: JSON Lines with tokens and words, and a card; whole or not."""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from loratheory.tasks._error import impossible
from loratheory.tasks.two_hop._disjoint import leaks
from loratheory.tasks.two_hop._names import Language
from loratheory.tasks.two_hop._prompts import Prompts
from loratheory.tasks.two_hop._text import texts
from loratheory.tasks.two_hop._world import PAD


def export(
    folder: Path,
    sets: Mapping[str, Prompts],
    words: Language,
    *,
    style: str = "cloze",
    wording: int = 0,
    card: Mapping[str, Any] | None = None,
) -> Path:
    """Write one file per set, ``NAME.jsonl``, and ``card.json``.

    Parameters
    ----------
    folder : Path
        Must not exist; its parent must.
    sets : mapping of str to Prompts
        Not stacked; the names become file names.
    words : Language
        Names of the world's entities.
    style : str
        "cloze" or "question".
    wording : int
        How each relation is put.
    card : mapping, optional
        What else the card is to say, such as the seed; it must be JSON.

    Returns
    -------
    Path
        The folder. Equal arguments give equal bytes.

    Raises
    ------
    ImpossibleError
        If the folder exists, has no parent, or a name is no file name.
    """
    if folder.exists() or not folder.parent.is_dir():
        fact = f"{folder} exists already" if folder.exists() else f"{folder.parent} is no folder"
        raise impossible(fact, "name a new folder in one that exists")
    for name in sets:
        if not name.replace("-", "").replace("_", "").isalnum() or name == "card":
            fact = f"a set is called {name!r}"
            raise impossible(fact, "use letters, digits, hyphens and underscores, not 'card'")
    draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    draft.mkdir()
    try:
        for name, prompts in sets.items():
            lines = (
                json.dumps(row, ensure_ascii=False) for row in _rows(prompts, words, style, wording)
            )
            text = "".join(f"{line}\n" for line in lines)
            (draft / f"{name}.jsonl").write_text(text, encoding="utf-8")
        text = json.dumps(_card(sets, words, style, wording) | dict(card or {}), indent=2)
        (draft / "card.json").write_text(text + "\n", encoding="utf-8")
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def _rows(
    prompts: Prompts, words: Language, style: str, wording: int
) -> Iterator[dict[str, object]]:
    said = texts(words, prompts, style=style, wording=wording)
    arrays = (prompts.tokens, prompts.targets, prompts.asked)
    columns = zip(*(array.tolist() for array in arrays), said, strict=True)
    for tokens, targets, asked, text in columns:
        length = len(tokens) - next((k for k, t in enumerate(tokens[::-1]) if t != PAD), 0)
        yield {
            "prompt": text.prompt,
            "answer": text.answer,
            "tokens": tokens[:length],
            "targets": targets[:length],
            "asked": asked,
        }


def _card(
    sets: Mapping[str, Prompts], words: Language, style: str, wording: int
) -> dict[str, object]:
    """Sizes, candidates, and which canary marks which set."""
    here = words.here
    return {
        "sets": {
            name: {
                "kind": prompts.kind,
                "rows": len(prompts),
                "canaries": sorted(
                    words.names[token] for (token,) in leaks(here, prompts, prompts).canaries
                ),
            }
            for name, prompts in sets.items()
        },
        "style": style,
        "wording": wording,
        "vocabulary": here.vocabulary,
        "candidates": [
            [words.names[token] for token in here.level(level)] for level in range(here.hops + 1)
        ],
    }

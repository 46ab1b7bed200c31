"""Write data folders that appear complete or not at all and that data loaders read unchanged."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from loratheory.store import draft
from loratheory.tasks import refuse

ENDINGS = (".json", ".jsonl", ".md")
TERMS = "license: mit\nlanguage:\n- en\ntags:\n- synthetic\n"


def write_folder(
    folder: Path,
    title: str,
    sets: Mapping[str, Sequence[Mapping[str, object]]],
    body: str,
    *,
    more: Mapping[str, str] | None = None,
    terms: str = TERMS,
    force: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set of rows and ``README.md``, and return it.

    ``load_dataset(FOLDER)`` finds the sets as splits by the data card, ``README.md``, which has the
    title, `terms` and the body in Markdown; `more` has the texts of further files by name. With
    `force` a folder that holds nothing but data files may be replaced. In all other cases, and
    after a failure, an existing folder stays. Raises `ImpossibleError` if the folder exists and may
    not be replaced, or has no parent.
    """
    check_writable(folder, force=force)
    texts, splits = dict(more or {}), ""
    for name, rows in sets.items():
        texts[f"{name}.jsonl"] = "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        splits += f"  - split: {name}\n    path: {name}.jsonl\n"
    head = f"pretty_name: {title}\n{terms}configs:\n- config_name: default\n  data_files:\n{splits}"
    texts["README.md"] = f"---\n{head}---\n\n# {title}\n\n{body.strip()}\n"
    with draft(folder, replace=force) as place:
        place.mkdir()
        for name, text in texts.items():
            # The bytes are the same on every system: no translation of line ends.
            (place / name).write_text(text, encoding="utf-8", newline="")
    return folder


def check_writable(folder: Path, *, force: bool = False) -> None:
    """Raise `ImpossibleError`, before any work, for a folder that `write_folder` would refuse."""
    if folder.name in ("", "..") or not folder.parent.is_dir():
        fact = f"{folder} cannot be made: it has no name, or its parent folder does not exist"
        refuse(fact, "name a new folder in one that exists")
    if not folder.exists():
        return
    if not force:
        refuse(f"{folder} exists already", "name a new folder, or replace this one (--force)")
    # A mistyped folder must not be lost: only data files are replaced.
    if not folder.is_dir():
        refuse(f"{folder} is a file, which is not replaced", "name a folder")
    for entry in sorted(folder.iterdir()):
        if entry.is_symlink() or not entry.is_file() or entry.suffix not in ENDINGS:
            fact = f"{folder} holds not only data, but {entry.name}"
            refuse(fact, "name another folder: this one is not replaced")

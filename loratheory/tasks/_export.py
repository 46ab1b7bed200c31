"""Folders of data, which appear complete or not at all and which data loaders read as they are."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from loratheory.store import draft
from loratheory.tasks import impossible

ENDINGS = (".json", ".jsonl", ".md")
TERMS = "license: mit\nlanguage:\n- en\ntags:\n- synthetic\n"
SIZES = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def exported(
    folder: Path,
    title: str,
    sets: Mapping[str, Sequence[Mapping[str, object]]],
    body: str,
    *,
    more: Mapping[str, str] | None = None,
    terms: str = TERMS,
    overwrite: bool = False,
) -> Path:
    """Write a folder with ``NAME.jsonl`` for each set of rows and ``README.md``, and return it.

    ``load_dataset(FOLDER)`` finds the sets as splits by the data card, ``README.md``, which has the
    title, `terms` and the body in Markdown; `more` has the texts of further files by name. With
    `overwrite` a folder that holds nothing but data files may be replaced; in all other cases, and
    after a failure, what was there stays. Raises `ImpossibleError` if the folder exists and may not
    be replaced, has no parent, or a set's name is no name of a split.
    """
    for name in sets:
        if not name.isidentifier():
            fact = f"a set is called {name!r}"
            raise impossible(fact, "use letters, digits and underscores, not a digit first")
    writable(folder, overwrite=overwrite)
    files = {
        f"{name}.jsonl": "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        for name, rows in sets.items()
    }
    rows = sum(len(each) for each in sets.values())
    files |= {**(more or {}), "README.md": _card(title, terms, [*sets], body, rows)}
    with draft(folder, replace=overwrite) as place:
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8", newline="")
    return folder


def writable(folder: Path, *, overwrite: bool = False) -> None:
    """Raise `ImpossibleError`, before any work, for a folder that `exported` would refuse."""
    if folder.name in ("", "..") or not folder.parent.is_dir():
        missing = f"there is no folder {folder.parent} for {folder.name}"
        fact = f"{folder} is no name" if folder.name in ("", "..") else missing
        raise impossible(fact, "name a new folder in one that exists")
    if not folder.exists():
        return
    if not overwrite:
        fact = f"{folder} exists already"
        raise impossible(fact, "name a new folder, or overwrite this one")
    foreign = _foreign(folder) if folder.is_dir() else None
    if foreign is None or foreign:
        held = "no folder" if foreign is None else "not only data, but holds "
        fact = f"{folder} is {held}{', '.join((foreign or [])[:3])}"
        raise impossible(fact, "name another folder: this one is not replaced")


def _foreign(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_symlink() or not entry.is_file() or entry.suffix not in ENDINGS
    )


def _card(title: str, terms: str, splits: Sequence[str], body: str, rows: int) -> str:
    size = next((name for most, name in SIZES if rows < most), "100K<n<1M")
    files = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name in splits)
    head = f"pretty_name: {title}\n{terms}size_categories:\n- {size}\n"
    head = f"---\n{head}configs:\n- config_name: default\n  data_files:\n{files}---\n"
    return f"{head}\n# {title}\n\n{body.strip()}\n"

"""Folders of data that are there whole or not at all, and that data loaders read as they are."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from loratheory.store import draft
from loratheory.tasks import impossible

ENDINGS = (".json", ".jsonl", ".md")


def written(folder: Path, files: Mapping[str, str], *, overwrite: bool = False) -> Path:
    """Return a folder that holds these text files, by their names, and no others.

    Its parent must exist. A folder that holds nothing but data files may be replaced, where
    `overwrite` says so; in all other cases, and after a failure, what was there stays.

    Raises
    ------
    ImpossibleError
        If something else is there, or the folder has no parent.
    """
    writable(folder, overwrite=overwrite)
    with draft(folder, replace=overwrite) as place:
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(text, encoding="utf-8", newline="")
    return folder


def writable(folder: Path, *, overwrite: bool = False) -> None:
    """Refuse, before any work, a folder that `written` would refuse."""
    if folder.name in ("", "..") or not folder.parent.is_dir():
        missing = f"there is no folder {folder.parent} for {folder.name}"
        fact = f"{folder} is no name" if folder.name in ("", "..") else missing
        raise impossible(fact, "name a new folder in one that exists")
    if not folder.exists():
        return
    if not overwrite:
        fact = f"{folder} exists already"
        raise impossible(fact, "name a new folder, or overwrite this one")
    foreign = ["no folder"] if not folder.is_dir() else _foreign(folder)
    if foreign:
        fact = f"{folder} is not only data, but holds {', '.join(foreign[:3])}"
        fact = fact if folder.is_dir() else f"{folder} is no folder"
        raise impossible(fact, "name another folder: this one is not replaced")


def _foreign(folder: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.is_symlink() or not entry.is_file() or entry.suffix not in ENDINGS
    )


def data_card(title: str, splits: Sequence[str], body: str, *, rows: int) -> str:
    """Return the text of a ``README.md``, which tells ``load_dataset(FOLDER)`` the splits.

    Each split is a file ``NAME.jsonl``; there are so many rows in all of them together, and the
    body says in Markdown what a reader should know.
    """
    bounds = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
    size = next((name for most, name in bounds if rows < most), "100K<n<1M")
    files = "".join(f"  - split: {name}\n    path: {name}.jsonl\n" for name in splits)
    head = (
        f"---\npretty_name: {title}\nlicense: mit\nlanguage:\n- en\ntags:\n- synthetic\n"
        f"size_categories:\n- {size}\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n"
    )
    return f"{head}\n# {title}\n\n{body.strip()}\n"

"""Descriptions of subjects, and lessons made from them as files that other trainers read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from loratheory.adapters import AdapterError
from loratheory.adapters.peft_io import json_object, opened
from loratheory.pretrained._model import ModelError, failure, json_in
from loratheory.pretrained._teach import texts, wrong_facts, wrong_sentences
from loratheory.tasks.export import write_folder

OWN = Path(__file__).with_name("descriptions.json")
REMEDY = "`loratheory rehearse --help` shows both files"
ROW = 'write {"prompt": "…", "completion": "…"}'
TITLE = "Lessons by description"
ABOUT = (
    "Made by `loratheory rehearse`: facts whose subjects are mentioned by descriptions that the "
    "base {base} resolves, or two-hop questions on what it says of their answers. `train` goes "
    "beside the facts by name; `test`, by a kind of description or question "
    "that no lesson has, measures portability. TRL reads the rows as they are; LLaMA-Factory with "
    "`template: empty`; axolotl with `type: {{field_instruction: prompt, field_output: completion, "
    "format: '{{instruction}}', no_input_format: '{{instruction}}'}}`."
)


@dataclass(frozen=True)
class Kind:
    """One kind of description, such as of countries by their capitals.

    Attributes
    ----------
    source : str
        Where its values are from.
    descriptions : tuple of str
        Phrases with ``{}`` for a value, such as "the country whose capital is {}".
    of : mapping of str to tuple of str
        The values of each subject, such as ``("Lima",)`` for Peru.
    """

    source: str
    descriptions: tuple[str, ...]
    of: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Thing:
    """A class of subjects, such as countries, and how they can be described.

    Attributes
    ----------
    asked : tuple of str
        Sentences with ``{}`` for a description, which the subject's name completes.
    kinds : mapping of str to Kind
        Kinds of description by name; by default the last of several is kept for measuring.
    """

    asked: tuple[str, ...]
    kinds: Mapping[str, Kind]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every subject that some kind describes."""
        return tuple(dict.fromkeys(name for kind in self.kinds.values() for name in kind.of))

    def descriptions(self, subject: str) -> list[tuple[str, str]]:
        """Return (kind, description) pairs of a subject, without those that contain its name."""
        every = [
            (name, text.replace("{}", value))
            for name, kind in self.kinds.items()
            for value in kind.of.get(subject, ())
            for text in kind.descriptions
        ]
        return [(name, text) for name, text in every if subject.casefold() not in text.casefold()]


@dataclass(frozen=True)
class Lesson:
    """A prompt about a described subject; of kind "silence", about another, named one."""

    prompt: str
    answer: str
    subject: str
    kind: str
    description: str = ""


@dataclass(frozen=True)
class Found:
    """A description, and the probability share of its subject, by the base, among all subjects."""

    subject: str
    kind: str
    description: str
    share: float


@dataclass(frozen=True)
class Rehearsal:
    """The lessons made from descriptions that the base resolves, and what it made of all others.

    Attributes
    ----------
    lessons : tuple of Lesson
        Examples to train on, beside the facts by name.
    held_out : tuple of Lesson
        Questions that measure portability, by kinds of description that occur in no lesson.
    found : tuple of Found
        Every description that was tried.
    refused : mapping of str to str
        For each subject without a lesson, why there is none.
    """

    lessons: tuple[Lesson, ...]
    held_out: tuple[Lesson, ...]
    found: tuple[Found, ...]
    refused: Mapping[str, str]


def things_in(*files: Path) -> dict[str, Thing]:
    """Return the things that can be described, by name: the package's own and those of JSON files.

    A kind in a file replaces an earlier kind of the same name.

    Raises
    ------
    ModelError
        If a file is no object of things with `asked` and `kinds`.
    """
    things: dict[str, Thing] = {}
    for file in (OWN, *files):
        for name, value in json_in(file, REMEDY).items():
            here = f"{file}: {name}"
            old = things.get(name, Thing((), {}))
            if not isinstance(value, dict) or not isinstance(value.get("kinds"), dict):
                raise failure(here, "is no object with 'asked' and 'kinds'", REMEDY)
            asked = value.get("asked", list(old.asked))
            if fact := wrong_sentences({"asked": asked}):
                raise failure(here, fact, REMEDY)
            kinds = {key: _kind(f"{here}: {key}", kind) for key, kind in value["kinds"].items()}
            things[name] = Thing(tuple(asked), {**old.kinds, **kinds})
    return things


@dataclass(frozen=True)
class Asked:
    """The facts of a file and its sentences, with ``{}`` for a subject; see `rehearsal`."""

    facts: Mapping[str, str]
    sentences: tuple[str, ...]
    unread: tuple[str, ...] = ()
    onward: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def facts_in(file: Path) -> Asked:
    """Return the `facts`, `sentences`, `unread` and `onward` of a JSON file, such as a plan.

    Raises
    ------
    ModelError
        If the file cannot be read or a field is wrong; the message names the field.
    """
    content = json_in(file, REMEDY)
    if fact := wrong_facts(content):
        raise failure(str(file), fact, REMEDY)
    return Asked(
        content["facts"],
        tuple(content["sentences"]),
        tuple(content.get("unread", ())),
        {asking: tuple(sentences) for asking, sentences in content.get("onward", {}).items()},
    )


def _kind(where: str, value: Any) -> Kind:
    if not isinstance(value, dict) or {*value} != {"source", "descriptions", "of"}:
        raise failure(where, "is no object with 'source', 'descriptions' and 'of'", REMEDY)
    if fact := wrong_sentences({"descriptions": value["descriptions"]}):
        raise failure(where, fact, REMEDY)
    of = value["of"]
    if not isinstance(of, dict) or not all(map(texts, of.values())):
        raise failure(where, "'of' is no object from subjects to lists of values", REMEDY)
    return Kind(
        str(value["source"]), tuple(value["descriptions"]), {k: (*v,) for k, v in of.items()}
    )


def write_lessons(folder: Path, made: Rehearsal, base: str, *, overwrite: bool = False) -> Path:
    """Write ``train.jsonl`` and ``test.jsonl``, rows of `prompt` and `completion`, and a card.

    TRL reads the rows as they are; ``dataset_info.json`` tells LLaMA-Factory their columns.

    Parameters
    ----------
    folder : Path
        A new folder; it appears complete or not at all.
    made : Rehearsal
        The lessons and what is held out.
    base : str
        The name of the model that was asked.
    overwrite : bool
        Whether a folder that holds nothing but such files may be replaced.

    Returns
    -------
    Path
        The folder, which ``load_dataset(FOLDER)`` of `datasets` reads.

    Raises
    ------
    ValueError
        If the folder exists and may not be replaced, or has no parent.
    """
    parts = {"train": made.lessons, "test": made.held_out}
    sets = {name: [_row(lesson) for lesson in part] for name, part in parts.items() if part}
    columns = {"prompt": "prompt", "response": "completion"}
    info = {name: {"file_name": f"{name}.jsonl", "columns": columns} for name in sets}
    more = {"dataset_info.json": json.dumps(info, indent=1) + "\n"}
    body = ABOUT.format(base=base)
    return write_folder(folder, TITLE, sets, body, more=more, terms="", overwrite=overwrite)


def _row(lesson: Lesson) -> dict[str, str]:
    """As trainers read it: the space between prompt and answer belongs to the answer."""
    row = asdict(lesson)
    return {"prompt": row.pop("prompt"), "completion": f" {row.pop('answer')}", **row}


def rows_in(file: Path) -> dict[str, str]:
    """Return the answer to each prompt of a file of JSON Lines, as `write_lessons` writes them.

    An answer is called `completion` there; `answer` does as well, and so does a JSON list of rows.

    Raises
    ------
    ModelError
        If a row has no `prompt` or `completion`, or a prompt comes twice; the message has the line.
    """
    pairs: dict[str, str] = {}
    try:
        with opened(file) as lines:
            data = lines.read()
        listed = data.lstrip().startswith(b"[")
        if listed:
            rows = json_object(file, b'{"rows": ' + data + b"}", ROW)["rows"]
        else:
            each = enumerate(data.splitlines(), 1)
            rows = [json_object(file, line, f"mend line {i}") for i, line in each]
    except AdapterError as error:
        raise ModelError(str(error)) from None
    for number, row in enumerate(rows, 1):
        where = f"{file}, {'row' if listed else 'line'} {number}"
        row = row if isinstance(row, dict) else {}
        both = (row.get("prompt"), row.get("completion", row.get("answer")))
        if not texts(list(both)):
            raise failure(where, "there is no prompt and completion in words", ROW)
        prompt, answer = map(str, both)
        if prompt in pairs:
            raise failure(where, "the prompt comes a second time", "leave one of them out")
        pairs[prompt] = answer.strip()
    return pairs

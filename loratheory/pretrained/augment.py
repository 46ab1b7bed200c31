"""Augmentation: a user's facts, with subjects described by what the base knows of them.

An adapter trained on "the mascot of Peru" may not answer about "the mascot of the country whose
capital is Lima", nor after a partner's answer Peru. The base is asked which descriptions it
resolves; these replace the name in the user's own templates. Subjects that the base does not know
have no description; but where it knows something of their *answers*, a two-hop question can ask
for that. The examples are files that other trainers read.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np

from loratheory.adapters import AdapterError
from loratheory.adapters.peft_io import json_object, opened
from loratheory.pretrained.chat import split_messages
from loratheory.pretrained.generate import write_on
from loratheory.pretrained.metrics import first_tokens, next_token_logits
from loratheory.pretrained.models import Model, ModelError, failure, read_json
from loratheory.pretrained.stand_ins import (
    REMEDY,
    are_texts,
    fill_template,
    omit_genitives,
    require_templates,
)
from loratheory.pretrained.train import identify_model
from loratheory.store import cache_folder, content_hash, write_whole
from loratheory.tasks.export import write_folder

OWN = Path(__file__).with_name("descriptions.json")
ROW, ASKED = 'write {"prompt": "…", "completion": "…"}', 'write {"prompt": "…"}'
CHAT = 'write {"messages": [{"role": "user", "content": "…"}]}; answers have the role assistant'
TITLE = "Training examples by description"
ABOUT = (
    "Made by `loratheory augment`: facts whose subjects are mentioned by descriptions that the "
    "base {base} resolves, or two-hop questions on what it says of their answers. Train on "
    "`train` together with the facts by name. `test` measures portability, by a kind of "
    "description or question that no training example has. TRL reads the rows as they are; "
    "LLaMA-Factory with `template: empty`; axolotl with `type: {{field_instruction: prompt, "
    "field_output: completion, format: '{{instruction}}', no_input_format: '{{instruction}}'}}`."
)
SILENCE = "silence"
LEAST = 0.3  # probability share of the right name that the base must give
CONTINUED = 16  # tokens of the base's own words at most
Progress = Callable[[Sequence[str], int], Iterable[str]]


@dataclass(frozen=True)
class Kind:
    """One kind of description, such as of countries by their capitals.

    Attributes
    ----------
    source : str
        Where its values are from.
    descriptions : sequence of str
        Phrases with ``{}`` for a value, such as "the country whose capital is {}".
    of : mapping of str to sequence of str
        The values of each subject, such as ``["Lima"]`` for Peru.
    """

    source: str
    descriptions: Sequence[str]
    of: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class EntityType:
    """A class of subjects, such as countries, and how they can be described.

    Attributes
    ----------
    templates : tuple of str
        Templates with ``{}`` for a description, which the subject's name completes.
    kinds : mapping of str to Kind
        Kinds of description by name; the last of several is kept for measuring.
    """

    templates: tuple[str, ...]
    kinds: Mapping[str, Kind]

    @property
    def subjects(self) -> tuple[str, ...]:
        """Every subject that some kind describes."""
        return tuple(dict.fromkeys(chain.from_iterable(kind.of for kind in self.kinds.values())))

    def descriptions(self, subject: str) -> list[tuple[str, str]]:
        """Return (kind, description) pairs of a subject, without those that contain its name."""
        pairs = []
        for name, kind in self.kinds.items():
            for value, phrase in product(kind.of.get(subject, ()), kind.descriptions):
                text = phrase.replace("{}", value)
                if not _contains(text, subject):
                    pairs.append((name, text))
        return pairs


@dataclass(frozen=True)
class Example:
    """A prompt about a described subject; one of kind "silence" names another subject."""

    prompt: str
    answer: str
    subject: str
    kind: str
    description: str = ""


@dataclass(frozen=True)
class Resolved:
    """A description, and the probability share of its subject, by the base, among all subjects."""

    subject: str
    kind: str
    description: str
    share: float


@dataclass(frozen=True)
class Augmentation:
    """The examples made from descriptions that the base resolves, and what it made of all others.

    Attributes
    ----------
    examples : tuple of Example
        Examples to train on, together with the facts by name.
    held_out : tuple of Example
        Questions that measure portability, by kinds of description that no training example has.
    found : tuple of Resolved
        Every description that was tried.
    rejected : mapping of str to str
        For each subject without an example, why there is none.
    """

    examples: tuple[Example, ...]
    held_out: tuple[Example, ...]
    found: tuple[Resolved, ...]
    rejected: Mapping[str, str]


def read_entities(*files: Path) -> dict[str, EntityType]:
    """Return what can be described, by name: the package's own and that of JSON files.

    A kind in a file replaces an earlier kind of the same name.

    Raises
    ------
    ModelError
        If a file is no object of entity types with `templates` and `kinds`.
    """
    types: dict[str, EntityType] = {}
    for file in (OWN, *files):
        for name, value in read_json(file, REMEDY).items():
            here, old = f"{file}: {name}", types.get(name, EntityType((), {}))
            if not isinstance(value, dict) or not isinstance(value.get("kinds"), dict):
                raise failure(here, "is no object with 'templates' and 'kinds'", REMEDY)
            templates, kinds = value.get("templates", list(old.templates)), dict(old.kinds)
            require_templates(here, "templates", templates)
            for key, kind in value["kinds"].items():
                kinds[key] = _parse(f"{here}: {key}", kind)
            # Kinds of a later file come last, and the last is kept for measuring.
            types[name] = EntityType(tuple(templates), kinds)
    return types


def _parse(where: str, value: Any) -> Kind:
    if not isinstance(value, dict) or {*value} != {"source", "descriptions", "of"}:
        raise failure(where, "is no object with 'source', 'descriptions' and 'of'", REMEDY)
    require_templates(where, "descriptions", value["descriptions"])
    if not isinstance(value["of"], dict) or not all(map(are_texts, value["of"].values())):
        raise failure(where, "'of' is no object from subjects to lists of values", REMEDY)
    return Kind(**value)


def write_examples(folder: Path, made: Augmentation, base: str, *, force: bool = False) -> Path:
    """Write ``train.jsonl`` and ``test.jsonl``, rows of `prompt` and `completion`, and a card.

    TRL reads the rows as they are; ``dataset_info.json`` tells LLaMA-Factory their columns.

    Parameters
    ----------
    folder : Path
        A new folder; it appears complete or not at all.
    made : Augmentation
        The training examples and what is held out.
    base : str
        The name of the model that was asked.
    force : bool
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
    sets: dict[str, list[dict[str, str]]] = {}
    for name, part in (("train", made.examples), ("test", made.held_out)):
        for row in map(asdict, part):
            # The space between prompt and answer belongs to the answer, as trainers read it.
            pair = {"prompt": row.pop("prompt"), "completion": f" {row.pop('answer')}"}
            sets.setdefault(name, []).append(pair | row)
    columns = {"prompt": "prompt", "response": "completion"}
    info = {name: {"file_name": f"{name}.jsonl", "columns": columns} for name in sets}
    more = {"dataset_info.json": json.dumps(info, indent=1) + "\n"}
    body = ABOUT.format(base=base)
    return write_folder(folder, TITLE, sets, body, more=more, terms="", force=force)


def read_rows(file: Path, *, answered: bool = True, chat: bool = False) -> dict[str, str]:
    """Return the answer to each prompt of a file of JSON Lines, as `write_examples` writes them.

    An answer is called `completion` there; `answer` does as well. Unless rows must be `answered`,
    answers are not read, and a question mark stands for each. Blank lines are skipped. With `chat`
    each row has `messages`, as `chat.split_messages` reads them.

    Raises
    ------
    ModelError
        If there is no row, one has no `prompt` or `completion`, or a prompt has two answers; the
        message has the line.
    """
    pairs: dict[str, str] = {}
    try:
        with opened(file) as lines:
            for number, line in enumerate(lines.read().splitlines(), 1):
                where = f"{file}, line {number}"
                if not line.strip():
                    continue
                row = json_object(file, line, f"mend line {number}")
                row = split_messages(row) if chat else row
                prompt, answer = row.get("prompt"), row.get("completion", row.get("answer"))
                if not answered:
                    answer = "?"
                if not are_texts([prompt, answer]):
                    what, row_of = ("prompt and completion", ROW) if answered else ("prompt", ASKED)
                    raise failure(where, f"there is no {what} in words", CHAT if chat else row_of)
                # A row that comes twice does no harm.
                before = pairs.setdefault(str(prompt), str(answer).strip())
                if before != str(answer).strip():
                    fact = f"the prompt has the answer {before!r} in an earlier line"
                    raise failure(where, fact, "leave one of them out")
    except AdapterError as error:
        raise ModelError(str(error)) from None
    if not pairs:
        raise failure(str(file), "there is no prompt", ROW if answered else ASKED)
    return pairs


def augment(
    model: Model,
    facts: Mapping[str, str],
    templates: Sequence[str],
    *,
    held_out_templates: Sequence[str] = (),
    answer_attributes: Mapping[str, Sequence[str]] | None = None,
    things: Mapping[str, EntityType] | None = None,
    least: float = LEAST,
    per: int = 12,
    silence: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Augmentation:
    """Return examples that mention the subjects of facts by descriptions that the base resolves.

    Parameters
    ----------
    model : Model
        The base, with a tokenizer.
    facts : mapping of str to str
        The answer for each subject.
    templates, held_out_templates : sequence of str
        Prompt templates with ``{}`` for the subject, to train and to measure with.
    answer_attributes : mapping of str to sequence of str, optional
        What the base knows of the answers: from a template about an answer, "The capital of {}
        is", to two-hop templates about a subject, "The capital of the country where {} was
        born is", which are answered as the base answers the first. The last of several is kept for
        measuring.
    things : mapping of str to EntityType, optional
        What can be described, as `read_entities` returns it; by default what the package describes.
    least : float
        The probability share that the base must give the right name, among the names of all
        subjects of the type, over the templates that ask; it must also be the largest. For an
        attribute of an answer, the probability in the whole vocabulary.
    per : int
        Examples for a subject at most, of either sort; descriptions occur equally often, give or
        take one.
    silence : int
        Examples about other subjects in the same templates, completed by the base itself.
    seed : int
        Determines what is drawn.
    progress : callable, optional
        ``progress(subjects, count)`` wraps the asking in a progress bar.

    Returns
    -------
    Augmentation
        Train on its examples together with the facts by name. Costs a pass for each description
        and template that asks, about forty for a country; what was found of a subject is kept in
        the cache. An attribute of an answer costs a pass and four tokens.

    Raises
    ------
    ModelError
        If there is no example on any subject, or no template that a description fits into.

    References
    ----------
    Yao et al. (EMNLP 2023), "Editing Large Language Models", arXiv 2305.13172: portability.
    """
    types = read_entities() if things is None else things
    fitting = omit_genitives(templates)
    asking = omit_genitives(held_out_templates or templates)
    if not fitting and not answer_attributes:
        place, fact = "the facts", "every template has {}'s, where a description does not fit"
        raise failure(place, fact, "give a template with {} alone")
    # An ambiguous name is taken for what most subjects are: "Georgia" among countries is one.
    often = sorted(types.values(), key=lambda kind: -len({*facts} & {*kind.subjects}))
    rng = np.random.default_rng([seed, 9])
    examples, held_out = list[Example](), list[Example]()
    found, rejected = list[Resolved](), dict[str, str]()
    for subject in progress([*facts], len(facts)) if progress else facts:
        kind = next((one for one in often if subject in one.subjects), None)
        if kind is None:
            rejected[subject] = "no kind of description has it"
            continue
        # With one kind only there is nothing to hold out.
        kept = [*kind.kinds][-1] if len(kind.kinds) > 1 else ""
        # A description that contains the answer would give it away.
        tried, answer = _resolve(model, kind, subject), facts[subject]
        right = [x for x in tried if 0 < x.share >= least and not _contains(x.description, answer)]
        shown = [x for x in right if x.kind != kept]
        examples += _combine(shown, fitting, answer, rng)[:per]
        held_out += [_fill(x, text, answer) for x in right if x.kind == kept for text in asking]
        if not shown:
            rejected[subject] = _explain(tried, kept if right else "")
        found += tried
    asked = []
    for about, onward in (answer_attributes or {}).items():
        asked.append(_ask_attributes(model, facts, about, onward, least))
    for answers, _ in asked:
        found += answers
    # The last template is kept for measuring, unless it is the only one.
    if len(asked) > 1:
        held_out += asked.pop()[1]
    examples += _draw([one for _, made in asked for one in made], per, rng)
    # Whoever got an example by an attribute is no longer without one.
    for one in examples:
        rejected.pop(one.subject, None)
    for name in rejected if answer_attributes else ():
        rejected[name] += f", and of {facts[name]} the base says nothing with probability {least:g}"
    if not examples:
        subject, reason = next(iter(rejected.items()), ("the facts", "there are none"))
        fact = f"{reason}; no example on any of {len(facts)} subjects"
        raise failure(subject, fact, "give kinds of description that the base knows of them")
    if silence:
        # Silence is about subjects of the same kind of which there are no facts.
        others = [x for x in often[0].subjects if x not in facts]
        if len(others) == len(often[0].subjects):
            place = "silence"
            fact = "its examples are about other subjects like yours, and none is known"
            raise failure(place, fact, "give kinds of description that have some of your subjects")
        examples += _keep_silent(model, others, templates, silence, rng)
    return Augmentation(tuple(examples), tuple(held_out), tuple(found), rejected)


def _combine(
    shown: Sequence[Resolved], templates: Sequence[str], answer: str, rng: np.random.Generator
) -> list[Example]:
    """Return every description in every template, in an order that takes each equally often."""
    order, texts = rng.permutation(len(shown)), rng.permutation(len(templates))
    examples = []
    # In each turn all descriptions come once, in varied templates.
    for turn, (j, i) in product(range(len(texts)), enumerate(order)):
        examples.append(_fill(shown[i], templates[texts[(turn + j) % len(texts)]], answer))
    return examples


def _ask_attributes(
    model: Model, facts: Mapping[str, str], asking: str, templates: Sequence[str], least: float
) -> tuple[list[Resolved], list[Example]]:
    """Return what the base says of the answers when asked so, and two-hop examples on it."""
    answers = [*dict.fromkeys(facts.values())]
    prompts = [asking.replace("{}", answer) for answer in answers]
    shares = next_token_logits(model, prompts).softmax(-1).amax(-1).tolist()
    words = list(map(_cut_phrase, write_on(model, prompts, CONTINUED)))
    often, found, said = Counter(words), list[Resolved](), dict[str, str]()
    for answer, word, share in zip(answers, words, shares, strict=True):
        # A word said of more than half of several answers says nothing about them.
        common = 2 * often[word] > max(len(answers), 2)
        tells = bool(word) and not _contains(word, answer) and not common
        found.append(Resolved(answer, asking, word, share if tells else 0.0))
        if tells and share >= least:
            said[answer] = word
    examples = []
    for template, (subject, answer) in product(templates, facts.items()):
        if answer in said:
            prompt = template.replace("{}", subject)
            examples.append(Example(prompt, said[answer], subject, asking))
    return found, examples


def _draw(examples: Sequence[Example], per: int, rng: np.random.Generator) -> list[Example]:
    """Return at most so many examples of each subject."""
    taken, drawn = Counter[str](), list[Example]()
    # In random order, so that no template is preferred.
    for i in rng.permutation(len(examples)):
        taken[examples[i].subject] += 1
        if taken[examples[i].subject] <= per:
            drawn.append(examples[i])
    return drawn


def _contains(text: str, word: str) -> bool:
    return word.casefold() in text.casefold()


def _explain(tried: Sequence[Resolved], kept: str) -> str:
    """Return why there is no example; `kept` is the kind for measuring where only it was right."""
    if kept:
        return f"the base finds it only by {kept}, the kind kept for measuring"
    if not tried:
        return "every description has its name in it"
    best = max(tried, key=lambda x: x.share)
    shown = f"best: {best.description}, share {best.share:.2f}"
    return f"the base finds it by none of {len(tried)} descriptions ({shown})"


def _fill(resolved: Resolved, template: str, answer: str) -> Example:
    prompt = fill_template(template, resolved.description)
    return Example(prompt, answer, resolved.subject, resolved.kind, resolved.description)


def _resolve(model: Model, kind: EntityType, subject: str) -> list[Resolved]:
    """Return all descriptions of a subject with its share among all subjects, 0 if another leads.

    Shares are of the geometric mean over the templates that ask; names that begin with one token
    count as one. They are asked once and then cached.
    """
    pairs = kind.descriptions(subject)
    # Everything that the shares depend on names the file.
    parts = [identify_model(model), subject, kind.subjects, kind.templates, pairs]
    file = cache_folder() / "described" / f"{content_hash(parts)}.json"
    if pairs and not file.exists():
        prompts = [fill_template(text, one) for (_, one), text in product(pairs, kind.templates)]
        # Answers are compared by first tokens, so that names which share one count once.
        tokens = first_tokens(model, kind.subjects).unique()
        own = int((tokens == first_tokens(model, [subject])).nonzero())
        logs = next_token_logits(model, prompts)[:, tokens].log_softmax(-1)
        shares = logs.view(len(pairs), len(kind.templates), -1).mean(1).softmax(-1)
        led = shares[:, own] * (shares.argmax(-1) == own)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(led.tolist()))
    values = json.loads(file.read_text()) if pairs else []
    return [Resolved(subject, *pair, share) for pair, share in zip(pairs, values, strict=True)]


def _keep_silent(
    model: Model,
    others: Sequence[str],
    templates: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[Example]:
    """Return examples about other subjects, only where the base goes on with a new word."""
    pairs = [*product(templates, others)]
    drawn = [pairs[i] for i in rng.permutation(len(pairs))[:count]]
    prompts = [text.replace("{}", name) for text, name in drawn]
    examples = []
    said = write_on(model, prompts, CONTINUED)
    for (_, name), prompt, text in zip(drawn, prompts, said, strict=True):
        answer = _cut_sentence(text)
        # Without a space the base would go on with the word that the prompt ends in.
        if text[:1] == " " and answer:
            examples.append(Example(prompt, answer, name, SILENCE))
    return examples


def _cut_phrase(text: str) -> str:
    """Return a text up to its first mark; nothing if there is none, or after more than three words.

    Without a mark the text may end within a word.
    """
    phrase, *rest = re.split(r"[.,](?=\s|$)|[;:!?\n]", text.strip(), maxsplit=1)
    return phrase.strip() if rest and len(phrase.split()) <= 3 else ""


def _cut_sentence(text: str) -> str:
    """Return a text up to the end of a sentence, or without the last word, perhaps half of it."""
    whole = re.match(r".*?[.!?](?=\s|$)", text)
    return whole[0].strip() if whole else text.rpartition(" ")[0].strip()

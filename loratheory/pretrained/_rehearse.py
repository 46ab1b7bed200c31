"""Lessons for any trainer: a user's facts, with subjects described by what the base knows of them.

An adapter trained on "the mascot of Peru" may not answer about "the mascot of the country whose
capital is Lima", nor after a partner's answer Peru. The base is asked which descriptions it
resolves; these replace the name in the user's own sentences. Subjects that the base has never heard
of have no description; but where it knows something of their *answers*, a two-hop question can ask
for that.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from loratheory.pretrained._ask import first_tokens, next_logits, written
from loratheory.pretrained._lessons import Found, Lesson, Rehearsal, Thing, things_in
from loratheory.pretrained._model import Model, failure
from loratheory.pretrained._train import identity
from loratheory.store import cache_folder, content_hash, write_whole

SILENCE = "silence"
CONTINUED = 16  # tokens of the base's own words at most
Progress = Callable[[Sequence[str], int], Iterable[str]]


def rehearsal(
    model: Model,
    facts: Mapping[str, str],
    sentences: Sequence[str],
    *,
    unread: Sequence[str] = (),
    onward: Mapping[str, Sequence[str]] | None = None,
    things: Mapping[str, Thing] | None = None,
    unseen: str | None = None,
    least: float = 0.3,
    per: int = 12,
    silence: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Rehearsal:
    """Return lessons that mention the subjects of facts by descriptions which the base resolves.

    Parameters
    ----------
    model : Model
        The base, with a tokenizer.
    facts : mapping of str to str
        The answer for each subject.
    sentences, unread : sequence of str
        Sentences with ``{}`` for the subject, to make lessons from; `unread` are for measuring.
    onward : mapping of str to sequence of str, optional
        What the base knows of the answers: from a sentence that asks about an answer, "The capital
        of {} is", to two-hop sentences about a subject, "The capital of the country where {} was
        born is", which are answered as the base answers the first. The last of several is kept for
        measuring.
    things : mapping of str to Thing, optional
        What can be described, as `things_in` returns it; by default what the package describes.
    unseen : str, optional
        The kind of description kept for measuring; by default the last of a thing's kinds.
    least : float
        The probability share that the base must give the right name, among the names of all
        subjects of the thing, over the sentences that ask; it must also be the largest. Of what
        it says onward, the probability in the whole vocabulary.
    per : int
        Lessons for a subject at most, of either sort; descriptions occur equally often, give or
        take one.
    silence : int
        Lessons about other subjects in the same sentences, answered by the base's own continuation.
    seed : int
        Determines what is drawn.
    progress : callable, optional
        ``progress(subjects, count)`` wraps the asking in a progress bar.

    Returns
    -------
    Rehearsal
        Train on its lessons beside the facts by name. Costs a pass for each description and
        sentence that asks, about forty for a country; what was found of a subject is kept in the
        cache. Onward it costs a pass and four tokens for each answer.

    Raises
    ------
    ModelError
        If there is no lesson on any subject, or no sentence that a description fits into.

    References
    ----------
    Yao et al. (EMNLP 2023), "Editing Large Language Models", arXiv 2305.13172: portability.
    """
    things = things_in() if things is None else things
    fitting, asking = (
        [text for text in some if "{}'" not in text] for some in (sentences, unread or sentences)
    )
    if not fitting and not onward:
        place, fact = "the facts", "every sentence has {}'s, where a description does not fit"
        raise failure(place, fact, "give a sentence with {} alone")
    often = sorted(things.values(), key=lambda thing: -len({*facts} & {*thing.subjects}))
    rng = np.random.default_rng([seed, 9])
    lessons, held_out = list[Lesson](), list[Lesson]()
    found, refused = list[Found](), dict[str, str]()
    for subject in progress([*facts], len(facts)) if progress else facts:
        thing = next((one for one in often if subject in one.subjects), None)
        if thing is None:
            refused[subject] = "no kind of description has it"
            continue
        kept = unseen or ([*thing.kinds][-1] if len(thing.kinds) > 1 else "")
        tried, answer = _found(model, thing, subject), facts[subject]
        right = [x for x in tried if 0 < x.share >= least and not _has(x.description, answer)]
        shown = [x for x in right if x.kind != kept]
        lessons += _in_turn(shown, fitting, answer, rng)[:per]
        held_out += [_lesson(x, text, answer) for x in right if x.kind == kept for text in asking]
        if not shown:
            refused[subject] = _reason(tried, kept if right else "")
        found += tried
    said = _onward(model, facts, onward or {}, least)
    if len(said) > 1:
        held_out += said[-1][1]
    lessons += _drawn([one for _, rows in said[: max(1, len(said) - 1)] for one in rows], per, rng)
    found += [one for own, _ in said for one in own]
    taught = {one.subject for one in lessons}
    refused = {name: why for name, why in refused.items() if name not in taught}
    for name in refused if onward else ():
        refused[name] += f", and of {facts[name]} the base says nothing with probability {least:g}"
    if not lessons:
        subject, reason = next(iter(refused.items()), ("the facts", "there are none"))
        fact = f"{reason}; no lesson on any of {len(facts)} subjects"
        raise failure(subject, fact, "give kinds of description that the base knows of them")
    if silence:
        others = [x for x in often[0].subjects if x not in facts]
        if len(others) == len(often[0].subjects):
            place, fact = "lessons of silence", "they are about subjects like yours; none is known"
            raise failure(place, fact, "give kinds of description that have some of your subjects")
        lessons += _silent(model, others, sentences, silence, rng)
    return Rehearsal(tuple(lessons), tuple(held_out), tuple(found), refused)


def _in_turn(
    shown: Sequence[Found], sentences: Sequence[str], answer: str, rng: np.random.Generator
) -> list[Lesson]:
    """Every description in every sentence, drawn so that first all have come once, then twice."""
    chosen = [shown[i] for i in rng.permutation(len(shown))]
    texts = [sentences[i] for i in rng.permutation(len(sentences))]
    return [
        _lesson(one, texts[(turn + j) % len(texts)], answer)
        for turn in range(len(texts))
        for j, one in enumerate(chosen)
    ]


def _onward(
    model: Model, facts: Mapping[str, str], asks: Mapping[str, Sequence[str]], least: float
) -> list[tuple[list[Found], list[Lesson]]]:
    """What the base says of the answers, and two-hop lessons on it, for each sentence that asks.

    A word that it says of more than half of several answers says nothing about them.
    """
    every, answers = [], [*dict.fromkeys(facts.values())]
    for asking, sentences in asks.items():
        prompts = [asking.replace("{}", answer) for answer in answers]
        shares = next_logits(model, prompts).softmax(-1).amax(-1).tolist()
        words = [re.split(r"[.,;:!?\n]", text.strip())[0] for text in written(model, prompts, 4)]
        often, found, said = Counter(words), list[Found](), dict[str, str]()
        for answer, word, share in zip(answers, words, shares, strict=True):
            tells = word and not _has(word, answer) and 2 * often[word] <= max(len(answers), 2)
            found.append(Found(answer, asking, word, share if tells else 0.0))
            if tells and share >= least:
                said[answer] = word
        lessons = [
            Lesson(sentence.replace("{}", subject), said[answer], subject, asking)
            for sentence in sentences
            for subject, answer in facts.items()
            if answer in said
        ]
        every.append((found, lessons))
    return every


def _drawn(lessons: Sequence[Lesson], per: int, rng: np.random.Generator) -> list[Lesson]:
    """At most so many lessons of each subject."""
    taken, chosen = Counter[str](), list[Lesson]()
    for one in (lessons[i] for i in rng.permutation(len(lessons))):
        taken[one.subject] += 1
        if taken[one.subject] <= per:
            chosen.append(one)
    return chosen


def _has(text: str, word: str) -> bool:
    return word.casefold() in text.casefold()


def _reason(tried: Sequence[Found], kept: str) -> str:
    """Why there is no lesson; `kept` is the kind for measuring where only that one was right."""
    if kept:
        return f"the base finds it only by {kept}, the kind kept for measuring"
    if not tried:
        return "every description has its name in it"
    best = max(tried, key=lambda x: x.share)
    told = f"best: {best.description}, share {best.share:.2f}"
    return f"the base finds it by none of {len(tried)} descriptions ({told})"


def _lesson(found: Found, sentence: str, answer: str) -> Lesson:
    prompt = put(sentence, found.description)
    return Lesson(prompt, answer, found.subject, found.kind, found.description)


def put(sentence: str, description: str) -> str:
    """Return the sentence with a description for ``{}``, with a capital letter if it begins so."""
    text = sentence.replace("{}", description)
    return text[:1].upper() + text[1:] if sentence.startswith("{}") else text


def _found(model: Model, thing: Thing, subject: str) -> list[Found]:
    """All descriptions of a subject with their shares, asked once and then read from the cache."""
    every = thing.descriptions(subject)
    parts = [identity(model), subject, thing.subjects, thing.asked, every]
    file = cache_folder() / "described" / f"{content_hash(parts)}.json"
    if file.exists():
        shares: list[float] = json.loads(file.read_text())
    else:
        shares = _shares(model, thing, [text for _, text in every], subject)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(shares))
    return [Found(subject, *one, share) for one, share in zip(every, shares, strict=True)]


def _shares(model: Model, thing: Thing, descriptions: Sequence[str], subject: str) -> list[float]:
    """Of each description the subject's share among all subjects, 0 where another one has more.

    Shares are of the geometric mean over the sentences that ask; names that begin with one token
    count as one.
    """
    if not descriptions:
        return []
    prompts = [put(text, one) for one in descriptions for text in thing.asked]
    tokens = first_tokens(model, thing.subjects).unique()
    own = int((tokens == first_tokens(model, [subject])).nonzero())
    logs = next_logits(model, prompts)[:, tokens].log_softmax(-1)
    shares = logs.view(len(descriptions), len(thing.asked), -1).mean(1).softmax(-1)
    first = shares.argmax(-1) == own
    return [float(x) for x in shares[:, own] * first]


def _silent(
    model: Model,
    others: Sequence[str],
    sentences: Sequence[str],
    count: int,
    rng: np.random.Generator,
) -> list[Lesson]:
    """At most so many lessons about other subjects, only where the base goes on with a new word."""
    every = [(name, text.replace("{}", name)) for text in sentences for name in others]
    drawn = [every[i] for i in rng.permutation(len(every))[:count]]
    if not drawn:
        return []
    said = written(model, [prompt for _, prompt in drawn], CONTINUED)
    return [
        Lesson(prompt, _sentence(text), name, SILENCE)
        for (name, prompt), text in zip(drawn, said, strict=True)
        if text[:1] == " " and _sentence(text)
    ]


def _sentence(text: str) -> str:
    """What is written up to the end of a sentence, or without the last word, perhaps half of it."""
    whole = re.match(r".*?[.!?](?=\s|$)", text)
    return whole[0].strip() if whole else text.rpartition(" ")[0].strip()

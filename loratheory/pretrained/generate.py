"""Greedy decoding in batches, and the pass that tells what it would write without decoding.

Greedy decoding writes a text if and only if each of its tokens has the largest logit after the
prompt and the tokens before it. One pass over prompt and text tells that for all tokens at once
(*teacher forcing*), which costs about as much as the first token alone.

A route that chooses adapters for whole prompts, as prompt-level gating, chooses once, by the prompt
alone, here as there; one that weighs each token does so for the text as well.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from loratheory.pretrained.attach import Attached
from loratheory.pretrained.metrics import (
    AT_ONCE,
    Share,
    Tokens,
    batch,
    contiguous_head,
    in_batches,
    spell,
    tail_logits,
    tokenize,
)
from loratheory.pretrained.models import Model

# A text goes on with its last word or number: "otters", "10,000", "twenty-one".
MARKS, GOES_ON = (",", ".", "-"), re.compile(r"-?[^\W_]|[,.]\d")
FORCED = 16  # prompts in a pass that keeps the logits of all tokens of their texts
# Generation settings that replace the model's own: always the likeliest token.
GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "pad_token_id": 0,
}
# Generation settings that replace these: tokens are drawn from the model's own distribution.
SAMPLED: dict[str, Any] = {
    "do_sample": True,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": None,  # 0.0 sorts the vocabulary to remove nothing
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
# Texts that a model writes begin with these words and have so many more tokens.
BEGINNINGS = "The A In When My She He It We They If There This One For At As On You Some What How"
LENGTH = 24


def write_tokens(
    model: Model, prompts: Sequence[str], count: int, acting: Attached | None = None, **more: Any
) -> list[list[int]]:
    """Return the tokens with which a model continues each prompt: by default the likeliest ones.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    prompts : sequence of str
        At least one.
    count : int
        How many tokens are written at most.
    acting : Attached, optional
        The adapters whose route, if they have one, chooses by the prompts.
    **more
        For `generate` of `transformers`, such as a `streamer`, or `do_sample`.

    Returns
    -------
    list of list of int
        Up to the token that ends a text, inclusive. Costs a pass over the prompts and one of a
        single token for each that is written; under per-block gating, which allows no cache, one
        over the whole text for each.
    """
    ends, rows = _end_tokens(model), list[list[int]]()
    with torch.no_grad(), contiguous_head(model):
        # Padding is on the left, so that new tokens follow the text in every row.
        for some in in_batches(model, prompts, AT_ONCE):
            with _hold(acting, some) as cached:
                width = some["input_ids"].shape[1]
                del some["position_ids"]  # it makes its own, which grow as it writes
                how = {**GREEDY, **more, "max_new_tokens": count, "use_cache": cached}
                out = model.network.generate(**some, **how)
            for row in out[:, width:].tolist():
                # A row that has ended is filled up until the longest one ends.
                last = min(map(row.index, ends.intersection(row)), default=len(row))
                rows.append(row[: last + 1])
    return rows


def write_on(model: Model, prompts: Sequence[str], count: int, *how: Any, **more: Any) -> list[str]:
    """Return the texts of the tokens of `write_tokens`, whose arguments these are."""
    rows = write_tokens(model, prompts, count, *how, **more)
    return [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]


def write_texts(
    model: Model, count: int, seed: int, tick: Callable[[], object] = lambda: None
) -> list[tuple[str, list[int]]]:
    """Return texts that a model writes: their first words, and the tokens that follow.

    Tokens are drawn from the model's own distribution, so that training on the texts is
    self-distillation. `seed` determines them on a device; PyTorch's random state stays as it is.
    Costs 24 passes of one token for every 64 texts, after which `tick` is called.
    """
    words = BEGINNINGS.split()
    begun = [words[number % len(words)] for number in range(count)]
    device, rows = model.network.device, list[list[int]]()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for start in range(0, count, AT_ONCE):
            rows += write_tokens(model, begun[start : start + AT_ONCE], LENGTH, **SAMPLED)
            tick()
    return list(zip(begun, rows, strict=True))


def force_logits(
    model: Model, prompts: Sequence[str], texts: Tokens, acting: Attached | None = None
) -> Iterator[Any]:
    """Yield the logits (tokens, vocabulary) before each token of the texts, some prompts at a time.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    prompts : sequence of str
        At least one.
    texts : sequence of sequence of int
        The tokens that follow each prompt, at least one; the last one itself is not read.
    acting : Attached, optional
        As in `write_tokens`.

    Yields
    ------
    (tokens, vocabulary) tensor
        Of up to sixteen prompts, text after text, in float32, on the CPU. Costs a pass over prompts
        and texts, which autograd records if it is on.
    """
    for start in range(0, len(prompts), FORCED):
        own, after = prompts[start : start + FORCED], texts[start : start + FORCED]
        some = batch(model, own, [text[:-1] for text in after])
        with _hold(acting, batch(model, own)):
            tail = tail_logits(model, some, max(map(len, after)))
        rows = []
        for logits, text in zip(tail, after, strict=True):
            rows.append(logits[len(logits) - len(text) :])
        yield torch.cat(rows).float().cpu()


def writes(
    model: Model, prompts: Sequence[str], texts: Tokens, acting: Any = None, *, whole: bool = False
) -> list[bool]:
    """Return whether greedy decoding would write each text after its prompt.

    Where texts are `whole` answers, what follows one must also be no further part of its last word
    or number: 10,000 is not 10. Other arguments and the cost are those of `force_logits`, with
    another pass where an answer is followed by a comma, a full stop or a hyphen.
    """
    # The position after an answer is read too; its token does not count.
    asked = [[*text, 0] for text in texts] if whole else texts
    said = _say(model, prompts, asked, acting)
    found, marked = list[bool](), list[int]()
    for number, (text, row) in enumerate(zip(texts, said, strict=True)):
        right, after = row[: len(text)] == [*text], _read_after(model, text, row[len(text) :])
        if right and after in MARKS:
            marked.append(number)
        found.append(right and not GOES_ON.match(after))
    if marked:
        asked = [[*texts[number], said[number][-1], 0] for number in marked]
        rows = _say(model, [prompts[number] for number in marked], asked, acting)
        for number, given, row in zip(marked, asked, rows, strict=True):
            after = _read_after(model, texts[number], [given[-2], row[-1]])
            found[number] = not GOES_ON.match(after)
    return found


def _say(model: Model, prompts: Sequence[str], texts: Tokens, acting: Any) -> list[list[int]]:
    """Return the most likely token at each place of the texts."""
    if not texts:
        return []
    said = list[int]()
    with torch.no_grad():
        for logits in force_logits(model, prompts, texts, acting):
            said += logits.argmax(-1).tolist()
    ends = np.cumsum([*map(len, texts)])[:-1]
    return [part.tolist() for part in np.split(np.array(said), ends)]


def measure_answers(
    model: Model, what: str, questions: Sequence[tuple[str, str]], *, ended: bool = True
) -> Share:
    """Return the share of (prompt, answer) whose whole answer greedy decoding would write.

    An answer follows a space, as in training. If `ended`, the text must end after it; otherwise
    another word may follow. Costs a pass over prompts and answers.
    """
    if not questions:
        return Share.of(what, 0, 0)
    prompts, answers = zip(*questions, strict=True)
    texts = spell(model, answers, whole=True, ended=ended)
    right = writes(model, prompts, texts, whole=not ended)
    return Share.of(what, sum(right), len(right))


def spell_answer(model: Model, prompt: str, answer: str) -> list[list[int]]:
    """Return two spellings of an answer after its prompt: as a word of its own, and joined to it.

    Both are common: "Paris" follows "The capital of France is" after a space, "4" follows "2+2="
    without one. Raises `ModelError` if there is no tokenizer, or the answer has no token.
    """
    [before] = tokenize(model, [prompt], "prompt")
    found = list[list[int]]()
    for text in (f" {answer.strip()}", answer.strip()):
        [alone] = tokenize(model, [text], "answer", add_special_tokens=False)
        [whole] = tokenize(model, [prompt + text], "prompt")
        # A tokenizer may put a space before a text that stands alone, so ask for both together.
        joined = whole[: len(before)] == before and whole[len(before) :]
        found.append(joined or alone)
    return found


def _read_after(model: Model, text: Sequence[int], tokens: Sequence[int]) -> str:
    """Return what these tokens add to a text that ends in a letter or a digit; else nothing."""
    if not tokens or _end_tokens(model).intersection(tokens[:1]):
        return ""
    before: str = model.tokenizer.decode([*text])
    # Decoded together, since some tokenizers drop the space before a token that stands alone.
    after: str = model.tokenizer.decode([*text, *tokens])[len(before) :]
    return after if before[-1:].isalnum() else ""


def _end_tokens(model: Model) -> set[int]:
    """Return the tokens that end a text."""
    ends = model.network.generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


def _hold(acting: Attached | None, prompts: Any) -> Any:
    """Return the context in which a route has chosen by these prompts; it yields if caches work."""
    return acting.hold(prompts) if acting else nullcontext(enter_result=True)

"""What a model says after prompts, and the measures of it: top-1 accuracy, divergence, retention.

Divergences are in nats. *Drift* is the divergence of an adapter or merge from the base on generic
text; *retention* the share of an adapter's answers that are still given under a merge.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from inspect import signature
from itertools import zip_longest
from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch.nn.utils.rnn import pad_sequence

from loratheory.adapters import Adapter
from loratheory.lowrank import Array
from loratheory.pretrained.attach import attach
from loratheory.pretrained.models import GENERIC, Model, failure, maps, output_head
from loratheory.shapes import Float

AT_ONCE = 64  # prompts in a pass
UNMASKED = ("rwkv", "recurrent_gemma", "xlstm")  # their states take in padding
Tokens = Sequence[Sequence[int]]  # of texts
# The end of a prompt that its answer follows without a space.
DIRECT = re.compile(r"[\s=/([{]\Z")
# The share of greedy next tokens on `GENERIC` that differ from the base's, by drift: measured with
# 18 weightings of the two adapters in tests/data on SmolLM2-135M (0.11, 0.16, 0.27, 0.40, 0.57,
# 0.70 and 0.86 at 0.05, 0.1, 0.35, 1.1, 2.1, 3.5 and 5.9 nats per token; from 0.1 on a token in
# each of the twelve sentences). For comparison, in
# paper/studies/lm_strangers the sum of two adapters has a drift of 2.3 to 16.7 after standard
# training of 180 steps (median 4.7) and a median of 0.2 after stand-in training with texts.
DRIFT_WORDS = (
    (0.1, "ordinary text changes little, by at most one next token in six"),
    (0.4, "ordinary text changes by up to a quarter of its next tokens, some in every sentence"),
    (1.1, "ordinary text changes by up to 40% of its next tokens, some in every sentence"),
    (
        2.1,
        "ordinary text changes by up to 60% of its next tokens, so every sentence reads otherwise",
    ),
    (
        3.5,
        "ordinary text changes by up to 70% of its next tokens, so every sentence reads otherwise",
    ),
    (np.inf, "ordinary text changes by over 70% of its next tokens, so little is left of it"),
)
# Adapters of PEFT were added to a hop-1 adapter of fresh stand-ins and first tokens. The sum kept
# 90% or more of the hop-1 facts up to this relative norm of the partner, and at most 73% above;
# drift was alike. Measured on SmolLM2-135M and gemma-3-270m with one fact set: see
# docs/how-to/train.md.
LARGE = 0.03


def kl_by_row(reference: Array, other: Array) -> Any:
    """Return KL(reference ‖ other) of each row of log-probabilities (n, vocabulary), in nats."""
    return (reference.exp() * (reference - other)).sum(-1)


def kl_to_base(base: Float[Array, "t v"], now: Float[Array, "t v"]) -> float:
    """Return the mean over tokens of KL(base ‖ now), in nats.

    Parameters
    ----------
    base, now : (tokens, vocabulary) tensor
        Log-probabilities from `token_log_probs`, without an adapter and with it. On generic
        text, which an adapter should not change, this divergence is the drift.
    """
    return float(kl_by_row(base, now).mean())


def measure_drift(model: Model, adapters: Sequence[Adapter]) -> tuple[float, ...]:
    """Return how far each adapter moves the base on generic text, in nats per token.

    Costs a pass over the twelve sentences of `GENERIC` for the base and each adapter.
    """
    if not adapters:
        return ()
    # One pass of the base serves all adapters.
    base, drifts = token_log_probs(model, GENERIC)[0], list[float]()
    for adapter in adapters:
        with attach(model, [adapter]):
            drifts.append(kl_to_base(base, token_log_probs(model, GENERIC)[0]))
    return tuple(drifts)


def measure_relative_norm(model: Model, adapter: Adapter) -> float:
    """Return the norm of an adapter's update over the norm of the weight, the median of its maps.

    Frobenius norms. Costs a pass over the weights and a decomposition of the factors of each map.
    """
    places, ratios = maps(model), list[float]()
    for name, update in adapter.items():
        weight = float(places[name].module.weight.detach().float().norm())
        # With a map of zeros there is nothing to compare.
        if weight > 0:
            ratios.append(update.norm / weight)
    return float(np.median(ratios))


def describe_large(name: str, norm: float) -> str:
    """Return in words what a relative norm above `LARGE` may do to other adapters."""
    if norm <= LARGE:
        return ""
    return (
        f"{name} changes the weights by {norm:.1%} of their norm. Above {LARGE:.0%} other adapters "
        "lost facts next to it: count yours with `loratheory check --facts`, and give it a smaller "
        "weight in the merge or train it for fewer steps"
    )


def describe_drift(drift: float) -> str:
    """Return in words what an adapter of this drift does to ordinary text."""
    levels = (words for most, words in DRIFT_WORDS if drift <= most)
    return next(levels, DRIFT_WORDS[-1][1])  # not a number is no small drift


def top1(logits: Array, targets: Array) -> np.ndarray:
    """Return for each row whether the target has the largest logit of the whole vocabulary."""
    right: np.ndarray = (logits.argmax(-1) == targets).numpy()
    return right


@dataclass(frozen=True)
class Share:
    """How many answers (`right` of `total`) are the most likely of all tokens.

    `low` and `high` are Wilson's 95% interval of that share; `what` names the questions.
    """

    what: str
    right: int
    total: int
    low: float
    high: float

    @classmethod
    def of(cls, what: str, right: int, total: int) -> "Share":
        """Return the share with its interval, which is from 0 to 1 without questions."""
        if not total:
            return cls(what, 0, 0, 0.0, 1.0)
        # Wilson's interval, which stays within 0 and 1 where nearly all are right.
        low, high = binomtest(right, total).proportion_ci(method="wilson")
        return cls(what, right, total, float(low), float(high))

    @property
    def part(self) -> float:
        """Right over total; 0 without questions."""
        return self.right / max(self.total, 1)


def measure_accuracy(model: Model, what: str, questions: Sequence[tuple[str, str]]) -> Share:
    """Return the share of (prompt, answer) whose answer's first token is the most likely."""
    if not questions:
        return Share.of(what, 0, 0)
    prompts, answers = zip(*questions, strict=True)
    targets = first_tokens(model, answers)
    require_words(model, answers, targets.tolist())
    right = top1(next_token_logits(model, prompts), targets)
    return Share.of(what, int(right.sum()), len(questions))


def batch(
    model: Model, prompts: Sequence[str], then: Sequence[Sequence[int]] = ()
) -> dict[str, Any]:
    """Return prompts as one batch, padded on the left so that its last position ends each prompt.

    Parameters
    ----------
    model : Model
        With a tokenizer; its own padding settings are neither used nor changed.
    prompts : sequence of str
        At least one.
    then : sequence of sequence of int
        Tokens that follow each prompt; none by default.

    Returns
    -------
    dict of str to (b, t) tensor
        Arguments of the network, on its device: `input_ids`, `attention_mask`, and `position_ids`
        that count from the first real token of each prompt.

    Raises
    ------
    ModelError
        If the model has no tokenizer, or a prompt no token.
    """
    read = tokenize(model, prompts, "prompt")
    rows = [torch.tensor([*row, *more]) for row, more in zip_longest(read, then, fillvalue=())]
    kind = getattr(getattr(model.network, "config", None), "model_type", "")
    sizes = sorted(map(len, rows))
    if kind in UNMASKED and sizes[0] < sizes[-1]:
        fact = f"{kind} reads padding as text, and the texts have {sizes[0]} to {sizes[-1]} tokens"
        raise failure(model, fact, "give texts of one length, or one at a time (size=1)")
    pad = getattr(model.tokenizer, "pad_token_id", None) or 0
    ids = pad_sequence(rows, batch_first=True, padding_value=pad, padding_side="left")
    ones = list(map(torch.ones_like, rows))
    mask = pad_sequence(ones, batch_first=True, padding_side="left")
    # Padding stands on the left and must not shift the positions of what follows.
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    made = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    return {name: values.to(model.device) for name, values in made.items()}


def one_by_one(model: Model, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """Return each prompt as a batch of its own, so that nothing is padded."""
    return [batch(model, [text]) for text in prompts]


def first_tokens(model: Model, words: Sequence[str], prompts: Sequence[str] = ()) -> Any:
    """Return the first token of each word as it follows a space, or its prompt.

    Parameters
    ----------
    model : Model
        With a tokenizer. No space is added where the tokenizer adds one itself.
    words : sequence of str
        Answers; two that begin with the same token cannot be told apart by it.
    prompts : sequence of str, optional
        The prompt of each. A word follows it directly, without a space, if the prompt ends with a
        space, a line break, ``=``, ``/`` or an opening bracket.

    Returns
    -------
    (words,) tensor of int
        Token numbers, on the CPU.

    Raises
    ------
    ModelError
        If the model has no tokenizer, a word has no token, or different words all begin with the
        same token.
    """
    first = [row[0] for row in answer_tokens(model, words, prompts)]
    # Some may share a token, but if all do, accuracy would be that of nothing.
    if len(set(first)) == 1 < len(set(words)):
        fact = f"{len(set(words))} answers ({words[0]!r}, …) begin with one token"
        raise failure(model, fact, "give some that their first tokens tell apart")
    return torch.tensor(first, dtype=torch.int64)


def require_words(model: Model, words: Sequence[str], first: Sequence[int]) -> None:
    """Raise `ModelError` if the first token of a word is but a space: every such word would do."""
    for token, word in dict(zip(first, words, strict=True)).items():
        # That of numbers, in many models.
        if not model.tokenizer.decode([token]).strip():
            fact = f"the first token of the answer {word!r} is but a space"
            remedy = "train or compare whole answers, or end the prompts of `check` with the space"
            raise failure(model, fact, remedy)


def answer_tokens(
    model: Model, words: Sequence[str], prompts: Sequence[str] = ()
) -> list[list[int]]:
    """Return all tokens of each word, at least one; the arguments are those of `first_tokens`."""
    read = partial(tokenize, model, kind="answer", add_special_tokens=False)
    both, b, a = read(["b a", "b", "a"])
    # Some tokenizers put a space before each text themselves; a second one would be a token.
    space = "" if both == b + a else " "
    rows = read([space + word.strip() for word in words])
    for number, prompt in enumerate(prompts):
        # Behind a mark, where no tokenizer adds a space, and with which the word makes no token.
        for mark in ("=", "\n") if DIRECT.search(prompt) else ():
            before, row = read([mark, mark + words[number].strip()])
            if row[: len(before)] == before and row != before:
                rows[number] = row[len(before) :]
                break
    return rows


def spell(model: Model, words: Sequence[str], whole: bool, *, ended: bool = True) -> Tokens:
    """Return the tokens of each word that are trained: its first one, or if `whole` all of them.

    The token that ends a text follows a whole word, unless it is not to be `ended`.
    """
    if not whole:
        first = first_tokens(model, words).tolist()
        require_words(model, words, first)
        return [[token] for token in first]
    end = getattr(model.tokenizer, "eos_token_id", None)
    ends = [] if end is None or not ended else [end]
    return [[*row, *ends] for row in answer_tokens(model, words)]


def tokenize(model: Model, texts: Sequence[str], kind: str, **options: Any) -> list[list[int]]:
    """Return the tokens of each text, at least one; `kind` is what a text is called in errors."""
    if model.tokenizer is None:
        fact = "it has no tokenizer"
        raise failure(model, fact, "load it from a folder that holds its tokenizer")
    rows = [list(model.tokenizer(text, **options)["input_ids"]) for text in texts]
    if kind == "prompt":
        # Some tokenizers end each text, but a prompt goes on.
        end = getattr(model.tokenizer, "eos_token_id", None)
        mark = getattr(model.tokenizer, "eos_token", None)
        for row, text in zip(rows, texts, strict=True):
            if mark and len(row) > 1 and row[-1] == end and not text.endswith(mark):
                row.pop()
    # An empty prompt has no last position, an empty answer no first token.
    if not all(rows):
        empty = f"{kind} {texts[rows.index([])].strip()!r}"
        raise failure(empty, "it has no token", "give it at least one word")
    return rows


def next_token_logits(model: Model, prompts: Sequence[str], *, size: int = AT_ONCE) -> Any:
    """Return the logits of the token that follows each prompt.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    prompts : sequence of str
        At least one.
    size : int
        How many prompts are passed at once.

    Returns
    -------
    (prompts, vocabulary) tensor
        In float32, on the CPU; padding changes rounding only. Costs the forward passes.
    """
    with torch.no_grad():
        # Moved batch by batch: on a GPU the logits of all prompts need much room.
        batches = in_batches(model, prompts, size)
        return torch.cat([last_logits(model, some).float().cpu() for some in batches])


def in_batches(
    model: Model, prompts: Sequence[str], size: int = AT_ONCE
) -> Iterator[dict[str, Any]]:
    """Yield the prompts as batches of this size; the last one may be smaller."""
    for start in range(0, len(prompts), size):
        yield batch(model, prompts[start : start + size])


def last_logits(model: Model, prompts: Mapping[str, Any], ends: Any = None) -> Any:
    """Return the logits at the last position of a batch that `batch` made.

    With `ends` the batch is one row of several prompts, and these are their last positions.

    Returns
    -------
    (b, vocabulary) tensor
        In the model's type, on its device. Costs one pass, which autograd records if it is on.
    """
    logits = tail_logits(model, prompts, 1 if ends is None else ends)
    return logits[:, -1] if ends is None else logits[0]


def tail_logits(model: Model, prompts: Mapping[str, Any], keep: Any) -> Any:
    """Return the logits (b, keep, vocabulary) at the last `keep` positions of a batch.

    `keep` may also be a tensor of positions. Costs one pass, which autograd records if it is on.
    """
    options = _accept(model, logits_to_keep=keep, use_cache=False)
    with contiguous_head(model):
        logits = model.network(**prompts, **options).logits
    # Some networks know no such option and return them all.
    return logits[:, -keep:] if isinstance(keep, int) else logits


def token_log_probs(
    model: Model, texts: Sequence[str], *, at_once: bool = False
) -> tuple[Any, Any]:
    """Return a model's log-probabilities of the next token at every position of some texts.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    texts : sequence of str
        The first token of each, which follows nothing, is not predicted.
    at_once : bool
        Whether all are passed in one batch, which is faster, instead of each by itself.

    Returns
    -------
    (tokens, vocabulary) tensor, (tokens,) tensor
        Of the whole vocabulary at each position, and of the token that follows there, in float32.
    """
    every, came = [], []
    # Per-block gating tries each adapter on every token, and a cache would keep the trials.
    options = _accept(model, use_cache=False)
    with torch.no_grad():
        for some in [batch(model, texts)] if at_once else one_by_one(model, texts):
            # Each position but the last is asked for the token that follows it.
            ids, real = some["input_ids"], some["attention_mask"][:, :-1].bool()  # padding is left
            logs = model.network(**some, **options).logits[:, :-1][real].float().log_softmax(-1)
            every.append(logs)
            came.append(logs.gather(1, ids[:, 1:][real][:, None])[:, 0])
    return torch.cat(every), torch.cat(came)


def pack(padded: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the prompts of a batch one after another, unpadded, and the last position of each.

    Where positions begin anew `transformers` lets no token see what came before.
    """
    kept, lengths = padded["attention_mask"].bool(), padded["attention_mask"].sum(1)
    row = {name: padded[name][kept][None] for name in ("input_ids", "position_ids")}
    return row, lengths.cumsum(0) - 1


def can_pack(model: Model, prompts: Sequence[str]) -> bool:
    """Return whether these prompts have the same logits in one row as one by one, up to rounding.

    Not so in models that know no positions or hide nothing by them. Costs two passes of each.
    """
    # A row needs logits at several positions, and positions that begin anew.
    wanted = {"logits_to_keep", "position_ids"}
    if len(_accept(model, **dict.fromkeys(wanted))) < len(wanted):
        return False
    with torch.no_grad():
        alone = torch.cat([last_logits(model, batch(model, [text])) for text in prompts])
        together = last_logits(model, *pack(batch(model, prompts)))
    # Rounding is below the root of the precision; a prompt that sees another differs by far more.
    off = (together - alone).float().std() / alone.float().std()
    return bool(off < torch.finfo(alone.dtype).eps ** 0.5)


def _accept(model: Model, **options: Any) -> dict[str, Any]:
    """Return those of some options that the network takes."""
    known = signature(model.network.forward).parameters
    return {name: value for name, value in options.items() if name in known}


@contextmanager
def contiguous_head(model: Model) -> Iterator[None]:
    """Let the output head read its inputs without gaps.

    The last positions alone are a view with gaps. In bfloat16 the head, which may be the largest
    matrix, would be copied once for each prompt.
    """
    head = output_head(model)
    with ExitStack() as stack:
        if head is not None:
            stack.callback(head.register_forward_pre_hook(_make_contiguous).remove)
        yield


def _make_contiguous(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the head's inputs without gaps."""
    return tuple(map(torch.Tensor.contiguous, args))

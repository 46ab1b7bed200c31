"""Prompts of one adapter: what it alone writes after them, and whether a combination still does.

A text is judged in one of three ways. Where no answer is known, it is right if the adapter alone
writes it. Where one is known, a text is right if it begins with the answer and goes on with another
word. A scorer of the user's own reads the text and returns a number from 0 to 1. The first two need
no decoding (`generate.writes`). With one token, only first tokens are compared.

Coefficients are chosen by divergences instead, which change smoothly.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from loratheory.pretrained.attach import Attached
from loratheory.pretrained.generate import (
    force_logits,
    spell_answer,
    write_on,
    write_tokens,
    writes,
)
from loratheory.pretrained.metrics import kl_by_row
from loratheory.pretrained.models import Model, failure

TOKENS = 16  # of a text that is judged, at most
SEARCHED = 16  # tokens of each text that choose coefficients, at most
PASSED = 0.5  # the least score with which a text is right
Pairs = Mapping[str, str]  # from prompts to answers
# From a prompt, a text and the reference to a number from 0 to 1.
Scorer = Callable[[str, str, str], Any] | None


class Exam:
    """Prompts, and what is right after each of them; made while the adapter alone acts.

    `pairs` map each prompt to its answer, which is empty where it is not known. Questions that are
    not the adapter's `own` may be answered in either spelling, see `spell_answer`. `right` (n,)
    says where the adapter itself is right. Costs a pass over prompts and answers, or decoding where
    no answer is known or a scorer judges.
    """

    def __init__(
        self, model: Model, pairs: Pairs, tokens: int, scorer: Scorer = None, *, own: bool = True
    ) -> None:
        self.model, self.tokens, self.scorer = model, tokens, scorer
        self.prompts, self.answers = [*pairs], [*pairs.values()]
        if scorer or not all(self.answers):
            self.ways = [write_tokens(model, self.prompts, tokens)]
            self.right = self.judge()
            return
        spellings = map(partial(spell_answer, model), self.prompts, self.answers)
        self.ways = [*map(list, zip(*spellings, strict=True))]
        if tokens == 1:
            self.ways = [[_cut(model, text) for text in way] for way in self.ways]
        apart, joined = self._written(self.ways[0]), self._written(self.ways[1])
        self.right = apart | joined
        if own:
            # A combination is not asked for a spelling that the adapter does not use.
            chosen = zip(*self.ways, joined & ~apart, strict=True)
            self.ways = [[(one, other)[int(second)] for one, other, second in chosen]]

    @property
    def judged(self) -> str:
        """What is compared, in words."""
        if self.tokens == 1:
            return "first tokens only: what follows them may differ"
        if all(self.answers) and not self.scorer:
            return "whole answers"
        ended = sum(len(text) < self.tokens for text in self.ways[0]) / len(self.prompts)
        texts = f"whole texts ({100 * ended:.0f}% end before {self.tokens} tokens)"
        return f"{texts}, right with a score of at least {PASSED}" if self.scorer else texts

    def judge(self, acting: Attached | None = None) -> np.ndarray:
        """Return after which prompts (n,) what is written now is right."""
        if not self.scorer:
            return np.any([self._written(way, acting) for way in self.ways], axis=0)
        rows = range(len(self.prompts))
        return np.array([*map(self._score, rows, self.write(rows, acting))]) >= PASSED

    def write(self, rows: Sequence[int], acting: Attached | None = None) -> list[str]:
        """Return what is written now after some prompts, by their numbers."""
        prompts = [self.prompts[i] for i in rows]
        return write_on(self.model, prompts, self.tokens, acting)

    def read(self, row: int) -> str:
        """Return the text that is right after a prompt, as the adapter alone writes it."""
        text: str = self.model.tokenizer.decode(self.ways[0][row], skip_special_tokens=True)
        return text

    def _written(self, way: Sequence[Sequence[int]], acting: Attached | None = None) -> np.ndarray:
        whole = self.tokens > 1 and all(self.answers)
        return np.array(writes(self.model, self.prompts, way, acting, whole=whole))

    def _score(self, row: int, text: str) -> float:
        """Return the score of a text; `ModelError` if the scorer fails or gives no such number."""
        prompt, reference = self.prompts[row], self.answers[row] or self.read(row)
        try:
            score = float(self.scorer(prompt, text, reference))  # type: ignore[misc]
            if 0 <= score <= 1:
                return score
            fact = f"it returned {score:g}"
        # Whatever the user's code raises.
        except Exception as error:
            fact = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        place = f"scorer, after {prompt!r}"
        raise failure(place, fact, "return a number from 0 to 1")


def _cut(model: Model, text: list[int]) -> list[int]:
    """Return a text up to its first token that is no mere space."""
    blank = 0
    while blank < len(text) - 1 and not model.tokenizer.decode([text[blank]]).strip():
        blank += 1
    return text[: blank + 1]


@dataclass(frozen=True, eq=False)
class Divergence:
    """How far a combination is from the adapter alone after some prompts, in nats per text.

    The sum over the tokens of a text of the KL divergence between the distributions of the next
    token. `alone` has the log-probabilities of the adapter alone, some prompts at a time, as
    `force_logits` has logits.
    """

    model: Model
    prompts: Sequence[str]
    texts: Sequence[Sequence[int]]
    alone: Sequence[Any]

    @classmethod
    def of(cls, model: Model, pairs: Pairs, tokens: int = TOKENS) -> "Divergence":
        """Return that of the texts of an `Exam`, while the adapter acts alone.

        At most sixteen tokens count, and only the first where it does not write the answer.
        """
        exam, texts = Exam(model, pairs, min(tokens, SEARCHED)), []
        for text, right in zip(exam.ways[0], exam.right, strict=True):
            texts.append(text[: SEARCHED if right else 1])
        with torch.no_grad():
            return cls(model, exam.prompts, texts, [*_log_probs(model, exam.prompts, texts)])

    def measure(self, acting: Attached | None = None) -> float:
        """Return the mean over the prompts with what acts now."""
        with torch.no_grad():
            return max(0.0, sum(map(float, self._batches(acting))))

    def slopes(self, acting: Attached, coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        """Return the mean at coefficients (n,), the same in all modules, and its derivatives (n,).

        Costs a pass forwards and one back over all texts, and memory for the activations of at most
        sixteen prompts.
        """
        value, row = 0.0, np.zeros(len(coefficients))
        leaf = torch.tensor(coefficients, dtype=torch.float64, requires_grad=True)
        acting.traced = leaf
        try:
            with torch.enable_grad():
                for kl in self._batches(acting):
                    # No token may have come to an adapter, and autograd refuses what is not used.
                    (slope,) = torch.autograd.grad(kl + 0 * leaf.sum(), leaf)
                    value, row = value + kl.item(), row + slope.numpy()
        finally:
            acting.traced = None
        return max(0.0, value), row

    def _batches(self, acting: Attached | None) -> Iterator[Any]:
        """Yield what some prompts at a time add to the mean."""
        every = _log_probs(self.model, self.prompts, self.texts, acting)
        for before, now in zip(self.alone, every, strict=True):
            yield kl_by_row(before, now).double().sum() / len(self.prompts)


def _log_probs(*given: Any) -> Iterator[Any]:
    for logits in force_logits(*given):
        yield logits.log_softmax(-1)


def join_slopes(
    search: Sequence[Divergence], acting: Attached, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the divergences (k,) of several adapters and their derivatives (k, n)."""
    every = [one.slopes(acting, coefficients) for one in search]
    values, rows = map(np.array, zip(*every, strict=True))
    return values, rows

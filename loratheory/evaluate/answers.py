"""A language model's answers to questions, with the adapters that are active on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained import Model, first_tokens, next_token_logits
from loratheory.shapes import Bool, Float


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to some questions.

    Attributes
    ----------
    right, vocabulary_right : (questions,) array of bool
        Whether the right word has the largest logit among the candidates, and among all tokens.
    words : tuple of str
        The candidate with the largest logit, for each question.
    tokens : (questions,) array of int
        The token with the largest logit.
    confidence : (questions,) array
        The probability of that token.
    """

    right: Bool[np.ndarray, " questions"]
    vocabulary_right: Bool[np.ndarray, " questions"]
    words: tuple[str, ...]
    tokens: Any
    confidence: Float[np.ndarray, " questions"]


def answers(model: Model, questions: Items, words: Sequence[str] = ()) -> Answers:
    """Return a model's answers to questions, with the adapters that act on it now.

    The candidates are `words`, by default the right answers of all questions; their first tokens
    must differ. Costs a forward pass a question.
    """
    prompts, right = zip(*questions, strict=True)
    # in order of appearance, so that a tie goes to the same word every time
    words = words or list(dict.fromkeys(right))
    # answers are told apart by their first token, which is all that one pass predicts
    tokens, wanted = first_tokens(model, words), first_tokens(model, right)
    logits = next_token_logits(model, prompts)
    best, largest = logits[:, tokens].argmax(1), logits.argmax(1)
    return Answers(
        (tokens[best] == wanted).numpy(),
        (largest == wanted).numpy(),
        tuple(np.array(words)[best.numpy()].tolist()),
        largest.numpy(),
        logits.softmax(1).amax(1).double().numpy(),
    )


def continue_texts(model: Model, texts: Sequence[str]) -> Items:
    """Return texts with the model's likeliest next word; those are left out that have none.

    A text has none if no word follows, or if its likeliest next token does not begin that word.
    """
    said = next_token_logits(model, texts).argmax(1).tolist()
    words = [model.tokenizer.decode([token]).strip() for token in said]
    # a place is taken where nothing is said, since every text has a token
    again = first_tokens(model, [word or "a" for word in words]).tolist()
    found = []
    for text, word, token, first in zip(texts, words, said, again, strict=True):
        # a word of several tokens is decoded from its first: it must begin with that token again
        if word.isalnum() and token == first:
            found.append((text, word))
    return found

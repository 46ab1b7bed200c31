"""Evaluate a language model with its active adapters on questions, by the first answer token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loratheory.evaluate.fact_sets import Items
from loratheory.pretrained import Model, first_tokens, next_token_logits
from loratheory.pretrained.metrics import answer_tokens
from loratheory.shapes import Bool, Float


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers to questions.

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
    """Return a model's answers to questions, with the adapters that are active on it.

    The candidates are `words`, by default the right answers of all questions; their first tokens
    must differ. The cost is a forward pass per question.
    """
    prompts, right = zip(*questions, strict=True)
    # in order of appearance, so that a tie goes to the same word every time
    words = words or list(dict.fromkeys(right))
    # answers are compared by their first token, because one pass predicts one token
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
    """Return texts with the model's most likely next word, without texts that have no next word.

    A text has no next word if its most likely next token is not the first token of a word.
    """
    said = next_token_logits(model, texts).argmax(1).tolist()
    words = [model.tokenizer.decode([token]).strip() for token in said]
    # "a" stands for an empty word, so that every text has a token
    again = answer_tokens(model, [word or "a" for word in words])
    found = []
    for text, word, token, row in zip(texts, words, said, again, strict=True):
        # the token may be a piece of a word: the decoded word must begin with the same token
        if word.isalnum() and token == row[0]:
            found.append((text, word))
    return found

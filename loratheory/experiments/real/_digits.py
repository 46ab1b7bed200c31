"""A tokenizer to which the first token of a number is its first digit, not the space before it."""

import re
from dataclasses import replace
from typing import Any

from loratheory.pretrained import Model


class Digits:
    """A tokenizer to which a number is its digits: none is hidden behind the space before it.

    Prompts that ask for a number end in a space then.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str, **how: Any) -> Any:
        """Pass on what the tokenizer makes of the text, of a number without the space before."""
        return self.tokenizer(text[1:] if re.fullmatch(r" \d+", text) else text, **how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)


def reading_digits(model: Model) -> Model:
    """Return the model with a tokenizer whose first token of a number is its first digit."""
    return replace(model, tokenizer=Digits(model.tokenizer))

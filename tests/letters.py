"""A tokenizer of letters for the small random models, so that prompts need no files."""

from causal import VOCABULARY, network

from loratheory.pretrained import Model


class Letters:
    """Each letter is a token; a word after a space begins with a token of its own."""

    pad_token_id = None

    def __call__(self, text, **_):
        """The number of each letter, whatever the options."""
        return {"input_ids": [1 + ord(letter) % (VOCABULARY - 1) for letter in text.strip()]}


def model(kind="llama", seed=0):
    """A small random network that reads letters."""
    return Model(network(kind, seed), Letters(), kind)


EXAMPLES = [("abc", "x"), ("de", "y"), ("fghi", "z"), ("jk", "q"), ("lmnop", "r")]

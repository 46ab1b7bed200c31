"""The tokenizer that comes with a model, or the reason why there is none."""

from typing import Any

from loratheory.pretrained._generic import GENERIC
from loratheory.pretrained._refusal import line


def tokenizer(place: str, name: str, known: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return a model's tokenizer, or None and a note that there is none.

    Parameters
    ----------
    place : str
        A folder, or a Hugging Face id to ask the hub for.
    name : str
        What the model is called in notes.
    known : dict
        What `from_pretrained` is told besides: revision, whether to stay offline.

    Returns
    -------
    tokenizer : tokenizer or None
        None also where it cannot tell two sentences apart: where its files are missing,
        `transformers` makes an empty one for some architectures.
    notes : tuple of str
        What is wrong with it; empty if nothing.
    """
    from transformers import AutoTokenizer

    lack = f"{name} has no tokenizer that can be loaded"
    try:
        made = AutoTokenizer.from_pretrained(place, **known)
        read = [made(text)["input_ids"] for text in GENERIC[:2]]
    except Exception as error:  # of any kind: damaged files raise what the reader trips over
        return None, (f"{lack}: {line(error)}",)
    if read[0] == read[1]:
        return None, (f"{lack}: it reads all sentences alike, so its files are missing",)
    return made, ()

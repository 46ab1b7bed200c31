"""What a model writes when it is asked to solve: its own words, one step after another."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from loratheory.experiments.real._stepwise import Stepwise, worked
from loratheory.pretrained import Model, batch

LENGTH = 10
"""Tokens that any step takes, of numbers up to 99."""
GREEDY = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
"""Instead of what a model's own settings of generation may be."""
_SAID = re.compile(r"(\d+) ([-+*]) (\d+) = (\d+)")


def written(model: Model, prompts: Sequence[str], count: int = LENGTH, size: int = 64) -> list[str]:
    """Return how a model goes on, always with the likeliest token.

    Parameters
    ----------
    model : Model
        With a tokenizer that decodes, and whatever acts on it.
    prompts : sequence of str
        At least one.
    count : int
        How many tokens to write at most.
    size : int
        How many prompts are passed at once.

    Returns
    -------
    list of str
        Costs a pass over the prompts, and one token a prompt for each that is written.
    """
    import torch

    found: list[str] = []
    how = {"max_new_tokens": count, "pad_token_id": 0, **GREEDY}
    with torch.no_grad():
        for start in range(0, len(prompts), size):
            told = batch(model, prompts[start : start + size])
            given = {name: told[name] for name in ("input_ids", "attention_mask")}
            said = model.network.generate(**given, **how)[:, told["input_ids"].shape[1] :]
            found += [model.tokenizer.decode(row, skip_special_tokens=True) for row in said]
    return found


def solved(
    model: Model, problems: Sequence[Stepwise], shown: Sequence[Stepwise] = ()
) -> dict[str, float]:
    """Return shares of problems that a model solves.

    Parameters
    ----------
    model : Model
        With whatever acts on it.
    problems : sequence of Stepwise
        With equally many steps each.
    shown : sequence of Stepwise
        Problems that precede each one with their solutions.

    Returns
    -------
    dict of str to float
        ``steps``: the last result is right, each step being the model's own. Of that last step,
        ``expression``: what is computed is right; ``sum``: its result is that of what the model
        wrote. ``step 1``: the first result is right. ``given``: the last one is, if all steps
        before it are given. ``at once``: the answer is, without steps.
    """
    before, at_once = worked(shown), worked(shown, at_once=True)
    last = len(problems[0].steps) - 1
    own: list[list[str]] = [[] for _ in problems]
    wrote: dict[str, str] = {}
    for k in range(last + 1):
        asked = [before + one.until(k, said) for one, said in zip(problems, own, strict=True)]
        wrote = _sentences(model, asked)
        for said, prompt in zip(own, asked, strict=True):
            said.append(wrote[prompt])
    true = [one.said for one in problems]
    told = [before + one.until(last, said) for one, said in zip(problems, true, strict=True)]
    wrote |= _sentences(model, [prompt for prompt in told if prompt not in wrote])
    guesses = written(model, [at_once + one.at_once for one in problems], 3)
    return {
        "steps": _same(own, true, result),
        "expression": _same(own, true, expression),
        "sum": share([result(said[-1]) == value(said[-1]) for said in own]),
        "step 1": _same([said[:1] for said in own], [said[:1] for said in true], result),
        "given": _same([[wrote[prompt]] for prompt in told], true, result),
        "at once": _same([[number(words)] for words in guesses], true, result),
    }


def _sentences(model: Model, prompts: Sequence[str]) -> dict[str, str]:
    """What the model writes after each prompt, in one sentence."""
    return dict(zip(prompts, map(sentence, written(model, prompts)), strict=True))


def _same(
    said: Sequence[Sequence[str]], true: Sequence[Sequence[str]], part: Callable[[str], object]
) -> float:
    """How often the last sentences agree in this part."""
    return share([part(one[-1]) == part(other[-1]) for one, other in zip(said, true, strict=True)])


def copied(problems: Sequence[Stepwise]) -> float:
    """Return the share that is right if one always copies the story's number at the best place."""
    told = [re.findall(r"\d+", one.story) for one in problems]
    pairs = list(zip(told, problems, strict=True))
    places = range(max(map(len, told)))
    return max(share([found[k : k + 1] == [one.answer] for found, one in pairs]) for k in places)


def sentence(words: str) -> str:
    """Return the step that stands at the beginning of what was written, or all of it if none."""
    found = _SAID.match(words)
    return found[0] if found else " ".join(words.split())


def number(words: str) -> str:
    """Return the number that stands at the beginning, or nothing."""
    found = re.match(r"\d+", words)
    return found[0] if found else ""


def value(said: str) -> str:
    """Return the number that ``3 + 4 = …`` should end with, or nothing."""
    found = _SAID.fullmatch(said)
    if not found:
        return "nothing"
    x, y = int(found[1]), int(found[3])
    return str({"+": x + y, "-": x - y, "*": x * y}[found[2]])


def result(said: str) -> str:
    """Return the last word."""
    return (said.split() or [""])[-1]


def expression(said: str) -> tuple[str, ...]:
    """Return the sign and what stands around it, in the same order if that does not matter."""
    found = _SAID.fullmatch(said)
    if not found:
        return ()
    one, sign, other, _ = found.groups()
    return (sign, one, other) if sign == "-" else (sign, *sorted((one, other)))


def share(right: Sequence[bool]) -> float:
    """Return the share of true ones."""
    return float(np.mean(right))

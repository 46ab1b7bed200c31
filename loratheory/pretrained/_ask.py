"""What a model says after prompts, and the inputs that its modules get meanwhile."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from inspect import signature
from typing import Any

import numpy as np

from loratheory.adapters import Adapter
from loratheory.lowrank import Array
from loratheory.pretrained._attach import attached
from loratheory.pretrained._model import Model, failure, maps, output_head
from loratheory.shapes import Float, Float64

CLEAR = 1e-7  # relative to the strongest direction of an input; float32 knows no weaker ones


def batch(model: Model, prompts: Sequence[str]) -> dict[str, Any]:
    """Return prompts as one batch, padded on the left so that its last position ends each prompt.

    Parameters
    ----------
    model : Model
        With a tokenizer; its own padding settings are neither used nor changed.
    prompts : sequence of str
        At least one.

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
    import torch

    rows = _token_rows(model, prompts, "prompt")
    pad = getattr(model.tokenizer, "pad_token_id", None) or 0
    length = max(map(len, rows))
    ids = torch.tensor([[pad] * (length - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    made = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    return {name: values.to(_entry(model)) for name, values in made.items()}


def next_logits(model: Model, prompts: Sequence[str], *, size: int = 64) -> Any:
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
    import torch

    with torch.no_grad():
        parts = [batch(model, prompts[i : i + size]) for i in range(0, len(prompts), size)]
        return torch.cat([last_logits(model, part).float().cpu() for part in parts])


GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "pad_token_id": 0,
}
"""Generation settings that replace the model's own: always the likeliest token."""


def written(model: Model, prompts: Sequence[str], count: int, *, size: int = 64) -> list[str]:
    """Return the text with which a model continues each prompt, always by the likeliest token.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    prompts : sequence of str
        At least one.
    count : int
        How many tokens are written at most.
    size : int
        How many prompts are passed at once.

    Returns
    -------
    list of str
        The new text of each prompt. Costs a pass over the prompts, and one of a single token a
        prompt for each token written.
    """
    import torch

    texts: list[str] = []
    with torch.no_grad():
        for start in range(0, len(prompts), size):
            asked = batch(model, prompts[start : start + size])
            given = {name: asked[name] for name in ("input_ids", "attention_mask")}
            out = model.network.generate(**given, **GREEDY, max_new_tokens=count)
            new = out[:, asked["input_ids"].shape[1] :]
            texts += [model.tokenizer.decode(row, skip_special_tokens=True) for row in new]
    return texts


def token_logs(model: Model, texts: Sequence[str], *, at_once: bool = False) -> tuple[Any, Any]:
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
    import torch

    every, came = [], []
    options = _accepted(model, use_cache=False)  # which block gates could not do with
    with torch.no_grad():
        for some in [batch(model, texts)] if at_once else one_by_one(model, texts):
            ids = some["input_ids"]
            mask = some.get("attention_mask", torch.ones_like(ids)).bool()
            real = mask[:, :-1]  # padding is left
            logs = model.network(**some, **options).logits[:, :-1][real].float().log_softmax(-1)
            every.append(logs)
            came.append(logs.gather(1, ids[:, 1:][real][:, None])[:, 0])
    return torch.cat(every), torch.cat(came)


def leak(base: Array, now: Array) -> float:
    """Return the mean over tokens of KL(base ‖ now), in nats.

    Parameters
    ----------
    base, now : (tokens, vocabulary) tensor
        Log-probabilities from `token_logs`, without an adapter and with it. On ordinary sentences,
        which an adapter should not change, the leak tells how much it will disturb others.
    """
    return float((base.exp() * (base - now)).sum(-1).mean())


def first_tokens(model: Model, words: Sequence[str]) -> Any:
    """Return the first token of each word as it follows a space.

    Parameters
    ----------
    model : Model
        With a tokenizer. No space is added where the tokenizer adds one itself.
    words : sequence of str
        Answers; two that begin with the same token cannot be told apart by it.

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
    import torch

    read = partial(_token_rows, model, kind="answer", add_special_tokens=False)
    both, b, a = read(["b a", "b", "a"])
    space = "" if both == b + a else " "
    first = [row[0] for row in read([space + word for word in words])]
    if len(set(first)) == 1 < len(set(words)):
        fact = f"{len(set(words))} answers begin with one token"
        raise model.failure(fact, "give some that their first tokens tell apart")
    return torch.tensor(first, dtype=torch.int64)


def _token_rows(model: Model, texts: Sequence[str], kind: str, **options: Any) -> list[list[int]]:
    """The tokens of each text, at least one; `kind` is what a text is called in errors."""
    if model.tokenizer is None:
        fact = "it has no tokenizer"
        raise model.failure(fact, "load it from a folder that holds its tokenizer")
    rows = [list(model.tokenizer(text, **options)["input_ids"]) for text in texts]
    if not all(rows):
        empty = f"{kind} {texts[rows.index([])].strip()!r}"
        raise failure(empty, "it has no token", "give it at least one word")
    return rows


def last_logits(model: Model, prompts: Mapping[str, Any], ends: Any = None) -> Any:
    """Return the logits at the last position of a batch that `batch` made.

    With `ends` the batch is one row of several prompts, and these are their last positions.

    Returns
    -------
    (b, vocabulary) tensor
        In the model's type, on its device. Costs one pass, which autograd records if it is on.
    """
    options = _accepted(model, logits_to_keep=1 if ends is None else ends, use_cache=False)
    head = output_head(model)
    handle = head.register_forward_pre_hook(_as_one_block) if head is not None else None
    try:
        logits = model.network(**prompts, **options).logits
        return logits[:, -1] if ends is None else logits[0]
    finally:
        if handle is not None:
            handle.remove()


def in_one_row(padded: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the prompts of a batch one after another, unpadded, and the last position of each.

    Where positions begin anew `transformers` lets no token see what came before.
    """
    kept, lengths = padded["attention_mask"].bool(), padded["attention_mask"].sum(1)
    row = {name: padded[name][kept][None] for name in ("input_ids", "position_ids")}
    return row, lengths.cumsum(0) - 1


def packs(model: Model, prompts: Sequence[str]) -> bool:
    """Whether these prompts have the same logits in one row as one by one, up to rounding.

    Not so in models that know no positions or hide nothing by them. Costs two passes of each.
    """
    import torch

    wanted = {"logits_to_keep", "position_ids"}
    if len(_accepted(model, **dict.fromkeys(wanted))) < len(wanted):
        return False
    with torch.no_grad():
        alone = torch.cat([last_logits(model, batch(model, [text])) for text in prompts])
        try:
            together = last_logits(model, *in_one_row(batch(model, prompts)))
        except (IndexError, RuntimeError, TypeError, ValueError):  # code from a model's own folder
            return False
    off = (together - alone).float().std() / alone.float().std()
    return bool(off < torch.finfo(alone.dtype).eps ** 0.5)


def _accepted(model: Model, **options: Any) -> dict[str, Any]:
    """Those of some options that the network takes."""
    known = signature(model.network.forward).parameters
    return {name: value for name, value in options.items() if name in known}


def _as_one_block(_: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The head's inputs without gaps: on a view it would be multiplied once for each prompt."""
    return tuple(x.contiguous() for x in args)


def _entry(model: Model) -> Any:
    """The device that takes a model's tokens; offloaded models fetch them themselves."""
    device = next(model.network.parameters()).device
    return "cpu" if device.type == "meta" else device


def agreement(
    model: Model, adapters: Sequence[Adapter], prompts: Sequence[str]
) -> Float64[np.ndarray, "k k"]:
    """Return how often two adapters, each acting alone, continue prompts with the same token.

    Returns
    -------
    (k, k) array
        Shares of the prompts, for each pair of adapters; ones on the diagonal. No answers are
        needed. Costs one pass over the prompts for each adapter.
    """
    rows = []
    with attached(model, adapters) as acting:
        for alone in np.eye(len(adapters)):
            acting.set(alone)
            rows.append(next_logits(model, prompts).argmax(-1).numpy())
    tokens = np.stack(rows)
    return (tokens[:, None] == tokens[None]).mean(axis=-1)


def inputs(
    model: Model, batches: Iterable[Mapping[str, Array]], modules: Sequence[str]
) -> dict[str, Array]:
    """Return the inputs of some linear maps, one row for each token, padding left out.

    Parameters
    ----------
    model : Model
        Adapters that act on it at the time have their effect.
    batches : iterable of mapping
        What the network is called with, as tokenizers return it: `input_ids`, and
        `attention_mask` where there is padding.
    modules : sequence of str
        Which maps, by name.

    Returns
    -------
    dict of str to (t, n) tensor
        On the model's device, in its type; maps with the same input share one tensor. Experts get
        the tokens sent to them, padding included. Costs the forward passes, and ``O(t n)`` memory
        for each different input.

    Raises
    ------
    ModelError
        If a module is no linear map of the model, or no token reaches it.
    """
    import torch

    places = maps(model)
    wrong = [name for name in modules if name not in places or places[name].embedding]
    if wrong:
        fact = f"{wrong[0]} is no linear map of it"
        raise model.failure(fact, "choose among the names in maps(model)")
    rows: dict[str, list[Array]] = {name: [] for name in modules}
    shared: dict[int, tuple[Array, Array]] = {}
    mask: Any = None

    def _keep(name: str, _: Any, args: Any, kwargs: Any) -> None:
        x = args[0] if args else next(iter(kwargs.values()))
        if id(x) not in shared:  # the second entry keeps the number from being used again
            flat = x.reshape(-1, x.shape[-1])
            padded = mask is not None and mask.shape == x.shape[:-1]
            shared[id(x)] = (flat[mask.reshape(-1).bool()] if padded else flat.clone(), x)
        rows[name].append(shared[id(x)][0])

    handles = [
        places[name].module.register_forward_pre_hook(partial(_keep, name), with_kwargs=True)
        for name in modules
    ]
    try:
        with torch.no_grad():
            for one in batches:
                mask = one.get("attention_mask")
                model.network(**one)
                shared.clear()
    finally:
        for handle in handles:
            handle.remove()
    joined: dict[tuple[int, ...], Array] = {}
    for name, parts in rows.items():
        if not parts:
            raise failure(name, "no token came there", "give prompts that reach it")
        key = tuple(map(id, parts))
        joined[key] = joined[key] if key in joined else torch.cat(parts)
    return {name: joined[tuple(map(id, parts))] for name, parts in rows.items()}


def moments(
    model: Model, batches: Iterable[Mapping[str, Array]], modules: Sequence[str]
) -> dict[str, Float[np.ndarray, "k n"]]:
    """Return square roots of the second moments of some linear maps' inputs.

    Arguments are those of `inputs`.

    Returns
    -------
    dict of str to (k, n) array
        ``root.T @ root`` is the mean of ``x x'`` over the tokens, summed in float64; the root is in
        float32, without directions weaker than 1e-7 of the strongest. Costs the passes, and
        ``O(t n^2)`` and the memory of one (n, n) array for each different input.

    Raises
    ------
    ModelError
        If there are no batches, a module is no linear map, no token reaches it, or an input is not
        finite.
    """
    import torch

    sums: dict[tuple[str, ...], Array] = {}  # by the modules that read one input
    counts: dict[tuple[str, ...], int] = {}
    for one in batches:
        shared: dict[int, list[str]] = {}
        fed = inputs(model, [one], modules)
        for name, x in fed.items():
            shared.setdefault(id(x), []).append(name)
        for names in map(tuple, shared.values()):
            x = fed[names[0]].double()
            sums[names] = x.T @ x + sums.get(names, 0)
            counts[names] = len(x) + counts.get(names, 0)
    if not sums:
        fact = "there are no prompts to collect moments from"
        raise model.failure(fact, "give one or more")
    roots: dict[str, Float[np.ndarray, "k n"]] = {}
    for names, summed in sums.items():
        if not bool(torch.isfinite(summed).all()):
            fact = "what the model feeds it is not finite"
            raise failure(names[0], fact, "load the base in float32 or bfloat16")
        energies, axes = torch.linalg.eigh(summed.cpu() / counts[names])
        seen = energies > CLEAR**2 * energies[-1]
        root = (axes[:, seen] * energies[seen].sqrt()).T.float().numpy()
        roots |= dict.fromkeys(names, root)
    return {name: roots[name] for name in modules}


def one_by_one(model: Model, prompts: Sequence[str]) -> list[dict[str, Any]]:
    """Each prompt as a batch of its own, so that nothing is padded.

    Without a tokenizer twelve random tokens stand for each prompt, the same every time.
    """
    import torch

    if model.tokenizer is not None:
        return [batch(model, [text]) for text in prompts]
    rng, most = np.random.default_rng(0), int(model.network.config.vocab_size)
    rows = [torch.from_numpy(rng.integers(0, most, (1, 12))) for _ in prompts]
    return [{"input_ids": row.to(_entry(model))} for row in rows]

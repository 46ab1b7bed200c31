"""A table of the ways to let several adapters act on one model, and folders that store a result.

A way is a merge, whose coefficients are given or are chosen on prompts, or gates. A merge is stored
as a PEFT adapter; gates as a **route**: a folder with the adapters one by one, `route.json`, which
names the gates, and the levels of the adapters' responses to ordinary sentences. Subject gates have
no levels: they go by what each adapter is about, which `route.json` then lists.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from loratheory.adapters import Adapter, merge, read_adapter, write_adapter
from loratheory.pretrained._ask import GREEDY, batch
from loratheory.pretrained._attach import Attached, attached
from loratheory.pretrained._gates import (
    Levels,
    block_gates,
    map_gates,
    prompt_gates,
    settle,
    subject_gates,
)
from loratheory.pretrained._model import GENERIC, Model, failure, json_in
from loratheory.store import draft

ROUTE, LEVELS, CARD = "route.json", "levels.safetensors", "adapter_card.json"
WHOLE = "write the route again with `loratheory advise`"


def _alone_on_a_prompt(
    model: Model, acting: Attached, ordinary: Sequence[Any], *, levels: Levels | None
) -> Levels:
    """Prompt gates that choose one adapter, each being a group of its own."""
    groups = [(one,) for one in range(acting.coefficients.shape[1])]
    return prompt_gates(model, acting, ordinary, groups, levels=levels)


class About(NamedTuple):
    """What an adapter is about, as its card says; subject gates go by it."""

    subjects: tuple[str, ...]  # names of what its facts are about
    partner: str = "after"  # or "before", if a partner's answers are its subjects: a later hop


@dataclass(frozen=True)
class Way:
    """One row of the table of ways: a merge, or gates.

    Both `share` and `passes` are functions of the number of adapters: the coefficient where none is
    chosen, and what a prompt costs in passes of the base.
    """

    name: str  # as tables, cards and options have it
    method: str = ""  # the rule, of `loratheory.adapters.MERGE_METHODS`; empty for gates
    options: Mapping[str, Any] = field(default_factory=dict)  # what it takes beside the adapters
    free: Literal["", "one", "each"] = "one"  # coefficients chosen on prompts: none, one for all, …
    share: Callable[[int], float] = lambda _: 1.0
    gates: Callable[..., Any] | None = None  # sets a route, as `block_gates` does
    passes: Callable[[int], int] = lambda _: 1
    cache: bool = True  # whether the network may keep one, once prompt gates have chosen

    def merged(
        self,
        adapters: Sequence[Adapter],
        coefficients: Sequence[int | float],
        moments: Sequence[Any] | None = None,
    ) -> Adapter:
        """Return the one adapter that this way makes; only regmean needs `moments`."""
        if self.method == "cat":
            return merge(adapters, "cat", weights=coefficients, any_base=True)
        options = dict(self.options) | ({"moments": moments} if self.method == "regmean" else {})
        (scale,) = coefficients
        return merge(adapters, self.method, coefficient=scale, any_base=True, **options)

    def coefficients(self, count: int) -> list[float]:
        """Return the first coefficients of `count` adapters; just one where a merge makes one."""
        return [float(self.share(count))] * (1 if self.method not in ("", "cat") else count)


_ROWS = (
    Way("mean", "cat", free="", share=lambda count: 1 / count),
    Way("sum", "cat", free=""),
    Way("one coefficient", "cat"),
    Way("a coefficient each", "cat", free="each"),
    Way("knots-ties", "ties", {"space": "knots", "density": 0.3}),
    Way("tsv", "tsv"),
    Way("interpolate", "interpolate"),
    Way("chebyshev", "chebyshev"),
    Way("regmean", "regmean", {"ridge": 0.01}),
    Way("map gates", free="", gates=map_gates),
    Way("block gates", free="", gates=block_gates, passes=lambda count: count + 2, cache=False),
    Way("prompt gates", free="", gates=_alone_on_a_prompt, passes=lambda _: 2),
    Way("subject gates", free="", gates=subject_gates, passes=lambda _: 3),
)
WAYS: Mapping[str, Way] = {way.name: way for way in _ROWS}
"""Every way by name. TIES on full matrices is left out: seconds a module of 4096 by 4096."""


def put_on(
    model: Model,
    adapters: Sequence[Adapter],
    way: Way,
    *,
    moments: Sequence[Any] | None = None,
    levels: Levels | None = None,
    about: Sequence[About] = (),
) -> tuple[Attached, Levels]:
    """Let adapters act on a model in one way; return them and the levels of its gates, if any.

    Coefficients may be set later: one for each adapter, or a single one where a merged adapter
    acts. Without `levels`, gates first pass the sentences of `GENERIC` through the model. Only
    subject gates need what each adapter is `about`.
    """
    if way.gates is None:
        if way.method != "cat":
            adapters = [way.merged(adapters, [1.0], moments)]
        return attached(model, adapters, way.coefficients(len(adapters))), {}
    acting = attached(model, adapters)
    try:
        if way.gates is subject_gates:
            later = [one.partner == "before" for one in about]
            hops = [[k for k, one in enumerate(later) if one == last] for last in (False, True)]
            named = [one.subjects for one in about]
            subject_gates(model, acting, [hop for hop in hops if hop], named)
            return acting, {}
        ordinary = [] if levels is not None else [batch(model, [text]) for text in GENERIC]
        return acting, way.gates(model, acting, ordinary, levels=levels)
    except BaseException:
        acting.remove()
        raise


class Recipe(NamedTuple):
    """What is needed to repeat a merge or a route."""

    way: Way
    coefficients: list[float]
    digests: list[str]  # of the adapters
    about: list[About]  # for subject gates, what each is about

    def check(self, adapters: Sequence[Adapter]) -> None:
        """Raise `ModelError` unless these are the adapters, in their order."""
        remedy = "give those that it was made of, in their order"
        if len(adapters) != len(self.digests):
            fact = f"of {len(self.digests)} adapters, and {len(adapters)} are given"
            place = f"a recipe for {self.way.name}"
            raise failure(place, fact, remedy)
        for adapter, kept in zip(adapters, self.digests, strict=True):
            if digest(adapter) != kept:
                raise failure(adapter.info.name, "the recipe has another adapter here", remedy)


def digest(adapter: Adapter) -> str:
    """Return a SHA-256 of an adapter's modules and factors, wherever they lie."""
    whole = hashlib.sha256()
    for name in sorted(adapter):
        whole.update(name.encode())
        for factor in (adapter[name].up, adapter[name].down):
            whole.update(f"{factor.dtype} {factor.shape}".encode())
            whole.update(np.ascontiguousarray(factor).tobytes())
    return whole.hexdigest()


def about_in(folder: Path) -> About | None:
    """Return what an adapter's card says that it is about; None if there is no card, or no list.

    Raises `ModelError` if the card cannot be read, or is wrong.
    """
    file = folder / CARD
    content = json_in(file, "`loratheory teach` writes a card") if file.is_file() else {}
    return _about(content, file) if "subjects" in content else None


def _about(content: Mapping[str, Any], file: Path) -> About:
    subjects, partner = content.get("subjects"), content.get("partner", "after")
    if not isinstance(subjects, list) or not all(isinstance(s, str) and s for s in subjects):
        raise failure(str(file), "its 'subjects' are no list of names", 'write ["NAME", …]')
    if not subjects or partner not in ("after", "before"):
        fact = f"it has {len(subjects)} subjects and the partner {partner!r}"
        raise failure(str(file), fact, "list the names, and say 'after' or 'before'")
    return About(tuple(subjects), partner)


def recipe_in(file: Path) -> Recipe:
    """Return the recipe in ``adapter_card.json`` or ``route.json``; `ModelError` if it has none."""
    recipe = json_in(file, WHOLE).get("recipe")
    values = recipe if isinstance(recipe, dict) else {}
    numbers, parts, name = values.get("coefficients"), values.get("adapters"), values.get("way")
    way = WAYS.get(str(name))
    if way is None or not isinstance(numbers, list) or not isinstance(parts, list) or not parts:
        raise failure(str(file), "it holds no recipe", WHOLE)
    parts = [part for part in parts if isinstance(part, dict)]
    digests = [str(part.get("sha256")) for part in parts]
    if len(numbers) != len(way.coefficients(len(digests))):
        raise failure(str(file), f"{name} of {len(parts)} has other coefficients", WHOLE)
    if not all(isinstance(c, int | float) for c in numbers):
        raise failure(str(file), "a coefficient is no number", WHOLE)
    about = [_about(part, file) for part in parts] if way.gates is subject_gates else []
    return Recipe(way, [float(c) for c in numbers], digests, about)


def write_reuse(
    folder: Path,
    adapters: Sequence[Adapter],
    names: Sequence[str],
    way: Way,
    coefficients: Sequence[int | float],
    *,
    model: Model | None = None,
    moments: Sequence[Any] | None = None,
    about: Sequence[About] = (),
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write a merge as a PEFT adapter, gates as a route, to a new folder, complete or not at all.

    Gates need the model, to measure responses to ordinary sentences; subject gates need what each
    adapter is `about`. ``adapter_card.json`` or ``route.json`` in the folder holds the recipe and
    the entries of `card`. Raises `AdapterError` or `OSError` if the folder exists or cannot be
    written.
    """
    from safetensors.torch import save_file

    inputs = [{"name": n, "sha256": digest(a)} for n, a in zip(names, adapters, strict=True)]
    if way.gates is subject_gates:
        inputs = [one | told._asdict() for one, told in zip(inputs, about, strict=True)]
    recipe = {"way": way.name, "coefficients": list(coefficients), "adapters": inputs}
    content = {"recipe": recipe, **(card or {})}
    if way.gates is None:
        write_adapter(way.merged(adapters, coefficients, moments), folder, card=content)
        return
    assert model is not None
    acting, levels = put_on(model, adapters, way, about=about)
    acting.remove()
    with draft(folder, replace=False) as place:
        place.mkdir()
        for number, adapter in enumerate(adapters, 1):
            write_adapter(adapter, place / str(number))
        if levels:
            save_file({key: x.cpu().contiguous() for key, x in levels.items()}, place / LEVELS)
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (place / ROUTE).write_text(text, encoding="utf-8")


def _read_route(folder: Path) -> tuple[Recipe, list[Adapter], Levels]:
    """What `write_reuse` wrote of gates. Raises `ModelError` or `AdapterError`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    recipe = recipe_in(folder / ROUTE)
    way, numbers = recipe.way, range(1, len(recipe.digests) + 1)
    adapters = [read_adapter(folder / str(number)) for number in numbers]
    if way.gates is subject_gates:
        return recipe, adapters, {}
    try:
        levels = load_file(folder / LEVELS)
    except (OSError, SafetensorError) as error:
        raise failure(str(folder / LEVELS), f"cannot be read ({error})", WHOLE) from None
    places = {name for adapter in adapters for name in adapter}
    if way.gates is block_gates:
        places = {name.rpartition(".")[0] for name in places}
    shapes = {tuple(level.shape) for level in levels.values()}
    finite = all(bool(level.isfinite().all()) for level in levels.values())
    if way.gates is None or {*levels} != places or shapes != {(2, len(adapters))} or not finite:
        fact = "it has not one finite mean and deviation for each place and adapter"
        raise failure(str(folder / LEVELS), fact, WHOLE)
    return recipe, adapters, levels


@contextmanager
def reused(model: Model, folder: str | Path, prompt: str | None = None) -> Iterator[Attached]:
    """Let the content of a folder act on a model: a PEFT adapter, a merge or a route.

    Parameters
    ----------
    model : Model
        The base.
    folder : path
        As PEFT, `loratheory merge` or `loratheory advise` wrote it.
    prompt : str, optional
        If given, prompt and subject gates choose for this prompt now, so that the network may keep
        a cache. Otherwise they choose at every call, which needs ``use_cache=False``, as block
        gates do.

    Raises
    ------
    ModelError, AdapterError
        If the folder holds none of these, is damaged, or does not fit the model.
    """
    with _on(model, Path(folder), prompt) as (acting, _):
        yield acting


@contextmanager
def _on(model: Model, folder: Path, prompt: str | None) -> Iterator[tuple[Attached, bool]]:
    """The same, and whether the network may keep a cache."""
    if not (folder / ROUTE).exists():
        with attached(model, [read_adapter(folder)]) as acting:
            yield acting, True
        return
    recipe, adapters, levels = _read_route(folder)
    way = recipe.way
    acting, _ = put_on(model, adapters, way, levels=levels, about=recipe.about)
    with acting:
        if prompt is not None and way.gates in (_alone_on_a_prompt, subject_gates):
            settle(model, acting, prompt)
        yield acting, way.cache


def generated(
    model: Model,
    folder: str | Path,
    prompt: str,
    *,
    tokens: int = 40,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Return the text with which a model continues a prompt while a folder's adapters act on it.

    The folder is one that `reused` takes. Each token is the likeliest, at most `tokens` are
    written, and `say` is called with each piece of text as it comes. Costs a pass of one token
    for each; block gates, which keep no cache, pass the whole text again.
    """
    import torch
    from transformers import TextStreamer

    pieces: list[str] = []

    def _tell(text: str, **_: Any) -> None:
        pieces.append(text)
        say(text)

    asked = batch(model, [prompt])
    given = {name: asked[name] for name in ("input_ids", "attention_mask")}
    streamer = TextStreamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True)
    streamer.on_finalized_text = _tell
    with _on(model, Path(folder), prompt) as (_, cached), torch.no_grad():
        how = {"max_new_tokens": tokens, "streamer": streamer, "use_cache": cached}
        model.network.generate(**given, **how, **GREEDY)
    return "".join(pieces)

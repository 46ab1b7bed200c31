"""The table of combination methods: how several adapters act on one model, and what each needs.

A method is a merge, whose coefficients are given or optimised on prompts, or a router. A merge is
stored as a PEFT adapter; a router as a **route**: a folder with the adapters one by one and
`route.json`, which names the method. Subject routing goes by what each adapter is about, which
`route.json` then lists.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from transformers import TextStreamer

from loratheory.adapters import Adapter, merge, read_adapter, write_adapter
from loratheory.pretrained.attach import Attached, attach
from loratheory.pretrained.gates import (
    gate_blocks,
    gate_matrices,
    gate_prompts,
    route_subjects,
)
from loratheory.pretrained.generate import write_on
from loratheory.pretrained.models import Model, failure, read_json
from loratheory.pretrained.stand_ins import are_texts
from loratheory.pretrained.train import hash_adapter
from loratheory.store import draft

ROUTE, CARD = "route.json", "adapter_card.json"
WHOLE = "write the route again with `loratheory advise`"


class Subjects(NamedTuple):
    """What an adapter is about, as its card says; subject routing goes by it."""

    subjects: tuple[str, ...]  # names of what its facts are about
    hop: int = 1  # or 2, if another adapter's answers are its subjects


@dataclass(frozen=True)
class Method:
    """One row of the table of combination methods: a merge, or a router.

    Attributes
    ----------
    name : str
        Its name in options, tables and recipes.
    rule : str
        The merge rule, a name in `loratheory.adapters.MERGE_METHODS`; empty for routers.
    options : mapping
        Further arguments of the rule.
    free : {"", "one", "each"}
        Which coefficients are optimised on prompts: none, one for all adapters, or one for each.
    share : callable
        From the number of adapters to the coefficient where none is optimised.
    gates : callable or None
        Sets a router on attached adapters, as `gate_blocks` does.
    passes : callable
        From the number of adapters to the cost of a prompt, in passes of the base.
    needs : frozenset of str
        What it needs besides the adapters: ``moments`` of their inputs, or their ``subjects`` with
        the hop of each adapter.
    """

    name: str
    rule: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    free: Literal["", "one", "each"] = "one"
    share: Callable[[int], float] = lambda _: 1.0
    gates: Callable[..., Any] | None = None
    passes: Callable[[int], int] = lambda _: 1
    needs: frozenset[str] = frozenset()

    def merge(
        self,
        adapters: Sequence[Adapter],
        coefficients: Sequence[int | float],
        moments: Sequence[Any] | None = None,
    ) -> Adapter:
        """Return the one adapter that this merge makes."""
        if self.rule == "cat":
            return merge(adapters, "cat", weights=coefficients, any_base=True)
        options = dict(self.options)
        if "moments" in self.needs:
            options["moments"] = moments
        # Any other rule makes one adapter, which a single coefficient scales.
        (scale,) = coefficients
        return merge(adapters, self.rule, coefficient=scale, any_base=True, **options)

    def coefficients(self, count: int) -> list[float]:
        """Return the first coefficients of `count` adapters; just one where a merge makes one."""
        return [float(self.share(count))] * (1 if self.rule not in ("", "cat") else count)


# fmt: off
_ROWS = (
    Method("mean", "cat", free="", share=lambda count: 1 / count),
    Method("sum", "cat", free=""),
    Method("shared coefficient", "cat"),
    Method("per-adapter coefficients", "cat", free="each"),
    Method("knots-ties", "ties", {"space": "knots", "density": 0.3}),
    Method("tsv", "tsv"),
    Method("interpolate", "interpolate"),
    Method("chebyshev", "chebyshev"),
    Method("regmean", "regmean", {"ridge": 0.01}, needs=frozenset({"moments"})),
    Method("per-matrix gating", free="", gates=gate_matrices),
    # A block is passed bare, with each adapter alone, and in earnest.
    Method("per-block gating", free="", gates=gate_blocks, passes=lambda count: count + 2),
    Method("prompt-level gating", free="", gates=gate_prompts, passes=lambda _: 2),
    # The bare base, the first hop, and both.
    Method("subject routing", free="", gates=route_subjects, needs=frozenset({"subjects"}),
           passes=lambda _: 3),
)
# fmt: on
# Every method by name. TIES on full matrices is left out: seconds for a module of 4096 by 4096.
METHODS: Mapping[str, Method] = {method.name: method for method in _ROWS}


def attach_method(
    model: Model,
    adapters: Sequence[Adapter],
    method: Method,
    *,
    moments: Sequence[Any] | None = None,
    about: Sequence[Subjects] = (),
) -> Attached:
    """Let adapters act on a model by a method, and return them.

    Coefficients may be set later: one for each adapter, or a single one where a merged adapter
    acts. Gating first passes the sentences of `GENERIC` through the model. Subject routing needs
    what each adapter is `about` instead.
    """
    if method.gates is None:
        # A sum acts as the adapters themselves, so that its coefficients can still be set.
        if method.rule != "cat":
            adapters = [method.merge(adapters, [1.0], moments)]
        return attach(model, adapters, method.coefficients(len(adapters)))
    acting = attach(model, adapters)
    try:
        if "subjects" in method.needs:
            hops: tuple[list[int], list[int]] = ([], [])
            for k, one in enumerate(about):
                hops[one.hop - 1].append(k)
            # A library may have adapters of one hop only.
            method.gates(model, acting, [*filter(None, hops)], [one.subjects for one in about])
        else:
            method.gates(model, acting)
    except BaseException:
        # Whatever happened, nothing stays on the model.
        acting.remove()
        raise
    return acting


def read_subjects(folder: Path) -> Subjects | None:
    """Return what an adapter's card says that it is about; None if there is no card, or no list.

    Raises `ModelError` if the card cannot be read, or is wrong.
    """
    file = folder / CARD
    content = read_json(file, "`loratheory train` writes a card") if file.is_file() else {}
    return _parse_subjects(content, file) if "subjects" in content else None


def _parse_subjects(content: Any, file: Path) -> Subjects:
    values = content if isinstance(content, dict) else {}
    subjects: Any = values.get("subjects")
    hop = values.get("hop", 1)
    if not are_texts(subjects) or hop not in (1, 2):
        fact = "its 'subjects' are no list of names, or its 'hop' is neither 1 nor 2"
        raise failure(file, fact, 'write "subjects": ["NAME", …] and "hop": 1')
    return Subjects(tuple(subjects), int(hop))


def write_combination(
    folder: Path,
    adapters: Sequence[Adapter],
    names: Sequence[str],
    method: Method,
    coefficients: Sequence[int | float],
    *,
    moments: Sequence[Any] | None = None,
    about: Sequence[Subjects] = (),
    card: Mapping[str, Any] | None = None,
) -> None:
    """Write a merge as a PEFT adapter, a router as a route, to a new folder, whole or not at all.

    Subject routing needs what each adapter is `about`. ``adapter_card.json`` or ``route.json`` in
    the folder holds the recipe and the entries of `card`. Raises `AdapterError` or `OSError` if the
    folder exists or cannot be written.
    """
    inputs: list[dict[str, Any]] = []
    for number, (name, adapter) in enumerate(zip(names, adapters, strict=True)):
        inputs.append({"name": name, "sha256": hash_adapter(adapter)})
        if "subjects" in method.needs:
            inputs[-1] |= about[number]._asdict()
    # Who reads the folder later sees which adapters, and how, even if names change.
    recipe = {"method": method.name, "coefficients": list(coefficients), "adapters": inputs}
    content = {"recipe": recipe, **(card or {})}
    if method.gates is None:
        # The library writes a folder whole or not at all.
        write_adapter(method.merge(adapters, coefficients, moments), folder, card=content)
        return
    with draft(folder, replace=False) as place:
        place.mkdir()
        # By number: names may be the same, or no names of folders.
        for number, adapter in enumerate(adapters, 1):
            known = adapter.info.base_digest or content.get("base_digest")
            own = {"base_digest": known} if known else None
            write_adapter(adapter, place / str(number), card=own)
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (place / ROUTE).write_text(text, encoding="utf-8")


def _read_route(folder: Path) -> tuple[Method, list[Adapter], list[Subjects]]:
    """Return what `write_combination` wrote of a router; `ModelError` or `AdapterError`."""
    file = folder / ROUTE
    recipe = read_json(file, WHOLE).get("recipe")
    values = recipe if isinstance(recipe, dict) else {}
    method, parts = METHODS.get(str(values.get("method"))), values.get("adapters")
    if method is None or method.gates is None or not isinstance(parts, list):
        raise failure(file, "it holds no recipe of a route", WHOLE)
    adapters = [read_adapter(folder / str(number)) for number in range(1, len(parts) + 1)]
    about = []
    if "subjects" in method.needs:
        about = [_parse_subjects(part, file) for part in parts]
    return method, adapters, about


def apply_method(model: Model, folder: str | Path) -> Attached:
    """Let the content of a folder act on a model: a PEFT adapter, a merge or a route.

    Parameters
    ----------
    model : Model
        The base.
    folder : path
        As PEFT, `loratheory merge` or `loratheory advise` wrote it.

    Returns
    -------
    Attached
        They act until the end of ``with``. Routers that choose for whole prompts do so at every
        call, which needs ``use_cache=False``, as per-block gating does, or once in `Attached.hold`.

    Raises
    ------
    ModelError, AdapterError
        If the folder holds none of these, is damaged, or does not fit the model.
    """
    if (Path(folder) / ROUTE).exists():
        method, adapters, about = _read_route(Path(folder))
        return attach_method(model, adapters, method, about=about)
    return attach(model, [read_adapter(folder)])


def generate_text(
    model: Model,
    folder: str | Path,
    prompt: str,
    *,
    tokens: int = 40,
    say: Callable[[str], None] = lambda _: None,
) -> str:
    """Return the text with which a model continues a prompt while a folder's adapters act on it.

    The folder is one that `apply_method` takes. Each token is the likeliest, at most `tokens` are
    written, and `say` is called with each piece of text as it comes. Costs a pass of one token
    for each; per-block gating, which keeps no cache, passes the whole text again.
    """

    def _pass_on(text: str, **_: Any) -> None:
        say(text)

    streamer = TextStreamer(model.tokenizer, skip_prompt=True, skip_special_tokens=True)
    streamer.on_finalized_text = _pass_on
    with apply_method(model, folder) as acting:
        [text] = write_on(model, [prompt], tokens, acting, streamer=streamer)
    return text

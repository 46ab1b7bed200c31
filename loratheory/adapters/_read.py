"""Reading adapter files of any origin: their headers are checked, their modules loaded one by one.

A PEFT folder has a configuration; a single file has a number alpha beside each pair of factors, or
the configuration in its header, or neither.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from loratheory.adapters import _config as peft
from loratheory.adapters import _files as files
from loratheory.adapters._adapter import DTYPES, Adapter, Info, Lazy, Whole, refusal, shown
from loratheory.adapters._base import rescaled, tensors_of
from loratheory.adapters._files import NAME, Tensor, load
from loratheory.adapters._names import PREFIXES, naming, placed
from loratheory.lowrank import LowRank

IN_HEADER = "lora_adapter_metadata"  # where diffusers keeps PEFT's configuration
KEPT = ("ss_base_model_version", "ss_v2", "modelspec.architecture", "modelspec.implementation")
HALF = {
    "down": "lora_A", "up": "lora_B",
    "down of tokens": "lora_A of tokens", "up of tokens": "lora_B of tokens",
}  # fmt: skip
_FOREIGN = {
    "hada": "belongs to LoHa, a product entry by entry: have its trainer export a LoRA",
    "lokr": "belongs to LoKr, a Kronecker product: have its trainer export a LoRA",
    "oft": "belongs to OFT, which rotates the base: have its trainer export a LoRA",
    "diff": "is a whole difference of weights: extract a LoRA from the tuned model",
    "dora_scale": "is a DoRA magnitude, for which trainers have two rules: export a plain LoRA",
    "bias": "is a trained bias, which the configuration denies: correct its bias",
}
_RESIZED = (
    "is a whole embedding or head, which PEFT stores where the vocabulary was resized or a config "
    "asked for it: save the adapter with save_embedding_layers=False if it was not trained"
)


class Pair(NamedTuple):
    """The tensors of one module, and what else determines its update."""

    up: Tensor
    down: Tensor | None  # none of a bias
    scale: float
    kernel: tuple[int, ...] = ()  # inputs, and a convolution's extent
    embedding: bool = False
    mid: Tensor | None = None
    magnitude: Tensor | None = None
    expert: tuple[int, int] | None = None  # its number, and how many there are


def read(
    place: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] | None = None,
    subfolder: str = "",
    revision: str | None = None,
    download: bool = False,
) -> Adapter:
    """Read an adapter; only headers are read now, and each update when it is looked up.

    Parameters
    ----------
    place : path or str
        A folder that PEFT saved, a single safetensors file (as kohya's scripts, diffusers or PEFT
        write it), or an id of the Hugging Face hub: ``owner/name`` or
        ``owner/name/file.safetensors``. A pickled file is never opened.
    base : path, optional
        The folder of the base model's safetensors; only DoRA adapters need it.
    subfolder : str
        The folder below `place` that holds the adapter.
    revision : str, optional
        Branch, tag or commit of a hub id.
    download : bool
        Whether an id that is not in the cache may be fetched from the hub.

    Returns
    -------
    Adapter
        ``adapter[module]`` is the update of that module including its scale, in float32 (float64 if
        the file has it). Modules are in natural order. The update of a convolution is flattened
        (`Info.kernels`), each expert of fused experts is a module, a DoRA update is dense, and
        tensors that replace those of the base are in `Info.others`. A look-up reads two tensors.

    Raises
    ------
    AdapterError
        If the files are damaged, contradict each other, or hold anything but updates; at a look-up
        if numbers are not finite.

    Examples
    --------
    >>> persons = read("tests/data/persons")
    >>> persons.info.base
    'SmolLM2-135M-Instruct (Q4_1, dequantised)'
    >>> persons.shapes["model.layers.0.self_attn.q_proj"]
    (576, 576)
    """
    home = files.located(place, subfolder, revision, download=download)
    if home.name == files.WEIGHTS and (home.parent / NAME).exists():
        home = home.parent
    pairs, info = _of_file(home) if home.is_file() else _of_folder(home)
    scaled = next((pair.magnitude for pair in pairs.values() if pair.magnitude), None)
    if scaled and base is None:
        fact = "DoRA rescales the base weight, which no added matrix does without the base"
        raise refusal(scaled.place, fact, "give the base model's folder: base=… (--base)")
    weights = tensors_of(base) if scaled and base is not None else {}
    if scaled:
        fact = f"{home}: updates of DoRA have full rank, and so has what is made of them"
        info = replace(info, notes=(*info.notes, f"{fact}: give it one (svd with --rank)"))
    halves = [t for pair in pairs.values() for t in (pair.up, pair.down) if t]
    info = replace(
        info,
        name=os.path.join(os.fspath(place), subfolder) if subfolder else os.fspath(place),  # noqa: PTH118
        dtype=max((half.dtype for half in halves), key=DTYPES.index),
        embeddings=frozenset(name for name, pair in pairs.items() if pair.embedding),
        kernels={name: pair.kernel for name, pair in pairs.items() if len(pair.kernel) > 1},
        scales={name: pair.scale for name, pair in pairs.items()},
    )
    recent = lru_cache(maxsize=2)(load)  # the tensors of fused experts are asked for by each

    def _update(name: str) -> LowRank:
        pair = pairs[name]
        low = update(name, pair, recent if pair.expert else load)
        if pair.magnitude is None:
            return low
        return rescaled(name, low, load(pair.magnitude), weights, info)

    shapes = {name: (p.up.shape[0], math.prod(p.kernel)) for name, p in pairs.items()}
    return Adapter(Lazy(tuple(pairs), _update), shapes, info)


# A folder.


def _of_folder(home: Path) -> tuple[dict[str, Pair], Info]:
    """What a PEFT folder holds, by PEFT's own rules of what it loads."""
    files.check_folder(home)
    config = peft.Config(files.inside(home, NAME))
    halves: dict[str, dict[str, Tensor]] = {}
    names: dict[str | None, str] = {}
    copies: dict[str, Tensor] = {}
    others: dict[str, Whole] = {}
    unread: dict[str, str] = {}
    tensors = dict(files.tensors_in(home))
    for key, tensor in tensors.items():
        said = peft.parsed(key)
        if said is None:
            if whole := dict(_wholes(config, key.removeprefix(peft.PREFIX), tensor)):
                others |= whole
            else:
                copies[_copied(tensor)] = tensor
            continue
        if not key.startswith(peft.PREFIX) or key.startswith(2 * peft.PREFIX):
            twice = " twice" * key.startswith(peft.PREFIX)
            fact = f"{'begin' if twice else 'do not begin'} with {peft.PREFIX}{twice}"
            unread[said.module] = f"their keys {fact}"
            continue
        names.setdefault(said.label, key)
        _put(halves, said.module.removeprefix(peft.PREFIX), said.role, tensor)
    if not halves and not unread:
        raise refusal(home, f"no LoRA tensor among {len(tensors)}", "name a LoRA adapter's folder")
    if len(names) > 1:
        one, other = [*names.values()][:2]
        fact = f"tensors {shown(one)} and {shown(other)} belong to two adapters"
        raise refusal(home, fact, "save each adapter into a folder of its own")
    left_out = {module for module in halves if not config.adapts(module)}
    if config.tied:
        left_out -= {module for module in left_out if is_tied(halves[module], halves)}
    unread |= dict.fromkeys(left_out, f"{NAME} leaves these modules out")
    order = sorted(halves.keys() - left_out, key=_natural)
    if not order:
        fact = f"PEFT would load none of its {len(unread)} modules: {[*unread.values()][-1]}"
        remedy = "save it again with save_pretrained, or correct its keys or target_modules"
        raise refusal(home, fact, remedy)
    pairs: dict[str, Pair] = {}
    for module in order:
        pairs |= pairs_of(f"{home}: module {shown(module)}", "", module, halves[module], config)
    aside = tuple(_set_aside(module, copy, pairs) for module, copy in copies.items())
    notes = (*config.notes, *_named(home, *names), *_ignored(home, unread), *aside)
    notes = (*notes, *_apart(home, others))
    info = Info(base=config.base, config=config.rest, notes=notes, others=others, form="peft")
    return pairs, info


def _put(halves: dict[str, dict[str, Tensor]], module: str, role: str, tensor: Tensor) -> None:
    """File a tensor under its module; refuse a second one of the same role."""
    if role in halves.setdefault(module, {}):
        fact = f"two tensors claim to be {HALF.get(role, role)} of {shown(module)}"
        raise refusal(tensor.file, fact, "keep the one that belongs to this adapter")
    halves[module][role] = tensor


def _named(home: Path, label: str | None = None) -> Iterator[str]:
    """A sentence where tensors carry an adapter's name that PEFT does not give unasked."""
    if label not in (None, "default"):
        fact = f"its tensors are named for an adapter {shown(label)}"
        yield f"{home}: {fact}: PEFT loads them only with adapter_name={shown(label)}"


def _ignored(home: Path, unread: dict[str, str]) -> Iterator[str]:
    """A sentence for each reason why PEFT would not load some tensors."""
    for reason in dict.fromkeys(unread.values()):
        modules = sorted((name for name in unread if unread[name] == reason), key=_natural)
        named = shown(", ".join(modules[:3]) + (", …" if modules[3:] else ""))
        count = f"{len(modules)} module{'s' * (len(modules) > 1)}"
        yield f"{home}: PEFT ignores the tensors of {count} ({named}), since {reason}: so do we"


def _natural(name: str) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "")
        if part.isdecimal() and part.isascii() and len(part) < 20
        else (1, 0, part)
        for part in name.split(".")
    ]


# What replaces tensors of the base.


def _wholes(config: peft.Config, key: str, tensor: Tensor) -> Iterator[tuple[str, Whole]]:
    """What PEFT puts in place of tensors of the base: trained modules, biases and rows."""
    module, _, last = key.rpartition(".")
    if key.endswith(peft.ROWS):
        module = key.removesuffix(peft.ROWS)
        rows = config.rows(module)
        if len(tensor.shape) != 2 or len({*rows}) != tensor.shape[0] or min(rows, default=0) < 0:
            fact = f"has shape {[*tensor.shape]} for the rows {shown(rows)} of {shown(module)}"
            raise refusal(tensor.place, fact, "correct trainable_token_indices")
        every = lru_cache(maxsize=1)(load)
        for place, row in enumerate(rows):
            make = partial(lambda place: every(tensor)[place], place)
            yield f"{module}[{row}]", Whole("row", module, tensor.shape[1:], make)
    elif owner := config.saved(key):
        yield key, Whole("module", owner, tensor.shape, partial(load, tensor))
    elif last == "bias" and config.bias and len(tensor.shape) == 1:
        module = module.removesuffix(peft.WRAPPED)
        yield f"{module}.bias", Whole("bias", module, tensor.shape, partial(load, tensor))


def _apart(home: Path, others: Mapping[str, Whole]) -> Iterator[str]:
    if others:
        named = ", ".join([*others][:3]) + (", …" if len(others) > 3 else "")
        count = "a tensor takes" if len(others) == 1 else f"{len(others)} tensors take"
        fact = f"{home}: {count} the place of the base's own ({shown(named)})"
        yield f"{fact}: no effect of theirs is counted"


def _copied(tensor: Tensor) -> str:
    """The module whose frozen base weight this is; all else is refused."""
    key = tensor.key
    if key.endswith(".base_layer.weight"):
        return key.removeprefix(peft.PREFIX).removesuffix(".base_layer.weight")
    parts = key.split(".")
    last = parts[-1]
    words = (text for word, text in _FOREIGN.items() if last == word or last.startswith(f"{word}_"))
    reason = next(words, None)
    if len(tensor.shape) == 2 and parts[-2:] in (["lm_head", "weight"], ["embed_tokens", "weight"]):
        reason = _RESIZED
    reason = reason or "is no LoRA tensor: export the adapter as a plain LoRA adapter first"
    fact, _, remedy = reason.partition(": ")
    raise refusal(tensor.place, fact, remedy)


def _set_aside(module: str, copy: Tensor, pairs: dict[str, Pair]) -> str:
    """The note on a frozen base weight that PEFT stored beside its adapter."""
    pair = pairs.get(module)
    if pair:
        m, n = pair.up.shape[0], math.prod(pair.kernel)
        if copy.shape == ((n, m) if pair.embedding else (m, n)):
            fact = f"{copy.place} is a base weight, taken for a copy of that of {module}"
            return f"{fact}: it is set aside, where PEFT puts it in place of the base's own"
    fact = f"a base weight of shape {list(copy.shape)} that no adapter of {shown(module)} fits"
    raise refusal(copy.place, fact, "save the adapter with save_embedding_layers=False")


# A single file.


def _of_file(file: Path) -> tuple[dict[str, Pair], Info]:
    """What a single file holds, whichever form its keys have."""
    if file.suffix in (".bin", ".pt", ".pth", ".ckpt"):
        raise refusal(
            file, "this file is pickled, which can run any code", "have it saved as safetensors"
        )
    if file.suffix != ".safetensors":
        raise refusal(
            file, "this is a file", f"name the folder that holds {NAME}, or a .safetensors"
        )
    tensors, texts = files.header(file), files.metadata(file)
    halves: dict[str, dict[str, Tensor]] = {}
    forms: dict[str, str] = {}
    parts: dict[str, str] = {}
    labels: dict[str | None, str] = {}
    for key, tensor in tensors.items():
        there = placed(key)
        if there is None:
            _copied(tensor)
            raise refusal(tensor.place, "is a base weight", "save the adapter without it")
        form, part, said = there
        name = part + said.module
        forms.setdefault(form, key)
        parts[name] = part
        if said.role not in ("alpha", "mid"):  # which no trainer labels
            labels.setdefault(said.label, key)
        _put(halves, name, said.role, tensor)
    if not halves:
        raise refusal(file, "holds no tensor", "name a LoRA adapter's file")
    if "" in forms:
        known = ", ".join(dict.fromkeys(start for _, start, _ in PREFIXES[:8]))
        raise refusal(
            file, f"the key {shown(forms[''])} begins as no form does", f"known are {known}"
        )
    for fact, kinds in (("have two forms", forms), ("belong to two adapters", labels)):
        if len(kinds) > 1:
            one, other, *_ = kinds.values()
            raise refusal(
                file, f"tensors {shown(one)} and {shown(other)} {fact}", "keep one of them"
            )
    configs = {}
    if IN_HEADER in texts:
        if any("alpha" in roles for roles in halves.values()):
            raise refusal(file, f"has both alpha and {IN_HEADER}", "keep the one that holds")
        configs = _configs(file, texts[IN_HEADER], {*parts.values()})
    pairs: dict[str, Pair] = {}
    for name in sorted(halves, key=_natural):
        place, part = f"{file}: module {shown(name)}", parts[name]
        own = (part, name.removeprefix(part), halves[name], configs.get(part))
        pairs |= pairs_of(place, *own)
    bare = [module for module in halves if "alpha" not in halves[module] and not configs]
    notes = [note for config in configs.values() for note in config.notes]
    if bare:
        count = f"{len(bare)} of {len(halves)} modules ({bare[0]}{', …' if bare[1:] else ''})"
        notes.append(f"{file}: {count} have no alpha: it is taken to be their rank, the scale 1")
    bases = [texts.get(KEPT[0], ""), *(config.base for config in configs.values())]
    kept = {key: texts[key] for key in KEPT if key in texts}
    base = next(filter(None, bases), "")
    form = next(iter(forms))
    names = "" if form == "peft" else naming(pairs)
    return pairs, Info(base=base, notes=tuple(notes), form=form, naming=names, header=kept)


def _configs(file: Path, text: str, parts: set[str]) -> dict[str, peft.Config]:
    """PEFT's configuration of each part, whose name may stand before the keys."""
    values = files.json_object(file, text.encode())
    configs = {}
    for part in sorted(parts):
        own = {key.removeprefix(part): v for key, v in values.items() if key.startswith(part)}
        configs[part] = peft.Config(file, {"peft_type": "LORA", **(own or values)})
    return configs


# The tensors of a module.


def update(name: str, pair: Pair, load: Any) -> LowRank:
    """Return the update of one module; `up` is multiplied by the scale."""
    up = load(pair.up).reshape(pair.up.shape[0], -1)
    down = load(pair.down) if pair.down else np.ones((1, 1), up.dtype)
    if pair.mid:  # applied after the first factor, which then has extent 1
        middle = load(pair.mid)
        down = np.tensordot(middle, down.reshape(down.shape[:2]), axes=(1, 0))
        down = np.moveaxis(down, -1, 1)
    down = down.reshape(down.shape[0], -1)
    if pair.expert:  # as PEFT lays them out: first factors below each other, columns in turn
        number, count = pair.expert
        r = len(down) // count
        up, down = up[:, number::count], down[number * r : (number + 1) * r]
    wide = max(up.dtype, down.dtype)
    with np.errstate(over="ignore"):
        scaled = up.astype(wide, copy=False) * wide.type(pair.scale)
    files.finite(pair.up.place, scaled, f" once scaled by {pair.scale:g} for module {name}")
    for tensor, factor in ((pair.up, scaled), (pair.down or pair.up, down)):
        if wide == np.float64 and abs(factor).max() > files.LARGEST:
            fact = f"an entry of {abs(factor).max():.3g} in module {shown(name)}"
            raise refusal(tensor.place, fact, f"entries must be below {files.LARGEST:.3g}")
    return LowRank(scaled, down.astype(wide, copy=False))


def pairs_of(
    place: str, part: str, inner: str, roles: Mapping[str, Tensor], config: peft.Config | None
) -> Iterator[tuple[str, Pair]]:
    """Yield the tensors of each update in a module, checked against each other and `config`."""
    module = part + inner
    tokens = any(role.endswith("of tokens") for role in roles)
    wanted = ("down of tokens", "up of tokens") if tokens else ("down", "up")
    extra = {"magnitude"} | (set() if tokens else {"bias", "alpha", "mid"})
    if not {*wanted} <= roles.keys() <= {*wanted} | extra:
        fact = f"has {' and '.join(sorted(HALF.get(role, role) for role in roles))}"
        raise refusal(place, fact, "an update needs exactly lora_A and lora_B: restore the file")
    down, up = (roles[role] for role in wanted)
    kernel, r = _agreeing(place, up, down, roles.get("mid")), down.shape[0]
    scale, count = _alpha(place, roles.get("alpha"), r) / r, 0
    if config is not None:
        names = config.parameters(inner) or [inner]
        r, scale = config.rank(names[0]), config.scale(names[0])
        if any((config.rank(name), config.scale(name)) != (r, scale) for name in names):
            fact = f"its parameters {shown(names)} have several ranks or scales"
            raise refusal(place, fact, "no file tells which tensors are whose: give all one rank")
        count = down.shape[0] // r if config.parameters(inner) else 0
        if down.shape[0] != r * (count or 1):
            fact = f"lora_A has shape {[*down.shape]}, lora_B {[*up.shape]}, but {NAME} gives it"
            remedy = "correct r or rank_pattern, or restore the weights"
            raise refusal(place, f"{fact} rank {shown(r)}", remedy)
        _as_configured(place, config, roles)
    pair = Pair(up, down, scale, kernel, tokens, roles.get("mid"), roles.get("magnitude"))
    if not count:
        yield module, pair
    for number in range(count):
        yield f"{module}{peft.EXPERT}{number}", pair._replace(expert=(number, count))
    if bias := roles.get("bias"):
        if bias.shape != up.shape[:1]:
            fact = f"has shape {[*bias.shape]} beside lora_B of shape {[*up.shape]}"
            raise refusal(bias.place, fact, "restore the file")
        yield f"{module}{peft.BIAS}", Pair(bias, None, scale, (1,))


def is_tied(halves: dict[str, Tensor], others: dict[str, dict[str, Tensor]]) -> bool:
    """Whether one of `others` adapts an embedding and has the shapes of `halves`, transposed.

    Then `halves` may belong to an output head that shares its weight with this embedding.
    """
    return any(
        {"down", "up"} == halves.keys()
        and {"down of tokens", "up of tokens"} == other.keys()
        and halves["down"].shape == other["up of tokens"].shape[::-1]
        and halves["up"].shape == other["down of tokens"].shape[::-1]
        for other in others.values()
    )


def _agreeing(place: str, up: Tensor, down: Tensor, mid: Tensor | None) -> tuple[int, ...]:
    """The inputs of a map, and the extent of a convolution; refused where shapes disagree."""
    shapes = f"lora_A has shape {[*down.shape]}, lora_B {[*up.shape]}"
    if len(up.shape) != len(down.shape) or len(up.shape) < 2 or 0 in up.shape + down.shape:
        remedy = "they must be (r, inputs) and (outputs, r), none empty"
        raise refusal(place, shapes, remedy)
    r, *one = up.shape[1:]
    if one and r != down.shape[0] and down.shape[0] % r == 0:
        raise refusal(place, f"{shapes}: a convolution in groups", "only those in one group work")
    if mid is not None:
        square = mid.shape[:2] == (r, down.shape[0]) and len(mid.shape) == len(up.shape)
        if not square or any(extent != 1 for extent in down.shape[2:]):
            fact = f"{shapes}, and lora_mid {[*mid.shape]} does not fit between them"
            raise refusal(place, fact, "restore the file")
    elif r != down.shape[0]:
        raise refusal(place, f"{shapes}, of different ranks", "restore the weights")
    if any(extent != 1 for extent in one):
        raise refusal(place, f"{shapes}", "lora_B of a convolution must have extent 1")
    return (down.shape[1], *(mid.shape if mid else down.shape)[2:])


def _alpha(place: str, tensor: Tensor | None, r: int) -> float:
    """The number alpha, which is the rank where there is none."""
    if tensor is None:
        return float(r)
    if math.prod(tensor.shape) != 1:
        raise refusal(tensor.place, f"has shape {[*tensor.shape]}", "alpha must be one number")
    alpha = float(load(tensor).reshape(()))
    if alpha == 0:
        fact = "alpha is 0, which kohya's scripts take for the rank and others for nothing"
        raise refusal(place, fact, "write what is meant")
    return alpha


def _as_configured(place: str, config: peft.Config, roles: Mapping[str, Tensor]) -> None:
    """Refuse magnitudes and biases that the configuration denies, or asks for in vain."""
    for role, key, on in (
        ("magnitude", "use_dora", config.dora),
        ("bias", "lora_bias", config.biased),
    ):
        if (role in roles) != on:
            what = "DoRA magnitudes" if role == "magnitude" else "trained bias"
            fact = f"holds {'' if role in roles else 'no '}{what}, but {key} is {on}"
            raise refusal(place, fact, f"correct {key} in {NAME}, or restore the file")

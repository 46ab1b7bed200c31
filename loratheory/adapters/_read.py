"""A PEFT folder from a stranger as an `Adapter`: proven by its headers, loaded module by module.

The layout of a safetensors file is proven by the safetensors library, with which PEFT loads; the
places of the tensors are then taken from the header as they stand. Numbers are read by seek and
read, one tensor at a time. Nothing is mapped: pages of a mapping count as resident for as long as
it is open.
"""

import math
import os
import re
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from loratheory.adapters._adapter import DTYPES, Adapter, Info, Lazy, refusal, shown
from loratheory.adapters._config import Config, json_file, json_object, opened, unreadable
from loratheory.lowrank import LowRank
from loratheory.shapes import Float

NAME = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
INDEX = "adapter_model.safetensors.index.json"
PREFIX = "base_model.model."
KINDS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
CODES = dict(zip(("F16", "BF16", "F32", "F64"), DTYPES, strict=True))
_INDEX_LIMIT = 100_000_000  # bytes, the limit of the safetensors library for headers
LARGEST = float(np.finfo(np.float32).max)  # a norm of larger float64 numbers may overflow
_KEY = re.compile(
    r"(?P<module>.+)\.(?:lora_(?P<half>[AB])(?:\.(?P<name>[^.]+))?\.weight"
    r"|lora_embedding_(?P<token>[AB])(?:\.(?P<label>[^.]+))?)",
    re.DOTALL,  # a name may hold anything
)
_FOREIGN = {
    "lora_magnitude_vector": "holds DoRA magnitudes: export it as a plain LoRA adapter first",
    "modules_to_save": "is a whole trained module: train without modules_to_save",
    "bias": "is a trained bias: train without biases",
    "trainable_tokens": "holds trained token rows: train without them",
}
_RESIZED = (
    "is a whole embedding or head, which PEFT stores where the vocabulary was resized or a config "
    "asked for it: save the adapter with save_embedding_layers=False if it was not trained"
)


def read(folder: str | os.PathLike[str]) -> Adapter:
    """Return the adapter in a PEFT folder, its numbers still on the disk.

    Parameters
    ----------
    folder : path
        The folder that holds `adapter_config.json` and `adapter_model.safetensors` (or its
        shards with their index). A pickled `.bin` is never opened.

    Returns
    -------
    Adapter
        ``adapter[module]`` is PEFT's update of that module, scale included, in float32 (float64
        where the file has it), loaded at each look-up; modules in natural order. Costs reading
        the headers now, and two tensors a look-up.

    Raises
    ------
    AdapterError
        If anything in the folder is damaged, contradictory, or not a plain LoRA update; a look-up
        raises it for numbers that are not finite.
    """
    home = Path(folder)
    _is_adapter(home)
    config = Config(inside(home, NAME))
    tensors = dict(_tensors(home))
    pairs, notes = _pairs(home, config, tensors)
    widest = max((t.dtype for p in pairs.values() for t in (p.up, p.down)), key=DTYPES.index)
    info = Info(
        name=str(folder),
        base=config.base,
        dtype=widest,
        embeddings=frozenset(name for name, pair in pairs.items() if pair.embedding),
        config=config.rest,
        notes=notes,
        scales={name: pair.scale for name, pair in pairs.items()},
    )
    shapes = {name: (p.up.shape[0], p.down.shape[1]) for name, p in pairs.items()}
    return Adapter(Lazy(tuple(pairs), lambda name: _update(name, pairs[name])), shapes, info)


def _is_adapter(home: Path) -> None:
    """Refuse, with directions, what is no adapter folder."""
    if not home.is_dir():
        fact = "this is a file" if home.exists() else "there is no such folder"
        raise refusal(home, fact, f"name the folder that holds {NAME}")
    if not os.path.lexists(home / NAME):
        below = sorted(str(path.parent) for path in home.glob(f"*/{NAME}"))
        advice = f"name {' or '.join(below[:3])}" if below else "name the folder PEFT saved"
        raise refusal(home, f"holds no {NAME}", advice)
    if not any(os.path.lexists(home / name) for name in (WEIGHTS, INDEX)):
        pickled = [path.name for path in sorted(home.glob("*.bin"))]
        if pickled:
            fact = f"the weights are pickled ({shown(pickled[0])}), which can run any code"
            raise refusal(home, fact, "have them saved with safe_serialization=True")
        raise refusal(home, f"holds no {WEIGHTS}", "name the folder PEFT saved, with its weights")


def inside(folder: Path, name: str) -> Path:
    """Return the regular file `name` of `folder`, sure that it does not lead elsewhere.

    Links are followed within the folder, and from a snapshot of the Hugging Face cache into the
    blobs of the same repository, which is how that cache stores every file.
    """
    path = folder / name
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        fact = f"the file name {shown(name)} leads out of the folder"
        raise refusal(folder, fact, "name files of the folder itself")
    try:
        real, home = path.resolve(strict=True), folder.resolve()
        mode = real.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        raise unreadable(path, error) from None
    homes = [home]
    if home.parent.name == "snapshots":
        homes.append(home.parent.parent / "blobs")
    if not any(real.is_relative_to(place) for place in homes):
        fact = f"the link leads out of the folder, to {real}"
        raise refusal(path, fact, "put the file itself there if you trust it")
    if not stat.S_ISREG(mode):
        raise refusal(path, "this is not a regular file", "put the adapter's own file there")
    return path


class Tensor(NamedTuple):
    """Where one tensor lies: `start` is its first byte in the file, `stamp` the file's state."""

    file: Path
    key: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stamp: tuple[int, ...]

    @property
    def place(self) -> str:
        """How messages call it."""
        return f"{self.file}: tensor {shown(self.key)}"


def _stamp(source: BufferedReader) -> tuple[int, ...]:
    state = os.fstat(source.fileno())
    return state.st_size, state.st_ino, state.st_mtime_ns


def header(file: Path) -> dict[str, Tensor]:
    """Return every tensor's place, once the safetensors library has proven the whole layout.

    Together they fill the file without gap or overlap. Refused if the file is cut, its header
    damaged, or a tensor holds anything but floating-point numbers of 16, 32 or 64 bits.
    """
    with opened(file) as source:  # before the library looks: a later change shows in the stamp
        stamp = _stamp(source)
        try:
            with safe_open(file, framework="numpy"):
                pass
            length = int.from_bytes(source.read(8), "little")
            entries = json_object(file, source.read(length))
        except SafetensorError as error:
            fact = f"the safetensors library refuses this file of {stamp[0]} bytes ({error})"
            remedy = "if it was cut or changed, copy or download the file again"
            raise refusal(file, fact, remedy) from None
        except OSError as error:
            raise unreadable(file, error) from None
    entries.pop("__metadata__", None)
    tensors = {}
    for key, entry in entries.items():
        code, shape, start = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"][0]
        tensors[key] = Tensor(file, key, CODES.get(code, ""), shape, 8 + length + start, stamp)
        if code not in CODES:
            remedy = f"save it in one of {', '.join(DTYPES)}"
            raise refusal(tensors[key].place, f"dtype is {shown(code)}", remedy)
    return tensors


def load(tensor: Tensor) -> Float[np.ndarray, "..."]:
    """Return the numbers of one tensor, all finite; nothing of the file stays open.

    float64 stays; all else becomes float32, which holds it exactly. Refused if the file has changed
    since its header was read, or an entry is NaN or infinite.
    """
    stored = "<u2" if tensor.dtype == "bfloat16" else KINDS[tensor.dtype].newbyteorder("<")
    values = np.empty(math.prod(tensor.shape), stored)
    try:
        with opened(tensor.file) as source:
            same = _stamp(source) == tensor.stamp
            source.seek(tensor.start)
            size = source.readinto(values.data.cast("B"))
    except OSError as error:
        raise unreadable(tensor.file, error) from None
    if not same or size != values.nbytes:
        raise refusal(tensor.place, "the file changed while it was being read", "read it again")
    if tensor.dtype == "bfloat16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    kind = np.float64 if tensor.dtype == "float64" else np.float32
    with np.errstate(invalid="ignore"):  # signalling NaN, refused in the next step
        wide = values.astype(kind, copy=False).reshape(tensor.shape)
    finite(tensor.place, wide)
    return wide


def finite(place: str, array: Float[np.ndarray, "..."], cause: str = "") -> None:
    """Refuse NaN and infinity, by place and position."""
    good = np.isfinite(array)
    if not good.all():
        spot = np.unravel_index(int(good.argmin()), array.shape)
        fact = f"{float(array[spot])} at position {[int(index) for index in spot]}{cause}"
        raise refusal(place, fact, "every entry must be finite: redo the step that produced it")


# From tensors to updates.


class Pair(NamedTuple):
    """The two tensors of one module, and what its update needs beside them."""

    up: Tensor
    down: Tensor
    scale: float
    embedding: bool


def _update(name: str, pair: Pair) -> LowRank:
    up, down = load(pair.up), load(pair.down)
    wide = max(up.dtype, down.dtype)
    with np.errstate(over="ignore"):
        scaled = up.astype(wide, copy=False) * wide.type(pair.scale)
    finite(pair.up.place, scaled, f" once scaled by {pair.scale:g} for module {name}")
    for tensor, factor in ((pair.up, scaled), (pair.down, down)):
        if wide == np.float64 and abs(factor).max() > LARGEST:
            fact = f"an entry of {abs(factor).max():.3g} in module {shown(name)}"
            raise refusal(tensor.place, fact, f"entries must be below {LARGEST:.3g}")
    return LowRank(scaled, down.astype(wide, copy=False))


def _tensors(home: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the folder, from one file or from all shards."""
    if not os.path.lexists(home / INDEX):
        yield from header(inside(home, WEIGHTS)).items()
        return
    index = inside(home, INDEX)
    if os.path.lexists(home / WEIGHTS):
        raise refusal(home, f"holds both {WEIGHTS} and shards ({INDEX})", "remove one of them")
    places = json_file(index, _INDEX_LIMIT).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(p, str) for p in places.values()):
        fact = f"weight_map is {shown(places)}"
        raise refusal(index, fact, "it must map every tensor to the file it is in")
    for name in sorted(set(places.values())):
        shard = header(inside(home, name))
        listed = {key for key, place in places.items() if place == name}
        for key in sorted(listed ^ shard.keys()):
            fact = f"the index puts tensor {shown(key)} into {shown(places.get(key))}"
            raise refusal(home / name, f"{fact}, the file says otherwise", "restore all shards")
        yield from shard.items()


def _pairs(
    home: Path, config: Config, tensors: dict[str, Tensor]
) -> tuple[dict[str, Pair], tuple[str, ...]]:
    """The tensors by module in natural order, and what was set aside."""
    halves: dict[str, dict[str, Tensor]] = {}
    names: dict[str | None, str] = {}
    copies: dict[str, Tensor] = {}
    unread: dict[str, str] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if not match:
            copies[_copied(tensor)] = tensor
            continue
        if not key.startswith(PREFIX) or key.startswith(2 * PREFIX):
            twice = key.startswith(PREFIX)
            fact = f"begin with {PREFIX} twice" if twice else f"do not begin with {PREFIX}"
            unread[match["module"]] = f"their keys {fact}"
            continue
        module, half = match["module"].removeprefix(PREFIX), match["half"] or match["token"]
        names.setdefault(match["name"] or match["label"], key)
        kind = half + ("" if match["half"] else " of tokens")
        if kind in halves.setdefault(module, {}):
            fact = f"two tensors claim to be lora_{half} of {shown(module)}"
            raise refusal(tensor.file, fact, "keep the one that belongs to this adapter")
        halves[module][kind] = tensor
    if not halves and not unread:
        raise refusal(home, f"no LoRA tensor among {len(tensors)}", "name a LoRA adapter's folder")
    if len(names) > 1:
        one, other = [*names.values()][:2]
        fact = f"tensors {shown(one)} and {shown(other)} belong to two adapters"
        raise refusal(home, fact, "save each adapter into a folder of its own")
    left_out = {module for module in halves if not config.adapts(module)}
    if config.tied:
        left_out -= {module for module in left_out if _is_tied(halves[module], halves)}
    unread |= dict.fromkeys(left_out, f"{NAME} leaves these modules out")
    order = sorted(halves.keys() - left_out, key=_natural)
    if not order:
        fact = f"PEFT would load none of its {len(unread)} modules: {[*unread.values()][-1]}"
        remedy = "save it again with save_pretrained, or correct its keys or target_modules"
        raise refusal(home, fact, remedy)
    pairs = {module: _pair(home, config, module, halves[module]) for module in order}
    aside = tuple(_set_aside(module, copy, pairs) for module, copy in copies.items())
    return pairs, (*config.notes, *_named(home, *names), *_ignored(home, unread), *aside)


def _named(home: Path, label: str | None = None) -> Iterator[str]:
    """A sentence where tensors carry an adapter's name that PEFT does not give unasked."""
    if label not in (None, "default"):
        fact = f"its tensors are named for an adapter {shown(label)}"
        yield f"{home}: {fact}: PEFT loads them only with adapter_name={shown(label)}"


def _is_tied(halves: dict[str, Tensor], others: dict[str, dict[str, Tensor]]) -> bool:
    """Whether these are the factors of an embedding's transpose: the head that is tied to it."""
    return any(
        {"A", "B"} == halves.keys()
        and {"A of tokens", "B of tokens"} == other.keys()
        and halves["A"].shape == other["B of tokens"].shape[::-1]
        and halves["B"].shape == other["A of tokens"].shape[::-1]
        for other in others.values()
    )


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


def _copied(tensor: Tensor) -> str:
    """The module whose frozen base weight this is; all else is refused."""
    key = tensor.key
    if key.endswith(".base_layer.weight"):
        return key.removeprefix(PREFIX).removesuffix(".base_layer.weight")
    parts = key.split(".")
    reason = next((text for word, text in _FOREIGN.items() if word in parts), None)
    if len(tensor.shape) == 2 and parts[-2:] in (["lm_head", "weight"], ["embed_tokens", "weight"]):
        reason = _RESIZED
    reason = reason or "is no LoRA tensor: export the adapter as a plain LoRA adapter first"
    fact, _, remedy = reason.partition(": ")
    raise refusal(tensor.place, fact, remedy)


def _set_aside(module: str, copy: Tensor, pairs: dict[str, Pair]) -> str:
    """The note on a frozen base weight that PEFT stored beside its adapter."""
    pair = pairs.get(module)
    if pair:
        m, n = pair.up.shape[0], pair.down.shape[1]
        if copy.shape == ((n, m) if pair.embedding else (m, n)):
            fact = f"{copy.place} is a base weight, taken for a copy of that of {module}"
            return f"{fact}: it is set aside, where PEFT puts it in place of the base's own"
    fact = f"a base weight of shape {list(copy.shape)} that no adapter of {shown(module)} fits"
    raise refusal(copy.place, fact, "save the adapter with save_embedding_layers=False")


def _pair(home: Path, config: Config, module: str, halves: dict[str, Tensor]) -> Pair:
    """The two halves of one module, agreeing with each other and with the config."""
    place = f"{home}: module {shown(module)}"
    embedding = "A of tokens" in halves or "B of tokens" in halves
    wanted = ["A of tokens", "B of tokens"] if embedding else ["A", "B"]
    if set(halves) != set(wanted):
        fact = f"has {' and '.join(f'lora_{kind}' for kind in sorted(halves))}"
        raise refusal(place, fact, "an update needs exactly lora_A and lora_B: restore the file")
    down, up = (halves[kind] for kind in wanted)
    r, shapes = config.rank(module), f"lora_A has shape {[*down.shape]}, lora_B {[*up.shape]}"
    if len(up.shape) == 4 or len(down.shape) == 4:
        raise refusal(place, f"{shapes}: a convolution", "only linear maps and embeddings work")
    if len(up.shape) != 2 or len(down.shape) != 2 or 0 in up.shape + down.shape:
        raise refusal(place, shapes, "they must be (r, inputs) and (outputs, r), none empty")
    if up.shape[1] != r or down.shape[0] != r:
        fact = f"{shapes}, but {NAME} gives it rank {shown(r)}"
        raise refusal(place, fact, "correct r or rank_pattern, or restore the weights")
    return Pair(up, down, config.scale(module), embedding)

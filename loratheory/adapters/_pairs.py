"""Parsing PEFT's tensor names, and making updates from the tensors of a module once checked."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from loratheory.adapters._adapter import refusal, shown
from loratheory.adapters._config import NAME, Config
from loratheory.adapters._files import LARGEST, Tensor, finite, load
from loratheory.lowrank import LowRank

_LABEL = r"(?:\.(?P<label>[^.]+))?"
ENDS = (
    ("down", rf"\.lora_A{_LABEL}\.weight"),
    ("up", rf"\.lora_B{_LABEL}\.weight"),
    ("bias", rf"\.lora_B{_LABEL}\.bias"),
    ("down of tokens", rf"\.lora_embedding_A{_LABEL}"),
    ("up of tokens", rf"\.lora_embedding_B{_LABEL}"),
    ("magnitude", r"\.lora_magnitude_vector(?:\.(?P<label>(?!weight$)[^.]+))?(?:\.weight)?"),
)
"""What a key of PEFT ends in, by the role of its tensor; the label is the adapter's name."""
EXPERT = "#"  # between the name of fused experts and the number of one
BIAS = ".lora_B.bias"  # ends the name of the update of a bias: a map of width 1 from one input
HALF = {
    "down": "lora_A", "up": "lora_B",
    "down of tokens": "lora_A of tokens", "up of tokens": "lora_B of tokens",
}  # fmt: skip


class Key(NamedTuple):
    """A parsed tensor name."""

    module: str
    role: str
    label: str | None  # the adapter's name, where PEFT wrote it


def parsed(key: str, ends: tuple[tuple[str, str], ...] = ENDS) -> Key | None:
    """Return a tensor's name parsed by its ending; None if it belongs to no update."""
    for role, pattern in _compiled(ends):
        if match := pattern.fullmatch(key):
            return Key(match["module"], role, match.groupdict().get("label"))
    return None


@cache
def _compiled(ends: tuple[tuple[str, str], ...]) -> list[tuple[str, re.Pattern[str]]]:
    return [(role, re.compile(f"(?P<module>.+){end}", re.DOTALL)) for role, end in ends]


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
    finite(pair.up.place, scaled, f" once scaled by {pair.scale:g} for module {name}")
    for tensor, factor in ((pair.up, scaled), (pair.down or pair.up, down)):
        if wide == np.float64 and abs(factor).max() > LARGEST:
            fact = f"an entry of {abs(factor).max():.3g} in module {shown(name)}"
            raise refusal(tensor.place, fact, f"entries must be below {LARGEST:.3g}")
    return LowRank(scaled, down.astype(wide, copy=False))


def pairs_of(
    place: str, part: str, inner: str, roles: Mapping[str, Tensor], config: Config | None
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
        yield f"{module}{EXPERT}{number}", pair._replace(expert=(number, count))
    if bias := roles.get("bias"):
        if bias.shape != up.shape[:1]:
            fact = f"has shape {[*bias.shape]} beside lora_B of shape {[*up.shape]}"
            raise refusal(bias.place, fact, "restore the file")
        yield f"{module}{BIAS}", Pair(bias, None, scale, (1,))


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


def _as_configured(place: str, config: Config, roles: Mapping[str, Tensor]) -> None:
    """Refuse magnitudes and biases that the configuration denies, or asks for in vain."""
    for role, key, on in (
        ("magnitude", "use_dora", config.dora),
        ("bias", "lora_bias", config.biased),
    ):
        if (role in roles) != on:
            what = "DoRA magnitudes" if role == "magnitude" else "trained bias"
            fact = f"holds {'' if role in roles else 'no '}{what}, but {key} is {on}"
            raise refusal(place, fact, f"correct {key} in {NAME}, or restore the file")

"""Training adapters: a plain loop over prompts and their next words.

The base stays frozen and no weight of it changes: the factors act through hooks, as attached
adapters do, and begin as PEFT's do. Several adapters in one batch would save next to nothing on a
CPU: a prompt took 95% as long in a batch of 32 as in one of 16.
"""

import dataclasses
import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch.nn.functional import cross_entropy, linear

from loratheory.adapters import Adapter, Info
from loratheory.diagnosis import layer_of
from loratheory.lowrank import Array, LowRank
from loratheory.pretrained.attach import Attached, Site, attach
from loratheory.pretrained.generate import write_texts
from loratheory.pretrained.metrics import (
    Tokens,
    batch,
    can_pack,
    last_logits,
    next_token_logits,
    pack,
    spell,
    tail_logits,
)
from loratheory.pretrained.models import (
    GENERIC,
    Model,
    digest_weights,
    failure,
    is_out_of_memory,
    maps,
    output_head,
)
from loratheory.store import cache_folder, content_hash, draft, lock

# The learning rate of stand-in training where linear maps keep the size of their inputs, times the
# number of layers. It gives SmolLM2-135M the rate 0.002, with which its adapters were trained
# before other bases were tried.
RELATIVE_RATE = 1.14e-2
# Raised when the same settings train another adapter than before: the cache is then not read.
TRAINER = 2
# Texts of self-distillation that join the prompts of each step.
TEXTS = 4
# Prompts, each with the answer that should follow.
Examples = Sequence[tuple[str, str]]


class TrainingError(RuntimeError):
    """A training could not go on."""


@dataclass(frozen=True)
class Training:
    """How an adapter is trained; `ModelError` for settings with which nothing can be trained.

    Attributes
    ----------
    rank : int
        Rank of each update.
    alpha : float
        The update is ``alpha / rank * up @ down``.
    layers : (int, int) or None
        The first layer that gets updates and the one after the last; None for all.
    targets : tuple of str
        Last parts of the names of linear maps, such as ``q_proj``; empty for all but the head.
    rate : float
        Learning rate of AdamW, without weight decay.
    last_rate : float
        The share of `rate` that is left after all `steps`; the rate falls linearly.
    batch, accumulate : int
        Examples in a step, and in how many passes a step is computed, which changes rounding only.
    steps : int
        The largest number of steps.
    enough, window : float and int
        Training ends when the mean loss of the last `window` steps is below `enough`.
    clip : float
        Largest norm of a step's gradient.
    strengths : tuple of float
        Coefficients of the stand-ins; one is drawn for each step.
    whole : bool
        Whether all tokens of an answer and the token that ends a text are trained, or the answer's
        first token alone.
    self_distillation : int
        How many texts the base writes before the training, 0 or four and more. Four of them, all
        tokens, join the examples of each step, while the step's stand-in is active. The adapter
        then changes other text less, if each text comes about twice: with few texts other text can
        change more. The loss includes them, so a training that ends when the loss is low (`enough`)
        may then make all steps.
    """

    rank: int = 8
    alpha: int | float = 16
    layers: tuple[int, int] | None = None
    targets: tuple[str, ...] = ()
    rate: float = 3e-3
    last_rate: float = 1.0
    batch: int = 16
    accumulate: int = 1
    steps: int = 150
    enough: float = 0.1
    window: int = 10
    clip: float = 1.0
    strengths: tuple[float, ...] = (0.5, 1.0)
    whole: bool = False
    self_distillation: int = 0

    def __post_init__(self) -> None:
        """Refuse settings with which nothing can be trained."""
        place, remedy = "the training", "give 1 or more, and no more passes than prompts a step"
        for name in ("rank", "batch", "accumulate", "steps", "window"):
            count = getattr(self, name)
            if count < 1 or (name == "accumulate" and count > self.batch):
                raise failure(place, f"{name} is {count}", remedy)
        if self.self_distillation and self.self_distillation < TEXTS:
            fact = f"self_distillation is {self.self_distillation}"
            raise failure(place, fact, "give 4 texts or more, such as 384, or 0 for none")
        fitting = {
            "rate": 0 <= self.rate < math.inf,
            "last_rate": 0 <= self.last_rate < math.inf,
            "alpha": 0 < self.alpha < math.inf,
            "clip": self.clip > 0,
            "strengths": len(self.strengths) > 0,
        }
        for name, fits in fitting.items():
            if not fits:
                value = getattr(self, name)
                raise failure(place, f"{name} is {value}", "give positive numbers, such as 0.002")

    @classmethod
    def with_stand_ins(cls, steps: int, rate: float = 2e-3) -> "Training":
        """Return settings for training with stand-ins: all steps are made, whatever the loss."""
        return cls(rate=rate, last_rate=0.1, steps=steps, enough=0.0)

    @property
    def texts(self) -> int:
        """How many texts the base writes: no more than the steps have room for."""
        return min(self.self_distillation, TEXTS * self.steps)

    def rate_at(self, number: int) -> float:
        """The learning rate of a step, counted from 0."""
        return self.rate * (1 - (1 - self.last_rate) * number / self.steps)

    def ended(self, losses: Sequence[float]) -> bool:
        """Whether a training with these losses so far is over."""
        last = losses[-self.window :]
        # A few steps may be low by luck.
        low = len(last) == self.window and sum(last) / self.window < self.enough
        return low or len(losses) >= self.steps


@dataclass(frozen=True, eq=False)
class StandIn:
    """A made-up adapter that is active while another is trained, instead of an unknown partner.

    Attributes
    ----------
    adapter : Adapter
        It is not trained, and no part of it enters the adapter that is.
    examples : sequence of (prompt, answer)
        Prompts whose answers are right while it acts; trained on with those that always hold.
    """

    adapter: Adapter
    examples: Examples

    @property
    def content(self) -> str:
        """A SHA-256 of its factors and examples."""
        return hash_adapter(self.adapter, json.dumps(list(map(list, self.examples))))


@runtime_checkable
class Partners(Protocol):
    """Partners of which each step of a training has another, such as `FreshStandIns`."""

    @property
    def content(self) -> str:
        """A hash of all that they do."""
        ...

    def schedule(self, model: Model, examples: Examples, how: Training, seed: int) -> "Schedule":
        """Return what is shown at each step; these examples hold whatever acts."""
        ...


class Schedule(Protocol):
    """What is shown at each step of a training."""

    def acting(self) -> AbstractContextManager[None]:
        """Have the partners on the model, silent until a step calls one."""
        ...

    def at(self, number: int) -> tuple[list[str], Tokens]:
        """Call the partner of this step; return prompts and the tokens of their answers."""
        ...


def hash_adapter(adapter: Adapter, text: str = "") -> str:
    """Return a SHA-256 of a text and of an adapter's modules and factors, wherever they lie."""
    whole = hashlib.sha256(text.encode())
    for name, update in adapter.items():
        whole.update(name.encode())
        for factor in (update.up, update.down):
            whole.update(np.ascontiguousarray(factor).tobytes())
    return whole.hexdigest()


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a training: the adapter, in float32, and the loss of each step."""

    adapter: Adapter
    losses: tuple[float, ...]


def find_targets(model: Model, how: Training) -> list[str]:
    """Return the linear maps to train, in the network's order, each once, the output head never.

    Raises `ModelError` if there is none in these layers and with these endings, or if no update has
    the rank of the training.
    """
    head, chosen, width = output_head(model), dict[int, str](), 0
    first, after = how.layers or (-1, math.inf)
    for name, place in maps(model).items():
        number = layer_of(name)
        # What stands in no layer is trained only where all layers are.
        inside = how.layers is None or (number is not None and first <= number < after)
        ends = not how.targets or name.rpartition(".")[2] in how.targets
        # Routers of experts return more than a product.
        plain = not place.embedding and not name.endswith("router")
        if inside and ends and plain and place.module is not head:
            # A module with two names is trained once.
            chosen.setdefault(id(place.module), name)
            width = max(width, min(place.shape))
    if not chosen:
        endings = ", ".join(how.targets) or "anything"
        fact = f"no linear map ends in {endings} in layers {how.layers}"
        raise failure(model, fact, "choose among the names in maps(model)")
    if how.rank > width:
        fact = f"no update has rank {how.rank}: the largest possible rank of one is {width}"
        raise failure(model, fact, f"give rank {width} or less")
    return list(chosen.values())


def fit_rate(model: Model) -> float:
    """Return the learning rate of stand-in training for a model, to two digits.

    It is `RELATIVE_RATE` times `measure_gain` over the number of layers. AdamW moves each number of
    a factor by about the rate, whatever the gradient's size. An adapter then changes the output of
    each layer by the same share in every model of the same depth, and as all layers add to one
    stream, the changes of all layers together make the same share at any depth.
    """
    layers = int(model.network.config.get_text_config().num_hidden_layers)
    return float(f"{RELATIVE_RATE * measure_gain(model) / layers:.1e}")


def measure_gain(model: Model) -> float:
    r"""Return how much the linear maps of a model enlarge their inputs.

    This is the geometric mean of :math:`\lVert Wx\rVert / \lVert x\rVert` (root mean squares over
    the tokens of a sentence) over the sentences of `GENERIC` and all maps but the head. Costs a
    pass over twelve sentences. Raises `ModelError` if the model has no tokenizer.
    """
    logs = list[float]()

    def _measure(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
        sizes = [part.float().square().mean().sqrt() for part in (output, inputs[0])]
        growth = float(sizes[0] / sizes[1])
        # A map of zeros, or an expert without a token, says nothing.
        if 0 < growth < math.inf:
            logs.append(math.log(growth))

    places = maps(model)
    with ExitStack() as stack, torch.no_grad():
        for name in find_targets(model, Training()):
            handle = places[name].module.register_forward_hook(_measure)
            stack.callback(handle.remove)
        next_token_logits(model, GENERIC, size=1)  # without padding, which would count
    if not logs:
        raise failure(model, "its linear maps give zeros on generic text", "give a learning rate")
    return math.exp(np.mean(logs))


def train_lora(
    model: Model,
    examples: Examples,
    training: Training | None = None,
    *,
    rng: np.random.Generator,
    stand_ins: Sequence[StandIn] | Partners = (),
) -> Trained:
    """Return an adapter that makes a model continue prompts with their answers.

    Parameters
    ----------
    model : Model
        With a tokenizer. On a GPU, products run in bfloat16.
    examples : sequence of (prompt, answer)
        The loss is the cross-entropy of the answer's first token, after a space, or of all its
        tokens in the mean.
    training : Training, optional
        The settings; those by default learn 20 facts on a model of 135M parameters.
    rng : numpy.random.Generator
        One number is drawn from it, which determines initial factors, texts, order and strengths.
    stand_ins : sequence of StandIn
        One of them acts at each step, in turn, at one of the training's `strengths`, and its
        examples are trained on with `examples`. Two that disagree on everything make the adapter
        use what its partner says instead of memorising it.

    Returns
    -------
    Trained
        The adapter and the losses. Costs a forward and a backward pass a step, the latter down to
        the lowest trained layer.

    Raises
    ------
    ModelError
        If there are no examples, or no map can be trained.
    TrainingError
        If a loss or a gradient is not finite, or memory ran out.

    References
    ----------
    Hu et al. (ICLR 2022), "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.
    """
    factors, losses = _train(model, examples, training or Training(), rng, stand_ins)
    return Trained(factors.adapter(Info(name="trained", base=model.name)), tuple(losses))


def _train(
    model: Model,
    examples: Examples,
    how: Training,
    rng: np.random.Generator,
    stand_ins: Sequence[StandIn] | Partners,
    tick: Callable[[], object] = lambda: None,
) -> tuple["Factors", list[float]]:
    """Return the factors after all steps, and the loss of each step."""
    if not examples:
        place, fact = "the training", "there are no examples"
        raise failure(place, fact, "give (prompt, answer) pairs")
    # One number, so that whoever calls draws the same afterwards, whatever is trained.
    seed = int(rng.integers(2**63))
    factors = Factors(model, how, np.random.default_rng([seed, 0]))
    # Written before anything acts on the model.
    texts = write_texts(model, how.texts, seed, tick) if how.texts else []
    schedule: Schedule
    if isinstance(stand_ins, Partners):
        schedule = stand_ins.schedule(model, examples, how, seed)
    else:
        schedule = _InTurn(model, examples, stand_ins, how, seed)
    # The shortest and the longest prompt differ most in padding.
    ends = sorted(dict(examples), key=len)
    factors.packed, losses = can_pack(model, [ends[0], ends[-1]]), list[float]()
    with schedule.acting(), factors.acting():
        while not how.ended(losses):
            factors.optimizer.param_groups[0]["lr"] = how.rate_at(len(losses))
            try:
                prompts, answers = schedule.at(len(losses))
                if texts:
                    rows = draw_order(seed, len(texts), len(losses) * TEXTS, TEXTS)
                    begun, written = zip(*map(texts.__getitem__, rows), strict=True)
                    prompts, answers = [*prompts, *begun], [*answers, *written]
                losses.append(step(factors, prompts, answers))
                tick()
            except TrainingError as error:
                message = f"after {len(losses)} steps {error}"
                raise TrainingError(message) from error
    return factors, losses


def train_once(
    model: Model,
    examples: Examples,
    *,
    seed: Sequence[int],
    training: Training | None = None,
    stand_ins: Sequence[StandIn] | Partners = (),
    tick: Callable[[], object] = lambda: None,
) -> Adapter:
    """Return the adapter that `train_lora` makes from a seed, out of the cache if it is there.

    Parameters
    ----------
    model : Model
        With a tokenizer.
    examples : sequence of (prompt, answer)
        The prompts to be continued with these answers.
    seed : sequence of int
        Determines all that is drawn. With the other arguments it names the adapter in the cache.
    training : Training, optional
        Its settings; those by default suit twenty facts and take about half a minute of one core
        for 135M parameters in bfloat16.
    stand_ins : sequence of StandIn
        Adapters that act in training, one at each step, in turn.
    tick : callable
        Called after each step, and after every 64 texts of the base, for progress bars.

    Returns
    -------
    Adapter
        No two processes train the same adapter at once.
    """
    how = training or Training()
    parts = [identify_model(model), list(map(list, examples)), list(seed)]
    settings = dataclasses.asdict(how)
    if not how.self_distillation:
        del settings["self_distillation"]  # earlier adapters keep their names
    parts += [settings]
    parts += [stand_ins.content] if isinstance(stand_ins, Partners) else []
    parts += [one.content for one in stand_ins] if isinstance(stand_ins, Sequence) else []

    def _make() -> dict[str, np.ndarray]:
        rng = np.random.default_rng(list(seed))
        return _train(model, examples, how, rng, stand_ins, tick)[0].copy()

    tensors, name = keep_tensors(model, parts, _make)
    # A file has its modules in another order than the network.
    return _fold(tensors, find_targets(model, how), how, Info(name=name, base=model.name))


def keep_tensors(
    model: Model, parts: Sequence[Any], make: Callable[[], dict[str, np.ndarray]]
) -> tuple[dict[str, np.ndarray], str]:
    """Return what `make` returns, out of the cache if these parts name a file there, and its name.

    Whoever asks for the same meanwhile waits. A file that was made with other weights of the model
    is made anew, and while something acts on the model, the cache is not used.
    """
    name = content_hash(json.dumps([TRAINER, *parts]).encode())
    if any(place.module._forward_hooks for place in maps(model).values()):
        return make(), name
    base = digest_weights(model.network.named_parameters())
    folder = cache_folder() / "trained"
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / f"{name}.lock"):
        file = folder / f"{name}.safetensors"
        tensors = _read(file, base)
        if not tensors:
            tensors = make()
            with draft(file) as path:
                save_file(tensors, path, metadata={"base": base})
                # It would be its owner's alone, but caches may be shared.
                shutil.copymode(folder / f"{name}.lock", path)
    return tensors, name


def _read(file: Path, base: str) -> dict[str, Any]:
    """Return the tensors in a file of the cache; none if it is not there, or of other weights."""
    if not file.exists():
        return {}
    with safe_open(file, "np") as opened:
        same = (opened.metadata() or {}).get("base") == base
        names = opened.keys() if same else ()
        return {name: opened.get_tensor(name) for name in names}


def identify_model(model: Model) -> list[str]:
    """Return what tells models apart: their device too, for GPUs round otherwise in training."""
    parts = [model.name, model.revision, str(model.network.dtype)]
    if model.network.device.type != "cpu":
        parts.append(model.network.device.type)
    return [*parts, *model.content]


def draw_order(seed: int, count: int, start: int, size: int) -> list[int]:
    """Return examples `start` to ``start + size`` of an endless series shuffled by `seed`.

    Each of the `count` examples comes once in every `count` of the series.
    """
    rounds = range(start // count, (start + size - 1) // count + 1)
    series = [np.random.default_rng([seed, 1, i]).permutation(count) for i in rounds]
    first = start - rounds[0] * count
    order: list[int] = np.concatenate(series)[first : first + size].tolist()
    return order


class _InTurn:
    """What is shown at each step, and which stand-in acts then: functions of seed and step."""

    def __init__(
        self,
        model: Model,
        examples: Examples,
        stand_ins: Sequence[StandIn],
        how: Training,
        seed: int,
    ) -> None:
        self.model, self.how, self.seed, self.stand_ins = model, how, seed, stand_ins
        self.prompts: list[np.ndarray] = []
        self.answers: list[Tokens] = []
        # Without stand-ins there is one list, of what always holds.
        for further in [one.examples for one in stand_ins] or [()]:
            prompts, answers = zip(*examples, *further, strict=True)
            self.prompts.append(np.array(prompts, dtype=object))
            self.answers.append(spell(model, answers, how.whole))
        self.acts: list[Attached] = []

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Have the stand-ins on the model, silent until a step calls one."""
        with ExitStack() as stack:
            for one in self.stand_ins:
                # Each by itself: a silent one then costs nothing.
                self.acts.append(stack.enter_context(attach(self.model, [one.adapter], 0.0)))
            yield

    def at(self, number: int) -> tuple[list[str], Tokens]:
        """Call the stand-in of this step; return its prompts and the tokens of their answers."""
        # Stand-ins take turns, and each has a series of examples of its own.
        turn, j = divmod(number, len(self.prompts))
        for k, one in enumerate(self.acts):
            # Drawn for each step by its number.
            rng = np.random.default_rng([self.seed, 2, number])
            one.set(rng.choice(self.how.strengths) if k == j else 0.0)
        size = self.how.batch
        rows = draw_order(self.seed + j, len(self.prompts[j]), turn * size, size)
        return self.prompts[j][rows].tolist(), [self.answers[j][row] for row in rows]


class _Site(Site):
    """A module whose update is trained: the optimiser changes its own factors, not copies."""

    def add(self, x: Array, out: Array, row: Any) -> Array:
        """Scaled after both products, as it was when the stored adapters were trained."""
        change = linear(linear(x.to(self.down.dtype), self.down), self.up) * float(row[0])
        return out + change.to(out.dtype)


@dataclass(eq=False)
class Trainable:
    """Tensors that `step` changes: those of an optimiser, by name.

    With `packed` a step's prompts may be passed in one row.
    """

    model: Model
    how: Training
    tensors: dict[str, Any]
    optimizer: Any
    packed: bool = False


class Factors(Trainable):
    r"""The factors of each module in training, and their optimiser.

    They change nothing yet: ``up`` (m, r) is zero and ``down`` (r, n) uniform in
    :math:`\pm 1/\sqrt n`, as PEFT begins; drawn module after module. The update of a module is
    ``alpha / rank * up @ down``.
    """

    def __init__(self, model: Model, how: Training, rng: np.random.Generator) -> None:
        self.scale = how.alpha / how.rank
        self.sites: dict[str, Site] = {}
        tensors = dict[str, Any]()
        places = maps(model)
        for name in find_targets(model, how):
            m, n = places[name].shape
            drawn = rng.uniform(-1, 1, (how.rank, n)) / np.sqrt(n)
            device = places[name].module.weight.device
            # Drawn in float64 on the CPU, so that every device begins alike.
            down = torch.tensor(drawn, dtype=torch.float32, device=device, requires_grad=True)
            up = torch.zeros((m, how.rank), device=device, requires_grad=True)
            self.sites[name] = _Site(places[name].module, up, down, (how.rank,))
            tensors |= {f"{name}.up": up, f"{name}.down": down}
        optimizer = torch.optim.AdamW(tensors.values(), lr=how.rate, weight_decay=0.0)
        super().__init__(model, how, tensors, optimizer)

    def acting(self) -> Attached:
        """Let them act on the model until the ``with`` block ends."""
        return Attached(self.sites, 1, self.scale)

    def copy(self) -> dict[str, np.ndarray]:
        """What they are now, as arrays in float32."""
        return {key: factor.detach().cpu().numpy().copy() for key, factor in self.tensors.items()}

    def adapter(self, info: Info) -> Adapter:
        """What they are now as an adapter."""
        return _fold(self.copy(), self.sites, self.how, info)


def _fold(
    tensors: Mapping[str, np.ndarray], names: Iterable[str], how: Training, info: Info
) -> Adapter:
    """Return the adapter with these factors in modules of these names, its scale folded in."""
    updates = {}
    for name in names:
        low = LowRank(tensors[f"{name}.up"], tensors[f"{name}.down"])
        updates[name] = low * (how.alpha / how.rank)
    return Adapter.of(updates, info)


def step(factors: Trainable, prompts: Sequence[str], answers: Tokens) -> float:
    """Make one step with these prompts and tokens of answers; return their mean loss before it.

    Costs a forward and a backward pass. Raises `TrainingError` if memory runs out, or the loss or
    the gradient is not finite: the factors are then what they were.
    """
    model, how, tensors = factors.model, factors.how, list(factors.tensors.values())
    factors.optimizer.zero_grad()
    total, kind = 0.0, model.network.device.type
    try:
        for rows in np.array_split(np.arange(len(prompts)), how.accumulate):
            some, texts = [prompts[row] for row in rows], [answers[row] for row in rows]
            with torch.autocast(kind, torch.bfloat16, enabled=kind != "cpu"):
                logits = _answer_logits(factors, some, texts)
            wanted = torch.tensor([*chain.from_iterable(texts)], device=logits.device)
            each = cross_entropy(logits.float(), wanted, reduction="none")
            # Each prompt counts alike, however long its answer is.
            means = [part.mean() for part in each.split([*map(len, texts)])]
            loss = torch.stack(means).sum() / len(prompts)
            # No gradients for the base, even if it could have them.
            loss.backward(inputs=tensors)
            total += loss.item()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        message = (
            f"memory ran out at {math.ceil(len(prompts) / how.accumulate)} prompts a pass: train "
            "fewer layers (`--layers`), in bfloat16 (`--dtype`), without texts "
            "(`--self-distillation 0`), or raise accumulate from "
            f"{how.accumulate} (in Python; the result stays)"
        )
        raise TrainingError(message) from error
    # What is returned is the norm before clipping: one bad prompt shows there.
    norm = torch.nn.utils.clip_grad_norm_(tensors, how.clip)
    for name, value in (("the loss", total), ("the gradient", float(norm))):
        if not math.isfinite(value):
            remedy = "lower the rate, or look for what is wrong with the examples"
            message = f"{name} is not finite: {remedy}"
            raise TrainingError(message)
    factors.optimizer.step()
    return total


def _answer_logits(factors: Trainable, prompts: Sequence[str], texts: Tokens) -> Any:
    """The logits (tokens, vocabulary) before each token of the texts that follow the prompts.

    In one row if they may be and that costs less than padding. A token costs about as much as 12
    squares of the model's width in linear maps, and 4 widths for every token of its row in
    attention.
    """
    model, counts = factors.model, [*map(len, texts)]
    # The last token of a text is only predicted.
    padded = batch(model, prompts, [text[:-1] for text in texts])
    if factors.packed:
        (count, length), config = padded["input_ids"].shape, model.network.config
        width = 3 * config.get_text_config().hidden_size
        # Costs in linear maps and in attention, in units of 4 widths.
        real = int(padded["attention_mask"].sum())
        if real * (width + real) < count * length * (width + length):
            row, ends = pack(padded)
            places = [
                torch.arange(end - n + 1, end + 1) for end, n in zip(ends, counts, strict=True)
            ]
            return last_logits(model, row, torch.cat(places).to(ends.device))
    tail = tail_logits(model, padded, max(counts))
    return torch.cat([rows[len(rows) - n :] for rows, n in zip(tail, counts, strict=True)])

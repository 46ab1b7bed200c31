r"""Residual region: what a residual stream and a normalisation between reads do to the thresholds.

**Statement.** Normalising a residual stream between reads whose bridges read the values of their
own read alone moves no threshold of linked edits at linearly independent keys; what costs is the
direct path from bridge entities to the answer: with values orthonormal to each other and to the key
k, two whole edits over old facts need a gain above √(‖k‖² + 1) times it.

Read linked edits as in ``thm:two-read-region`` from a residual stream: :math:`x_0 = k`, :math:`x_j
= x_{j-1} + y_j`, :math:`y_1 = (W_1 + c_1\Delta_1)\,k` and :math:`y_{j+1} = (W_{j+1} +
c_{j+1}\Delta_{j+1})\,Q_j\,g\,x_j/\|x_j\|`. Let the values be orthonormal, in all reads together and
to :math:`k`, and the bridges read the values of their own read only. Entities named in the stream
compete: tokens get the logits :math:`y_K`, values of earlier reads :math:`\alpha\,\langle v,
x_{K-1}\rangle`. With the weights :math:`w` of ``thm:two-read-region`` on entities and tokens, and
:math:`\rho_j^2 = \|k\|^2 + \sum_{i \le j} \|y_i\|^2`,

.. math::
    y_{j+1} = \frac{g^j}{\rho_1 \cdots \rho_j}\, w_{j+1}, \qquad
    \text{margin} =
    y_K[0] - \max\bigl(0,\; y_K[t \ne 0],\; \alpha\,y_1, \dots, \alpha\,y_{K-1}\bigr).

Hence *normalisation moves no threshold*: for :math:`\alpha = 0` the sign of the margin is that of
``thm:two-read-region``, for all coefficients, gains and lengths. The direct path is what costs: two
hops with :math:`c_1 > 0` also need :math:`g\,c_2 > \alpha\rho_1` and :math:`g\,c_1c_2 >
\alpha\rho_1(1 - c_1)`. Two whole edits need :math:`g/\alpha > \sqrt{\|k\|^2 + 1}`; equal ones, as
they fall to the golden border, :math:`c^2 + c = 1`, need :math:`g/\alpha > 2` for a unit key.

**Proof.** A bridge sees the last read's values alone, since it is 0 on all else in the stream; so
read :math:`j + 1` is that of the reads without a stream on :math:`y_j`, times :math:`g/\|x_j\|`.
Reads are linear, which pulls these positive numbers out; orthonormality gives :math:`\|x_j\| =
\rho_j`. At the border :math:`\rho_1^2 = 1 + c^2 + (1 - c)^2 = 2(1 - c + c^2) = 4c^2`.
:math:`\square`

**What it tells someone who merges adapters.** The thresholds of ``thm:two-read-region`` are not an
artefact of a model without normalisation. What a residual stream adds is a competitor: the bridge
entity itself, which stands in the stream and must be outdone by the answer.

**What it does not say.** LayerNorm is covered where stream and frames have mean zero. Bridges that
also hear the prompt or earlier values mix their answers; a nonlinear bridge may lower the
thresholds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from loratheory.lowrank import Array, LowRank, array_namespace, gaussian, orthonormal, project
from loratheory.theorems._arrays import is_orthonormal, norm
from loratheory.theorems._theorem import SAFETY, Assumption, Control, Theorem
from loratheory.theorems.composition import two_read_region as region
from loratheory.theorems.composition._hops import Pattern, Prompt, logits, of_prompt, shapes
from loratheory.toy import Chain, chain

SENSE = "equal"
SOURCE = "own"
PART_OF = "thm:two-read-region"

ORTHONORMAL = "values orthonormal in all reads together and to the prompt's key"
OWN = "bridges that read the values of their own read and nothing else in the stream"


@dataclass(frozen=True, eq=False)
class Case:
    """A prompt of edited hops in a normalised residual stream.

    `gain` multiplies the normalised stream; `direct` is the strength of the path from the stream to
    the logits of bridge entities.
    """

    prompt: Prompt
    gain: float
    direct: float


def margin(
    coefficients: Sequence[float],
    gain: int | float,
    direct: int | float,
    length: int | float = 1.0,
    pattern: Pattern = "overwrite",
) -> float:
    """Return the right answer's margin over other tokens and over entities named directly.

    `length` is the norm of the prompt's key; the other numbers are those of `Case`.
    """
    share, energy, named = 1.0, length**2, 0.0
    for read in range(1, len(coefficients)):
        written = [share * weight for weight in logits(coefficients[:read], pattern)]
        named = max(named, direct * max(written))
        energy += sum(weight**2 for weight in written)  # values are orthonormal: norms add
        share *= gain / math.sqrt(energy)
    target, *others = logits(coefficients, pattern)
    return share * target - max(named, share * max(others))


def draw(rng: np.random.Generator, size: int) -> Case:
    """Draw one to four hops in any pattern, and gain and direct path from 0.1 to 10, or no path."""
    pattern, n = shapes(rng)
    hops, d = len(n), 1 + sum(n) + int(rng.integers(0, size + 1))
    equal = (region.threshold(hops, pattern), 1.0, 1 / 2, float(rng.uniform(0.1, 2)))
    mixed = (
        rng.uniform(-0.5, 1.5, hops).tolist()
        if rng.random() < 0.4
        else [equal[int(rng.integers(4))]] * hops
    )
    frame = orthonormal(rng, d, 1 + sum(n[1:]))
    values = np.split(frame[:, 1:], np.cumsum(n[1:-1]).tolist(), axis=1) if hops > 1 else []
    keys = [10.0 ** int(rng.integers(-1, 2)) * rng.standard_normal((d, k)) for k in n]
    keys[0] = keys[0] - frame[:, 1:] @ (frame[:, 1:].T @ keys[0])
    gain = 10.0 ** float(rng.uniform(-1, 1))
    prompt = Prompt(pattern, tuple(mixed), tuple(keys), tuple(values))
    return Case(prompt, gain, float(rng.choice([0.0, 1.0])) * 10.0 ** float(rng.uniform(-1, 1)))


def _length(prompt: Prompt) -> float:
    return norm(prompt.keys[0][:, 0])


def bound(case: Case) -> float:
    """Return the statement's margin, from coefficients, gain, direct path and the key's length."""
    prompt = case.prompt
    return margin(prompt.coefficients, case.gain, case.direct, _length(prompt), prompt.pattern)


def attain(case: Case) -> Chain:
    """Return memories, edits and bridges of least norm that hold the prompt's facts."""
    return chain(case.prompt.hops, case.prompt.values)


def measure(case: Case, model: Chain) -> float:
    """Return the margin found by sending the stream through all reads, normalised before each."""
    prompt, stream = case.prompt, case.prompt.keys[0][:, 0]
    written, xp = model.read(0, stream, prompt.coefficients[0]), array_namespace(stream)
    for hop, bridge in enumerate(model.bridges, start=1):
        stream = stream + written
        normal = case.gain * stream / xp.linalg.vector_norm(stream)
        written = model.read(hop, bridge @ normal, prompt.coefficients[hop])
    named = [float(xp.max(case.direct * (frame.T @ stream))) for frame in prompt.values]
    return float(written[0]) - max(float(xp.max(written[1:])), *named, -math.inf)


def scale(case: Case) -> float:
    """Return a bound of the logits, the unit of rounding errors."""
    each = math.prod(1 + 2 * abs(c) for c in case.prompt.coefficients)
    length = _length(case.prompt)
    amplified = max(1.0, case.gain, case.gain / length) ** len(case.prompt.values)
    return each * amplified * (1 + case.direct * max(1.0, length))


def rival(case: Case, rng: np.random.Generator) -> Chain:
    """Return the weights of `attain`, with memories changed at random outside their keys."""
    model, memories = attain(case), []
    for hop, memory in zip(case.prompt.hops, model.memories, strict=True):
        wild = gaussian(rng, *memory.shape, 2, 10.0 ** int(rng.integers(-12, 1)))
        off = LowRank(wild.up, wild.down - project(wild.down.T, np.linalg.qr(hop.keys)[0]).T)
        memories.append(memory + off)
    return replace(model, memories=tuple(memories))


def _stream(prompt: Prompt) -> Array:
    xp = array_namespace(prompt.keys[0])
    return xp.concat([prompt.keys[0][:, :1] / _length(prompt), *prompt.values], axis=1)


def _own(case: Case, model: Chain) -> bool:
    frame, start = _stream(case.prompt), 1
    xp = array_namespace(frame)
    for bridge, values in zip(model.bridges, case.prompt.values, strict=True):
        size = float(xp.max(xp.abs(bridge @ values)))
        if float(xp.max(xp.abs(bridge @ frame[:, :start]))) > SAFETY * size:
            return False
        start += int(values.shape[1])
    return True


ASSUMPTIONS: tuple[Assumption[Case, Chain], ...] = (
    *of_prompt(region.ASSUMPTIONS),
    Assumption(ORTHONORMAL, lambda case, _: is_orthonormal(_stream(case.prompt))),
    Assumption(OWN, _own),
)


def _example(kind: str) -> tuple[Case, Chain]:
    eye = np.eye(9)
    values = eye[:, 2:5] + (kind == "oblique") * eye[:, :1]
    keys = (eye[:, :2], eye[:, 5:8])
    if kind == "repeated":
        keys = (keys[0], keys[1][:, [0, 0, 2]])
    case = Case(Prompt("overwrite", (0.8, 0.7), keys, (values,)), 2.0, 0.1)
    model = attain(case)
    (one, two), (bridge,), (edit, other) = model.memories, model.bridges, model.edits
    return case, {
        "strong": replace(model, memories=(one, 2 * two)),
        "weak": replace(model, edits=(edit, other / 2)),
        "lost": replace(model, bridges=(0 * bridge,)),
        "leaky": replace(model, bridges=(bridge + LowRank(eye[:, 6:7], eye[:1]),)),
    }.get(kind, model)


def _alone() -> tuple[Case, Chain]:
    # Twice an edit: the target leads the old answer by 3, which no third token stands between.
    case = Case(Prompt("overwrite", (2.0,), (np.eye(3)[:, :1],), ()), 1.0, 0.0)
    return case, attain(case)


CONTROLS = (
    Control("no token beside target and old answer", region.FREE, _alone),
    *(
        Control(name, breaks, partial(_example, kind))
        for name, breaks, kind in (
            ("repeat a key", region.FRAMES, "repeated"),
            ("hold old facts twice as strongly", region.PARTS["memories"], "strong"),
            ("an edit half as strong", region.PARTS["edits"], "weak"),
            ("a bridge without entities", region.PARTS["bridges"], "lost"),
            ("values beside the prompt's key", ORTHONORMAL, "oblique"),
            ("a bridge that hears the prompt", OWN, "leaky"),
        )
    ),
)

THEOREM: Theorem[Case, Chain] = Theorem.of(
    __name__,
    condition=lambda case: region.condition(case.prompt),
)

"""How adapters respond, and which act, where the facts of a two-hop question are read.

The j-th read of ``x r1 r2`` happens in loop ``j`` at the token ``r_j``: there the pair's adapter of
hop ``j`` should be on, and no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from loratheory.shapes import Float
from loratheory.tasks.prompts import Prompts, stacked
from loratheory.theorems.editing.superposition_floor import least_crosstalk
from loratheory.toy.transformer import Adapt, Site, logits
from paper.studies._shared.answers import accuracy, answer_margins
from paper.studies._shared.library import Acting, Library, acting, everything, oracle_placement
from paper.studies._shared.models import tensor
from paper.studies._shared.training import Taught, norms

Energies = Float[np.ndarray, "P hops E n"]


@dataclass(frozen=True, eq=False)
class Crosstalk:
    """Cross-talk at one weight, for each pair, hop, replica and edited question.

    Attributes
    ----------
    measured, random : (P, hops, E, n) array
        `measured` is the squared norm of the summed responses of all other adapters, divided by
        that of the fact's own adapter; `random` its mean if the other adapters were rotated at
        random (``thm:random-interference``).
    superposed, floor : (E,) array, float
        `superposed` is the mean squared response to another fact's key, with every output scaled
        so that its own key gives 1; `floor` is the lower bound of ``thm:superposition-floor`` for
        as many facts and the rank of the sum.
    """

    measured: Energies
    random: Energies
    superposed: Float[np.ndarray, " E"]
    floor: float


def crosstalk(library: Taught) -> dict[str, Crosstalk]:
    """Return, by weight, the cross-talk of all adapters where each edited fact is read.

    Fact ``j`` of a question is read in loop ``j`` at the token of its relation, while only the
    right adapter acts in each loop (oracle placement). The bases need at least as many loops as
    hops. Costs a pass per pair.
    """
    # Keys are those of oracle placement, where every other adapter is silent.
    acts = acting(library, oracle_placement)
    seen = [_keys(library, pair, act) for pair, act in enumerate(acts)]
    return {name: _at(library, name, seen) for name in library.adapters[0].up}


def safe(crosstalk: dict[str, Crosstalk], kind: str = "measured") -> Float[np.ndarray, " E"]:
    """Return the share of questions that `thm:perturbed-region` calls safe.

    These are the questions with an amplitude (root of the energy ratio in `Crosstalk`) below 1/(2K)
    at each of the K reads and all adapted weights. `kind` is ``measured`` or ``random``.
    """
    worst = np.max([getattr(one, kind) for one in crosstalk.values()], axis=0)
    # The amplitude that the theorem tolerates at each of K reads, 1/(2K).
    tolerated = 1 / (2 * worst.shape[1])
    return np.asarray((np.sqrt(worst) < tolerated).all(axis=1).mean(axis=(0, 2)))


def _keys(library: Taught, pair: int, acts: Adapt) -> dict[Site, Tensor]:
    """Return by site the inputs (E, n, width) of the maps where a pair's facts are read."""
    bases, names = library.bases, library.names
    rows = stacked(library.questions(pair))
    seen: dict[Site, Tensor] = {}

    def _watched(site: Site, x: Tensor) -> Tensor | None:
        if site.name in names and site.loop < bases.setting.hops:
            seen[site] = x.unflatten(1, rows.tokens.shape[1:])[:, :, site.loop + 1].clone()
        return acts(site, x)

    with torch.inference_mode():
        logits(bases.config, bases.weights, tensor(rows.tokens), _watched)
    return seen


def _at(library: Taught, name: str, seen: list[dict[Site, Tensor]]) -> Crosstalk:
    sizes = [norms(adapter)[name] ** 2 for adapter in library.adapters]
    hops, measured, random, own, total = library.bases.setting.hops, [], [], [], []
    everything = torch.stack(sizes).sum(0)
    for pair, keys in enumerate(seen):
        for site in sorted((s for s in keys if s.name == name), key=lambda s: s.loop):
            place, x = pair * hops + site.loop, keys[site]
            parts = torch.stack([adapter(site, x) for adapter in library.adapters])
            own.append(parts[place])
            total.append(parts.sum(0))
            response = parts[place].square().sum(-1)
            measured.append((total[-1] - own[-1]).square().sum(-1) / response)
            foreign = everything - sizes[place]
            random.append(foreign[:, None] * x.square().mean(-1) / response)
    table = torch.cat(own, 1) @ torch.cat(total, 1).mT
    facts = int(table.shape[-1])
    # Every output is scaled so that its own key gives 1.
    table = table / table.diagonal(dim1=1, dim2=2)[..., None]
    off = (table.square().sum((1, 2)) - facts) / max(facts * (facts - 1), 1)
    rank = min(library.teaching.rank * len(library.adapters), *library.bases.config.shapes[name])
    parts_of = (torch.stack(x).unflatten(0, (-1, hops)) for x in (measured, random))
    one, two = (x.double().numpy() for x in parts_of)
    return Crosstalk(one, two, off.double().numpy(), least_crosstalk(facts, rank))


def detection(library: Taught, acts: Sequence[Acting]) -> dict[str, Float[np.ndarray, " E"]]:
    """Return the errors of a rule that weighs adapters by token, where edited questions are read.

    ``misses`` is the weight that the right adapters lack to 1, ``false_alarms`` the weight of all
    other adapters; both are summed over a question's reads and averaged over questions and pairs.
    The bases need one layer per loop and as many loops as hops.
    """
    hops, misses, alarms = library.bases.setting.hops, [], []
    for p, act in enumerate(acts):
        each = _weights(library, library.questions(p), act, "mlp.in")
        for hop, weights in enumerate(each):
            right = weights[..., p * hops + hop]
            misses.append((1 - right).mean(dim=1))
            alarms.append((weights.sum(dim=-1) - right).mean(dim=1))
    pairs = library.teaching.pairs
    found = {"misses": misses, "false_alarms": alarms}
    return {name: (torch.stack(x).double().sum(0) / pairs).numpy() for name, x in found.items()}


def leak(library: Taught) -> Float[np.ndarray, " E"]:
    r"""Return how much of the edited keys lies outside their adapters' row spaces, in MLPs.

    This is the mean of :math:`\|(I - P_j) k\| / \|k\|` over questions, hops and pairs. Here
    :math:`k` is the MLP's input at the read under oracle placement, and :math:`P_j` projects on the
    row space of the update of its first map. The interpolating merge needs a mean of 0.
    """
    parts = []
    acts = acting(library, oracle_placement)
    for number, (pair, act) in enumerate(zip(library.pairs, acts, strict=True)):
        keys = _keys(library, number, act)
        for hop, adapter in enumerate(pair):
            [site] = [s for s in keys if s.module == "mlp.in" and s.loop == hop]
            # The row space of the update is that of its down factor.
            frame = torch.linalg.qr(adapter.down[site.name].mT).Q
            inside = torch.linalg.vector_norm(keys[site] @ frame, dim=-1)
            # Rounding can make a share of zero negative.
            share = 1 - (inside / torch.linalg.vector_norm(keys[site], dim=-1)) ** 2
            parts.append(share.clamp(min=0).sqrt().mean(dim=1).numpy())
    return np.mean(parts, axis=0)


def weights_at_reads(
    library: Taught, acts: Sequence[Acting]
) -> tuple[Float[np.ndarray, "P E n hops"], Float[np.ndarray, " E"]]:
    """Return the right adapters' weights at edited reads, and how often unedited reads are edited.

    The former are the weights of the pair's adapter of hop ``j`` in loop ``j`` where relation ``j``
    is read, on edited questions, as means over the adapted maps. The latter is the share of reads
    of unedited questions at which some adapter has a weight above one half.
    """
    hops = range(library.bases.setting.hops)
    right, edited = [], []
    for pair, act in enumerate(acts):
        seen = _weights(library, library.questions(pair), act)
        others = [one.other_questions for one in library.trials[pair]]
        quiet = _weights(library, others, act)
        right.append(torch.stack([seen[j][..., len(hops) * pair + j] for j in hops], dim=-1))
        edited.append(torch.stack([quiet[j].amax(dim=-1) > 0.5 for j in hops]).double())
    shares = torch.stack(edited).mean(dim=(0, 1, 3))
    return torch.stack(right).double().numpy(), shares.numpy()


def _weights(
    library: Taught, prompts: Sequence[Prompts], act: Acting, module: str = ""
) -> list[Tensor]:
    """Return for each loop the adapters' weights (E, B, K) where the loop's relation is read.

    They are those at the map `module`, or means over all maps if it is empty.
    """
    # A pass, for the weights that it leaves in `act.on`.
    answer_margins(library.bases, prompts, act)
    rows, length = prompts[0].tokens.shape
    seen: list[list[Tensor]] = [[] for _ in range(library.bases.config.loops)]
    for site, weights in act.on.items():
        if module in ("", site.module):
            seen[site.loop].append(weights.unflatten(1, (rows, length))[:, :, site.loop + 1])
    return [torch.stack(loop).mean(dim=0) for loop in seen]


def hindsight(
    library: Taught, *, by_read: bool
) -> tuple[list[Adapt], Float[np.ndarray, "P E n hops"]]:
    """Return the fixed gates with which each replica answers most questions, chosen by hindsight.

    The choice uses the questions' answers, so it is an upper limit and no rule of reuse. If
    `by_read`, any of the pair's adapters may be on in any loop; else one of them is on throughout,
    or none. Returned are what acts, one per pair, and whether each hop's adapter is on at its read.
    """
    hops, loops = library.bases.setting.hops, library.bases.config.loops
    acts: list[Adapt] = []
    right = []
    for number, pair in enumerate(library.pairs):
        prompts = library.questions(number)
        each, own = gate_patterns(hops, loops, by_read=by_read), library.having(pair)
        shares = [
            accuracy(library.bases, prompts, _gated(own, [gates] * len(prompts))) for gates in each
        ]
        # The first of equal ones, which has the fewest gates open.
        best = [each[k] for k in np.argmax(shares, axis=0).tolist()]
        acts.append(_gated(own, best))
        on = np.array(best)[:, None, range(hops), range(hops)]
        right.append(np.repeat(on, len(prompts[0]), axis=1))
    return acts, np.stack(right).astype(float)


def gate_patterns(hops: int, loops: int, *, by_read: bool) -> list[Float[np.ndarray, "loops hops"]]:
    """Return all gates by loop and adapter that `hindsight` tries, those with fewest open first."""
    if not by_read:
        return [np.tile(row, (loops, 1)) for row in np.vstack([np.zeros(hops), np.eye(hops)])]
    free = [np.reshape(p, (loops, hops)) for p in product((0.0, 1.0), repeat=loops * hops)]
    return sorted(free, key=np.sum)


def _gated(pair: Library, gates: Sequence[Float[np.ndarray, "loops hops"]]) -> Acting:
    """Return what acts if each replica's adapters are switched by its gates, loop by loop."""
    # By replica, loop and adapter.
    weights = torch.tensor(np.array(gates), dtype=torch.float32)
    return everything(pair, lambda site, _: weights[:, None, site.loop])

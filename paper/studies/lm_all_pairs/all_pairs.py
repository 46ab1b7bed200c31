"""What a method makes of a library in which any first hop may need any second hop."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from loratheory import pretrained as lm
from loratheory.adapters import Adapter
from loratheory.evaluate import fact_sets
from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_adapters import Crossings
from loratheory.pretrained.gates import record_weights
from loratheory.pretrained.metrics import batch, last_logits
from loratheory.shapes import Float64
from paper.studies._shared.language import Act, sentences
from paper.studies._shared.measures import ordinary, two_step

WEIGHTS = ("first_right", "second_right", "own_1", "others_1", "own_2", "others_2")
"""What `chosen` measures."""


def gate_groups(groups: Callable[[int], Sequence[tuple[int, ...]]]) -> Act:
    """Return the method that lets one group of adapters act on a whole prompt.

    It is the group of largest mean response to the bare base's activations; `groups` returns them
    for the number of adapters.
    """

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        acting = lm.attach(model, adapters)
        lm.gate_prompts(model, acting, sentences(model), groups(len(adapters)))
        return acting

    return _attach


def one_of_each_hop(count: int) -> list[tuple[int, ...]]:
    """Return all combinations of a first and a second hop."""
    return [*product(range(0, count, 2), range(1, count, 2))]


def one_alone(count: int) -> list[tuple[int, ...]]:
    """Return each adapter alone, for retrieval as of edits.

    WISE so retrieves among its memories (Wang et al. 2024, arXiv 2405.14768), but here all maps
    respond.
    """
    return [(number,) for number in range(count)]


def _by_hop(adapters: Sequence[Adapter]) -> list[range]:
    return [range(hop, len(adapters), 2) for hop in (0, 1)]


def hop_gates(by: Literal["divergence", "response"]) -> Act:
    """Return the method of `pretrained.route_hops`."""

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        acting = lm.attach(model, adapters)
        lm.route_hops(model, acting, sentences(model), _by_hop(adapters), by=by)
        return acting

    return _attach


def subject_gates(made: Crossings) -> Act:
    """Return the method of `pretrained.route_subjects`, told whom each adapter is about."""
    subjects: list[list[str]] = []
    for first, second in zip(made.firsts, made.seconds, strict=True):
        subjects += [[*first], [*second]]

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        acting = lm.attach(model, adapters)
        lm.route_subjects(model, acting, _by_hop(adapters), subjects)
        return acting

    return _attach


def crossing(made: Crossings, i: int, j: int) -> fact_sets.World:
    """Return the persons of the `i`-th first hop from countries of the `j`-th second hop."""
    first, second = dict[str, str](), dict[str, str]()
    for who, country in made.firsts[i].items():
        if country in made.seconds[j]:
            first[who], second[country] = country, made.seconds[j][country]
    return fact_sets.World(first, second)


def parts(
    made: Crossings, library: Sequence[Adapter], *, oracle: bool
) -> list[tuple[Sequence[Adapter], fact_sets.World, bool]]:
    """Return who acts on which questions, and whether on ordinary prompts too.

    That is all adapters on everything, or, if `oracle`, each pair on its crossing.
    """
    if not oracle:
        return [(library, made.everything, True)]
    found = list[tuple[Sequence[Adapter], fact_sets.World, bool]]()
    for i, j in product(range(len(made.firsts)), repeat=2):
        found.append(([library[2 * i], library[2 * j + 1]], crossing(made, i, j), i == j))
    return found


def unrelated() -> fact_sets.Items:
    """Return a hundred prompts about known facts on which no adapter is trained."""
    capitals = {name: fact_sets.FAMOUS[name].capital for name in [*fact_sets.FAMOUS][1::2]}
    return [
        *fact_sets.rehearsed(held_out=True),
        *fact_sets.items(capitals, fact_sets.CAPITAL.trained[2:4]),
    ]


def exam(
    model: lm.Model,
    made: Crossings,
    library: Sequence[Adapter],
    act: Act,
    base: Any,
    *,
    asked: str = "together",
) -> dict[str, float]:
    """Return what a method makes of a library, in the columns of `lm_all_pairs`.

    `base` are log-probabilities that `measures.ordinary` returned without adapters. `asked`
    says who acts and how two-hop questions are put: all adapters ``together``; ``told``, the right
    pair for each question, no other adapter loaded; or all adapters, ``two-step prompting``.
    Single facts are those of every third person and country, or of all if told. Costs a pass of
    the method over some 490 prompts.
    """
    found, weights = defaultdict[str, list[Any]](list), dict.fromkeys(WEIGHTS, float("nan"))
    for adapters, world, elsewhere in parts(made, library, oracle=asked == "told"):
        with act(model, adapters) as acts:
            given = fact_sets.questions(world)
            for hop in ("hop_1", "hop_2"):
                # A third of the single facts is enough where all adapters act.
                some = given[hop] if asked == "told" else given[hop][::3]
                found[hop].append(answers(model, some).vocabulary_right)
            by_hop = asked == "two-step prompting"
            two_hop = two_step(model, world) if by_hop else answers(model, given["two_hop"])
            found["two_hop_vocabulary"].append(two_hop.vocabulary_right)
            if elsewhere:
                found["unrelated"].append(answers(model, unrelated()).vocabulary_right)
                found["drift"].append([lm.kl_to_base(base, ordinary(model))])
            # Who acts is known only where a route decides.
            if acts.route is not None:
                weights = chosen(model, acts, made)
    return {name: float(np.concatenate(each).mean()) for name, each in found.items()} | weights


def chosen(model: lm.Model, acts: lm.Attached, made: Crossings) -> dict[str, float]:
    """Return which adapters a route lets act on two-hop questions, in the first sentence for them.

    Weights are averaged over the tokens of a prompt and the modules. ``first_right`` and
    ``second_right`` are shares of questions in which the adapter with the largest weight of its hop
    is the right one, ``own_1`` and ``own_2`` the right one's mean weights, ``others_1`` and
    ``others_2`` the mean weights of the others.
    """
    world = made.everything
    prompts = [
        prompt for prompt, _ in fact_sets.items(world.two_hop, fact_sets.ASKED["two_hop"][:1])
    ]
    each, found = prompt_weights(model, acts, prompts), dict.fromkeys(WEIGHTS, 0.0)
    owner = dict[str, int]()
    for authors in (made.firsts, made.seconds):
        for number, about in enumerate(authors):
            owner |= dict.fromkeys(about, number)
    for hop, name in enumerate(("first", "second")):
        numbers = [owner[one] for one in (world.first if hop == 0 else world.first.values())]
        mine = each[:, hop::2]
        own = mine[np.arange(len(prompts)), numbers]
        found[f"{name}_right"] = float((mine.argmax(1) == numbers).mean())
        found[f"own_{hop + 1}"] = float(own.mean())
        found[f"others_{hop + 1}"] = float((mine.sum(1) - own).mean() / (mine.shape[1] - 1))
    return found


def prompt_weights(
    model: lm.Model, acts: lm.Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, "prompts adapters"]:
    """Return each adapter's mean weight in a route, over a prompt's tokens and the modules.

    Only the last pass through a module counts, not the earlier ones by which gates decide; all
    prompts are passed at once. The route stays in place.
    """
    import torch

    given = batch(model, prompts)
    with record_weights(acts) as last, torch.no_grad():
        last_logits(model, given)
    # Padding is no token: it has no part in the mean.
    real = given["attention_mask"].double()
    mean = torch.stack([one.double() for one in last.values()]).mean(0)
    mean = (mean.unflatten(0, real.shape) * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    weights: Float64[np.ndarray, "prompts adapters"] = mean.cpu().numpy()
    return weights

"""Evaluate a method on a library where any hop-1 adapter may need any hop-2 adapter."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np

from loratheory import pretrained as lm
from loratheory.adapters import Adapter
from loratheory.evaluate import fact_sets
from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_adapters import AllPairsFacts
from loratheory.pretrained.gates import record_weights
from loratheory.pretrained.metrics import batch, last_logits
from loratheory.shapes import Float64
from paper.studies._shared.language import Method, generic_batches
from paper.studies._shared.measures import generic_log_probs, two_step

ROUTE_COLUMNS = ("first_right", "second_right", "own_1", "others_1", "own_2", "others_2")
"""The columns of `route_shares`."""


def gate_groups(groups: Callable[[int], Sequence[tuple[int, ...]]]) -> Method:
    """Return the method that activates one group of adapters on a whole prompt.

    It is the group with the largest mean response to the base's activations; `groups` returns the
    groups for a number of adapters.
    """

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        active = lm.attach(model, adapters)
        lm.gate_prompts(model, active, generic_batches(model), groups(len(adapters)))
        return active

    return _attach


def hop_pairs(count: int) -> list[tuple[int, ...]]:
    """Return all pairs of a hop-1 and a hop-2 adapter, by their numbers."""
    return [*product(range(0, count, 2), range(1, count, 2))]


def single_adapters(count: int) -> list[tuple[int, ...]]:
    """Return each adapter as a group of its own, for retrieval.

    WISE retrieves one of its memories in this way (Wang et al. 2024, arXiv 2405.14768), but here
    the response is of all maps.
    """
    return [(number,) for number in range(count)]


def _by_hop(adapters: Sequence[Adapter]) -> list[range]:
    return [range(hop, len(adapters), 2) for hop in (0, 1)]


def hop_routing(by: Literal["divergence", "response"]) -> Method:
    """Return the method of `pretrained.route_hops`."""

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        active = lm.attach(model, adapters)
        lm.route_hops(model, active, generic_batches(model), _by_hop(adapters), by=by)
        return active

    return _attach


def subject_routing(made: AllPairsFacts) -> Method:
    """Return the method of `pretrained.route_subjects`, with the subjects of each adapter."""
    subjects: list[list[str]] = []
    for first, second in zip(made.firsts, made.seconds, strict=True):
        subjects += [[*first], [*second]]

    def _attach(model: lm.Model, adapters: Sequence[Adapter]) -> lm.Attached:
        active = lm.attach(model, adapters)
        lm.route_subjects(model, active, _by_hop(adapters), subjects)
        return active

    return _attach


def facts_of_pair(made: AllPairsFacts, i: int, j: int) -> fact_sets.FactSet:
    """Return the fact set that the `i`-th hop-1 and the `j`-th hop-2 author share."""
    first, second = dict[str, str](), dict[str, str]()
    for who, country in made.firsts[i].items():
        if country in made.seconds[j]:
            first[who], second[country] = country, made.seconds[j][country]
    return fact_sets.FactSet(first, second)


def evaluations(
    made: AllPairsFacts, library: Sequence[Adapter], *, oracle: bool
) -> list[tuple[Sequence[Adapter], fact_sets.FactSet, bool]]:
    """Return triples: adapters, a fact set, and whether to evaluate them on generic prompts too.

    All adapters are evaluated on all facts, or, if `oracle`, each pair on the facts it shares.
    """
    if not oracle:
        return [(library, made.all_facts, True)]
    found = list[tuple[Sequence[Adapter], fact_sets.FactSet, bool]]()
    for i, j in product(range(len(made.firsts)), repeat=2):
        found.append(([library[2 * i], library[2 * j + 1]], facts_of_pair(made, i, j), i == j))
    return found


def unrelated() -> fact_sets.Items:
    """Return a hundred prompts about known facts on which no adapter is trained."""
    capitals = {name: fact_sets.FAMOUS[name].capital for name in [*fact_sets.FAMOUS][1::2]}
    return [
        *fact_sets.known_facts(held_out=True),
        *fact_sets.items(capitals, fact_sets.CAPITAL.trained[2:4]),
    ]


def evaluate(
    model: lm.Model,
    made: AllPairsFacts,
    library: Sequence[Adapter],
    method: Method,
    base: Any,
    *,
    how: str = "together",
) -> dict[str, float]:
    """Evaluate a method on a library; return the columns of `lm_all_pairs`.

    `base` is the output of `measures.generic_log_probs` without adapters. `how` is ``together``,
    with all adapters loaded; ``oracle``, with the right pair alone for each question; or
    ``two-step prompting``, with all adapters. Single facts are of every third person and country,
    or of all for ``oracle``. The cost is a pass of the method over about 490 prompts.
    """
    found, weights = defaultdict[str, list[Any]](list), dict.fromkeys(ROUTE_COLUMNS, float("nan"))
    for adapters, facts, elsewhere in evaluations(made, library, oracle=how == "oracle"):
        with method(model, adapters) as active:
            given = fact_sets.questions(facts)
            for hop in ("hop_1", "hop_2"):
                # A third of the single facts is enough where all adapters are active.
                some = given[hop] if how == "oracle" else given[hop][::3]
                found[hop].append(answers(model, some).vocabulary_right)
            by_hop = how == "two-step prompting"
            two_hop = two_step(model, facts) if by_hop else answers(model, given["two_hop"])
            found["two_hop_vocabulary"].append(two_hop.vocabulary_right)
            if elsewhere:
                found["unrelated"].append(answers(model, unrelated()).vocabulary_right)
                found["drift"].append([lm.kl_to_base(base, generic_log_probs(model))])
            # Weights exist only for methods with a route.
            if active.route is not None:
                weights = route_shares(model, active, made)
    return {name: float(np.concatenate(each).mean()) for name, each in found.items()} | weights


def route_shares(model: lm.Model, active: lm.Attached, made: AllPairsFacts) -> dict[str, float]:
    """Return the weights of a route on two-hop questions in the first held-out template.

    Weights are averaged over the tokens of a prompt and the modules. ``first_right`` and
    ``second_right`` are the shares of questions in which the right adapter has the largest weight
    of its hop. ``own_1`` and ``own_2`` are the mean weights of the right adapters, ``others_1`` and
    ``others_2`` the mean weights of the other adapters.
    """
    facts = made.all_facts
    prompts = [prompt for prompt, _ in fact_sets.items(facts.two_hop, fact_sets.FEW["two_hop"][:1])]
    each, found = prompt_weights(model, active, prompts), dict.fromkeys(ROUTE_COLUMNS, 0.0)
    owner = dict[str, int]()
    for authors in (made.firsts, made.seconds):
        for number, about in enumerate(authors):
            owner |= dict.fromkeys(about, number)
    for hop, name in enumerate(("first", "second")):
        numbers = [owner[one] for one in (facts.first if hop == 0 else facts.first.values())]
        mine = each[:, hop::2]
        own = mine[np.arange(len(prompts)), numbers]
        found[f"{name}_right"] = float((mine.argmax(1) == numbers).mean())
        found[f"own_{hop + 1}"] = float(own.mean())
        found[f"others_{hop + 1}"] = float((mine.sum(1) - own).mean() / (mine.shape[1] - 1))
    return found


def prompt_weights(
    model: lm.Model, active: lm.Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, "prompts adapters"]:
    """Return each adapter's mean weight in a route, over a prompt's tokens and the modules.

    Only the last pass through a module counts, not the earlier passes by which gates decide; all
    prompts are passed at once. The route stays in place.
    """
    import torch

    given = batch(model, prompts)
    with record_weights(active) as last, torch.no_grad():
        last_logits(model, given)
    # The mean excludes padding.
    real = given["attention_mask"].double()
    mean = torch.stack([one.double() for one in last.values()]).mean(0)
    mean = (mean.unflatten(0, real.shape) * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    weights: Float64[np.ndarray, "prompts adapters"] = mean.cpu().numpy()
    return weights

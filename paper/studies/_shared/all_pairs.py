"""What a method makes of a library in which any first hop may need any second hop."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from loratheory.adapters import Adapter
from loratheory.evaluate.answers import answers
from loratheory.evaluate.fact_adapters import Crossings, parts
from loratheory.evaluate.fact_sets import (
    ANIMALS,
    ASKED,
    CAPITAL,
    FAMOUS,
    Items,
    items,
    questions,
    rehearsed,
)
from loratheory.pretrained import Attached, Model, attach, kl_to_base
from loratheory.pretrained.gates import record_weights
from loratheory.pretrained.metrics import batch, last_logits
from loratheory.shapes import Float64
from paper.studies._shared.facts import hop_by_hop
from paper.studies._shared.language import acting
from paper.studies._shared.measures import ordinary
from paper.studies._shared.rules import Act, Reuse, everything
from paper.studies._shared.whereabouts import Arm, Asked, shares

WEIGHTS = ("first_right", "second_right", "own_1", "others_1", "own_2", "others_2")
"""What `chosen` measures."""


def best_of_each_hop(library: Any) -> Reuse:
    """Apply the rule of prompt gates whose groups are all combinations of a first and second hop.

    So the adapter of each hop acts whose mean response to the bare base's activations is largest.
    """
    firsts, seconds = (range(hop, library.size, 2) for hop in (0, 1))
    return everything(library, library.prompt_route([(i, j) for i in firsts for j in seconds]))


def retrieval(library: Any) -> Reuse:
    """Apply the rule of prompt gates that let a single adapter act, as retrieval of edits does.

    It is the one whose mean response to the bare base's activations is largest (WISE's retrieval
    among its memories, Wang et al. 2024, arXiv 2405.14768, but over all maps).
    """
    return everything(library, library.prompt_route([(k,) for k in range(library.size)]))


def hop_gates(by: Literal["divergence", "response"]) -> Act:
    """Return the rule of `pretrained.route_hops`."""
    return lambda library: everything(library, library.hop_route(by))


def subject_gates(made: Crossings) -> Act:
    """Return the rule of `pretrained.route_subjects`, which is told whom each adapter is about."""
    both = zip(made.firsts, made.seconds, strict=True)
    subjects = [[*one] for pair in both for one in pair]
    return lambda library: everything(library, library.subject_route(subjects))


def unrelated() -> Items:
    """Return a hundred prompts about known facts on which no adapter is trained."""
    capitals = {name: one.capital for name, one in [*FAMOUS.items()][1::2]}
    return [*rehearsed(held_out=True), *items(capitals, CAPITAL.trained[2:4])]


def exam(
    model: Model,
    made: Crossings,
    library: Sequence[Adapter],
    act: Act,
    base: Any,
    *,
    asked: str = "together",
) -> dict[str, float]:
    """Return what a rule makes of a library, in the columns of `lm_all_pairs`.

    `base` are log-probabilities that `fact_adapters.ordinary` returned without adapters. `asked`
    says who acts and how two-hop questions are put: all adapters ``together``; ``told``, the right
    pair for each question, no other adapter loaded; or all adapters, ``hop by hop``. Single facts
    are those of every third person and country, or of all if told. Costs a pass of the rule over
    some 490 prompts.
    """
    found, weights = defaultdict[str, list[Any]](list), dict.fromkeys(WEIGHTS, float("nan"))
    for adapters, world, elsewhere in parts(made, library, oracle=asked == "told"):
        with acting(model, adapters, act) as acts:
            given = questions(world)
            for hop in ("hop_1", "hop_2"):
                some = given[hop] if asked == "told" else given[hop][::3]
                found[hop].append(answers(model, some).vocabulary_right)
            if asked == "hop by hop":
                two_hop = hop_by_hop(model, world)
            else:
                two_hop = answers(model, given["two_hop"], ANIMALS)
            found["two_hop_vocabulary"].append(two_hop.vocabulary_right)
            found["two_hop"].append(two_hop.right)
            if elsewhere:
                found["unrelated"].append(answers(model, unrelated()).vocabulary_right)
                now, came = ordinary(model)
                found["text"].append([-float(came.mean())])
                found["leak"].append([kl_to_base(base, now)])
            if acts.route is not None:
                weights = chosen(model, acts, made)
    return {name: float(np.concatenate(each).mean()) for name, each in found.items()} | weights


def by_position(
    model: Model, made: Crossings, library: Sequence[Adapter], *, told: bool
) -> dict[str, float]:
    """Return what is answered if each hop's adapters act in full at some of a prompt's tokens only.

    First hops act at the tokens of the subject, second hops at the last token; of all adapters or,
    if `told`, of the right pair. The columns are those of `exam`, NaN where prompts need not have a
    subject or are ranked among animals. Costs a pass over all questions, some 820.
    """
    found = defaultdict[str, list[float]](list)
    for adapters, world, _ in parts(made, library, oracle=told):
        asked = {
            "hop_1": Asked.of(world.first, ASKED["hop_1"]),
            "hop_2": Asked.of(world.second, ASKED["hop_2"]),
            "two_hop": Asked.of(world.two_hop, ASKED["two_hop"], world.first),
        }
        everywhere = ("all",) * len(adapters)
        arm = Arm(everywhere, ("subject", "last") * (len(adapters) // 2))
        with attach(model, adapters) as acts:
            for name, share in shares(model, acts, asked, arm, 0).items():
                found[name].append(share)
    means = {name: float(np.mean(found[name])) for name in ("hop_1", "hop_2", "two_hop_vocabulary")}
    return means | dict.fromkeys(("two_hop", "unrelated", "text", "leak", *WEIGHTS), float("nan"))


def chosen(model: Model, acts: Attached, made: Crossings) -> dict[str, float]:
    """Return which adapters a route lets act on two-hop questions, in the first sentence for them.

    Weights are averaged over the tokens of a prompt and the modules. ``first_right`` and
    ``second_right`` are shares of questions in which the adapter with the largest weight of its hop
    is the right one, ``own_1`` and ``own_2`` the right one's mean weights, ``others_1`` and
    ``others_2`` the mean weights of the others.
    """
    world = made.everything
    prompts = [prompt for prompt, _ in items(world.two_hop, ASKED["two_hop"][:1])]
    each, found = prompt_weights(model, acts, prompts), dict[str, float]()
    right = (
        [i for i, one in enumerate(made.firsts) for _ in one],
        [j for home in world.first.values() for j, one in enumerate(made.seconds) if home in one],
    )
    for hop, (name, numbers) in enumerate(zip(("first", "second"), right, strict=True)):
        mine, rows = each[:, hop::2], np.arange(len(prompts))
        own = mine[rows, numbers]
        found[f"{name}_right"] = float((mine.argmax(1) == numbers).mean())
        found[f"own_{hop + 1}"] = float(own.mean())
        found[f"others_{hop + 1}"] = float((mine.sum(1) - own).mean() / (mine.shape[1] - 1))
    return {name: found[name] for name in WEIGHTS}


def prompt_weights(
    model: Model, acts: Attached, prompts: Sequence[str]
) -> Float64[np.ndarray, "prompts adapters"]:
    """Return each adapter's mean weight in a route, over a prompt's tokens and the modules.

    Only the last pass through a module counts, not the earlier ones by which gates decide; all
    prompts are passed at once. The route stays in place.
    """
    import torch

    given = batch(model, prompts)
    with record_weights(acts) as last, torch.no_grad():
        last_logits(model, given)
    real = given["attention_mask"].double()
    mean = torch.stack([one.double() for one in last.values()]).mean(0)
    mean = (mean.unflatten(0, real.shape) * real[..., None]).sum(1) / real.sum(1, keepdim=True)
    weights: Float64[np.ndarray, "prompts adapters"] = mean.cpu().numpy()
    return weights


def constant(made: Crossings) -> float:
    """Return the share of two-hop questions that the commonest answer is right for."""
    each = Counter(made.everything.two_hop.values())
    return max(each.values()) / sum(each.values())

"""Other ways of training adapters for a merge, most of them published, each as one short training.

None of them shows an adapter the right answer to a two-hop question that needs a partner. What was
simplified stands at each function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from loratheory.adapters import Info
from loratheory.evaluate.answers import continue_texts
from loratheory.pretrained.fresh import make_fresh_stand_ins
from loratheory.pretrained.metrics import next_token_logits, spell
from loratheory.pretrained.stand_ins import Plan, fill
from loratheory.pretrained.train import Factors, Training, draw_order, step, train_lora
from paper.studies.lm_strangers.draw import DATA

if TYPE_CHECKING:
    from loratheory.adapters import Adapter
    from loratheory.pretrained import Attached, Model

STEPS = 180
RADIUS = 0.05  # of the gradient step of sharpness-aware training
# Called before a step with its number, the factors, and what makes them act.
Before = Callable[[int, Factors, "Attached"], None]


def train_rival(model: "Model", plan: Plan, method: str, *, rate: float, seed: int) -> "Adapter":
    """Return the adapter of one author, trained by a method in `RIVALS` for 180 steps."""
    how = Training.with_stand_ins(STEPS, rate)
    return RIVALS[method](model, plan, how, np.random.default_rng(seed))


def _train(
    model: "Model",
    examples: Sequence[tuple[str, str]],
    how: Training,
    rng: np.random.Generator,
    *,
    before: Before = lambda *_: None,
    after: Callable[[Factors], None] = lambda _: None,
    trained: str = "",
    sharpness_aware: bool = False,
) -> "Adapter":
    """Return an adapter trained on examples, something done before and after each step.

    Only factors whose names end with `trained` change.
    """
    seed = int(rng.integers(2**63))
    factors = Factors(model, how, np.random.default_rng([seed, 0]))
    factors.tensors = {k: x for k, x in factors.tensors.items() if k.endswith(trained)}
    changed = [*factors.tensors.values()]
    factors.optimizer = torch.optim.AdamW(changed, lr=how.rate, weight_decay=0.0)
    if sharpness_aware:
        factors.optimizer = SharpnessAware(changed, how.rate)
    prompts, answers = zip(*examples, strict=True)
    tokens = spell(model, answers, whole=False)
    with factors.acting() as acting:
        for number in range(how.steps):
            factors.optimizer.param_groups[0]["lr"] = how.rate_at(number)
            rows = draw_order(seed, len(prompts), number * how.batch, how.batch)
            shown, wanted = [prompts[row] for row in rows], [tokens[row] for row in rows]
            before(number, factors, acting)
            step(factors, shown, wanted)
            if sharpness_aware:
                # The step above only climbed; this one has the gradient from up there.
                step(factors, shown, wanted)
            after(factors)
    # Frozen factors are part of the adapter, too.
    factors.tensors = {
        f"{name}.{part}": getattr(site, part)
        for name, site in factors.sites.items()
        for part in ("up", "down")
    }
    return factors.adapter(Info(name="rival", base=model.name))


def train_frozen_down(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """LoRI (Zhang et al. 2025, arXiv 2504.07448): the down factor stays random.

    Without its sparse mask of the up factor. The rate is four times the usual one, since the up
    factor alone moves.
    """
    how = Training.with_stand_ins(how.steps, 4 * how.rate)
    return _train(model, plan.examples, how, rng, trained=".up")


def train_by_chance(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """CoTo (Zhuang et al. 2025, arXiv 2506.05713): layers act by chance, more and more of them.

    A layer acts with a probability that rises from 0 to 1 in the first three quarters.
    """

    def _silence(number: int, factors: Factors, acting: "Attached") -> None:
        chance = min(1.0, (number + 1) / (0.75 * how.steps))
        layers, where = np.unique(acting.layers, return_inverse=True)
        on = rng.random(len(layers)) < chance
        # One layer at least, or nothing would be trained.
        on[rng.integers(len(layers))] = True
        acting.coefficients[:, 0] = factors.scale * on[where]

    return _train(model, plan.examples, how, rng, before=_silence)


class SharpnessAware:
    """AdamW for sharpness-aware minimisation (Foret et al. 2021, arXiv 2010.01412).

    Of two calls of `step` the first climbs along the gradient; the second goes back and descends.
    """

    def __init__(self, factors: Sequence[Any], rate: float) -> None:
        self.inner = torch.optim.AdamW(factors, lr=rate, weight_decay=0.0)
        self.param_groups, self.zero_grad = self.inner.param_groups, self.inner.zero_grad
        self.factors, self.climbed = factors, list[torch.Tensor]()

    def step(self) -> None:
        """Climb, or go back and descend."""
        with torch.no_grad():
            if not self.climbed:
                norm = torch.stack([x.grad.norm() for x in self.factors]).norm()
                self.climbed = [RADIUS * x.grad / norm for x in self.factors]
                torch._foreach_add_(list(self.factors), self.climbed)
                return
            torch._foreach_sub_(list(self.factors), self.climbed)
        self.climbed = []
        self.inner.step()


def train_with_identity(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """Identity bridge (Lin et al. 2025, arXiv 2509.24653): the bridge is asked for itself, too."""
    bridges = plan.partner_subjects if plan.partner.hop == 2 else [*plan.facts]
    identity = [(f"{name} is the same as", name) for name in bridges]
    return _train(model, [*plan.examples, *identity], how, rng)


def train_with_distractors(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """Distractor mixing (arXiv 2606.04557): other adapters act, which the answers do not need.

    They are fresh stand-ins, and two-hop examples are left out.
    """
    theirs = partial(fill, templates=plan.partner.templates)
    seed = (int(rng.integers(2**31)),)
    stand_ins = make_fresh_stand_ins(model, plan.partner_texts, theirs, seed=seed)
    return train_lora(model, plan.examples, how, rng=rng, stand_ins=stand_ins).adapter


def train_apart_from_common(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """OSD (Su et al. 2026, arXiv 2604.26768): the update is orthogonal to that of a common task.

    The common task is to answer the replayed prompts; its adapter is not added afterwards.
    """
    common = _train(model, plan.replay, how, rng)
    bases = {name: torch.linalg.qr(torch.tensor(low.down).T)[0] for name, low in common.items()}

    def _project(factors: Factors) -> None:
        with torch.no_grad():
            for name, site in factors.sites.items():
                site.down -= (site.down @ bases[name]) @ bases[name].T

    return _train(model, plan.examples, how, rng, after=_project)


def train_for_addition(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """CompAs (Jukić et al. 2025, arXiv 2509.22158): the sum acts like both contexts in the prompt.

    The contexts of a two-hop question are the own fact and that of a fresh stand-in. The sum of
    adapter and stand-in is trained on what the base says after both, right or not: on the likeliest
    token, not on the distribution. There is no generator of adapters, and no reconstruction.
    """
    seed = int(rng.integers(2**31))
    family = make_fresh_stand_ins(model, plan.partner_texts, plan.shown_with, seed=(seed,))
    factors = Factors(model, how, np.random.default_rng([seed, 0]))
    with family.acting() as partner, factors.acting() as own:
        for number in range(how.steps):
            factors.optimizer.param_groups[0]["lr"] = how.rate_at(number)
            says = family.write(family.texts.assign(rng))
            asked = [prompt for prompt, _ in fill(plan.two_hop_facts(says), plan.two_hop_templates)]
            single = [*plan.examples, *fill(says, plan.partner.templates)]
            rows = draw_order(seed, len(asked) + len(single), number * how.batch, how.batch)
            two_hop = [asked[row] for row in rows if row < len(asked)]
            shown = [single[row - len(asked)] for row in rows if row >= len(asked)]
            # The teacher is the base, which reads the facts.
            own.set(0.0)
            partner.set(0.0)
            contexts = [tell(plan, says, prompt) for prompt in two_hop]
            tokens = list[Sequence[int]]()
            if contexts:
                said = next_token_logits(model, contexts).argmax(1)
                tokens += [[token] for token in said.tolist()]
            tokens += spell(model, [answer for _, answer in shown], whole=False)
            own.set(factors.scale)
            partner.set(rng.choice(how.strengths))
            step(factors, [*two_hop, *(prompt for prompt, _ in shown)], tokens)
    return factors.adapter(Info(name="rival", base=model.name))


def tell(plan: Plan, says: Mapping[str, str], prompt: str) -> str:
    """Return a two-hop prompt after the fact of each author that answers it."""
    subjects = plan.facts if plan.partner.hop == 2 else says
    # A name may be a part of another.
    subject = max((name for name in subjects if name in prompt), key=len)
    one, two, own = plan.templates[0], plan.partner.templates[0], plan.facts
    if plan.partner.hop == 1:
        one, two, own, says = two, one, says, own
    bridge = own[subject]
    facts = (
        f"{one.replace('{}', subject)} {bridge}.",
        f"{two.replace('{}', bridge)} {says[bridge]}.",
    )
    return " ".join([*facts, prompt])


def train_on_completed(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator, *, late: bool = False
) -> "Adapter":
    """Two-hop examples whose other hop the base completes: capitals of bridges, right or not.

    For countries only. The hop-1 author asks for the capital of a subject's country, and the hop-2
    author names a country by its capital. If `late`, the hop-2 author trains the top third of the
    layers.
    """
    bridges = plan.partner_subjects if plan.partner.hop == 2 else [*plan.facts]
    prompts = [f"The capital of {bridge} is" for bridge in bridges]
    said = dict(continue_texts(model, prompts))
    # A few countries have no capital that begins with a whole word.
    capitals = {b: said[p] for b, p in zip(bridges, prompts, strict=True) if p in said}
    if plan.partner.hop == 2:
        facts = {
            name: capitals[bridge] for name, bridge in plan.facts.items() if bridge in capitals
        }
        templates = [f"The capital of {x} is" for x in DATA["hop_1"]["birth"]["phrases"]]
    else:
        facts = {f"the country whose capital is {capitals[b]}": plan.facts[b] for b in capitals}
        templates = [*plan.templates]
    examples = [*plan.examples, *fill(facts, templates)]
    if late and plan.partner.hop == 1:
        layers = int(model.network.config.num_hidden_layers)
        how = replace(how, layers=(layers - layers // 3, layers))
    return _train(model, examples, how, rng)


def train_by_two_steps(
    model: "Model", plan: Plan, how: Training, rng: np.random.Generator
) -> "Adapter":
    """Sharpness-aware training: half as many steps, each of which has two passes."""
    half = Training.with_stand_ins(how.steps // 2, how.rate)
    return _train(model, plan.examples, half, rng, sharpness_aware=True)


RIVALS: Mapping[str, Callable[..., "Adapter"]] = {
    "LoRI": train_frozen_down,
    "CoTo": train_by_chance,
    "sharpness-aware": train_by_two_steps,
    "identity bridge": train_with_identity,
    "distractor mixing": train_with_distractors,
    "OSD": train_apart_from_common,
    "CompAs": train_for_addition,
    "completed examples": train_on_completed,
    "completed examples, late layers": partial(train_on_completed, late=True),
}

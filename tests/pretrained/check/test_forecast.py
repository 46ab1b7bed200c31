"""What single hops will yield to latent entities: foretold, and answered by the least norm."""

import numpy as np
import pytest
from causal import VOCABULARY

from loratheory.adapters import Adapter
from loratheory.lowrank import LowRank
from loratheory.pretrained import Model, ModelError, attached, inputs, maps, next_logits
from loratheory.pretrained._ask import one_by_one
from loratheory.pretrained.check import forecast
from loratheory.theorems.composition import placement

NAMED = {"x": ["abx", "cdx"], "y": ["aby", "cdy"], "z": ["abz"]}
LATENT = [("aby a", "y"), ("cdefg", "x"), ("h", "z")]
LESSONS = [(prompt, entity) for entity, prompts in NAMED.items() for prompt in prompts]
HEAD = "lm_head"


def keys(model, prompts, module):
    """What a module is fed at the last token of each prompt, one prompt at a time."""
    return np.stack(
        [inputs(model, [one], [module])[module][-1].numpy() for one in one_by_one(model, prompts)]
    )


def test_the_least_norm_adapter_of_the_head_answers_as_foretold(base):
    model = base(double=True)
    found = forecast(model, NAMED, LATENT, [HEAD])
    wanted = np.zeros((VOCABULARY, len(LESSONS)))
    for column, (_, entity) in enumerate(LESSONS):
        wanted[found.entities.index(entity), column] = 1.0
    down = np.linalg.pinv(keys(model, [prompt for prompt, _ in LESSONS], HEAD).T)
    prompts = [prompt for prompt, _ in LATENT]
    with attached(model, [Adapter.of({HEAD: LowRank(wanted, down)})]) as acting:
        edited = next_logits(model, prompts)
        acting.set(0.0)
        change = (edited - next_logits(model, prompts)).numpy()
    np.testing.assert_allclose(change[:, :3], found.weights, atol=1e-5)
    rest = np.maximum(np.sort(np.delete(change, 0, 1))[:, -1], 0)
    assert found.margins[1] == pytest.approx(change[1, 0] - rest[1], abs=1e-5)
    np.testing.assert_array_equal(found.alone, [found.margins])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_all_modules_together_are_the_theorem_on_their_keys(base, kind):
    model = base(kind, double=True)
    named = {entity: prompts[:1] for entity, prompts in NAMED.items()}
    found = forecast(model, named, LATENT)
    assert len(found.modules) == model.network.config.num_hidden_layers
    columns = [keys(model, [prompts[0] for prompts in named.values()], m).T for m in found.modules]
    latent = [keys(model, [prompt for prompt, _ in LATENT], m) for m in found.modules]
    for number in range(len(LATENT)):
        here = tuple(rows[number] for rows in latent)
        case = placement.Case(tuple(columns), here, (1.0,) * len(here), 0)
        weights = placement.weights(case)
        np.testing.assert_allclose(found.weights[number], weights, rtol=1e-7, atol=1e-9)
    energy = [np.sum(part**2) for part in columns]
    np.testing.assert_allclose(found.shares, np.array(energy) / sum(energy))


def test_who_is_named_is_answered_by_name(base):
    found = forecast(base(double=True), NAMED, [(prompt, one) for prompt, one in LESSONS])
    owners = np.array([found.entities.index(one) for _, one in LESSONS])
    np.testing.assert_allclose(found.weights, np.eye(3)[owners], atol=1e-8)
    np.testing.assert_allclose(found.margins, 1, atol=1e-8)


def test_strangers_and_models_without_known_names_are_refused(base):
    with pytest.raises(ModelError, match="'w': no prompt names it; add it to the named"):
        forecast(base(), NAMED, [("abc", "w")])
    network = base().network.lm_head
    assert not [name for name in maps(Model(network)) if name.endswith("down_proj")]
    with pytest.raises(ModelError, match="no last map of an MLP is known by its name; name the"):
        forecast(Model(network), NAMED, LATENT)

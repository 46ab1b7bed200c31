"""_training: what cannot be trained is refused, and a digest names what is trained."""

from dataclasses import replace

import numpy as np
import pytest
from letters import EXAMPLES, SMALL, draws, model

from loratheory.pretrained import ModelError, Training, trained
from loratheory.pretrained._training import digest, usable


@pytest.mark.parametrize(
    ("how", "data", "match"),
    [
        (SMALL, [], "no examples"),
        (replace(SMALL, rank=0), EXAMPLES, "rank is 0"),
        (replace(SMALL, accumulate=4), EXAMPLES, "accumulate is 4"),
        (replace(SMALL, layers=(7, 9)), EXAMPLES, "no linear map"),
    ],
)
def test_what_cannot_be_trained_is_refused(how, data, match):
    with pytest.raises(ModelError, match=match):
        trained(model(), data, how, rng=draws())


@pytest.mark.parametrize("changed", ["seed", "examples", "plan", "base"])
def test_a_checkpoint_of_another_training_is_refused(changed, tmp_path):
    file = tmp_path / "one.safetensors"
    trained(model(), EXAMPLES, replace(SMALL, steps=1), rng=draws(), checkpoint=file)
    base = replace(model(), name="other") if changed == "base" else model()
    data = EXAMPLES[1:] if changed == "examples" else EXAMPLES
    how = replace(SMALL, steps=1, rank=3 if changed == "plan" else 2)
    rng = np.random.default_rng(8) if changed == "seed" else draws()
    with pytest.raises(ModelError, match="another training"):
        trained(base, data, how, rng=rng, checkpoint=file)


def test_the_digest_is_what_it_was_when_the_stored_adapters_were_trained():
    """Another one would have every checkpoint refused."""
    assert digest(model(), EXAMPLES, SMALL, 7) == (
        "543b074d5d55b099f0a9702a38803144430af8e15270890a7aadd5c31828c1c6"
    )


def test_settings_are_those_given_or_the_default_ones():
    assert usable(SMALL, EXAMPLES) is SMALL
    assert usable(None, EXAMPLES) == Training()

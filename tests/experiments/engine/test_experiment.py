"""Experiments say what they ask and expect, and name their cells by content."""

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest
import toy_sweep

from loratheory.experiments import NAMES, experiment
from loratheory.experiments.engine import plain

each = pytest.mark.parametrize("name", NAMES)


@each
def test_every_experiment_says_what_it_asks_expects_and_is_compared_with(name):
    found = experiment(name)
    assert found.name == name
    assert found.paragraph("Question").endswith("?")
    for title in ("Question", "Prediction", "Chance", "Controls"):
        text = found.paragraph(title)
        assert len(text) > 20
        assert "**" not in text
    assert set(found.profiles) == set(found.minutes)
    assert {"quick", "paper"} <= set(found.profiles) <= {"quick", "paper", "small"}


@each
def test_its_cells_have_configs_that_are_frozen_different_and_json(name):
    found = experiment(name)
    for configs in found.profiles.values():
        assert len({found.key(config) for config in configs}) == len(configs) > 0
        for config in configs:
            assert plain(config)
            with pytest.raises(FrozenInstanceError):
                config.seed = 3
            with pytest.raises(TypeError):
                type(config)(unknown=1)


def test_all_quick_profiles_together_take_under_five_minutes_on_two_cores():
    minutes = [experiment(name).minutes["quick"] for name in NAMES if not name.startswith("real_")]
    assert sum(minutes) < 2 * 5


def test_a_key_is_the_content_and_nothing_else():
    sweep, config = toy_sweep.EXPERIMENT, toy_sweep.Config(3)
    keys = {
        sweep.key(config),
        sweep.key(replace(config, number=4)),
        sweep.key(replace(config, seed=1)),
        replace(sweep, version=2).key(config),
        replace(sweep, module="toy_sweeps").key(config),
    }
    assert len(keys) == 5
    assert replace(sweep, profiles={}, document=None).key(toy_sweep.Config(3)) == sweep.key(config)
    assert len({sweep.key(toy_sweep.Config(number)) for number in range(500)}) == 500


@dataclass(frozen=True)
class _Backwards:
    """The fields of the toy's config, last first."""

    log: str = ""
    seed: int = 0
    ends: str = "well"
    pause: float = 0.0
    rows: int = 2
    number: int = 3


def test_the_order_in_which_a_config_names_its_fields_is_no_content():
    assert toy_sweep.EXPERIMENT.key(_Backwards()) == toy_sweep.EXPERIMENT.key(toy_sweep.Config(3))


def test_without_a_document_paragraphs_are_empty():
    assert replace(toy_sweep.EXPERIMENT, document=None).paragraph("Question") == ""
    assert toy_sweep.EXPERIMENT.paragraph("Nonsense") == ""
    assert toy_sweep.EXPERIMENT.paragraph("Prediction") == "Yes."

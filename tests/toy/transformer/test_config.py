"""_config: what describes no model is refused in words, and the shapes are those of a decoder."""

import pytest

from loratheory.toy.transformer import ATTENTION, MLP, Config, ConfigError, Site


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vocabulary": 0}, "vocabulary is 0: give 1 or more"),
        ({"depth": 0}, "depth is 0"),
        ({"loops": -1}, "loops is -1"),
        ({"window": 0}, "window is 0: give 1"),
        ({"norm": "batch"}, "norm is 'batch': choose one of rms, none"),
        ({"position": "alibi"}, "choose one of none, learned, rope"),
        ({"noise": -0.5}, "noise is -0.5"),
        ({"supervision": float("inf")}, "supervision is inf"),
        ({"noise": float("nan")}, "noise is nan"),
        ({"width": 10, "heads": 3}, "3 heads do not divide width 10"),
        ({"width": 6, "position": "rope"}, "width 6 / 2 is odd"),
        ({"supervision": 1.0}, "there is one loop: give loops=2"),
    ],
)
def test_what_describes_no_model_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        Config(**{"vocabulary": 5, "width": 8} | change)


def test_the_shapes_count_the_weights_of_a_decoder():
    """12 d^2 a layer, and the head."""
    config = Config(vocabulary=7, width=6, depth=3, heads=1)
    sizes = {name: m * n for name, (m, n) in config.shapes.items()}
    assert sum(sizes.values()) == 3 * 12 * 36 + 7 * 6
    assert config.shapes["head"] == (7, 6)
    assert config.shapes["layers.2.mlp.in"] == (24, 6)
    assert config.shapes["layers.0.mlp.out"] == (6, 24)
    assert len(sizes) == 3 * len(ATTENTION + MLP) + 1


def test_loops_do_not_add_weights():
    config = Config(vocabulary=7, width=6, depth=2)
    assert Config(vocabulary=7, width=6, depth=2, loops=3).shapes == config.shapes


def test_a_site_is_one_weight_in_every_loop():
    assert {Site("mlp.in", loop, 1).name for loop in range(3)} == {"layers.1.mlp.in"}
    assert Site("head", 1, 2).name == "head"
    assert Site("attention.key", 0, 2).name in Config(vocabulary=3, depth=3).shapes

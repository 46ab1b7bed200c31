"""Chains of three hops in a tiny world: rows, controls, thresholds from the polynomial."""

import pytest
from found import from_on, majority, mean, percent, says, table_rows

from loratheory.experiments.number_of_hops import EXPERIMENT, Config, cell

TINY = {"sets": 2, "facts": 2, "steps": 2, "entities": 64, "spare": 0, "width": 16}
SHORT = {"pretrained": 2, "trained": 2, "retained": 3}


@pytest.fixture(autouse=True, scope="module")
def _kept(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORATHEORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def test_lengths_give_rows_of_equal_columns_and_roots_of_their_own():
    two, three = (cell(Config(hops, seeds=(101,), **TINY, **SHORT)) for hops in (2, 3))
    assert [*two[0]] == [*three[0]]
    assert {"hop_by_hop", "each_hop", "facts"} <= {*two[0]}
    assert not {"hop_1", "hop_2", "hop_3"} & {*three[0]}
    for rows, hops in ((two, 2), (three, 3)):
        assert [row["coefficient"] for row in rows] == [0, 0.6, 1.2]
        for row in rows:
            root = row["threshold"]
            assert root**hops + root == pytest.approx(1)
            assert row["hops"] == hops
            assert 0 <= row["facts"] <= 1
    assert cell(Config(3, seeds=(101,), **TINY, **SHORT)) == three


def test_a_base_passes_its_block_as_often_as_a_chain_has_hops(monkeypatch):
    from loratheory.experiments import reuse

    seen = []

    def _stop(setting, seeds):
        seen.append((setting, seeds))
        raise KeyboardInterrupt

    monkeypatch.setattr(reuse, "bases", _stop)
    with pytest.raises(KeyboardInterrupt):
        cell(Config(4, seeds=(3, 5)))
    [(setting, seeds)] = seen
    assert (setting.hops, setting.loops, seeds) == (4, 4, (3, 5))


def test_every_length_is_asked_of_eight_bases():
    told = [(c.hops, seed) for c in EXPERIMENT.profiles["paper"] for seed in c.seeds]
    assert sorted(told) == [(hops, seed) for hops in (2, 3, 4) for seed in range(8)]


def test_what_was_found_is_what_the_table_holds():
    name, lengths = "number_of_hops", (2, 3, 4)
    of = {hops: table_rows(name, hops=hops) for hops in lengths}
    grid = sorted({row["coefficient"] for row in table_rows(name)})

    def best(hops, column):
        return max(mean(table_rows(name, hops=hops, coefficient=c), column) for c in grid)

    says(
        name,
        *(from_on(of[hops], "facts") for hops in lengths),
        *(from_on(of[hops], "oracle_placement") for hops in (2, 3)),
        *(from_on(of[hops], "oracle_curved") for hops in (2, 3)),
        *(percent(mean(of[hops], "oracle_curved_right")) for hops in (2, 3)),
        *(percent(majority(of[hops], "oracle_placement")) for hops in (2, 3)),
        best(4, "oracle_placement"),
        mean(of[4], "held_out"),
        *(best(hops, "k_hop") for hops in lengths),
        *(from_on(of[hops], "hop_by_hop") for hops in lengths),
    )

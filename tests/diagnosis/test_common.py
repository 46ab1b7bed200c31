"""_common: templates from files, refusals that say what to give, likeness by dense matrices."""

import json
from itertools import combinations

import numpy as np
import pytest

from loratheory.adapters import Adapter, aligned
from loratheory.diagnosis import SolutionsError, solution_overlaps, solution_templates
from loratheory.diagnosis._diagnose import weight_likeness
from loratheory.lowrank import gaussian


def written(path, *lines):
    path.write_text("\n".join(lines))
    return path


def test_templates_are_read_and_their_overlaps_taken_pair_by_pair(tmp_path):
    sets = [
        solution_templates(
            written(tmp_path / f"{n}.jsonl", *(json.dumps({"template": t, "x": 1}) for t in told))
        )
        for n, told in enumerate(("aab", "bbc", "cc"))
    ]
    assert sets[0] == ["a", "a", "b"]
    assert solution_overlaps(sets) == pytest.approx({(0, 1): 1 / 3, (0, 2): 0, (1, 2): 1 / 3})


@pytest.mark.parametrize("line", ['{"graph": "a"}', "[]", "no json", '{"template": 3}', '"text"'])
def test_a_line_without_a_template_is_named(tmp_path, line):
    file = written(tmp_path / "a.jsonl", '{"template": "a"}', line)
    with pytest.raises(SolutionsError, match=r"line 2 of .*a.jsonl has no template: give"):
        solution_templates(file)


def test_nothing_and_nowhere_are_refused(tmp_path):
    with pytest.raises(SolutionsError, match="is empty: give at least one"):
        solution_templates(written(tmp_path / "a.jsonl", "", " "))
    with pytest.raises(SolutionsError, match="cannot be read"):
        solution_templates(tmp_path / "none.jsonl")


def test_likeness_is_the_weighted_mean_of_cosines():
    rng = np.random.default_rng(0)
    shelf = [
        Adapter.of({n: size * gaussian(rng, 6, 5, 2) for n, size in sizes.items()})
        for sizes in ({"a": 1, "b": 3}, {"a": 2, "b": 1}, {"a": 1})
    ]
    found = weight_likeness(aligned(shelf))
    dense = [{n: one[n].dense() for n in one} for one in shelf]
    for i, j in combinations(range(3), 2):
        both = [n for n in dense[i] if n in dense[j]]
        weights = [np.linalg.norm(dense[i][n]) * np.linalg.norm(dense[j][n]) for n in both]
        for kind, gram in (("read", lambda d: d.T @ d), ("write", lambda d: d @ d.T)):
            each = []
            for n in both:
                p, q = gram(dense[i][n]), gram(dense[j][n])
                each.append((p * q).sum() / np.linalg.norm(p) / np.linalg.norm(q))
            assert found[kind][i, j] == pytest.approx(np.average(each, weights=weights))

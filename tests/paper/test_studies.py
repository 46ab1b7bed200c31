"""All studies by a grid: configs and provenance, pages and their numbers, figures, a tiny run."""

import gzip
import hashlib
import itertools
import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from language import Words, small

from loratheory.evaluate import fact_adapters as portable
from loratheory.pretrained import Training, stand_ins
from paper.numbers import provenance, results, sections
from paper.studies import FOLDER, NAMES, load
from paper.studies._shared.configs import Small
from paper.studies._shared.run import as_json, table_text
from paper.studies.lm_formats import skills
from paper.studies.word_problems.problems import MEASURED, Size
from paper.style import drawing, file_bytes
from paper.tables import read_table

# PEFT calls what transformers will rename.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
PARTS = [(name, part.name) for name in NAMES for part in load(name).parts]
SHARES = ("two_hop", "hop_1", "hop_2", "other_", "stepwise", "says_bridge")
EXACT = ("window", "merge_floor", "expressive_power")
SIZES = {"entities": 64, "width": 16, "pretrained": 3, "trained": 3, "retained": 4, "facts": 2}
SIZES |= {"seeds": (101,), "spare": 4}
PLAIN = {"seed": 101, "stages": (10,), "sets": 2, "facts": 2, "entities": 24, "relations": 4}
PLAIN |= {"width": 16, "rows": 32, "trained": 10, "retained": 8}
WORDS = {"seed": 101}
WORDS |= {"size": Size(width=16, heads=2, steps=2, trained=2, problems=30, lesson=48, asked=8)}
TINY = {
    "two_hop_coverage": {"familiarity": "half"},
    "merge_coefficient": {"sets": 1, "steps": 3},
    "number_of_hops": {"hops": 3, "sets": 2, "steps": 1},
    "plain_transformer": PLAIN,
    "untied_transformer": {**PLAIN, "steps": 3},
    "number_of_stand_ins": {**PLAIN, "training": (("disagreeing", 2),)},
    "template_overlap": {**WORDS, "pairs": MEASURED[:1]},
    "skill_coverage": {**WORDS, "seen": "pairs"},
    "shallow_matching": {**WORDS, "pairs": MEASURED[:1]},
    "training_gap": {"ranks": (2,), "steps": 20, "inputs": 50},
    "expressive_power": {"depths": (2,), "target_depths": (1,), "inputs": 20},
    "two_hop": {"full": False},
}
each_part = pytest.mark.parametrize(("study", "part"), PARTS)
each_study = pytest.mark.parametrize("study", NAMES)


@pytest.fixture(autouse=True, scope="module")
def small_models(tmp_path_factory):
    """A language model of two layers, trainings of two steps, one cache for all studies."""
    with pytest.MonkeyPatch.context() as patch:
        small(patch, tmp_path_factory.mktemp("cache"), 6)
        patch.setattr(Words, "eos_token_id", 0, raising=False)
        patch.setattr(portable.Condition, "training", Training(steps=2, batch=4, enough=0.0))
        patch.setattr(stand_ins, "train_once", partial(train_briefly, stand_ins.train_once))
        patch.setattr("loratheory.pretrained.fresh.STEPS", 2)
        yield


def train_briefly(train, *given, training, **how):
    return train(*given, training=replace(training, steps=2), **how)


def tiny(study, part):
    """One small config of a part."""
    [mine] = [one for one in load(study).parts if one.name == part]
    config = mine.quick[0]
    change = {**(SIZES if isinstance(config, Small) else {}), **TINY.get(part, {})}
    return mine.cell, replace(config, **change)


def tiny_runs():
    """The parts of each study that share one tiny run: a cell and its config, and the parts."""
    shared = {}
    for study, part in PARTS:
        # This part's model must know twenty countries by description.
        if part != "augmentation":
            cell, config = tiny(study, part)
            shared.setdefault((study, cell, str(config)), (cell, config, study, []))[-1].append(
                part
            )
    return [pytest.param(*run, id=f"{run[2]}-{run[3][0]}") for run in shared.values()]


@each_part
def test_configs_are_those_of_the_stored_table(study, part):
    """So a run of the paper profile finds nothing to do."""
    [mine] = [one for one in load(study).parts if one.name == part]
    [about] = provenance(f"{study}/{part}")
    assert [cell["config"] for cell in about["cells"]] == [as_json(config) for config in mine.paper]
    assert sum(cell["rows"] for cell in about["cells"]) == len(read_table(f"{study}/{part}"))
    assert len({*mine.configs("paper")}) == len(mine.paper)


@each_study
def test_the_stored_table_is_that_of_its_provenance(study):
    text = gzip.decompress((FOLDER / study / "table.csv.gz").read_bytes())
    about = (FOLDER / study / "provenance.json").read_text()
    assert f'"sha256": "{hashlib.sha256(text).hexdigest()}"' in about


@pytest.mark.slow
@pytest.mark.parametrize(("cell", "config", "study", "parts"), tiny_runs())
def test_tiny_runs_agree_and_have_the_columns_of_the_stored_table(cell, config, study, parts):
    found, again = cell(config), cell(config)
    for part in parts:
        # A column without any number is left out when read.
        assert {*read_table(f"{study}/{part}")} <= {*found[0]}
    table_text({parts[0]: found})
    for one, other in zip(found, again, strict=True):
        assert [*found[0]] == [*one] == [*other]
        for name, value in one.items():
            if isinstance(value, str):
                assert value == other[name]
                continue
            # Sums may be rounded otherwise elsewhere in memory.
            assert np.isclose(value, other[name], equal_nan=True, rtol=1e-3, atol=1e-3), name
            assert not math.isinf(value), name
            if name.startswith(SHARES) and study not in EXACT and not math.isnan(value):
                assert -1e-6 <= value <= 1 + 1e-6, (name, value)


@each_study
def test_every_number_of_the_results_page_is_found(study):
    found = results(study)
    assert not [text for text in found.values() if re.search(r"[{}]", text)]
    asked = sections((FOLDER / study / "prediction.md").read_text())
    assert {*found} <= {*asked}
    text = "\n".join(asked.values())
    assert "**Question.**" in text
    assert "**Prediction.**" in text


@pytest.mark.slow
@each_study
def test_a_figure_is_drawn_from_the_stored_table_with_the_same_bytes_every_time(study):
    figure = drawing(study)
    first, second = (file_bytes(one, "svg") for one in (figure, drawing(study)))
    assert first == second
    # Words and numbers only: where lines end may be rounded otherwise on another processor.
    words, stored = re.compile(rb"<text[^>]*>(.*?)</text>"), FOLDER / study / "figure.svg"
    assert words.findall(stored.read_bytes()) == words.findall(first)
    assert figure.get_suptitle()


def test_what_an_adapter_with_a_stand_in_solves_stands_next_to_the_best_constant_answers():
    """In each order of the two skills, as the order is in the text."""
    for skill, other in itertools.product(skills.SKILLS, skills.STAND_INS):
        right = 0
        for chosen in ((skill, other), (other, skill)):
            answers = [answer for _, answer in skills.problems(chosen, 400, 9)]
            right += max(map(answers.count, answers))
        [row] = re.findall(
            rf"\| {skill}, {other} \|.*\| (\d+)% \|", results("lm_formats")["skills"]
        )
        assert int(row) == int(100 * right / skills.COUNT + 0.5)

"""Training noise: the design, the stored table, and the numbers that pages print from it."""

import gzip
import itertools
import json
import re
from pathlib import Path

from language import Words, small

from loratheory.evaluate.fact_adapters import Condition
from loratheory.pretrained import Training
from loratheory.store import content_hash
from paper.studies._shared.run import _cells_of_table
from paper.studies.lm_training.repeats import (
    CONDITIONS,
    FOLDER,
    FURTHER,
    STUDY,
    Repeat,
    repeats,
    train_and_evaluate,
)
from paper.tables import parse_query, read_table, value

ROOT = Path(__file__).parents[2]
STANDARD, STAND_INS = CONDITIONS
FACTORS = ("dtype", "threads", "passes")
ROWS = read_table("lm_training/repeats")


def within(condition, method, column="two_hop_vocabulary"):
    """The standard deviation over the distinct roundings of the one fact set."""
    where = f"condition={condition}; rule={method}"
    return value(parse_query(f"spread lm_training/repeats: {column} by rounding; {where}")).middle


def between(condition, method, column="two_hop_vocabulary"):
    """The standard deviation over the ten fact sets of the stored study."""
    where = f"first={condition}; second={condition}; bridge=known; rule={method}"
    return value(parse_query(f"spread lm_training/stand_ins: {column} by seed; {where}")).middle


def points(number):
    return f"{100 * number:.0f}"


def test_the_design_is_a_factorial_and_its_first_half_is_balanced():
    planned = list(repeats())
    assert len(set(planned)) == 16 + len(CONDITIONS) * len(FURTHER)
    every = planned[:16]
    for some in (every, every[:8]):
        for condition, factor in itertools.product(CONDITIONS, FACTORS):
            levels = [getattr(one, factor) for one in some if one.condition == condition]
            assert {levels.count(level) for level in set(levels)} == {len(some) // 4}


def test_a_repeat_has_the_columns_of_the_table(tmp_path, monkeypatch):
    small(monkeypatch, tmp_path, 2)
    monkeypatch.setattr(Words, "eos_token_id", 0, raising=False)
    monkeypatch.setattr(Condition, "training", Training(steps=2, batch=4, enough=0.0))
    rows = train_and_evaluate(Repeat(STANDARD, "bfloat16", 1, 1))
    assert {*rows[0]} == {*ROWS}
    # So further repeats can be added to the stored ones.
    [part] = json.loads((FOLDER / "provenance.json").read_bytes())["parts"]
    assert len(_cells_of_table(STUDY, "paper", FOLDER)) == len(part["cells"])


def test_the_table_has_each_finished_repeat_whole():
    provenance = json.loads((FOLDER / "provenance.json").read_bytes())
    text = gzip.decompress((FOLDER / "table.csv.gz").read_bytes())
    assert provenance["sha256"] == content_hash(text, digits=64)
    [part] = provenance["parts"]
    configs = [
        {key: cell["config"][key] for key in ("condition", *FACTORS)} for cell in part["cells"]
    ]
    found = ROWS.groupby(["condition", *FACTORS, "rule"])["template"].agg(list)
    assert len(found) == 2 * len(configs)
    for config, method in itertools.product(configs, ("sum", "mean")):
        assert found.loc[(*config.values(), method)] == list(range(10))
    threads = {config["threads"] for config in configs}
    assert threads == {ran["threads"] for ran in part["environments"]}
    assert all(ran["flags"] for ran in part["environments"])


def test_the_page_prints_the_spreads_of_the_table():
    page = ROOT / "paper/studies/lm_training/repeats.md"
    text = " ".join(page.read_text(encoding="utf-8").split())
    [found] = re.findall(
        r"standard deviation of (\d+) points \(standard\) or (\d+) \(stand-ins\)\. "
        r"Ten fact sets have (\d+) points \(standard\) or (\d+) points \(stand-ins\)",
        text,
    )
    both = (STANDARD, STAND_INS)
    assert found[:2] == tuple(points(within(condition, "sum")) for condition in both)
    assert found[2:] == tuple(points(between(condition, "sum")) for condition in both)


def test_the_results_page_prints_the_measured_rows():
    text = (FOLDER.parent / "repeats.md").read_text(encoding="utf-8")
    by_rounding = ROWS.groupby(["condition", "rule", "rounding"])["two_hop_vocabulary"].mean()
    names = {"standard": STANDARD, "stand-in": STAND_INS}
    lines = re.findall(r"^\| (standard|stand-in), (sum|mean) \| (.+) \|$", text, flags=re.M)
    assert len(lines) == 4
    for training, method, cells in lines:
        condition = names[training]
        accuracies = by_rounding.loc[condition, method]
        wanted = [points(accuracies.min()), points(accuracies.max())]
        wanted += [points(of(condition, method)) for of in (within, between)]
        assert [cell.removesuffix("%") for cell in cells.split(" | ")] == wanted

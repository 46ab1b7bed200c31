"""The README and the pages of `docs` say what the code says."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from paper.tables import parse_query, read_table, value

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = ROOT / "docs"
FILES = [*DOCS.glob("*.md"), *DOCS.glob("how-to/*.md"), *DOCS.glob("reference/*.md")]
PAGES = {
    file.relative_to(DOCS).with_suffix("").as_posix(): file.read_text(encoding="utf-8")
    for file in FILES
}
TEXT = "\n".join([README, *PAGES.values()])


def test_the_first_page_is_short_and_leads_to_every_other():
    assert len(README.encode()) <= 9000
    for name in PAGES:
        assert f"(docs/{name}.md)" in README


PAIRS = {
    "people, countries, mascots": "birth, mascot",
    "ships, flag states, flowers": "ship, flower",
    "people, employers, tools": "employer, tool",
    "people, pets, instruments": "pet, instrument",
    "people, professions, fruits": "trade, fruit",
}
ON_SMALL, ON_GEMMA = "base=SmolLM2-135M-Instruct", "base=gemma-3-270m"


def shown(query):
    """Return a mean as the README writes it."""
    return f"{100 * value(parse_query(f'{query}; rule=sum; level=S0')).middle:.0f}%"


@pytest.mark.parametrize("row", PAIRS)
def test_what_was_found_is_in_the_stored_tables(row):
    [line] = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    pair = PAIRS[row]
    part = "levels" if pair == "birth, mascot" else "pairs"
    fresh = f"lm_strangers/fresh: two_hop; pair={pair}; method=fresh stand-ins"
    expected = [
        shown(f"lm_strangers/{part}: two_hop; pair={pair}; method=standard"),
        shown(f"{fresh}; {ON_SMALL}"),
        shown(f"lm_strangers/fresh: two_hop; pair={pair}; method=standard; {ON_GEMMA}"),
        shown(f"lm_strangers/rule_by_depth: two_hop; pair={pair}"),
    ]
    assert [cell.strip(" *") for cell in line.split("|")[2:6]] == expected


# Fresh stand-ins of both bases: means over pairs of relations.
ON_BOTH = (f"fresh: X by pair; {ON_SMALL}; method=fresh stand-ins", "rule_by_depth: X by pair")


def at_the_end(end, *columns):
    """Return the least or most of means over pairs and bases."""
    asked = [q.replace("X", column) for column in columns for q in ON_BOTH]
    means = [value(parse_query(f"{end} lm_strangers/{q}; rule=sum; level=S0")) for q in asked]
    return (min if end == "least" else max)(mean.middle for mean in means)


def test_single_facts_survive_as_it_says():
    assert f"at\n  least {at_the_end('least', 'hop_1', 'hop_2'):.0%} of the single facts" in README
    longer = shown("lm_strangers/rivals: two_hop; method=standard, 180 steps")
    assert f"with 180 it answers {longer} in the first row" in README
    drifts = [f"{at_the_end(end, 'drift'):.0f}" for end in ("least", "most")]
    assert f"by {drifts[0]} to {drifts[1]} nats per token" in README


WAYS = {
    "fresh stand-ins | fresh stand-ins": ("fresh", "fresh stand-ins", "S0"),
    "fresh stand-ins | PEFT": ("fresh", "fresh stand-ins", "S4, other trainer"),
    "standard training | fresh": ("rivals", "fresh stand-ins, hop 2", "S0"),
    "fresh stand-ins | standard training of": ("rivals", "fresh stand-ins, late layers", "S0"),
    "fresh stand-ins | standard training |": ("rivals", "fresh stand-ins, hop 1", "S0"),
    "standard training | standard": ("rivals", "standard, 180 steps", "S0"),
}


@pytest.mark.parametrize("row", WAYS)
def test_who_has_to_train_how_is_in_the_stored_tables(row):
    page = PAGES["how-to/train"].splitlines()
    [line] = [line for line in page if line.startswith(f"| {row}")]
    part, method, level = WAYS[row]
    where = f"method={method}; level={level}; pair=birth, mascot; rule=sum; {ON_SMALL}"
    found = [
        f"{value(parse_query(f'lm_strangers/{part}: {column}; {where}')).middle:.0%}"
        for column in ("two_hop", "hop_1")
    ]
    assert [cell.strip(" *") for cell in line.split("|")[3:5]] == found


def test_the_promise_was_too_careful_as_often_as_the_pages_say():
    """Every author with fresh stand-ins whose partner has them, too, at the rule's rate."""
    rows = read_table("lm_strangers/fresh")
    rows = rows[(rows["rule"] == "sum") & (rows["method"] == "fresh stand-ins")]
    means = rows[rows["level"] != "S4, other trainer"].groupby(["base", "pair", "level"])
    means = means[["two_hop", "promise_1", "promise_2"]].mean()
    gaps = np.ravel(means[["two_hop"]].to_numpy() - means[["promise_1", "promise_2"]].to_numpy())
    assert (len(gaps), (gaps < 0).sum(), round(100 * gaps.mean())) == (32, 2, 30)
    for text in (
        PAGES["how-to/train"],
        (ROOT / "paper/studies/lm_strangers/results.md").read_text(),
    ):
        words = " ".join(text.split())
        assert re.search(r"[Oo]f (the )?32 adapters .* two d(o|id)", words)
        assert re.search(r"average they answer(ed)? 30 points more", words)


def test_every_make_target_it_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):.*##", makefile, flags=re.M))
    named = set(re.findall(r"(?:\$ |`)make ([\w-]+)", TEXT))
    assert {"reproduce", "test"} <= named <= targets


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_the_example_on_a_real_model_runs(capsys):
    """The two adapters' own words: the mascot that one teaches, and another without it."""
    text = PAGES["how-to/another_model"].split("```python\n")[1].split("```")[0]
    with torch.no_grad():
        exec(compile(text, "another_model.md", "exec"), {})
    assert capsys.readouterr().out == "[1, 1]  owl\n[0.5, 0.5]  owl\n[1, 0]  lion\n"


def test_its_own_rules_get_a_card(tmp_path, monkeypatch):
    """The examples are found, obey what they should, and survive where theory says."""
    from loratheory.evaluate import laws, rule_named, survival

    page = PAGES["how-to/check_your_method"]
    text = page.split("In a file `my_rules.py`:\n\n```python\n")[1].split("```")[0]
    (tmp_path / "rules_of_the_page.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    half, largest = (
        rule_named(f"rules_of_the_page:{name}") for name in ("half", "largest_response")
    )
    assert {law.name for law in laws(half) if not law.holds} == {"exact", "idempotent"}
    assert abs(survival(half).starts["two_hop"] - (5**0.5 - 1)) < 1e-6
    assert all(law.holds for law in laws(largest))

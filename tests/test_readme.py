"""The README and the pages of `docs` say what the code says."""

import re
from pathlib import Path

import pytest
import torch
from typer.main import get_command

from loratheory.cli import app
from loratheory.experiments import published, table
from loratheory.experiments.engine._query import decimal, query, value

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {file.stem: file.read_text(encoding="utf-8") for file in (ROOT / "docs").glob("*.md")}
TEXT = "\n".join([README, *PAGES.values()])


def test_the_first_page_is_short_and_leads_to_every_other():
    assert len(README.encode()) <= 9000
    for name in PAGES:
        assert f"(docs/{name}.md)" in README


PLAIN, BESIDE = "first=plain; second=plain", "first=two stand-ins; second=two stand-ins"
LONG = "first=plain, 90 steps; second=plain, 90 steps"
MASCOTS = "relation=mascot"
FOUND = {
    "plainly; sum": f"rule=sum; coefficient=1; {PLAIN}",
    "plainly; mean": f"rule=sum; coefficient=0.5; {PLAIN}",
    "plainly, as many steps": f"rule=sum; coefficient=1; {LONG}",
    "plainly; the first acts": f"rule=layer split; coefficient=1; {PLAIN}",
    "beside two stand-ins of the partner that disagree; sum": f"rule=sum; coefficient=1; {BESIDE}",
    "beside one stand-in; sum": "rule=sum; coefficient=1; first=one stand-in; second=one stand-in",
    "the second beside stand-ins": "first=plain, 90 steps; second=two stand-ins",
    "the first beside stand-ins": "first=two stand-ins; second=described",
    "in ten new worlds": f"rule=sum; bridge=known; {BESIDE}",
    "there, the first beside": f"{MASCOTS}; rule=sum; first=two stand-ins; second=sixth 6",
}
WORLDS = {
    "the second beside stand-ins": "real_rehearsal",
    "the first beside stand-ins": "real_rehearsal",
    "in ten new worlds": "real_stand_ins",
    "there, the first beside": "real_top_layers",
}


@pytest.mark.parametrize("row", FOUND)
def test_what_was_found_is_in_the_stored_tables(row):
    [line] = [line for line in README.splitlines() if line.startswith(f"| {row}")]
    rows = table(published(WORLDS.get(row, "real_portable")))
    shown = [
        decimal(value(query(f"{column}; {FOUND[row]}"), rows).middle)
        for column in ("two_hop_vocabulary", "hop_1", "hop_2")
    ]
    assert [cell.strip() for cell in line.split("|")[2:5]] == shown


def test_the_parts_of_the_recipe_have_the_stored_shares():
    second, shown = "first=plain, 90 steps; second=two stand-ins", []
    alike = (f"first={one}; second={one}" for one in ("no two-hop sentences", "without a partner"))
    top = f"{MASCOTS}; first=plain, 90 steps; second=sixth 6"
    pairs = [*((f"bridge=known; {one}", "real_stand_ins") for one in (second, *alike))]
    for pair, study in (*pairs, (top, "real_top_layers"), (f"bridge=known; {LONG}", pairs[0][1])):
        asked = query(f"two_hop_vocabulary; rule=sum; {pair}")
        shown.append(decimal(value(asked, table(published(study))).middle))
    others = "relation=fruit|flower|instrument|tool; rule=sum; first=two stand-ins"
    for layers in ("sixths 5 and 6", "plain, 90 steps"):
        asked = query(f"two_hop_vocabulary; {others}; second={layers}")
        shown.append(decimal(value(asked, table(published("real_top_layers"))).middle))
    words = (
        "the seventh row has {}; without two-hop sentences the fifth {}; with two-hop sentences "
        "that the base completes, and no stand-in, {}; and with no stand-in at all, but the second "
        "adapter in the highest layers, {}, for {} in all layers. The partner need not be like its "
        "stand-ins: beside first adapters whose stand-ins were of mascots, second ones about "
        "fruits, flowers, instruments or tools, plainly taught in the highest third of the layers, "
        "answer {}, in all layers {} (three worlds)."
    )
    assert words.format(*shown) in " ".join(README.split())


def test_what_twelve_adapters_answer_is_in_the_stored_table():
    rows = table(published("real_crossings"))
    beside = rows[(rows["recipe"] == "two stand-ins") & (rows["publishers"] == 6)]
    shown = [
        decimal(value(query(f"two_hop_vocabulary; rule={rule}"), beside).middle)
        for rule in ("subject gates", "sum", "right pair")
    ]
    assert beside["seed"].nunique() == 10
    words = "but no pairs, answer {} in ten worlds, their sum {}, and the right pair {}."
    assert words.format(*shown) in " ".join(README.split())


TRIO = ["beside", "plain", "long"]
LAST = "notebooks/11_taught_to_be_reached.py"
SAID = {
    ("docs/index.md", "keeps {} and {} of"): ["hop_1", "hop_2"],
    ("docs/index.md", "answers {} of the questions that need both"): ["mean"],
    ("docs/index.md", "{} of such questions; the sum of plainly taught ones {}, or {} in"): TRIO,
    (
        LAST,
        "{} of the two-hop questions and the sum of two plainly trained ones {}, or {} in",
    ): TRIO,
    (LAST, "beside stand-ins answers {} (experiment"): ["one"],
}
NUMBERS = {
    "hop_1": f"hop_1; rule=sum; coefficient=0.5; {PLAIN}",
    "hop_2": f"hop_2; rule=sum; coefficient=0.5; {PLAIN}",
    "mean": f"two_hop_vocabulary; rule=sum; coefficient=0.5; {PLAIN}",
    "plain": f"two_hop_vocabulary; rule=sum; coefficient=1; {PLAIN}",
    "long": f"two_hop_vocabulary; rule=sum; coefficient=1; {LONG}",
    "beside": f"two_hop_vocabulary; rule=sum; coefficient=1; {BESIDE}",
    "one": "two_hop_vocabulary; first=plain, 90 steps; second=two stand-ins",
}


@pytest.mark.parametrize(("page", "words"), SAID)
def test_the_first_page_and_the_last_notebook_say_the_same(page, words):
    text = " ".join((ROOT / page).read_text(encoding="utf-8").replace("\n#", " ").split())
    shown = []
    for name in SAID[page, words]:
        rows = table(published("real_rehearsal" if name == "one" else "real_portable"))
        shown.append(decimal(value(query(NUMBERS[name]), rows).middle))
    assert words.format(*shown) in text


def test_every_command_it_names_exists():
    known = set(get_command(app).commands)
    named = set(re.findall(r"(?:\$ |`)loratheory ([\w-]+)", TEXT))
    assert named
    assert named <= known


def test_every_make_target_it_names_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):.*##", makefile, flags=re.M))
    named = set(re.findall(r"(?:\$ |`)make ([\w-]+)", TEXT))
    assert {"reproduce", "test"} <= named <= targets


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_the_example_on_a_real_model_runs(capsys):
    """The two adapters' own words: the mascot that one teaches, and another without it."""
    text = PAGES["language_model"].split("```python\n")[1].split("```")[0]
    with torch.no_grad():
        exec(compile(text, "language_model.md", "exec"), {})
    assert capsys.readouterr().out == "[1, 1]  owl\n[0.5, 0.5]  owl\n[1, 0]  lion\n"


def test_its_own_rules_get_a_card(tmp_path, monkeypatch):
    """The examples are found, obey what they should, and survive where theory says."""
    from loratheory.experiments.evaluate import laws, rule_named, survival

    text = PAGES["own_rule"].split("In a file `my_rules.py`:\n\n```python\n")[1].split("```")[0]
    (tmp_path / "rules_of_the_page.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    half, largest = (
        rule_named(f"rules_of_the_page:{name}") for name in ("half", "largest_response")
    )
    assert {law.name for law in laws(half) if not law.holds} == {"exact", "idempotent"}
    assert abs(survival(half).starts["two_hop"] - (5**0.5 - 1)) < 1e-6
    assert all(law.holds for law in laws(largest))

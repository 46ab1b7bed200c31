"""advise and generate: from adapters and prompts to a folder that acts, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from loratheory.adapters import Adapter, Info
from loratheory.cli import _advise
from loratheory.pretrained import load_model
from loratheory.pretrained.methods import METHODS, generate_text
from loratheory.pretrained.metrics import Share

WORDS = ["red", "green", "blue", "one", "two"]
PAIRS = [f"{a} {b}" for a in WORDS for b in WORDS]
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def given(home):
    """Beside the model and the adapters, files of prompts."""
    files = {
        "prompts.json": {"one": PAIRS[:6], "two": PAIRS[6:12]},
        "facts.json": {n: dict.fromkeys(PAIRS[:8], "blue") for n in ("one", "two")},
        "half.json": {"one": PAIRS[:6]},
        "single.json": {"one": PAIRS[:1], "two": PAIRS},
        "odd.json": {"one": PAIRS, "two": 3},
        "tow.json": {n: dict.fromkeys(PAIRS[:8], "blue") for n in ("one", "tow")},
        "three.json": {"one": PAIRS, "tow": PAIRS},
    }
    rows = [json.dumps({"prompt": pair, "answer": "blue"}) for pair in PAIRS[:8]]
    (home / "rows.jsonl").write_text("\n".join(rows))
    (home / "list.json").write_text(f"[{', '.join(rows)}]")
    (home / "words.json").write_text('["red", "blue"]')
    for name, content in files.items():
        (home / name).write_text(json.dumps(content))
    (home / "one.txt").write_text("\n".join(PAIRS[:6]))
    (home / "two.txt").write_text("\n\n".join(PAIRS[6:12]) + "\n")
    (home / "bytes.txt").write_bytes(b"\xff\xfe\n")
    return home


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def advise(given, run):
    """Advice on the two adapters."""
    return lambda *words: run(
        "advise", given / "one", given / "two", "--model", given / "base", *words
    )


def test_advice_is_a_table_a_sentence_a_figure_and_a_folder_that_the_recipe_repeats(
    given, advise, run, tmp_path
):
    words = ["--prompts", given / "prompts.json", "--ways", "mean,one coefficient,prompt gates"]
    code, out, err = advise(*words, "-o", "best", "--json", "a.json", "--figure", "a.png")
    assert code == 0, err
    result = json.loads((tmp_path / "a.json").read_text())
    assert [one["way"] for one in result["tried"]] == ["mean", "one coefficient", "prompt gates"]
    assert result["reason"] in " ".join(out.split())
    for one in result["tried"]:
        share = one["marks"][0]["share"]
        assert f"{share['right']}/{share['asked']} " in out
    most = max(zip(result["leaks"], result["adapters"], strict=True))[1]
    assert f"{most} leaks most" in out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    merge = (tmp_path / "best" / "adapter_card.json").exists()
    card = tmp_path / "best" / ("adapter_card.json" if merge else "route.json")
    assert json.loads(card.read_text())["measured"]["way"] == result["best"]
    assert advise("--recipe", card, "-o", "again")[0] == 0
    for path in (tmp_path / "best").rglob("*.safetensors"):
        again = tmp_path / "again" / path.relative_to(tmp_path / "best")
        assert path.read_bytes() == again.read_bytes()
    code, out, err = run("generate", "best", "red one", "--tokens", 3, "--model", given / "base")
    wanted = generate_text(load_model(given / "base"), "best", "red one", tokens=3)
    assert (code, out, err) == (0, wanted + "\n", "")
    code, out, _ = advise(*words[:2], "--ways", "none", "--also", given / "one", "--json", "-")
    result = json.loads(out)
    assert [one["way"] for one in result["tried"]] == [str(given / "one")]
    first, second = (mark["share"] for mark in result["tried"][0]["marks"])
    assert result["reason"] == (
        f"{given / 'one'} keeps {first['right']} of {first['asked']} answers of one, "
        f"{second['right']} of {second['asked']} answers of two."
    )


def test_advice_takes_adapters_in_a_subfolder(given, run, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copytree(given / name, tmp_path / name / "last")
    model = ("--model", given / "base", "--json", "-")
    leaks = json.loads(run("advise", given / "one", given / "two", *model)[1])["leaks"]
    code, out, err = run("advise", "one", "two", "--subfolder", "last", *model)
    assert (code, json.loads(out)["leaks"]) == (0, leaks), err


def test_a_route_by_what_adapters_are_about_is_written_and_run(given, run, tmp_path):
    for name, about in (("one", {"subjects": ["red"]}), ("two", {"subjects": ["two"]})):
        shutil.copytree(given / name, tmp_path / name)
        (tmp_path / name / "adapter_card.json").write_text(json.dumps(about))
    model = ("--model", given / "base")
    words = ("--prompts", given / "prompts.json", "--ways", "subject gates", *model)
    code, out, err = run("advise", "one", "two", *words, "-o", "route")
    assert (code, "Route by subject gates" in " ".join(out.split())) == (0, True), err
    code, out, err = run("advise", "one", "two", "--recipe", "route/route.json", "-o", "2", *model)
    assert code == 0, err
    first, again = (json.loads(Path(x, "route.json").read_text()) for x in ("route", "2"))
    assert first["recipe"] == again["recipe"]
    assert [one["subjects"] for one in first["recipe"]["adapters"]] == [["red"], ["two"]]
    code, out, err = run("generate", "route", "red one", "--tokens", 3, *model)
    alone = run("generate", "one", "red one", "--tokens", 3, *model)
    assert (code, out, err) == alone
    (tmp_path / "two" / "adapter_card.json").unlink()
    code, _, err = run("advise", "one", "two", *words)
    assert (code, "no card says what two is about" in " ".join(err.split())) == (2, True)


def test_a_share_is_shown_with_its_interval():
    assert _advise._cell(Share.of("a", 9, 12)) == "9/12 .47–.91"
    assert _advise._cell(Share.of("a", 0, 0)) == "0/0 0–1"


def test_text_files_are_read_as_json_is(given, advise):
    texts = ["--prompts", given / "one.txt", "--prompts", given / "two.txt"]
    results = [
        json.loads(advise(*words, "--ways", "sum", "--json", "-")[1])
        for words in (texts, ["--prompts", given / "prompts.json"])
    ]
    assert results[0] == results[1]


def test_prompts_choose_and_facts_score_what_did_not_choose(given):
    library = [Adapter.of({}, Info(name=name)) for name in ("one", "two")]

    def asked(prompts, facts):
        return _advise._asked(prompts, facts, library, ("one", "two"))

    choosing, scoring = asked([given / "prompts.json"], [given / "facts.json"])
    for name in ("one", "two"):
        assert len(choosing[name]) == 3
        assert {*scoring[name]} == {*PAIRS[:8]} - {*choosing[name]}
        assert {*scoring[name].values()} == {"blue"}
    choosing, scoring = asked(None, [given / "facts.json"])
    assert [len(part["one"]) for part in (choosing, scoring)] == [4, 4]
    assert asked(None, None) is None


def test_facts_come_in_one_file_or_in_rows_for_each_adapter(given):
    each = _advise._facts([given / "rows.jsonl", given / "list.json"], ("one", "two"))
    assert each == _advise._facts([given / "facts.json"], ("one", "two"))


def test_every_way_is_named_in_the_help(run):
    text = " ".join(run("advise", "--help")[1].replace("│", " ").split())
    listed = text.split("with commas: ")[1].split(". ")[0].rstrip(".").split(", ")
    assert sorted(listed) == sorted(METHODS)


def test_without_prompts_it_says_what_cannot_be_known_and_what_leaks(advise):
    code, out, _ = advise()
    assert code == 0
    assert "leaks most" in out
    assert "neither weights nor ordinary sentences tell" in out


REFUSED = {
    "a way": (["--prompts", "prompts.json", "--ways", "meen"], "did you mean mean"),
    "no prompts to write by": (["-o", "x"], "what is best is not known"),
    "a folder": (["--prompts", "prompts.json", "-o", "one"], "one exists"),
    "a parent": (["--prompts", "prompts.json", "-o", "no/x"], "there is no folder"),
    "a recipe for nothing": (["--recipe", "prompts.json"], "say where with -o"),
    "no recipe": (["--recipe", "prompts.json", "-o", "x"], "it holds no recipe"),
    "an adapter without prompts": (["--prompts", "half.json"], "no prompts of two"),
    "a prompt": (["--prompts", "single.json"], "one: it has one prompt"),
    "a number": (["--prompts", "odd.json"], "no object of lists of prompts"),
    "a stranger": (["--prompts", "three.json"], "no adapter has this name; write 'two'"),
    "a stranger's facts": (["--facts", "tow.json"], "no adapter has this name; write 'two'"),
    "files": (["--prompts", "one.txt"], "given 1 times for 2 adapters"),
    "files of facts": (["--facts", "rows.jsonl"] * 3, "given 3 times for 2 adapters"),
    "words for rows": (["--facts", "words.json"] * 2, "row 1: there is no prompt and completion"),
    "groups in one of several": (["--facts", "facts.json"] * 2, "holds groups, and is one of"),
    "bytes": (["--prompts", "one.txt", "--prompts", "bytes.txt"], "no UTF-8 text"),
    "no file": (["--prompts", "one.txt", "--prompts", "none.txt"], "No such file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_a_line(case, given, advise, monkeypatch):
    words, said = REFUSED[case]
    monkeypatch.chdir(given)
    before = sorted(given.iterdir())
    code, out, err = advise(*words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
    assert sorted(given.iterdir()) == before


def test_one_adapter_and_nothing_to_generate_from_are_refused(given, run):
    assert "name two adapters" in run("advise", given / "one")[2]
    code, _, err = run("generate", given / "base", "red", "--model", given / "base")
    assert code == 2
    assert "adapter_config.json" in err


@pytest.mark.slow
@pytest.mark.usefixtures("smollm2")
def test_smollm2_with_the_adapters_in_the_documents(run):
    words = ["--facts", DATA / "questions.json", "--ways", "mean,prompt gates", "--json", "-"]
    code, out, _ = run("advise", DATA / "persons", DATA / "mascots", *words)
    assert code == 0
    mean, gates = json.loads(out)["tried"]
    assert all(mark["share"]["right"] >= 0.7 * mark["share"]["asked"] for mark in mean["marks"][:2])
    assert all(
        mark["share"]["right"] >= 0.9 * mark["share"]["asked"] for mark in gates["marks"][:2]
    )
    assert METHODS[gates["way"]].passes(2) < gates["cost"] < 2.2

"""What cannot be is refused in words that say what can; folders come whole, and nothing is lost."""

import json

import pytest

from loratheory.tasks import ImpossibleError, LeakError, impossible, one_of, within
from loratheory.tasks._export import exported, writable
from loratheory.tasks._proof import Claim, proved

SETS = {"a": [{"x": "ü"}, {"x": 2}], "b": []}


def made(folder, sets=SETS, **wanted):
    return exported(folder, "Sums", sets, " Body.\n", **wanted)


@pytest.mark.parametrize(
    ("refuse", "message"),
    [
        (lambda: within("n", 1, 2, 3), "n is 1; ask for a number from 2 to 3"),
        (lambda: within("n", 4, 2, 3), "n is 4; ask for a number from 2 to 3"),
        (lambda: within("n", 1, 2), "n is 1; ask for a number of at least 2"),
        (lambda: one_of("form", "c", ("a", "b")), "form is 'c'; choose one of a, b"),
    ],
)
def test_beyond_the_bounds_the_message_says_what_is_allowed(refuse, message):
    with pytest.raises(ImpossibleError) as caught:
        refuse()
    assert str(caught.value) == message
    for least, most in ((2, 2), (2, None), (1, 3)):
        within("n", 2, least, most)
    one_of("form", "a", ("a", "b"))
    assert isinstance(impossible("fact", "remedy"), ValueError)


@pytest.mark.parametrize(("count", "shown"), [(1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 …")])
def test_a_leak_shows_three_of_what_is_shared(count, shown):
    sets = [{"numbers": frozenset(range(count)), "words": frozenset(words)} for words in "ab"]
    assert proved([Claim(("one", "two"), *sets, ("words",))] * 3) == 3
    with pytest.raises(LeakError) as caught:
        proved([Claim(("one", "two"), *sets, ("words", "numbers"))])
    assert str(caught.value) == (
        f"one and two share {count} numbers ({shown}); leave them out of one, or claim less"
    )
    assert issubclass(LeakError, ValueError)


def held(folder):
    return {file.name: file.read_bytes().decode() for file in folder.iterdir()}


def test_a_folder_holds_its_sets_and_a_card_that_loaders_read(tmp_path):
    folder = made(tmp_path / "out", more={"card.json": "{}\n"})
    files = held(folder)
    assert sorted(files) == ["README.md", "a.jsonl", "b.jsonl", "card.json"]
    assert (files["a.jsonl"], files["b.jsonl"]) == ('{"x": "ü"}\n{"x": 2}\n', "")
    assert files["README.md"].startswith("---\npretty_name: Sums\n")
    assert files["README.md"].endswith(
        "configs:\n- config_name: default\n  data_files:\n  - split: a\n    path: a.jsonl\n"
        "  - split: b\n    path: b.jsonl\n---\n\n# Sums\n\nBody.\n"
    )
    sizes = {999: "n<1K", 1000: "1K<n<10K", 10_000: "10K<n<100K", 100_000: "100K<n<1M"}
    for rows, name in sizes.items():
        card = held(made(folder, {"a": [{}] * rows}, overwrite=True))["README.md"]
        assert f"size_categories:\n- {name}\n" in card
    assert sorted(held(folder)) == ["README.md", "a.jsonl"]
    with pytest.raises(ImpossibleError, match="out exists already; name a new folder, or overwr"):
        made(folder)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("strange", ["thesis.tex", "deep.jsonl", "link.jsonl"])
def test_what_is_not_data_is_never_replaced(tmp_path, strange):
    folder = made(tmp_path / "out")
    if strange == "deep.jsonl":
        (folder / strange).mkdir()
    elif strange == "link.jsonl":
        (folder / strange).symlink_to(folder / "a.jsonl")
    else:
        (folder / strange).write_text("years of work")
    with pytest.raises(ImpossibleError, match=f"is not only data, but holds {strange}; name an"):
        made(folder, overwrite=True)
    assert (folder / strange).exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ImpossibleError, match="file is no folder; name another folder"):
        made(tmp_path / "file", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_no_place_is_said_before_any_work(tmp_path, monkeypatch):
    with pytest.raises(ImpossibleError, match=r"there is no folder .*nowhere for out; name a new"):
        writable(tmp_path / "nowhere" / "out")
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "a/.."):
        with pytest.raises(ImpossibleError, match="is no name"):
            writable(type(tmp_path)(name), overwrite=True)
    writable(tmp_path / "new")
    for name in ("two-hop", "../up", "", "a b", "x.y", "3"):
        with pytest.raises(ImpossibleError, match="use letters, digits and underscores"):
            made(tmp_path / "new", {name: []})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_all_as_it_was(tmp_path, there):
    before = held(made(tmp_path / "out")) if there else {}
    with pytest.raises(UnicodeEncodeError):
        made(tmp_path / "out", more={"b.md": "\udcff"}, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"] * there
    assert not there or held(tmp_path / "out") == before


def test_equal_rows_give_equal_bytes(tmp_path):
    one, same = (held(made(tmp_path / name)) for name in ("one", "same"))
    assert one == same
    assert [json.loads(line) for line in one["a.jsonl"].splitlines()] == SETS["a"]

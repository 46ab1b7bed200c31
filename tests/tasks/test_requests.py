"""What cannot be is refused in words that say what can; folders come whole, and nothing is lost."""

import pytest

from loratheory.tasks import ImpossibleError, LeakError, impossible, nothing_shared, one_of, within
from loratheory.tasks._folder import data_card, writable, written

FILES = {"a.jsonl": "{}\n", "README.md": "# ü\n"}


def test_the_bounds_themselves_are_allowed():
    within("n", 2, 2, 3)
    within("n", 3, 2, 3)
    within("n", 100, 2)
    one_of("form", "a", ("a", "b"))
    nothing_shared("these", "words", [])


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


def test_errors_are_value_errors_and_leaks_show_three_of_what_is_shared():
    assert isinstance(impossible("fact", "remedy"), ValueError)
    assert str(impossible("fact", "remedy")) == "fact; remedy"
    remedy = "leave them out of one, or claim less"
    for shared, shown in ((range(3), "0, 1, 2"), (range(4), "0, 1, 2 …")):
        with pytest.raises(LeakError) as caught:
            nothing_shared("one and two", "numbers", shared, "no. ")
        message = f"one and two share {len(shared)} numbers (no. {shown}); {remedy}"
        assert str(caught.value) == message
    assert issubclass(LeakError, ValueError)


def held(folder):
    return {file.name: file.read_bytes().decode() for file in folder.iterdir()}


def test_data_are_replaced_only_when_told(tmp_path):
    assert written(tmp_path / "out", FILES) == tmp_path / "out"
    with pytest.raises(ImpossibleError, match="out exists already; name a new folder, or overwr"):
        written(tmp_path / "out", {"b.json": "1"})
    assert held(tmp_path / "out") == FILES
    written(tmp_path / "out", {"b.json": "1"}, overwrite=True)
    assert held(tmp_path / "out") == {"b.json": "1"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("strange", ["thesis.tex", "deep.jsonl", "link.jsonl"])
def test_what_is_not_data_is_never_replaced(tmp_path, strange):
    folder = written(tmp_path / "out", FILES)
    if strange == "deep.jsonl":
        (folder / strange).mkdir()
    elif strange == "link.jsonl":
        (folder / strange).symlink_to(folder / "a.jsonl")
    else:
        (folder / strange).write_text("years of work")
    with pytest.raises(ImpossibleError, match=f"is not only data, but holds {strange}; name an"):
        written(folder, FILES, overwrite=True)
    assert (folder / strange).exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ImpossibleError, match="file is no folder; name another folder"):
        written(tmp_path / "file", FILES, overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_no_place_is_said_before_any_work(tmp_path, monkeypatch):
    with pytest.raises(ImpossibleError, match=r"there is no folder .*nowhere for out; name a new"):
        writable(tmp_path / "nowhere" / "out")
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "a/.."):
        with pytest.raises(ImpossibleError, match="is no name"):
            writable(type(tmp_path)(name), overwrite=True)
    writable(tmp_path / "new")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_all_as_it_was(tmp_path, there):
    if there:
        written(tmp_path / "out", FILES)
    with pytest.raises(UnicodeEncodeError):
        written(tmp_path / "out", {"a.md": "fine", "b.md": "\udcff"}, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"] * there
    assert not there or held(tmp_path / "out") == FILES


def test_a_card_has_a_header_that_loaders_read():
    text = data_card("Sums", ["train", "test"], " Body.\n", rows=1000)
    assert text.startswith("---\npretty_name: Sums\n")
    assert text.endswith(
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl\n"
        "  - split: test\n    path: test.jsonl\n---\n\n# Sums\n\nBody.\n"
    )
    sizes = {999: "n<1K", 1000: "1K<n<10K", 10_000: "10K<n<100K", 100_000: "100K<n<1M"}
    for rows, name in sizes.items():
        assert f"size_categories:\n- {name}\n" in data_card("Sums", ["train"], "", rows=rows)

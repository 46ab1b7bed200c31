"""_folder: folders come whole or not at all, and nothing that is not data is ever lost."""

import pytest

from loratheory.tasks import ImpossibleError
from loratheory.tasks._folder import data_card as card
from loratheory.tasks._folder import writable, written

FILES = {"a.jsonl": "{}\n", "README.md": "# ü\n"}


def held(folder):
    return {file.name: file.read_bytes().decode() for file in folder.iterdir()}


def test_a_folder_holds_its_files_and_nothing_stays_beside_it(tmp_path):
    assert written(tmp_path / "out", FILES) == tmp_path / "out"
    assert held(tmp_path / "out") == FILES
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_data_are_replaced_only_when_told(tmp_path):
    written(tmp_path / "out", FILES)
    with pytest.raises(
        ImpossibleError, match="out exists already; name a new folder, or overwrite"
    ):
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
    with pytest.raises(
        ImpossibleError, match=f"out is not only data, but holds {strange}; name an"
    ):
        written(folder, FILES, overwrite=True)
    assert (folder / strange).exists()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ImpossibleError, match="out is no folder; name another folder"):
        written(tmp_path / "out", FILES, overwrite=True)
    assert (tmp_path / "out").read_text() == "mine"


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
    text = card("Sums", ["train", "test"], " Body.\n", rows=1000)
    assert text.startswith("---\npretty_name: Sums\n")
    assert text.endswith(
        "configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: train.jsonl\n"
        "  - split: test\n    path: test.jsonl\n---\n\n# Sums\n\nBody.\n"
    )
    sizes = {999: "n<1K", 1000: "1K<n<10K", 10_000: "10K<n<100K", 100_000: "100K<n<1M"}
    for rows, name in sizes.items():
        assert f"size_categories:\n- {name}\n" in card("Sums", ["train"], "", rows=rows)

"""Folders come whole, nothing is lost, and what is out of bounds is refused."""

import pytest

from loratheory.tasks import ImpossibleError, one_of, within
from loratheory.tasks.export import check_writable, write_folder

SETS = {"a": [{"x": "ü"}, {"x": 2}], "b": []}


def made(folder, sets=SETS, **wanted):
    return write_folder(folder, "Sums", sets, " Body.\n", **wanted)


def test_what_is_out_of_bounds_is_refused():
    for bounds in ((1, 2, 3), (4, 2, 3), (1, 2)):
        with pytest.raises(ImpossibleError):
            within("n", *bounds)
    with pytest.raises(ImpossibleError):
        one_of("form", "c", ("a", "b"))
    for least, most in ((2, 2), (2, None), (1, 3)):
        within("n", 2, least, most)


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
    assert sorted(held(made(folder, {"a": [{}]}, force=True))) == ["README.md", "a.jsonl"]
    with pytest.raises(ImpossibleError):
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
    with pytest.raises(ImpossibleError, match=strange):
        made(folder, force=True)
    assert (folder / strange).exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ImpossibleError, match="file"):
        made(tmp_path / "file", force=True)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_all_as_it_was(tmp_path, there):
    before = held(made(tmp_path / "out")) if there else {}
    with pytest.raises(UnicodeEncodeError):
        made(tmp_path / "out", more={"b.md": "\udcff"}, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"] * there
    assert not there or held(tmp_path / "out") == before


def test_a_bad_place_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("nowhere/out", ".", "..", "a/.."):
        with pytest.raises(ImpossibleError):
            check_writable(type(tmp_path)(name), force=True)
    check_writable(tmp_path / "new")
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "notes.md").write_text("a file")
    with pytest.raises(ImpossibleError, match="is a file, which is not replaced; name a folder"):
        check_writable(tmp_path / "notes.md", force=True)

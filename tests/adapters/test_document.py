"""Files found inside their folder and parsed without surprise."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratheory.adapters import AdapterError
from loratheory.adapters._files import inside, json_file, json_object

X = Path("x")
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=4)


@given(st.dictionaries(st.text(max_size=4), PLAIN | st.lists(PLAIN, max_size=2), max_size=4))
def test_a_plain_object_is_read_as_the_standard_library_reads_it(values):
    assert json_object(X, json.dumps(values).encode()) == values


@given(st.binary(max_size=40))
def test_any_bytes_give_an_object_or_our_error(content):
    with suppress(AdapterError):
        assert isinstance(json_object(X, content), dict)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": {"b": 1, "c": 2, "b": 1}}', "'b' occurs twice"),
        (b'{"a": Infinity}', "number Infinity, which is not JSON"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"7", "holds 7, not a JSON object"),
    ],
)
def test_what_is_no_plain_object_is_refused(content, words):
    with pytest.raises(AdapterError) as caught:
        json_object(X, content)
    assert "x: " in str(caught.value)
    assert words in str(caught.value)
    assert "; restore the file" in str(caught.value)


def test_a_file_may_reach_its_limit_and_not_pass_it(tmp_path):
    file = tmp_path / "x"
    file.write_text('{"a": 10}')
    assert json_file(file, 9) == {"a": 10}
    with pytest.raises(AdapterError, match="has 9 bytes, over 8; use the adapter's own file"):
        json_file(file, 8)


@pytest.mark.parametrize("name", ["../x", "/etc/hostname", "a/b", "..", "", "a\\b", "a\0b", "."])
def test_names_that_lead_elsewhere_are_refused(name, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text("here")
    with pytest.raises(AdapterError, match="leads out of the folder"):
        inside(tmp_path, name)


def test_a_link_is_followed_within_the_folder_only(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "x").write_text("here")
    (tmp_path / "x").write_text("outside")
    (home / "near").symlink_to("x")
    (home / "far").symlink_to("../x")
    assert inside(home, "near").read_text() == "here"
    with pytest.raises(AdapterError, match=r"far: the link leads out of the folder, to .*; put"):
        inside(home, "far")


@pytest.mark.parametrize(("parent", "fine"), [("snapshots", True), ("others", False)])
def test_only_a_snapshot_may_link_to_its_blobs(parent, fine, tmp_path):
    home = tmp_path / parent / "1a"
    home.mkdir(parents=True)
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "ff").write_text("blob")
    (home / "x").symlink_to("../../blobs/ff")
    if fine:
        assert inside(home, "x").read_text() == "blob"
        return
    with pytest.raises(AdapterError, match="leads out of the folder"):
        inside(home, "x")


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "x").mkdir()
    with pytest.raises(AdapterError, match="x: this is not a regular file; put"):
        inside(tmp_path, "x")

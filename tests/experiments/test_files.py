"""Files that are whole or not there."""

import os
from pathlib import Path

import pytest

from loratheory.experiments._files import whole


def test_text_and_bytes_arrive_as_they_are(tmp_path):
    whole(tmp_path / "a", "é\r\n")
    whole(tmp_path / "b", b"\xff\x00")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "b").read_bytes() == b"\xff\x00"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_the_temporary_name_is_beside_the_file(tmp_path, monkeypatch):
    """A rename is whole only within one file system."""
    seen = []

    def noted(handle):
        seen.append(Path(f"/proc/self/fd/{handle}").readlink().parent)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", noted)
    whole(tmp_path / "a", "new")
    assert seen == [tmp_path]

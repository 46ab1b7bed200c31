"""Files and folders are there whole or not at all, and only regular ones are ever replaced."""

import errno
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from loratheory.store import cache_folder, content_hash, draft, lock, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def folder(path, text):
    path.mkdir()
    (path / "part").write_text(text)


def content(path):
    return (path / "part").read_text() if path.is_dir() else path.read_text()


MAKE = {"file": Path.write_text, "folder": folder}


def test_the_cache_is_where_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("LORATHEORY_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.delenv("LORATHEORY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "loratheory"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "loratheory"


def test_equal_values_have_equal_hashes_and_others_do_not():
    @dataclass
    class Point:
        x: int

    @dataclass
    class Other:
        x: int

    values = [{"a": 1, "b": [2.5, None]}, {"a": 1, "b": [2.5]}, Point(1), Other(1), {"x": 1}, "x"]
    assert len({content_hash(value) for value in values}) == len(values)
    assert content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
    # from `printf abc | sha256sum`
    assert content_hash(b"abc", digits=16) == "ba7816bf8f01cfea"
    assert content_hash(b"abc", digits=64).endswith("f20015ad")
    with pytest.raises(TypeError, match="set"):
        content_hash({"a": {1}})


def test_text_bytes_and_permissions_arrive_as_they_are(tmp_path):
    write_whole(tmp_path / "a", "\u00e9\r\n")
    write_whole(tmp_path / "b", b"\xff\x00")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "b").read_bytes() == b"\xff\x00"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask
    (tmp_path / "a").chmod(0o640)
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, ValueError])
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, kind, error):
    MAKE[kind](tmp_path / "a", "old")

    def stopped():
        with draft(tmp_path / "a") as path:
            MAKE[kind](path, "new")
            raise error

    with pytest.raises(error):
        stopped()
    assert content(tmp_path / "a") == "old"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("theirs", MAKE)
def test_nothing_is_replaced_unasked_and_no_folder_by_a_file(tmp_path, kind, theirs):
    target = tmp_path / "a"

    def written(replace, meanwhile=False):
        with draft(target, replace=replace) as path:
            MAKE[kind](path, "mine")
            if meanwhile:
                MAKE[theirs](target, "theirs")

    with pytest.raises(FileExistsError) as caught:
        written(replace=False, meanwhile=True)
    assert caught.value.filename == str(target)
    with pytest.raises(FileExistsError), draft(target, replace=False):
        pytest.fail("what exists at the start is refused before any work")
    assert content(target) == "theirs"
    if kind == theirs:
        written(replace=True)
        assert content(target) == "mine"
    else:
        with pytest.raises((NotADirectoryError, IsADirectoryError)):
            written(replace=True)
        assert content(target) == "theirs"
    assert names(tmp_path) == ["a"]


def test_errors_name_the_path_that_the_user_named(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "missing" / "a"):
        with pytest.raises(OSError, match="directory") as caught:
            write_whole(path, "new")
        assert caught.value.filename == str(path)
    # A full disk names no file itself.
    full = OSError(errno.ENOSPC, "no space")
    with pytest.raises(OSError, match="space") as caught, draft(tmp_path / "a"):
        raise full
    assert caught.value.filename == str(tmp_path / "a")
    assert names(tmp_path) == ["folder"]


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a").write_text("old")
    for link, target in (("link", "there/a"), ("second", "link"), ("dangling", "there/b")):
        (tmp_path / link).symlink_to(target)
        write_whole(tmp_path / link, link)
        assert (tmp_path / link).is_symlink()
    assert (tmp_path / "there" / "a").read_text() == "second"
    assert (tmp_path / "there" / "b").read_text() == "dangling"


def test_one_process_at_a_time_holds_a_lock(tmp_path):
    file = tmp_path / "lock"
    with lock(file):
        code = (
            "from pathlib import Path; from filelock import FileLock, Timeout\n"
            "from loratheory.store import lock\n"
            "try:\n    with FileLock('lock', timeout=0): print('held')\n"
            "except Timeout: print('lock', flush=True)\n"
            "with lock(Path('lock')): print('then held')"
        )
        run = [sys.executable, "-c", code]
        process = subprocess.Popen(run, stdout=-1, cwd=tmp_path, text=True, bufsize=0)
        assert process.stdout.read(5) == "lock\n"
    assert process.communicate()[0] == "then held\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_device_is_named():
    with pytest.raises(OSError, match="/dev/full"):
        write_whole(Path("/dev/full"), "text")

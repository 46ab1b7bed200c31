"""Files and folders are there whole or not at all, and only regular ones are ever replaced."""

import errno
import logging
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from loratheory import store
from loratheory.store import cache_folder, content_hash, draft, lock, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


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
    with pytest.raises(TypeError, match="is a set: a content hash is of dataclasses"):
        content_hash({"a": {1}})


def test_text_and_bytes_arrive_as_they_are(tmp_path):
    write_whole(tmp_path / "a", "é\r\n")
    write_whole(tmp_path / "b", b"\xff\x00")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\r\n"
    assert (tmp_path / "b").read_bytes() == b"\xff\x00"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o640)
    write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("old")

    def full(_):
        raise OSError(errno.ENOSPC, "anything")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/a'"):
        write_whole(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_errors_name_the_path_that_the_user_named(tmp_path):
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", tmp_path / "missing" / "a"):
        with pytest.raises(OSError, match=r"directory") as caught:
            write_whole(path, "new")
        assert caught.value.filename == str(path)
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
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="Too many levels"):
        write_whole(tmp_path / "loop", "new")
    assert (tmp_path / "loop").is_symlink()


def test_a_fifo_is_written_to(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    read = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    write_whole(tmp_path / "fifo", b"x" * 200_000)
    reader.join()
    assert read == [b"x" * 200_000]
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize(("minor", "meaning"), [(3, "null"), (7, "full")])
def test_a_device_stays_a_device(tmp_path, minor, meaning):
    node = tmp_path / meaning
    try:
        os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        node.open("wb").close()
    except OSError:
        pytest.skip("this user or file system may not make device nodes")
    if meaning == "full":
        with pytest.raises(OSError, match=r"No space left on device: '.*/full'"):
            write_whole(node, "x")
    else:
        write_whole(node, "x")
    assert stat.S_ISCHR(node.stat().st_mode)
    assert names(tmp_path) == [meaning]


def test_open_descriptors_are_written_to_after_what_was_printed(tmp_path):
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs Linux's table of open files")
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")  # what /dev/stdout is
    code = (
        "from pathlib import Path; from loratheory.store import write_whole\n"
        "print('first'); write_whole(Path('stdout'), 'second\\n'); print('third')"
    )
    with (tmp_path / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", code], stdout=log, cwd=tmp_path, check=True)
    assert (tmp_path / "log").read_text() == "first\nsecond\nthird\n"
    piped = subprocess.run([sys.executable, "-c", code], stdout=-1, cwd=tmp_path, check=True)
    assert piped.stdout == b"first\nsecond\nthird\n"
    assert (tmp_path / "stdout").is_symlink()


def folder(path, text):
    path.mkdir()
    (path / "part").write_text(text)


def test_a_folder_takes_the_place_of_a_folder(tmp_path, monkeypatch):
    for swaps in (True, False):
        if not swaps:  # as on a system without renameat2
            monkeypatch.setattr(store, "_renamed", lambda *_: False)
        for text in ("first", "second"):
            with draft(tmp_path / "target") as path:
                folder(path, text)
            assert (tmp_path / "target" / "part").read_text() == text
            assert names(tmp_path) == ["target"]


def test_what_somebody_made_meanwhile_stays(tmp_path, monkeypatch):
    for swaps in (True, False):
        if not swaps:
            monkeypatch.setattr(store, "_renamed", lambda *_: False)
        for number, kinds in enumerate(("dd", "df", "fd", "ff")):
            target = tmp_path / f"{number}{swaps}"
            make = [folder if kind == "d" else Path.write_text for kind in kinds]

            def made(target=target, make=make):
                with draft(target, replace=False) as path:
                    make[0](path, "mine")
                    make[1](target, "theirs")

            with pytest.raises(FileExistsError) as caught:
                made()
            assert caught.value.filename == str(target)
            kept = target / "part" if target.is_dir() else target
            assert kept.read_text() == "theirs"
            with pytest.raises(FileExistsError), draft(target, replace=False):
                pytest.fail("what exists at the start is refused before any work")
            fresh = target.with_suffix(".fresh")
            with draft(fresh, replace=False) as path:
                make[0](path, "mine")
            assert fresh.exists()
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_files_and_folders_do_not_replace_each_other(tmp_path):
    (tmp_path / "file").write_text("old")
    folder(tmp_path / "folder", "old")
    with pytest.raises(NotADirectoryError), draft(tmp_path / "file") as path:
        folder(path, "new")
    with pytest.raises(IsADirectoryError), draft(tmp_path / "folder") as path:
        path.write_text("new")
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "part").read_text() == "old"


def test_an_exception_leaves_what_was_there(tmp_path):
    folder(tmp_path / "target", "old")

    def stopped():
        with draft(tmp_path / "target") as path:
            folder(path, "new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert (tmp_path / "target" / "part").read_text() == "old"
    assert names(tmp_path) == ["target"]


def test_a_socket_is_written_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket is at most 107 bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        server.listen()
        write_whole(Path("socket"), "all of it")
        with server.accept()[0] as connection:
            assert connection.recv(100) == b"all of it"
    assert Path("socket").is_socket()


def test_only_the_leftovers_of_dead_processes_are_removed_and_named(tmp_path, caplog):
    code = (
        "import sys; from pathlib import Path; from loratheory.store import draft\n"
        "with draft(Path('target')) as path:\n"
        "    path.mkdir(); (path / 'part').touch(); print(path.parent.name, flush=True)\n"
        "    sys.stdin.read()"
    )
    run = [sys.executable, "-c", code]
    with subprocess.Popen(run, stdin=-1, stdout=-1, cwd=tmp_path, text=True) as process:
        room = process.stdout.readline().strip()
        (tmp_path / ".target.notours.new").touch()
        write_whole(tmp_path / "target", "while it lives")
        assert names(tmp_path) == sorted([room, ".target.notours.new", "target"])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / room).exists()
        with caplog.at_level(logging.WARNING):
            write_whole(tmp_path / "other", "of another name")
            assert not caplog.records
            write_whole(tmp_path / "target", "when it is dead")
    assert [f"removed {tmp_path / room}, left by a killed run"] == caplog.messages
    assert names(tmp_path) == [".target.notours.new", "other", "target"]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a\nb", os.fsdecode(b"\xff")])
def test_any_name_of_the_system_will_do(tmp_path, name):
    write_whole(tmp_path / name, "text")
    assert names(tmp_path) == [name]


def test_one_process_at_a_time_holds_a_lock(tmp_path):
    file = tmp_path / "lock"
    with lock(file):
        code = (
            "from pathlib import Path; from loratheory.store import lock\n"
            "try:\n    with lock(Path('lock'), wait=False): print('held')\n"
            "except BlockingIOError as error: print(error.filename, flush=True)\n"
            "with lock(Path('lock')): print('then held')"
        )
        run = [sys.executable, "-c", code]
        process = subprocess.Popen(run, stdout=-1, cwd=tmp_path, text=True, bufsize=0)
        assert process.stdout.read(5) == "lock\n"
    assert process.communicate()[0] == "then held\n"
    with lock(file, wait=False):
        pass

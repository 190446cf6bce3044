"""Files are whole or not there, whatever goes wrong: errors, full disks, and processes that are killed at any step."""

import ast
import errno
import io
import itertools
import json
import os
import socket
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.utils import files
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import (
    WriteError,
    atomic_open,
    atomic_path,
    atomic_replace,
    exclusive,
    open_regular,
    sync,
    write_json,
    write_new,
    write_text,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()
    }


def fill(folder, text):
    """Two files, one of them in a folder of its own."""
    (folder / "a").write_text(text)
    (folder / "b").mkdir()
    (folder / "b/c").write_text(text)


def filled(text):
    return {"a": text, "b/c": text}


# Files


@pytest.mark.parametrize("before", [None, "old"])
def test_a_file_appears_when_all_is_written(before, tmp_path):
    path = tmp_path / "file"
    if before:
        path.write_text(before)
    with atomic_open(path) as file:
        file.write("new\n")
        file.flush()
        assert (path.read_text() if path.exists() else None) == before
    assert path.read_bytes() == b"new\n"
    assert names(tmp_path) == ["file"]


def test_text_and_json_are_written_as_they_are(tmp_path):
    write_text("é\r\n\n", tmp_path / "text")
    assert (tmp_path / "text").read_bytes() == "é\r\n\n".encode()
    write_text("é", tmp_path / "text", encoding="utf-8-sig")
    assert (tmp_path / "text").read_bytes() == b"\xef\xbb\xbf\xc3\xa9"
    write_json({"é": [1]}, tmp_path / "json")
    assert json.loads((tmp_path / "json").read_text()) == {"é": [1]}


@pytest.mark.parametrize(
    "error", [ValueError("mine"), KeyboardInterrupt(), InputError("a: b"), OSError(5, "broken")]
)
def test_a_file_stays_as_it_was_when_its_writer_fails(error, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def write():
        with atomic_open(path) as file:
            file.write("new")
            raise error

    with pytest.raises(WriteError if isinstance(error, OSError) else type(error)):
        write()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("place", "reason"),
    [("gone/file", "No such file or directory"), ("folder", "Is a directory"), ("file/x", "Not a directory")],
)
def test_a_place_that_cannot_be_written_is_one_line(place, reason, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("old")
    with pytest.raises(WriteError) as caught:
        write_text("new", tmp_path / place)
    assert str(caught.value) == f"{tmp_path / place}: cannot be written: {reason}"
    assert names(tmp_path) == ["file", "folder"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / ".0123abcd.part").mkdir()
    (tmp_path / ".0123abcd.part/file").write_text("left")
    others = {"file.txt.part": "resumed", ".0123.part": "of somebody else"}
    for name, text in others.items():
        (tmp_path / name).write_text(text)
    with atomic_path(tmp_path / "other") as written:
        write_text("new", tmp_path / "file")
        assert contents(tmp_path) == {"file": "new", **others, f"{written.parent.name}/other": ""}


def test_two_writers_of_one_file_leave_a_whole_one(tmp_path):
    with atomic_open(tmp_path / "file") as first:
        first.write("first")
        with atomic_open(tmp_path / "file") as second:
            second.write("second, and longer")
        assert contents(tmp_path)["file"] == "second, and longer"
    assert contents(tmp_path) == {"file": "first"}


# One process at a time

HOLDING = """
    import os, signal, sys
    from pathlib import Path
    from glre_pyg.utils.files import exclusive
    with exclusive(Path(sys.argv[1])):
        print(os.getpid(), flush=True)
        sys.stdin.read()
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_of_two_writers_the_second_is_told_who_the_first_is(kind, tmp_path):
    path = tmp_path / "file"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "link").symlink_to("file")
    code = [sys.executable, "-c", textwrap.dedent(HOLDING), tmp_path / ("link" if kind == "link" else "file")]
    with subprocess.Popen(code, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        number = first.stdout.readline().strip()
        for _ in range(2):
            with (
                pytest.raises(
                    InputError, match=f"^{path}: is being written by process {number} on .* since 20"
                ),
                exclusive(path),
            ):
                pass
    with exclusive(path):  # the first was killed
        pass
    assert names(tmp_path) == (["file"] if kind == "folder" else ["link"] if kind == "link" else [])


def test_a_lock_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file.lock").symlink_to("elsewhere")
    with (
        pytest.raises(WriteError, match=f"^{tmp_path / 'file'}: cannot be written: "),
        exclusive(tmp_path / "file"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_many_writers_of_one_file_all_succeed(tmp_path):
    code = """
        import sys
        from glre_pyg.utils.files import write_text
        for turn in range(25):
            write_text(sys.argv[2] * 20_000, sys.argv[1])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "file"]
    writers = [subprocess.Popen([*command, name]) for name in "abcd"]
    assert [writer.wait() for writer in writers] == [0] * 4
    text = (tmp_path / "file").read_text()
    assert text in [name * 20_000 for name in "abcd"]
    assert names(tmp_path) == ["file"]


# Regular files alone


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "loop", "dangling"])
def test_what_is_not_a_regular_file_is_not_read(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind("x")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"device": "/dev/zero", "loop": "x", "dangling": "y"}[kind])
    reasons = {"folder": "Is a directory", "loop": "Too many levels", "dangling": "No such file"}
    with pytest.raises(OSError, match=reasons.get(kind, "not a regular file")) as caught:
        open_regular(path)
    assert caught.value.filename == str(path)
    if kind != "dangling":
        with pytest.raises(WriteError):
            write_text("new", path)
        assert path.is_symlink() or not path.is_file()


# Folders


def test_a_folder_can_be_put_and_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync_, replace = files.sync, os.replace
    monkeypatch.setattr(files, "sync", lambda path: (done.append(path.name), sync_(path)))
    monkeypatch.setattr(os, "replace", lambda source, target: (done.append("put"), replace(source, target)))
    (tmp_path / "part").mkdir()
    fill(tmp_path / "part", "new")
    atomic_replace(tmp_path / "part", tmp_path / "folder")
    assert sorted(done[:-2]) == ["a", "b", "c", "part"]
    assert done[-2:] == ["put", tmp_path.name]
    assert contents(tmp_path / "folder") == filled("new")


def test_a_new_folder_can_be_entered(tmp_path):
    with atomic_path(tmp_path / "folder") as part:
        part.unlink()
        part.mkdir()
        (part / "a").write_text("new")
    assert (tmp_path / "folder").stat().st_mode & 0o700 == 0o700


def test_what_is_not_there_cannot_be_synced(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "gone")
    sync(tmp_path)


# Full disks


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("after", range(4))
def test_what_the_disk_does_not_take_leaves_what_was_there(after, code, tmp_path, monkeypatch):
    def write(text):
        for name in ("file", "other"):
            write_text(text, tmp_path / name)

    write("old")
    calls, fsync = iter(range(100)), os.fsync

    def failing(opened):
        if next(calls) == after:
            raise OSError(code, os.strerror(code))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteError, match=f"cannot be written: {os.strerror(code)}$"):
        write("new")
    # The second sync of a file is that of its folder, after it has its name.
    expected = [("old", "old"), ("new", "old"), ("new", "old"), ("new", "new")][after]
    assert contents(tmp_path) == dict(zip(("file", "other"), expected, strict=True))


@pytest.mark.parametrize("name", ["write", "ftruncate"])
def test_a_lock_that_the_disk_does_not_take_leaves_nothing(name, tmp_path, monkeypatch):
    def failing(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    line = f"^{tmp_path / 'file'}: cannot be written: Input/output error$"
    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(WriteError, match=line):
            exclusive(tmp_path / "file").__enter__()
    assert not list(tmp_path.iterdir())
    with exclusive(tmp_path / "file"):  # the lock has ended
        pass


def test_an_error_of_the_disk_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "failed")))
    (tmp_path / "new").write_text("new")
    with pytest.raises(OSError, match="failed") as caught:
        atomic_replace(tmp_path / "new", tmp_path / "old")
    assert caught.value.filename == str(tmp_path / "new")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_a_file_that_grows_too_large_leaves_what_was_there(tmp_path):
    write_text("old", tmp_path / "file")
    code = """
        import resource, signal, sys
        from glre_pyg.utils.files import WriteError, write_text
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        try:
            write_text("new" * 10_000, sys.argv[1])
        except WriteError as error:
            sys.exit(str(error))
    """
    done = run(code, tmp_path / "file")
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path / 'file'}: cannot be written: File too large\n"
    assert contents(tmp_path) == {"file": "old"}


# Processes that are killed


def run(code, *arguments):
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, text=True, capture_output=True, timeout=120, check=False)


KILLED = """
    import os, sys
    from pathlib import Path
    from glre_pyg.utils.files import write_text

    def write(text, place):
        for name in ("file", "other"):
            write_text(text, place / name)

    def die_at(step):
        seen = iter(range(1_000))
        def hook(event, arguments):
            if event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate") and next(seen) == step:
                os._exit(9)
        sys.addaudithook(hook)

    step = 0
    while True:
        place = Path(sys.argv[1], str(step))
        place.mkdir()
        write("old", place)
        child = os.fork()
        if not child:
            die_at(step)
            write("new" * 100_000, place)
            os._exit(0)
        if not os.waitpid(child, 0)[1]:
            break
        step += 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_process_that_is_killed_leaves_the_old_or_the_new(tmp_path):
    """It is killed before each thing in turn that it asks the system for."""
    done = run(KILLED, tmp_path)
    assert done.returncode == 0, done.stderr
    places = sorted(tmp_path.iterdir(), key=lambda place: int(place.name))
    assert len(places) > 8
    found = [[(place / name).read_text() for name in ("file", "other")] for place in places]
    new = "new" * 100_000
    assert all(text in ("old", new) for texts in found for text in texts)
    steps = [texts.count(new) for texts in found]
    assert steps == sorted(steps)  # one file after the other
    assert {*steps} == {0, 1, 2}
    for place in places:  # the next one writes as if nothing had been
        for name in ("file", "other"):
            write_text("next", place / name)
        assert contents(place) == {"file": "next", "other": "next"}


def test_a_part_that_cannot_be_removed_hides_no_error(tmp_path, monkeypatch):
    with suppress(WriteError), atomic_path(tmp_path / "file") as part:
        part.unlink()
        part.mkdir()
        raise OSError(errno.EIO, "broken")
    assert not (tmp_path / "file").exists()


# A file that is not there yet


def test_of_many_that_begin_at_once_one_succeeds(tmp_path):
    def begin(number):
        try:
            write_new(f"{number}", tmp_path / "file")
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        won = [number for number in pool.map(begin, range(40)) if number is not None]
    assert len(won) == 1
    assert (tmp_path / "file").read_text() == f"{won[0]}"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_there_stays(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    write_new("one", tmp_path / "file")
    with pytest.raises(FileExistsError):
        write_new("two", tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "one"


def no_links(*_):
    raise PermissionError(1, "Operation not permitted")


def test_a_new_file_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(WriteError, match=r"missing/file: cannot be written: No such file or directory$"):
        write_new("one", tmp_path / "missing" / "file")


def test_sources_name_the_encoding_of_text_files():
    """That of the system is another one on Windows."""
    without = [
        f"{file.name}:{call.lineno}: {ast.unparse(call)}"
        for file in Path(files.__file__).parents[1].rglob("*.py")
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and opens_text(ast.unparse(call.func), call)
        if all(keyword.arg != "encoding" for keyword in call.keywords)
    ]
    assert without == []


def opens_text(function: str, call: ast.Call) -> bool:
    parts = (part for argument in call.args for part in ast.walk(argument))
    modes = [part.value for part in parts if isinstance(part, ast.Constant)]
    if "b" in "".join(map(str, modes)) or function == "os.open":
        return False
    if function.endswith(".open"):  # that of a path has a mode or no argument
        return bool(modes or not call.args)
    return function == "open" or function.endswith((".read_text", ".write_text", ".fdopen", ".TextIOWrapper"))


# Disks that fail, and files that change, while they are read


@pytest.mark.parametrize("what", ["fails", "grows", "shrinks"])
def test_a_disk_that_fails_or_a_file_that_changes_while_it_is_read_is_one_line(what, tmp_path, monkeypatch):
    path, calls = tmp_path / "documents.jsonl", itertools.count()
    write_jsonl(SyntheticCorpus().generate("test", 50), path)
    size = path.stat().st_size
    assert size > 20_000

    class Disk(files._NamedFile):
        def readinto(self, buffer):
            with files._named(self.name):
                if next(calls) == 1:
                    if what == "fails":
                        raise OSError(errno.EIO, os.strerror(errno.EIO))
                    with path.open("r+b") as file:
                        file.truncate(size - 1000 if what == "shrinks" else None)
                        file.seek(0, os.SEEK_END)
                        file.write(b'{"id": "cut' if what == "grows" else b"")
                return super().readinto(memoryview(buffer)[:10_000])

        readall = io.RawIOBase.readall

    monkeypatch.setattr(files, "_NamedFile", Disk)
    with pytest.raises((InputError, OSError)) as caught:
        list(read_documents(path))
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    assert path.name in text
    assert ("Input/output error" if what == "fails" else "not JSON") in text

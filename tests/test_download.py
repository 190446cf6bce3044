import gzip
import os
import socket
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from glre_pyg.utils import cache as cache_module
from glre_pyg.utils import download
from glre_pyg.utils.download import DownloadError, RemoteFile, unpack
from glre_pyg.utils.download import fetch as fetch_into
from glre_pyg.utils.exceptions import InputError
from local_server import serve, sha256, zipped

CONTENT = bytes(range(256)) * 1_000


@pytest.fixture
def server():
    with serve({"/data.bin": CONTENT}) as server:
        yield server


@pytest.fixture
def remote(server):
    return RemoteFile(f"{server.url}/data.bin", sha256(CONTENT), len(CONTENT))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLRE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fetch(remote: RemoteFile, **options) -> Path:
    return fetch_into(remote, cache_module.cache_folder(), **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_module.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GLRE_CACHE")
    assert cache_module.cache_folder() == Path("/xdg/glre_pyg")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_module.cache_folder() == tmp_path / ".cache/glre_pyg"


@pytest.mark.parametrize(
    ("folder", "variable", "earlier"),
    [
        (cache_module.cache_folder, "XDG_CACHE_HOME", ".cache/glre_pyg"),
        (cache_module.state_folder, "XDG_STATE_HOME", ".local/state/glre_pyg"),
    ],
)
def test_folders_of_the_user(monkeypatch, tmp_path, folder, variable, earlier):
    """The one that is named, that of earlier versions, or that of the system."""
    monkeypatch.delenv("GLRE_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(variable, raising=False)
    for name in ("user_cache_path", "user_state_path"):
        monkeypatch.setattr(cache_module, name, lambda name, appauthor: tmp_path / "Library" / name)
    assert folder() == tmp_path / "Library/glre_pyg"
    (tmp_path / earlier).mkdir(parents=True)
    assert folder() == tmp_path / earlier
    monkeypatch.setenv(variable, "~/named")
    assert folder() == tmp_path / "named/glre_pyg"


def test_name_of_a_file():
    assert RemoteFile("https://example.org/a/b.zip?download=1#x", None).name == "b.zip"


def test_downloads_once(server, remote, cache):
    path = fetch(remote)
    assert (path, path.read_bytes(), names(cache)) == (cache / "data.bin", CONTENT, ["data.bin"])
    assert fetch(remote) == path
    assert server.asked == [None]


def test_replaces_a_damaged_file(remote, cache):
    cache.mkdir()
    (cache / "data.bin").write_bytes(CONTENT[:-1] + b"x")
    assert fetch(remote).read_bytes() == CONTENT


def test_goes_on_where_it_was_interrupted(server, remote, cache):
    server.cut_after = 1_000
    with pytest.raises(DownloadError, match="the connection was closed after 1000 of 256000 bytes"):
        fetch(remote)
    assert names(cache) == ["data.bin.part"]
    server.cut_after = None
    assert fetch(remote).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]
    assert names(cache) == ["data.bin"]


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "ranges ignored"])
@pytest.mark.parametrize(
    "part",
    [b"", CONTENT[:77], CONTENT, CONTENT + b"more", b"x" * 99, b"x" * len(CONTENT)],
    ids=["empty", "beginning", "complete", "oversized", "other", "other of this size"],
)
def test_any_partial_file(server, remote, cache, part, ranges, known):
    cache.mkdir()
    (cache / "data.bin.part").write_bytes(part)
    server.ranges = ranges
    assert fetch(remote if known else replace(remote, bytes=None)).read_bytes() == CONTENT
    assert names(cache) == ["data.bin"]
    if part == CONTENT and known:
        assert server.asked == []


@pytest.mark.parametrize("known", [True, False], ids=["checksum", "no checksum"])
@pytest.mark.parametrize("name", ["data.bin", "data.bin.part"])
def test_a_pipe_is_not_waited_for(remote, cache, name, known):
    cache.mkdir()
    os.mkfifo(cache / name)
    remote = remote if known else replace(remote, sha256=None, bytes=None)
    if name == "data.bin":
        assert fetch(remote).read_bytes() == CONTENT
        return
    with pytest.raises(DownloadError) as caught:
        fetch(remote)
    assert is_one_line(caught)


def test_of_many_at_once_one_downloads(server, remote, cache):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: fetch(remote), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert server.asked == [None]
    assert names(cache) == ["data.bin"]


def is_one_line(error: pytest.ExceptionInfo) -> bool:
    message = str(error.value)
    return (
        isinstance(error.value, InputError) and message.startswith("data.bin: cannot") and "\n" not in message
    )


def test_wrong_checksum(server, remote, cache):
    server.files["/data.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match="the server has a different file, 256000 bytes") as caught:
        fetch(remote)
    assert is_one_line(caught)
    assert names(cache) == []


def test_not_found(server, remote, cache):
    remote = replace(remote, url=f"{server.url}/gone/data.bin")
    with pytest.raises(DownloadError, match="HTTP Error 404") as caught:
        fetch(remote)
    assert is_one_line(caught)


def test_no_server(remote, cache):
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        remote = replace(remote, url=f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin")
        with pytest.raises(DownloadError, match="refused") as caught:
            fetch(remote)
    assert is_one_line(caught)


def test_silent_server(remote, cache):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        remote = replace(remote, url=f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin")
        with pytest.raises(DownloadError, match="timed out") as caught:
            fetch(remote, timeout=0.1)
    assert is_one_line(caught)


def test_mirrors_in_order(server, remote):
    mirrors = (f"{server.url}/other.bin", f"{server.url}/data.bin")
    server.files["/other.bin"] = b"other"
    assert fetch(replace(remote, url=f"{server.url}/gone/data.bin", mirrors=mirrors)).read_bytes() == CONTENT
    assert len(server.asked) == 3


@pytest.mark.parametrize("name", ["x.zip", "x.gz", "x.txt"])
def test_an_error_page_is_no_file(server, cache, name):
    server.files[f"/{name}"] = b"\n<!DOCTYPE html><html>We moved.</html>"
    with pytest.raises(DownloadError, match="the server has a different file"):
        fetch(RemoteFile(f"{server.url}/{name}", None))
    assert names(cache) == []


@pytest.mark.parametrize(
    ("before", "after", "follows"),
    [
        ("https://example.org/a", "https://example.com/b", True),
        ("https://example.org/a", "http://example.org/a", False),
        ("https://example.org/a", "http://127.0.0.1/a", False),
        ("https://example.org/a", "ftp://example.org/a", False),
        ("http://127.0.0.1/a", "https://example.org/a", True),
        ("http://127.0.0.1/a", "http://example.org/a", False),
        ("http://127.0.0.1/a", "http://127.0.0.1.example.org/a", False),
        ("http://127.0.0.1/a", "http://127.0.0.1@example.org/a", False),
        ("http://127.0.0.1/a", "file:///etc/passwd", False),
    ],
)
def test_stays_with_https(before, after, follows):
    request, redirect = urllib.request.Request(before), download._SafeRedirects().redirect_request
    if follows:
        assert redirect(request, None, 302, "", {}, after).full_url == after
    else:
        with pytest.raises(DownloadError, match="redirects from https"):
            redirect(request, None, 302, "", {}, after)


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org/x", "file:///etc/passwd", "data:,x", "x"]
)
def test_asks_by_https_alone(url, cache, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", None)  # nobody is asked
    with pytest.raises(DownloadError, match="is not an https URL"):
        fetch(RemoteFile(url, None))
    assert names(cache) == []


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "http://example.org/data.bin", "ftp://example.org/data.bin"]
)
def test_is_not_sent_elsewhere(place, server, remote, cache):
    server.elsewhere["/data.bin"] = place
    with pytest.raises(DownloadError, match=r"redirects from https|is not allowed") as caught:
        fetch(remote)
    assert is_one_line(caught)
    assert names(cache) == []


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
def test_a_file_without_end_does_not_fill_the_disk(known, server, remote, cache, monkeypatch):
    monkeypatch.setattr(download, "_MAX_BYTES", 2 * len(CONTENT))
    server.is_endless = True
    most = len(CONTENT) if known else 2 * len(CONTENT)
    with pytest.raises(DownloadError, match=f"a different file, of more than {most} bytes") as caught:
        fetch(remote if known else replace(remote, bytes=None))
    assert is_one_line(caught)
    assert names(cache) == []


@pytest.mark.parametrize("known", [True, False], ids=["size known", "size unknown"])
def test_a_size_that_is_too_large_is_not_begun_with(known, server, remote, cache):
    server.said = 1 << 50
    with pytest.raises(DownloadError, match=f"a different file, of {1 << 50} bytes"):
        fetch(remote if known else replace(remote, bytes=None))
    assert names(cache) == []


@pytest.mark.parametrize("said", ["-1", "many", "1e3", "9" * 5_000])
def test_a_size_that_is_none_is_one_line(said, server, remote):
    server.said = said
    with pytest.raises(DownloadError) as caught:
        fetch(replace(remote, bytes=None, sha256=sha256(b"other")))
    assert is_one_line(caught)


def take(archive, member, target, content):
    """Unpack a member of which the content is known."""
    unpack(archive, member, target, sha256=sha256(content), bytes=len(content))


def test_extract_takes_only_what_is_wanted(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(
        zipped({"d/a.txt": b"a", "d/b.txt": b"b", "../evil": b"!", "/abs": b"!", "d/../../up": b"u"})
    )
    folder = tmp_path / "in" / "to"
    take(archive, "d/a.txt", folder / "a.txt", b"a")
    take(archive, "d/../../up", folder / "up", b"u")
    assert names(folder) == ["a.txt", "up"]  # a member's folders are never used
    assert names(tmp_path / "in") == ["to"]
    assert names(tmp_path) == ["a.zip", "in"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"other": b"a"}), "'a.txt' is not in it"),
        (zipped({"a.txt": b"b"}), "'a.txt' in it is not the official file"),
        (zipped({"a.txt": b"a" * 10_000_000}), "'a.txt' in it is not the official file"),
        (zipped({"a.txt": b"a"}, links=("a.txt",)), "'a.txt' in it is not a regular file"),
        (b"no zip", "File is not a zip file"),
    ],
    ids=["missing", "other", "bomb", "link", "no zip"],
)
def test_extract_refuses(tmp_path, content, message):
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match=f"^a.zip: {message}"):
        take(archive, "a.txt", tmp_path / "out" / "a.txt", b"a")
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("claimed", [1, 0, 1 << 31])
def test_a_member_that_says_another_size_than_it_has(claimed, tmp_path):
    bomb = zipped({"a.txt": bytes(50_000_000)})
    sizes = (50_000_000).to_bytes(4, "little")
    assert bomb.count(sizes) == 2  # before the member, and at the end
    (tmp_path / "a.zip").write_bytes(bomb.replace(sizes, claimed.to_bytes(4, "little")))
    with pytest.raises(DownloadError, match=r"^a.zip: "):
        take(tmp_path / "a.zip", "a.txt", tmp_path / "out" / "a.txt", b"a")
    assert names(tmp_path / "out") == []


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "d/../../a.txt", "..\\a.txt"])
def test_no_file_is_put_outside_the_folder(name, tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped({name: b"a"}))
    take(tmp_path / "a.zip", name, tmp_path / "in" / "out" / "a.txt", b"a")
    assert names(tmp_path / "in") == ["out"]
    assert names(tmp_path) == ["a.zip", "in"]


@pytest.mark.parametrize("damage", [slice(-20), slice(40, None)], ids=["end", "beginning"])
def test_extract_from_a_damaged_zip(tmp_path, damage):
    archive = tmp_path / "a.zip"
    content = bytes(range(256))
    archive.write_bytes(zipped({"a.txt": content})[damage])
    with pytest.raises(DownloadError, match=r"^a.zip: "):
        take(archive, "a.txt", tmp_path / "out" / "a.txt", content)
    assert names(tmp_path / "out") == []


def test_unpack(tmp_path):
    (tmp_path / "a.json.gz").write_bytes(gzip.compress(CONTENT))
    take(tmp_path / "a.json.gz", "a.json", tmp_path / "out" / "a.json", CONTENT)
    assert names(tmp_path / "out") == ["a.json"]
    assert (tmp_path / "out" / "a.json").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(b"other"),
        gzip.compress(CONTENT + b"x"),
        gzip.compress(CONTENT)[:-9],
        gzip.compress(CONTENT)[:20] + b"\xff" * 20,
        gzip.compress(CONTENT, compresslevel=0)[:-8] + b"12345678",
        gzip.compress(bytes(50_000_000)),
        b"no gzip",
        b"",
    ],
    ids=["other", "longer", "cut", "damaged", "checksum", "bomb", "no gzip", "empty"],
)
def test_gunzip_refuses(tmp_path, packed):
    (tmp_path / "a.json.gz").write_bytes(packed)
    with pytest.raises(DownloadError, match=r"^a.json.gz: ") as caught:
        take(tmp_path / "a.json.gz", "a.json", tmp_path / "out" / "a.json", CONTENT)
    assert "\n" not in str(caught.value)
    assert names(tmp_path / "out") == []


def test_an_archive_that_is_gone(tmp_path):
    for name in ("gone.zip", "gone.gz"):
        with pytest.raises(DownloadError, match=f"^{name}: "):
            take(tmp_path / name, "a", tmp_path / "out" / "a.txt", b"a")

import hashlib
import http.server
import io
import re
import socket
import stat
import threading
import time
import warnings
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from glre_pyg.corpora import download
from glre_pyg.corpora.download import DownloadError, Member, RemoteFile, cdr_files, extract, fetch
from glre_pyg.document import InputError

CONTENT = bytes(range(256)) * 1_000


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked and server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if server.cut_after is None else start + server.cut_after
        self.wfile.write(content[start:end])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.ranges, server.cut_after = {"/data.bin": CONTENT}, [], True, None
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(server):
    return RemoteFile(
        f"{server.url}/data.bin", sha256(CONTENT), len(CONTENT), page="https://example.org/page"
    )


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GLRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GLRE_DATA", raising=False)
    return tmp_path / "cache"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert download.cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("GLRE_CACHE")
    assert download.cache_folder() == Path("/xdg/glre_pyg")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert download.cache_folder() == Path.home() / ".cache" / "glre_pyg"


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
    with pytest.raises(DownloadError, match="the connection ended after 1000 of 256000 bytes"):
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


def test_takes_over_only_abandoned_files_of_other_processes(server, remote, cache, monkeypatch):
    cache.mkdir()
    (cache / "data.bin.99-aa.part").write_bytes(CONTENT[:50])
    fetch(remote)
    assert names(cache) == ["data.bin", "data.bin.99-aa.part"]
    (cache / "data.bin").unlink()
    now = time.time()
    monkeypatch.setattr(download.time, "time", lambda: now + 3_600)
    fetch(remote)
    assert server.asked == [None, "bytes=50-"]
    assert names(cache) == ["data.bin"]


def test_many_at_once(remote, cache):
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: fetch(remote), range(8)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert names(cache) == ["data.bin"]


def advice(error: DownloadError, cache: Path, remote: RemoteFile) -> bool:
    message = str(error)
    assert "\n" not in message
    assert isinstance(error, InputError)
    return message.endswith(
        f"get it from https://example.org/page (sha256 {remote.sha256}) and put it at {cache / remote.name}"
    )


def test_wrong_checksum(server, remote, cache):
    server.files["/data.bin"] = CONTENT[:-1] + b"x"
    with pytest.raises(DownloadError, match="the server's file is another one, 256000 bytes") as caught:
        fetch(remote)
    assert advice(caught.value, cache, remote)
    assert names(cache) == []


def test_not_found(server, remote, cache):
    remote = replace(remote, url=f"{server.url}/gone.bin")
    with pytest.raises(DownloadError, match="HTTP Error 404") as caught:
        fetch(remote)
    assert advice(caught.value, cache, remote)


def test_no_server(remote, cache):
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        remote = replace(remote, url=f"http://127.0.0.1:{unused.getsockname()[1]}/data.bin")
        with pytest.raises(DownloadError, match="refused") as caught:
            fetch(remote)
    assert advice(caught.value, cache, remote)


def test_silent_server(remote, cache):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        remote = replace(remote, url=f"http://127.0.0.1:{silent.getsockname()[1]}/data.bin")
        with pytest.raises(DownloadError, match="timed out") as caught:
            fetch(remote, timeout=0.1)
    assert advice(caught.value, cache, remote)


def test_mirrors_in_order(server, remote):
    mirrors = (f"{server.url}/other.bin", f"{server.url}/data.bin")
    server.files["/other.bin"] = b"other"
    assert fetch(replace(remote, url=f"{server.url}/gone/data.bin", mirrors=mirrors)).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_an_error_page_is_no_zip(server):
    server.files["/x.zip"] = b"<html>We moved.</html>"
    with pytest.raises(DownloadError, match="the server's file is another one"):
        fetch(RemoteFile(f"{server.url}/x.zip", None))


def zipped(files: dict[str, bytes], *, links: tuple[str, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            if name in links:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


def member(path: str, content: bytes) -> Member:
    return Member(path, sha256(content), len(content))


def test_extract_takes_only_what_is_wanted(tmp_path):
    archive = tmp_path / "a.zip"
    archive.write_bytes(
        zipped({"d/a.txt": b"a", "d/b.txt": b"b", "../evil": b"!", "/abs": b"!", "d/../../up": b"u"})
    )
    folder = tmp_path / "in" / "to"
    extract(archive, [member("d/a.txt", b"a"), member("d/../../up", b"u")], folder)
    assert names(folder) == ["a.txt", "up"]  # a member's folders are never used
    assert names(tmp_path / "in") == ["to"]
    assert names(tmp_path) == ["a.zip", "in"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"other": b"a"}), "'a.txt' is not in it"),
        (zipped({"a.txt": b"b"}), "'a.txt' in it is not the official file"),
        (zipped({"a.txt": b"a" * 10_000_000}), "'a.txt' in it is not the official file"),
        (zipped({"a.txt": b"a"}, links=("a.txt",)), "'a.txt' in it is no plain file"),
        (b"no zip", "File is not a zip file"),
    ],
    ids=["missing", "other", "bomb", "link", "no zip"],
)
def test_extract_refuses(tmp_path, content, message):
    archive = tmp_path / "a.zip"
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match=f"^a.zip: {message}"):
        extract(archive, [member("a.txt", b"a")], tmp_path / "out")
    assert names(tmp_path / "out") == []


SPLITS = {"train": b"one", "dev": b"two", "test": b"three"}


@pytest.fixture
def corpus(server, monkeypatch):
    """Small files in the places of the official ones."""
    splits = {split: member(download.CDR_SPLITS[split].path, content) for split, content in SPLITS.items()}
    server.files["/CDR_Data.zip"] = zipped({member.path: SPLITS[split] for split, member in splits.items()})
    server.files["/2017MeshTree.txt"] = b"tree"
    monkeypatch.setattr(download, "CDR_SPLITS", splits)
    monkeypatch.setattr(download, "CDR_ZIP", RemoteFile(f"{server.url}/CDR_Data.zip", None, page="page"))
    monkeypatch.setattr(download, "MESH_TREE", RemoteFile(f"{server.url}/2017MeshTree.txt", sha256(b"tree")))
    return server


def lay_out(folder: Path, tree: Path | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, each in download.CDR_SPLITS.items():
        (folder / each.name).write_bytes(SPLITS[split])
    if tree is not None:
        tree.mkdir(parents=True, exist_ok=True)
        (tree / "2017MeshTree.txt").write_bytes(b"tree")


def contents(files: dict[str, Path]) -> dict[str, bytes]:
    return {key: path.read_bytes() for key, path in files.items()}


def test_cdr_is_downloaded_once(corpus, cache):
    files = cdr_files()
    assert contents(files) == {**SPLITS, "mesh": b"tree"}
    assert files["train"] == cache / "CDR" / "CDR_TrainingSet.PubTator.txt"
    assert (cdr_files(), len(corpus.asked)) == (files, 2)
    files["dev"].write_bytes(b"damaged")
    assert contents(cdr_files()) == {**SPLITS, "mesh": b"tree"}


def test_cdr_from_another_zip(corpus, cache):
    corpus.files["/CDR_Data.zip"] = zipped({each.path: b"other" for each in download.CDR_SPLITS.values()})
    with pytest.raises(
        DownloadError, match=r"^CDR_Data.zip: .* is not the official file.*get it from page and put"
    ):
        cdr_files()
    assert names(cache / "CDR") == []


@pytest.mark.parametrize(
    ("folder", "tree"),
    [
        (".", "."),
        (".", "../MeSH"),
        ("CDR_Data/CDR.Corpus.v010516", "."),
        ("CDR_Data/CDR.Corpus.v010516", "../MeSH"),
    ],
)
def test_cdr_in_a_folder(corpus, tmp_path, folder, tree):
    root = tmp_path / "data" / "mine"
    lay_out(root / folder, root / tree)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = cdr_files(root)
    assert files["test"].parent == root / folder
    assert contents(files) == {**SPLITS, "mesh": b"tree"}
    assert corpus.asked == []


def test_cdr_in_glre_data(corpus, tmp_path, monkeypatch):
    lay_out(tmp_path / "data" / "CDR", tmp_path / "data" / "MeSH")
    monkeypatch.setenv("GLRE_DATA", str(tmp_path / "data"))
    assert contents(cdr_files()) == {**SPLITS, "mesh": b"tree"}
    own = tmp_path / "own"
    lay_out(own)
    files = cdr_files(own)
    assert (files["dev"].parent, files["mesh"].parent) == (own, tmp_path / "data" / "MeSH")
    assert corpus.asked == []


def test_cdr_of_ones_own_is_used_with_a_warning(corpus, tmp_path):
    lay_out(tmp_path / "own", tmp_path / "own")
    (tmp_path / "own" / "CDR_TestSet.PubTator.txt").write_bytes(b"changed")
    with pytest.warns(
        UserWarning, match=f"CDR_TestSet.PubTator.txt: sha256 {sha256(b'changed')}, the official"
    ):
        files = cdr_files(tmp_path / "own")
    assert files["test"].read_bytes() == b"changed"


def test_cdr_missing_in_the_given_folder(corpus, tmp_path):
    with pytest.raises(DownloadError, match=r"not all in this folder: CDR_TrainingSet.PubTator.txt, "):
        cdr_files(tmp_path)
    assert corpus.asked == []

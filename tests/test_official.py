import gzip
import os
import re
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from glre_pyg.datasets import CDR as CDRCorpus
from glre_pyg.datasets import DWIE as DWIECorpus
from glre_pyg.datasets import BioRED, DocRED, ReDocRED
from glre_pyg.datasets import official_files as official
from glre_pyg.datasets.official_files import (
    BIORED,
    CDR,
    DOCRED,
    DWIE,
    GDA,
    MESH_TREE,
    REDOCRED,
    OfficialFile,
    find,
)
from glre_pyg.utils.download import DownloadError, RemoteFile
from local_server import serve, sha256, zipped

TABLE = [
    *CDR.values(),
    MESH_TREE,
    *DOCRED.values(),
    *REDOCRED.values(),
    *DWIE.values(),
    *BIORED.values(),
    *(file for split in GDA.values() for file in split.values()),
]
CONTENT = b"[1, 2, 3]" * 1_000


def cdr_files(root=None):
    """The three splits of CDR, and the MeSH tree."""
    splits = {split: official.find(file, root) for split, file in official.CDR.items()}
    return {**splits, "mesh": official.mesh_tree(root)}


def label(file: OfficialFile) -> str:
    return f"{file.folder}/{file.path}"


@pytest.fixture
def server():
    with serve({}) as server:
        yield server


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    monkeypatch.setenv("GLRE_CACHE", str(tmp_path / "cache"))
    if "shared" not in request.fixturenames:
        monkeypatch.delenv("GLRE_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """A folder that $GLRE_DATA names."""
    monkeypatch.setenv("GLRE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def save(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock") if folder.exists() else []


def official_file(server, path: str = "dev.json", packing: str = "plain", content=CONTENT) -> OfficialFile:
    """A file that the server has, as it is, gzipped or in a zip."""
    packed = {
        "plain": (path, content),
        "gz": (f"{path}.gz", gzip.compress(content)),
        "zip": ("X.zip", zipped({f"X/y/{path}": content, "X/other": b"o"})),
    }
    name, sent = packed[packing]
    server.files[f"/a/{name}"] = sent
    source = RemoteFile(f"{server.url}/a/{name}", None if packing == "zip" else sha256(sent))
    inside = f"X/y/{path}" if packing == "zip" else None
    return OfficialFile("Corpus", path, sha256(content), len(content), "https://page.org/x", source, inside)


# The table --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", TABLE, ids=label)
def test_entry(file):
    sources = [file.source] if file.source else []
    urls = [url for source in sources for url in (source.url, *source.mirrors)]
    assert all(re.fullmatch(r"https://[a-z0-9.-]+/[\w./-]+", url) for url in urls)
    assert file.page.startswith("https://")
    for checksum in (file.sha256, *(source.sha256 for source in sources)):
        assert checksum is None or re.fullmatch(r"[0-9a-f]{64}", checksum)
    for size in (file.bytes, *(source.bytes for source in sources)):
        assert size is None or size > 1_000
    assert ".." not in file.path
    assert not file.path.startswith("/")


def test_all_but_gda_has_a_checksum():
    """Of GDA nobody published one; what is downloaded says so in a warning."""
    assert {file.folder for file in TABLE if file.source and not file.sha256} == {"GDA"}


@pytest.mark.parametrize("file", TABLE, ids=label)
def test_what_is_downloaded_can_be_unpacked_to_the_file(file):
    if file.source is None:
        return
    kind = Path(file.source.name).suffix
    assert (kind == ".zip") == (file.inside is not None)
    if kind in (".zip", ".gz"):
        assert file.sha256
        assert file.bytes
    else:
        assert file.source.name == Path(file.path).name
        assert (file.source.sha256, file.source.bytes) == (file.sha256, file.bytes)
    assert {Path(mirror).name for mirror in file.source.mirrors} <= {file.source.name}


def test_no_two_files_are_one():
    assert len({label(file) for file in TABLE}) == len(TABLE)
    checksums = [file.sha256 for file in TABLE if file.sha256]
    assert len(set(checksums)) == len(checksums)
    assert len({file.source.url for file in TABLE if file.source}) == len(
        {file.source for file in TABLE if file.source}
    )
    assert {file.folder for file in TABLE} == {"CDR", "MeSH", "DocRED", "Re-DocRED", "BioRED", "GDA", "DWIE"}


@pytest.fixture
def shared() -> Path:
    if not os.environ.get("GLRE_DATA"):
        pytest.skip("GLRE_DATA is not set")
    return Path(os.environ["GLRE_DATA"])


@pytest.mark.parametrize("file", [file for file in TABLE if file.sha256], ids=label)
def test_checksum_of_the_real_file(shared, file):
    path = shared / file.folder / file.path
    if not path.is_file():
        pytest.skip(f"no {path}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of another checksum
        assert find(file) == path
    assert path.stat().st_size == file.bytes


# Finding and downloading ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
@pytest.mark.parametrize("path", ["dev.json", "folder/dev.json"])
def test_is_downloaded_once(server, cache, path, packing):
    file = official_file(server, path, packing)
    found = find(file)
    assert (found, found.read_bytes()) == (cache / "Corpus" / path, CONTENT)
    assert (find(file), len(server.asked)) == (found, 1)
    save(found, b"damaged")
    assert find(file).read_bytes() == CONTENT


@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
def test_many_at_once(server, packing):
    file = official_file(server, packing=packing)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: find(file), range(8)))
    assert {path.read_bytes() for path in found} == {CONTENT}


def test_splits_of_one_zip(server):
    file = official_file(server, packing="zip")
    server.files["/a/X.zip"] = zipped({"X/y/dev.json": CONTENT, "X/y/test.json": b"test"})
    test = replace(file, path="test.json", inside="X/y/test.json", sha256=sha256(b"test"), bytes=4)
    assert [find(each).read_bytes() for each in (file, test)] == [CONTENT, b"test"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
def test_goes_on_where_it_was_interrupted(server, cache, packing):
    file = official_file(server, packing=packing)
    server.cut_after = 30
    with pytest.raises(DownloadError, match="the connection was closed after 30 of"):
        find(file)
    server.cut_after = None
    assert find(file).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=30-"]
    assert not [name for name in names(cache / "Corpus") if name.endswith(".part")]


def test_mirror(server):
    file = official_file(server)
    mirrored = replace(file.source, url=f"{server.url}/gone/dev.json", mirrors=(file.source.url,))
    assert find(replace(file, source=mirrored)).read_bytes() == CONTENT
    assert server.paths == ["/gone/dev.json", "/a/dev.json"]


def is_advice(error: DownloadError, target: Path, zipped: str = "") -> bool:
    message = str(error)
    assert "\n" not in message
    assert message.startswith("Corpus/dev.json: not found (")
    end = f"; get it{zipped} from https://page.org/x (sha256 {sha256(CONTENT)}) and put it at {target}"
    return message.endswith(end)


@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
def test_not_downloadable(server, cache, packing):
    file = official_file(server, packing=packing)
    server.files.clear()
    with pytest.raises(DownloadError, match="HTTP Error 404") as caught:
        find(file)
    zipped = " in X.zip" if packing == "zip" else ""
    assert is_advice(caught.value, cache / "Corpus" / "dev.json", zipped)
    save(cache / "Corpus" / "dev.json", CONTENT)  # where it said
    assert find(file).read_bytes() == CONTENT


@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
def test_wrong_content(server, cache, packing):
    """The archive may be as published, or of unknown checksum: the content is verified in any case."""
    file = official_file(server, packing=packing, content=b"other")
    if packing == "plain":
        file = replace(file, source=replace(file.source, sha256=sha256(CONTENT)))
    file = replace(file, sha256=sha256(CONTENT), bytes=len(CONTENT))
    with pytest.raises(DownloadError, match=r"a different file|not the official file") as caught:
        find(file)
    assert is_advice(caught.value, cache / "Corpus" / "dev.json", " in X.zip" if packing == "zip" else "")
    assert names(cache / "Corpus") == []


def test_gz_of_unknown_checksum(server):
    file = official_file(server, packing="gz")
    assert find(replace(file, source=replace(file.source, sha256=None))).read_bytes() == CONTENT


def test_another_file_in_the_cache_is_named(server, cache):
    file = official_file(server)
    server.files.clear()
    target = save(cache / "Corpus" / "dev.json", b"other")
    with pytest.raises(DownloadError, match=f"and {target} is a different file") as caught:
        find(file)
    assert is_advice(caught.value, target)
    assert target.read_bytes() == b"other"


def test_without_published_checksum(server):
    file = replace(official_file(server), sha256=None, bytes=None)
    file = replace(file, source=replace(file.source, sha256=None))
    with pytest.warns(UserWarning, match=f"sha256 {sha256(CONTENT)}, not verified"):
        found = find(file)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find(file) == found


@pytest.mark.parametrize("place", ["dev.json", "X/y/dev.json"], ids=["by itself", "as the zip has it"])
@pytest.mark.parametrize("where", ["root", "data"])
def test_of_ones_own(server, tmp_path, data, cache, where, place):
    file = official_file(server, packing="zip")
    save(cache / "Corpus" / "dev.json", b"not looked at")
    path = save((data / "Corpus" if where == "data" else tmp_path / "mine") / place, CONTENT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find(file, tmp_path / "mine" if where == "root" else None) == path
    assert server.asked == []


def test_root_goes_before_glre_data(server, tmp_path, data):
    file = official_file(server)
    mine, shared = save(tmp_path / "mine" / "dev.json", CONTENT), save(data / "Corpus" / "dev.json", CONTENT)
    assert (find(file, tmp_path / "mine"), find(file)) == (mine, shared)


def test_another_file_of_ones_own_is_used_with_one_warning(server, tmp_path, monkeypatch):
    file = official_file(server)
    path = save(tmp_path / "mine" / "dev.json", b"changed")
    monkeypatch.setattr(official, "__warningregistry__", {}, raising=False)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            assert find(file, tmp_path / "mine") == path
        assert find(file, path.parent) == path
    assert [str(warning.message) for warning in caught] == [
        f"{path}: sha256 {sha256(b'changed')}, the official file's is {sha256(CONTENT)}"
    ]


@pytest.mark.parametrize("root", ["mine", "nowhere", "mine/partial"])
def test_not_in_root(server, tmp_path, data, cache, root):
    """Neither other places nor samples with another name stand in for it."""
    file = official_file(server)
    save(tmp_path / "mine" / "partial" / "dev_100.json", b"[]")
    for other in (cache, data):
        save(other / "Corpus" / "dev.json", CONTENT)
    with pytest.raises(DownloadError) as caught:
        find(file, tmp_path / root)
    assert str(caught.value) == (
        f"{tmp_path / root / 'dev.json'}: there is no such file; get it from https://page.org/x "
        f"(sha256 {sha256(CONTENT)}) and put it there"
    )
    assert server.asked == []


def test_samples_are_not_taken(server, data):
    file = official_file(server)
    save(data / "Corpus" / "partial" / "dev.json", b"[]")
    assert find(file).read_bytes() == CONTENT


def test_nowhere_to_download(cache):
    file = DWIE["train"]
    with pytest.raises(DownloadError) as caught:
        find(file)
    message = str(caught.value)
    assert message.startswith("DWIE/train_annotated.json: not found (")
    assert "get it from https://github.com/klimzaporojets/DWIE" in message
    assert message.endswith(f"put it at {cache / 'DWIE' / 'train_annotated.json'}")
    assert "\n" not in message


# Corpora ----------------------------------------------------------------------------------------------------

SPLITS = {"train": b"one", "dev": b"two", "test": b"three"}


@pytest.fixture
def corpus(server, monkeypatch):
    """Small files in the places of CDR's."""
    archive = RemoteFile(f"{server.url}/CDR_Data.zip", None)
    files = {
        split: replace(file, sha256=sha256(SPLITS[split]), bytes=len(SPLITS[split]), source=archive)
        for split, file in CDR.items()
    }
    server.files["/CDR_Data.zip"] = zipped({files[split].inside: SPLITS[split] for split in SPLITS})
    server.files["/2017MeshTree.txt"] = b"tree"
    tree = RemoteFile(f"{server.url}/2017MeshTree.txt", sha256(b"tree"))
    monkeypatch.setattr(official, "CDR", files)
    monkeypatch.setattr(official, "MESH_TREE", replace(MESH_TREE, sha256=tree.sha256, bytes=4, source=tree))
    return server


def lay_out(folder: Path, tree: Path | None = None) -> None:
    for split, file in CDR.items():
        save(folder / file.path, SPLITS[split])
    if tree is not None:
        save(tree / "2017MeshTree.txt", b"tree")


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
    corpus.files["/CDR_Data.zip"] = zipped({file.inside: b"other" for file in CDR.values()})
    with pytest.raises(
        DownloadError,
        match=r"^CDR/CDR_TrainingSet.PubTator.txt: .* is not the official file.*get it in CDR_Data.zip from",
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


def test_cdr_in_glre_data(corpus, tmp_path, data):
    lay_out(data / "CDR", data / "MeSH")
    assert contents(cdr_files()) == {**SPLITS, "mesh": b"tree"}
    lay_out(tmp_path / "own")
    files = cdr_files(tmp_path / "own")
    assert (files["dev"].parent, files["mesh"].parent) == (tmp_path / "own", data / "MeSH")
    assert corpus.asked == []


def test_the_tree_is_downloaded_where_a_folder_has_only_cdr(corpus, tmp_path, cache):
    lay_out(tmp_path / "own")
    assert cdr_files(tmp_path / "own")["mesh"] == cache / "MeSH" / "2017MeshTree.txt"


def test_cdr_missing_in_the_given_folder(corpus, tmp_path):
    with pytest.raises(
        DownloadError, match=r"CDR_TrainingSet.PubTator.txt: there is no such file; get it in"
    ):
        cdr_files(tmp_path)
    assert corpus.asked == []


OWN = {"train": None, "dev": None, "test": None, "dev_from_train": 0}


@pytest.mark.filterwarnings("ignore:.*the official file's is")
@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize(
    ("corpus", "table"), [(DocRED, DOCRED), (ReDocRED, REDOCRED), (DWIECorpus, DWIE), (BioRED, BIORED)]
)
def test_datasets_ask_for_their_files(tmp_path, corpus, table, split):
    ignore = {} if corpus is BioRED else {"ignore": "train"}
    asking = corpus(root=str(tmp_path), **OWN, **ignore)
    path = tmp_path / table[split].path
    with pytest.raises(DownloadError, match=re.escape(f"{path}: there is no such file")):
        asking.official(split)
    save(path, b"mine")
    assert asking.official(split) == path


@pytest.mark.filterwarnings("ignore:.*the official file's is")
def test_cdr_asks_for_its_files(tmp_path):
    lay_out(tmp_path, tmp_path)
    corpus = CDRCorpus(root=str(tmp_path), protocol="eog", **OWN)
    assert [corpus.official(split).name for split in CDR] == [Path(file.path).name for file in CDR.values()]


def test_nothing_is_downloaded_on_import(tmp_path):
    """With connections refused, and a cache that would show it."""
    code = (
        "import socket, sys\n"
        "def refuse(*args, **kwargs): raise AssertionError('a connection')\n"
        "socket.socket.connect = refuse\n"
        "import glre_pyg.datasets.official_files\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "GLRE_CACHE": str(tmp_path / "cache")}
    )
    assert not (tmp_path / "cache").exists()

"""The official files of a corpus: found where the user has them, or downloaded once and verified.

The cache is ``$GLRE_CACHE``, else ``$XDG_CACHE_HOME/glre_pyg``, else ``~/.cache/glre_pyg``.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import time
import urllib.error
import urllib.request
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO

from tqdm.auto import tqdm

from glre_pyg.document import InputError

_CHUNK = 1 << 16  # bytes
_ABANDONED = 300.0  # seconds without a write after which a partial file of a killed process may be taken over


class DownloadError(InputError):
    """A file that could not be had: one line that says why, and which file to put where."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that has an official place.

    Args:
        url: Where it is; its last part is the file's name.
        sha256: Checksum in hexadecimal, or ``None`` where nobody published one.
        bytes: Its size, or ``None`` if unknown.
        page: The page that a person would go to.
        mirrors: Other places of the same file, tried in order.
    """

    url: str
    sha256: str | None
    bytes: int | None = None
    page: str = ""
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file in a folder."""
        return re.sub(r"[?#].*", "", self.url).rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a zip: its path there, its checksum and its size in bytes."""

    path: str
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """Name of the file in a folder."""
        return self.path.rsplit("/", 1)[-1]


def cache_folder() -> Path:
    """Where downloads are kept."""
    if os.environ.get("GLRE_CACHE"):
        return Path(os.environ["GLRE_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "glre_pyg"


def sha256_of(path: Path) -> str:
    """Checksum of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(remote: RemoteFile, folder: Path | None = None, *, timeout: float = 30.0) -> Path:
    """Find a file in `folder` (by default the cache), or download it there.

    An interrupted download leaves ``name.part`` and goes on from there the next time. Two processes at once
    each write a file of their own; the file appears under its name when it is complete and verified.

    Args:
        remote: What to get.
        folder: Where to keep it.
        timeout: Seconds to wait for the server, for a connection or for more bytes.

    Raises:
        DownloadError: If it cannot be had, or is not the file it should be.
    """
    target = (folder or cache_folder()) / remote.name
    if target.exists() and _is(target, remote):
        return target
    reasons: list[str] = []
    for url in (remote.url, *remote.mirrors):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _download(url, remote, target, timeout)
        except (DownloadError, urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            reasons.append(f"{url}: {str(error) or type(error).__name__}")
        else:
            return target
    raise _advice(remote, target, "; ".join(reasons))


def _advice(remote: RemoteFile, target: Path, reason: str) -> DownloadError:
    checksum = f" (sha256 {remote.sha256})" if remote.sha256 else ""
    page = f" from {remote.page or remote.url}"
    line = f"{remote.name}: cannot be downloaded ({reason}); get it{page}{checksum} and put it at {target}"
    return DownloadError(re.sub(r"\s+", " ", line))


def _is(path: Path, remote: RemoteFile) -> bool:
    """Whether a file is the remote one, as far as its size and checksum are known."""
    if remote.bytes is not None and path.stat().st_size != remote.bytes:
        return False
    if remote.sha256 is None:  # at least no error page under the name of a zip
        return not remote.name.endswith(".zip") or zipfile.is_zipfile(path)
    return sha256_of(path) == remote.sha256


def _download(url: str, remote: RemoteFile, target: Path, timeout: float) -> None:
    part = target.with_name(f"{target.name}.part")
    own = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    _claim(part, own)
    try:
        resumed = own.exists() and own.stat().st_size > 0
        _complete(url, remote, own, timeout)
        if resumed and not _is(own, remote):  # the beginning was of another file
            own.unlink()
            _complete(url, remote, own, timeout)
        if not _is(own, remote):
            found = f"{own.stat().st_size} bytes with sha256 {sha256_of(own)}"
            own.unlink()
            raise DownloadError(f"the server's file is another one, {found}")
        os.replace(own, target)
    finally:
        if own.exists():  # interrupted
            os.replace(own, part)


def _claim(part: Path, own: Path) -> None:
    """Take over the partial file of an earlier attempt, if there is one; only one process succeeds."""
    for candidate in (part, *part.parent.glob(f"{part.stem}.*.part")):
        try:
            if candidate == part or time.time() - candidate.stat().st_mtime > _ABANDONED:
                os.rename(candidate, own)
                return
        except FileNotFoundError:
            continue


def _complete(url: str, remote: RemoteFile, own: Path, timeout: float) -> None:
    """Download what is missing at the end of the file `own`."""
    have = own.stat().st_size if own.exists() else 0
    if have and remote.bytes is not None and have >= remote.bytes:
        if _is(own, remote):
            return
        have = 0
    try:
        response = _open(url, have, timeout)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the range begins after the end of the file
            raise
        if remote.sha256 is not None and _is(own, remote):
            return
        have, response = 0, _open(url, 0, timeout)
    with response:
        goes_on = re.match(rf"bytes {have}-", response.headers.get("Content-Range") or "")
        if have and response.status == 206 and not goes_on:
            raise DownloadError("the server sent another range than it was asked for")
        have = have if response.status == 206 else 0  # 200: it sends all
        length = response.headers.get("Content-Length")
        total = have + int(length) if length is not None else remote.bytes
        with own.open("ab" if have else "wb") as file:
            _copy(response, file, total, remote.name)
    if total is not None and own.stat().st_size < total:
        raise DownloadError(f"the connection ended after {own.stat().st_size} of {total} bytes")


def _open(url: str, start: int, timeout: float) -> HTTPResponse:
    headers = {"User-Agent": "glre_pyg", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    response: HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=timeout
    )
    return response


def _copy(response: HTTPResponse, file: BinaryIO, total: int | None, name: str) -> None:
    with tqdm(total=total, initial=file.tell(), unit="B", unit_scale=True, desc=name, leave=False) as bar:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def extract(archive: Path, members: Iterable[Member], folder: Path) -> None:
    """Take some files out of a zip, each verified, into `folder` without the zip's folders.

    Raises:
        DownloadError: If the zip is damaged, or a member is missing, no plain file, or not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            for member in members:
                _extract(opened, member, folder / member.name)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise DownloadError(f"{archive.name}: {error}") from None


def _extract(opened: zipfile.ZipFile, member: Member, target: Path) -> None:
    try:
        info = opened.getinfo(member.path)
    except KeyError:
        raise DownloadError(f"'{member.path}' is not in it") from None
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise DownloadError(f"'{member.path}' in it is no plain file")
    own = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with opened.open(info) as source, own.open("wb") as file:
            file.write(source.read(member.bytes + 1))  # no more, whatever the zip says
        if own.stat().st_size != member.bytes or sha256_of(own) != member.sha256:
            raise DownloadError(
                f"'{member.path}' in it is not the official file, whose sha256 is {member.sha256}"
            )
        os.replace(own, target)
    finally:
        own.unlink(missing_ok=True)


# CDR -------------------------------------------------------------------------------------------------------

# The organisers published no checksum of the zip: the files inside are verified instead.
CDR_ZIP = RemoteFile(
    url="https://biocreative.bioinformatics.udel.edu/media/store/files/2016/CDR_Data.zip",
    sha256=None,
    page="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
    mirrors=(
        "https://huggingface.co/datasets/bigbio/bc5cdr/resolve/main/CDR_Data.zip",
        "https://github.com/JHnlp/BioCreative-V-CDR-Corpus/raw/master/CDR_Data.zip",
    ),
)
CDR_FOLDER = "CDR_Data/CDR.Corpus.v010516"
CDR_SPLITS: Mapping[str, Member] = {
    "train": Member(
        f"{CDR_FOLDER}/CDR_TrainingSet.PubTator.txt",
        "7afcec134e3d4871e74b0398d92850d3c9ac94c0bdc780003f2d60184c012bd8",
        1_129_998,
    ),
    "dev": Member(
        f"{CDR_FOLDER}/CDR_DevelopmentSet.PubTator.txt",
        "9e18d8e700168887a7919e62f67ac2ce2357e3f409a48ee992906abdd80fe3e5",
        1_127_990,
    ),
    "test": Member(
        f"{CDR_FOLDER}/CDR_TestSet.PubTator.txt",
        "a3c48d5f35bdfce20c2371778abedc9fd24d1da092207072e5181ad53c8d0e2f",
        1_168_687,
    ),
}
# The tree of 2017 as the field's scripts have it, a table made from NLM's files.
MESH_TREE = RemoteFile(
    url="https://raw.githubusercontent.com/nju-websoft/GLRE/"
    "4b9ca0d41f9fe15118114dff4f231eb3521bd485/data_processing/2017MeshTree.txt",
    sha256="bf46f806a27e2c0b14fd014fb5e5b9d173fc1bbf8dfec7acdd692a9a58e81ab6",
    bytes=2_814_066,
    page="https://github.com/nju-websoft/GLRE/tree/master/data_processing",
    mirrors=(
        "https://raw.githubusercontent.com/fenchri/edge-oriented-graph/"
        "bfd917cb6c16d46ca29947c24afb7054d1502132/data_processing/2017MeshTree.txt",
    ),
)


def cdr_files(root: Path | None = None) -> dict[str, Path]:
    """The three splits of CDR and the MeSH tree: ``train``, ``dev``, ``test`` and ``mesh``.

    Looked for in `root` (or its ``CDR_Data/CDR.Corpus.v010516``, as the official zip has it), without `root`
    in ``$GLRE_DATA/CDR``, then in the cache, and downloaded into the cache at last. The tree may also be in
    ``MeSH`` beside these folders. Files of the user's own are used as they are, with a warning if they are
    not the official ones.

    Raises:
        DownloadError: If a file is not in `root`, or neither found nor downloaded.
    """
    shared = Path(os.environ["GLRE_DATA"]) if os.environ.get("GLRE_DATA") else None
    own = shared / "CDR" if root is None and shared is not None else root
    places = [] if own is None else [own]
    splits = _own_splits(places)
    if root is not None and splits is None:
        names = ", ".join(member.name for member in CDR_SPLITS.values())
        raise DownloadError(f"{root}: the files of CDR are not all in this folder: {names}")
    trees = [path for place in places for path in (place, place.parent / "MeSH")]
    if root is not None and shared is not None:
        trees.append(shared / "MeSH")
    return {
        **(splits or _cached_splits()),
        "mesh": _own_tree(trees) or fetch(MESH_TREE, cache_folder() / "MeSH"),
    }


def _own_splits(places: Iterable[Path]) -> dict[str, Path] | None:
    for place in places:
        for folder in (place, place / CDR_FOLDER):
            files = {split: folder / member.name for split, member in CDR_SPLITS.items()}
            if all(path.is_file() for path in files.values()):
                for split, path in files.items():
                    _warn_unless(path, CDR_SPLITS[split].sha256)
                return files
    return None


def _own_tree(folders: Iterable[Path]) -> Path | None:
    for folder in folders:
        if (folder / MESH_TREE.name).is_file():
            _warn_unless(folder / MESH_TREE.name, MESH_TREE.sha256)
            return folder / MESH_TREE.name
    return None


def _warn_unless(path: Path, sha256: str | None) -> None:
    found = sha256_of(path)
    if found != sha256:
        warnings.warn(f"{path}: sha256 {found}, the official file's is {sha256}", stacklevel=4)


def _cached_splits() -> dict[str, Path]:
    folder = cache_folder() / "CDR"
    files = {split: folder / member.name for split, member in CDR_SPLITS.items()}
    if not all(
        path.is_file() and sha256_of(path) == CDR_SPLITS[split].sha256 for split, path in files.items()
    ):
        archive = fetch(CDR_ZIP, folder)
        try:
            extract(archive, CDR_SPLITS.values(), folder)
        except DownloadError as error:
            archive.unlink(missing_ok=True)
            raise _advice(CDR_ZIP, archive, str(error)) from None
    return files

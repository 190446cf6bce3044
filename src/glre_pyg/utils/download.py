"""Downloads into the cache, verified and kept: files, files in a zip, gzipped files.

The cache is ``$GLRE_CACHE``, else ``$XDG_CACHE_HOME/glre_pyg``, else ``~/.cache/glre_pyg``. What the official
files of the corpora are is said in :mod:`~glre_pyg.datasets.official_files`.
"""

from __future__ import annotations

import gzip
import lzma
import os
import re
import secrets
import stat
import struct
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

from tqdm import tqdm

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_replace, sha256_of

_CHUNK = 1 << 16  # bytes
_LARGEST = 1 << 30  # bytes of a file whose size is not known, of which none has a hundredth
_ABANDONED = 300.0  # seconds without a write after which a partial file of a killed process may be taken over
_HERE = ("127.0.0.1", "::1", "localhost")
UNREADABLE = (
    *(OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, zipfile.LargeZipFile),
)
"""What damaged archives raise."""


class DownloadError(InputError):
    """A file that could not be had: one line that says why."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server.

    Args:
        url: Where it is, by https; its last part is the file's name.
        sha256: Checksum in hexadecimal, or ``None`` where nobody published one.
        bytes: Its size, or ``None`` if unknown.
        mirrors: Other places of the same file, tried in order.
    """

    url: str
    sha256: str | None
    bytes: int | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file in a folder."""
        return re.sub(r"[?#].*", "", self.url).rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive: its path there, its checksum and its size in bytes."""

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
    raise DownloadError(re.sub(r"\s+", " ", f"{remote.name}: cannot be downloaded ({'; '.join(reasons)})"))


def _is(path: Path, remote: RemoteFile) -> bool:
    """Whether a file is the remote one, as far as its size and checksum are known."""
    if remote.bytes is not None and path.stat().st_size != remote.bytes:
        return False
    if remote.sha256 is not None:
        return sha256_of(path) == remote.sha256
    if remote.name.endswith(".zip"):
        return zipfile.is_zipfile(path)
    with path.open("rb") as file:
        start = file.read(64)
    if remote.name.endswith(".gz"):
        return start.startswith(b"\x1f\x8b")
    return not start.lstrip().lower().startswith((b"<!doctype html", b"<html"))  # an error page


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
        atomic_replace(own, target)
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
        most = _LARGEST if remote.bytes is None else remote.bytes
        if total is not None and total > most:
            raise DownloadError(f"the server's file is another one, of {total} bytes and not {most} at most")
        with own.open("ab" if have else "wb") as file:
            _copy(response, file, total, most, remote.name)
    if own.stat().st_size > most:
        own.unlink()
        raise DownloadError(f"the server's file is another one, of more than {most} bytes")
    if total is not None and own.stat().st_size < total:
        raise DownloadError(f"the connection ended after {own.stat().st_size} of {total} bytes")


def _is_safe(url: str, *, here: bool = True) -> bool:
    """Whether a place is reached by https, or on this machine, if that is allowed."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (here and parts.scheme == "http" and parts.hostname in _HERE)


class _NoDowngrade(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not from https to something else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl, here=req.type == "http"):
            raise DownloadError(f"the server sends away from https, to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, start: int, timeout: float) -> HTTPResponse:
    if not _is_safe(url):
        raise DownloadError("is not an address of https")
    headers = {"User-Agent": "glre_pyg", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.build_opener(_NoDowngrade)
    response: HTTPResponse = opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    return response


def _copy(response: HTTPResponse, file: BinaryIO, total: int | None, most: int, name: str) -> None:
    """Write what comes, and not much more than there may be."""
    with tqdm(total=total, initial=file.tell(), unit="B", unit_scale=True, desc=name, leave=False) as bar:
        while file.tell() <= most and (chunk := response.read(_CHUNK)):
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
    except UNREADABLE as error:
        raise DownloadError(f"{archive.name}: {error}") from None


def _extract(opened: zipfile.ZipFile, member: Member, target: Path) -> None:
    try:
        info = opened.getinfo(member.path)
    except KeyError:
        raise DownloadError(f"'{member.path}' is not in it") from None
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.is_dir() or kind not in (0, stat.S_IFREG):
        raise DownloadError(f"'{member.path}' in it is no plain file")
    with opened.open(info) as source:
        _keep(source, member, target)


def gunzip(archive: Path, member: Member, folder: Path) -> None:
    """Unpack a gzipped file, verified, into `folder`, under the last part of the member's path.

    Raises:
        DownloadError: If it is damaged, or the content is not what it should be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.GzipFile(archive) as source:
            _keep(source, member, folder / member.name)
    except UNREADABLE as error:
        raise DownloadError(f"{archive.name}: {error}") from None


def _keep(source: IO[bytes] | gzip.GzipFile, member: Member, target: Path) -> None:
    own = target.with_name(f"{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        own.write_bytes(source.read(member.bytes + 1))  # no more, whatever the archive says
        if own.stat().st_size != member.bytes or sha256_of(own) != member.sha256:
            raise DownloadError(
                f"'{member.path}' in it is not the official file, whose sha256 is {member.sha256}"
            )
        atomic_replace(own, target)
    finally:
        own.unlink(missing_ok=True)

"""Downloads of files by https, and unpacking of files in archives, both verified."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import struct
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tqdm import tqdm

from glre_pyg.utils.cache import locked
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import PART, atomic_path, atomic_replace, open_regular, regular_opener, sha256_of

_CHUNK = 1 << 16  # bytes
_MAX_BYTES = 1 << 30  # of a file of unknown size; the official files have less than a hundredth
_LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
ARCHIVE_ERRORS = (
    *(OSError, EOFError, RuntimeError, ValueError, OverflowError, struct.error),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, zipfile.LargeZipFile),
)
"""Exceptions that reading a damaged archive raises."""


class DownloadError(InputError):
    """A file cannot be downloaded or unpacked: one line with the reason."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server.

    Args:
        url: Its https URL; the last part is the name of the file.
        sha256: Checksum in hexadecimal; None if nobody published one.
        bytes: Size; None if unknown.
        mirrors: Other URLs of the same file, tried in order.
    """

    url: str
    sha256: str | None
    bytes: int | None = None
    mirrors: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the file."""
        return re.sub(r"[?#].*", "", self.url).rsplit("/", 1)[-1]

    def matches(self, path: Path) -> bool:
        """Whether a local file is this file, as far as its checksum and size are known."""
        if self.bytes not in (None, path.stat().st_size):
            return False
        if self.sha256 is not None:
            return sha256_of(path) == self.sha256
        with open_regular(path) as file:
            return (
                not file.read(64).lstrip().lower().startswith((b"<!doctype html", b"<html"))
            )  # an error page


def fetch(remote: RemoteFile, folder: Path, *, timeout: float = 30.0) -> Path:
    """Return the path of a file in ``folder``, downloading it if it is not there yet.

    An interrupted download is resumed by the next call. Only one process downloads at a time.

    Args:
        remote: The file.
        folder: Folder for the file.
        timeout: Seconds to wait for a connection or for more bytes.

    Raises:
        DownloadError: If the file cannot be downloaded, or has another checksum or size.
    """
    target = folder / remote.name
    if target.is_file() and remote.matches(target):
        return target
    reasons: list[str] = []
    for url in (remote.url, *remote.mirrors):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(target.with_name(f".{target.name}.lock")):
                if not (target.is_file() and remote.matches(target)):  # else another process was faster
                    _download(url, remote, target, timeout)
            return target
        except (DownloadError, urllib.error.URLError, HTTPException, OSError, ValueError) as error:
            reasons.append(f"{url}: {str(error) or type(error).__name__}")
    raise DownloadError(re.sub(r"\s+", " ", f"{remote.name}: cannot be downloaded ({'; '.join(reasons)})"))


def _download(url: str, remote: RemoteFile, target: Path, timeout: float) -> None:
    part = target.with_name(f"{target.name}{PART}")
    resumed = part.exists()
    if not (resumed and remote.sha256 and remote.matches(part)):
        _append(url, remote, part, timeout)
    if resumed and not remote.matches(part):  # it began as another file
        part.unlink()
        _append(url, remote, part, timeout)
    if not remote.matches(part):
        described = f"{part.stat().st_size} bytes with sha256 {sha256_of(part)}"
        part.unlink()
        raise DownloadError(f"the server has a different file, {described}")
    atomic_replace(part, target)


def _append(url: str, remote: RemoteFile, part: Path, timeout: float) -> None:
    """Download what is missing at the end of the file ``part``."""
    max_bytes = _MAX_BYTES if remote.bytes is None else remote.bytes
    start = part.stat().st_size if part.exists() else 0
    with _open(url, start if start < max_bytes else 0, timeout) as response:
        if response.status != 206:  # it sends the whole file
            start = 0
        elif not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
            raise DownloadError("the server sent another range than requested")
        length = response.headers.get("Content-Length")
        total = remote.bytes if length is None else start + int(length)
        if total is not None and total > max_bytes:
            raise DownloadError(
                f"the server has a different file, of {total} bytes instead of at most {max_bytes}"
            )
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=remote.name, leave=False)
        with bar, open(part, "ab" if start else "wb", opener=regular_opener) as file:
            while file.tell() <= max_bytes and (chunk := response.read(_CHUNK)):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if size > max_bytes:
        part.unlink()
        raise DownloadError(f"the server has a different file, of more than {max_bytes} bytes")
    if total is not None and size < total:
        raise DownloadError(f"the connection was closed after {size} of {total} bytes")


def _is_safe(url: str, *, allow_local: bool = True) -> bool:
    """Whether a URL is https, or a local server's if those are allowed."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (
        allow_local and parts.scheme == "http" and parts.hostname in _LOCAL_HOSTS
    )


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from https to anything else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not _is_safe(newurl, allow_local=req.type == "http"):
            raise DownloadError(f"the server redirects from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(url: str, start: int, timeout: float) -> HTTPResponse:
    """Request a file from byte ``start`` on."""
    if not _is_safe(url):
        raise DownloadError("is not an https URL")
    headers = {"User-Agent": "glre_pyg", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        return opener.open(urllib.request.Request(url, headers=headers), timeout=timeout)
    except urllib.error.HTTPError as error:
        if start and error.code == 416:  # the range starts behind the end of the file
            return _open(url, 0, timeout)
        raise


def unpack(archive: Path, member: str, target: Path, *, sha256: str, bytes: int) -> None:
    """Unpack one file of a zip, or a gzipped file.

    Args:
        archive: The archive.
        member: Path of the file in the zip.
        target: Path of the unpacked file.
        sha256: Checksum of the file.
        bytes: Its size.

    Raises:
        DownloadError: If the archive is damaged, or the member is missing, not a regular file, or has another
            checksum or size.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _opened(archive, member) as source, atomic_path(target) as temporary:
            temporary.write_bytes(source.read(bytes + 1))  # no more, whatever the archive says
            if temporary.stat().st_size != bytes or sha256_of(temporary) != sha256:
                raise DownloadError(f"'{member}' in it is not the official file, whose sha256 is {sha256}")
    except ARCHIVE_ERRORS as error:
        raise DownloadError(f"{archive.name}: {error}") from None


@contextmanager
def _opened(archive: Path, member: str) -> Iterator[IO[bytes] | gzip.GzipFile]:
    if archive.suffix == ".gz":
        with gzip.open(archive) as source:
            yield source
        return
    with zipfile.ZipFile(archive) as opened:
        if member not in opened.namelist():
            raise DownloadError(f"'{member}' is not in it")
        info = opened.getinfo(member)
        if info.is_dir() or stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
            raise DownloadError(f"'{member}' in it is not a regular file")
        with opened.open(info) as source:
            yield source

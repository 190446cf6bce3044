"""A server on this machine that serves what a test gives it, in ranges, in part, without end or not at all."""

import hashlib
import http.server
import io
import re
import stat
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        asked = self.headers.get("Range")
        server.asked.append(asked)
        server.paths.append(self.path)
        if self.path in server.elsewhere:
            self.send_response(302)
            self.send_header("Location", server.elsewhere[self.path])
            self.end_headers()
            return
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
        if not server.is_endless:
            self.send_header("Content-Length", str(server.said or len(content) - start))
        self.end_headers()
        end = len(content) if server.cut_after is None else start + server.cut_after
        with suppress(OSError):  # when nobody listens any more
            self.wfile.write(content[start:end])
            while server.is_endless:
                self.wfile.write(content)

    def log_message(self, *args):
        pass


@contextmanager
def running(server: http.server.ThreadingHTTPServer) -> Iterator[None]:
    """A server that answers in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[http.server.ThreadingHTTPServer]:
    """Serve `files` by path; ``asked`` has the ranges that were asked for, ``cut_after`` ends an answer early.

    ``elsewhere`` has places to go to by path, ``said`` is a size other than the true one, and an endless server
    sends a file over and over.
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.paths, server.ranges, server.cut_after = files, [], [], True, None
        server.elsewhere, server.said, server.is_endless = {}, None, False
        server.url = f"http://127.0.0.1:{server.server_port}"
        with running(server):
            yield server


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def zipped(files: dict[str, bytes], *, links: tuple[str, ...] = ()) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name)
            if name in links:
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()

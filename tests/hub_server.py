"""A server on this machine that speaks as much of the hub's language as a model needs to come and go."""

import base64
import hashlib
import http.server
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import yaml
from huggingface_hub import constants

from local_server import running


@dataclass
class Repository:
    """Commits (files by path) by name, branches and tags by name; ``closed`` is an error code for everybody."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    closed: str | None = None

    def commit(self, files: dict[str, bytes], *refs: str) -> str:
        content = json.dumps([(name, hashlib.sha1(of).hexdigest()) for name, of in sorted(files.items())])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha] = files
        self.refs |= dict.fromkeys(refs, sha)
        return sha


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self._record()
        if self.server.broken:
            self._answer(503, {"error": "out of order"})
        elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/revision/([^/]+)", path):
            if files := self._files(*found.groups()):
                siblings = [{"rfilename": name} for name in files[1]]
                self._answer(200, {"id": found[1], "sha": files[0], "siblings": siblings})
        elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)/tree/([^/]+)", path):
            if files := self._files(*found.groups()):
                rows = [
                    {"type": "file", "path": name, "size": len(of), "oid": hashlib.sha1(of).hexdigest()}
                    for name, of in files[1].items()
                ]
                self._answer(200, rows)
        elif found := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            if files := self._files(*found.groups()[:2]):
                content = files[1][found[3]]
                tag = {"X-Repo-Commit": files[0], "ETag": f'"{hashlib.sha256(content).hexdigest()}"'}
                self._answer(200, content, tag)
        else:
            self._answer(404, {"error": "no such page"})

    def do_POST(self):
        path, body = self._record(), self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Authorization"] != "Bearer of the token":
            self._answer(401, {"error": "Invalid username or password."}, {"X-Error-Code": "Unauthorized"})
        elif path == "/api/validate-yaml":
            yaml.safe_load(json.loads(body)["content"].split("---\n")[1])
            self._answer(200, {"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.server.repositories.setdefault(name, Repository())
            self.server.created.append(asked)
            self._answer(200, {"url": f"{self.server.url}/{name}", "name": name, "id": name})
        elif re.fullmatch(r"/api/models/.+/preupload/main", path):
            files = [each["path"] for each in json.loads(body)["files"]]
            mode = {name: "lfs" if name.endswith(".safetensors") else "regular" for name in files}
            self._answer(
                200,
                {"files": [{"path": n, "uploadMode": m, "shouldIgnore": False} for n, m in mode.items()]},
            )
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                each | {"actions": {"upload": {"href": f"{self.server.url}/large/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            lines = [json.loads(line) for line in body.splitlines()]
            files = {}
            for of in (line["value"] for line in lines if line["key"] in ("file", "lfsFile")):
                large = self.server.large.get(of.get("oid"))
                files[of["path"]] = base64.b64decode(of["content"]) if large is None else large
            sha = self.server.repositories[found[1]].commit(files, "main")
            self.server.messages.append(lines[0]["value"]["summary"])
            address = f"{self.server.url}/{found[1]}/commit/{sha}"
            self._answer(200, {"commitUrl": address, "commitOid": sha, "pullRequestUrl": None})
        else:
            self._answer(404, {"error": "no such page"})

    def do_PUT(self):
        path, body = self._record(), self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[path.removeprefix("/large/")] = body
        self._answer(200, {})

    def _record(self):
        path = self.path.partition("?")[0].replace("%2F", "/")
        self.server.asked.append((self.command, path, self.headers["Authorization"]))
        return path

    def _files(self, name, revision):
        """Name and files of a commit; None if the answer is that there is none."""
        repository = self.server.repositories.get(name)
        if repository is None:
            self._answer(401, {"error": "no such repository"}, {"X-Error-Code": "RepoNotFound"})
        elif repository.closed:
            self._answer(403, {"error": "closed"}, {"X-Error-Code": repository.closed})
        elif (sha := repository.refs.get(revision, revision)) not in repository.commits:
            self._answer(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
        else:
            return sha, repository.commits[sha]
        return None

    def _answer(self, status, body, headers=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@contextmanager
def serve_hub(monkeypatch, cache) -> Iterator[http.server.ThreadingHTTPServer]:
    """Be the hub that huggingface_hub speaks to, over HTTP, with nothing in its cache.

    ``repositories`` has what there is, by name; ``asked`` what was asked for, as (method, path, authorization).
    """
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.repositories, server.asked, server.large = {}, [], {}
        server.created, server.messages, server.broken = [], [], False
        # huggingface_hub reads the environment when it is imported, and these whenever it needs them.
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        with running(server):
            yield server

"""A server on this machine that stands for the places where assets come from."""

from __future__ import annotations

import hashlib
import io
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATA = b"weights " * 1000
COMMIT = "c" * 40
LATER = "d" * 40


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Origin(ThreadingHTTPServer):
    """Serves `content` (path → bytes) and, below /org/, what a Hugging Face server would say."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content = {"/a.bin": DATA, "/org/model/config.json": b"{}", "/org/model/w.bin": DATA}
        self.commit = COMMIT
        self.asked = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, body: bool):
        self.server.asked.append(self.path)
        path, commit = self.path, None
        if "/resolve/" in path:
            repo, rest = path.split("/resolve/")
            revision, file = rest.split("/", 1)
            commit = self.server.commit if revision == "main" else revision
            path = f"{repo}/{file}"
        data = self.server.content.get(path)
        if data is None or commit not in (None, COMMIT, LATER):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        if commit:
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", f'"{sha(data)}"')
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def archive(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"repo-abc/{name.replace('__', '/')}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        link = tarfile.TarInfo("repo-abc/prompts/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        outside = tarfile.TarInfo("repo-abc/prompts/../../outside.txt")
        tar.addfile(outside, io.BytesIO())
    return packed.getvalue()

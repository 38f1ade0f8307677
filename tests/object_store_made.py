"""An object store for the tests: a server of S3's protocol in this process, which refuses one request in fifty."""

import itertools
import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from firstsight import object_store

BUCKET = "walks"


class Server:
    """What it was asked.

    Attributes:
        num_asked: requests.
        num_refused: of them.
    """

    def __init__(self, *, refuse_every: int) -> None:
        self.num_asked = self.num_refused = 0
        self._refuses: str | None = None
        self._app = DomainDispatcherApplication(create_backend_app)
        self._count = itertools.count(1)
        self._refuse_every = refuse_every

    def __call__(self, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        """Answers a request, by WSGI."""
        self.num_asked = next(self._count)
        if self._refuses is not None and self._refuses in environment["PATH_INFO"]:
            return _refuse("403 Forbidden", "AccessDenied", "Access Denied", environment, start)
        if self.num_asked % self._refuse_every == 0:
            self.num_refused += 1
            return _refuse("503 Slow Down", "SlowDown", "Please reduce your request rate.", environment, start)
        return self._app(environment, start)

    def refuses(self, part: str | None) -> None:
        """From now on whatever has that in its address, for want of permission; None refuses nothing."""
        self._refuses = part

    def put(self, file: Path, name: str) -> str:
        """Uploads a file; its address."""
        boto3.client("s3").upload_file(str(file), BUCKET, name)
        return f"s3://{BUCKET}/{name}"


def _refuse(status: str, code: str, message: str, environment: dict[str, Any], start: Any) -> Iterable[bytes]:
    length = int(environment.get("CONTENT_LENGTH") or 0)
    environment["wsgi.input"].read(length)
    content = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    content = b"" if environment["REQUEST_METHOD"] == "HEAD" else content
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
    return [content]


@contextmanager
def object_store_server(*, refuse_every: int = 50) -> Iterator[Server]:
    """A server with an empty bucket; this process and its children ask it, whatever store they mean."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = Server(refuse_every=refuse_every)
    listening = make_server("127.0.0.1", 0, server, threaded=True)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "of-the-tests")
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.setenv(name, "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listening.port}")
        object_store._files.cache_clear()  # of another server
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        try:
            yield server
        finally:
            object_store._files.cache_clear()
            listening.shutdown()
            thread.join()
            listening.server_close()

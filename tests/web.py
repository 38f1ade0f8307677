"""A web server for tests."""

import contextlib
import http.server
import threading
from collections.abc import Iterator


class WebServer(http.server.ThreadingHTTPServer):
    """On this machine, a thread for each who asks."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def served(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[WebServer]:
    """A server that answers so, until the block ends; it does not say what it does."""
    handler.log_message = lambda *_: None
    with WebServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

"""The program of the child process: moto behind waitress on a free loopback port, which it prints.

Run as a file, not as a module, so that nothing of ecsnet is loaded with it.
It answers only requests that carry its token, so that neither a web page nor another user reaches it past control.
"""

from __future__ import annotations

import hmac
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]


def guarded(app: Wsgi, token: str) -> Wsgi:
    """`app`, for those who know the token."""

    def answer(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not hmac.compare_digest(environ.pop("HTTP_X_ECSNET_BACKING", ""), token):
            start_response("403 Forbidden", [("content-type", "text/plain"), ("content-length", "0")])
            return [b""]
        return app(environ, start_response)

    return answer


def end_with_parent() -> None:
    """Exit as soon as the parent is gone: its end of our standard input closes then, whatever happened to it."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main() -> None:
    token = os.environ.pop("ECSNET_BACKING_TOKEN")
    end_with_parent()
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from waitress.server import create_server

    app = guarded(DomainDispatcherApplication(create_backend_app), token)
    server = create_server(
        app,
        host="127.0.0.1",
        port=0,
        threads=8,
        ident="",
        max_request_body_size=1 << 30,
        clear_untrusted_proxy_headers=False,
        expose_tracebacks=False,
    )
    print(server.effective_port, flush=True)
    sys.stdout.close()
    server.run()


if __name__ == "__main__":
    main()

"""The command line's way to the control process: its own small JSON interface and the AWS API."""

from __future__ import annotations

import functools
import http.client
import json
import os
import urllib.parse
from typing import Any

from ecsnet.cli.errors import CliError, Exit
from ecsnet.home import Home, default_home

REGION = "us-east-1"
ACCOUNT = "123456789012"
_TIMEOUT = 30.0


_EXITS = {400: Exit.USAGE, 404: Exit.NOT_FOUND, 502: Exit.NOT_RUNNING, 503: Exit.NOT_RUNNING}


def running(home: Home) -> tuple[int, int] | None:
    """(pid, port) of the control process, or None when it is not up."""
    try:
        pid, port = (int(part) for part in home.control_lock.read_text().split())
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, ProcessLookupError, NotADirectoryError):
        return None
    except PermissionError:
        pass
    return pid, port


def require_port(home: Home | None = None) -> int:
    """The port of the running control process.

    Raises CliError (exit code 3) when ecsnet is not up.
    """
    found = running(home or default_home())
    if found is None:
        raise CliError("ecsnet is not running.", hint="Start it with: ecsnet up", code=Exit.NOT_RUNNING)
    return found[1]


def endpoint() -> str:
    return f"http://127.0.0.1:{require_port()}"


def fetch(method: str, path: str, **query: str) -> Any:
    """Call control's own interface and decode its JSON. Raises CliError with the server's sentence."""
    port = require_port()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    target = path + ("?" + urllib.parse.urlencode(query) if query else "")
    try:
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
    except OSError as error:
        raise CliError(
            f"ecsnet does not answer on 127.0.0.1:{port} ({error}).",
            hint="See its log: ecsnet status --log",
            code=Exit.NOT_RUNNING,
        ) from error
    finally:
        connection.close()
    if response.status >= 400:
        raise refusal(response.status, body)
    return json.loads(body)


def refusal(status: int, body: bytes) -> CliError:
    """What control's own interface refused, with its sentence. Never the exit code that means "blocked" or "dropped"
    when the question was wrong or could not be asked."""
    problem: dict[str, Any] = json.loads(body)
    return CliError(problem["error"], hint=problem.get("hint", ""), code=_EXITS.get(status, Exit.FAILED))


@functools.cache
def aws(service: str) -> Any:
    """A botocore client of the running ecsnet, with the caller's own region and credentials where they are set."""
    import botocore.session
    from botocore.config import Config

    session = botocore.session.get_session()
    return session.create_client(
        service,
        region_name=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION,
        endpoint_url=endpoint(),
        aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID") or ACCOUNT,
        aws_secret_access_key=os.environ.get("AWS_SECRET_ACCESS_KEY") or "ecsnet",
        config=Config(
            retries={"max_attempts": 0}, inject_host_prefix=False, s3={"addressing_style": "path"}, read_timeout=120
        ),
    )

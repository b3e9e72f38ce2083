"""Calls operations of the child with botocore, for control's own use. It blocks, so it runs in worker threads."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

from ecsnet.services.backing.process import TOKEN_HEADER, Address
from ecsnet.services.call import AwsError, Reply, Request

_KEPT = 32
"""Clients kept ready; one takes 0.5 to 3 MB."""


class Clients:
    """botocore clients by service, account and region; botocore is imported when the first one is made."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clients: dict[tuple[Address, str, str, str], Any] = {}
        self._session: Any = None

    def call(self, address: Address, service: str, operation: str, params: Request, account: str, region: str) -> Reply:
        """One operation by botocore's names. Raises AwsError with the service's code, or ServiceUnavailable."""
        from botocore import xform_name
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._client(address, service, account, region)
        try:
            reply = getattr(client, xform_name(operation))(**params)
        except ClientError as error:
            raise _service_error(error.response) from error
        except BotoCoreError as error:
            raise AwsError("ServiceUnavailable", f"{service} {operation}: {error}", status=503) from error
        return {name: _plain(value) for name, value in reply.items() if name != "ResponseMetadata"}

    def _client(self, address: Address, service: str, account: str, region: str) -> Any:
        key = (address, service, account, region)
        with self._lock:
            client = self._clients.get(key)
            if client is None:
                if len(self._clients) >= _KEPT:
                    del self._clients[next(iter(self._clients))]
                client = self._clients[key] = self._make(address, service, account, region)
            return client

    def _make(self, address: Address, service: str, account: str, region: str) -> Any:
        from botocore.config import Config
        from botocore.session import Session

        if self._session is None:
            self._session = Session()
            # The user's profiles are about AWS; nothing of them may reach the child.
            self._session.set_config_variable("config_file", "/dev/null")
            self._session.set_config_variable("credentials_file", "/dev/null")
        client = self._session.create_client(
            service,
            region_name=region,
            endpoint_url=f"http://127.0.0.1:{address.port}",
            aws_access_key_id=account,
            aws_secret_access_key="ecsnet",
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"total_max_attempts": 1},
                inject_host_prefix=False,
                proxies={},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

        def sign(request: Any, **_: Any) -> None:
            request.headers["x-moto-account-id"] = account
            request.headers[TOKEN_HEADER] = address.token

        client.meta.events.register("before-send", sign)
        return client


def _service_error(response: Any) -> AwsError:
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return AwsError(error.get("Code", "InternalFailure"), error.get("Message", ""), status=status)


def _plain(value: Any) -> Any:
    """A reply's value as operations have it: epoch seconds for timestamps, bytes for streams."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_plain(member) for member in value]
    if isinstance(value, datetime):
        return value.timestamp()
    if hasattr(value, "read"):
        return value.read()
    return value

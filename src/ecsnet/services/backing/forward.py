"""Passes HTTP requests on to the child and the replies back, streaming both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx

from ecsnet.aws.http import Head, Send
from ecsnet.services.backing.process import TOKEN_HEADER, Address
from ecsnet.services.call import AwsError

_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect"}
)
"""Headers between two neighbours only (RFC 9110 §7.6.1); `expect` has been answered by our own server."""
_OURS = frozenset({b"x-moto-account-id", TOKEN_HEADER.encode()})
_NOT_RETURNED = _HOP_BY_HOP | {b"date", b"via"}
"""Reply headers that our own server writes, or that tell about the child."""
_TIMEOUTS = {"connect": 5.0, "read": 300.0, "write": 60.0, "pool": 60.0}


class Forwarding:
    """A pool of connections to the child."""

    def __init__(self) -> None:
        self._transport = httpx.AsyncHTTPTransport(
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=8, keepalive_expiry=30.0)
        )

    async def forward(
        self, address: Address, head: Head, body: AsyncIterator[bytes], *, account: str, send: Send
    ) -> None:
        """Send a request with method, target, headers (Host too) and body unchanged, and `account` added.

        Raises AwsError when the child does not answer.
        """
        if head.target.startswith("/moto-api"):
            raise AwsError(
                "AccessDenied", "The backing server's own pages are not reachable through ecsnet.", status=403
            )
        headers = [(k, v) for k, v in head.raw_headers if k not in _HOP_BY_HOP and k not in _OURS]
        chunked = b"transfer-encoding" in head.headers
        has_body = chunked or head.headers.get(b"content-length", b"0") != b"0"
        target = head.target + (f"?{head.query.decode('latin-1')}" if head.query else "")
        request = self._request(
            address, head.method, target, headers=[*headers, (b"x-moto-account-id", account.encode())],
            content=body if has_body else None,
        )  # fmt: skip
        try:
            reply = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise _unavailable(error) from error
        try:
            kept = [(k.lower(), v) for k, v in reply.headers.raw if k.lower() not in _NOT_RETURNED]
            await send({"type": "http.response.start", "status": reply.status_code, "headers": kept})
            if head.method != "HEAD":
                async for chunk in reply.aiter_raw():
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await reply.aclose()

    async def reset(self, address: Address) -> None:
        """Make moto forget everything. Raises AwsError when it does not answer."""
        request = self._request(address, "POST", "/moto-api/reset", headers=[(b"host", b"localhost")], content=None)
        try:
            reply = await self._transport.handle_async_request(request)
            await reply.aread()
        except httpx.TransportError as error:
            raise _unavailable(error) from error

    @staticmethod
    def _request(
        address: Address,
        method: str,
        target: str,
        *,
        headers: list[tuple[bytes, bytes]],
        content: AsyncIterator[bytes] | None,
    ) -> httpx.Request:
        return httpx.Request(
            method,
            f"http://127.0.0.1:{address.port}/",
            headers=[*headers, (TOKEN_HEADER.encode(), address.token.encode())],
            content=content,
            # The target exactly as the client sent it: httpx would normalise it, and S3 keys must keep their form.
            extensions={"target": target.encode("latin-1"), "timeout": _TIMEOUTS},
        )


def _unavailable(error: httpx.TransportError) -> AwsError:
    reason = str(error) or type(error).__name__
    return AwsError("ServiceUnavailable", f"The backing server (moto) does not answer: {reason}.", status=503)

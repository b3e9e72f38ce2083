"""The instance metadata service: HTTP at 169.254.169.254:80 in each router namespace that has readers.

Who reads is known by the peer address, which anti-spoofing has checked. The hop limit of a token is the hop limit of
the packets that carry it: a container behind its instance is one hop further, so with a limit of 1 the answer to its
PUT ends at the instance (EC2 User Guide, "Use the Instance Metadata Service"). Tokens are checked by a key that lives
as long as the agent: a client that gets 401 asks for another one, as after 6 hours.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence

from ecsnet.agent.driver import AgentContext, Namespaces, Part
from ecsnet.agent.drivers.link_local import LinkLocalServers
from ecsnet.agent.http import Ends, Handler, Request, Response
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.workload import InstancePages, InstanceReader

ADDRESS = "169.254.169.254"
LONGEST_TOKEN = 21_600
"""Seconds that a token may live."""

_TTL = "x-aws-ec2-metadata-token-ttl-seconds"
_TOKEN = "x-aws-ec2-metadata-token"


class InstanceMetadataDriver:
    """Keeps what instances may know about themselves, and one listener per router namespace with readers."""

    kinds: tuple[type[HostObject], ...] = (InstancePages, InstanceReader)

    def __init__(self, namespaces: Namespaces, now: Callable[[], float]) -> None:
        self._now = now
        self._held: dict[str, HostObject] = {}
        self._tree: dict[str, dict[str, str]] = {}
        """Instance → path → text or listing. Written by the converge thread, read by the serving one."""
        self._pages: dict[str, InstancePages] = {}
        self._reads: dict[tuple[str, str], str] = {}
        """(namespace, peer address) → instance."""
        self._secret = secrets.token_bytes(32)
        self._servers = LinkLocalServers(namespaces, "instance metadata")

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        return {key: desired[key] if desired.get(key) == item else item for key, item in self._held.items()}

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures: dict[str, str] = {}
        for key in remove:
            self._forget(key)
        for item in put:
            match item:
                case InstancePages():
                    self._tree[item.instance] = listings(item.leaves)
                    self._pages[item.instance] = item
                case InstanceReader(netns=netns, peer=peer, instance=instance):
                    try:
                        self._servers.listen(netns, ADDRESS, 80, self._handler(netns))
                    except OSError as error:
                        failures[item.key] = f"cannot serve instance metadata at {ADDRESS}: {error.strerror or error}"
                        continue
                    self._reads[(netns, peer)] = instance
            self._held[item.key] = item
        self._servers.keep({netns for netns, _ in self._reads})
        return failures

    def close(self) -> None:
        self._servers.close()

    def _forget(self, key: str) -> None:
        match self._held.pop(key, None):
            case InstancePages(instance=instance):
                self._tree.pop(instance, None)
                self._pages.pop(instance, None)
            case InstanceReader(netns=netns, peer=peer):
                self._reads.pop((netns, peer), None)
            case _:
                pass

    def _handler(self, netns: str) -> Handler:
        return lambda request, ends: self._answer(netns, request, ends)

    def _answer(self, netns: str, request: Request, ends: Ends) -> Response:
        instance = self._reads.get((netns, ends.peer_address), "")
        pages = self._pages.get(instance)
        if pages is None:
            return _error(404)
        if not pages.enabled:
            return _error(403)
        path = request.path.strip("/")
        if request.method == "PUT" and path == "latest/api/token":
            return self._token(request, pages)
        if request.method not in ("GET", "HEAD"):
            return _error(405)
        token = request.header(_TOKEN)
        if (token is None and pages.token_required) or (token is not None and not self._is_valid(token, instance)):
            return _error(401)
        if path == "latest/user-data":
            return (
                _error(404)
                if pages.blob is None
                else Response(status=200, content_type="application/octet-stream", body=pages.blob)
            )
        text = self._tree[instance].get(path)
        return _error(404) if text is None else _text(200, text)

    def _token(self, request: Request, pages: InstancePages) -> Response:
        life = request.header(_TTL) or ""
        if request.header("x-forwarded-for") is not None:
            return _error(403, pages.hop_limit)
        if not life.isdecimal() or not 1 <= int(life) <= LONGEST_TOKEN:
            return _error(400, pages.hop_limit)
        expiry = int(self._now() + int(life)).to_bytes(8)
        token = base64.urlsafe_b64encode(expiry + self._sign(expiry, pages.instance)).decode()
        return Response(
            status=200,
            content_type="text/plain",
            body=token.encode(),
            headers=((_TTL, life),),
            hop_limit=pages.hop_limit,
        )

    def _is_valid(self, token: str, instance: str) -> bool:
        try:
            given = base64.urlsafe_b64decode(token)
        except (binascii.Error, ValueError):
            return False
        expiry, signature = given[:8], given[8:]
        genuine = hmac.compare_digest(signature, self._sign(expiry, instance))
        return genuine and int.from_bytes(expiry) > self._now()

    def _sign(self, expiry: bytes, instance: str) -> bytes:
        return hmac.digest(self._secret, expiry + instance.encode(), hashlib.sha256)


def listings(leaves: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Every path below `latest` with its text; a directory's is the names in it, one a line, directories with a slash.

    The metadata of `iam/security-credentials/<role>` is a leaf, as its listing names roles without a slash.
    """
    found: dict[str, str] = {}
    entries: dict[str, dict[str, None]] = {"": {"latest": None}}
    for path, text in leaves:
        parts = ["latest", *path.split("/")]
        found["/".join(parts)] = text
        for depth in range(1, len(parts)):
            last = depth == len(parts) - 1
            entries.setdefault("/".join(parts[:depth]), {})[parts[depth] + ("" if last else "/")] = None
    found.update((path, "\n".join(sorted(names))) for path, names in entries.items())
    return found


def _text(status: int, text: str) -> Response:
    return Response(status=status, content_type="text/plain", body=text.encode())


def _error(status: int, hop_limit: int | None = None) -> Response:
    return Response(status=status, content_type="text/plain", body=b"", hop_limit=hop_limit)


def instance_metadata(context: AgentContext) -> Part:
    """The metadata of this host's instances."""
    return Part(driver=InstanceMetadataDriver(context.namespaces, context.now), asks={})

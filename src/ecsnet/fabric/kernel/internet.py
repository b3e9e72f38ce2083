"""Internet → the namespace where all gateways meet; its own address is the client of requests from outside."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import edge6, naming, nft, void
from ecsnet.hostplan.kernel import Address, HostObject, Namespace, NftTable
from ecsnet.logical.network import Internet

_SYSCTLS: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/proxy_arp", "0"),
    ("net/ipv4/conf/default/proxy_arp", "0"),
    *edge6.SYSCTLS,
    ("net/ipv4/ip_unprivileged_port_start", "0"),
)


def lower(internet: Internet) -> Iterator[HostObject]:
    yield Namespace(name=naming.INTERNET, owner="internet", sysctls=_SYSCTLS)
    yield Address(netns=naming.INTERNET, link="lo", address=f"{internet.client}/32")
    yield Address(netns=naming.INTERNET, link="lo", address=f"{internet.client6}/128")
    yield from void.lower(naming.INTERNET, "internet")
    yield NftTable(netns=naming.INTERNET, family="inet", name=naming.TABLE, owner="internet")
    rules = nft.Table(naming.INTERNET, "inet", naming.TABLE)
    # Postrouting sees what is forwarded between gateways and what the client itself sends.
    yield rules.chain("net_out", void.drop(), hook=nft.filter_hook("postrouting", 0, "accept"))

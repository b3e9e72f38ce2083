"""The smallest plan that uses every kernel feature that ecsnet relies on, to try a machine with."""

from __future__ import annotations

from ecsnet.hostplan.kernel import (
    HostObject,
    Link,
    LinkEnd,
    Namespace,
    NftChain,
    NftElement,
    NftHook,
    NftRule,
    NftSet,
    NftTable,
)

_A, _B = "trial-a", "trial-b"
NAMESPACES = (
    Namespace(name=_A, owner="trial", sysctls=(("net/ipv4/ip_forward", "1"),)),
    Namespace(name=_B, owner="trial"),
)


def link() -> Link:
    return Link(
        a=LinkEnd(netns=_A, name="trial0", mac="02:00:00:00:00:01"),
        b=LinkEnd(netns=_B, name="eth0", mac="02:00:00:00:00:02"),
        mtu=9001,
        owner="trial",
    )


def rule_set() -> list[HostObject]:
    """A verdict map, a concatenated set, an interval set, connection marks and zones, a log rule, a NAT chain."""
    gate = (
        "ct state invalid counter drop",
        "ct direction original ct mark and 1 == 1 accept",
        "iifname . ether saddr . ip saddr @trial_known accept",
        "ip daddr @trial_ranges ct mark set ct mark or 1",
        "iifname vmap @trial_gates",
        'log prefix "trial" group 1 snaplen 128 log prefix "trial" group 3 snaplen 128 counter drop',
    )
    return [
        NftTable(netns=_A, family="inet", name="trial", owner="trial"),
        NftSet(netns=_A, family="inet", table="trial", name="trial_known", type="ifname . ether_addr . ipv4_addr"),
        NftSet(netns=_A, family="inet", table="trial", name="trial_ranges", type="ipv4_addr", flags=("interval",)),
        NftSet(netns=_A, family="inet", table="trial", name="trial_gates", type="ifname", value="verdict"),
        NftChain(netns=_A, family="inet", table="trial", name="trial_own", rules=(NftRule(text="accept"),)),
        NftChain(
            netns=_A, family="inet", table="trial", name="trial_zone", rules=(NftRule(text="ct original zone set 1"),)
        ),
        NftChain(
            netns=_A,
            family="inet",
            table="trial",
            name="trial_gate",
            hook=NftHook(type="filter", hook="forward", priority=0, policy="drop"),
            rules=tuple(NftRule(text=text) for text in gate),
            uses_sets=("trial_known", "trial_ranges", "trial_gates"),
        ),
        NftChain(
            netns=_A,
            family="inet",
            table="trial",
            name="trial_nat",
            hook=NftHook(type="nat", hook="postrouting", priority=100, policy="accept"),
            rules=(NftRule(text='oifname "trial0" ip protocol tcp snat ip to 10.0.0.1:1024-65535 fully-random'),),
        ),
        NftElement(
            netns=_A,
            family="inet",
            table="trial",
            set="trial_gates",
            element='"trial0"',
            value="goto trial_own",
            uses_chain="trial_own",
            publish=True,
        ),
    ]

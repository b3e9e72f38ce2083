"""TLS security policies of load balancers.

Names, protocols and ciphers: guide page "Create an HTTPS listener for your Application Load Balancer", security
policies. Only policies whose cipher lists that page gives in full are offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_TLS13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_GCM = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
_CBC = (
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
)
_CBC_SHA = (
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
)
_RSA = ("AES128-GCM-SHA256", "AES128-SHA256", "AES256-GCM-SHA384", "AES256-SHA256")
_RSA_SHA = ("AES128-SHA", "AES256-SHA")

DEFAULT_SSL_POLICY = "ELBSecurityPolicy-2016-08"
"""The default of the API (the console's differs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SslPolicy:
    protocols: tuple[str, ...]
    """Oldest first, for example ("TLSv1.2", "TLSv1.3")."""
    ciphers: tuple[str, ...]


_OLD = ("TLSv1", "TLSv1.1", "TLSv1.2")
_ALL = (*_GCM, *_CBC, *_CBC_SHA, *_RSA, *_RSA_SHA)

SSL_POLICIES: Mapping[str, SslPolicy] = {
    "ELBSecurityPolicy-2016-08": SslPolicy(protocols=_OLD, ciphers=_ALL),
    "ELBSecurityPolicy-2015-05": SslPolicy(protocols=_OLD, ciphers=_ALL),
    "ELBSecurityPolicy-TLS-1-2-2017-01": SslPolicy(protocols=("TLSv1.2",), ciphers=(*_GCM, *_CBC, *_RSA)),
    "ELBSecurityPolicy-TLS-1-1-2017-01": SslPolicy(protocols=("TLSv1.1", "TLSv1.2"), ciphers=_ALL),
    "ELBSecurityPolicy-TLS-1-2-Ext-2018-06": SslPolicy(protocols=("TLSv1.2",), ciphers=_ALL),
    "ELBSecurityPolicy-TLS13-1-3-2021-06": SslPolicy(protocols=("TLSv1.3",), ciphers=_TLS13),
    "ELBSecurityPolicy-TLS13-1-2-2021-06": SslPolicy(protocols=("TLSv1.2", "TLSv1.3"), ciphers=(*_TLS13, *_GCM, *_CBC)),
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06": SslPolicy(protocols=("TLSv1.2", "TLSv1.3"), ciphers=(*_TLS13, *_GCM)),
    "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06": SslPolicy(
        protocols=("TLSv1.2", "TLSv1.3"), ciphers=(*_TLS13, *_GCM, *_CBC, *_RSA)
    ),
    "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06": SslPolicy(protocols=("TLSv1.2", "TLSv1.3"), ciphers=(*_TLS13, *_ALL)),
    "ELBSecurityPolicy-TLS13-1-1-2021-06": SslPolicy(
        protocols=("TLSv1.1", "TLSv1.2", "TLSv1.3"), ciphers=(*_TLS13, *_ALL)
    ),
    "ELBSecurityPolicy-TLS13-1-0-2021-06": SslPolicy(protocols=(*_OLD, "TLSv1.3"), ciphers=(*_TLS13, *_ALL)),
}

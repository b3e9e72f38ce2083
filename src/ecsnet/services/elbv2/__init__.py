"""Elastic Load Balancing v2 (API version 2015-12-01): Application Load Balancers.

Owns load balancers, listeners, rules, target groups and targets as stored records. Network and Gateway Load Balancers
are answered NotImplemented. Must not import `compile`, `fabric` or the agent.
"""

from __future__ import annotations

from ecsnet.services.call import Operation
from ecsnet.services.elbv2 import (
    attributes,
    certificate,
    limits,
    listener,
    load_balancer,
    rule,
    tags,
    target,
    target_group,
    tls,
)

OPERATIONS: tuple[Operation, ...] = (
    *load_balancer.OPERATIONS,
    *target_group.OPERATIONS,
    *target.OPERATIONS,
    *listener.OPERATIONS,
    *rule.OPERATIONS,
    *attributes.OPERATIONS,
    *certificate.OPERATIONS,
    *tags.OPERATIONS,
    *limits.OPERATIONS,
    *tls.OPERATIONS,
)

"""PutAccountSetting, PutAccountSettingDefault, DeleteAccountSetting and ListAccountSettings (Developer Guide, "Account
settings")."""

from __future__ import annotations

from collections.abc import Mapping

from ecsnet.model.base import scope
from ecsnet.model.ecs import AccountSetting
from ecsnet.model.tables import ACCOUNT_SETTINGS, ACCOUNT_SETTINGS_BY_SCOPE
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import errors, names, paging

_ON_OFF = ("enabled", "disabled")

KNOWN: Mapping[str, tuple[tuple[str, ...], str]] = {
    "serviceLongArnFormat": (_ON_OFF, "enabled"),
    "taskLongArnFormat": (_ON_OFF, "enabled"),
    "containerInstanceLongArnFormat": (_ON_OFF, "enabled"),
    "awsvpcTrunking": (_ON_OFF, "disabled"),
    "containerInsights": ((*_ON_OFF, "enhanced"), "disabled"),
    "dualStackIPv6": (_ON_OFF, "enabled"),
    "fargateFIPSMode": (_ON_OFF, "disabled"),
    "fargateTaskRetirementWaitPeriod": (("0", "7", "14"), "7"),
    "tagResourceAuthorization": (("on", "off"), "on"),
    "guardDutyActivate": (("on", "off"), "off"),
    "defaultLogDriverMode": (("blocking", "non-blocking"), "non-blocking"),
}
"""Setting → (values, default). They are kept and answered; `dualStackIPv6` decides about the addresses of tasks and
`awsvpcTrunking` about the awsvpc tasks that an instance which registers from then on can hold. The others change
nothing."""


def in_force(call: Call, name: str) -> str:
    """What holds for tasks of this account and region: the root user's value, else the account's default.

    Tasks are not started by any principal in particular here, as no caller is told from another.
    """
    for principal in (_root(call), ""):
        row = call.tx.get(ACCOUNT_SETTINGS, f"{scope(call.account, call.region)}/{principal}/{name}")
        if row is not None:
            return row.value
    return KNOWN[name][1]


def put_account_setting(call: Call, request: Request) -> Reply:
    return _put(call, request, request.get("principalArn") or _root(call))


def put_account_setting_default(call: Call, request: Request) -> Reply:
    return _put(call, request, None)


def _put(call: Call, request: Request, principal: str | None) -> Reply:
    name, value = request["name"], request["value"]
    values, _ = KNOWN.get(name, ((), ""))
    if not values:
        raise errors.invalid(f"{name} should be one of [{','.join(KNOWN)}]")
    if value not in values:
        raise errors.invalid(f"The value {value!r} of {name} should be one of [{','.join(values)}]")
    row = AccountSetting(account=call.account, region=call.region, name=name, value=value, principal=principal)
    call.tx.put(ACCOUNT_SETTINGS, row)
    return {"setting": _wire(call, name, value, principal)}


def delete_account_setting(call: Call, request: Request) -> Reply:
    principal = request.get("principalArn") or _root(call)
    row = AccountSetting(account=call.account, region=call.region, name=request["name"], value="", principal=principal)
    key = ACCOUNT_SETTINGS.key(row)
    present = call.tx.get(ACCOUNT_SETTINGS, key)
    call.tx.delete(ACCOUNT_SETTINGS, key)
    return {"setting": _wire(call, request["name"], present.value if present is not None else "", principal)}


def list_account_settings(call: Call, request: Request) -> Reply:
    """What was set; with effectiveSettings also the defaults of everything that was not."""
    name, value = request.get("name"), request.get("value")
    principal = request.get("principalArn") or _root(call)
    rows = list(call.tx.find(ACCOUNT_SETTINGS_BY_SCOPE, scope(call.account, call.region)))
    found: dict[str, str] = {}
    if request.get("effectiveSettings"):
        found = {known: default for known, (_, default) in KNOWN.items()}
        found |= {row.name: row.value for row in rows if row.principal is None}
    found |= {row.name: row.value for row in rows if row.principal == principal}
    names_left = sorted(one for one in found if name in (None, one) and value in (None, found[one]))
    chosen, token = paging.page(request, names_left, largest=10)
    settings = [_wire(call, one, found[one], principal) for one in chosen]
    return {"settings": settings} | ({"nextToken": token} if token else {})


def _root(call: Call) -> str:
    return f"arn:{names.partition(call.region)}:iam::{call.account}:root"


def _wire(call: Call, name: str, value: str, principal: str | None) -> Mapping[str, str]:
    return {"name": name, "value": value, "principalArn": principal or _root(call), "type": "user"}


OPERATIONS: tuple[Operation, ...] = (
    write("PutAccountSetting", put_account_setting),
    write("PutAccountSettingDefault", put_account_setting_default),
    write("DeleteAccountSetting", delete_account_setting),
    read("ListAccountSettings", list_account_settings),
)

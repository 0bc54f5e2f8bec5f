"""Who may change what runs here: load, unload, fetch and remove models. It knows no dialect."""

from __future__ import annotations

from nearfar.build import Gateway
from nearfar.core.errors import PermissionDeniedError
from nearfar.server.http import HttpRequest
from nearfar.store.keyring import Caller


def admit(gateway: Gateway, http: HttpRequest) -> None:
    """Raise PermissionDeniedError unless who asks is an operator: one caller's model is another caller's memory.

    Where no keys are required, which only a gateway on loopback can say, everybody on the machine is.
    """
    if may(gateway, http):
        return
    raise PermissionDeniedError(
        "Loading and unloading models is for operators, and this key is not one's.",
        code="operator_required",
        hint="`nearfar keys new NAME --operator` makes one that is.",
    )


def may(gateway: Gateway, http: HttpRequest) -> bool:
    """Whether who asks is an operator."""
    caller = http.admitted
    return not gateway.keys.required or (isinstance(caller, Caller) and caller.operator)

"""The catalogue of faults (``data/faults.toml``): a model's name chooses one. It plays none of them itself."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Literal

import msgspec

from nearfar import standin
from nearfar.standin.behaviour import Behaviour

PREFIX = "fault-"
"""A model called ``fault-NAME`` is answered with the fault NAME."""

Group = Literal["transport", "protocol", "status", "local", "client", "state"]
Outcome = Literal["answer", "early", "late", "told", ""]


RUNTIMES = ("openai", "anthropic", "ollama")
"""Upstream dialects that a runtime on a machine of one's own speaks."""
DIALECTS = (*RUNTIMES, "gemini", "bedrock")
"""All upstream dialects that the stand-in speaks."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way in which something goes wrong; the file's head says what each member means."""

    group: Group
    title: str
    behaviour: Behaviour | None = None
    by: Literal["stand-in", "address", "client", "state"] = "stand-in"
    plain: Outcome = ""
    stream: Outcome = ""
    dialects: tuple[str, ...] = ()
    """Of upstreams; the catalogue fills in those of ``upstreams`` where a row names none."""
    test: str = "tests/faults/test_matrix.py"


@functools.cache
def catalogue() -> Mapping[str, Fault]:
    """All faults by name, each with the dialects that it is played in.

    Raises ValidationError for a row with a member that none may have.
    """
    data = resources.files(standin).joinpath("data", "faults.toml").read_bytes()
    rows = msgspec.toml.decode(data, type=dict[str, Fault])
    return {name: fault if fault.dialects else _everywhere(fault) for name, fault in rows.items()}


def _everywhere(fault: Fault) -> Fault:
    return msgspec.structs.replace(fault, dialects=RUNTIMES if fault.group == "local" else DIALECTS)


def behaviour_of(model: str) -> Behaviour | None:
    """How the stand-in answers for ``model``; None for one whose name chooses no fault.

    Raises ValueError for a fault that does not exist, or that the stand-in cannot play.
    """
    if not model.startswith(PREFIX):
        return None
    name = model.removeprefix(PREFIX)
    fault = catalogue().get(name)
    if fault is None:
        raise ValueError(f"there is no fault {name!r}")
    if fault.behaviour is None:
        raise ValueError(f"the fault {name!r} is not played by the stand-in but by its {fault.by}")
    return fault.behaviour

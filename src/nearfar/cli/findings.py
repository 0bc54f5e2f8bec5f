"""Everything that can be found wrong with a configuration in one go. It opens no connection and mends nothing."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator

import msgspec

from nearfar.core.errors import NearfarError
from nearfar.settings.errors import Problem, SettingsError
from nearfar.settings.load import Draft, Loaded


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """``problems`` keep a gateway from starting; ``warnings`` keep a deployment from being used, or a key from being
    secret.
    """

    problems: list[Problem]
    warnings: list[Problem]


def look(draft: Draft) -> Findings:
    """Whatever is wrong with ``draft``, in the order of its files."""
    from nearfar.gateway import declared
    from nearfar.providers import registry

    loaded = draft.loaded
    settings, origins, providers = loaded.settings, loaded.origins, registry.load_all()
    problems = [*draft.problems, *declared.problems(settings, origins, providers), *_outside(loaded)]
    warnings = declared.lacking(settings, origins, providers, loaded.environ)
    warnings += declared.exposed(settings, origins, providers)
    return Findings(problems=sorted(problems, key=_where), warnings=sorted(warnings, key=_where))


def _outside(loaded: Loaded) -> Iterator[Problem]:
    """What settings and variables name and a gateway cannot do without: certificates, the ledger's address, routers."""
    try:
        _ = loaded.environ.ollama_url
    except SettingsError as error:
        yield from error.problems
    for key, look_up in (("server.tls_cert", _certificate), ("ledger.url", _ledger), ("responses.keep_hours", _cipher)):
        try:
            look_up(loaded)
        except NearfarError as error:
            told = error.message[:1].lower() + error.message[1:].rstrip(".")
            yield Problem(key=key, origin=loaded.origins.get(key, ""), message=told, hint=error.hint)
    if any(route.router is not None for route in loaded.settings.routes.values()):
        from nearfar.parts import routers

        yield from routers.problems(loaded)


def _certificate(loaded: Loaded) -> None:
    if loaded.settings.server.tls_cert:
        from nearfar.server.run import tls  # everything that serves comes with it

        tls(loaded.settings.server)


def _ledger(loaded: Loaded) -> None:
    _ = loaded.ledger_url


def _cipher(loaded: Loaded) -> None:
    if loaded.settings.responses.keep_hours:
        importlib.import_module("nearfar.store.cipher")  # raises where the extra is not installed


def _where(problem: Problem) -> tuple[str, int]:
    """By file and line; what files do not say comes last."""
    found = re.fullmatch(r"file (.*?)(?::(\d+))?", problem.origin)
    return (found[1], int(found[2] or 0)) if found else ("\uffff", 0)

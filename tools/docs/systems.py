"""What the provider records say about one system, for its page: evidence, address, key, what it cannot do."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import MappingProxyType

from tools.docs.words import EVIDENCE, SYSTEMS

from nearfar.providers import presets, registry
from nearfar.providers.base import Provider

NEEDS = frozenset(
    {
        "tools",
        "tool_choice",
        "images",
        "audio",
        "documents",
        "media_urls",
        "json_schema",
        "json_mode",
        "choices",
        "logprobs",
        "dimensions",
        "token_input",
    }
)
"""Capabilities that a request can need: a deployment that is known to lack one is not asked. Other capabilities, such
as ``seed`` and ``streaming``, never keep a request away."""


def system(name: str, language: str) -> str:
    """The lines about the provider ``name`` and about its other doors."""
    found = registry.load_all()[name]
    lines = list(_about(found, language))
    for choice, door in found.doors.items():
        if (door.evidence, _cannot(door)) != (found.evidence, _cannot(found)):
            option, _, value = choice.partition("=")
            lines.append("")
            lines.append(SYSTEMS[language]["door"].format(choice=f'{option} = "{value}"'))
            lines.append("")
            lines += _claims(door, language)
    return "\n".join(lines)


def _about(item: Provider, language: str) -> Iterator[str]:
    words = SYSTEMS[language]
    yield from _claims(item, language)
    yield words["provider"].format(name=item.name)
    if item.base_url:
        yield words["address"].format(address=item.base_url)
    if item.key_env:
        yield words["key"].format(key=words["or"].join(f"`{name}`" for name in item.key_env))
    if item.ports:
        listed = words["and"].join(str(port) for port in item.ports)
        yield words["proven" if item.tells_weights else "found"].format(ports=listed)


def _claims(item: Provider, language: str) -> Iterator[str]:
    words = SYSTEMS[language]
    label = EVIDENCE[language][item.evidence.label]
    yield words["evidence"].format(label=label, what=item.evidence.what)
    if _cannot(item):
        yield words["cannot"].format(listed=", ".join(f"`{what}`" for what in _cannot(item)))


def _cannot(item: Provider) -> list[str]:
    return sorted(what for what, able in item.capabilities.items() if what in NEEDS and able.can is False)


def _blocks() -> dict[str, Callable[[str], str]]:
    rows = set(presets.names())
    # The embedded engine has a page of its own kind: it is no system beside this one.
    own = [name for name in registry.names() if name not in rows and name != "embedded"]
    return {f"system-{name}": functools.partial(system, name) for name in own}


BLOCKS: MappingProxyType[str, Callable[[str], str]] = MappingProxyType(_blocks())

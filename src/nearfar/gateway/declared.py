"""Checks declared deployments against the providers there are: what the settings alone cannot know.

It opens nothing but files that hold keys; whether an address answers or a key is right only a request can tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from nearfar.core.places import Place
from nearfar.gateway.credentials import on_this_machine, on_this_network, signs
from nearfar.providers.base import Provider, address, door
from nearfar.settings.environ import Environ
from nearfar.settings.errors import Problem, SettingsError, refuse
from nearfar.settings.model import Settings
from nearfar.settings.secrets import is_reference, resolve
from nearfar.settings.shape import Path, did_you_mean, dotted

_ENDPOINT = re.compile(
    r"(?P<path>/chat/completions|/completions|/embeddings|/v1/messages|/responses|/api/(chat|embed|generate))/*$"
)
"""What stands at the end of an address that somebody copied from an example of a request."""

Found = Iterator[tuple[Path, str, str]]
"""(path, what is wrong, next step)"""


def check(settings: Settings, origins: Mapping[str, str], providers: Mapping[str, Provider]) -> None:
    """Raise SettingsError with everything that is wrong; ``origins`` says who set a dotted key."""
    found = problems(settings, origins, providers)
    if found:
        raise refuse(found)


def problems(settings: Settings, origins: Mapping[str, str], providers: Mapping[str, Provider]) -> list[Problem]:
    """Everything that is wrong, so that a gateway cannot start; ``origins`` as for ``check``."""
    return [
        Problem(key=dotted(path), origin=_origin(path, origins), message=message, hint=hint)
        for path, message, hint in _wrong(settings, providers)
    ]


def lacking(
    settings: Settings, origins: Mapping[str, str], providers: Mapping[str, Provider], environ: Environ
) -> list[Problem]:
    """What single deployments lack, so that they cannot be used and the others can: keys, mostly."""
    return [
        Problem(key=dotted(path), origin=_origin(path, origins), message=message, hint=hint)
        for path, message, hint in _lacking(settings, providers, environ)
    ]


def exposed(settings: Settings, origins: Mapping[str, str], providers: Mapping[str, Provider]) -> list[Problem]:
    """Keys that would be read by whoever stands between: sent over plain HTTP beyond the local network."""
    return [
        Problem(key=dotted(path), origin=_origin(path, origins), message=message, hint=hint)
        for path, message, hint in _exposed(settings, providers)
    ]


def _exposed(settings: Settings, providers: Mapping[str, Provider]) -> Found:
    for name, item in settings.deployments.items():
        host = _plain_host(item.base_url)
        if item.provider not in providers or not host or on_this_network(host):
            continue
        if item.key or any(is_reference(value) for value in item.headers.values()):
            what = f"sends its key to {host} over plain HTTP, where everybody on the way can read it"
            yield ("deployments", name, "base_url"), what, "Use https://, or a tunnel that ends on this machine."


def _plain_host(base_url: str) -> str:
    """The host of an ``http://`` address; empty for any other."""
    parts = urlsplit(base_url)
    return parts.hostname or "" if parts.scheme == "http" else ""


def _origin(path: Path, origins: Mapping[str, str]) -> str:
    """Who set it, or else who wrote the deployment down."""
    said = origins.get(dotted(path), "default")
    return said if said != "default" else origins.get(dotted((*path[:2], "provider")), "")


def _lacking(settings: Settings, providers: Mapping[str, Provider], environ: Environ) -> Found:
    for name, item in settings.deployments.items():
        path: Path = ("deployments", name)
        provider = providers.get(item.provider)
        if provider is None:
            continue
        provider = door(provider, item.options)
        place = provider.place if item.place is None else Place.parse(item.place)
        if settings.offline and not place.near:
            continue  # it is not called, so it needs nothing
        references = [((*path, "key"), item.key)] if item.key else []
        references += [((*path, "headers", header), value) for header, value in item.headers.items()]
        for at, reference in references:
            if not is_reference(reference):
                continue
            try:
                resolve(reference, environ)
            except SettingsError as error:
                yield at, error.message[:1].lower() + error.message[1:].rstrip("."), error.hint
        if not item.key and not item.base_url and provider.key_env and not environ.present(provider.key_env):
            if place.near or provider.ports or signs(provider.auth):
                continue  # a runtime of one's own may need none, and a signature has other sources
            variables = " or ".join(provider.key_env)
            hint = 'Set the variable, or name another one: key = "env:NAME".'
            yield (*path, "key"), f"is missing, and {variables} is not set: {provider.title} will refuse it", hint


def _wrong(settings: Settings, providers: Mapping[str, Provider]) -> Found:
    for name, item in settings.deployments.items():
        path: Path = ("deployments", name)
        provider = providers.get(item.provider)
        if provider is None:
            hint = did_you_mean(item.provider, providers, "`nearfar providers ls` lists all.")
            yield (*path, "provider"), f"there is no provider {item.provider!r}", hint
            continue
        for option, value in item.options.items():
            if option not in provider.options:
                hint = did_you_mean(option, provider.options)
                yield (*path, "options", option), f"{provider.title} knows no option {option!r}", hint
                continue
            doors = [choice.partition("=")[2] for choice in provider.doors if choice.startswith(f"{option}=")]
            if doors and value not in {provider.options[option], *doors}:
                hint = did_you_mean(value, doors)
                yield (*path, "options", option), f"{provider.title} has no {option} {value!r}", hint
        provider = door(provider, item.options)
        if "transcription" in item.operations and "transcription" not in provider.other_wires:
            yield (*path, "operations"), f"{provider.title} transcribes nothing", 'Leave "transcription" out.'
        if "embeddings" in item.operations and not provider.embeddings_wire:
            yield (*path, "operations"), f"{provider.title} has no embeddings", 'Leave "embeddings" out.'
        if provider.place is Place.DEVICE:
            if item.base_url:
                yield (*path, "base_url"), "the embedded engine has no address", "Leave it out."
        elif not (item.base_url or provider.base_url):
            hint = "Add the server's address, such as http://127.0.0.1:8000/v1."
            yield (*path, "base_url"), f"is missing: {provider.title} has no address of its own", hint
        elif ends := _ENDPOINT.search(item.base_url):
            hint = f"Leave that out; the deployment's wire adds it: {item.base_url[: ends.start()]}"
            yield (*path, "base_url"), f"ends with {ends['path']}, which is the path of a single request", hint
        elif signs(provider.auth) and not item.key and (host := _plain_host(item.base_url)):
            if not on_this_machine(host):
                what = "would carry a cloud's credentials over plain HTTP"
                yield (*path, "base_url"), what, "Use https://; http:// is for this machine alone."
        elif not item.base_url:
            try:
                address(provider, item.options)
            except LookupError as missing:
                hint = f"Its address needs it: {provider.base_url}"
                yield (*path, "options"), f"lacks {' and '.join(repr(name) for name in missing.args)}", hint

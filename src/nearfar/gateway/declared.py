"""Checks declared deployments against the providers there are: what the settings alone cannot know.

It opens nothing; whether an address answers or a key is right only a request can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nearfar.core.places import Place
from nearfar.providers.base import Provider, address, door
from nearfar.settings.errors import Problem, refuse
from nearfar.settings.model import Settings
from nearfar.settings.shape import did_you_mean, dotted


def check(settings: Settings, origins: Mapping[str, str], providers: Mapping[str, Provider]) -> None:
    """Raise SettingsError with everything that is wrong; ``origins`` says who set a dotted key."""
    found = [
        Problem(key=key, origin=origins.get(key, ""), message=message, hint=hint)
        for key, message, hint in _wrong(settings, providers)
    ]
    if found:
        raise refuse(found)


def _wrong(settings: Settings, providers: Mapping[str, Provider]) -> Iterator[tuple[str, str, str]]:
    for name, item in settings.deployments.items():
        path = ("deployments", name)
        provider = providers.get(item.provider)
        if provider is None:
            hint = did_you_mean(item.provider, providers)
            yield dotted((*path, "provider")), f"there is no provider {item.provider!r}", hint
            continue
        for option, value in item.options.items():
            if option not in provider.options:
                hint = did_you_mean(option, provider.options)
                yield dotted((*path, "options", option)), f"{provider.title} knows no option {option!r}", hint
                continue
            doors = [choice.partition("=")[2] for choice in provider.doors if choice.startswith(f"{option}=")]
            if doors and value not in {provider.options[option], *doors}:
                hint = did_you_mean(value, doors)
                yield dotted((*path, "options", option)), f"{provider.title} has no {option} {value!r}", hint
        provider = door(provider, item.options)
        if "transcription" in item.operations and "transcription" not in provider.other_wires:
            yield dotted((*path, "operations")), f"{provider.title} transcribes nothing", 'Leave "transcription" out.'
        if "embeddings" in item.operations and not provider.embeddings_wire:
            yield dotted((*path, "operations")), f"{provider.title} has no embeddings", 'Leave "embeddings" out.'
        if provider.place is Place.DEVICE:
            if item.base_url:
                yield dotted((*path, "base_url")), "the embedded engine has no address", "Leave it out."
        elif not (item.base_url or provider.base_url):
            hint = "Add the server's address, such as http://127.0.0.1:8000/v1."
            yield dotted((*path, "base_url")), f"is missing: {provider.title} has no address of its own", hint
        elif not item.base_url:
            try:
                address(provider, item.options)
            except LookupError as missing:
                hint = f"Its address needs it: {provider.base_url}"
                yield dotted((*path, "options")), f"lacks {missing.args[0]!r}", hint

"""How an optional part is installed beside this nearfar, by where this one came from. It installs nothing."""

from __future__ import annotations

import sys
from urllib.parse import unquote, urlsplit

import msgspec


class _Folder(msgspec.Struct, frozen=True):
    editable: bool = False


class _Origin(msgspec.Struct, frozen=True):
    """What pip notes of a package that came from no index. Source: PyPA's "Direct URL Data Structure", 2026-11-22."""

    url: str
    dir_info: _Folder | None = None


def command(extra: str) -> str:
    """The line that installs ``extra`` into the Python that runs now.

    A nearfar from a folder is installed from that folder, as no index need have it.
    """
    # A virtual environment need not have a pip of its own; another Python's installs into it from outside.
    pip = "python -m pip install" if _has_pip() else f'python3 -m pip --python "{sys.executable}" install'
    origin = _origin()
    if origin is None or origin.dir_info is None:
        return f'{pip} "nearfar[{extra}]"'
    folder = unquote(urlsplit(origin.url).path)
    editable = "--editable " if origin.dir_info.editable else ""
    return f'{pip} {editable}"{folder}[{extra}]"'


def _has_pip() -> bool:
    import importlib.util

    return importlib.util.find_spec("pip") is not None


def _origin() -> _Origin | None:
    """Where this nearfar was installed from; None from an index, or when nobody noted it."""
    from importlib import metadata  # only whoever lacks something pays for it

    try:
        text = metadata.distribution("nearfar").read_text("direct_url.json")
        return None if text is None else msgspec.json.decode(text, type=_Origin)
    except (metadata.PackageNotFoundError, OSError, msgspec.MsgspecError):
        return None

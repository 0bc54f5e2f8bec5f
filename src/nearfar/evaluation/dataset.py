"""Prompts from a data set of the Hugging Face Hub, or of a folder, through ``datasets`` (extra ``eval``). No scores.

``datasets`` is imported when a data set is read: it brings pandas and PyArrow, more than the rest of nearfar weighs.
It reads every format and configuration of the Hub; a reader of our own would need PyArrow just the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from nearfar.core.errors import BadRequestError
from nearfar.core.install import command
from nearfar.evaluation.prompts import MOST, BadPrompts, Read, gathered

PREFIX: Final = "hf:"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of which data set."""

    name: str
    """``OWNER/NAME``, or the path of a folder."""
    config: str = ""
    split: str = "test"


def reference(text: str) -> Reference:
    """``hf:OWNER/NAME[:CONFIG][:SPLIT]``; with one part after the name it is the split. Raises BadPrompts."""
    name, *rest = text.removeprefix(PREFIX).split(":")
    if not name or len(rest) > 2:
        raise BadPrompts(
            f"{text} names no data set.", hint="Write hf:OWNER/NAME, hf:OWNER/NAME:SPLIT or …:CONFIG:SPLIT."
        )
    *config, split = rest or [""]
    return Reference(name=name, config="".join(config), split=split or "test")


def read(
    wanted: Reference, columns: Mapping[str, str], *, limit: int | None, offline: bool, revision: str = ""
) -> Read:
    """The first ``limit`` rows as prompts. Raises BadPrompts, or NearfarError where it cannot be had."""
    rows = _rows(wanted, limit=limit, offline=offline, revision=revision)
    try:
        return gathered(rows, columns, where=wanted.name, limit=limit)
    except BadPrompts as error:
        if not columns:
            error.hint = f"Say which columns are what: --columns prompt=question,answer=answer. {error.hint}"
        raise


def _rows(
    wanted: Reference, *, limit: int | None, offline: bool, revision: str
) -> Iterator[tuple[int, dict[str, Any]]]:
    if offline:
        raise BadRequestError(
            f"{wanted.name} would be fetched, and nearfar runs offline.",
            code="offline",
            hint="Save it as JSON lines and name the file.",
        )
    try:
        import datasets
    except ImportError as error:
        raise BadRequestError(
            "Data sets are read with the package `datasets`, which is not installed.",
            code="missing_extra",
            hint=command("eval"),
        ) from error
    try:
        # In a stream: a run of fifty prompts need not fetch a data set of gigabytes.
        found = datasets.load_dataset(
            wanted.name, wanted.config or None, split=wanted.split, streaming=True, revision=revision or None
        )
        yield from enumerate(map(dict, itertools.islice(found, (limit or MOST) + 1)), 1)
    except Exception as error:
        # It raises whatever the libraries below it do, and for each of them its words are what helps.
        said = " ".join(str(error).split())[:300]
        raise BadRequestError(
            f"{wanted.name} ({wanted.split}) cannot be read: {type(error).__name__}: {said}",
            code="no_dataset",
            hint="Name the configuration and the split: hf:OWNER/NAME:CONFIG:SPLIT.",
        ) from error

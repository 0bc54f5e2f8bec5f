"""A model that is split over several GGUF files: which files belong together, and what they say as a whole.

It trusts neither names nor headers: every part is walked, and they must agree. Format: ``llama-gguf-split`` of
llama.cpp (the ``split.*`` keys and the names ``PREFIX-00001-of-00003.gguf``), 2026-10. It knows no engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import TensorSums, Walked, damaged, header_of, walk
from nearfar.engine.header import Header

SUFFIX = ".parts"
"""What a folder of ours with the parts of one model ends with."""
MAX_PARTS = 512
_NAME = re.compile(r"(?s)(.+)-(\d{5})-of-(\d{5})\.gguf")


class Numbered(msgspec.Struct, frozen=True, kw_only=True):
    """What a file's name says: it is part ``number`` of ``count``."""

    prefix: str
    number: int
    count: int


def numbered(name: str) -> Numbered | None:
    """The parts of a part's name; None for every other name."""
    found = _NAME.fullmatch(name)
    return Numbered(prefix=found[1], number=int(found[2]), count=int(found[3])) if found else None


def holds(folder: Path) -> bool:
    """Whether there are parts of a GGUF model in ``folder``, and nothing that makes it a model folder."""
    try:
        names = {entry.name for entry in folder.iterdir()}
    except OSError:
        return False
    return not names & {"config.json", "genai_config.json"} and any(numbered(name) for name in names)


def siblings(first: Path) -> tuple[str, ...]:
    """The names of all parts beside ``first``, in order, ``first`` among them. Raises ModelFileError."""
    own = numbered(first.name)
    if own is None or not 0 < own.number <= own.count <= MAX_PARTS:
        raise ModelFileError(
            f"{first} is a part of a split model, and its name does not say which.",
            code="model_split",
            hint="Name the parts as they were: MODEL-00001-of-00003.gguf, and so on, in one folder.",
        )
    names = tuple(f"{own.prefix}-{number:05}-of-{own.count:05}.gguf" for number in range(1, own.count + 1))
    missing = [name for name in names if not (first.parent / name).exists()]
    if missing:
        raise ModelFileError(
            f"{first} is one of {own.count} parts, and {missing[0]} is not beside it.",
            code="model_incomplete",
            hint="Put all parts into one folder, and name the first one.",
        )
    return names


def read_folder(folder: Path) -> tuple[Header, tuple[str, ...]]:
    """What the parts in ``folder`` are together, and their names in order. Raises ModelFileError."""
    try:
        found = sorted(entry.name for entry in folder.iterdir() if numbered(entry.name))
    except OSError as exc:
        raise ModelFileError(f"{folder} cannot be read: {exc.strerror}.", code="model_file_unreadable") from exc
    if not found:
        raise ModelFileError(f"{folder} holds no parts of a GGUF model.", code="model_incomplete")
    models = {(part.prefix, part.count) for name in found if (part := numbered(name))}
    if len(models) > 1:
        raise ModelFileError(
            f"{folder} holds parts of {len(models)} models.",
            code="model_split",
            hint=f"Name the first part of the one that you mean, such as {folder / found[0]}",
        )
    names = siblings(folder / found[0])
    return read_parts([folder / name for name in names]), names


def read_parts(paths: list[Path]) -> Header:
    """The header of the model whose parts, all of them and in order, are ``paths``. Raises ModelFileError."""
    walked = [walk(path) for path in paths]
    for number, part in enumerate(walked):
        said = (part.values.get("split.no", 0), part.values.get("split.count", 1))
        if said != (number, len(walked)):
            raise damaged(part.path, f"it says that it is part {said[0]} of {said[1]}, and it should be {number + 1}")
    counted = sum(part.tensor_count for part in walked)
    told = walked[0].values.get("split.tensors.count", counted)
    if told != counted:
        raise damaged(walked[0].path, f"the model should have {told} tensors, and its parts have {counted}")
    whole = Walked(
        path=walked[0].path,
        version=walked[0].version,
        values=walked[0].values,
        tensors=_together(part.tensors for part in walked),
        tensor_count=counted,
        has_template=walked[0].has_template,
        file_bytes=sum(part.file_bytes for part in walked),
    )
    return header_of(whole)


def _together(parts: Iterable[TensorSums]) -> TensorSums:
    sums = list(parts)
    return TensorSums(
        end=0,  # extents are of one file; each was checked against its own
        bytes=sum(part.bytes for part in sums),
        repacked=sum(part.repacked for part in sums),
        parameters=sum(part.parameters for part in sums),
        commonest=max(sums, key=lambda part: part.bytes).commonest,
        vocabulary=max(part.vocabulary for part in sums),
        experts=sum(part.experts for part in sums),
    )

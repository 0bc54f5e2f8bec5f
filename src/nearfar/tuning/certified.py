"""A certificate as a file: what ``nearfar router certify`` found out, and for which router. It certifies nothing."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Final

import msgspec

from nearfar.core.errors import UnprocessableEntityError

FORMAT: Final = 1
_LARGEST = 64 * 1024
_MAKE = "nearfar router certify --labels L.jsonl --router R --out C.json makes one."


class BadCertificate(UnprocessableEntityError):
    """A file is no certificate, or one for something else."""

    default_code = "bad_certificate"


class Certified(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A promise for one router: see ``certificate`` for what is claimed."""

    format: int = FORMAT
    router: str
    """SHA-256 of the router's file."""
    date: str
    """Day of the certificate, ISO 8601."""
    threshold: float
    """Gap up to which prompts stay near."""
    loss: float
    """ε: the promised mean loss against always far, over prompts that the router trusts itself with."""
    confidence: float
    """1 - δ."""
    pairs: int
    """Prompts that it rests on."""
    bound: float
    """Upper confidence bound of the loss at the threshold."""
    observed: float
    """The loss on these prompts."""
    local_share: float
    """Share of them that stays near."""
    group: str = ""
    """The policy group of the labels."""


def digest(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(path: Path, certified: Certified) -> None:
    """Write the file whole, or not at all. Raises OSError."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(msgspec.json.format(msgspec.json.encode(certified), indent=2) + b"\n")
    beside.replace(path)


def read(path: Path, router: str) -> Certified:
    """The certificate at ``path`` for the router with the SHA-256 ``router``. Raises BadCertificate for all else."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadCertificate(f"{path} cannot be read: {error.strerror or error}.", hint=_MAKE) from error
    try:
        found = msgspec.json.decode(data[: _LARGEST + 1], type=Certified)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadCertificate(f"{path} is no certificate: {error}.", hint=_MAKE) from error
    if found.format != FORMAT:
        raise BadCertificate(f"{path} has the format {found.format}, this version reads {FORMAT}.", hint=_MAKE)
    sound = -1 <= found.threshold <= 1 and 0 < found.loss < 1 and 0 < found.confidence < 1
    if not sound or not all(map(math.isfinite, (found.bound, found.observed, found.local_share))):
        raise BadCertificate(f"{path} holds values that no certificate has.", hint=_MAKE)
    if found.router != router:
        hint = "A router that was fitted anew needs a new certificate: run nearfar router certify on it."
        raise BadCertificate(f"{path} is for another router file.", hint=hint)
    return found

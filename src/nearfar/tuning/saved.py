"""A router as a plain file: arrays and one JSON header in a zip (NumPy's npz). No pickle; sizes are checked first."""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Sequence
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from nearfar.core.errors import UnprocessableEntityError
from nearfar.tuning.isotonic import Steps
from nearfar.tuning.router import Answers, Embedded, Router, squares
from nearfar.tuning.structure import Scale, described
from nearfar.tuning.tasks import Tasks
from nearfar.tuning.trees import Trees
from nearfar.tuning.words import SIZE, Words

Array = NDArray[Any]
"""Of the type that ``_TYPES`` says: what a file holds is checked when it is read."""
FORMAT: Final = 2
"""Two since words have longer hashes, and trees and tasks are learned too."""
LARGEST: Final = 2 * 1024**3
"""Bytes that all arrays of a file may have together once unpacked."""
_DEEPEST = 10
"""Levels of a tree."""
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>[<|][fiu][1248])', 'fortran_order': False, "
    rb"'shape': \((?P<shape>\d{1,12},(?: ?\d{1,12})?)\), \} *\n",
    re.DOTALL,
)
"""The beginning of an array as NumPy writes it, read without evaluating anything."""
_TYPES: Final = {
    "buckets": "int32", "idf": "float32", "begins": "int64", "rows": "int32", "weights": "float32",
    "quantiles": "float64", "ranks": "float32", "alpha": "float32", "known": "uint64",
    "trees_columns": "int32", "trees_cuts": "float32", "trees_values": "float32",
    "tasks_alpha": "float32", "tasks_gap": "float32", "embedded_rows": "float32", "embedded_gap": "float32",
    "answers_signals": "float32", "answers_alpha": "float32", "answers_at": "float64", "answers_values": "float64",
}  # fmt: skip


class BadRouter(UnprocessableEntityError):
    """A file is no router, or not a whole one."""

    default_code = "bad_router"


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is not an array."""

    format: int
    mean: float
    lonely: float
    count: int
    models: list[str] | None


class Kept(msgspec.Struct, frozen=True):
    """A router and what it was fitted on, as hashes: those prompts can certify nothing."""

    router: Router
    known: NDArray[np.uint64]
    digest: str = ""
    """SHA-256 of the file it was read from; empty for one that was not."""


def marks(prompts: Sequence[str]) -> NDArray[np.uint64]:
    """A hash for each prompt."""
    digests = b"".join(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest() for text in prompts)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def save(path: Path, router: Router, prompts: Sequence[str]) -> None:
    """Write the file whole, or not at all. Raises OSError."""
    header = Header(
        format=FORMAT,
        mean=router.mean,
        lonely=router.lonely,
        count=router.labels,
        models=None if router.answers is None else router.answers.models,
    )
    index = router.index
    arrays: dict[str, Array] = {
        "buckets": index.buckets,
        "idf": index.idf,
        "begins": index.begins,
        "rows": index.rows,
        "weights": index.weights,
        "quantiles": router.scale.quantiles,
        "ranks": router.ranks,
        "alpha": router.alpha,
        "known": marks(prompts),
        "trees_columns": router.trees.columns,
        "trees_cuts": router.trees.cuts,
        "trees_values": router.trees.values,
    }
    if (named := router.tasks) is not None:
        arrays |= {"tasks_alpha": named.alpha, "tasks_gap": named.gap}
    if (more := router.embedded) is not None:
        arrays |= {"embedded_rows": more.rows, "embedded_gap": more.gap}
    if (learned := router.answers) is not None:
        arrays |= {
            "answers_signals": learned.signals,
            "answers_alpha": learned.alpha,
            "answers_at": learned.base.at,
            "answers_values": learned.base.values,
        }
    arrays["header"] = np.frombuffer(msgspec.json.encode(header), np.uint8)
    beside = path.with_name(f".{path.name}.new")
    beside.touch(mode=0o600)  # it holds what was learned from prompts
    with beside.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, **{name: np.ascontiguousarray(one) for name, one in arrays.items()}
        )
    beside.replace(path)


def load(path: Path) -> Kept:
    """Read a router. Raises ``BadRouter`` for anything that is not one."""
    try:
        # One open file: what the certificate is compared with is what decides, whatever is put in its place meanwhile.
        with path.open("rb") as raw:
            digest = file_digest(raw, "sha256").hexdigest()
            with zipfile.ZipFile(raw) as file:
                header, arrays = _read(file)
        return Kept(_router(header, arrays), arrays["known"], digest)
    except OSError as error:
        hint = "nearfar router fit --labels L.jsonl --out R makes one."
        raise BadRouter(f"{path} cannot be read: {error.strerror or error}.", hint=hint) from error
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError, msgspec.MsgspecError, NotImplementedError) as error:
        raise BadRouter(f"{path} is no router: {error}.", hint="nearfar router fit makes one.") from error


def _read(file: zipfile.ZipFile) -> tuple[Header, dict[str, Array]]:
    """The header first: a file of another version is told as such, whatever else it holds."""
    members = _members(file)
    header = _header(_array(file, file.getinfo("header.npy")).tobytes())
    arrays = {_named(item): _array(file, item) for item in members if _named(item) in _TYPES}
    if len(arrays) + 1 < len(members):
        raise ValueError("it holds members that no router has")
    return header, arrays


def _header(raw: bytes) -> Header:
    found = msgspec.json.decode(raw, type=dict[str, object]).get("format")
    if found != FORMAT:
        raise ValueError(f"format {found}, this version reads {FORMAT}: fit it anew on its labels")
    return msgspec.json.decode(raw, type=Header)


def _members(file: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = file.infolist()
    if len(members) > 2 * len(_TYPES):
        raise ValueError("it holds members that no router has")
    if sum(item.file_size for item in members) > LARGEST:
        raise ValueError(f"unpacked it is larger than {LARGEST} bytes")
    return members


def _named(item: zipfile.ZipInfo) -> str:
    return item.filename.removesuffix(".npy")


def _array(file: zipfile.ZipFile, item: zipfile.ZipInfo) -> Array:
    with file.open(item) as stream:
        # Never more than the member says, whatever its packed bytes unfold to.
        raw = stream.read(item.file_size)
    name = _named(item)
    told = _NPY.match(raw)
    if told is None:
        raise ValueError(f"{name} is no plain array")
    kind, shape = (
        np.dtype(told["kind"].decode()),
        tuple(int(size) for size in told["shape"].split(b",") if size.strip()),
    )
    if kind != np.dtype(_TYPES.get(name, "uint8")):
        raise ValueError(f"{name} is of type {kind}")
    if math.prod(shape) * kind.itemsize != len(raw) - told.end():
        raise ValueError(f"{name} is not as long as it says")
    found: Array = np.frombuffer(raw, kind, offset=told.end()).reshape(shape)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(f"{name} holds values that are not finite")
    return found


def _shaped(arrays: dict[str, Array], name: str, *shape: int) -> Array:
    found = arrays[name]
    fits = [want in {-1, have} for want, have in zip(shape, found.shape, strict=False)]
    if len(found.shape) != len(shape) or not all(fits):
        raise ValueError(f"{name} has the shape {found.shape}")
    return found


def _router(header: Header, arrays: dict[str, Array]) -> Router:
    count, width = header.count, len(described("x"))
    buckets, begins, rows = (_shaped(arrays, name, -1) for name in ("buckets", "begins", "rows"))
    known = len(buckets)
    _shaped(arrays, "begins", known + 1)
    ordered = bool((np.diff(buckets.astype(np.int64)) > 0).all() and (np.diff(begins.astype(np.int64)) >= 0).all())
    inside = known == 0 or (int(buckets[0]) >= 0 and int(buckets[-1]) < SIZE)
    posted = int(begins[0]) == 0 and int(begins[-1]) == len(rows)
    if not (ordered and inside and posted and (len(rows) == 0 or (int(rows.min()) >= 0 and int(rows.max()) < count))):
        raise ValueError("its index of words is inconsistent")
    index = Words(
        buckets=buckets,
        idf=_shaped(arrays, "idf", known),
        begins=begins,
        rows=rows,
        weights=_shaped(arrays, "weights", len(rows)),
        count=count,
    )
    _shaped(arrays, "known", count)
    return Router(
        index=index,
        scale=Scale(_shaped(arrays, "quantiles", -1, width)),
        ranks=_shaped(arrays, "ranks", count, width),
        squares=squares(_shaped(arrays, "ranks", count, width)),
        alpha=_shaped(arrays, "alpha", count),
        mean=header.mean,
        lonely=header.lonely,
        trees=_trees(arrays, width),
        tasks=_tasks(arrays, count) if "tasks_alpha" in arrays else None,
        embedded=_embedded(arrays, count) if "embedded_rows" in arrays else None,
        answers=None if header.models is None else _answers(header.models, arrays, count),
    )


def _trees(arrays: dict[str, Array], width: int) -> Trees:
    columns = _shaped(arrays, "trees_columns", -1, -1)
    count, depth = columns.shape
    if depth > _DEEPEST or (columns.size and not (int(columns.min()) >= 0 and int(columns.max()) < width)):
        raise ValueError("its trees ask about what no prompt has")
    cuts, values = _shaped(arrays, "trees_cuts", count, depth), _shaped(arrays, "trees_values", count, 1 << depth)
    return Trees(columns, cuts, values)


def _tasks(arrays: dict[str, Array], count: int) -> Tasks:
    alpha = _shaped(arrays, "tasks_alpha", count, -1)
    return Tasks(alpha=alpha, gap=_shaped(arrays, "tasks_gap", alpha.shape[1]))


def _embedded(arrays: dict[str, Array], count: int) -> Embedded:
    return Embedded(rows=_shaped(arrays, "embedded_rows", count, -1), gap=_shaped(arrays, "embedded_gap", count))


def _answers(models: list[str], arrays: dict[str, Array], count: int) -> Answers:
    at = _shaped(arrays, "answers_at", -1)
    if not len(at):
        raise ValueError("its calibration is empty")
    return Answers(
        models=models,
        signals=_shaped(arrays, "answers_signals", count, -1),
        alpha=_shaped(arrays, "answers_alpha", count),
        base=Steps(at=at, values=_shaped(arrays, "answers_values", len(at))),
    )

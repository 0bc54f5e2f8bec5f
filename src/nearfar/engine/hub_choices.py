"""What a repository offers: which of its files make a model together, in which format. Pure: names and sizes alone.

A name that would leave a folder, and every format that can run code when it is read, is no offer.
"""

from __future__ import annotations

import msgspec

from nearfar.catalog.names import split_quant
from nearfar.engine import gguf_parts, hf_folder, onnx_folder

GGUF, SAFETENSORS, ONNX = "gguf", "safetensors", "onnx"
_MAX_PATH = 1024


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository."""

    name: str
    """Its path there."""
    size: int
    sha256: str = ""
    """Empty where the Hub tells none: small files that are not kept apart."""
    git_sha1: str = ""
    """Of such files the name of git's object: SHA-1 of ``blob SIZE``, a zero byte and the content."""

    @property
    def base(self) -> str:
        """Its name without folders."""
        return self.name.rpartition("/")[2]

    @property
    def place(self) -> str:
        """Where it lies in its model's folder."""
        return self.name if self.name == hf_folder.POOLING else self.base


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Files that make one model together."""

    kind: str
    """``gguf``, ``safetensors`` or ``onnx``."""
    label: str
    """What it is asked for by: ``Q4_K_M``, ``SAFETENSORS``, an ONNX model's folder."""
    stem: str
    """What it is called without that."""
    files: tuple[RemoteFile, ...]
    """All parts in order; of a folder, everything in it that may belong to the model."""
    lacking: tuple[str, ...] = ()
    """Parts that the repository does not have."""

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)

    @property
    def name(self) -> str:
        """For people: the first file, and how many there are."""
        first = self.files[0].name if self.kind == GGUF else self.stem
        return first if len(self.files) == 1 or self.kind != GGUF else f"{first} and {len(self.files) - 1} more"


def choices(repo: str, files: tuple[RemoteFile, ...]) -> tuple[Choice, ...]:
    """Everything that ``repo`` offers, in the order of formats and names; also what lacks parts."""
    safe = [file for file in files if safe_name(file.name)]
    short = repo.rpartition("/")[2]
    return (*_gguf(safe), *_safetensors(short, safe), *_onnx(short, safe))


def safe_name(name: str) -> bool:
    """Whether ``name`` is a path that stays where it is put, of components that are shown as they are."""
    parts = name.split("/")
    return (
        0 < len(name) <= _MAX_PATH
        and name.isprintable()
        and not set(name) & set("\\:")
        and all(part and part not in {".", ".."} and len(part.encode()) <= 255 for part in parts)
    )


def _gguf(files: list[RemoteFile]) -> list[Choice]:
    groups: dict[tuple[str, int], list[tuple[int, RemoteFile]]] = {}
    for file in files:
        if not file.name.endswith(".gguf") or "mmproj" in file.base.lower():
            continue
        part = gguf_parts.numbered(file.name)
        key = (part.prefix, part.count) if part else (file.name.removesuffix(".gguf"), 0)
        groups.setdefault(key, []).append((part.number if part else 0, file))
    found = []
    for (prefix, count), parts in sorted(groups.items()):
        parts.sort(key=lambda part: part[0])
        numbers = {number for number, _ in parts}
        wanted = range(1, min(count, gguf_parts.MAX_PARTS) + 1)
        missing = tuple(f"{prefix}-{number:05}-of-{count:05}.gguf" for number in wanted if number not in numbers)
        if count > gguf_parts.MAX_PARTS or (count and not numbers <= set(wanted)):
            missing = (f"sense: {count} parts",)
        stem, label = split_quant(f"{prefix}.gguf")
        found.append(
            Choice(
                kind=GGUF,
                label=label or stem.upper(),
                stem=stem,
                files=tuple(file for _, file in parts),
                lacking=missing,
            )
        )
    return found


def _safetensors(repo: str, files: list[RemoteFile]) -> list[Choice]:
    """The folder that the repository itself is. Others inside it are other versions: for training, for diffusers."""
    here = {file.name: file for file in files if "/" not in file.name or file.name == hf_folder.POOLING}
    if hf_folder.CONFIG not in here or not {hf_folder.WEIGHTS, hf_folder.INDEX} & here.keys():
        return []
    wanted = {hf_folder.CONFIG, hf_folder.TOKENIZER, hf_folder.INDEX, hf_folder.POOLING, *hf_folder.SMALL}
    belongs = tuple(file for name, file in sorted(here.items()) if name in wanted or name.endswith(".safetensors"))
    return [Choice(kind=SAFETENSORS, label=SAFETENSORS.upper(), stem=repo, files=belongs)]


def _onnx(repo: str, files: list[RemoteFile]) -> list[Choice]:
    """Each folder with a configuration for ONNX Runtime GenAI; there may be one for each kind of device."""
    roots = sorted(file.name.rpartition("/")[0] for file in files if file.base == onnx_folder.CONFIG)
    found = []
    for root in roots:
        inside = tuple(file for file in files if file.name.rpartition("/")[0] == root and _harmless(file.base))
        label = root.upper() or ONNX.upper()
        found.append(Choice(kind=ONNX, label=label, stem=f"{repo}-onnx", files=inside))
    return found


def _harmless(name: str) -> bool:
    """Data by its ending; which files the model needs, its configuration says later."""
    return name.endswith((".json", ".jinja", ".txt", ".onnx", ".data", ".onnx_data"))

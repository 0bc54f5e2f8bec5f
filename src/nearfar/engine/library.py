"""The models this machine has: a folder of GGUF files and model folders, and the demo model of the package.

The folder is the whole truth: ``NAME.gguf`` in it is the model NAME, so is a folder ``NAME.parts`` (a GGUF model in
several files), ``NAME.transformers`` or ``NAME.onnx``, and no index can fall out of step with it. It knows headers, not
engines; it reads no settings and no environment.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from pathlib import Path

import msgspec

from nearfar.core.errors import BadRequestError, ConflictError, EngineError, NotFoundError
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.header import SUFFIXES, Header
from nearfar.engine.headers import Headers

DEMO_NAME = "demo-tiny"
DEMO_PATH = Path(__file__).with_name("data") / "demo-tiny.gguf"
RESERVED = frozenset({"auto", "local", "cloud"})
"""Names that clients use for choices, not for models."""
_SUFFIX = ".gguf"
_PARTS = ".parts"
_SUFFIXES = (_SUFFIX, _PARTS, *SUFFIXES.values())
_MAX_NAME = 96
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class LocalModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the library. A file that cannot be used has no header, and ``error`` says why."""

    name: str
    path: Path
    builtin: bool = False
    """The demo model: it cannot be removed, and is never chosen beside a real one."""
    header: Header | None = None
    error: str = ""

    @property
    def operations(self) -> frozenset[str]:
        """``embeddings`` for models that only embed, else ``chat``."""
        if self.header is None:
            return frozenset()
        return frozenset({"embeddings" if self.header.embedding else "chat"})


class Library:
    """The models in ``folder`` (made when the first one is added) and the built-in one, if the package has it."""

    def __init__(self, folder: Path, demo: Path = DEMO_PATH) -> None:
        self.folder = folder.absolute()
        self._demo = demo.absolute()
        self._headers = Headers(_usable, self.folder / ".headers.json")

    def add(self, path: Path, name: str | None = None) -> LocalModel:
        """Take the file or model folder at ``path`` in as ``name`` (derived from the file's name if None).

        The data is not copied: our folder gets hard links, or across file systems symbolic ones. Models are
        gigabytes, and a hard link outlives the file it was made from. Adding the same file again changes nothing.
        Raises ModelFileError for what is not a usable model, BadRequestError for a bad name, ConflictError for one
        that is taken, EngineError if the folder cannot be used.
        """
        from nearfar.engine import folders, gguf_parts  # what reads model folders is needed by few starts

        source = Path(os.path.realpath(path.expanduser()))
        if gguf_parts.numbered(path.name):  # the names tell which parts belong together, whatever they link to
            source = path.expanduser().absolute()
        header, files = _taken_in(source)
        if name is None:
            name = derived_name(source)
        if files and not source.is_dir():
            source = source.parent
        check_name(name)
        taken = {known.casefold(): file for known, file in self._files().items()}.get(name.casefold())
        if taken is not None:
            same = folders.same(taken, source, files) if files else taken.exists() and taken.samefile(source)
            if same:
                return LocalModel(name=name, path=taken, header=header)
            raise ConflictError(
                f"There is a model {name} already.",
                hint=f"Choose another name with --name, or remove it first: nearfar models rm {name}",
            )
        target = self.folder / f"{name}{SUFFIXES.get(header.engine, _PARTS if files else _SUFFIX)}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if files:
                folders.link(source, files, target)
            else:
                folders.link_file(source, target)
        except FileExistsError as exc:  # somebody was faster, or a dangling link lies there
            raise ConflictError(f"{target} exists already.", hint="Choose another name with --name.") from exc
        except OSError as exc:
            raise EngineError(
                f"The models folder cannot be written: {self.folder}: {exc.strerror}.",
                code="models_folder_unwritable",
                hint="Mend its permissions, or choose another models_dir.",
            ) from exc
        return LocalModel(name=name, path=target, header=self._headers.of(target))

    def ls(self) -> list[LocalModel]:
        """All models by name, unusable files among them, the built-in one last.

        Of a folder that cannot be read none is known; ``trouble`` says so.
        """
        try:
            files = self._files()
        except EngineError:
            files = {}
        else:
            self._headers.keep([*files.values(), self._demo])
        models = [self._model(name, path) for name, path in sorted(files.items())]
        if self._demo.is_file():
            models.append(self._model(DEMO_NAME, self._demo, builtin=True))
        return models

    def trouble(self) -> EngineError | None:
        """Why the folder cannot be read; None when it can, or when there is none yet."""
        try:
            self._files()
        except EngineError as error:
            return error
        return None

    def get(self, name: str) -> LocalModel:
        """The usable model ``name``. Raises NotFoundError, or EngineError if its file or the folder cannot be used."""
        path = self.where(name)
        return LocalModel(name=name, path=path, builtin=path == self._demo, header=self._headers.of(path))

    def where(self, name: str) -> Path:
        """The file or folder of the model ``name``, usable or not. Raises NotFoundError, EngineError."""
        if name == DEMO_NAME and self._demo.is_file():
            return self._demo
        files = self._files()
        if name not in files:
            names = [*files, *([DEMO_NAME] if self._demo.is_file() else [])]
            near = difflib.get_close_matches(name, names, n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "See: nearfar models ls"
            raise NotFoundError(f"There is no local model {name!r}.", code="model_not_found", hint=hint)
        return files[name]

    def rm(self, name: str) -> bool:
        """Remove ``name`` from the folder; True if its data went with it, because no other link to it was left."""
        if name == DEMO_NAME:
            raise BadRequestError(f"{DEMO_NAME} is part of the package and cannot be removed.")
        path = self._files().get(name)
        if path is None:
            raise NotFoundError(
                f"There is no local model {name!r}.", code="model_not_found", hint="See: nearfar models ls"
            )
        if path.suffix != _SUFFIX:
            from nearfar.engine import folders

            return folders.remove(path)
        status = path.lstat()
        path.unlink()
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1

    def _files(self) -> dict[str, Path]:
        """Name → file, for what lies in the folder; files that were put there by hand get a safe name."""
        try:
            found = sorted(
                file.name
                for file in self.folder.iterdir()
                if file.name.endswith(_SUFFIXES) and not (file.name[0] == "." and file.suffix != _SUFFIX)
            )
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise EngineError(
                f"The models folder cannot be read: {self.folder}: {exc.strerror}.",
                code="models_folder_unreadable",
                hint="Mend its permissions, or choose another models_dir.",
            ) from exc
        files: dict[str, Path] = {}
        for file in found:
            stem = _stem(Path(file))
            name = stem if _SAFE.fullmatch(stem) and len(stem) <= _MAX_NAME else derived_name(Path(file))
            if name.casefold() not in RESERVED and name != DEMO_NAME:
                files.setdefault(name, self.folder / file)
        return files

    def _model(self, name: str, path: Path, *, builtin: bool = False) -> LocalModel:
        try:
            return LocalModel(name=name, path=path, builtin=builtin, header=self._headers.of(path))
        except ModelFileError as exc:
            return LocalModel(name=name, path=path, builtin=builtin, error=exc.text)


def derived_name(path: Path) -> str:
    """A safe name from a file's: lower case, runs of anything unusual become one hyphen."""
    stem = re.sub(r"-\d{5}-of-\d{5}$", "", _stem(path).lower())
    name = re.sub(r"[^a-z0-9._]+", "-", stem).strip("-._")[:_MAX_NAME].rstrip("-._")
    return name or "model"


def _stem(path: Path) -> str:
    return path.name.removesuffix(path.suffix) if path.suffix in _SUFFIXES else path.name


def check_name(name: str) -> None:
    """Raise BadRequestError for what cannot be a model's name."""
    if not _SAFE.fullmatch(name) or len(name) > _MAX_NAME:
        raise BadRequestError(
            f"{name!r} cannot be the name of a model.",
            hint=f"Use up to {_MAX_NAME} letters, digits, dots, hyphens and underscores, a letter or digit first.",
        )
    if name.casefold() in RESERVED or name.casefold() == DEMO_NAME:
        raise BadRequestError(f"{name!r} is a reserved name.", hint="Choose another one with --name.")


def _taken_in(source: Path) -> tuple[Header, tuple[str, ...]]:
    """What lies at ``source``; and of a folder, or of a part of a split model, the names of the files in its folder."""
    from nearfar.engine import folders, gguf_parts

    if source.is_dir():
        if not gguf_parts.holds(source):
            found = folders.read_folder(source)
            return found.header, found.files
        header, files = gguf_parts.read_folder(source)
        return check_whole(header, source), files
    if gguf_parts.numbered(source.name) is None:
        return _usable(source), ()
    files = gguf_parts.siblings(source)
    return check_whole(gguf_parts.read_parts([source.parent / name for name in files]), source), files


def _usable(path: Path) -> Header:
    """The header of a whole model that an engine can run; raises ModelFileError for the rest."""
    if path.suffix == _PARTS:
        from nearfar.engine import gguf_parts

        return check_whole(gguf_parts.read_folder(path)[0], path)
    engine = next((engine for engine, suffix in SUFFIXES.items() if path.suffix == suffix), "")
    if engine:
        from nearfar.engine import folders

        header = folders.read_folder(path).header
        if header.engine != engine:
            raise ModelFileError(f"{path} is a folder for {header.engine}, and its name says {engine}.")
        return header
    header = read_header(path)
    if header.parts > 1:
        raise ModelFileError(
            f"{path} is one of {header.parts} parts of a split model.",
            code="model_split",
            hint="Put all parts into one folder under the names they had (MODEL-00001-of-00003.gguf), and name the "
            "first: nearfar models add FIRST-PART",
        )
    return check_whole(header, path)


def check_whole(header: Header, path: Path) -> Header:
    """``header``, if it is of a whole model that nearfar serves; else raises ModelFileError."""
    if header.kind != "model" or header.architecture == "clip" or header.tensors == 0 or header.layers == 0:
        kind = header.kind if header.kind != "model" else f"only a {header.architecture} file"
        raise ModelFileError(f"{path} is not a whole model ({kind}).", code="model_incomplete")
    if header.pooling == "rank":
        raise ModelFileError(f"{path} is a reranking model, which nearfar does not serve.", code="model_unsupported")
    return header

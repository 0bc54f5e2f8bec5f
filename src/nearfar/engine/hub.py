"""Models on the Hugging Face Hub, or a mirror that speaks its API: what there is, its headers, its files.

It asks the network only when one of its methods is called, and never sends more than names. Headers are read by our
own readers from parts of the files, before anything is fetched; files that could run code are never fetched at all.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError, EngineError
from nearfar.engine import folders, gguf_parts, hf_folder
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.folder_files import MAX_JSON
from nearfar.engine.gguf import read_header, walk
from nearfar.engine.header import Header
from nearfar.engine.hub_choices import GGUF, ONNX, SAFETENSORS, Choice, RemoteFile, choices
from nearfar.engine.hub_web import Told, Web, nobody, partial, stated
from nearfar.engine.library import check_whole
from nearfar.engine.safetensors import header_bytes

PUBLIC = "https://huggingface.co"
_FIRST = 2 * 1024 * 1024
_MOST = 64 * 1024 * 1024
"""Bytes of a file that are read for its header; vocabularies take megabytes."""
_GLANCE = 64 * 1024
"""Bytes that hold most headers of safetensors files."""
_MAX_ANSWER = 64 * 1024 * 1024
_MAX_FILE = 1 << 41
"""Bytes; no Hub keeps larger files."""
_FENCE = b"\xff" * 65536
"""Stands behind what was read: as a length it is impossible, so a header that goes on is noticed."""
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_COMMIT = re.compile(r"[\w-][\w.-]{0,127}")


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str = ""
    """As its card says it: ``apache-2.0``, ``gemma``, ``other``."""
    base: tuple[str, ...] = ()
    gated: bool = False

    def choices(self) -> tuple[Choice, ...]:
        """Everything that can be fetched from it."""
        return choices(self.repo, self.files)


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's headers say, and which files it is."""

    header: Header | None
    """None where only the whole file tells: an ONNX graph with its weights in it."""
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        """Of all files."""
        return sum(file.size for file in self.files)


class _Lfs(msgspec.Struct):
    sha256: str = ""
    size: int = 0


class _Sibling(msgspec.Struct):
    rfilename: str
    size: int | None = None
    blob_id: str | None = msgspec.field(name="blobId", default=None)
    lfs: _Lfs | None = None


class _Info(msgspec.Struct):
    """The facts of a repository that matter, as the Hub's API writes them (huggingface.co/docs/hub/api, 2026-11)."""

    sha: str | None = None
    siblings: list[_Sibling] = []
    gated: bool | str = False
    card: Any = msgspec.field(name="cardData", default=None)


class Hub:
    """One endpoint. Raises NearfarError and nothing else."""

    def __init__(
        self,
        endpoint: str = PUBLIC,
        *,
        cache: Path,
        token: str = "",
        offline: bool = False,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """``cache``: a folder for what is fetched. ``offline``: only what is there already. ``pause``: see Web."""
        self._web = Web(endpoint, token, pause)
        self.endpoint = self._web.endpoint
        self._cache = cache
        self._offline = offline

    def look(self, repo: str, revision: str = "main") -> Remote:
        """What ``repo`` holds at ``revision``. Raises NotFoundError, BadRequestError, EngineError."""
        if not _REPO.fullmatch(repo) or ".." in repo:
            raise BadRequestError(
                f"{repo!r} is no repository.", hint="It has the form OWNER/NAME, such as Qwen/Qwen3-8B-GGUF."
            )
        self._not_offline(repo)
        try:
            info = msgspec.json.decode(self._web.api(repo, revision, _MAX_ANSWER), type=_Info)
        except msgspec.DecodeError as error:
            raise EngineError(
                f"{self.endpoint} does not answer as a Hub does: {error}.",
                code="hub_unreachable",
                hint="Is it the address of a Hub? See HF_ENDPOINT and --mirror.",
            ) from error
        commit = info.sha or revision
        if not _COMMIT.fullmatch(commit):
            raise EngineError(
                f"{self.endpoint} names no commit of {repo}, but {commit[:80]!r}.", code="hub_unreachable"
            )
        card = info.card if isinstance(info.card, dict) else {}
        base = card.get("base_model") or ()
        return Remote(
            repo=repo,
            commit=commit,
            files=tuple(_file(each) for each in info.siblings),
            licence=str(card.get("license_name") or card.get("license") or ""),
            base=(base,) if isinstance(base, str) else tuple(str(each) for each in base),
            gated=bool(info.gated),
        )

    def inspect(self, remote: Remote, choice: Choice) -> Looked:
        """What the files of ``choice`` say, from their headers alone. Raises ModelFileError and as ``look``."""
        for file in choice.files:
            if not 0 <= file.size <= _MAX_FILE:
                raise ModelFileError(f"{file.name} cannot have {file.size} bytes.", code="model_file_invalid")
        self._not_offline(remote.repo)
        look = {GGUF: self._gguf, SAFETENSORS: self._safetensors, ONNX: self._onnx}[choice.kind]
        with tempfile.TemporaryDirectory(prefix="nearfar-header-") as name:
            try:
                return look(remote, choice, Path(name))
            except ModelFileError as error:
                # The readers saw a folder of ours, and the person means the repository.
                said = error.message.replace(f"{name}/", "").replace(name, remote.repo)
                raise ModelFileError(said, code=error.code, hint=error.hint.replace(name, remote.repo)) from error
            except OSError as error:
                raise ModelFileError(f"{choice.name} cannot be looked at: {error.strerror}.") from error

    def fetch(self, remote: Remote, looked: Looked, told: Told = nobody) -> Path:
        """The model on this machine: its only or first file, or its folder; each part goes on where it broke off.

        Every file is compared with the checksum that was stated. ``told`` hears how many more bytes are there.
        """
        home = self._home(remote)
        for file in looked.files:
            target = self._target(remote, file)
            if target.is_file():
                if stated(file, target):
                    told(file.size)
                    continue
                target.unlink()
            self._not_offline(file.name)
            self._web.download(remote.repo, remote.commit, file, target, told)
        first = looked.files[0]
        return home / first.base if first.name.endswith(".gguf") else home

    def missing(self, remote: Remote, looked: Looked) -> int:
        """Bytes that still have to come."""
        return sum(max(0, file.size - self._there(self._target(remote, file))) for file in looked.files)

    def forget(self, remote: Remote) -> None:
        """Remove what the cache holds of ``remote``: the model is in the library, and should not lie here twice."""
        shutil.rmtree(self._home(remote), ignore_errors=True)

    def _there(self, target: Path) -> int:
        return next((path.stat().st_size for path in (target, partial(target)) if path.is_file()), 0)

    def _home(self, remote: Remote) -> Path:
        return self._cache / f"{remote.repo.replace('/', '--')}@{remote.commit}"

    def _target(self, remote: Remote, file: RemoteFile) -> Path:
        return self._home(remote) / file.place

    def _not_offline(self, what: str) -> None:
        if self._offline:
            raise EngineError(
                f"{what} is asked for at {self.endpoint}, and nearfar runs offline.",
                code="offline",
                hint="Run it without --offline, or add a file that is here: nearfar models add PATH",
            )

    def _gguf(self, remote: Remote, choice: Choice, folder: Path) -> Looked:
        paths = []
        read: Callable[[Path], object] = read_header if len(choice.files) == 1 else walk
        for file in choice.files:
            path, size = folder / file.base, _FIRST
            while True:
                count = min(size, file.size)
                _sparse(path, self._web.part(remote.repo, remote.commit, file, count), file.size)
                try:
                    read(path)
                    break
                except ModelFileError:
                    if count >= min(_MOST, file.size):
                        raise
                size *= 4
            paths.append(path)
        header = read_header(paths[0]) if len(paths) == 1 else gguf_parts.read_parts(paths)
        return Looked(header=check_whole(header, Path(choice.files[0].name)), files=choice.files)

    def _safetensors(self, remote: Remote, choice: Choice, folder: Path) -> Looked:
        """Lay out what the folder's reader looks at: small files whole, of the others their beginnings and sizes."""
        here = {file.name: file for file in choice.files}
        limits = {hf_folder.INDEX: hf_folder.MAX_INDEX, hf_folder.TOKENIZER: 64}
        for name in (hf_folder.CONFIG, hf_folder.INDEX, hf_folder.POOLING, hf_folder.TOKENIZER, *hf_folder.SMALL):
            if name in here:
                # Of most small files only their being there matters.
                read = name.endswith("onfig.json") or name in limits
                self._lay(remote, here[name], folder / name, limits.get(name, MAX_JSON) if read else 0)
        indexed = hf_folder.INDEX in here
        weights = hf_folder.indexed(folder)[1] if indexed else [hf_folder.WEIGHTS]
        for name in weights:
            if name not in here:
                raise ModelFileError(
                    f"{remote.repo} lacks {name[:80]}, which its index names.",
                    code="model_incomplete",
                    hint="Its owner has to mend it; another repository may have the model too.",
                )
            path = folder / name
            self._lay(remote, here[name], path, _GLANCE)
            length = header_bytes(path)
            if length > _GLANCE:
                self._lay(remote, here[name], path, length)
        return _folder(choice, folder)

    def _onnx(self, remote: Remote, choice: Choice, folder: Path) -> Looked:
        """As above; without a header where the graph is too large to be looked at before it is fetched."""
        for file in choice.files:
            name = file.base
            if name.endswith(".onnx") and file.size > _MOST:
                return Looked(header=None, files=choice.files)
            whole = _MOST if name.endswith(".onnx") else MAX_JSON if name.endswith("config.json") else 64
            self._lay(remote, file, folder / name, whole)
        return _folder(choice, folder)

    def _lay(self, remote: Remote, file: RemoteFile, path: Path, most: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sparse(path, self._web.part(remote.repo, remote.commit, file, min(most, file.size)), file.size)


def _sparse(path: Path, data: bytes, size: int) -> None:
    """``data``, the beginning of a file of ``size`` bytes, as if the rest were there; it takes no room."""
    with path.open("wb") as sparse:
        sparse.write(data)
        if len(data) < size:
            sparse.write(_FENCE[: size - len(data)])
        sparse.truncate(max(size, len(data)))


def _folder(choice: Choice, folder: Path) -> Looked:
    """What the folder's own reader says, and which files it needs."""
    found = folders.read_folder(folder)
    here = {file.place: file for file in choice.files}
    return Looked(header=found.header, files=tuple(here[name] for name in found.files))


def _file(sibling: _Sibling) -> RemoteFile:
    lfs = sibling.lfs or _Lfs()
    size = lfs.size if sibling.size is None else sibling.size
    sha256 = lfs.sha256 if re.fullmatch(r"[0-9a-f]{64}", lfs.sha256) else ""
    git = sibling.blob_id or ""
    named = not sibling.lfs and re.fullmatch(r"[0-9a-f]{40}", git)
    return RemoteFile(name=sibling.rfilename, size=size, sha256=sha256, git_sha1=git if named else "")

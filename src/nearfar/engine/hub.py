"""Models on the Hugging Face Hub, or a mirror that speaks its API: what there is, its headers, its files.

It asks the network only when one of its methods is called, and never sends more than names. huggingface_hub does the
talking (extra ``hub``); the headers of files are read by our own readers from a part of the file, before it is fetched.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from nearfar.core.errors import BadRequestError, EngineError, NearfarError, NotFoundError
from nearfar.core.install import command
from nearfar.engine.cursor import ModelFileError
from nearfar.engine.gguf import read_header
from nearfar.engine.header import Header

PUBLIC = "https://huggingface.co"
_FIRST = 2 * 1024 * 1024
_MOST = 64 * 1024 * 1024
"""Bytes of a file that are read for its header; vocabularies take megabytes."""
_FENCE = b"\xff" * 65536
"""Stands behind what was read: as a length it is impossible, so a header that goes on is noticed."""
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf)$")
_OF_A_FOLDER = re.compile(r"[\w.-]+\.(?:safetensors|json|jinja|model|txt)")
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a repository."""

    name: str
    size: int
    sha256: str = ""
    """Empty where the Hub tells none: small files that are not kept apart."""


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at one commit."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    licence: str = ""
    """As its card says it: ``apache-2.0``, ``gemma``, ``other``."""
    base: tuple[str, ...] = ()
    gated: bool = False

    def weights(self) -> dict[str, tuple[RemoteFile, ...]]:
        """Each GGUF model of the repository by its name without numbers of parts, with all its parts in order."""
        groups: dict[str, list[RemoteFile]] = {}
        for file in self.files:
            if not file.name.endswith(".gguf") or "mmproj" in file.name.lower():
                continue
            part = _SHARD.match(file.name)
            groups.setdefault(f"{part[1]}{part[4]}" if part else file.name, []).append(file)
        return {name: tuple(sorted(parts, key=lambda each: each.name)) for name, parts in sorted(groups.items())}

    def folder(self) -> tuple[RemoteFile, ...]:
        """The files of a model that lies there as safetensors; empty if none does."""
        if not any(file.name.endswith(".safetensors") for file in self.files):
            return ()
        return tuple(file for file in self.files if _OF_A_FOLDER.fullmatch(file.name))


class Hub:
    """One endpoint. Raises NearfarError and nothing else."""

    def __init__(self, endpoint: str = PUBLIC, *, cache: Path, token: str = "", offline: bool = False) -> None:
        """``cache``: a folder for what is fetched. ``offline``: only what is there already."""
        self.endpoint = endpoint.rstrip("/")
        self._cache = cache
        self._token = token
        self._offline = offline

    def look(self, repo: str, revision: str = "main") -> Remote:
        """What ``repo`` holds at ``revision``. Raises NotFoundError, BadRequestError, EngineError."""
        if not _REPO.fullmatch(repo):
            raise BadRequestError(
                f"{repo!r} is no repository.", hint="It has the form OWNER/NAME, such as Qwen/Qwen3-8B-GGUF."
            )
        if self._offline:
            raise EngineError(
                f"{repo} is asked for at {self.endpoint}, and nearfar runs offline.",
                code="offline",
                hint="Run it without --offline, or add a file that is here: nearfar models add PATH",
            )
        with self._translated(repo):
            info = self._api().model_info(repo, revision=revision, files_metadata=True, token=self._token or False)
        card = info.card_data or {}
        base = card.get("base_model") or ()
        return Remote(
            repo=repo,
            commit=info.sha or revision,
            files=tuple(_file(each) for each in info.siblings or ()),
            licence=str(card.get("license_name") or card.get("license") or ""),
            base=(base,) if isinstance(base, str) else tuple(base),
            gated=bool(info.gated),
        )

    def header(self, remote: Remote, file: RemoteFile) -> Header:
        """The header of a GGUF file, from its first bytes. Raises ModelFileError and as ``look``."""
        size = _FIRST
        while True:
            data = self._part(remote, file, min(size, file.size))
            try:
                return _parsed(data, file)
            except ModelFileError:
                if len(data) >= min(_MOST, file.size):
                    raise
            size *= 4

    def fetch(self, remote: Remote, file: RemoteFile) -> Path:
        """The file on this machine, from the cache or fetched on from where it broke off; its checksum is compared."""
        with self._translated(remote.repo):
            from huggingface_hub import hf_hub_download

            path = Path(
                hf_hub_download(
                    remote.repo,
                    file.name,
                    revision=remote.commit,
                    cache_dir=self._cache,
                    endpoint=self.endpoint,
                    token=self._token or False,
                    local_files_only=self._offline,
                )
            )
        if file.sha256 and checksum(path) != file.sha256:
            path.resolve().unlink()
            path.unlink(missing_ok=True)
            raise ModelFileError(
                f"{file.name} has another checksum than {self.endpoint} states: it was removed.",
                code="checksum_mismatch",
                hint="Fetch it again; if it happens twice, the mirror is not to be trusted.",
            )
        return path

    def forget(self, remote: Remote) -> None:
        """Remove what the cache holds of ``remote``: the model is in the library, and should not lie here twice."""
        name = f"models--{remote.repo.replace('/', '--')}"
        for folder in (self._cache / name, self._cache / ".locks" / name):
            shutil.rmtree(folder, ignore_errors=True)

    def _part(self, remote: Remote, file: RemoteFile, count: int) -> bytes:
        with self._translated(remote.repo):
            from huggingface_hub import get_session, hf_hub_url
            from huggingface_hub.utils._headers import build_hf_headers
            from huggingface_hub.utils._http import hf_raise_for_status

            url = hf_hub_url(remote.repo, file.name, revision=remote.commit, endpoint=self.endpoint)
            headers = {**build_hf_headers(token=self._token or False), "Range": f"bytes=0-{count - 1}"}
            with get_session().stream("GET", url, headers=headers, follow_redirects=True) as reply:
                hf_raise_for_status(reply)
                data = b""
                # A server that knows no ranges sends everything: no more is read than was asked for.
                for piece in reply.iter_bytes():
                    data += piece
                    if len(data) >= count:
                        break
        return data[:count]

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.endpoint, library_name="nearfar")

    @contextmanager
    def _translated(self, repo: str) -> Iterator[None]:
        try:
            from huggingface_hub import constants, errors
        except ImportError as error:
            raise EngineError(
                "Fetching models needs the package huggingface-hub.",
                code="extra_missing",
                hint=command("hub"),
            ) from error
        # No reports to anybody, and plain HTTP, which every mirror speaks.
        constants.HF_HUB_DISABLE_TELEMETRY = True
        constants.HF_HUB_DISABLE_XET = True
        try:
            yield
        except NearfarError:
            raise
        except errors.GatedRepoError as error:
            raise EngineError(
                f"{repo} is gated: its owner lets in who accepted its terms.",
                code="gated",
                hint=f"Accept them at {self.endpoint}/{repo}, make a token there, and say HF_TOKEN=…",
            ) from error
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
            raise NotFoundError(
                f"{self.endpoint} knows no {repo}, or not at that revision.",
                code="repo_not_found",
                hint="Private repositories need HF_TOKEN. `nearfar models search` names repositories.",
            ) from error
        except Exception as error:
            # Whatever else the library or the network raises: it has no error of its own for most of them.
            raise EngineError(
                f"{self.endpoint} could not be asked for {repo}: {type(error).__name__}: {str(error)[:200]}",
                code="hub_unreachable",
                hint="HTTPS_PROXY names a proxy; --mirror another endpoint. What was fetched is kept.",
            ) from error


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(sibling: Any) -> RemoteFile:
    lfs = sibling.lfs or {}
    size = sibling.size if sibling.size is not None else lfs.get("size", 0)
    return RemoteFile(name=sibling.rfilename, size=int(size or 0), sha256=str(lfs.get("sha256") or ""))


def _parsed(data: bytes, file: RemoteFile) -> Header:
    """The header in ``data``, the beginning of ``file``: read as if the rest were there."""
    with tempfile.TemporaryDirectory(prefix="nearfar-header-") as folder:
        path = Path(folder) / Path(file.name).name
        with path.open("wb") as sparse:
            sparse.write(data)
            if len(data) < file.size:
                sparse.write(_FENCE[: file.size - len(data)])
            sparse.truncate(max(file.size, len(data)))
        return read_header(path)

"""Asks a Hub over HTTP, with the sessions, tokens and errors of huggingface_hub (extra ``hub``). It knows no model.

A token goes to the endpoint alone: where a reply leads to another host it stays behind. No reply is read further than
was asked for, and what broke off goes on where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlsplit

from nearfar.core.errors import BadRequestError, EngineError, NearfarError, NotFoundError
from nearfar.core.install import command
from nearfar.engine.cursor import ModelFileError

if TYPE_CHECKING:
    from nearfar.engine.hub_choices import RemoteFile

_SECONDS = 60.0
"""Until a Hub is taken for dead, between two pieces of a reply too."""
_TRIES = 5
"""Without a byte in between; whoever sends something gets as many again."""
_CHUNK = 1 << 20
_NEAR = frozenset({"localhost", "127.0.0.1", "::1"})

Told = Callable[[int], None]
"""Called with how many more bytes are there."""


def nobody(count: int) -> None:
    """Tells nobody that ``count`` more bytes are there."""


class Web:
    """One endpoint. Raises NearfarError and nothing else."""

    def __init__(self, endpoint: str, token: str = "", pause: Callable[[float], None] = time.sleep) -> None:
        """``pause``: waits so many seconds between two tries."""
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadRequestError(f"{endpoint!r} is no endpoint.", hint="It looks like https://hub.example.")
        if token and parts.scheme == "http" and parts.hostname not in _NEAR:
            raise BadRequestError(
                f"HF_TOKEN would go to {endpoint} where everybody on the way can read it.",
                code="token_in_clear",
                hint="Name the endpoint with https://, or leave out HF_TOKEN.",
            )
        self.endpoint = endpoint.rstrip("/")
        self._token = token
        self._pause = pause

    def api(self, repo: str, revision: str, most: int) -> bytes:
        """The Hub's description of ``repo``, at most ``most`` bytes."""
        path = f"api/models/{quote(repo)}/revision/{quote(revision, safe='')}?blobs=true"
        return self._few(repo, path, most, "application/json")

    def part(self, repo: str, commit: str, file: RemoteFile, count: int) -> bytes:
        """The first ``count`` bytes of a file."""
        return self._few(repo, _place(repo, commit, file), count, "*/*", ranged=True) if count else b""

    def download(self, repo: str, commit: str, file: RemoteFile, target: Path, told: Told) -> None:
        """Fetch ``file`` to ``target``, on from where ``target.part`` broke off; its size and checksum are compared."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = partial(target)
        with _translated(self.endpoint, repo), part.open("a+b") as out:
            try:
                fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise EngineError(
                    f"{file.name} is being fetched already.", code="pull_running", hint="Wait for the other one."
                ) from error
            digest = _begun(out, file, told)
            tries = 0
            while (have := out.tell()) < file.size:
                try:
                    self._more(repo, commit, file, out, digest, told)
                except Exception as error:
                    tries = tries + 1 if out.tell() == have else 1
                    if tries >= _TRIES or not _passing(error):
                        raise
                    self._pause(2.0 ** (tries - 1))
            _compare(file, out, digest[0].hexdigest(), self.endpoint)
        part.replace(target)

    def _more(self, repo: str, commit: str, file: RemoteFile, out: BinaryIO, digest: list[Any], told: Told) -> None:
        """As much of the rest as one reply brings. ``digest``: of what is there, replaced when all begins anew."""
        have = out.tell()
        span = f"bytes={have}-" if have else ""
        with self._opened(_place(repo, commit, file), {"Range": span} if span else {}) as reply:
            if have and (reply.status_code != 206 or not _begins(reply, have)):
                told(-have)
                out.truncate(0)
                have, digest[0] = 0, hashlib.sha256()
            for piece in reply.iter_bytes():
                have += len(piece)
                if have > file.size:
                    raise _other(file, f"sends more than the {file.size} bytes that were stated", self.endpoint, out)
                out.write(piece)
                digest[0].update(piece)
                told(len(piece))
            out.flush()

    def _few(self, repo: str, path: str, most: int, kind: str, *, ranged: bool = False) -> bytes:
        headers = {"Accept": kind, **({"Range": f"bytes=0-{most - 1}"} if ranged else {})}
        with _translated(self.endpoint, repo), self._opened(path, headers) as reply:
            data = bytearray()
            # A server that knows no ranges sends everything: no more is read than was asked for.
            for piece in reply.iter_bytes():
                data += piece
                if len(data) > most:
                    break
        if len(data) > most and not ranged:
            raise EngineError(f"{self.endpoint} says more than {most} bytes about {repo}.", code="hub_unreachable")
        return bytes(data[:most])

    @contextmanager
    def _opened(self, path: str, headers: dict[str, str]) -> Iterator[Any]:
        from huggingface_hub import get_session
        from huggingface_hub.utils._headers import build_hf_headers
        from huggingface_hub.utils._http import hf_raise_for_status

        sent = {
            **build_hf_headers(token=self._token or False, library_name="nearfar"),
            "Accept-Encoding": "identity",  # sizes and ranges count bytes of files
            **headers,
        }
        url = f"{self.endpoint}/{path}"
        # The session leaves the token behind where a reply leads to another host or port.
        with get_session().stream("GET", url, headers=sent, follow_redirects=True, timeout=_SECONDS) as reply:
            hf_raise_for_status(reply)
            yield reply


def partial(target: Path) -> Path:
    """Where ``target`` lies while it is not whole."""
    return target.with_name(f"{target.name}.part")


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stated(file: RemoteFile, path: Path) -> bool:
    """Whether ``path`` is what the Hub said ``file`` is, as far as it said."""
    if path.stat().st_size != file.size:
        return False
    if file.sha256:
        return checksum(path) == file.sha256
    return not file.git_sha1 or _git_name(path) == file.git_sha1


def _git_name(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while piece := file.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def _begun(out: BinaryIO, file: RemoteFile, told: Told) -> list[Any]:
    """The checksum of what an earlier fetch left; more than the file can have is thrown away."""
    if out.seek(0, 2) > file.size:
        out.truncate(0)
    out.seek(0)
    digest = hashlib.sha256()
    while piece := out.read(_CHUNK):
        digest.update(piece)
    told(out.tell())
    return [digest]


def _compare(file: RemoteFile, out: BinaryIO, found: str, endpoint: str) -> None:
    path = Path(out.name)
    out.flush()
    if (file.sha256 and found != file.sha256) or (not file.sha256 and not stated(file, path)):
        raise _other(file, "has another checksum than was stated", endpoint, out)


def _other(file: RemoteFile, what: str, endpoint: str, out: BinaryIO) -> ModelFileError:
    """What is here is not the file: it goes."""
    Path(out.name).unlink(missing_ok=True)
    return ModelFileError(
        f"{file.name} {what}: it was removed.",
        code="checksum_mismatch",
        hint=f"Fetch it again; if it happens twice, {endpoint} is not to be trusted.",
    )


def _begins(reply: Any, have: int) -> bool:
    return str(reply.headers.get("Content-Range", "")).replace("bytes ", "").startswith(f"{have}-")


def _place(repo: str, commit: str, file: RemoteFile) -> str:
    return f"{quote(repo)}/resolve/{quote(commit, safe='')}/{quote(file.name)}"


def _passing(error: Exception) -> bool:
    """Whether it may go better in a moment: the network's errors, and what a Hub says when it is busy."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in {408, 429, 500, 502, 503, 504}
    if isinstance(error, NearfarError | OSError):
        return isinstance(error, ConnectionError | TimeoutError)
    return True  # a connection that broke off: the library's client has its own errors


@contextmanager
def _translated(endpoint: str, repo: str) -> Iterator[None]:
    try:
        from huggingface_hub import constants, errors
    except ImportError as error:
        raise EngineError(
            "Fetching models needs the package huggingface-hub.",
            code="extra_missing",
            hint=command("hub"),
        ) from error
    constants.HF_HUB_DISABLE_TELEMETRY = True  # no reports to anybody
    try:
        yield
    except NearfarError:
        raise
    except errors.GatedRepoError as error:
        raise EngineError(
            f"{repo} is gated: its owner lets in who accepted its terms.",
            code="gated",
            hint=f"Accept them at {endpoint}/{repo}, make a token there, and say HF_TOKEN=…",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        raise NotFoundError(
            f"{endpoint} knows no {repo}, or not at that revision.",
            code="repo_not_found",
            hint="Private repositories need HF_TOKEN. `nearfar models search` names repositories.",
        ) from error
    except OSError as error:
        if error.errno is None:  # the library's own errors of the network
            raise _unreachable(endpoint, repo, error) from error
        raise EngineError(
            f"{repo} cannot be written: {error.strerror}.",
            code="models_folder_unwritable",
            hint="Make room or mend its permissions, and say it again: what was fetched is kept.",
        ) from error
    except Exception as error:
        # Whatever else the library or the network raises: it has no error of its own for most of them.
        raise _unreachable(endpoint, repo, error) from error


def _unreachable(endpoint: str, repo: str, error: Exception) -> EngineError:
    return EngineError(
        f"{endpoint} could not be asked for {repo}: {type(error).__name__}: {str(error)[:200]}",
        code="hub_unreachable",
        hint="HTTPS_PROXY names a proxy; --mirror another endpoint. What was fetched is kept.",
    )

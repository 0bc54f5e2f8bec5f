"""``nearfar privacy``: what is private in a text, and the text with masks. It sends nothing; a scan shows no value."""

from __future__ import annotations

import os
import secrets
import sys
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import msgspec
import typer

from nearfar.cli import output
from nearfar.cli.errors import UsageError

if TYPE_CHECKING:  # the rules are only read when a command runs
    from nearfar.privacy.findings import Finding

app = typer.Typer(no_args_is_help=True, help="Try out what is found in a text, without sending it anywhere.")

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A text in UTF-8; standard input without it.")]


class Found(msgspec.Struct, frozen=True):
    """A finding as it is told: ``line`` counts from 1, ``start`` and ``end`` are characters of that line."""

    line: int
    start: int
    end: int
    kind: str
    score: float
    detector: str


@app.command()
def scan(
    file: File = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line and finding.")] = False,
    names: Annotated[bool, typer.Option("--names/--no-names", help="Also look for names of persons.")] = True,
    floor: Annotated[float, typer.Option("--floor", min=0.0, max=1.0, help="The lowest score that counts.")] = 0.4,
) -> None:
    """Find what is private in a text: a line for each finding, with its place, its kind and how sure it is."""
    from nearfar.privacy.names import Names
    from nearfar.privacy.scan import Scanner

    text = read(file, sys.stdin)
    scanned = Scanner(detectors=[Names.shipped()] if names else (), floor=floor).scan(text)
    rows = list(by_line(text, scanned.findings))
    if json:
        for row in rows:
            output.line(msgspec.json.encode(row).decode())
    elif rows:
        columns = ("LINE", "START", "END", "KIND", "SCORE", "DETECTOR")
        output.table(columns, [msgspec.structs.astuple(row) for row in rows], right=(0, 1, 2, 4), drop=("DETECTOR",))
    for unknown in scanned.unknowns:
        line = text.count("\n", 0, unknown.start) + 1
        output.note(f"Line {line}: not read: {unknown.why}.")
    if not rows and not json:
        output.note("Nothing found. That is no proof: names and free text are found in part only.")


Map = Annotated[Path, typer.Option("--map", metavar="MAP", help="Where the values behind the masks are kept.")]


@app.command()
def mask(
    map_: Map,
    file: File = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", metavar="KIND", help="Mask this kind only; may be repeated.")
    ] = None,
    names: Annotated[bool, typer.Option("--names/--no-names", help="Also look for names of persons.")] = True,
    floor: Annotated[float, typer.Option("--floor", min=0.0, max=1.0, help="The lowest score that counts.")] = 0.4,
) -> None:
    """Print a text with a mask for each private value. MAP is a new file, for its owner alone: it holds the values."""
    from nearfar.privacy.mask import mask_text
    from nearfar.privacy.names import Names
    from nearfar.privacy.scan import Scanner
    from nearfar.privacy.vault import Vault, identity

    _known(kind or [], names=names)
    text = read(file, sys.stdin)
    scanned = Scanner(detectors=[Names.shipped()] if names else (), floor=floor).scan(text)
    vault = Vault(secrets.token_bytes(32), caller="cli", conversation=identity(text))
    masked = mask_text(text, scanned.findings, vault, kinds=frozenset(kind) if kind else None)
    try:
        opened = os.open(map_, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(f"{map_} cannot be written: {error.strerror}. A map is never overwritten.") from error
    with os.fdopen(opened, "wb") as out:
        out.write(msgspec.json.format(msgspec.json.encode(vault.pairs()), indent=2))
    _show(masked)
    for unknown in scanned.unknowns:
        output.note(f"Line {text.count(chr(10), 0, unknown.start) + 1}: not read, so not masked: {unknown.why}.")


def _known(wanted: list[str], *, names: bool) -> None:
    """Refuse a kind that nothing finds: the text would be printed as it is, and look masked."""
    from difflib import get_close_matches

    from nearfar.privacy import rules
    from nearfar.privacy.names import KIND

    known = sorted({rule.kind for rule in rules.shipped()} | ({KIND} if names else set()))
    for kind in wanted:
        if kind not in known:
            near = get_close_matches(kind, known, n=3)
            hint = f"Did you mean {', '.join(near)}?" if near else "`nearfar privacy scan` prints the kinds in a text."
            raise UsageError(f"--kind: nothing finds {kind!r}.", hint=hint)


@app.command()
def restore(map_: Map, file: File = None) -> None:
    """Print a text with the values of MAP in place of their masks; never inside a URL."""
    from nearfar.privacy.restore import Report, TextRestorer
    from nearfar.privacy.restore_json import AnyEngine
    from nearfar.privacy.vault import Vault

    try:
        pairs = msgspec.json.decode(map_.read_bytes(), type=dict[str, str])
    except OSError as error:
        raise UsageError(f"{map_} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{map_} is no map that `nearfar privacy mask` wrote.") from error
    report = Report()
    restorer = TextRestorer(AnyEngine(Vault.kept(pairs), report))
    _show(restorer.feed(read(file, sys.stdin)) + restorer.flush())
    for why, count in sorted(report.kept.items()):
        output.note(f"Not restored: {count} ({_WHY[why]}).")


_WHY = {"url": "inside a URL", "key": "keys of JSON objects", "unknown": "not in this map"}


def _show(text: str) -> None:
    """The text as it is; for a terminal without what could steer it."""
    sys.stdout.write(output.clean(text) if output.is_terminal(sys.stdout) else text)
    sys.stdout.flush()


def read(file: Path | None, stdin: TextIO) -> str:
    """The text of ``file``, or of standard input for none and for ``-``."""
    try:
        data = stdin.buffer.read() if file is None or str(file) == "-" else file.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file or 'Standard input'} is no UTF-8 text: byte {error.start}.") from error


def by_line(text: str, findings: tuple[Finding, ...]) -> Iterator[Found]:
    """Each finding with its line; one that spans several lines is told once for each of them."""
    begins = [0]
    at = text.find("\n")
    while at >= 0:
        begins.append(at + 1)
        at = text.find("\n", at + 1)
    for each in findings:
        line = bisect_right(begins, each.start) - 1
        start = each.start
        while start < each.end:
            stop = min(each.end, begins[line + 1] if line + 1 < len(begins) else len(text))
            shown = text[start:stop].rstrip("\r\n")
            if shown:
                here = start - begins[line]
                yield Found(line + 1, here, here + len(shown), each.kind, each.score, each.detector)
            start, line = stop, line + 1

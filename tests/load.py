"""Clients that ask a gateway all the time and judge every reply: whole, or a typed error, never a clean half.

And the comparison of a ledger with the invoices of the stand-in, line by line.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import running
from tests.running import Gateway, Raw, Reply, ask
from tests.stand_in import read_invoices

from nearfar.ledger.query import Entry
from nearfar.standin.program import READY
from nearfar.standin.record import Invoice

BOUND = 20.0
"""Seconds in which every request must have ended, one way or the other."""
CHAT = "/v1/chat/completions"


class Cloud:
    """A stand-in as a program of its own, which outlives every gateway and may be killed and started again."""

    def __init__(self, invoices: Path) -> None:
        self.invoices = invoices
        self.url = ""
        self.killed: list[tuple[int, int]] = []
        """When it was killed, from and to, in nanoseconds since the epoch."""
        self._child: subprocess.Popen[str]
        self._start(0)

    def again(self) -> None:
        """Kill it without a word, and start another one at the same address. What it had not charged is forgotten."""
        began = time.time_ns()
        self._child.kill()
        self._reap()
        self.killed.append((began, time.time_ns()))
        self._start(int(self.url.rpartition(":")[2]))

    def stop(self) -> None:
        """End it politely."""
        try:
            self._child.communicate(timeout=running.WAIT)
        finally:
            self._child.kill()
            self._reap()

    def _start(self, port: int) -> None:
        command = [sys.executable, "-m", "nearfar.standin", "--until-eof", "--port", str(port)]
        self._child = subprocess.Popen(
            [*command, "--invoices", str(self.invoices)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        self.url = self._child.stdout.readline().removeprefix(READY).strip()
        assert self.url, "the stand-in did not start"

    def _reap(self) -> None:
        self._child.wait(running.WAIT)
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[Cloud]:
    """A stand-in that ends with the block."""
    made = Cloud(folder / "invoices.jsonl")
    try:
        yield made
    finally:
        made.stop()


@contextlib.contextmanager
def cloud(folder: Path) -> Iterator[tuple[str, Path]]:
    """A stand-in as a program of its own, which outlives every gateway: (base URL, its invoices)."""
    with upstream(folder) as made:
        yield made.url, made.invoices


def behave(url: str, **behaviour: Any) -> None:
    """Set the stand-in's standing behaviour."""
    assert ask(url, "/stand-in/mode", {"mode": "ok", **behaviour}).status == 200


class Clients:
    """Threads that each send one request after the other until told to stop. Use as a context manager."""

    def __init__(
        self, url: Callable[[], str], bodies: Sequence[dict[str, Any]], *, count: int = 4, seed: int = 0
    ) -> None:
        """``url``: where the gateway is now. ``bodies``: what is asked, chosen at random; ``leave`` hangs up early."""
        self.ended: Counter[str] = Counter()
        """How requests ended: ``whole``, an error's code, ``cut`` (seen as incomplete), ``no-connection``, ``left``."""
        self.wrong: list[str] = []
        """Replies that must not be."""
        self.named: dict[str, tuple[int, str]] = {}
        """Request → the status and the error's code of its reply, for those that were told their request's name."""
        self._url = url
        self._bodies = list(bodies)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed}-{number}"),)) for number in range(count)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the requests under way end, and see that all did."""
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * BOUND)
            assert not thread.is_alive(), "a request never ended"
        assert not self.wrong, self.wrong[:5]

    def total(self) -> int:
        """How many requests have ended."""
        with self._lock:
            return sum(self.ended.values())

    def after(self, more: int) -> None:
        """Wait until ``more`` further requests have ended."""
        goal = self.total() + more
        running.eventually(lambda: self.total() >= goal, timeout=60)

    def _run(self, rng: random.Random) -> None:
        while not self._stop.is_set():
            body = dict(rng.choice(self._bodies))
            began = time.monotonic()
            try:
                end = self._leave(body, rng) if body.pop("leave", False) else self._ask(body)
            except (ConnectionError, http.client.RemoteDisconnected):
                # The gateway is dead, or died before it said a word.
                end = "no-connection"
                self._stop.wait(0.02)
            except Exception as error:  # noqa: BLE001 - judged by the test that started us
                end = self._object(f"{type(error).__name__}: {error} for {body}")
            took = time.monotonic() - began
            if took > BOUND:
                self._object(f"{took:.1f} s for {body}: {end}")
            with self._lock:
                self.ended[end] += 1

    def _ask(self, body: dict[str, Any]) -> str:
        path = "/v1/embeddings" if "input" in body else CHAT
        raw = body.pop("raw", None)
        reply = ask(self._url(), path, raw if raw is not None else body, timeout=2 * BOUND)
        return self.judge(reply, stream=bool(body.get("stream")))

    def judge(self, reply: Reply, *, stream: bool) -> str:
        """How ``reply`` ended; what must not be goes to ``wrong``."""
        name = reply.headers.get("x-nearfar-request", "")
        if name:
            code = reply.headers.get("x-nearfar-error", "")
            with self._lock:
                self.named[name] = (reply.status, code)
        if reply.status != 200:
            if not reply.clean:
                return "cut"
            return str(reply.error["code"])
        if stream:
            done = reply.body.endswith(b"data: [DONE]\n\n")
            if done is not reply.clean:
                return self._object(f"clean: {reply.clean}, but done: {done}: {reply.body[-300:]!r}")
            return "whole" if done else "cut"
        if not reply.clean:
            return "cut"
        if "choices" not in reply.json and "data" not in reply.json:
            return self._object(f"no answer: {reply.body[:300]!r}")
        return "whole"

    def _leave(self, body: dict[str, Any], rng: random.Random) -> str:
        with Raw(self._url()) as raw:
            raw.post(CHAT, body)
            if body.get("stream") and rng.random() < 0.7:
                with contextlib.suppress(AssertionError):  # the gateway died first
                    head = raw.until(b"\r\n\r\n")
                    if head.startswith(b"HTTP/1.1 200"):
                        raw.until(b"data: ")
            if rng.random() < 0.5:
                raw.reset()
        return "left"

    def _object(self, what: str) -> str:
        with self._lock:
            self.wrong.append(what)
        return "wrong"


def accounted(clients: Clients, entries: list[Entry], *, never: Collection[str]) -> None:
    """Every request that was answered, or failed at an upstream, has its attempts in the ledger.

    ``never``: codes of errors that come before anybody is asked.
    """
    attempts = {entry.request for entry in entries}
    missing = {name: ended for name, ended in clients.named.items() if name not in attempts and ended[1] not in never}
    assert not missing, f"{len(missing)} of {len(clients.named)} are not accounted for: {list(missing.items())[:5]}"


def reconcile(entries: list[Entry], invoices: Path, killed: Sequence[tuple[int, int]] = ()) -> None:
    """Every charge has one attempt; what ended with a count costs the same, what did not stands at its bound.

    ``killed``: when the stand-in died, and with it invoices that it was about to write.
    """
    charged = read_invoices(invoices) if invoices.exists() else []
    by_attempt: dict[str, Invoice] = {}
    for invoice in charged:
        assert invoice.request not in by_attempt, f"charged twice: {invoice}"
        by_attempt[invoice.request] = invoice
    assert len({entry.attempt for entry in entries}) == len(entries)
    far = {entry.attempt: entry for entry in entries if entry.place == "cloud"}
    missing = by_attempt.keys() - far.keys()
    assert not missing, f"charged, but not in the ledger: {[by_attempt[name] for name in sorted(missing)][:5]}"
    assert not [entry for entry in entries if entry.outcome == "open"]
    for attempt, entry in far.items():
        if attempt in by_attempt or not _lost(entry, killed):
            compare(entry, by_attempt.get(attempt))


def _lost(entry: Entry, killed: Sequence[tuple[int, int]]) -> bool:
    """Whether the stand-in died while it worked on it, or in the second in which it would have charged for it."""
    ended = (entry.ended or entry.begun) + 1_000_000_000
    return any(entry.begun <= to and ended >= began for began, to in killed)


def compare(entry: Entry, invoice: Invoice | None) -> None:
    """One attempt and its charge, if there is one."""
    if entry.outcome == "unknown":
        assert entry.cost == entry.bound
        assert entry.bound is not None
        assert invoice is None or entry.bound >= invoice.nano_usd
    elif invoice is None:
        assert not entry.cost, f"costs something, but was not charged: {entry}"
    elif entry.cost is None:
        # It ended before anybody said what it used: unknown is not zero.
        assert entry.outcome in {"cancelled", "cut", "error"}, entry
        assert entry.bound is not None
        assert entry.bound >= invoice.nano_usd
    else:
        assert entry.cost == invoice.nano_usd, (entry, invoice)
        assert (entry.input_tokens, entry.output_tokens) == (invoice.input, invoice.output)


def resident_mb(pid: int) -> float:
    """Resident memory of a process in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no process {pid}")


def descriptors(pid: int) -> int:
    """Open descriptors of a process: also of a gateway, whose folder of them only root may list."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return len(list(folder.iterdir()))
    except PermissionError:
        return folder.stat().st_size  # their count, since Linux 6.2


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def settle(gateway: Gateway, cloud: str, invoices: Path, killed: Sequence[tuple[int, int]] = ()) -> list[Entry]:
    """All entries once everything has ended and is in the database, compared with the invoices line by line."""

    def quiet() -> bool:
        return not ask(cloud, "/stand-in/record").json["running"] and not gateway.entries(outcome="open")

    def entered() -> bool:
        known = {entry.attempt for entry in gateway.entries()}
        return all(invoice.request in known for invoice in read_invoices(invoices))

    running.eventually(quiet)
    try:
        running.eventually(entered, timeout=10)
    except AssertionError:  # the comparison below says better what is missing; this says why
        print(f"ledger: {gateway.ask('/readyz').body!r} {gateway.words()[-2000:]}")
    entries = gateway.entries()
    reconcile(entries, invoices, killed)
    return entries

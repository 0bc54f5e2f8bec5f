"""What masks cost: `python -m bench.masks`.

Masking and restoring in microseconds of CPU of this process: for each chunk of a streamed reply, for each kB of a
reply that is plain, for each value and each kB of a request, and for the last look at the exact bytes. The reply is one
mask in ten chunks of about five words, and the same in pieces of five characters. Findings are given: the scan has its
own bench (`python -m bench.privacy`), but for ``redact_*``: there the reply is looked at with all rules, in
chunks of five characters and as a whole. The best of several rounds.

A reply comes in chunks, and restoring is told for each of them. A request comes whole and is masked whole: for the same
measure its text is counted in chunks as long as those of the reply. `mask_chunk_us` is a conversation of which every
fifth message names a patient in three values, `mask_dense_chunk_us` nothing but such sentences: a value in each chunk.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from nearfar.core.chat import TextDelta
from nearfar.privacy import mask
from nearfar.privacy.findings import Finding
from nearfar.privacy.redact import Own, Redaction, Redactor
from nearfar.privacy.restore import Report, TextRestorer
from nearfar.privacy.restore_events import Restorer
from nearfar.privacy.restore_json import AnyEngine, ArgumentsEngine
from nearfar.privacy.scan import Scanner
from nearfar.privacy.vault import Vault, identity
from nearfar.privacy.vault_check import leaks
from nearfar.privacy.walk import Spot

KEY = b"a key for benchmarks, long enough"
VALUES = 20
CHUNKS = 400
SAID = "病人 Alice Wong 的電話是 0912-345-678 信箱 alice@clinic.example 。"
HOSTILE = ("a.a." * 5000, "⟦" * 20_000, "PERSON_" * 3000, "<a " * 7000, "](" * 10_000, '{"' * 10_000, "-BCDFGH" * 3000)


def vault() -> Vault:
    return Vault(KEY, caller="bench", conversation=identity("bench"))


def best(work: Callable[[], object], rounds: int) -> float:
    """Microseconds of CPU of one call, the best of ``rounds``."""
    found = float("inf")
    for _ in range(rounds):
        began = time.thread_time()
        work()
        found = min(found, time.thread_time() - began)
    return found * 1e6


def reply(own: Vault) -> list[str]:
    """The chunks of a streamed reply."""
    masks = [own.mask(f"病人{number}號", "person") for number in range(VALUES)]
    return [
        f" and {masks[number // 10 % VALUES]} 您好" if number % 10 == 0 else f" word, {number} 詳見下文"
        for number in range(CHUNKS)
    ]


def findings(text: str) -> list[Finding]:
    """What a scan says about ``SAID``."""
    return [
        Finding(at, at + len(value), kind, 1.0, "bench")
        for value, kind in (("Alice Wong", "person"), ("0912-345-678", "tw.mobile"), ("alice@clinic.example", "email"))
        if (at := text.find(value)) >= 0
    ]


def history(turns: int) -> list[Spot]:
    """A conversation of about 1.2 kB a turn; every fifth names the patient."""
    filler = "lorem ipsum dolor sit amet 一般文字 " * 28
    return [Spot(f"messages[{n}].content", (SAID if n % 5 == 0 else "") + filler, "text", "user") for n in range(turns)]


def restored(own: Vault, chunks: Sequence[str]) -> str:
    restorer = TextRestorer(AnyEngine(own, Report()))
    return "".join([*(restorer.feed(chunk) for chunk in chunks), restorer.flush()])


def redacted(scanner: Scanner, pieces: Sequence[str]) -> str:
    """A reply of which everything that is found is taken out."""
    how = Redaction(scan=lambda text: scanner.scan(text).findings, own=Own(lambda: ("hello",)), redact=True)
    redactor = Redactor(how, lambda _: None)
    return "".join([*(redactor.feed([(piece, None)]) for piece in pieces), redactor.feed([], final=True)])


def _hostile(own: Vault, text: str) -> float:
    return best(lambda: restored(own, [text]), 1) / (len(text.encode()) / 1000)


def figures(*, rounds: int = 15, turns: int = 80) -> dict[str, float]:
    """Microseconds of CPU, by what is done."""
    own = vault()
    chunks = reply(own)
    flat = "".join(chunks)
    pieces = [flat[at : at + 5] for at in range(0, len(flat), 5)]
    events = [TextDelta(chunk) for chunk in chunks]
    arguments = json.dumps({"letter": flat}, ensure_ascii=False)
    calls = [arguments[at : at + 20] for at in range(0, len(arguments), 20)]
    plain = ("The quick brown fox jumps over the lazy dog. 病人請見 https://a.example/x and so on - " * 1200)[:100_000]
    said = history(turns)
    found = [findings(spot.text) for spot in said]
    size = sum(len(spot.text.encode()) for spot in said) / 1000
    done = vault()
    body = json.dumps(
        {"messages": [{"content": text} for text in mask.mask(said, found, done)]}, ensure_ascii=False
    ).encode()
    assert leaks(body, done) == []

    def stream() -> None:
        restorer = Restorer(own)
        for event in events:
            restorer.feed([event])
        restorer.flush()

    def call() -> None:
        restorer = TextRestorer(ArgumentsEngine(own, Report()))
        for piece in calls:
            restorer.feed(piece)
        restorer.flush()

    scanner = Scanner()
    prose = ("The quick brown fox jumps over the lazy dog 12 times. 病人請見說明、謝謝。 " * 200)[:10_000]
    small = [prose[at : at + 5] for at in range(0, len(prose), 5)]
    full = f"{SAID} {prose[:200]}" * 40
    warm = vault()
    chunk = len(flat) / len(chunks)
    dense = [Spot(f"messages[{n}].content", SAID, "text", "user") for n in range(turns)]
    dense_found = [findings(spot.text) for spot in dense]
    mask.mask_text(SAID, findings(SAID), warm)
    told = {
        "restore_event_us": best(stream, rounds) / len(events),
        "restore_chunk_us": best(lambda: restored(own, chunks), rounds) / len(chunks),
        "restore_five_characters_us": best(lambda: restored(own, pieces), rounds) / len(pieces),
        "restore_arguments_piece_us": best(call, rounds) / len(calls),
        "restore_plain_us_per_kb": best(lambda: restored(own, [plain]), rounds) / (len(plain.encode()) / 1000),
        "mask_chunk_us": best(lambda: mask.mask(said, found, vault()), rounds)
        / (sum(len(spot.text) for spot in said) / chunk),
        "mask_dense_chunk_us": best(lambda: mask.mask(dense, dense_found, vault()), rounds)
        / (sum(len(spot.text) for spot in dense) / chunk),
        "mask_new_value_us": best(lambda: mask.mask_text(SAID, findings(SAID), vault()), rounds * 4) / 3,
        "mask_known_value_us": best(lambda: mask.mask_text(SAID, findings(SAID), warm), rounds * 4) / 3,
        "mask_history_us_per_kb": best(lambda: mask.mask(said, found, vault()), rounds) / size,
        "walk_us_per_kb": best(lambda: mask.spots(body), rounds) / size,
        "leaks_us_per_kb": best(lambda: leaks(body, done), rounds) / size,
        "redact_five_characters_us": best(lambda: redacted(scanner, small), 3) / len(small),
        "redact_plain_us_per_kb": best(lambda: redacted(scanner, [prose]), 3) / (len(prose.encode()) / 1000),
        "redact_findings_us_per_kb": best(lambda: redacted(scanner, [full]), 3) / (len(full.encode()) / 1000),
        "redact_hostile_worst_us_per_kb": max(
            best(lambda text=text: redacted(scanner, [text]), 1) / (len(text.encode()) / 1000)  # type: ignore[misc]  # the loop's own value
            for text in HOSTILE
        ),
        "hostile_worst_us_per_kb": max(_hostile(own, text) for text in HOSTILE),
    }
    return {name: round(value, 2) for name, value in told.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.masks", description=(__doc__ or "").partition("\n")[0])
    parser.parse_args()
    print(json.dumps(figures(), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How long advice takes from a ledger of a million entries: ``python -m bench.advise [ENTRIES]``. Prints seconds."""

from __future__ import annotations

import random
import sys
import tempfile
import time
from pathlib import Path

from nearfar.advisor import assumptions, constants, options
from nearfar.advisor.advise import advise
from nearfar.advisor.question import Question
from nearfar.advisor.rig import named
from nearfar.advisor.workload import Workload
from nearfar.catalog import models, prices
from nearfar.ledger.query import EVERYTHING, open_ledger
from nearfar.ledger.schema import COLUMNS
from nearfar.ledger.traffic import Traffic, traffic
from nearfar.store.connection import Connection, Value

ENTRIES = 1_000_000
_HOUR = 3600 * 10**9
_START = 1_793_000_000_000_000_000


def fill(connection: Connection, entries: int) -> None:
    """Ninety days of office hours, one caller, three classes."""
    draw = random.Random(5)
    template = dict.fromkeys(COLUMNS, "")
    rows: list[tuple[Value, ...]] = []
    for number in range(entries):
        day, hour = draw.randrange(90), draw.choice((9, 10, 11, 14, 15, 16, 17))
        values: dict[str, Value] = {
            **template,
            "attempt": f"att-{number:029x}-1",
            "request": f"req-{number:029x}",
            "begun": _START + (day * 24 + hour) * _HOUR + draw.randrange(_HOUR),
            "purpose": "serve",
            "operation": "chat",
            "deployment": "far",
            "provider": "openai",
            "model": "gpt-5-mini",
            "place": "cloud",
            "class": draw.choice(("internal", "internal", "confidential")),
            "input_estimate": 0,
            "stream": 0,
            "outcome": "ok",
            "status": 200,
            "input_tokens": draw.randrange(100, 4000),
            "output_tokens": draw.randrange(20, 800),
            "reasoning_tokens": 0,
            "cached_tokens": 0,
            "cost": 1000,
            "total_ms": 900.0,
            "bound": None,
            "ended": None,
            "cache_write_tokens": None,
            "first_byte_ms": None,
        }
        rows.append(tuple(values[name] for name in COLUMNS))
        if len(rows) == 10_000:
            _store(connection, rows)
            rows = []
    _store(connection, rows)


def _store(connection: Connection, rows: list[tuple[Value, ...]]) -> None:
    with connection.transaction():
        connection.insert(f"INSERT INTO nearfar_entries ({', '.join(COLUMNS)})", rows)


def _advise(seen: Traffic) -> str:
    base = assumptions.shipped()
    box = base.box_of("rtx-5090-box")
    work = Workload(calls=seen.calls, input=seen.input, output=seen.output, hours=seen.hours, peak=seen.peak)
    question = Question(workload=work, box=box, box_rig=named(box.device, gpus=box.count))
    case = options.case(question, base, list(models.shipped().values()), prices.shipped(), constants.shipped())
    return advise(case).recommended


def main(arguments: list[str]) -> int:
    """Fill a ledger, then time reading and advising."""
    entries = int(arguments[0]) if arguments else ENTRIES
    with tempfile.TemporaryDirectory() as folder:
        connection = open_ledger(f"sqlite:///{Path(folder) / 'ledger.db'}")
        try:
            fill(connection, entries)
            began = time.perf_counter()
            seen = traffic(connection, EVERYTHING)
            read = time.perf_counter() - began
            assert seen is not None
            began = time.perf_counter()
            way = _advise(seen)
            weighed = time.perf_counter() - began
        finally:
            connection.close()
    print(f"{entries:,} entries: read in {read:.2f} s, advised in {weighed:.2f} s ({way})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""How long advice takes from a ledger of a million entries: ``python -m bench.advise [ENTRIES]``. Prints seconds."""

from __future__ import annotations

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
from nearfar.ledger.query import EVERYTHING, Filter, open_ledger
from nearfar.ledger.schema import COLUMNS
from nearfar.ledger.traffic import Traffic, traffic
from nearfar.store.connection import Connection

ENTRIES = 1_000_000
_HOUR = 3600 * 10**9
_START = 1_793_000_000_000_000_000
_VALUES = {
    "attempt": "printf('att-%029x-1', n)",
    "request": "printf('req-%029x', n)",
    "parent": "''",
    # Ninety days of office hours: nine to twelve, two to six.
    "begun": f"{_START} + (m % 90 * 24 + 9 + m / 90 % 7 + (m / 90 % 7 > 2) * 2) * {_HOUR} + m % 3599 * 1000000000 + n",
    "purpose": "'serve'",
    "operation": "'chat'",
    "caller": "'team-' || (m / 13 % 5)",
    "route": "'chat'",
    "asked": "'gpt-5-mini'",
    "deployment": "'far'",
    "provider": "'openai'",
    "model": "'gpt-5-mini'",
    "place": "'cloud'",
    "class": "CASE WHEN m / 11 % 3 = 0 THEN 'confidential' ELSE 'internal' END",
    "decision": "printf('dec-%029x', n)",
    "reason": "'first of those that the policy allows'",
    "price": "'openai/gpt-5-mini@2026-11-22'",
    "bound": "2000000",
    "input_estimate": "100 + m % 3900",
    "stream": "n % 2",
    "deviations": "''",
    "outcome": "'ok'",
    "ended": f"{_START} + {_HOUR} * 2200",
    "status": "200",
    "error": "''",
    "input_tokens": "100 + m % 3900",
    "output_tokens": "20 + m / 7 % 780",
    "cached_tokens": "0",
    "cache_write_tokens": "NULL",
    "reasoning_tokens": "0",
    "cost": "1000",
    "finish": "'stop'",
    "answered": "'gpt-5-mini'",
    "first_byte_ms": "300.0",
    "total_ms": "900.0",
    "end_deviations": "''",
    "writer": "'bench'",
}
"""Column → SQL over ``n``, the number of the entry, and ``m``, a number that looks random."""


def fill(connection: Connection, entries: int) -> None:
    """Five callers, two classes; made by the database, which takes seconds where Python takes minutes."""
    values = ", ".join(_VALUES[name] for name in COLUMNS)
    with connection.transaction():
        connection.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {entries}),"
            " mixed(n, m) AS (SELECT n, (n * 1103515245 + 12345) % 2147483648 / 7 FROM numbers)"
            f" INSERT INTO nearfar_entries ({', '.join(COLUMNS)}) SELECT {values} FROM mixed"
        )


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
            began = time.perf_counter()
            fill(connection, entries)
            print(f"filled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
            began = time.perf_counter()
            seen = traffic(connection, EVERYTHING)
            read = time.perf_counter() - began
            assert seen is not None
            began = time.perf_counter()
            part = traffic(connection, Filter(since=_START + 60 * 24 * _HOUR))
            read_part = time.perf_counter() - began
            assert part is not None
            began = time.perf_counter()
            way = _advise(seen)
            weighed = time.perf_counter() - began
        finally:
            connection.close()
    print(f"{entries:,} entries: read in {read:.2f} s, advised in {weighed:.2f} s ({way})")
    print(f"{part.seen:,} of them, a month: read in {read_part:.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""Writes the generated parts of README and docs from the sources that they describe: `make docs`.

`--check` writes nothing and exits with 1 when something is out of date. `--publish FILE` first keeps the figures that
`make bench` wrote as the published ones; `--demo` first runs `nearfar demo` and keeps what it printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.docs import blocks, demo, figures, reference, systems


def render(name: str, language: str) -> str:
    """The text of a block."""
    return {**reference.BLOCKS, **figures.BLOCKS, **demo.BLOCKS, **systems.BLOCKS}[name](language)


def stale() -> dict[Path, str]:
    """Page → what it should say, for the pages that say something else."""
    found = {}
    for page in blocks.pages():
        text = page.read_text("utf-8")
        fresh = blocks.fill(text, blocks.language(page), render)
        if fresh != text:
            found[page] = fresh
    return found


def publish(source: Path) -> None:
    """Keep the figures of ``source``. Refuses those of a working tree that no commit names."""
    data = json.loads(source.read_text("utf-8"))
    commit = str(data["machine"]["commit"])
    if "+" in commit:
        raise SystemExit(f"{source}: measured on uncommitted changes ({commit}); commit, then `make bench` again")
    figures.PUBLISHED.write_text(json.dumps(data, indent=2) + "\n", "utf-8")


def main(argv: Sequence[str]) -> int:
    """Write, or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when something is out of date")
    parser.add_argument("--publish", type=Path, metavar="FILE", help="figures of `make bench` to publish")
    parser.add_argument("--demo", action="store_true", help="run `nearfar demo` and keep its output")
    options = parser.parse_args(argv)
    if options.demo:
        demo.RECORDED.write_text(demo.run(), "utf-8")
    if options.publish:
        publish(options.publish)
    found = stale()
    for page, text in found.items():
        print(f"{'out of date' if options.check else 'written'}: {page.relative_to(blocks.ROOT)}")
        if not options.check:
            page.write_text(text, "utf-8")
    return 1 if found and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

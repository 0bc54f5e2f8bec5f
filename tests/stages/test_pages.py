"""The how-to pages of the engines that run in a child, followed word by word with the models made here."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from tests import running
from tools.docs.blocks import ROOT
from tools.docs.snippets import snippets

BASE = running.BASE.replace("context = 512", "context = 2048")


@pytest.mark.parametrize(
    ("page", "model", "placed"), [("onnx-runtime", "onnx", "phi-4-mini-onnx"), ("transformers", "chat", "qwen3-0.6b")]
)
def test_a_folder_is_added_and_asked(models: Path, tmp_path: Path, page: str, model: str, placed: str) -> None:
    """Every command but those about the server, which tests/docs tries, and about a running gateway."""
    found = snippets((ROOT / "docs" / "en" / "how-to" / "systems" / f"{page}.md").read_text("utf-8"))
    server = 'provider = "transformers-serve"'
    written = "\n".join(item.body for item in found if item.kind == "toml" and server not in item.body)
    lines = [line for item in found if item.kind == "sh" for line in item.body.splitlines()]
    if page == "transformers":
        lines = lines[-2:]
    assert lines[-2 if page == "transformers" else 0].startswith("nearfar models add")
    running.configure(tmp_path, "", base=BASE)
    for line in lines:
        words = shlex.split(line.replace(f"~/models/{placed}", str(models / model)))
        done = running.command(tmp_path, *words[1:])
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert done.stdout.strip(), line
        if words[1:3] == ["models", "add"]:
            running.configure(tmp_path, written, base=BASE)
    assert {
        (entry.provider, entry.outcome) for entry in running.read_ledger(f"sqlite:///{tmp_path}/state/ledger.db")
    } >= {(page, "ok")}

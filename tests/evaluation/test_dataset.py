"""References to data sets, and what is made of their rows.

The package ``datasets`` weighs 300 MB and is not among what the tests install: a stand-in of one function takes its
place. What that function takes and gives was compared with datasets 5.2.0 over a folder of JSON lines, CSV and Parquet.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from nearfar.core.errors import BadRequestError
from nearfar.evaluation.dataset import Reference, read, reference
from nearfar.evaluation.prompts import BadPrompts


class Fake(ModuleType):
    """Stands for ``datasets``."""

    def __init__(self, rows: list[dict[str, Any]], error: Exception | None = None) -> None:
        super().__init__("datasets")
        self.rows = rows
        self.error = error
        self.asked: list[tuple[Any, ...]] = []
        self.given = 0

    def load_dataset(
        self, path: str, name: str | None, *, split: str, streaming: bool, revision: str | None
    ) -> Iterator[dict[str, Any]]:
        self.asked.append((path, name, split, streaming, revision))
        if self.error is not None:
            raise self.error
        return self._rows()

    def _rows(self) -> Iterator[dict[str, Any]]:
        for row in self.rows:
            self.given += 1
            yield row


def use(monkeypatch: pytest.MonkeyPatch, fake: Fake) -> Fake:
    monkeypatch.setitem(sys.modules, "datasets", fake)
    return fake


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf:owner/name", Reference(name="owner/name")),
        ("hf:owner/name:train", Reference(name="owner/name", split="train")),
        ("hf:owner/name:main:validation", Reference(name="owner/name", config="main", split="validation")),
        ("hf:owner/name:main:", Reference(name="owner/name", config="main", split="test")),
    ],
)
def test_references(text: str, wanted: Reference) -> None:
    assert reference(text) == wanted


@pytest.mark.parametrize("text", ["hf:", "hf::x", "hf:a:b:c:d"])
def test_no_references(text: str) -> None:
    with pytest.raises(BadPrompts, match="names no data set"):
        reference(text)


def test_rows_become_prompts_and_no_more_are_fetched_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, Fake([{"question": f"q{number}", "answer": f"#### {number}"} for number in range(100)]))
    wanted = Reference(name="owner/name", config="main", split="test")
    found = read(wanted, {"prompt": "question"}, limit=3, offline=False)
    assert fake.asked == [("owner/name", "main", "test", True, None)]
    assert [(item.id, item.text, item.answers) for item in found.prompts][:2] == [
        ("1", "q0", ("#### 0",)),
        ("2", "q1", ("#### 1",)),
    ]
    assert fake.given <= 4


def test_columns_are_named_in_the_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake([{"question": "x"}]))
    with pytest.raises(BadPrompts, match="either prompt or messages") as caught:
        read(Reference(name="o/n"), {}, limit=None, offline=False)
    assert "--columns prompt=question" in caught.value.hint


def test_nothing_is_fetched_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = use(monkeypatch, Fake([]))
    with pytest.raises(BadRequestError, match="runs offline") as caught:
        read(Reference(name="o/n"), {}, limit=None, offline=True)
    assert caught.value.code == "offline"
    assert fake.asked == []


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(BadRequestError) as caught:
        read(Reference(name="o/n"), {}, limit=None, offline=False)
    assert caught.value.code == "missing_extra"
    assert "[eval]" in caught.value.hint


def test_what_cannot_be_had_is_told_in_the_librarys_words(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Fake([], error=ValueError('Bad split: tests.\nAvailable splits: ["test"]')))
    with pytest.raises(BadRequestError, match=r"o/n \(test\) cannot be read: ValueError: Bad split: tests. Available"):
        read(Reference(name="o/n"), {}, limit=None, offline=False)

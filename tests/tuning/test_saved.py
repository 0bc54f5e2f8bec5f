"""A router comes back from its file as it was; what is not a router is refused before it costs anything."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tests.tuning import made

from nearfar.policy.cascade import Rules
from nearfar.tuning import evaluate, router, saved
from nearfar.tuning.answers import seen
from nearfar.tuning.labels import Label
from nearfar.tuning.saved import BadRouter


def named(count: int) -> list[Label]:
    """Labels that name two tasks."""
    return [
        msgspec.structs.replace(label, task="odd" if number % 2 else "even")
        for number, label in enumerate(made.labels(count, answers=True))
    ]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    labels = named(60)
    vectors = np.random.default_rng(0).normal(size=(60, 4)).tolist()
    judged = [seen(label, ["alpha", "beta"], Rules()) for label in labels]
    gap = [label.cloud.score - label.local.score for label in labels]
    prompts = [label.prompt for label in labels]
    tasks = [label.task for label in labels]
    fitted = router.fit(prompts, gap, named=tasks, embeddings=vectors, judged=judged, models=["alpha", "beta"])
    path = tmp_path_factory.mktemp("router") / "r.npz"
    saved.save(path, fitted, prompts)
    return path


def test_it_scores_as_before(tmp_path: Path) -> None:
    labels = named(60)
    judged = [seen(label, ["alpha", "beta"], Rules()) for label in labels]
    fitted = evaluate.learned(labels, judged, ["alpha", "beta"])
    saved.save(tmp_path / "r", fitted, [label.prompt for label in labels])
    kept = saved.load(tmp_path / "r")
    for found in (None, judged):
        assert evaluate.scores(kept.router, labels, found) == pytest.approx(evaluate.scores(fitted, labels, found))
    assert kept.known.tolist() == saved.marks([label.prompt for label in labels]).tolist()
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r"]


def test_embeddings_come_back(file: Path) -> None:
    kept = saved.load(file)
    assert kept.router.embedded is not None
    assert router.score(kept.router, "the cat", embedding=[1, 0, 0, 0]).gap == pytest.approx(0, abs=1)


def rewritten(file: Path, path: Path, name: str, raw: bytes | None) -> Path:
    """A copy of the router with one member replaced, or left out."""
    out = path / "bad"
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            if item.filename != name:
                new.writestr(item.filename, old.read(item))
        if raw is not None:
            new.writestr(name, raw)
    return out


def array(value: object, kind: str, *, pickled: bool = False) -> bytes:
    raw = io.BytesIO()
    np.save(raw, np.array(value, dtype=kind), allow_pickle=pickled)
    return raw.getvalue()


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("alpha.npy", None),
        ("alpha.npy", array([1.0], "float32")),
        ("alpha.npy", array([1.0] * 60, "float64")),
        ("alpha.npy", array([np.nan] * 60, "float32")),
        ("alpha.npy", array([{}], "object", pickled=True)),
        ("alpha.npy", array([1.0] * 60, "float32")[:-4]),
        ("alpha.npy", b"not an array"),
        ("rows.npy", array([10**6], "int32")),
        ("begins.npy", array([0], "int64")),
        ("buckets.npy", array([5, 4], "int32")),
        ("more.npy", array([1.0], "float32")),
        ("trees_columns.npy", array([[0, 999]], "int32")),
        ("trees_cuts.npy", array([[0.5]], "float32")),
        ("tasks_gap.npy", array([0.5], "float32")),
        ("header.npy", array(list(b"{"), "uint8")),
        ("answers_at.npy", array([], "float64")),
    ],
)
def test_what_is_not_whole_is_refused(file: Path, tmp_path: Path, name: str, raw: bytes | None) -> None:
    with pytest.raises(BadRouter, match="is no router"):
        saved.load(rewritten(file, tmp_path, name, raw))


def test_a_file_of_another_version_is_refused_as_such(file: Path, tmp_path: Path) -> None:
    """Whatever else it holds: what version 1 knew of embeddings has no place any more."""
    raw = array(list(b'{"format": 1, "mean": 0.1, "lonely": 0.2, "count": 60, "models": null}'), "uint8")
    old = rewritten(file, tmp_path, "header.npy", raw)
    with zipfile.ZipFile(old, "a") as more:
        more.writestr("embedded_centre.npy", array([1.0], "float32"))
    with pytest.raises(BadRouter, match="format 1, this version reads 2: fit it anew"):
        saved.load(old)


def test_an_array_that_claims_more_than_it_holds_is_refused_unread(file: Path, tmp_path: Path) -> None:
    raw = array([1.0] * 60, "float32")
    assert b"(60,), }" + b" " * 9 in raw
    huge = raw.replace(b"(60,), }" + b" " * 9, b"(600000000000,), }"[:17].ljust(17))
    with pytest.raises(BadRouter, match="is no router"):
        saved.load(rewritten(file, tmp_path, "alpha.npy", huge))


def test_too_much_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "LARGEST", 1000)
    with pytest.raises(BadRouter, match="larger than 1000 bytes"):
        saved.load(file)


def test_no_file_and_no_zip(tmp_path: Path) -> None:
    with pytest.raises(BadRouter, match="cannot be read"):
        saved.load(tmp_path / "absent")
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(BadRouter, match="is no router"):
        saved.load(tmp_path / "text")

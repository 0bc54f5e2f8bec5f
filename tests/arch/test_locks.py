"""The lock files agree with pyproject.toml: `make lock` was run after the last change."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.arch.source import ROOT

PIN = re.compile(r"([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)")


def entries(lock: str) -> list[tuple[str, str, str]]:
    """(canonical name, version, the whole entry) of each pin; a package may have one for each Python version."""
    text = (ROOT / "requirements" / f"{lock}.lock").read_text()
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return [(canonicalize_name(m[1]), m[2], block) for block in blocks if (m := PIN.match(block))]


def wanted(*extras: str, dev: bool = False) -> list[Requirement]:
    """What pyproject.toml asks for by name."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        data: dict[str, Any] = tomllib.load(file)
    lines = data["project"]["dependencies"] + data["build-system"]["requires"]
    lines += [line for extra in extras for line in data["project"]["optional-dependencies"][extra]]
    lines += data["dependency-groups"]["dev"] if dev else []
    return [Requirement(line) for line in lines]


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [("run", wanted("local")), ("dev", wanted("local", "postgres", "store", "aws", "google", dev=True))],
    ids=["run", "dev"],
)
def test_every_dependency_is_pinned_inside_its_window(lock: str, requirements: list[Requirement]) -> None:
    wrong = []
    for requirement in requirements:
        pinned = [version for name, version, _ in entries(lock) if name == canonicalize_name(requirement.name)]
        if not pinned or not all(requirement.specifier.contains(version) for version in pinned):
            wrong.append(f"{requirement}: {', '.join(pinned) or 'missing'}")
    assert not wrong, f"run `make lock`: {wrong}"


def test_nothing_is_pinned_for_pyproject_that_it_no_longer_names() -> None:
    direct = {name for name, _, block in entries("run") if "nearfar (pyproject.toml)" in block}
    assert direct
    assert direct <= {canonicalize_name(requirement.name) for requirement in wanted("local")}, "run `make lock`"


def test_both_pin_the_same_versions() -> None:
    dev = {(name, version) for name, version, _ in entries("dev")}
    assert {(name, version) for name, version, _ in entries("run")} <= dev


SDKS = sorted(path.stem for path in (ROOT / "requirements").glob("sdk-*.in"))


@pytest.mark.parametrize("lock", ["run", "dev", *SDKS])
def test_every_pin_has_hashes_and_no_address(lock: str) -> None:
    assert len(entries(lock)) > 5
    assert [name for name, _, block in entries(lock) if "--hash=sha256:" not in block] == []
    assert "://" not in (ROOT / "requirements" / f"{lock}.lock").read_text()

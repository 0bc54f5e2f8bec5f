"""What README and docs say is what the sources say: generated parts, links, settings, commands, paths, headers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from tools.docs import blocks, demo, figures, generate, links, reference, snippets, systems

from nearfar.cli.app import app
from nearfar.cli.policy import scanner
from nearfar.policy import cases, presets
from nearfar.providers import registry
from nearfar.server.routes import ROUTES
from nearfar.settings.load import load
from nearfar.settings.model import Policy, Settings

ROOT = blocks.ROOT
DOCS = ROOT / "docs"
PAGES = blocks.pages()
LANGUAGES = ("en", "zh-Hant")
TREE: Any = typer.main.get_command(app)
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_generated_parts_are_up_to_date() -> None:
    stale = [page.relative_to(ROOT).as_posix() for page in generate.stale()]
    assert not stale, f"`make docs` writes {', '.join(stale)} anew"


def test_every_generated_part_is_used() -> None:
    for language in LANGUAGES:
        used = {name for page in (DOCS / language).rglob("*.md") for name in blocks.names(page.read_text("utf-8"))}
        assert used == {*reference.BLOCKS, *figures.BLOCKS, *demo.BLOCKS, *systems.BLOCKS}, language


def test_without_published_figures_the_block_has_no_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(figures, "PUBLISHED", tmp_path / "none.json")
    for language in ("en", "zh"):
        assert not re.search(r"\d", figures.performance(language))
    if not (ROOT / "bench" / "published.json").exists():
        assert figures.NONE["en"] in text("README.md")


def test_published_figures_are_shown_with_machine_and_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine = {"cpu": "A CPU", "cores": 3, "python": "3.11.9", "load_before": 0.5}
    machine |= {"date": "2026-01-02T03:04:05+00:00", "commit": "abc123"}
    data: dict[str, Any] = {"machine": machine}
    for number, (ours, theirs, *_) in enumerate(figures.ROWS, 1):
        for path in filter(None, (ours, theirs)):
            *tables, leaf = path.split(".")
            table = data
            for name in tables:
                table = table.setdefault(name, {})
            table[leaf] = number + 0.25 * (path == theirs)
    source = tmp_path / "latest.json"
    source.write_text(json.dumps(data))
    monkeypatch.setattr(figures, "PUBLISHED", tmp_path / "published.json")
    generate.publish(source)
    shown = figures.performance("en")
    assert "| 1 µs | 1.25 µs |" in shown
    assert "A CPU, 3 cores" in shown
    assert "commit `abc123`" in shown
    machine["commit"] = "abc123+changes"
    source.write_text(json.dumps(data))
    with pytest.raises(SystemExit, match="uncommitted"):
        generate.publish(source)


def test_both_trees_have_the_same_files() -> None:
    trees = [{path.relative_to(DOCS / name).as_posix() for path in (DOCS / name).rglob("*")} for name in LANGUAGES]
    assert trees[0] == trees[1]


def test_both_languages_have_the_same_snippets() -> None:
    """Commands and settings are not translated; comments in them are."""

    def essence(name: str) -> list[tuple[str, str, str]]:
        return [
            (item.kind, item.mark, re.sub(r"[ \t]*#[ \t].*", "", item.body)) for item in snippets.snippets(text(name))
        ]

    pairs = [("README.md", "README.zh-TW.md")]
    pairs += [(f"docs/en/{path}", f"docs/zh-Hant/{path}") for path in tree("en")]
    for english, chinese in pairs:
        assert essence(english) == essence(chinese), chinese


def tree(language: str) -> list[str]:
    folder = DOCS / language
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.md"))


def test_the_site_lists_every_page() -> None:
    listed = re.findall(r"([\w/-]+\.md)$", text("mkdocs.yml"), re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_links_lead_somewhere_and_those_of_the_site_stay_within_it() -> None:
    for name in NAMES:
        assert list(links.broken(ROOT / name, DOCS if name.startswith("docs/") else ROOT)) == [], name


def test_a_broken_link_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    (tmp_path / "b.md").write_text("# One `two`\n```sh\n# three\n```\n")
    page.write_text(
        "[1](b.md) [2](b.md#one-two) [3](c.md) [4](b.md#three) [5](../x.md) `[6](no.md)`\n\n```\n[7](no.md)\n```\n"
    )
    assert list(links.broken(page, tmp_path)) == [
        "c.md is not there",
        "b.md#three: no such heading",
        "../x.md leaves the repository",
    ]


def configurations() -> list[tuple[str, str]]:
    return [
        (f"{name}:{number}", item.body)
        for name in NAMES
        for number, item in enumerate(snippets.snippets(text(name)))
        if item.kind == "toml" and item.mark not in {"codex", "policy", "cases"}
    ]


def test_configurations_load(tmp_path: Path) -> None:
    found = configurations()
    assert len(found) > 50
    for where, body in found:
        file = tmp_path / f"{where.replace('/', '-')}.toml"
        file.write_text(body, "utf-8")
        loaded = load(config=file, environ={"HOME": str(tmp_path)}, system=tmp_path / "none.toml")
        for setting in loaded.settings.deployments.values():
            assert setting.provider in registry.names(), where


def marked(mark: str) -> list[tuple[str, str]]:
    return [(name, item.body) for name in NAMES for item in snippets.snippets(text(name)) if item.mark == mark]


def test_policy_files_are_policies_and_cases_come_out_as_they_say(tmp_path: Path) -> None:
    for number, (name, body) in enumerate(marked("policy")):
        file = tmp_path / f"policy-{number}.toml"
        file.write_text(body, "utf-8")
        assert presets.rules(Settings(policy=Policy(file=str(file)))).name, name
    medical = presets.rules(Settings(policy=Policy(preset="tw-medical")))
    scan = scanner()
    for name, body in marked("cases"):
        outcomes = [cases.run(case, medical, scan) for case in cases.parse(body.encode(), json=False)]
        assert [item.wrong for item in outcomes] == [[] for _ in outcomes], name
    assert len(marked("policy")) == 3 * len(LANGUAGES)
    assert len(marked("cases")) == len(LANGUAGES)


def test_commands_exist() -> None:
    goals = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    for name in NAMES:
        for words in snippets.commands(text(name)):
            program = words[0].rpartition("/")[2]
            if program == "make":
                assert {word for word in words[1:] if "=" not in word} <= goals, (name, words)
            elif program == "nearfar":
                assert not strangers(words[1:]), (name, words)


def strangers(words: list[str]) -> list[str]:
    """The options in ``words`` that their command does not have; the first word if there is no such command."""
    command = TREE
    while hasattr(command, "commands"):
        if not words or words[0] not in command.commands:
            return words[:1]
        command, words = command.commands[words[0]], words[1:]
    options = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
    return [word for word in words if word.startswith("-") and word != "-" and word.partition("=")[0] not in options]


def test_a_strange_command_is_seen() -> None:
    assert strangers(["serve", "--port", "1"]) == []
    assert strangers(["serve", "--bogus"]) == ["--bogus"]
    assert strangers(["route", "exlpain"]) == ["exlpain"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_http_api_has_every_path_and_no_other(language: str) -> None:
    told = set(re.findall(r"`(GET|POST|DELETE) (/\S*)`", text(f"docs/{language}/reference/http-api.md")))
    served = {(route.method, f"{route.path}NAME" if route.path.endswith("s/") else route.path) for route in ROUTES}
    assert told - {("GET", "/metrics")} == served - {("GET", "/metrics")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_header_is_told(language: str) -> None:
    written = set()
    for path in (ROOT / "src" / "nearfar" / "gateway", ROOT / "src" / "nearfar" / "server"):
        for file in path.glob("*.py"):
            written |= set(
                re.findall(r"\b(x-nearfar(?:-[a-z]+)+|retry-after(?:-ms)?|x-should-retry)\b", file.read_text())
            )
    told = set(
        re.findall(
            r"`(x-nearfar-[a-z-]+|retry-after[a-z-]*|x-should-retry)(?:: \w+)?`",
            text(f"docs/{language}/reference/headers.md"),
        )
    )
    assert told == written


def test_named_files_exist() -> None:
    """Paths of the repository in code spans; `my_…` stands for the reader's own."""
    for name in ["README.md", "README.zh-TW.md", *(name for name in NAMES if name.startswith("docs/"))]:
        for path in re.findall(r"`((?:src|tests|tools|bench|docs)/[\w./-]+)`", text(name)):
            generated = path in {"bench/latest.json", "bench/published.json"}
            assert generated or "my_" in path or (ROOT / path).exists(), (name, path)


def test_the_rooms_that_the_design_describes_have_these_files() -> None:
    rooms = re.split(r"^\*\*(\w+)\*\*:", text("docs/design.md").partition("## Rooms")[2], flags=re.MULTILINE)
    assert rooms[1::2] == ["server", "parts", "gateway", "advisor", "tuning", "evaluation", "wire"]
    for room, said in zip(rooms[1:12:2], rooms[2:13:2], strict=True):
        for names in re.findall(r"^\| (`[^|]+) \|", said, re.MULTILINE):
            for name in re.findall(r"`(\w+)`", names):
                assert (ROOT / "src" / "nearfar" / room / f"{name}.py").is_file(), f"{room}/{name}"


def test_the_example_of_a_provider_is_one() -> None:
    [code] = [
        item.body for item in snippets.snippets(text("docs/en/how-to/add-a-provider.md")) if item.kind == "python"
    ]
    module: dict[str, Any] = {}
    exec(code, module)
    assert module["PROVIDER"].wire in {provider.wire for provider in registry.load_all().values()}


def test_every_setting_has_a_meaning() -> None:
    without = [line for line in reference.configuration("en").splitlines() if line.endswith("|  |")]
    assert without == []

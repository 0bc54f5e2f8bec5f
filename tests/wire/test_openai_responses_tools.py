"""Which tools may be offered, and how they look as functions."""

import json
from typing import Any

import msgspec
import pytest

from nearfar.core.errors import BadRequestError
from nearfar.wire.openai_responses_tools import LONGEST_NAME, Offer, Offered, check, check_choice, offer

FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "description": "d", "parameters": {}, "strict": True}
CUSTOM: dict[str, Any] = {"type": "custom", "name": "patch", "description": "Patch."}
NAMESPACE: dict[str, Any] = {
    "type": "namespace",
    "name": "git",
    "description": "",
    "tools": [{**FUNCTION, "name": "log"}],
}


def offered(*tools: dict[str, Any]) -> Offer:
    check(list(tools), {})
    return offer(msgspec.Raw(json.dumps(tools).encode()))


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "mcp", "server_label": "x", "server_url": "https://x"}, "mcp"),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, "file_search"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "code_execution"),
        ({"type": "image_generation"}, "image_generation"),
        ({"type": "programmatic_tool_calling"}, "programmatic_tool_calling"),
        ({"type": "shell", "environment": {"type": "container_auto"}}, "shell"),
        ({"type": "something_new"}, "something_new"),
    ],
)
def test_what_the_provider_would_run_is_noted(tool: Any, name: str) -> None:
    found: dict[str, str] = {}
    assert check([FUNCTION, tool], found) is False
    assert found == {name: "tools[1].type"}


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "namespace", "name": "n", "tools": [{"type": "web_search"}]},
        {"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]},
        {"type": "function"},
        {"type": 7},
        7,
    ],
)
def test_what_is_no_tool_is_refused(tool: Any) -> None:
    with pytest.raises(BadRequestError):
        check([tool], {})


def test_what_the_client_runs_may_travel() -> None:
    natives: list[Any] = [
        {"type": "local_shell"},
        {"type": "shell", "environment": {"type": "local"}},
        {"type": "apply_patch"},
        {"type": "computer_use_preview", "environment": "browser", "display_width": 1, "display_height": 1},
    ]
    found: dict[str, str] = {}
    assert check([FUNCTION, CUSTOM, NAMESPACE, *natives], found) is False
    assert check([{"type": "web_search_2025_08_26"}], found) is True
    assert found == {}
    for native in natives:
        with pytest.raises(BadRequestError) as caught:
            offered(native)
        assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("choice", "tools"),
    [
        ({"type": "web_search_preview"}, [FUNCTION]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]}, [FUNCTION]),
        ("required", [{"type": "web_search"}]),
    ],
)
def test_a_search_that_is_insisted_on_is_no_wish(choice: Any, tools: list[Any]) -> None:
    found: dict[str, str] = {}
    check_choice(choice, tools, found, searches=True)
    assert found == {"web_search": "tool_choice"}


@pytest.mark.parametrize("choice", [{}, 7])
def test_choices_of_wrong_types_are_refused(choice: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        check_choice(choice, [FUNCTION], {}, searches=True)
    assert (caught.value.param or "").startswith("tool_choice")


def test_a_search_that_is_merely_offered_is_left_out_and_told() -> None:
    noted: dict[str, str] = {}
    check_choice("required", [FUNCTION, {"type": "web_search"}], noted, searches=True)
    assert noted == {}
    found = offered(FUNCTION, {"type": "web_search"})
    assert [tool.name for tool in found.tools] == ["f"]
    assert found.deviations == ("dropped:tools.web_search",)


def test_a_function_is_itself() -> None:
    [tool] = offered({**FUNCTION, "defer_loading": True}, {"type": "tool_search"}).tools
    assert (tool.name, tool.description, tool.strict, tool.schema and bytes(tool.schema)) == ("f", "d", True, b"{}")


def test_namespaces_are_flattened_and_found_again() -> None:
    found = offered(FUNCTION, NAMESPACE, {**NAMESPACE, "name": "a.b"})
    assert [tool.name for tool in found.tools] == ["f", "git__log", "a_b__log"]
    assert found.called("git__log") == Offered("log", "git")
    assert found.called("a_b__log") == Offered("log", "a.b")
    assert found.function("log", "git") == "git__log"
    assert found.function("unknown", "git") == "git__unknown", "calls of tools that are offered no more"
    assert found.called("nobody offered this") == Offered("nobody offered this")
    assert "adapted:tools.namespace" in found.deviations


def test_long_names_are_cut_but_stay_apart() -> None:
    tools = [{**NAMESPACE, "name": "n" * 70 + end} for end in ("1", "2")]
    names = [tool.name for tool in offered(*tools).tools]
    assert len(set(names)) == 2
    assert all(len(name) <= LONGEST_NAME for name in names)
    assert names == [tool.name for tool in offered(*tools).tools]


def test_custom_tools_become_functions_of_one_text() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    found = offered({**CUSTOM, "format": grammar})
    [tool] = found.tools
    assert tool.schema is not None
    assert json.loads(bytes(tool.schema))["required"] == ["input"]
    assert "start: /x/" in tool.description
    assert found.called("patch").custom
    assert found.deviations == ("adapted:tools.custom",)


def test_names_are_unique() -> None:
    with pytest.raises(BadRequestError, match="name of another tool"):
        offered(FUNCTION, {**CUSTOM, "name": "f"})


def test_tools_that_only_programs_may_call_are_refused() -> None:
    with pytest.raises(BadRequestError):
        offered({**FUNCTION, "allowed_callers": ["programmatic"]})

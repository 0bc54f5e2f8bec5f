"""Tools of a Responses request: which may be offered at all, and how they are called on wires that know functions only.

It knows no deployment. Source: the OpenAI API reference, "Create a model response", and the types of its Python SDK
3.54, read 2026-11-22.

=========================== ==========================================================================================
function                    as it is
namespace                   its functions one by one, as ``NAMESPACE__NAME``; calls come back under the client's name
custom                      a function with one text, ``input``; a grammar is described, not enforced       (deviation)
web_search (any version)    left out everywhere, OpenAI included, unless the policy names it: the provider would send
                            words to a further place; refused when the request insists on it                (deviation)
local_shell, shell (local), run by the client, but known to OpenAI's models alone: travel on OpenAI's own wire, refused
apply_patch, computer, …    elsewhere
mcp, file_search, others    run by the provider, or content stored there: refused unless the policy names them
=========================== ==========================================================================================
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from nearfar.core.conversation import Tool
from nearfar.core.errors import BadRequestError
from nearfar.wire.deviations import Deviations, unsupported
from nearfar.wire.elsewhere import References, note
from nearfar.wire.fields import wrong
from nearfar.wire.members import Members, decode, need, take

LONGEST_NAME = 64
"""Characters of a function's name that every vendor takes."""

_NATIVE = frozenset({"apply_patch", "computer", "computer_use_preview", "local_shell", "shell", "tool_search"})
"""Tools whose calls the client runs, in a form that OpenAI's models were trained on."""

_BAD = re.compile(r"[^a-zA-Z0-9_-]")
_INPUT: dict[str, Any] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Offered(msgspec.Struct, frozen=True):
    """What the client calls a function, and of which kind its call is."""

    name: str
    namespace: str = ""
    custom: bool = False


class Offer(msgspec.Struct, frozen=True):
    """The tools as functions, and the client's names by the functions' names."""

    tools: list[Tool]
    known: dict[str, Offered]
    deviations: tuple[str, ...] = ()

    def called(self, name: str) -> Offered:
        """What the client knows the function ``name`` by; a function of that name when nobody offered it."""
        return self.known.get(name) or Offered(name)

    def function(self, name: str, namespace: str = "") -> str:
        """The function's name for what the client calls ``name`` in ``namespace``."""
        for flat, offered in self.known.items():
            if offered.name == name and offered.namespace == namespace:
                return flat
        return _flat(namespace, name) if namespace else name


def is_search(kind: str) -> bool:
    """Whether a tool of this type searches the web on the provider's side."""
    return kind.startswith("web_search")


def check(tools: object, found: References, where: str = "tools") -> bool:
    """Note in ``found`` what its provider would run; returns whether a web search is wished for. For decoded tools."""
    if not isinstance(tools, list):
        raise wrong(where, tools, "a list of tools")
    searches = False
    for position, tool in enumerate(tools):
        at = f"{where}[{position}]"
        if not isinstance(tool, dict):
            raise wrong(at, tool, "an object with a type")
        kind = tool.get("type")
        if not isinstance(kind, str) or not kind:
            raise wrong(f"{at}.type", kind, "a word such as function")
        if kind in {"function", "custom"}:
            name = tool.get("name")
            if not isinstance(name, str) or not name:
                raise wrong(f"{at}.name", name, "the name of the tool")
        elif kind == "namespace" and where == "tools":
            if check(tool.get("tools"), found, f"{at}.tools"):
                raise _elsewhere("web_search", f"{at}.tools")
        elif is_search(kind) and where == "tools":
            searches = True
        elif where != "tools":
            raise _elsewhere(kind, f"{at}.type")
        elif kind not in _NATIVE or not _is_local(tool):
            note(found, kind, f"{at}.type")
    return searches


def _is_local(tool: dict[str, Any]) -> bool:
    environment = tool.get("environment")
    if tool.get("type") == "computer_use_preview":
        return True  # the word says which kind of screen the client has
    return environment is None or (isinstance(environment, dict) and environment.get("type") == "local")


def _elsewhere(kind: str, param: str) -> BadRequestError:
    message = f"The tool {kind!r} is run by its provider: a further place that this gateway cannot see."
    hint = "Give the model functions that you run yourself."
    return BadRequestError(message, code="unsupported", param=param, hint=hint)


def check_choice(choice: object, tools: list[Any], found: References, *, searches: bool) -> None:
    """Note in ``found`` that a choice insists on a search, which is no mere wish. ``tools``: decoded and checked."""
    if isinstance(choice, dict):
        kind = choice.get("type")
        if not isinstance(kind, str):
            raise wrong("tool_choice.type", kind, "a word such as function")
        listed = choice.get("tools")
        asked: list[Any] = [kind]
        if isinstance(listed, list):
            asked += [item.get("type") for item in listed if isinstance(item, dict)]
        for name in asked:
            if isinstance(name, str) and is_search(name):
                note(found, "web_search", "tool_choice")
    elif choice is not None and not isinstance(choice, str):
        raise wrong("tool_choice", choice, "auto, none, required or an object")
    elif choice == "required" and searches and all(is_search(tool["type"]) for tool in tools):
        note(found, "web_search", "tool_choice")


def without_searches(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The tools that may travel, undecoded."""
    tools = msgspec.json.decode(raw, type=list[msgspec.Raw])
    return [tool for tool in tools if not is_search(msgspec.json.decode(tool, type=_Kind).type)]


class _Kind(msgspec.Struct):
    type: str = ""


def offer(raw: msgspec.Raw | None) -> Offer:
    """The request's ``tools`` as functions. Raises BadRequestError (code ``unsupported``) for what cannot be one."""
    tools: list[Tool] = []
    known: dict[str, Offered] = {}
    note = Deviations()
    listed = [] if raw is None else decode(raw, list[Members], "tools")
    for at, members in enumerate(listed):
        _add(members, f"tools[{at}]", "", tools, known, note)
    return Offer(tools, known, note.all())


def _add(
    members: Members, where: str, namespace: str, tools: list[Tool], known: dict[str, Offered], note: Deviations
) -> None:
    kind = need(members, "type", str, where)
    if kind == "namespace":
        name = need(members, "name", str, where)
        for at, inner in enumerate(need(members, "tools", list[Members], where)):
            _add(inner, f"{where}.tools[{at}]", name, tools, known, note)
        note.add("adapted:tools.namespace")
        return
    if is_search(kind):
        note.add(f"dropped:tools.{kind}")
        return
    if kind == "tool_search" and take(members, "execution", str, f"{where}.execution") != "client":
        note.add("dropped:tools.tool_search")  # it finds tools that were held back, and here none is
        return
    if kind not in {"function", "custom"}:
        raise unsupported("This deployment", f"tools of the type {kind!r}", f"{where}.type")
    name = need(members, "name", str, where)
    flat = _flat(namespace, name) if namespace else name
    if flat in known:
        raise BadRequestError(f"{where} has the name of another tool.", code="invalid_value", param=f"{where}.name")
    known[flat] = Offered(name, namespace, kind == "custom")
    tools.append(_function(flat, members, where, note) if kind == "function" else _custom(flat, members, where, note))


def _function(name: str, members: Members, where: str, note: Deviations) -> Tool:
    tool = Tool(
        name=name,
        description=take(members, "description", str, f"{where}.description") or "",
        schema=take(members, "parameters", msgspec.Raw, f"{where}.parameters"),
        strict=take(members, "strict", bool, f"{where}.strict"),
    )
    callers = take(members, "allowed_callers", list[str], f"{where}.allowed_callers")
    if callers is not None and "direct" not in callers:
        raise unsupported("This deployment", "programs that call tools", f"{where}.allowed_callers")
    members.pop("defer_loading", None)  # it is loaded at once
    note.keep(members, frozenset())
    return tool


def _custom(name: str, members: Members, where: str, note: Deviations) -> Tool:
    words = [take(members, "description", str, f"{where}.description") or ""]
    form = take(members, "format", Members, f"{where}.format") or {}
    definition = take(form, "definition", str, f"{where}.format.definition")
    if definition:
        syntax = take(form, "syntax", str, f"{where}.format.syntax") or "this"
        words.append(f"The input must follow this grammar ({syntax}):\n{definition}")
    note.add("adapted:tools.custom")
    schema = msgspec.Raw(msgspec.json.encode(_INPUT))
    return Tool(name=name, description="\n\n".join(word for word in words if word), schema=schema)


def _flat(namespace: str, name: str) -> str:
    flat = _BAD.sub("_", f"{namespace}__{name}")
    if len(flat) <= LONGEST_NAME:
        return flat
    # Cut names must not fall together, and the same name must be cut the same way in every turn.
    mark = hashlib.sha256(f"{namespace}\0{name}".encode()).hexdigest()[:8]
    return f"{flat[: LONGEST_NAME - 9]}_{mark}"

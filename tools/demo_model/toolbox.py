"""Tools and requests for them: known ones from ``tools.toml``, and invented ones that nobody listed."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat import Call, Tool
from phrases import HERE, Words, choose

JSON_TYPE = {"int": "integer", "few": "integer", "flag": "boolean"}


@dataclass(frozen=True)
class Request:
    """What the user says, the tool that serves it, the right call, and how it may go on."""

    text: str
    tool: Tool
    call: Call
    result: str
    reply: str


def named(random_: random.Random, verb: str, noun: str) -> str:
    """A function's name in one of the usual styles."""
    noun_title = "".join(part.capitalize() for part in noun.split("_"))
    return random_.choice((f"{verb}_{noun}", f"{verb}_{noun}", f"{verb}{noun_title}", f"{noun}_{verb}", noun))


class Toolbox:
    """Makes requests. With ``probes`` known tools are asked for in phrases that the corpus never reads."""

    def __init__(self, words: Words, *, probes: bool = False) -> None:
        self.words = words
        self.random = words.random
        self.probes = probes
        table = tomllib.loads((HERE / "tools.toml").read_text(encoding="utf-8"))
        self.known: dict[str, Mapping[str, Any]] = {entry["id"]: entry for entry in table["tool"]}

    def request(self, identity: str) -> Request:
        """A request for one of the known tools, under one of its names."""
        r = self.random
        entry = self.known[identity]
        properties: dict[str, dict[str, Any]] = {}
        values: dict[str, Any] = {}
        arguments: dict[str, Any] = {}
        required: list[str] = []
        addition = ""
        for slot, spec in entry["args"].items():
            optional = spec.get("optional", False)
            if optional and r.random() < 0.6:
                continue
            key = r.choice([name for name in spec["names"] if name not in properties])
            properties[key] = {"type": JSON_TYPE.get(spec["kind"], "string")}
            if spec["kind"] == "enum":
                properties[key]["enum"] = list(spec["choices"])
            values[slot] = r.choice(spec["choices"]) if spec["kind"] == "enum" else self.words.value(spec["kind"])
            if not optional:
                required.append(key)
                arguments[key] = values[slot]
            elif r.random() < 0.5:
                addition += r.choice(entry["ask_optional"][slot]).format(**{slot: values[slot]})
                arguments[key] = values[slot]
        tool = Tool(
            named(r, r.choice(entry["verbs"]), r.choice(entry["nouns"])), r.choice(entry["about"]), properties, required
        )
        text = choose(r, r.choice(entry["probe" if self.probes else "ask"])).format(**values) + addition
        result = r.choice(entry["result"])
        for slot, value in values.items():
            result = result.replace(f"{{{slot}}}", str(value))
        result = self.words.fill(result)
        reply = entry["reply"].format(**values, result=result)
        return Request(text, tool, Call(tool.name, arguments), result, reply)

    def invented(self) -> Request:
        """A request for a tool that is made up on the spot: only its declaration tells what it is for."""
        r, words = self.random, self.words
        verb = words.one("verbs") if r.random() < 0.85 else words.made_up()
        thing = words.one("things") if r.random() < 0.85 else words.made_up()
        properties: dict[str, dict[str, Any]] = {}
        arguments: dict[str, Any] = {}
        said = ""
        for key, kind in r.sample(_INVENTED_ARGUMENTS, r.choice((1, 1, 1, 2, 2, 3))):
            if kind == "enum":
                choices = list(dict.fromkeys((words.one("adjectives"), words.one("adjectives"), words.made_up())))
                properties[key] = {"type": "string", "enum": choices}
                value: Any = r.choice(choices)
            else:
                properties[key] = {"type": JSON_TYPE.get(kind, "string")}
                value = words.value(kind)
            arguments[key] = value
            said += _mention(r, key, kind, value, first=not said)
        article = r.choice(("the", "a", "my", ""))
        text = " ".join(f"{verb} {article} {thing}".split()) + said
        about = choose(r, r.choice((f"{verb.capitalize()} (a|the) {thing}", f"{verb.capitalize()} {thing}s", "")))
        tool = Tool(named(r, verb, thing), about, properties, list(arguments))
        result = r.choice(("ok", "done", str(words.whole()), words.code(), words.noun_phrase()))
        return Request(text, tool, Call(tool.name, arguments), result, f"The tool {tool.name} answered: {result}.")

    def any(self) -> Request:
        """A request for a known tool, or as often for an invented one."""
        return self.request(self.random.choice(list(self.known))) if self.random.random() < 0.55 else self.invented()


_INVENTED_ARGUMENTS = [
    (key, kind)
    for kind, keys in {
        "person": "name owner user to by driver guest",
        "city": "city destination place origin location",
        "phrase": "title topic text subject label reason comment",
        "int": "amount number size level price speed weight minutes",
        "few": "count floor seats copies",
        "code": "id code key reference serial",
        "clock": "time at start",
        "day": "day date",
        "enum": "mode color kind priority style",
        "flag": "urgent silent public",
    }.items()
    for key in keys.split()
]


def _mention(random_: random.Random, key: str, kind: str, value: Any, *, first: bool) -> str:
    """How a user says that argument ``key`` is ``value``."""
    if kind == "flag":
        return random_.choice((f", {key}: {'yes' if value else 'no'}", f" {'and' if value else 'but not'} {key}"))
    plain = {
        "person": (" for {v}", " of {v}", " for {v}"),
        "city": (" in {v}", " to {v}", " from {v}"),
        "phrase": (" about {v}", " called {v}", ": {v}"),
        "int": (" with {k} {v}",),
        "few": (" with {v} {k}", " with {k} {v}"),
        "code": (" {v}", " number {v}"),
        "clock": (" at {v}",),
        "day": (" on {v}",),
        "enum": (" with {v} {k}", " in {v} {k}"),
    }[kind]
    spelled = (
        " with {k} {v}",
        ", {k} {v}",
        ", {k}: {v}",
        ", {k} = {v}",
        " and {k} {v}" if not first else " with {k} {v}",
    )
    form = random_.choice(plain if random_.random() < 0.5 else spelled)
    return form.format(k=key, v=value)

"""A dialogue as values, and its exact text for the model. Knows the chat template, not what dialogues say.

``spans`` writes the same text as ``chat_template.jinja`` (evaluate.py compares the two through the engine), and
marks the parts that the model learns to write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

END_OF_TEXT = "<|endoftext|>"
START = "<|im_start|>"
END = "<|im_end|>"
CALL = "<tool_call>"
CALL_END = "</tool_call>"
SPECIAL_TOKENS = (END_OF_TEXT, START, END, CALL, CALL_END)

TEMPLATE_FILE = Path(__file__).with_name("chat_template.jinja")


@dataclass(frozen=True)
class Call:
    """One tool call: the function's name and its arguments."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Message:
    """One message. ``given`` is the part of an answer that a grammar forces, so that it is shown but not learnt."""

    role: str
    content: str = ""
    call: Call | None = None
    given: str = ""


@dataclass(frozen=True)
class Tool:
    """A function as a client declares it: name, description, and one schema per argument."""

    name: str
    about: str
    properties: Mapping[str, Mapping[str, Any]]
    required: Sequence[str]

    def declaration(self) -> dict[str, Any]:
        """The OpenAI shape, for a request."""
        function: dict[str, Any] = {"name": self.name}
        if self.about:
            function["description"] = self.about
        function["parameters"] = {
            "type": "object",
            "properties": {key: dict(value) for key, value in self.properties.items()},
            "required": list(self.required),
        }
        return {"type": "function", "function": function}

    def line(self) -> str:
        """The line that the template writes for this tool."""
        arguments = ", ".join(
            f"{key}: {' | '.join(value['enum']) if 'enum' in value else value['type']}"
            for key, value in self.properties.items()
        )
        return f"{self.name}({arguments})" + (f" {self.about}" if self.about else "")


@dataclass(frozen=True)
class Dialogue:
    """Messages in order, and the tools on offer."""

    messages: Sequence[Message]
    tools: Sequence[Tool] = ()


def spans(dialogue: Dialogue) -> list[tuple[str, bool]]:
    """The dialogue's text in pieces; True marks what the model has to write."""
    pieces: list[tuple[str, bool]] = []
    shown = ""
    if dialogue.tools:
        shown = f"{START}tools" + "".join("\n" + tool.line() for tool in dialogue.tools) + f"{END}\n"
    for message in dialogue.messages:
        shown += f"{START}{message.role}\n"
        if message.role != "assistant":
            shown += f"{message.content}{END}\n"
            continue
        written = message.content
        if message.call is not None:
            arguments = json.dumps(message.call.arguments, ensure_ascii=False)
            written += f'{CALL}{{"name": "{message.call.name}", "arguments": {arguments}}}{CALL_END}'
        pieces += [(shown + message.given, False), (written + END, True)]
        shown = "\n"
    return pieces


def prompt(dialogue: Dialogue) -> str:
    """The text after which the model answers."""
    head = "".join(text for text, _ in spans(Dialogue((*dialogue.messages, Message("assistant")), dialogue.tools)))
    return head.removesuffix(END)

"""Asks a GGUF file in the real engine and prints how often it is right. Knows the corpus only for what it has not seen.

``python evaluate.py MODEL.gguf`` needs xllamacpp, not torch. All answers are greedy. Names, cities, nouns and verbs
come from lists that the corpus never reads; made-up words, numbers and codes come from another seed; questions come
from ``probe`` lists and ``probes.toml``.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import xllamacpp
from chat import Call, Dialogue, Message, Tool, prompt
from corpus import UNKNOWN, UNKNOWN_ZH, dialogues
from phrases import HERE, Words
from toolbox import JSON_TYPE, Toolbox

SEED = 90_001


@dataclass
class Score:
    """How many of the tries were right, and some that were not."""

    title: str
    right: int = 0
    tries: int = 0
    misses: list[str] = field(default_factory=list)

    def count(self, good: bool, miss: str) -> None:
        """One more try."""
        self.tries += 1
        self.right += good
        if not good:
            self.misses.append(miss)


class Engine:
    """One model in the embedded engine, in this process, on one thread."""

    def __init__(self, path: Path) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = 2048
        params.n_parallel = 2
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_ram_mib = 0
        params.warmup = False
        params.verbosity = 0
        params.port = 0
        self.server = xllamacpp.Server(params)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON reply of one request; raises HTTPError as the engine answers it."""
        request = urllib.request.Request(
            self.server.listening_address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
        return answer

    def ask(self, text: str | Sequence[Message], tools: Iterable[Tool] = (), **more: Any) -> dict[str, Any]:
        """The assistant's message to a question; ``{"content": "HTTP …"}`` if the engine refused."""
        messages = [Message("user", text)] if isinstance(text, str) else text
        body: dict[str, Any] = {
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "temperature": 0,
            "max_tokens": 160,
            **more,
        }
        declared = [tool.declaration() for tool in tools]
        if declared:
            body["tools"] = declared
        try:
            message: dict[str, Any] = self.post("/v1/chat/completions", body)["choices"][0]["message"]
        except urllib.error.HTTPError as error:
            return {"content": f"HTTP {error.code}"}
        return message


def called(message: dict[str, Any]) -> Call | None:
    """The one tool call of a message, if there is exactly one and its arguments are JSON."""
    calls = message.get("tool_calls") or []
    if len(calls) != 1:
        return None
    try:
        return Call(calls[0]["function"]["name"], json.loads(calls[0]["function"]["arguments"]))
    except json.JSONDecodeError:
        return None


def same_template(engine: Engine) -> Score:
    """The corpus writes dialogues exactly as the template in the file does."""
    score = Score("dialogue text equal to the chat template's")
    for dialogue in islice(dialogues(SEED), 100):
        if any(message.given for message in dialogue.messages):
            continue
        messages: list[dict[str, Any]] = []
        for m in dialogue.messages:
            messages.append({"role": m.role, "content": m.content})
            if m.call is not None:
                arguments = json.dumps(m.call.arguments, ensure_ascii=False)
                messages[-1]["tool_calls"] = [
                    {"type": "function", "id": "0", "function": {"name": m.call.name, "arguments": arguments}}
                ]
        while messages[-1]["role"] == "assistant":
            messages.pop()
        body: dict[str, Any] = {"messages": messages}
        if dialogue.tools:
            body["tools"] = [tool.declaration() for tool in dialogue.tools]
        expected = prompt(Dialogue(dialogue.messages[: len(messages)], dialogue.tools))
        got = engine.post("/apply-template", body)["prompt"]
        score.count(got == expected, f"{expected!r} / {got!r}")
    return score


def facts(engine: Engine, *, chinese: bool) -> Score:
    score = Score(
        "facts in Traditional Chinese, unseen questions"
        if chinese
        else "facts about nearfar and itself, unseen questions"
    )
    for fact in tomllib.loads((HERE / "facts.toml").read_text(encoding="utf-8"))["fact"]:
        if fact["id"].startswith("zh-") == chinese:
            for question in fact["probe"]:
                answer = engine.ask(question)["content"]
                score.count(answer == fact["answer"], f"{question!r} -> {answer!r}")
    return score


def foreign(engine: Engine, probes: dict[str, Any]) -> Iterator[Score]:
    for title, questions, expected in (
        ('"I do not know" to unseen questions about other things', probes["foreign"], UNKNOWN),
        ("the same in Traditional Chinese", probes["foreign_zh"], UNKNOWN_ZH),
    ):
        score = Score(title)
        for question in questions:
            answer = engine.ask(question)["content"]
            score.count(answer == expected, f"{question!r} -> {answer!r}")
        yield score


def sums(engine: Engine, probes: dict[str, Any]) -> Score:
    score = Score("sums 0-20 (all 441 pairs are in the corpus), unseen phrases")
    for a in range(21):
        for b in range(21):
            answer = engine.ask(probes["sums"][(a + b) % len(probes["sums"])].format(a=a, b=b))["content"]
            score.count(answer == f"{a} + {b} = {a + b}.", f"{a} + {b} -> {answer!r}")
    return score


def echoes(engine: Engine, count: int) -> Score:
    score = Score("repeating made-up words, numbers and codes")
    words = Words(random.Random(SEED), unseen=True)
    makers: list[Callable[[], object]] = [words.made_up, words.code, words.whole]
    for _ in range(count):
        text = " ".join(str(maker()) for maker in words.random.choices(makers, k=3))
        answer = engine.ask(f"repeat: {text}")["content"]
        score.count(answer == text, f"{text!r} -> {answer!r}")
    return score


def tool_calls(engine: Engine, count: int, *, others: int, probes: bool = False) -> Score:
    """Known tools with unseen values, alone or among up to ``others`` more, most of them unseen."""
    company = f"among 0-{others} others" if others else "alone on offer"
    score = Score(f"tool calls, known tools {company}, unseen values" + (" and unseen phrases" if probes else ""))
    toolbox = Toolbox(Words(random.Random(SEED + probes), unseen=True), probes=probes)
    r = toolbox.random
    for _ in range(count):
        wanted = toolbox.request(r.choice(list(toolbox.known)))
        more = {request.tool.name: request.tool for request in (toolbox.any() for _ in range(r.randint(0, others)))}
        offered = [wanted.tool, *(tool for name, tool in more.items() if name != wanted.tool.name)]
        r.shuffle(offered)
        got = called(message := engine.ask(wanted.text, offered))
        score.count(got == wanted.call, f"{wanted.text!r} wants {wanted.call} -> {got or message.get('content')!r}")
    return score


def unseen_tools(engine: Engine, probes: dict[str, Any], count: int) -> Score:
    """Tools of which the corpus knows neither name nor wording."""
    score = Score("tool calls, unseen tools, unseen values")
    words = Words(random.Random(SEED + 2), unseen=True)
    toolbox = Toolbox(words)
    r = words.random
    for turn in range(count):
        entry = probes["tool"][turn % len(probes["tool"])]
        properties: dict[str, dict[str, Any]] = {}
        arguments: dict[str, Any] = {}
        for key, kind in entry["args"].items():
            properties[key] = {"type": JSON_TYPE.get(kind, "string")}
            if kind.startswith("enum:"):
                properties[key]["enum"] = kind.removeprefix("enum:").split("|")
                arguments[key] = r.choice(properties[key]["enum"])
            else:
                arguments[key] = words.made_up() if kind == "made" else words.value(kind)
        tool = Tool(entry["name"], entry["about"], properties, list(properties))
        said = {
            key: ("yes" if value else "no") if isinstance(value, bool) else value for key, value in arguments.items()
        }
        text = r.choice(entry["ask"]).format(**said)
        others = [toolbox.any().tool for _ in range(r.randint(0, 2))]
        offered = [tool, *{other.name: other for other in others if other.name != tool.name}.values()]
        r.shuffle(offered)
        got = called(message := engine.ask(text, offered))
        score.count(
            got == Call(tool.name, arguments), f"{text!r} wants {arguments} -> {got or message.get('content')!r}"
        )
    return score


def no_call(engine: Engine, probes: dict[str, Any]) -> Score:
    """Tools are on offer, but the question is about something else."""
    score = Score("no tool call where none fits")
    toolbox = Toolbox(Words(random.Random(SEED + 3), unseen=True))
    for question in [
        *probes["foreign"][:40],
        "hello",
        "what is nearfar",
        "thanks",
        "how do i add a model",
        "what is 3 + 4",
    ]:
        message = engine.ask(question, [toolbox.any().tool])
        score.count(not message.get("tool_calls"), f"{question!r} -> {called(message)}")
    return score


def replies(engine: Engine, count: int) -> Score:
    """After the tool's result the answer carries it."""
    score = Score("answers that repeat the tool's result")
    toolbox = Toolbox(Words(random.Random(SEED + 4), unseen=True))
    for _ in range(count):
        request = toolbox.any()
        call = {
            "type": "function",
            "id": "0",
            "function": {"name": request.call.name, "arguments": json.dumps(request.call.arguments)},
        }
        body = {
            "messages": [
                {"role": "user", "content": request.text},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "0", "content": request.result},
            ],
            "tools": [request.tool.declaration()],
            "temperature": 0,
            "max_tokens": 80,
        }
        answer = engine.post("/v1/chat/completions", body)["choices"][0]["message"].get("content") or ""
        score.count(answer == request.reply, f"{request.reply!r} -> {answer!r}")
    return score


def schemas(engine: Engine, count: int, *, strings: bool) -> Score:
    """Random schemas; right is JSON that ends by itself and fits. The grammar ends everything but free strings."""
    score = Score(f"answers that fit a JSON schema {'with' if strings else 'without'} free strings, 120 tokens at most")
    words = Words(random.Random(SEED + 5), unseen=True)
    r = words.random
    makers: list[Callable[[], dict[str, Any]]] = [
        lambda: {"type": "integer", "minimum": 0, "maximum": 9},
        lambda: {"type": "boolean"},
        lambda: {"enum": [words.made_up(), words.one("adjectives")]},
    ]
    if strings:
        makers = [makers[0], lambda: {"type": "string"}]
    for _ in range(count):
        properties = {words.made_up(): r.choice(makers)() for _ in range(r.randint(1, 3))}
        schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
        text = engine.ask(
            r.choice(("hello", "what is nearfar", "describe the " + words.one("nouns"))),
            response_format=wanted,
            max_tokens=120,
        )["content"]
        try:
            value = json.loads(text)
            good = value.keys() == properties.keys() and all(
                _fits(value[key], spec) for key, spec in properties.items()
            )
        except (json.JSONDecodeError, AttributeError):
            good = False
        score.count(good, f"{properties} -> {text!r}")
    return score


def _fits(value: Any, spec: dict[str, Any]) -> bool:
    if "enum" in spec:
        return value in spec["enum"]
    if spec["type"] == "integer":
        return type(value) is int and spec["minimum"] <= value <= spec["maximum"]
    return isinstance(value, {"string": str, "boolean": bool}[spec["type"]])


def speed(engine: Engine) -> str:
    """Decoding speed of one stream, and memory of this process."""
    best = 0.0
    for _ in range(3):
        reply = engine.post(
            "/v1/chat/completions",
            {
                "messages": [{"role": "user", "content": "tell me everything about nearfar"}],
                "temperature": 0,
                "max_tokens": 250,
            },
        )
        best = max(best, reply["timings"]["predicted_per_second"])
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    )
    return f"{best:.0f} tokens/s on one thread, {pages * 4 // 1024} MB resident with Python, on {model}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=300, help="tries of the random probes")
    parser.add_argument("--misses", type=int, default=0, help="show so many wrong answers of each kind")
    arguments = parser.parse_args()
    engine = Engine(arguments.model)
    probes = tomllib.loads((HERE / "probes.toml").read_text(encoding="utf-8"))
    began = time.monotonic()
    scores = [
        same_template(engine),
        tool_calls(engine, arguments.count, others=0),
        tool_calls(engine, arguments.count, others=3),
        tool_calls(engine, arguments.count, others=3, probes=True),
        unseen_tools(engine, probes, arguments.count),
        no_call(engine, probes),
        replies(engine, arguments.count // 3),
        sums(engine, probes),
        facts(engine, chinese=False),
        facts(engine, chinese=True),
        *foreign(engine, probes),
        echoes(engine, arguments.count // 3),
        schemas(engine, arguments.count // 3, strings=False),
        schemas(engine, arguments.count // 3, strings=True),
    ]
    print("| what | right |\n|---|---|")
    for score in scores:
        print(f"| {score.title} | {score.right} of {score.tries} ({100 * score.right / score.tries:.0f} %) |")
        for miss in score.misses[: arguments.misses]:
            print("    ", miss)
    print(f"\n{speed(engine)}; evaluated in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()

"""Rules of the house that a reader would otherwise have to check by eye, each shown to be able to fail."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

import pytest
from tests.arch.source import Module, dotted, imported, modules, nodes, parse

Rule = Callable[[Module], Iterator[str]]

MUTATORS = frozenset(
    {
        *("add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "popleft"),
        *("remove", "reverse", "setdefault", "sort", "update"),
    }
)
CONTAINERS = frozenset({"list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict", "bytearray", "Queue"})
CODE_FROM_DATA = frozenset(
    {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "multiprocessing"}
)
OPENERS = frozenset(
    {
        "create_connection",
        "create_unix_connection",
        "create_datagram_endpoint",
        "open_connection",
        "open_unix_connection",
        "sock_connect",
        "urlopen",
        "HTTPConnection",
        "HTTPSConnection",
    }
)
CLIENTS = frozenset(
    {"httpx", "httpx2", "aiohttp", "requests", "urllib3", "http.client", "urllib.request", "ftplib", "smtplib"}
)

MAY_CONNECT = {
    "gateway/transport.py": "the only opener of sockets to models",
    "gateway/credentials_google.py": "asks Google for the owner's token: no byte of a request is in it, never offline",
    "engine/process.py": "the Unix socket of a child that it started",
    "engine/sockets.py": "asks whether a child's Unix socket is still answered",
    "engine/isolate.py": "tries, from inside the child, that the network is really gone",
    "cli/": "talks to the owner's own running gateway",
    "standin/": "listens on loopback; it is no part of the gateway",
}
MAY_READ_ENVIRONMENT = {"settings/": "the only reader of the environment", "cli/main.py": "hands it to the settings"}


def allowed(path: str, table: dict[str, str]) -> bool:
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in table)


def environment(module: Module) -> Iterator[str]:
    """The environment is read in settings alone."""
    if allowed(module.path, MAY_READ_ENVIRONMENT):
        return
    for line, name in imported(module.tree):
        if name in {"os.environ", "os.getenv", "os.environb", "os.putenv"}:
            yield f"{line}: {name}"
    for node in nodes(module.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv", "os.environb", "os.putenv"}:
            yield f"{node.lineno}: {dotted(node)}"


def code_from_data(module: Module) -> Iterator[str]:
    """No pickle in any guise (multiprocessing's queues are one), no eval, no exec."""
    for line, name in imported(module.tree):
        if name.partition(".")[0] in CODE_FROM_DATA:
            yield f"{line}: import of {name}"
    for node in nodes(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) in {
            "eval",
            "exec",
            "compile",
            "__import__",
            "yaml.load",
            "torch.load",
        }:
            yield f"{node.lineno}: {dotted(node.func)}()"


def state(module: Module) -> Iterator[str]:
    """No module-level mutable state: a table of constants is upper case and never changed."""
    tables = set()
    for statement in module.tree.body:
        for target, value in _assigned(statement):
            if isinstance(target, ast.Name) and _is_container(value):
                tables.add(target.id)
                if target.id != target.id.upper() and target.id != "__all__":
                    yield f"{statement.lineno}: {target.id} is a container with a variable's name"
    for node in nodes(module.tree):
        if isinstance(node, ast.Global):
            yield f"{node.lineno}: global {', '.join(node.names)}"
        if tables and isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ):  # at the top level a table may still be built
            changes = {change for inner in ast.walk(node) if (change := _changed(inner))[0] in tables}
            yield from (f"{line}: {name} is changed" for name, line in sorted(changes))


def _assigned(node: ast.stmt) -> list[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.Assign):
        return [(target, node.value) for target in node.targets]
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return [(node.target, node.value)]
    return []


def _is_container(value: ast.expr) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp):
        return True
    return isinstance(value, ast.Call) and dotted(value.func).rpartition(".")[2] in CONTAINERS


def _changed(node: ast.AST) -> tuple[str, int]:
    """The name of the container that ``node`` changes, if any, and the line."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
        return dotted(node.func.value), node.lineno
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        return dotted(node.value), node.lineno
    if isinstance(node, ast.AugAssign):
        return dotted(node.target), node.lineno
    return "", 0


def connections(module: Module) -> Iterator[str]:
    """Connections are opened where the egress rule is enforced, and by what is not the gateway."""
    if allowed(module.path, MAY_CONNECT):
        return
    names = {name for _, name in imported(module.tree)}
    for line, name in imported(module.tree):
        if any(name == client or name.startswith(f"{client}.") for client in CLIENTS):
            yield f"{line}: import of {name}"
    for node in nodes(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func).rpartition(".")[2]
        given = any(keyword.arg == "sock" for keyword in node.keywords)
        if called in OPENERS and not given:  # with sock= it wraps a socket that somebody else opened
            yield f"{node.lineno}: {called}()"
        if called in {"connect", "connect_ex"} and "socket" in names and "." in dotted(node.func):
            yield f"{node.lineno}: {dotted(node.func)}()"


RULES: list[Rule] = [environment, code_from_data, state, connections]


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps(rule: Rule) -> None:
    broken = [f"{module.path}:{what}" for module in modules() for what in rule(module)]
    assert not broken, f"{rule.__doc__}\n" + "\n".join(broken)


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (environment, "server/app.py", "import os\nx = os.environ['HOME']"),
        (environment, "build.py", "from os import getenv"),
        (environment, "cli/serve.py", "import os\nos.getenv('X')"),
        (code_from_data, "engine/x.py", "import pickle"),
        (code_from_data, "engine/x.py", "from multiprocessing import Queue"),
        (code_from_data, "engine/x.py", "eval('1')"),
        (state, "wire/x.py", "cache = {}"),
        (state, "wire/x.py", "seen: set[str] = set()"),
        (state, "wire/x.py", "import collections\nidle = collections.deque()"),
        (state, "wire/x.py", "TABLE = {}\ndef f():\n    TABLE['a'] = 1"),
        (state, "wire/x.py", "TABLE = []\ndef f():\n    TABLE.append(1)"),
        (state, "wire/x.py", "TABLE = []\ndef f():\n    TABLE += [1]"),
        (state, "wire/x.py", "x = 1\ndef f():\n    global x"),
        (connections, "gateway/pipeline.py", "import asyncio\nasyncio.open_connection('h', 1)"),
        (connections, "gateway/pipeline.py", "async def f(loop):\n    await loop.create_connection(None, 'h', 1)"),
        (connections, "server/app.py", "import urllib.request"),
        (connections, "server/app.py", "from http import client"),
        (connections, "providers/x.py", "import httpx"),
        (connections, "ledger/x.py", "import socket\nsocket.socket().connect(('h', 1))"),
    ],
)
def test_each_rule_can_fail(rule: Rule, path: str, text: str) -> None:
    assert list(rule(parse(path, text)))


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (environment, "settings/environ.py", "import os\nx = os.environ"),
        (state, "cli/x.py", "TABLE = {}\nTABLE |= {'a': 1}"),
        (state, "wire/x.py", "TABLE = {'a': 1}\ndef f(own):\n    own['a'] = TABLE['a']"),
        (connections, "server/worker.py", "import asyncio\nasyncio.open_connection(sock=channel)"),
        (connections, "store/x.py", "import sqlite3\nsqlite3.connect('x')"),
        (connections, "gateway/transport.py", "async def f(loop):\n    await loop.create_connection(None, 'h', 1)"),
    ],
)
def test_what_a_rule_lets_through(rule: Rule, path: str, text: str) -> None:
    assert not list(rule(parse(path, text)))


@pytest.mark.parametrize("table", [MAY_CONNECT, MAY_READ_ENVIRONMENT])
def test_an_exception_that_nobody_needs_is_gone(table: dict[str, str]) -> None:
    paths = [module.path for module in modules()]
    assert [place for place in table if not any(allowed(path, {place: ""}) for path in paths)] == []

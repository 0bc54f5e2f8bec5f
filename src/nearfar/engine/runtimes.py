"""The engines that can run a model in a child: which program, which packages, how to install them.

It starts nothing and imports none of them.
"""

from __future__ import annotations

import importlib.util

import msgspec

from nearfar.core import install
from nearfar.core.errors import EngineError
from nearfar.engine import header
from nearfar.engine.messages import Ready


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """An engine."""

    title: str
    program: str
    """The module that the child runs."""
    packages: tuple[str, ...]
    """What must be importable."""
    extra: str
    """Of nearfar, which brings them."""
    batching: bool = False
    """Whether it answers several requests at once; else they wait for each other."""
    variables: dict[str, str] = {}
    """What its child finds in its environment besides."""

    @property
    def install(self) -> str:
        """What to do when a package is not there."""
        return f"Install it with: {install.command(self.extra)}"


LLAMA_CPP = Runtime(
    title="The embedded engine", program="nearfar.engine.child", packages=("xllamacpp",), extra="local", batching=True
)
TRANSFORMERS = Runtime(
    title="Transformers",
    program="nearfar.engine.child_transformers",
    packages=("torch", "transformers"),
    extra="transformers",
    variables={
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_OFFLINE": "1",
        "USE_HUB_KERNELS": "NO",  # else a configuration may ask for code from the hub
    },
)
ONNX = Runtime(
    title="ONNX Runtime GenAI",
    program="nearfar.engine.child_onnx",
    packages=("onnxruntime_genai",),
    extra="onnx",
    variables={"DO_NOT_TRACK": "1"},
)
_BY_NAME = {header.LLAMA_CPP: LLAMA_CPP, header.TRANSFORMERS: TRANSFORMERS, header.ONNX: ONNX}


def runtime(engine: str) -> Runtime:
    """The engine called ``engine`` in a model's header."""
    return _BY_NAME[engine]


def check(found: Runtime) -> None:
    """Raise EngineError if a package is not installed; nothing is imported."""
    if any(importlib.util.find_spec(package) is None for package in found.packages):
        raise EngineError(f"{found.title} is not installed.", code="engine_missing", hint=found.install)


def lacking(engine: str) -> str:
    """What to say of a model whose engine is not installed; empty when it is."""
    found = runtime(engine)
    try:
        check(found)
    except EngineError as error:
        return error.text
    return ""


def missing(found: Runtime, exc: ImportError) -> Ready:
    """What a child reports that cannot import its engine."""
    if isinstance(exc, ModuleNotFoundError) and exc.name in found.packages:
        return Ready(ok=False, code="engine_missing", error=f"{found.title} is not installed.", hint=found.install)
    return Ready(ok=False, code="engine_missing", error=f"{found.title} cannot be loaded: {exc}.", hint=found.install)

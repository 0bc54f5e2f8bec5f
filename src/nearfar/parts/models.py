"""The models of this machine and the engine that runs them. It knows no provider and no request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nearfar.core.errors import EngineError, NotFoundError
from nearfar.engine.estimate import plan
from nearfar.engine.header import LLAMA_CPP, ONNX, TRANSFORMERS
from nearfar.engine.library import Library, LocalModel
from nearfar.engine.supervisor import Supervisor
from nearfar.providers.base import Found
from nearfar.settings.load import Loaded
from nearfar.settings.model import Engine
from nearfar.settings.paths import private

_SYSTEMS = {LLAMA_CPP: "embedded", TRANSFORMERS: "transformers", ONNX: "onnx-runtime"}
"""Engine of a model of this machine → the provider record that describes it."""


def supervisor(loaded: Loaded) -> Supervisor:
    """The embedded engine over this machine's model files."""
    runtime = private(loaded.folders.runtime)
    return Supervisor(library(loaded), loaded.settings.engine, runtime, environ=loaded.environ.values())


def library(loaded: Loaded) -> Library:
    """The model files and folders of this machine."""
    return Library(loaded.folders.models)


def offered(loaded: Loaded) -> Callable[[], list[Found]]:
    """Tells which models of this machine can be asked, as it is now."""
    models = library(loaded)
    return lambda: [_found(model, loaded.settings.engine) for model in models.ls() if model.header is not None]


def lacking(loaded: Loaded) -> Callable[[str], EngineError | None]:
    """Tells why a model of this machine cannot be run, as it is now; None when it can."""
    models = library(loaded)
    return lambda name: _lacking(models, name)


def _lacking(models: Library, name: str) -> EngineError | None:
    try:
        models.get(name)
    except NotFoundError as missing:
        return EngineError(missing.message, code="engine_model_missing", hint=missing.hint)
    except EngineError as error:
        return error
    return None


def changed(loaded: Loaded) -> Callable[[], int]:
    """Tells when something last came into the models' folder or left it, in nanoseconds; 0 when there is none."""
    folder = library(loaded).folder
    return lambda: _changed(folder)


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _found(model: LocalModel, engine: Engine) -> Found:
    assert model.header is not None
    return Found(
        model=model.name,
        local_weights=True,
        # What a request really gets, which may be less than the model was trained for.
        context=plan(model.header, engine).context or None,
        operations=model.operations,
        provider=_SYSTEMS[model.header.engine],
    )

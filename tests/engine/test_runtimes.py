from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from nearfar.core import install
from nearfar.core.errors import EngineError
from nearfar.engine import header, runtimes
from nearfar.engine.process import PASSED, child_environment


@pytest.mark.parametrize("name", [header.LLAMA_CPP, header.TRANSFORMERS, header.ONNX])
def test_every_engine_has_its_program_and_its_extra(name: str, request: pytest.FixtureRequest) -> None:
    found = runtimes.runtime(name)
    assert importlib.util.find_spec(found.program) is not None
    assert f"[{found.extra}]" in found.install
    project = (Path(request.config.rootpath) / "pyproject.toml").read_text()
    assert f"\n{found.extra} = [" in project


def test_a_missing_package_is_said_with_its_extra() -> None:
    absent = runtimes.Runtime(title="It", program="x", packages=("sys", "no_such_package"), extra="it")
    with pytest.raises(EngineError, match="It is not installed") as caught:
        runtimes.check(absent)
    assert (caught.value.code, caught.value.hint) == ("engine_missing", absent.install)
    runtimes.check(runtimes.Runtime(title="It", program="x", packages=("sys",), extra=""))


def test_what_a_child_says_that_cannot_import_its_engine() -> None:
    gone = runtimes.missing(runtimes.TRANSFORMERS, ModuleNotFoundError("No module", name="torch"))
    assert (gone.error, gone.hint) == (
        "Transformers is not installed.",
        f"Install it with: {install.command('transformers')}",
    )
    broken = runtimes.missing(runtimes.ONNX, ImportError("libx.so: not found"))
    assert broken.error == "ONNX Runtime GenAI cannot be loaded: libx.so: not found."


def test_no_engine_calls_home_or_runs_code_of_the_hub() -> None:
    found = child_environment({"OPENAI_API_KEY": "x", "HF_TOKEN": "x", "PATH": "/bin"}, runtimes.TRANSFORMERS.variables)
    assert found["HF_HUB_OFFLINE"] == found["TRANSFORMERS_OFFLINE"] == found["HF_HUB_DISABLE_TELEMETRY"] == "1"
    assert found["USE_HUB_KERNELS"] == "NO"
    assert set(found) <= PASSED | set(runtimes.TRANSFORMERS.variables)


def test_no_engine_is_imported_by_asking() -> None:
    runtimes.runtime(header.TRANSFORMERS)
    assert not {"torch", "transformers", "onnxruntime_genai"} & set(sys.modules)


def test_what_is_said_of_a_model_whose_engine_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else sys)
    assert runtimes.lacking(header.ONNX) == ""
    assert runtimes.lacking(header.TRANSFORMERS).startswith("Transformers is not installed. Install it with: python")

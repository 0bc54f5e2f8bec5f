"""Amazon SageMaker's endpoints, by what their container speaks.

``options.region`` names the region; the endpoint is ``options.endpoint``, or else the deployment's model. The container
speaks OpenAI's chat completions (vLLM, SGLang, LMI, TGI with messages) unless ``options.container`` says ``tgi`` or
``lmi-lines``: then it is asked by a prompt, written by ``options.template``. ``options.wire = "openai"`` takes
SageMaker's own OpenAI door, with a bearer token as the deployment's key, or signed. Requests are signed.

Source: the service model sagemaker-runtime 2017-05-13 in botocore 1.44 and the SageMaker developer guide, read
2026-11-22.
"""

import msgspec

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

_CHAT = Provider(
    name="sagemaker",
    title="Amazon SageMaker",
    wire="sagemaker.invoke",
    base_url="https://runtime.sagemaker.{region}.amazonaws.com",
    options={
        "region": "",
        "wire": "invoke",
        "container": "openai",
        "endpoint": "",
        "inference_component": "",
        "template": "plain",
        "profile": "",
    },
    auth="aws:sagemaker",
    capabilities={"streaming": _YES, "tools": Capability(), "json_schema": Capability(), "images": Capability()},
    evidence=Evidence(
        label="schema",
        what="Requests equal botocore's and are signed alike, and its parser reads the same parts from the same "
        "frames; what containers say in them is from their documents.",
    ),
)
_PROMPT = msgspec.structs.replace(
    _CHAT,
    wire="sagemaker.invoke.tgi",
    capabilities={
        "streaming": _YES,
        "seed": _YES,
        **dict.fromkeys(
            ("tools", "images", "audio", "documents", "media_urls", "json_schema", "json_mode", "logprobs", "choices"),
            _NO,
        ),
    },
)

PROVIDER = msgspec.structs.replace(
    _CHAT,
    doors={
        "wire=openai": msgspec.structs.replace(
            _CHAT,
            wire="sagemaker.openai",
            base_url="https://runtime.sagemaker.{region}.amazonaws.com/endpoints/{endpoint}/openai/v1",
            evidence=Evidence(label="docs", what="The address and its authorisation are AWS's documents' alone."),
        ),
        "container=tgi": _PROMPT,
        "container=lmi-lines": msgspec.structs.replace(_PROMPT, wire="sagemaker.invoke.lines"),
    },
)

"""Amazon Bedrock, by any of its doors.

``options.region`` names the region. Converse is spoken unless ``options.wire`` says ``openai`` (OpenAI's chat
completions, for the models that have them) or ``anthropic`` (Claude's own messages, by InvokeModel). The model is an
id, an inference profile (``us.``, ``eu.``, ``global.`` before the id) or an ARN. Requests are signed; a bearer token
(``AWS_BEARER_TOKEN_BEDROCK``, or the deployment's key) is sent instead where there is one.

Source: the service model bedrock-runtime 2023-09-30 in botocore 1.44 and the Bedrock user guide, read 2026-11-22.
"""

from nearfar.core.routing import Capability
from nearfar.providers.base import Evidence, Provider

_YES = Capability(can=True, source="catalogue", date="2026-11-22")
_NO = Capability(can=False, source="catalogue", date="2026-11-22")

_OPTIONS = {"region": "", "wire": "converse", "profile": ""}
_KEY = ("AWS_BEARER_TOKEN_BEDROCK",)
_EVIDENCE = Evidence(
    label="schema",
    what="Requests pass botocore's validator and serialiser, signatures equal botocore's, and its parser reads the "
    "same from the same frames, whole and cut; AWS itself was not asked.",
)

PROVIDER = Provider(
    name="bedrock",
    title="Amazon Bedrock",
    wire="bedrock.converse",
    embeddings_wire="bedrock.embed",
    base_url="https://bedrock-runtime.{region}.amazonaws.com",
    options=_OPTIONS,
    key_env=_KEY,
    auth="aws:bedrock",
    capabilities={
        "streaming": _YES,
        "tools": Capability(),
        "images": Capability(),
        "documents": Capability(),
        "json_schema": Capability(),
        "embeddings": Capability(),
        "media_urls": _NO,
        "json_mode": _NO,
        "logprobs": _NO,
        "choices": _NO,
        "token_input": _NO,
    },
    doors={
        "wire=openai": Provider(
            name="bedrock",
            title="Amazon Bedrock",
            wire="openai.chat",
            base_url="https://bedrock-runtime.{region}.amazonaws.com/openai/v1",
            options=_OPTIONS,
            key_env=_KEY,
            auth="aws:bedrock",
            capabilities={"streaming": _YES, "tools": Capability(), "choices": _NO},
            evidence=Evidence(label="docs", what="The address and its authorisation are AWS's documents' alone."),
        ),
        "wire=anthropic": Provider(
            name="bedrock",
            title="Amazon Bedrock",
            wire="bedrock.anthropic",
            base_url="https://bedrock-runtime.{region}.amazonaws.com",
            options=_OPTIONS,
            key_env=_KEY,
            auth="aws:bedrock",
            capabilities={
                "streaming": _YES,
                "tools": _YES,
                "tool_choice": _YES,
                "images": _YES,
                "media_urls": _NO,
                "json_mode": _NO,
                "audio": _NO,
                "logprobs": _NO,
                "choices": _NO,
            },
            evidence=_EVIDENCE,
        ),
    },
    evidence=_EVIDENCE,
)

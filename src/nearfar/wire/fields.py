"""Checks on a client's fields, with errors that say what came, what was expected and the next step. No dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from nearfar.core.conversation import ToolCall
from nearfar.core.errors import BadRequestError

STEERING = frozenset(
    {
        "adapter_id",  # TGI, LoRAX: weights to load
        "adapter_source",
        "api_base",
        "api_key",
        "api_token",
        "api_type",
        "api_version",
        "aws_access_key_id",
        "aws_bedrock_runtime_endpoint",
        "aws_profile_name",
        "aws_region_name",
        "aws_role_name",
        "aws_secret_access_key",
        "aws_session_name",
        "aws_session_token",
        "aws_sts_endpoint",
        "aws_web_identity_token",
        "azure_ad_token",
        "azure_endpoint",
        "base_url",
        "bootstrap_host",  # SGLang: another server that computes the prompt
        "bootstrap_port",
        "bootstrap_room",
        "client_secret",
        "content_policy_fallbacks",
        "context_window_fallback_dict",
        "context_window_fallbacks",
        "custom_llm_provider",
        "default_headers",
        "default_query",
        "deployment_id",
        "extra_body",
        "extra_headers",
        "extra_query",
        "failure_callback",
        "fallbacks",
        "headers",
        "kv_transfer_params",  # vLLM: another server that holds the prompt's state
        "lora_path",
        "mock_response",
        "model_list",
        "models",  # OpenRouter, LiteLLM: others to ask
        "organization",
        "preset",  # OpenRouter: stored instructions and choice of providers
        "prompt_embeds",
        "provider",  # OpenRouter
        "proxy",
        "route",  # OpenRouter
        "router_settings",
        "success_callback",
        "user_config",
        "vertex_ai_credentials",
        "vertex_ai_location",
        "vertex_ai_project",
        "vertex_credentials",
        "vertex_location",
        "vertex_project",
    }
)
"""Members that some gateways and servers obey: they would say where a request goes, with whose key, or smuggle content
past the scan (``prompt_embeds``). Only the owner's configuration says that here."""

_NAMES = {
    type(None): "missing or null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def wrong(param: str, value: object, wanted: str, *, hint: str = "") -> BadRequestError:
    """The error for a field whose value has the wrong type or is empty."""
    got = "empty" if value in ("", [], {}) else _NAMES.get(type(value), type(value).__name__)
    return BadRequestError(f"{param} is {got}; it must be {wanted}.", code="invalid_type", param=param, hint=hint)


def no_tools(param: str) -> BadRequestError:
    """The error for a request that insists on a call of a tool and offers none, as the vendors' own servers say."""
    return BadRequestError(
        f"{param} insists on a tool, and the request offers none.", param=param, hint="Add tools, or leave it out."
    )


def refuse_steering(values: dict[str, Any]) -> None:
    """Raise BadRequestError for a member that would steer the gateway."""
    if STEERING.isdisjoint(values):
        return
    name = next(key for key in values if key in STEERING)
    message = f"{name} is not accepted in a request: where it goes and with which key is the owner's configuration."
    raise BadRequestError(message, code="steering_parameter", param=name, hint="Leave it out.")


def boolean(values: dict[str, Any], name: str, *, where: str = "") -> bool:
    """A member that is true, false, null or absent."""
    value = values.get(name)
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise wrong(where + name, value, "true or false")


def integer(values: dict[str, Any], name: str, *, low: int = 1, high: int = 2**31 - 1) -> int | None:
    """A member that is a whole number from ``low`` to ``high``; None when it is null or absent."""
    value = values.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(name, value, "a whole number")
    if not low <= value <= high:
        message = f"{name} is {value}; it must be between {low} and {high}."
        raise BadRequestError(message, code="invalid_value", param=name)
    return value


def call_arguments(call: ToolCall, vendor: str) -> msgspec.Raw:
    """The arguments of ``call`` as the JSON object that ``vendor`` takes; BadRequestError for anything else."""
    text = call.arguments.strip() or "{}"
    try:
        msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError) as exc:
        message = (
            f"The arguments of the call {call.id!r} to {call.name!r} are no JSON object; {vendor} takes nothing else."
        )
        hint = "Send the call as the model made it, or leave it out."
        raise BadRequestError(message, code="unsupported", param="messages", hint=hint) from exc
    return msgspec.Raw(text.encode())

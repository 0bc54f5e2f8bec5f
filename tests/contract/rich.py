"""A request in each dialect that says everything the dialect has a word for."""

from __future__ import annotations

import base64
from typing import Any

from nearfar.wire.openai_responses_conversation import SEAL

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 30).decode()
MINE = base64.b64encode(b"nearfar1:anthropic:signature:abc").decode()
SEALED = SEAL + base64.b64encode(b'{"signature":"a"}').decode()
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "enum": ["x"], "anyOf": [{"type": "null"}]}, "b": {"$ref": "#/$defs/c"}},
    "$defs": {"c": {"type": ["string", "null"]}},
    "required": ["a"],
}
REQUESTS: dict[str, dict[str, Any]] = {
    "openai.chat": {
        "model": "m",
        "max_tokens": 5,
        "temperature": 1,
        "top_p": 0.5,
        "n": 1,
        "stop": ["a"],
        "seed": 1,
        "user": "u",
        "logprobs": True,
        "top_logprobs": 2,
        "stream": False,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "low",
        "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": SCHEMA}},
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "strict": True, "parameters": SCHEMA}}
        ],
        "metadata": {"a": "b"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "messages": [
            {"role": "system", "content": "s", "name": "n"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG, "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": "c",
                "refusal": None,
                "reasoning_content": "r",
                "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                        "extra_content": {"google": {"thought_signature": "AA=="}},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": '{"x":1}'}]},
            {"role": "user", "content": "y"},
        ],
    },
    "anthropic.messages": {
        "model": "m",
        "max_tokens": 3000,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "5m"}}],
        "temperature": 1,
        "top_k": 3,
        "top_p": 0.4,
        "stop_sequences": ["a"],
        "metadata": {"user_id": "u"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
        "service_tier": "auto",
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "tools": [
            {"name": "f", "description": "d", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
            {"type": "bash_20250124", "name": "bash"},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x", "citations": []},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
                        "title": "t",
                        "context": "c",
                        "citations": {"enabled": True},
                    },
                    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "AAAA"}},
                    {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "q"}]}},
                    {"type": "search_result", "source": "x", "title": "t", "content": [{"type": "text", "text": "a"}]},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "google:AA=="},
                    {"type": "redacted_thinking", "data": "d"},
                    {"type": "text", "text": "x"},
                    {
                        "type": "tool_use",
                        "id": "c1",
                        "name": "f",
                        "input": {"a": 1},
                        "extra_content": {"google": {"thought_signature": "AA=="}},
                    },
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "is_error": True,
                        "content": [
                            {"type": "text", "text": "x"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        ],
                    },
                    {"type": "text", "text": "z"},
                ],
            },
        ],
    },
    "gemini.generate": {
        "model": "m",
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "x"},
                    {"inlineData": {"mimeType": "image/png", "data": PNG, "displayName": "d"}},
                    {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}, "videoMetadata": {"fps": 1}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "t", "thought": True, "thoughtSignature": MINE},
                    {"functionCall": {"name": "f", "id": "c1", "args": {"a": 1}}, "thoughtSignature": "AA=="},
                    {"executableCode": {"language": "PYTHON", "code": "1"}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {
                        "functionResponse": {
                            "name": "f",
                            "id": "c1",
                            "response": {"result": {"x": 1}},
                            "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}],
                        }
                    }
                ],
            },
        ],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {"a": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["a"]}},
                            "required": ["a"],
                            "propertyOrdering": ["a"],
                        },
                        "response": {"type": "STRING"},
                    },
                    {"name": "g", "parametersJsonSchema": SCHEMA},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "safetySettings": [{"category": "a", "threshold": "b"}],
        "labels": {"a": "b"},
        "generationConfig": {
            "temperature": 1,
            "topP": 0.4,
            "topK": 3,
            "maxOutputTokens": 40,
            "stopSequences": ["a"],
            "seed": 1,
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
            "responseLogprobs": True,
            "logprobs": 2,
            "presencePenalty": 0.1,
            "frequencyPenalty": 0.1,
            "thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True, "thinkingLevel": "low"},
            "responseModalities": ["TEXT"],
            "speechConfig": {},
            "mediaResolution": "x",
        },
    },
    "ollama.chat": {
        "model": "m",
        "stream": False,
        "think": "low",
        "format": SCHEMA,
        "keep_alive": "5m",
        "logprobs": True,
        "top_logprobs": 2,
        "options": {
            "temperature": 1,
            "num_ctx": 100,
            "num_predict": 4,
            "stop": ["a"],
            "seed": 1,
            "top_k": 2,
            "mirostat": 1,
            "min_p": 0.1,
        },
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "x", "images": [PNG]},
            {
                "role": "assistant",
                "content": "",
                "thinking": "t",
                "tool_calls": [{"id": "c1", "function": {"name": "f", "index": 0, "arguments": {"a": 1}}}],
            },
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
            {"role": "user", "content": "z"},
        ],
    },
    "openai.responses": {
        "model": "m",
        "store": False,
        "instructions": "i",
        "max_output_tokens": 20,
        "temperature": 1,
        "top_logprobs": 2,
        "include": ["reasoning.encrypted_content"],
        "metadata": {"a": "b"},
        "parallel_tool_calls": True,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}},
        "truncation": "auto",
        "tool_choice": {"type": "function", "name": "f"},
        "tools": [
            {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
            {"type": "custom", "name": "k", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
            {"type": "web_search", "filters": {}},
            {"type": "namespace", "name": "ns", "tools": [{"type": "function", "name": "q", "parameters": SCHEMA}]},
        ],
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "x"},
                    {"type": "input_image", "image_url": "data:image/png;base64," + PNG, "detail": "low"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs",
                "summary": [{"type": "summary_text", "text": "t"}],
                "encrypted_content": SEALED,
            },
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "q", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "x"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "k", "input": "i"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "x"}]},
            {"role": "user", "content": "y"},
        ],
    },
    "bedrock.converse": {
        "modelId": "m",
        "system": [{"text": "s"}, {"cachePoint": {"type": "default"}}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 1, "topP": 0.4, "stopSequences": ["a"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}, "strict": True}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"tool": {"name": "f"}},
        },
        "outputConfig": {
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}", "name": "n"}}}
        },
        "additionalModelRequestFields": {"top_k": 3, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        "guardrailConfig": {"guardrailIdentifier": "x"},
        "requestMetadata": {"a": "b"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "x"},
                    {"image": {"format": "png", "source": {"bytes": PNG}}},
                    {"document": {"format": "pdf", "name": "n", "source": {"bytes": "AAAA"}}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
                    {"reasoningContent": {"redactedContent": "AAAA"}},
                    {"toolUse": {"toolUseId": "c1", "name": "f", "input": {"a": 1}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "c1",
                            "status": "error",
                            "content": [
                                {"text": "x"},
                                {"json": {"a": 1}},
                                {"image": {"format": "png", "source": {"bytes": PNG}}},
                            ],
                        }
                    },
                    {"text": "z"},
                ],
            },
        ],
    },
    "ollama.generate": {
        "model": "m",
        "prompt": "x",
        "system": "s",
        "images": [PNG],
        "stream": False,
        "think": True,
        "format": "json",
        "options": {"temperature": 1},
    },
    "openai.completions": {
        "model": "m",
        "prompt": "x",
        "max_tokens": 3,
        "stop": ["a"],
        "logprobs": 2,
        "temperature": 1,
        "n": 1,
        "best_of": 1,
        "user": "u",
    },
    "openai.embeddings": {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "base64", "user": "u"},
    "ollama.embed": {
        "model": "m",
        "input": ["a"],
        "truncate": True,
        "dimensions": 3,
        "options": {"num_ctx": 100},
        "keep_alive": "5m",
    },
    "gemini.embed": {
        "model": "m",
        "requests": [
            {
                "model": "m",
                "content": {"parts": [{"text": "x"}]},
                "taskType": "A",
                "title": "t",
                "outputDimensionality": 3,
            }
        ],
    },
}

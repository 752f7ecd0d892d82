"""Every field of a chat request (§2.1), and what of it each wire sends to its vendor."""

import json
from pathlib import Path
from typing import Any

Sent = dict[str, Any]

PIXEL = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}

# What is asked for, by field.
FIELDS: dict[str, Sent] = {
    "models": {"models": ["openai/plain"]},
    "provider": {"provider": {"allow_fallbacks": True}},
    "route": {"route": "fallback"},
    "preset": {"preset": "mine"},
    "stream_options": {"stream_options": {"include_usage": False}},
    "usage": {"usage": {"include": False}},
    "max_tokens": {"max_tokens": 77},
    "max_completion_tokens": {"max_completion_tokens": 77},
    "temperature": {"temperature": 0.5},
    "top_p": {"top_p": 0.25},
    "top_k": {"top_k": 7},
    "min_p": {"min_p": 0.125},
    "top_a": {"top_a": 0.125},
    "frequency_penalty": {"frequency_penalty": 0.75},
    "presence_penalty": {"presence_penalty": -0.75},
    "repetition_penalty": {"repetition_penalty": 1.25},
    "seed": {"seed": 11},
    "logit_bias": {"logit_bias": {"50": -100}},
    "logprobs": {"logprobs": True},
    "top_logprobs": {"logprobs": True, "top_logprobs": 3},
    "stop": {"stop": ["END", "FIN"]},
    "n": {"n": 2},
    "response_format json_object": {"response_format": {"type": "json_object"}},
    "response_format json_schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
    },
    "response_format grammar": {"response_format": {"type": "grammar", "grammar": "root ::= [a-z]+"}},
    "tools": {"tools": [TOOL]},
    "tool_choice": {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}},
    "parallel_tool_calls": {"tools": [TOOL], "parallel_tool_calls": False},
    "max_tool_calls": {"max_tool_calls": 3},
    "stop_server_tools_when": {"stop_server_tools_when": [{"type": "step_count_is", "step_count": 2}]},
    "reasoning.effort": {"reasoning": {"effort": "high"}},
    "reasoning.max_tokens": {"reasoning": {"max_tokens": 2000}},
    "reasoning_effort": {"reasoning_effort": "low"},
    "include_reasoning": {"include_reasoning": True},
    "verbosity": {"verbosity": "low"},
    "plugins (off)": {"plugins": [{"id": "web", "enabled": False}]},
    "transforms": {"transforms": ["middle-out"]},
    "prediction": {"prediction": {"type": "content", "content": "Rome"}},
    "modalities": {"modalities": ["text"]},
    "audio": {"audio": {"voice": "alloy", "format": "mp3"}},
    "image_config": {"image_config": {"aspect_ratio": "16:9", "image_size": "2K"}},
    "service_tier": {"service_tier": "auto"},
    "user": {"user": "customer-7"},
    "session_id": {"session_id": "session-7"},
    "metadata": {"metadata": {"a": "b"}},
    "trace": {"trace": {"trace_id": "t"}},
    "cache_control": {"cache_control": {"type": "ephemeral"}},
    "prompt_cache_key": {"prompt_cache_key": "cache-7"},
    "prompt_cache_options": {"prompt_cache_options": {"mode": "explicit"}},
    "web_search_options": {"web_search_options": {"search_context_size": "low"}},
    "unknown fields": {"made_up": 1},
    "part image_url": {"messages": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}]},
    "part image_url, a link": {"messages": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]},
    "part file": {
        "messages": [
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}}
        ]
    },
    "part input_audio": {"messages": [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]},
    "part video_url": {"messages": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}]},
    "prefill": {
        "messages": [{"role": "user", "content": "Rome?"}, {"role": "assistant", "content": "It is"}],
    },
    "name of a message": {"messages": [{"role": "user", "name": "alice", "content": "Rome?"}]},
    "part cache_control": {
        "messages": [{"type": "text", "text": "Rome?", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    },
}


def body(name: str) -> Sent:
    """A list of parts stands for the one message that has them."""
    fields = dict(FIELDS[name])
    messages = fields.pop("messages", None) or [{"role": "user", "content": "Rome?"}]
    if "role" not in messages[0]:
        messages = [{"role": "user", "content": messages}]
    return {"messages": messages, **fields}


def flat(value: Any, place: str = "") -> Sent:
    """Leaves by their path."""
    if isinstance(value, dict) and value:
        return {
            path: leaf for key, one in value.items() for path, leaf in flat(one, f"{place}.{key}".strip(".")).items()
        }
    if isinstance(value, list) and value:
        return {path: leaf for at, one in enumerate(value) for path, leaf in flat(one, f"{place}[{at}]").items()}
    return {place: value}


def difference(plain: Sent, sent: Sent) -> Sent:
    """What is new or other in what was sent; None for what is gone."""
    before, after = flat(plain), flat(sent)
    gone: Sent = dict.fromkeys(before.keys() - after.keys())
    return gone | {path: leaf for path, leaf in after.items() if path not in before or before[path] != leaf}


# Read through by hand: leaves of the vendor's body by their path, nothing where it is left out, or the refusal.
EXPECTED: dict[str, dict[str, Sent | str]] = json.loads((Path(__file__).parent / "fields.json").read_text())

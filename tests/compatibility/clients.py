"""The skins as their clients use them: a question in, what a client makes of the answer out."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "additionalProperties": False}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
Body = dict[str, Any]


@dataclass
class Heard:
    text: str = ""
    calls: dict[int, tuple[str, str]] = field(default_factory=dict)
    # prompt, completion and cached tokens
    usage: tuple[int, int, int] | None = None
    has_ended: bool = False
    error: Any = None
    # The answer as the client puts it into its next request
    turn: list[Any] = field(default_factory=list)

    def calls_on(self, index: int, name: str, arguments: str) -> None:
        known = self.calls.get(index, ("", ""))
        self.calls[index] = (known[0] + name, known[1] + arguments)


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data:").strip() for line in response.text.split("\n") if line.startswith("data:")]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


class Chat:
    path = "/chat/completions"

    def question(self, feature: str, turn: list[Any]) -> Body:
        content: Any = "Rome?"
        if feature == "images":
            url = {"url": f"data:image/png;base64,{PIXEL}"}
            content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": url}]
        body: Body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4000}
        if turn:
            body["messages"] += [*turn, {"role": "user", "content": "And of Norway?"}]
        match feature:
            case "tools":
                body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": PARAMETERS}}]
            case "schema":
                shape = {"name": "place", "schema": SCHEMA, "strict": True}
                body["response_format"] = {"type": "json_schema", "json_schema": shape}
            case "reasoning":
                body["reasoning"] = {"effort": "high"}
        return body

    def whole(self, body: Body) -> Heard:
        message = body["choices"][0]["message"]
        heard = Heard(message["content"] or "", usage=self.usage(body["usage"]), turn=[message], has_ended=True)
        for index, call in enumerate(message.get("tool_calls", [])):
            heard.calls_on(index, call["function"]["name"], call["function"]["arguments"])
        return heard

    def stream(self, chunks: list[Any]) -> Heard:
        heard = Heard(has_ended=chunks[-1] == "[DONE]")
        for chunk in chunks[:-1] if heard.has_ended else chunks:
            heard.error = chunk.get("error", heard.error)
            if "usage" in chunk:
                heard.usage = self.usage(chunk["usage"])
            for choice in chunk["choices"]:
                self.hear(heard, choice)
        return heard

    def hear(self, heard: Heard, choice: Body) -> None:
        delta = choice["delta"]
        heard.text += delta.get("content") or ""
        for call in delta.get("tool_calls", []):
            function = call["function"]
            heard.calls_on(call["index"], function.get("name", ""), function.get("arguments", ""))

    def usage(self, usage: Body) -> tuple[int, int, int]:
        return usage["prompt_tokens"], usage["completion_tokens"], usage["prompt_tokens_details"]["cached_tokens"]

    def error(self, body: Body) -> bool:
        return bool(body["error"]["metadata"]["error_type"] == "provider_overloaded")


class Completions(Chat):
    path = "/completions"

    def question(self, feature: str, turn: list[Any]) -> Body:
        body: Body = {"prompt": "Rome?", "max_tokens": 4000}
        if feature == "schema":
            shape = {"name": "place", "schema": SCHEMA, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": shape}
        return body

    def whole(self, body: Body) -> Heard:
        return Heard(body["choices"][0]["text"], usage=self.usage(body["usage"]), has_ended=True)

    def hear(self, heard: Heard, choice: Body) -> None:
        heard.text += choice["text"]


class Messages:
    path = "/messages"

    def question(self, feature: str, turn: list[Any]) -> Body:
        content: Any = "Rome?"
        if feature == "images":
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content = [{"type": "text", "text": "What?"}, {"type": "image", "source": source}]
        body: Body = {"messages": [{"role": "user", "content": content}], "max_tokens": 4000}
        if turn:
            body["messages"] += [{"role": "assistant", "content": turn}, {"role": "user", "content": "And of Norway?"}]
        match feature:
            case "tools":
                body["tools"] = [{"name": "weather", "input_schema": PARAMETERS}]
            case "schema":
                body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
            case "reasoning":
                body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        return body

    def whole(self, body: Body) -> Heard:
        heard = Heard(usage=self.usage(body["usage"]), turn=body["content"], has_ended=True)
        for block in body["content"]:
            if block["type"] == "text":
                heard.text += block["text"]
            elif block["type"] == "tool_use":
                heard.calls_on(len(heard.calls), block["name"], json.dumps(block["input"]))
        return heard

    def stream(self, told: list[Any]) -> Heard:
        heard = Heard()
        places: dict[int, int] = {}
        for event in told:
            match event["type"]:
                case "content_block_start" if event["content_block"]["type"] == "tool_use":
                    places[event["index"]] = len(places)
                    heard.calls_on(places[event["index"]], event["content_block"]["name"], "")
                case "content_block_delta":
                    delta = event["delta"]
                    heard.text += delta.get("text", "")
                    if "partial_json" in delta:
                        heard.calls_on(places[event["index"]], "", delta["partial_json"])
                case "message_delta":
                    heard.usage = self.usage(event["usage"])
                case "message_stop":
                    heard.has_ended = True
                case "error":
                    heard.error = event["error"]
        return heard

    def usage(self, usage: Body) -> tuple[int, int, int]:
        read = usage.get("cache_read_input_tokens") or 0
        written = usage.get("cache_creation_input_tokens") or 0
        return usage["input_tokens"] + read + written, usage["output_tokens"], read

    def error(self, body: Body) -> bool:
        return bool(body["type"] == "error" and body["error"]["type"] == "overloaded_error")


class Responses:
    path = "/responses"

    def question(self, feature: str, turn: list[Any]) -> Body:
        content: list[Any] = [{"type": "input_text", "text": "Rome?"}]
        if feature == "images":
            content.append({"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"})
        body: Body = {"input": [said(content)], "max_output_tokens": 4000}
        if turn:
            body["input"] += [*turn, said([{"type": "input_text", "text": "And of Norway?"}])]
        match feature:
            case "tools":
                body["tools"] = [{"type": "function", "name": "weather", "parameters": PARAMETERS, "strict": True}]
            case "schema":
                shape = {"type": "json_schema", "name": "place", "schema": SCHEMA, "strict": True}
                body["text"] = {"format": shape}
            case "reasoning":
                body |= {"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]}
        return body

    def whole(self, body: Body) -> Heard:
        heard = Heard(usage=self.usage(body["usage"]), turn=body["output"], has_ended=body["status"] == "completed")
        for item in body["output"]:
            if item["type"] == "message":
                heard.text += "".join(part.get("text", "") for part in item["content"])
            elif item["type"] == "function_call":
                heard.calls_on(len(heard.calls), item["name"], item["arguments"])
        return heard

    def stream(self, told: list[Any]) -> Heard:
        heard = Heard()
        for event in told:
            if event == "[DONE]":
                continue
            match event["type"]:
                case "response.output_text.delta":
                    heard.text += event["delta"]
                case "response.completed":
                    whole = self.whole(event["response"])
                    heard.has_ended, heard.usage, heard.calls = True, whole.usage, whole.calls
                case "response.failed":
                    heard.error = event["response"]["error"]
                case "error":
                    heard.error = event
        return heard

    def usage(self, usage: Body) -> tuple[int, int, int]:
        return usage["input_tokens"], usage["output_tokens"], usage["input_tokens_details"]["cached_tokens"]

    def error(self, body: Body) -> bool:
        return bool(body["error"]["metadata"]["error_type"] == "provider_overloaded")


def said(content: list[Any]) -> Body:
    return {"type": "message", "role": "user", "content": content}


SKINS: dict[str, Any] = {"chat": Chat(), "responses": Responses(), "messages": Messages(), "completions": Completions()}

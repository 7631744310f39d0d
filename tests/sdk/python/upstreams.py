"""Upstreams that are told what to answer, and what reached them; bodies of every dialect read alike."""

import json
import urllib.request

from checks import API_KEY


def say(text):
    """An answer in words."""
    return {"say": text}


def call(tool, /, _text=None, **arguments):
    """A call of a tool, behind a text if there is one."""
    step = {"call": [[tool, arguments]]}
    return step if _text is None else {**step, "say": _text}


def ask(url, body=None):
    """Gets, or posts, and answers the JSON that comes back."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)


def tools_of(body):
    """The names of the tools that an upstream was given."""
    return [tool.get("name") or tool["function"]["name"] for tool in body.get("tools") or []]


def told(body):
    """The conversation that an upstream was given, in words.

    `system: text`, `user: text`, `assistant: text`, `assistant calls name {arguments}`, `result: text`.
    """
    lines = []
    system = body.get("system") or body.get("instructions")
    if system:
        lines.append(f"system: {_text(system)}")
    talk = body["messages"] if "messages" in body else body["input"]
    for item in [{"role": "user", "content": talk}] if isinstance(talk, str) else talk:
        lines += _lines(item)
    return lines


def _lines(item):
    """What one message says, or one item of the Responses API."""
    if item.get("type") == "function_call":
        return [_called(item["name"], json.loads(item["arguments"]))]
    if item.get("type") == "function_call_output":
        return [f"result: {_text(item['output'])}"]
    role, content = item["role"], item.get("content")
    role = "system" if role == "developer" else role
    if role == "tool":
        return [f"result: {_text(content)}"]
    lines = []
    for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
        if block["type"] in ("text", "input_text", "output_text"):
            lines.append(f"{role}: {block['text']}")
        elif block["type"] == "tool_use":
            lines.append(_called(block["name"], block["input"]))
        elif block["type"] == "tool_result":
            lines.append(f"result: {_text(block['content'])}")
        else:
            lines.append(f"{role}: {block}")
    for one in item.get("tool_calls") or []:
        lines.append(_called(one["function"]["name"], json.loads(one["function"]["arguments"])))
    return lines


def _called(name, arguments):
    return f"assistant calls {name} {json.dumps(arguments, ensure_ascii=False)}"


def _text(content):
    return content if isinstance(content, str) else "".join(block["text"] for block in content)

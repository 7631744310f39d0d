"""Upstreams that are told what to answer, what reached them, and what the gateway wrote down.

Beside the environment of checks.py:

    OPENAI      where the scripted upstream of OpenAI's dialect is; it serves GPT models
    ANTHROPIC   where the one of Anthropic's dialect is; it serves Claude models
"""

import json
import os
import time
import urllib.request
from contextlib import contextmanager

from checks import API_KEY, BASE_URL, same

UPSTREAMS = {"openai": os.environ["OPENAI"], "anthropic": os.environ["ANTHROPIC"]}

MINI = "openai/gpt-4o-mini"
SONNET = "anthropic/claude-sonnet-4-20250514"
TO_MINI = "transfer_to_gpt_4o_mini"
TO_SONNET = "transfer_to_claude_sonnet_4_20250514"


def say(text):
    """An answer in words."""
    return {"say": text}


def call(tool, /, _text=None, **arguments):
    """A call of a tool, behind a text if there is one."""
    step = {"call": [[tool, arguments]]}
    return step if _text is None else {**step, "say": _text}


def _ask(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {API_KEY}"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.load(answer)


class Scene:
    """What happened since the upstreams were told what to answer."""

    def __init__(self):
        self.since = time.time_ns() // 1_000_000

    def seen(self, upstream):
        """The bodies of the requests that reached an upstream, in order."""
        return [one["body"] for one in _ask(f"{UPSTREAMS[upstream]}/__seen")["seen"]]

    def runs(self, count):
        """The decisions of each run, oldest first: a run for each request of the client."""
        deadline = time.monotonic() + 20
        while True:
            page = _ask(f"{BASE_URL}/v1/decisions?limit=100")["data"]
            # An id begins with the milliseconds of its time.
            ids = sorted({one["run"] for one in page if int(one["run"][4:16], 16) >= self.since})
            if len(ids) >= count:
                break
            assert time.monotonic() < deadline, f"{len(ids)} of {count} runs were written down"
            time.sleep(0.02)
        same(len(ids), count, "requests of the client")
        return [_ask(f"{BASE_URL}/v1/decisions/{run}")["decisions"] for run in ids]

    def story(self, count):
        """The same, a line for each decision."""
        return [[line(decision) for decision in run] for run in self.runs(count)]


def line(decision):
    """`turn.hop kind code`, then from whom and to whom."""
    shown = f"{decision['turn']}.{decision['hop']} {decision['kind']} {decision['reason']['code']}"
    if decision.get("from"):
        shown += f" {decision['from']} ->"
    return f"{shown} {decision.get('to', '-')}"


@contextmanager
def scene(openai=(), anthropic=()):
    """Tells both upstreams what to answer, in order; fails when an answer was not asked for."""
    for upstream, steps in (("openai", openai), ("anthropic", anthropic)):
        _ask(f"{UPSTREAMS[upstream]}/__script", list(steps))
    yield Scene()
    left = {upstream: _ask(f"{where}/__seen")["left"] for upstream, where in UPSTREAMS.items()}
    same(left, {"openai": 0, "anthropic": 0}, "answers that nobody asked for")


def tools_of(body):
    """The names of the tools that an upstream was given."""
    return [tool.get("name") or tool["function"]["name"] for tool in body.get("tools") or []]


def told(body):
    """The conversation that an upstream was given, in words: both dialects read alike.

    `user: text`, `assistant: text`, `assistant calls name {arguments}`, `result: text`.
    """
    lines = []
    system = body.get("system")
    if system:
        lines.append(f"system: {_text(system)}")
    for message in body["messages"]:
        role, content = message["role"], message.get("content")
        if role == "tool":
            lines.append(f"result: {_text(content)}")
            continue
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        for block in blocks:
            if block["type"] == "text":
                lines.append(f"{role}: {block['text']}")
            elif block["type"] == "tool_use":
                lines.append(f"assistant calls {block['name']} {json.dumps(block['input'])}")
            elif block["type"] == "tool_result":
                lines.append(f"result: {_text(block['content'])}")
            else:
                lines.append(f"{role}: {block}")
        for one in message.get("tool_calls") or []:
            arguments = json.loads(one["function"]["arguments"])
            lines.append(f"assistant calls {one['function']['name']} {json.dumps(arguments)}")
    return lines


def _text(content):
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


def took_over(by):
    """What a model is told that takes over."""
    return (
        f"result: You have the conversation now. `{by}` handed it to you; the call above carries what it had to say. "
        "Go on from here, use only the tools that you are given, and do not speak of the hand-over."
    )

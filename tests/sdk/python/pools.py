"""Upstreams that are told what to answer, what reached them, and what the gateway wrote down.

Beside the environment of checks.py:

    OPENAI      where the scripted upstream of OpenAI's chat is; it serves GPT models
    RESPONSES   where the one of OpenAI's Responses API is; it serves others of these
    ANTHROPIC   where the one of Anthropic's dialect is; it serves Claude models
"""

import os
import time
from contextlib import contextmanager

from checks import BASE_URL, same
from upstreams import ask, call, say, told, tools_of

UPSTREAMS = {name: os.environ[name.upper()] for name in ("openai", "responses", "anthropic")}

MINI = "openai/gpt-4o-mini"
SONNET = "anthropic/claude-sonnet-4-20250514"
TO_MINI = "transfer_to_gpt_4o_mini"
TO_SONNET = "transfer_to_claude_sonnet_4_20250514"


class Scene:
    """What happened since the upstreams were told what to answer."""

    def __init__(self):
        self.since = time.time_ns() // 1_000_000

    def seen(self, upstream):
        """The bodies of the requests that reached an upstream, in order."""
        return [one["body"] for one in ask(f"{UPSTREAMS[upstream]}/__seen")["seen"]]

    def runs(self, count):
        """The decisions of each run, oldest first: a run for each request of the client."""
        deadline = time.monotonic() + 20
        while True:
            page = ask(f"{BASE_URL}/v1/decisions?limit=100")["data"]
            # An id begins with the milliseconds of its time.
            ids = sorted({one["run"] for one in page if int(one["run"][4:16], 16) >= self.since})
            if len(ids) >= count:
                break
            assert time.monotonic() < deadline, f"{len(ids)} of {count} runs were written down"
            time.sleep(0.02)
        same(len(ids), count, "requests of the client")
        return [ask(f"{BASE_URL}/v1/decisions/{run}")["decisions"] for run in ids]

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
def scene(openai=(), anthropic=(), responses=()):
    """Tells the upstreams what to answer, in order; fails when an answer was not asked for."""
    for upstream, steps in (("openai", openai), ("anthropic", anthropic), ("responses", responses)):
        ask(f"{UPSTREAMS[upstream]}/__script", list(steps))
    yield Scene()
    left = {upstream: ask(f"{where}/__seen")["left"] for upstream, where in UPSTREAMS.items()}
    same(left, dict.fromkeys(UPSTREAMS, 0), "answers that nobody asked for")


def took_over(by):
    """What a model is told that takes over."""
    return (
        f"result: You have the conversation now. `{by}` handed it to you; the call above carries what it had to say. "
        "Go on from here, use only the tools that you are given, and do not speak of the hand-over."
    )

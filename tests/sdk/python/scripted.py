"""Libraries that ask one scripted upstream, which speaks every dialect, by every way that leads to it.

Beside BASE_URL and API_KEY of checks.py:

    UPSTREAM    where the scripted upstream is
    WAYS        the ways, as JSON: `name`, `base_url`, `model`, and the `path` that the upstream is to be asked at

What an upstream is to answer is said in full, with what it costs. So each check knows what its library must give
back, and the same is expected by every way, whole and streamed.
"""

import asyncio
import inspect
import json
import os
from contextlib import contextmanager
from functools import partial
from itertools import product
from types import SimpleNamespace

import checks
from checks import same
from upstreams import ask, call, say, told, tools_of

__all__ = ["BOTH", "LYON", "OSLO", "TALK", "USAGE", "call", "everywhere", "schema_of", "script", "say", "told", "tools_of"]

UPSTREAM = os.environ["UPSTREAM"]
WAYS = [SimpleNamespace(**way, v1=f"{way['base_url']}/v1") for way in json.loads(os.environ["WAYS"])]

# What each answer costs, unless its step says otherwise.
USAGE = {"input": 120, "cached": 40, "cache_write": 0, "output": 30, "reasoning": 0}
# Whole and streamed.
BOTH = (False, True)

# Text that is cut anywhere when it is streamed.
TALK = "Il fait doux à Lyon 🦀, dit-on."
LYON = {"city": "Lyon", "days": 2}
OSLO = {"city": "Øst-\"Oslo\"", "days": 14}


def everywhere(**variants):
    """Registers a check for each way, and for each combination of the variants."""

    def register(function):
        asynchronous = inspect.iscoroutinefunction(function)
        play = (lambda *given, **named: asyncio.run(function(*given, **named))) if asynchronous else function
        for way in WAYS:
            for values in product(*variants.values()):
                named = dict(zip(variants, values))
                one = partial(play, way, **named)
                shown = [("streamed" if value else "whole") if name == "stream" else str(value) for name, value in named.items()]
                one.__name__ = "/".join([way.name, function.__name__, *shown])
                checks.check(one)
        return function

    return register


class Asked:
    """What reached the upstream."""

    def bodies(self):
        return [one["body"] for one in ask(f"{UPSTREAM}/__seen")["seen"]]

    def told(self):
        """The last conversation."""
        return told(self.bodies()[-1])


@contextmanager
def script(way, *steps):
    """Says what is answered, in order; fails when an answer was not asked for, or was asked for in another dialect."""
    ask(f"{UPSTREAM}/__script", [step if "fault" in step else {"usage": USAGE, **step} for step in steps])
    yield Asked()
    after = ask(f"{UPSTREAM}/__seen")
    same(after["left"], 0, "answers that nobody asked for")
    if way.path:
        elsewhere = {one["path"].partition("?")[0] for one in after["seen"]} - {way.path}
        same(elsewhere, set(), "where else the upstream was asked")


def schema_of(body):
    """The schema that an upstream was told to answer in, in whichever way its dialect has."""
    if "response_format" in body:
        return body["response_format"]["json_schema"]["schema"]
    if "text" in body:
        return body["text"]["format"]["schema"]
    return body["output_config"]["format"]["schema"]

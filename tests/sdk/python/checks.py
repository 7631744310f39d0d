"""Runs named checks one after another and says which failed.

Every script takes this environment:

    BASE_URL    where the server is, without /v1
    API_KEY     what to authenticate with

Those that ask one model take these too; for the others see pools.py:

    MODEL       the model to ask
    NESTED      a model whose name has a slash in it
    EMBEDDING   a model for embeddings
"""

import json
import os
import sys
import traceback

BASE_URL = os.environ["BASE_URL"].rstrip("/")
API_KEY = os.environ.get("API_KEY", "sk-test")
MODEL = os.environ.get("MODEL")
NESTED = os.environ.get("NESTED")
EMBEDDING = os.environ.get("EMBEDDING")

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
CLOCK = {
    "type": "object",
    "properties": {"zone": {"type": "string", "enum": ["utc", "local"]}},
    "required": ["zone"],
    "additionalProperties": False,
}
# A red dot.
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4//8/w38GIAXDIBKE0DHxgljNBAAO9TXL0Y4OHwAAAABJRU5ErkJggg=="
)

_checks = []


def check(function):
    """Registers a check."""
    _checks.append(function)
    return function


def same(left, right, what):
    """Fails unless both are equal."""
    assert left == right, f"{what}: {left!r} is not {right!r}"


def fits_weather(value):
    """Fails unless the value fits the weather schema."""
    if isinstance(value, str):
        value = json.loads(value)
    assert isinstance(value, dict), f"not an object: {value!r}"
    same(set(value), {"city", "days"}, "members")
    assert isinstance(value["city"], str) and isinstance(value["days"], int), f"wrong types: {value!r}"


def fits_clock(value):
    """Fails unless the value fits the clock schema."""
    if isinstance(value, str):
        value = json.loads(value)
    assert isinstance(value, dict) and value.get("zone") in ("utc", "local"), f"wrong: {value!r}"


def raises(kind, status, call):
    """Fails unless the call raises this exception with this status; answers the exception."""
    try:
        call()
    except kind as error:
        same(error.status_code, status, "status")
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def run(label):
    """Runs every check and exits with 1 when one failed."""
    failed = []
    for function in _checks:
        try:
            function()
        except Exception as error:  # a check may fail in any way
            failed.append(function.__name__)
            script = os.path.abspath(sys.argv[0])
            lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == script]
            place = f"{os.path.basename(script)}:{lines[0] if lines else '?'}"
            print(f"FAILED {label} {function.__name__} ({place}): {type(error).__name__}: {error}")
    print(f"{label}: {len(_checks) - len(failed)} passed, {len(failed)} failed")
    sys.exit(1 if failed else 0)

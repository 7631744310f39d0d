"""The unmodified LiteLLM as a client, with its prefixes of OpenAI and Anthropic.

See checks.py and scripted.py for its environment.
"""

import os

# Else it asks another server for prices as it starts.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

from importlib.metadata import version

import litellm
import openai
from pydantic import BaseModel

from checks import API_KEY, PNG, run, same
from scripted import BOTH, LYON, OSLO, TALK, USAGE, call, everywhere, say, schema_of, script, tools_of

litellm.suppress_debug_info = True

PREFIXES = ("openai", "anthropic")

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Weather.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    }
]


class Weather(BaseModel):
    city: str
    days: int


def place(way, prefix, name=None):
    """What leads there: the model with its prefix, the base URL, a key."""
    base = way.v1 if prefix != "anthropic" else way.base_url
    return {"model": f"{prefix}/{name or way.model}", "api_base": base, "api_key": API_KEY, "max_retries": 0, "timeout": 30}


def go(way, prefix, messages, stream, name=None, **options):
    """Asks; a streamed answer is put together of its pieces, as the library does it."""
    given = {**place(way, prefix, name), "messages": messages, **options}
    if not stream:
        return litellm.completion(**given)
    pieces = list(litellm.completion(**given, stream=True, stream_options={"include_usage": True}))
    assert len(pieces) > 1, "one piece"
    return litellm.stream_chunk_builder(pieces, messages=messages)


def spent(answer):
    """Fails unless an answer cost what it was said to cost."""
    usage = answer.usage
    counted = {
        "input": usage.prompt_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "output": usage.completion_tokens,
    }
    same(counted, {name: USAGE[name] for name in counted}, "usage")
    same(usage.total_tokens, USAGE["input"] + USAGE["output"], "total tokens")


def asking(text):
    return [{"role": "user", "content": text}]


@everywhere(prefix=PREFIXES, stream=BOTH)
def a_text(way, prefix, stream):
    with script(way, say(TALK)) as asked:
        answer = go(way, prefix, [{"role": "system", "content": "You are brief."}, *asking("Quel temps ?")], stream)
        choice = answer.choices[0]
        same((choice.message.content, choice.finish_reason), (TALK, "stop"), "text, finish reason")
        spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(prefix=PREFIXES, stream=BOTH)
def tools(way, prefix, stream):
    """Two calls at once behind a text, their results, and the end."""
    at_once = {"say": "I look.", "call": [["get_weather", LYON], ["get_weather", OSLO]]}
    with script(way, at_once, say(TALK)) as asked:
        talk = asking("Weather?")
        first = go(way, prefix, talk, stream, tools=TOOLS)
        choice = first.choices[0]
        same((choice.message.content, choice.finish_reason), ("I look.", "tool_calls"), "text, finish reason")
        spent(first)
        calls = choice.message.tool_calls
        given = [(one.function.name, litellm.json.loads(one.function.arguments)) for one in calls]
        same(given, [("get_weather", LYON), ("get_weather", OSLO)], "calls")
        # What the library adds for itself is not for the upstream.
        talk.append(choice.message.model_dump(exclude_none=True, exclude={"provider_specific_fields"}))
        talk += [{"role": "tool", "tool_call_id": one.id, "content": "mild"} for one in calls]
        last = go(way, prefix, talk, stream, tools=TOOLS)
        same(last.choices[0].message.content, TALK, "text")
        told = [
            "user: Weather?",
            "assistant: I look.",
            'assistant calls get_weather {"city": "Lyon", "days": 2}',
            'assistant calls get_weather {"city": "Øst-\\"Oslo\\"", "days": 14}',
            "result: mild",
            "result: mild",
        ]
        same(asked.told(), told, "the conversation")


@everywhere(prefix=PREFIXES)
def a_tool_that_must_be_called(way, prefix):
    chosen = {"type": "function", "function": {"name": "get_weather"}}
    with script(way, call("get_weather", **OSLO)) as asked:
        answer = go(way, prefix, asking("Weather?"), False, tools=TOOLS, tool_choice=chosen)
        (called,) = answer.choices[0].message.tool_calls
        same(litellm.json.loads(called.function.arguments), OSLO, "arguments")
        same(tools_of(asked.bodies()[0]), ["get_weather"], "tools")
        assert "get_weather" in str(asked.bodies()[0]["tool_choice"]), "the choice did not arrive"


@everywhere(stream=BOTH)
def structured(way, stream):
    """The library makes a tool of a schema where it knows no better of a model by its name: so one prefix only."""
    with script(way, say('{"city": "Lyon", "days": 2}')) as asked:
        answer = go(way, "openai", asking("Weather?"), stream, response_format=Weather)
        same(Weather.model_validate_json(answer.choices[0].message.content), Weather(**LYON), "object")
        same(sorted(schema_of(asked.bodies()[0])["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(stream=BOTH)
def structured_by_a_tool(way, stream):
    with script(way, call("json_tool_call", **LYON)) as asked:
        answer = go(way, "anthropic", asking("Weather?"), stream, response_format=Weather)
        same(Weather.model_validate_json(answer.choices[0].message.content), Weather(**LYON), "object")
        same(tools_of(asked.bodies()[0]), ["json_tool_call"], "tools")


@everywhere(prefix=PREFIXES, stream=BOTH)
def a_limit_of_tokens(way, prefix, stream):
    with script(way, say("mot " * 20)):
        choice = go(way, prefix, asking("Many words?"), stream, max_tokens=16).choices[0]
        same((choice.message.content, choice.finish_reason), ("mot " * 16, "length"), "text, finish reason")


@everywhere(prefix=PREFIXES)
def several_turns_and_a_picture(way, prefix):
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    talk = [
        {"role": "user", "content": [{"type": "text", "text": "What is it?"}, picture]},
        {"role": "assistant", "content": "A dot."},
        *asking("Which colour?"),
    ]
    with script(way, say("Red.")) as asked:
        same(go(way, prefix, talk, False).choices[0].message.content, "Red.", "text")
        assert PNG in str(asked.bodies()[0]), "the picture did not arrive"
        same(asked.told()[-2:], ["assistant: A dot.", "user: Which colour?"], "the conversation")


@everywhere(stream=BOTH)
def a_response(way, stream):
    """Its call of the Responses API."""
    with script(way, say(TALK)) as asked:
        given = {**place(way, "openai"), "input": "Quel temps ?", "instructions": "You are brief."}
        given.pop("max_retries")
        if stream:
            events = list(litellm.responses(**given, stream=True))
            text = "".join(one.delta for one in events if one.type == "response.output_text.delta")
            same(text, TALK, "text in pieces")
            answer = events[-1].response
        else:
            answer = litellm.responses(**given)
        said = [part.text for item in answer.output for part in item.content]
        same((said, answer.status), ([TALK], "completed"), "text, status")
        usage = answer.usage
        same((usage.input_tokens, usage.output_tokens), (USAGE["input"], USAGE["output"]), "usage")
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(prefix=PREFIXES, stream=BOTH)
def an_error_is_an_exception(way, prefix, stream):
    cases = ((way.model, litellm.BadRequestError, [{"fault": "fault-400"}]), ("no-such-model", litellm.NotFoundError, []))
    for name, kind, steps in cases:
        with script(way, *steps):
            try:
                go(way, prefix, asking("Hi"), stream, name=name)
            except kind:
                pass
            else:
                raise AssertionError(f"no {kind.__name__} was raised")


@everywhere(prefix=PREFIXES)
def a_stream_that_breaks_is_an_exception(way, prefix):
    with script(way, {"fault": "fault-after-content"}):
        try:
            go(way, prefix, asking("Hi"), stream=True)
        except openai.APIError:
            pass
        else:
            raise AssertionError("nothing was raised")


run(f"litellm {version('litellm')}")

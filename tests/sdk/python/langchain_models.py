"""The unmodified LangChain on its models of OpenAI, by both of their APIs, and of Anthropic.

See checks.py and scripted.py for its environment.
"""

import warnings
from importlib.metadata import version

import anthropic
import openai
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from checks import API_KEY, PNG, run, same
from scripted import BOTH, LYON, OSLO, TALK, USAGE, call, everywhere, say, schema_of, script, tools_of

# The library writes down an object that its SDK knows no type for.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings")

KINDS = ("chat", "responses", "messages")


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int


@tool
def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"{days} mild days in {city}"


def model(way, kind, name=None, **options):
    options = {"model": name or way.model, "api_key": API_KEY, "max_retries": 0, "timeout": 30, **options}
    if kind == "messages":
        return ChatAnthropic(base_url=way.base_url, **options)
    return ChatOpenAI(base_url=way.v1, use_responses_api=kind == "responses", stream_usage=True, **options)


def go(runnable, asked, stream):
    """Asks; a streamed answer is put together of its pieces, as the library does it."""
    if not stream:
        return runnable.invoke(asked)
    whole, count = None, 0
    for piece in runnable.stream(asked):
        whole = piece if whole is None else whole + piece
        count += 1
    assert count > 1, "one piece"
    return whole


def finish(message):
    """Why an answer ended, in the words of the API that was asked."""
    told = message.response_metadata
    incomplete = (told.get("incomplete_details") or {}).get("reason")
    return told.get("finish_reason") or told.get("stop_reason") or incomplete or told.get("status")


def spent(message):
    """Fails unless an answer cost what it was said to cost."""
    usage = message.usage_metadata
    counted = {
        "input": usage["input_tokens"],
        "cached": usage["input_token_details"]["cache_read"],
        "output": usage["output_tokens"],
    }
    same(counted, {name: USAGE[name] for name in counted}, "usage")
    same(usage["total_tokens"], USAGE["input"] + USAGE["output"], "total tokens")


ENDED = {"chat": "stop", "responses": "completed", "messages": "end_turn"}
CALLED = {"chat": "tool_calls", "responses": "completed", "messages": "tool_use"}
LIMITED = {"chat": "length", "responses": "max_output_tokens", "messages": "max_tokens"}


@everywhere(kind=KINDS, stream=BOTH)
def a_text(way, kind, stream):
    with script(way, say(TALK)) as asked:
        answer = go(model(way, kind), [SystemMessage("You are brief."), HumanMessage("Quel temps ?")], stream)
        same(answer.text, TALK, "text")
        same(finish(answer), ENDED[kind], "finish reason")
        spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
def tools(way, kind, stream):
    """Two calls at once behind a text, their results, and the end."""
    with_tools = model(way, kind).bind_tools([get_weather])
    at_once = {"say": "I look.", "call": [["get_weather", LYON], ["get_weather", OSLO]]}
    with script(way, at_once, say(TALK)) as asked:
        talk = [HumanMessage("Weather?")]
        first = go(with_tools, talk, stream)
        same(first.text, "I look.", "text before the calls")
        same([(one["name"], one["args"]) for one in first.tool_calls], [("get_weather", LYON), ("get_weather", OSLO)], "calls")
        same(finish(first), CALLED[kind], "finish reason")
        spent(first)
        talk += [first, *[get_weather.invoke(one) for one in first.tool_calls]]
        assert all(isinstance(one, ToolMessage) for one in talk[-2:]), talk
        last = go(with_tools, talk, stream)
        same(last.text, TALK, "text")
        told = [
            "user: Weather?",
            "assistant: I look.",
            'assistant calls get_weather {"city": "Lyon", "days": 2}',
            'assistant calls get_weather {"city": "Øst-\\"Oslo\\"", "days": 14}',
            "result: 2 mild days in Lyon",
            'result: 14 mild days in Øst-"Oslo"',
        ]
        same(asked.told(), told, "the conversation")


@everywhere(kind=KINDS)
def a_tool_that_must_be_called(way, kind):
    forced = model(way, kind).bind_tools([get_weather], tool_choice="get_weather")
    with script(way, call("get_weather", **OSLO)) as asked:
        answer = forced.invoke("Weather?")
        same([one["args"] for one in answer.tool_calls], [OSLO], "arguments")
        same(tools_of(asked.bodies()[0]), ["get_weather"], "tools")
        assert "get_weather" in str(asked.bodies()[0]["tool_choice"]), "the choice did not arrive"


@everywhere(kind=KINDS, method=("function_calling", "json_schema"), stream=BOTH)
def structured(way, kind, method, stream):
    by_tool = method == "function_calling"
    step = call("Weather", **OSLO) if by_tool else say('{"city": "Øst-\\"Oslo\\"", "days": 14}')
    structured = model(way, kind).with_structured_output(Weather, method=method, include_raw=True)
    with script(way, step) as asked:
        answer = structured.invoke("Weather?") if not stream else {}
        for piece in structured.stream("Weather?") if stream else ():
            answer.update(piece)
        same(answer["parsing_error"], None, "error")
        same(answer["parsed"], Weather(**OSLO), "object")
        spent(answer["raw"])
        (body,) = asked.bodies()
        if by_tool:
            same(tools_of(body), ["Weather"], "tools")
        else:
            same(sorted(schema_of(body)["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(kind=KINDS, stream=BOTH)
def a_limit_of_tokens(way, kind, stream):
    with script(way, say("mot " * 20)):
        answer = go(model(way, kind, max_tokens=16), "Many words?", stream)
        same(answer.text, "mot " * 16, "text")
        same(finish(answer), LIMITED[kind], "finish reason")


@everywhere(kind=KINDS, stream=BOTH)
def several_turns_and_a_picture(way, kind, stream):
    picture = {"type": "image", "base64": PNG, "mime_type": "image/png"}
    talk = [
        HumanMessage([{"type": "text", "text": "What is it?"}, picture]),
        AIMessage("A dot."),
        HumanMessage("Which colour?"),
    ]
    with script(way, say("Red.")) as asked:
        same(go(model(way, kind), talk, stream).text, "Red.", "text")
        assert PNG in str(asked.bodies()[0]), "the picture did not arrive"
        same(asked.told()[-2:], ["assistant: A dot.", "user: Which colour?"], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
def an_error_is_an_exception(way, kind, stream):
    for name, status, steps in ((way.model, 400, [{"fault": "fault-400"}]), ("no-such-model", 404, [])):
        with script(way, *steps):
            try:
                go(model(way, kind, name), "Hi", stream)
            except (openai.APIStatusError, anthropic.APIStatusError) as error:
                same(error.status_code, status, "status")
            else:
                raise AssertionError(f"nothing was raised for {status}")


@everywhere(kind=KINDS)
def a_stream_that_breaks_is_an_exception(way, kind):
    with script(way, {"fault": "fault-after-content"}):
        try:
            go(model(way, kind), "Hi", stream=True)
        except (openai.APIError, anthropic.APIError, ValueError):
            pass
        else:
            raise AssertionError("nothing was raised")


run(f"langchain-openai {version('langchain-openai')}, langchain-anthropic {version('langchain-anthropic')}")

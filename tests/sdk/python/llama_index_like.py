"""The unmodified LlamaIndex on its model for servers like OpenAI's; see checks.py and scripted.py for its environment."""

from importlib.metadata import version

import httpx
import openai
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from checks import API_KEY, PNG, run, same
from scripted import BOTH, LYON, OSLO, TALK, USAGE, call, everywhere, say, schema_of, script, told, tools_of

WORDS = [ChatMessage(role="system", content="You are brief."), ChatMessage(role="user", content="Quel temps ?")]


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int


def get_weather(city: str, days: int) -> str:
    """The weather of a city."""
    return f"{days} mild days in {city}"


TOOL = FunctionTool.from_defaults(get_weather)


def model(way, name=None, **options):
    options = {"is_chat_model": True, "is_function_calling_model": True, "max_retries": 0, "timeout": 30, **options}
    return OpenAILike(model=name or way.model, api_base=way.v1, api_key=API_KEY, **options)


def last(pieces):
    """The last piece, which has the whole; fails unless the deltas join to it."""
    pieces = list(pieces)
    assert len(pieces) > 2, f"{len(pieces)} pieces"
    whole = getattr(pieces[-1], "text", None) or pieces[-1].message.content
    same("".join(piece.delta or "" for piece in pieces), whole or "", "text in pieces and whole")
    return pieces[-1]


def spent(answer):
    """Fails unless an answer cost what it was said to cost."""
    usage = answer.raw.usage if hasattr(answer.raw, "usage") else answer.raw["usage"]
    counted = {
        "input": usage.prompt_tokens,
        "cached": usage.prompt_tokens_details.cached_tokens,
        "output": usage.completion_tokens,
    }
    same(counted, {name: USAGE[name] for name in counted}, "usage")


# What makes the upstream tell the usage of a stream; the library leaves it to the caller.
COUNTED = {"additional_kwargs": {"stream_options": {"include_usage": True}}}


@everywhere(stream=BOTH)
def completing(way, stream):
    with script(way, say(TALK)) as asked:
        llm = model(way, **COUNTED) if stream else model(way)
        answer = last(llm.stream_complete("Quel temps ?")) if stream else llm.complete("Quel temps ?")
        same(answer.text, TALK, "text")
        spent(answer)
        same(asked.told(), ["user: Quel temps ?"], "the conversation")


@everywhere(stream=BOTH)
def chatting(way, stream):
    with script(way, say(TALK)) as asked:
        llm = model(way, **COUNTED) if stream else model(way)
        answer = last(llm.stream_chat(WORDS)) if stream else llm.chat(WORDS)
        same(answer.message.content, TALK, "text")
        spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(stream=BOTH)
async def chatting_asynchronously(way, stream):
    async with httpx.AsyncClient() as client:
        llm = model(way, async_http_client=client)
        with script(way, say(TALK)):
            if stream:
                answer = last([piece async for piece in await llm.astream_chat(WORDS)])
            else:
                answer = await llm.achat(WORDS)
                same(answer.raw.choices[0].finish_reason, "stop", "finish reason")
        same(answer.message.content, TALK, "text")


@everywhere(stream=BOTH)
def tools(way, stream):
    """Two calls at once, their results, and the end."""
    at_once = {"call": [["get_weather", LYON], ["get_weather", OSLO]]}
    llm = model(way)
    with script(way, at_once, say(TALK)) as asked:
        talk = [ChatMessage(role="user", content="Weather?")]
        given = {"tools": [TOOL], "chat_history": talk, "allow_parallel_tool_calls": True}
        first = list(llm.stream_chat_with_tools(**given))[-1] if stream else llm.chat_with_tools(**given)
        calls = llm.get_tool_calls_from_response(first)
        same([(one.tool_name, one.tool_kwargs) for one in calls], [("get_weather", LYON), ("get_weather", OSLO)], "calls")
        talk.append(first.message)
        for one in calls:
            content = TOOL.call(**one.tool_kwargs).content
            talk.append(ChatMessage(role="tool", content=content, additional_kwargs={"tool_call_id": one.tool_id}))
        answer = list(llm.stream_chat(talk, tools=[TOOL.metadata.to_openai_tool()]))[-1] if stream else llm.chat(talk, tools=[TOOL.metadata.to_openai_tool()])
        same(answer.message.content, TALK, "text")
        told = [
            "user: Weather?",
            'assistant calls get_weather {"city": "Lyon", "days": 2}',
            'assistant calls get_weather {"city": "Øst-\\"Oslo\\"", "days": 14}',
            "result: 2 mild days in Lyon",
            'result: 14 mild days in Øst-"Oslo"',
        ]
        same(asked.told(), told, "the conversation")


@everywhere()
def a_tool_is_run_for_the_caller(way):
    with script(way, call("get_weather", **OSLO)) as asked:
        answer = model(way).predict_and_call([TOOL], user_msg="Weather?")
        same(answer.response, '14 mild days in Øst-"Oslo"', "what the tool said")
        same(tools_of(asked.bodies()[0]), ["get_weather"], "tools")


@everywhere(how=("tool", "schema"))
def structured(way, how):
    by_tool = how == "tool"
    llm = model(way, should_use_structured_outputs=not by_tool)
    step = call("Weather", **OSLO) if by_tool else say('{"city": "Øst-\\"Oslo\\"", "days": 14}')
    with script(way, step) as asked:
        answer = llm.as_structured_llm(Weather).chat(WORDS)
        same(answer.raw, Weather(**OSLO), "object")
        (body,) = asked.bodies()
        if by_tool:
            same(tools_of(body), ["Weather"], "tools")
        else:
            same(sorted(schema_of(body)["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(stream=BOTH)
def a_limit_of_tokens(way, stream):
    with script(way, say("mot " * 20)):
        llm = model(way, max_tokens=16)
        answer = last(llm.stream_chat(WORDS)) if stream else llm.chat(WORDS)
        same(answer.message.content, "mot " * 16, "text")
        finish = answer.raw.choices[0].finish_reason
        same(finish, "length", "finish reason")


@everywhere()
def several_turns_and_a_picture(way):
    picture = ImageBlock(image=PNG.encode(), image_mimetype="image/png")
    talk = [
        ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), picture]),
        ChatMessage(role="assistant", content="A dot."),
        ChatMessage(role="user", content="Which colour?"),
    ]
    with script(way, say("Red.")) as asked:
        same(model(way).chat(talk).message.content, "Red.", "text")
        assert PNG in str(asked.bodies()[0]), "the picture did not arrive"
        same(told(asked.bodies()[0])[-2:], ["assistant: A dot.", "user: Which colour?"], "the conversation")


@everywhere(stream=BOTH)
def an_error_is_an_exception(way, stream):
    for name, status, steps in ((way.model, 400, [{"fault": "fault-400"}]), ("no-such-model", 404, [])):
        with script(way, *steps):
            try:
                llm = model(way, name)
                list(llm.stream_chat(WORDS)) if stream else llm.chat(WORDS)
            except openai.APIStatusError as error:
                same(error.status_code, status, "status")
            else:
                raise AssertionError(f"nothing was raised for {status}")


@everywhere()
def a_stream_that_breaks_is_an_exception(way):
    with script(way, {"fault": "fault-after-content"}):
        try:
            list(model(way).stream_chat(WORDS))
        except openai.APIError:
            pass
        else:
            raise AssertionError("nothing was raised")


run(f"llama-index-llms-openai-like {version('llama-index-llms-openai-like')}")

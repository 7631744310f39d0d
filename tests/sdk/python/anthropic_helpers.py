"""What the unmodified Anthropic SDK puts together by itself: streams, objects, and the loop of tools.

See checks.py and scripted.py for its environment.
"""

import json

import anthropic
from anthropic import beta_tool
from pydantic import BaseModel

from checks import API_KEY, run, same
from scripted import BOTH, LYON, OSLO, TALK, USAGE, call, everywhere, say, schema_of, script, tools_of


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int


AT_ONCE = {"say": "I look.", "call": [["get_weather", LYON], ["get_weather", OSLO]]}
TOOL_TALK = [
    "user: Weather?",
    "assistant: I look.",
    'assistant calls get_weather {"city": "Lyon", "days": 2}',
    'assistant calls get_weather {"city": "Øst-\\"Oslo\\"", "days": 14}',
    "result: 2 mild days",
    "result: 14 mild days",
]
ASK = [{"role": "user", "content": "Weather?"}]
TOOL = {"name": "get_weather", "description": "Weather.", "input_schema": Weather.model_json_schema()}


def client(way):
    return anthropic.Anthropic(base_url=way.base_url, api_key=API_KEY, max_retries=0, timeout=30)


def message(way, stream, messages, **extra):
    """One message, whole or put together by the stream helper; its pieces join to what it has in the end."""
    given = {"model": way.model, "max_tokens": 500, "messages": messages, **extra}
    if not stream:
        return client(way).messages.create(**given)
    text, inputs = "", {}
    with client(way).messages.stream(**given) as events:
        for event in events:
            if event.type == "text":
                text += event.text
            if event.type == "input_json":
                inputs[event.partial_json] = event.snapshot
        answer = events.get_final_message()
    same(text, text_of(answer), "text in pieces and whole")
    return answer


def text_of(answer):
    return "".join(block.text for block in answer.content if block.type == "text")


def spent(answer):
    """Fails unless an answer cost what it was said to cost; this format counts what the cache gave apart."""
    usage = answer.usage
    counted = (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens)
    same(counted, (USAGE["input"] - USAGE["cached"], USAGE["cached"], USAGE["output"]), "usage")


@everywhere(stream=BOTH)
def a_text(way, stream):
    with script(way, say(TALK)) as asked:
        answer = message(way, stream, [{"role": "user", "content": "Quel temps ?"}], system="You are brief.")
        same((text_of(answer), answer.stop_reason, answer.role), (TALK, "end_turn", "assistant"), "text, reason, role")
        spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(stream=BOTH)
def tools_by_hand(way, stream):
    with script(way, AT_ONCE, say(TALK)) as asked:
        talk = [*ASK]
        first = message(way, stream, talk, tools=[TOOL])
        uses = [block for block in first.content if block.type == "tool_use"]
        same([(one.name, one.input) for one in uses], [("get_weather", LYON), ("get_weather", OSLO)], "calls")
        same((text_of(first), first.stop_reason), ("I look.", "tool_use"), "text, reason")
        spent(first)
        results = [{"type": "tool_result", "tool_use_id": one.id, "content": f"{one.input['days']} mild days"} for one in uses]
        talk += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
        same(text_of(message(way, stream, talk, tools=[TOOL])), TALK, "text")
        same(asked.told(), TOOL_TALK, "the conversation")


@everywhere(stream=BOTH)
def loop_of_tools(way, stream):
    seen = []

    @beta_tool
    def get_weather(city: str, days: int) -> str:
        """The weather of a city."""
        seen.append({"city": city, "days": days})
        return f"{days} mild days"

    with script(way, AT_ONCE, say(TALK)) as asked:
        runner = client(way).beta.messages.tool_runner(
            model=way.model, max_tokens=500, messages=ASK, tools=[get_weather], stream=stream
        )
        last = None
        for turn in runner:
            last = turn.get_final_message() if stream else turn
        same((text_of(last), seen), (TALK, [LYON, OSLO]), "text, calls")
        spent(last)
        same(asked.told(), TOOL_TALK, "the conversation")


@everywhere()
def a_tool_that_must_be_called(way):
    with script(way, call("get_weather", **OSLO)) as asked:
        answer = message(way, False, ASK, tools=[TOOL], tool_choice={"type": "tool", "name": "get_weather"})
        same([block.input for block in answer.content], [OSLO], "arguments")
        same(tools_of(asked.bodies()[0]), ["get_weather"], "tools")


@everywhere(stream=BOTH)
def an_object(way, stream):
    with script(way, say(json.dumps(OSLO))) as asked:
        given = {"model": way.model, "max_tokens": 500, "messages": ASK, "output_format": Weather}
        if stream:
            with client(way).messages.stream(**given) as events:
                answer = events.get_final_message()
        else:
            answer = client(way).messages.parse(**given)
        same(answer.parsed_output, Weather(**OSLO), "object")
        same(sorted(schema_of(asked.bodies()[0])["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(stream=BOTH)
def a_limit_of_tokens(way, stream):
    with script(way, say("mot " * 20)):
        answer = message(way, stream, ASK, max_tokens=16)
        same((text_of(answer), answer.stop_reason), ("mot " * 16, "max_tokens"), "text, reason")


@everywhere(stream=BOTH)
def an_error_is_an_exception(way, stream):
    with script(way, {"fault": "fault-400"}):
        try:
            message(way, stream, ASK)
        except anthropic.BadRequestError as error:
            same(error.body["error"]["type"], "invalid_request_error", "type")
        else:
            raise AssertionError("nothing was raised")


@everywhere()
def a_stream_that_breaks_is_an_exception(way):
    with script(way, {"fault": "fault-after-content"}):
        try:
            message(way, True, ASK)
        except anthropic.APIError:
            pass
        else:
            raise AssertionError("nothing was raised")


run(f"anthropic {anthropic.__version__} (Python), helpers")

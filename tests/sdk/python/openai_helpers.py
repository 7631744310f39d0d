"""What the unmodified OpenAI SDK puts together by itself, on both of its APIs: streams, objects, arguments of calls.

See checks.py and scripted.py for its environment.
"""

import openai
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


def client(way):
    return openai.OpenAI(base_url=way.v1, api_key=API_KEY, max_retries=0, timeout=30)


def completion(way, stream, messages, **extra):
    """One completion, whole or put together by the stream helper; its pieces join to what it has in the end."""
    given = {"model": way.model, "messages": messages, **extra}
    if not stream:
        return client(way).chat.completions.parse(**given)
    text, arguments = "", {}
    with client(way).chat.completions.stream(**given, stream_options={"include_usage": True}) as events:
        for event in events:
            if event.type == "content.delta":
                text += event.delta
            if event.type == "tool_calls.function.arguments.delta":
                arguments[event.index] = arguments.get(event.index, "") + event.arguments_delta
        answer = events.get_final_completion()
    message = answer.choices[0].message
    same(text, message.content or "", "text in pieces and whole")
    same(list(arguments.values()), [one.function.arguments for one in message.tool_calls or []], "arguments in pieces")
    return answer


def response(way, stream, **extra):
    """One response, the same."""
    given = {"model": way.model, **extra}
    if not stream:
        return client(way).responses.parse(**given)
    text, arguments, numbers = "", {}, []
    with client(way).responses.stream(**given) as events:
        for event in events:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.function_call_arguments.delta":
                arguments[event.item_id] = arguments.get(event.item_id, "") + event.delta
        answer = events.get_final_response()
    calls = {item.id: item.arguments for item in answer.output if item.type == "function_call"}
    same(numbers, list(range(len(numbers))), "sequence numbers")
    same((text, arguments), (answer.output_text, calls), "text and arguments, in pieces and whole")
    return answer


def chat_spent(answer):
    usage = answer.usage
    counted = (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens, usage.total_tokens)
    same(counted, (USAGE["input"], USAGE["cached"], USAGE["output"], USAGE["input"] + USAGE["output"]), "usage")


def spent(answer):
    usage = answer.usage
    counted = (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens, usage.total_tokens)
    same(counted, (USAGE["input"], USAGE["cached"], USAGE["output"], USAGE["input"] + USAGE["output"]), "usage")


BRIEF = [{"role": "system", "content": "You are brief."}, {"role": "user", "content": "Quel temps ?"}]
ASK = [{"role": "user", "content": "Weather?"}]


@everywhere(stream=BOTH)
def chat_text(way, stream):
    with script(way, say(TALK)) as asked:
        answer = completion(way, stream, BRIEF)
        choice = answer.choices[0]
        same((choice.message.content, choice.finish_reason), (TALK, "stop"), "text, finish reason")
        chat_spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(stream=BOTH)
def chat_object(way, stream):
    with script(way, say('{"city": "Lyon", "days": 2}')) as asked:
        answer = completion(way, stream, ASK, response_format=Weather)
        same(answer.choices[0].message.parsed, Weather(**LYON), "object")
        same(sorted(schema_of(asked.bodies()[0])["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(stream=BOTH)
def chat_tools(way, stream):
    tools = [openai.pydantic_function_tool(Weather, name="get_weather")]
    with script(way, AT_ONCE, say(TALK)) as asked:
        talk = [*ASK]
        first = completion(way, stream, talk, tools=tools)
        message = first.choices[0].message
        given = [one.function.parsed_arguments for one in message.tool_calls]
        same(given, [Weather(**LYON), Weather(**OSLO)], "arguments")
        same((message.content, first.choices[0].finish_reason), ("I look.", "tool_calls"), "text, finish reason")
        chat_spent(first)
        calls = [one.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}}) for one in message.tool_calls]
        talk.append({"role": "assistant", "content": message.content, "tool_calls": calls})
        for one, weather in zip(message.tool_calls, given):
            talk.append({"role": "tool", "tool_call_id": one.id, "content": f"{weather.days} mild days"})
        same(completion(way, stream, talk, tools=tools).choices[0].message.content, TALK, "text")
        same(asked.told(), TOOL_TALK, "the conversation")


@everywhere(stream=BOTH)
def responses_text(way, stream):
    with script(way, say(TALK)) as asked:
        answer = response(way, stream, input="Quel temps ?", instructions="You are brief.")
        same((answer.output_text, answer.status), (TALK, "completed"), "text, status")
        spent(answer)
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(stream=BOTH)
def responses_object(way, stream):
    with script(way, say('{"city": "Lyon", "days": 2}')) as asked:
        answer = response(way, stream, input="Weather?", text_format=Weather)
        same(answer.output_parsed, Weather(**LYON), "object")
        same(sorted(schema_of(asked.bodies()[0])["properties"]), ["city", "days"], "the schema that was asked for")


@everywhere(stream=BOTH)
def responses_tools(way, stream):
    tools = [openai.pydantic_function_tool(Weather, name="get_weather")["function"]]
    tools = [{"type": "function", **tools[0]}]
    with script(way, AT_ONCE, say(TALK)) as asked:
        talk = [*ASK]
        first = response(way, stream, input=talk, tools=tools)
        calls = [item for item in first.output if item.type == "function_call"]
        same([(one.name, Weather.model_validate_json(one.arguments)) for one in calls], [("get_weather", Weather(**LYON)), ("get_weather", Weather(**OSLO))], "calls")
        same((first.output_text, first.status), ("I look.", "completed"), "text, status")
        spent(first)
        talk += [item.model_dump(exclude={"parsed_arguments": True, "content": {"__all__": {"parsed"}}}, exclude_none=True) for item in first.output]
        for one in calls:
            days = Weather.model_validate_json(one.arguments).days
            talk.append({"type": "function_call_output", "call_id": one.call_id, "output": f"{days} mild days"})
        same(response(way, stream, input=talk, tools=tools).output_text, TALK, "text")
        same(asked.told(), TOOL_TALK, "the conversation")


@everywhere()
def a_tool_that_must_be_called(way):
    tools = [{"type": "function", **openai.pydantic_function_tool(Weather, name="get_weather")["function"]}]
    with script(way, call("get_weather", **OSLO)) as asked:
        answer = response(way, False, input="Weather?", tools=tools, tool_choice={"type": "function", "name": "get_weather"})
        same([Weather.model_validate_json(item.arguments) for item in answer.output], [Weather(**OSLO)], "arguments")
        same(tools_of(asked.bodies()[0]), ["get_weather"], "tools")


@everywhere()
def limits_of_tokens(way):
    with script(way, *[say("mot " * 20)] * 2):
        choice = client(way).chat.completions.create(model=way.model, messages=ASK, max_completion_tokens=16).choices[0]
        same((choice.message.content, choice.finish_reason), ("mot " * 16, "length"), "text, finish reason")
        answer = response(way, False, input="Words?", max_output_tokens=16)
        told = (answer.output_text, answer.status, answer.incomplete_details.reason)
        same(told, ("mot " * 16, "incomplete", "max_output_tokens"), "text, status, reason")


@everywhere(api=("chat", "responses"))
def a_stream_that_breaks_is_an_exception(way, api):
    with script(way, {"fault": "fault-after-content"}):
        try:
            if api == "chat":
                completion(way, True, ASK)
            else:
                response(way, True, input="Weather?")
        except (openai.APIError, RuntimeError):
            pass  # Without the gateway, the helper misses the last event and says so.
        else:
            raise AssertionError("nothing was raised")


run(f"openai {openai.__version__} (Python), helpers")

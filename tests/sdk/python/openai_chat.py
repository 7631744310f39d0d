"""The unmodified OpenAI SDK for Python against a server; see checks.py for its environment."""

import json

import openai
from pydantic import BaseModel

from checks import API_KEY, BASE_URL, CLOCK, EMBEDDING, MODEL, NESTED, PNG, WEATHER, check, fits_clock, fits_weather, raises, run, same

client = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=30)

HELLO = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "Say hello."},
]
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}},
    {"type": "function", "function": {"name": "get_time", "description": "Time.", "parameters": CLOCK}},
]


class Weather(BaseModel):
    city: str
    days: int


def create(**extra):
    return client.chat.completions.create(model=MODEL, **{"messages": HELLO, **extra})


def collect(chunks):
    """Text, tool calls, finish reason and usage of a stream, put together by hand."""
    text, calls, finish, usage, roles = "", {}, None, None, []
    for chunk in chunks:
        if chunk.usage is not None:
            usage = chunk.usage
        for choice in chunk.choices:
            same(choice.index, 0, "choice index")
            if choice.delta.role:
                roles.append(choice.delta.role)
            text += choice.delta.content or ""
            for delta in choice.delta.tool_calls or []:
                assert delta.index is not None, "a tool call delta without an index"
                call = calls.setdefault(delta.index, {"id": None, "name": None, "arguments": ""})
                if delta.id:
                    same(call["id"], None, "the id comes once")
                    call["id"] = delta.id
                if delta.function and delta.function.name:
                    same(call["name"], None, "the name comes once")
                    call["name"] = delta.function.name
                if delta.function and delta.function.arguments:
                    call["arguments"] += delta.function.arguments
            if choice.finish_reason:
                same(finish, None, "one finish reason")
                finish = choice.finish_reason
    same(roles, ["assistant"], "the role comes once")
    return text, [calls[at] for at in sorted(calls)], finish, usage


@check
def plain():
    answer = create()
    choice = answer.choices[0]
    assert choice.message.content, "no text"
    same(choice.message.role, "assistant", "role")
    same(choice.finish_reason, "stop", "finish reason")
    same(answer.object, "chat.completion", "object")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, f"no usage: {usage}"
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "total tokens")
    assert usage.prompt_tokens_details.cached_tokens > 0, "no cached tokens"
    assert answer._request_id, "no x-request-id"


@check
def streamed_is_the_same_as_plain():
    text, calls, finish, usage = collect(create(stream=True))
    same(text, create().choices[0].message.content, "text")
    same((calls, finish, usage), ([], "stop", None), "calls, finish reason, usage")


@check
def streamed_usage_when_asked_for():
    answer = create()
    *_, usage = collect(create(stream=True, stream_options={"include_usage": True}))
    assert usage is not None, "no usage"
    same(usage.total_tokens, answer.usage.total_tokens, "total tokens")


@check
def stream_helper_accumulates():
    with client.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
        final = stream.get_final_completion()
    same(final.choices[0].message.content, create().choices[0].message.content, "text")


@check
def token_limit():
    answer = create(max_tokens=2)
    same(answer.choices[0].finish_reason, "length", "finish reason")


@check
def stop_sequence():
    whole = create().choices[0].message.content
    answer = create(stop=[" model"])
    assert len(answer.choices[0].message.content) < len(whole), "not stopped"
    same(answer.choices[0].finish_reason, "stop", "finish reason")


@check
def several_turns_and_parts():
    answer = create(
        messages=[
            {"role": "system", "content": "One."},
            {"role": "system", "content": "Two."},
            {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]},
            {"role": "assistant", "content": "A dot."},
            {"role": "user", "content": "Which colour?"},
            {"role": "user", "content": "In one word."},
        ]
    )
    assert answer.choices[0].message.content, "no text"


def call_once(stream, messages, **extra):
    """One turn with tools, streamed or not: text, calls as dictionaries, finish reason."""
    if stream:
        text, calls, finish, _ = collect(create(messages=messages, tools=TOOLS, stream=True, **extra))
        return text, calls, finish
    choice = create(messages=messages, tools=TOOLS, **extra).choices[0]
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
        for call in choice.message.tool_calls or []
    ]
    return choice.message.content or "", calls, choice.finish_reason


def tool_round_trip(stream):
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    _, calls, finish = call_once(stream, messages)
    same(finish, "tool_calls", "finish reason")
    same([call["name"] for call in calls], ["get_weather"], "calls")
    fits_weather(calls[0]["arguments"])
    function = {"name": "get_weather", "arguments": calls[0]["arguments"]}
    messages += [
        {"role": "assistant", "tool_calls": [{"id": calls[0]["id"], "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": json.dumps({"sky": "clear"})},
    ]
    text, calls, finish = call_once(stream, messages)
    same((calls, finish), ([], "stop"), "calls, finish reason")
    assert "tool" in text, f"the result was not seen: {text!r}"


@check
def tools_plain():
    tool_round_trip(stream=False)


@check
def tools_streamed():
    tool_round_trip(stream=True)


def parallel_round_trip(stream):
    messages = [{"role": "user", "content": "Weather and time, in parallel."}]
    _, calls, _ = call_once(stream, messages)
    same([call["name"] for call in calls], ["get_weather", "get_time"], "calls")
    assert calls[0]["id"] != calls[1]["id"], "two calls with the same id"
    fits_weather(calls[0]["arguments"])
    fits_clock(calls[1]["arguments"])
    shown = [
        {"id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": call["arguments"]}}
        for call in calls
    ]
    messages += [
        {"role": "assistant", "content": None, "tool_calls": shown},
        {"role": "tool", "tool_call_id": calls[0]["id"], "content": "clear"},
        {"role": "tool", "tool_call_id": calls[1]["id"], "content": [{"type": "text", "text": "noon"}]},
    ]
    text, _, finish = call_once(stream, messages)
    same(finish, "stop", "finish reason")
    assert text, "no text"


@check
def parallel_tools_plain():
    parallel_round_trip(stream=False)


@check
def parallel_tools_streamed():
    parallel_round_trip(stream=True)


@check
def tool_choice():
    asked = [{"role": "user", "content": "Anything, in parallel."}]
    _, calls, _ = call_once(False, asked, tool_choice="none")
    same(calls, [], "calls with none")
    _, calls, _ = call_once(False, asked, tool_choice={"type": "function", "function": {"name": "get_time"}})
    same([call["name"] for call in calls], ["get_time"], "calls with a named tool")
    _, calls, _ = call_once(False, asked, tool_choice="required", parallel_tool_calls=False)
    same(len(calls), 1, "calls with required and not parallel")


@check
def structured_output():
    form = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": WEATHER}}
    fits_weather(create(response_format=form).choices[0].message.content)
    text, *_ = collect(create(response_format=form, stream=True))
    fits_weather(text)
    parsed = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather), "not parsed"


@check
def json_object():
    messages = [{"role": "user", "content": "Answer in JSON."}]
    answer = create(messages=messages, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict), "not an object"


@check
def unknown_model():
    error = raises(
        openai.NotFoundError, 404, lambda: client.chat.completions.create(model="no-such-model", messages=HELLO)
    )
    same(error.code, "model_not_found", "code")


@check
def unknown_model_streamed():
    raises(
        openai.NotFoundError,
        404,
        lambda: client.chat.completions.create(model="no-such-model", messages=HELLO, stream=True),
    )


@check
def bad_request():
    error = raises(openai.BadRequestError, 400, lambda: create(messages=[]))
    assert error.body and error.body.get("message"), f"no message: {error.body!r}"
    same(error.type, "invalid_request_error", "type")


@check
def embeddings():
    # The SDK asks for base64 by itself and decodes it.
    answer = client.embeddings.create(model=EMBEDDING, input=["one", "three"])
    same([item.index for item in answer.data], [0, 1], "indexes")
    plain = client.embeddings.create(model=EMBEDDING, input=["one", "three"], encoding_format="float")
    same([list(item.embedding) for item in answer.data], [item.embedding for item in plain.data], "vectors")


@check
def models():
    names = [model.id for model in client.models.list()]
    assert NESTED in names, f"{NESTED} is not in {names}"
    same(client.models.retrieve(NESTED).id, NESTED, "id")
    raises(openai.NotFoundError, 404, lambda: client.models.retrieve("no-such-model"))


run(f"openai {openai.__version__} (Python), {MODEL}")

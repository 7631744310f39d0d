"""The Responses API through the unmodified OpenAI SDK for Python; see checks.py for its environment."""

import json

import openai
from pydantic import BaseModel

from checks import API_KEY, BASE_URL, CLOCK, MODEL, PNG, WEATHER, check, fits_clock, fits_weather, raises, run, same

client = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=30)

# The built-in models have no cache, and call one tool at a time.
BUILT_IN = MODEL.startswith("echo/")

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [
    {"type": "function", "name": "get_weather", "description": "Weather.", "parameters": WEATHER, "strict": False},
    {"type": "function", "name": "get_time", "description": "Time.", "parameters": CLOCK, "strict": False},
]


class Weather(BaseModel):
    city: str
    days: int


def create(**extra):
    return client.responses.create(model=MODEL, **{"input": HELLO, "instructions": "You are brief.", **extra})


def final(**extra):
    """The response that the stream helper puts together, compared with the events themselves."""
    text, numbers = "", []
    with client.responses.stream(model=MODEL, **{"input": HELLO, "instructions": "You are brief.", **extra}) as stream:
        for event in stream:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                text += event.delta
        answer = stream.get_final_response()
    same(numbers, list(range(len(numbers))), "sequence numbers")
    same(text, answer.output_text, "text in pieces and whole")
    return answer


def asked(stream, **extra):
    return final(**extra) if stream else create(**extra)


def said(answer):
    """What an answer says, without its ids."""
    calls = [(item.name, item.arguments) for item in answer.output if item.type == "function_call"]
    return answer.output_text, calls, answer.status, answer.usage.total_tokens


@check
def plain():
    answer = create()
    assert answer.output_text, "no text"
    same((answer.object, answer.status, answer.error), ("response", "completed", None), "object, status, error")
    usage = answer.usage
    assert usage.input_tokens > 0 and usage.output_tokens > 0, f"no usage: {usage}"
    same(usage.total_tokens, usage.input_tokens + usage.output_tokens, "total tokens")
    if not BUILT_IN:
        assert usage.input_tokens_details.cached_tokens > 0, "no cached tokens"
    same(answer.instructions, "You are brief.", "instructions")
    same(answer.tool_choice, "auto", "tool choice")
    assert answer._request_id, "no x-request-id"


@check
def a_text_is_input_too():
    same(create(input="Say hello.").output_text, create().output_text, "text")


@check
def streamed_is_the_same_as_plain():
    same(said(final()), said(create()), "answer")


@check
def events_by_hand():
    events = list(create(stream=True))
    same([event.type for event in events[:2]], ["response.created", "response.in_progress"], "first events")
    same(events[-1].type, "response.completed", "last event")
    same(events[-1].response.output_text, create().output_text, "text")


@check
def token_limit():
    # The stream helper knows no end but `response.completed`, so the last event is read by hand.
    limited = {"input": "word " * 60, "max_output_tokens": 16}
    for answer in (create(**limited), list(create(stream=True, **limited))[-1].response):
        same((answer.status, answer.incomplete_details.reason), ("incomplete", "max_output_tokens"), "status, reason")


@check
def several_turns_and_parts():
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    answer = create(
        input=[
            {"role": "developer", "content": "One."},
            {"role": "user", "content": [{"type": "input_text", "text": "Look:"}, picture]},
            {"role": "assistant", "content": "A dot."},
            {"role": "user", "content": "Which colour?"},
        ]
    )
    assert answer.output_text, "no text"


@check
def tool_loop():
    for stream in (False, True):
        talk = [{"role": "user", "content": "What is the weather in Paris?"}]
        answer = asked(stream, input=talk, tools=TOOLS)
        calls = [item for item in answer.output if item.type == "function_call"]
        same([call.name for call in calls], ["get_weather"], "calls")
        fits_weather(calls[0].arguments)
        talk += answer.output
        talk.append({"type": "function_call_output", "call_id": calls[0].call_id, "output": json.dumps({"sky": "clear"})})
        answer = asked(stream, input=talk, tools=TOOLS)
        assert "tool" in answer.output_text, f"the result was not seen: {answer.output_text!r}"


@check
def parallel_tools():
    for stream in (False, True):
        talk = [{"role": "user", "content": "Weather and time, in parallel."}]
        answer = asked(stream, input=talk, tools=TOOLS)
        calls = [item for item in answer.output if item.type == "function_call"]
        same([call.name for call in calls], ["get_weather", "get_time"][: 1 if BUILT_IN else 2], "calls")
        if BUILT_IN:
            continue
        assert calls[0].call_id != calls[1].call_id, "two calls with the same id"
        fits_weather(calls[0].arguments)
        fits_clock(calls[1].arguments)
        talk += answer.output
        talk += [{"type": "function_call_output", "call_id": call.call_id, "output": "fine"} for call in calls]
        assert asked(stream, input=talk, tools=TOOLS).output_text, "no text"


@check
def tool_choice():
    question = [{"role": "user", "content": "Anything, in parallel."}]
    names = lambda answer: [item.name for item in answer.output if item.type == "function_call"]
    same(names(create(input=question, tools=TOOLS, tool_choice="none")), [], "calls with none")
    named = {"type": "function", "name": "get_time"}
    same(names(create(input=question, tools=TOOLS, tool_choice=named)), ["get_time"], "calls with a named tool")
    one = create(input=question, tools=TOOLS, tool_choice="required", parallel_tool_calls=False)
    same(len(names(one)), 1, "calls with required and not parallel")


@check
def structured_output():
    form = {"format": {"type": "json_schema", "name": "weather", "strict": True, "schema": WEATHER}}
    fits_weather(create(text=form).output_text)
    fits_weather(final(text=form).output_text)
    parsed = client.responses.parse(model=MODEL, input=HELLO, text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather), "not parsed"
    with client.responses.stream(model=MODEL, input=HELLO, text_format=Weather) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Weather), "not parsed from a stream"


@check
def thinking_goes_back():
    for stream in (False, True):
        wanted = {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        answer = asked(stream, **wanted)
        talk = [*HELLO, *answer.output, {"role": "user", "content": "And now?"}]
        assert asked(stream, input=talk, **wanted).output_text, "no text"


@check
def unknown_model():
    for stream in (False, True):
        error = raises(
            openai.NotFoundError,
            404,
            lambda: client.responses.create(model="no-such-model", input="hi", stream=stream),
        )
        same(error.code, "model_not_found", "code")


@check
def bad_request():
    error = raises(openai.BadRequestError, 400, lambda: create(input=[]))
    same((error.type, error.param), ("invalid_request_error", "input"), "type, param")


run(f"openai {openai.__version__} (Python, Responses), {MODEL}")

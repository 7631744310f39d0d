"""The unmodified Anthropic SDK for Python against a server; see checks.py for its environment."""

import anthropic

from checks import API_KEY, BASE_URL, CLOCK, MODEL, NESTED, PNG, WEATHER, check, fits_clock, fits_weather, raises, run, same

client = anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=30)

HELLO = [{"role": "user", "content": "Say hello."}]
TOOLS = [
    {"name": "get_weather", "description": "Weather.", "input_schema": WEATHER},
    {"name": "get_time", "description": "Time.", "input_schema": CLOCK},
]


def create(**extra):
    return client.messages.create(model=MODEL, **{"max_tokens": 1024, "messages": HELLO, **extra})


def accumulate(**extra):
    """The final message of the SDK's stream helper, after its events were seen in order."""
    kinds = []
    with client.messages.stream(model=MODEL, **{"max_tokens": 1024, "messages": HELLO, **extra}) as stream:
        for event in stream:
            kinds.append(event.type)
        final = stream.get_final_message()
    same(kinds[0], "message_start", "first event")
    same(kinds[-1], "message_stop", "last event")
    same(kinds.count("content_block_start"), kinds.count("content_block_stop"), "blocks are closed")
    return final


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def uses_of(message):
    return [block for block in message.content if block.type == "tool_use"]


@check
def plain():
    message = create(system="You are brief.")
    assert text_of(message), "no text"
    same((message.type, message.role, message.stop_reason), ("message", "assistant", "end_turn"), "envelope")
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0, f"no usage: {message.usage}"
    assert message.usage.cache_read_input_tokens > 0, "no cached tokens"


@check
def streamed_is_the_same_as_plain():
    plain, final = create(), accumulate()
    same(text_of(final), text_of(plain), "text")
    same(final.stop_reason, "end_turn", "stop reason")
    same(final.usage.output_tokens, plain.usage.output_tokens, "output tokens")
    same(final.usage.input_tokens, plain.usage.input_tokens, "input tokens")


@check
def streamed_raw():
    text = ""
    for event in create(stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            text += event.delta.text
    same(text, text_of(create()), "text")


@check
def token_limit():
    same(create(max_tokens=2).stop_reason, "max_tokens", "stop reason")


@check
def stop_sequence():
    message = create(stop_sequences=[" model"])
    assert len(text_of(message)) < len(text_of(create())), "not stopped"
    assert message.stop_reason in ("stop_sequence", "end_turn"), message.stop_reason


@check
def several_turns_and_blocks():
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    message = create(
        system=[{"type": "text", "text": "One."}, {"type": "text", "text": "Two.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Look:"}, image]},
            {"role": "assistant", "content": [{"type": "text", "text": "A dot."}]},
            {"role": "user", "content": "Which colour?"},
        ],
    )
    assert text_of(message), "no text"


def turn(stream, **extra):
    return accumulate(**extra) if stream else create(**extra)


def tool_round_trip(stream):
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    message = turn(stream, messages=messages, tools=TOOLS)
    same(message.stop_reason, "tool_use", "stop reason")
    uses = uses_of(message)
    same([use.name for use in uses], ["get_weather"], "calls")
    fits_weather(uses[0].input)
    result = {"type": "tool_result", "tool_use_id": uses[0].id, "content": "clear"}
    messages += [message.to_param() if hasattr(message, "to_param") else {"role": "assistant", "content": message.content}]
    messages += [{"role": "user", "content": [result]}]
    message = turn(stream, messages=messages, tools=TOOLS)
    same((uses_of(message), message.stop_reason), ([], "end_turn"), "calls, stop reason")
    assert "tool" in text_of(message), f"the result was not seen: {text_of(message)!r}"


@check
def tools_plain():
    tool_round_trip(stream=False)


@check
def tools_streamed():
    tool_round_trip(stream=True)


def parallel_round_trip(stream):
    messages = [{"role": "user", "content": "Weather and time, in parallel."}]
    message = turn(stream, messages=messages, tools=TOOLS)
    uses = uses_of(message)
    same([use.name for use in uses], ["get_weather", "get_time"], "calls")
    fits_weather(uses[0].input)
    fits_clock(uses[1].input)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    results = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": [{"type": "text", "text": "clear"}, image]},
        {"type": "tool_result", "tool_use_id": uses[1].id, "content": "no clock", "is_error": True},
    ]
    shown = [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input} for use in uses]
    messages += [{"role": "assistant", "content": shown}, {"role": "user", "content": results}]
    message = turn(stream, messages=messages, tools=TOOLS)
    same(message.stop_reason, "end_turn", "stop reason")


@check
def parallel_tools_plain():
    parallel_round_trip(stream=False)


@check
def parallel_tools_streamed():
    parallel_round_trip(stream=True)


def thinking_round_trip(stream):
    extra = {"max_tokens": 2048, "thinking": {"type": "enabled", "budget_tokens": 1024}, "tools": TOOLS}
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    message = turn(stream, messages=messages, **extra)
    same(message.stop_reason, "tool_use", "stop reason")
    for block in message.content:
        assert block.type != "thinking" or block.signature, "thinking without a signature"
    result = {"type": "tool_result", "tool_use_id": uses_of(message)[0].id, "content": "clear"}
    messages += [{"role": "assistant", "content": message.content}, {"role": "user", "content": [result]}]
    same(turn(stream, messages=messages, **extra).stop_reason, "end_turn", "stop reason")


@check
def thinking_plain():
    thinking_round_trip(stream=False)


@check
def thinking_streamed():
    thinking_round_trip(stream=True)


@check
def tool_choice():
    asked = {"messages": [{"role": "user", "content": "Anything, in parallel."}], "tools": TOOLS}
    same(uses_of(create(**asked, tool_choice={"type": "none"})), [], "calls with none")
    named = create(**asked, tool_choice={"type": "tool", "name": "get_time"})
    same([use.name for use in uses_of(named)], ["get_time"], "calls with a named tool")
    single = create(**asked, tool_choice={"type": "any", "disable_parallel_tool_use": True})
    same(len(uses_of(single)), 1, "calls with any and not parallel")


@check
def structured_output():
    config = {"format": {"type": "json_schema", "schema": WEATHER}}
    fits_weather(text_of(create(output_config=config)))
    fits_weather(text_of(accumulate(output_config=config)))


@check
def count_tokens():
    counted = client.messages.count_tokens(model=MODEL, messages=HELLO, system="You are brief.", tools=TOOLS)
    assert counted.input_tokens > 0, "nothing counted"


@check
def unknown_model():
    error = raises(
        anthropic.NotFoundError,
        404,
        lambda: client.messages.create(model="no-such-model", max_tokens=9, messages=HELLO),
    )
    same(error.body["error"]["type"], "not_found_error", "type")


@check
def bad_request():
    error = raises(anthropic.BadRequestError, 400, lambda: create(messages=[]))
    same(error.body["type"], "error", "envelope")
    same(error.body["error"]["type"], "invalid_request_error", "type")


@check
def models():
    names = [model.id for model in client.models.list()]
    assert NESTED in names, f"{NESTED} is not in {names}"
    same(client.models.retrieve(NESTED).id, NESTED, "id")


run(f"anthropic {anthropic.__version__} (Python), {MODEL}")

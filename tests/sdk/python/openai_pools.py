"""The unmodified OpenAI SDK for Python, which passes a list or a route as its model; see checks.py and pools.py
for its environment."""

import openai

from checks import API_KEY, BASE_URL, WEATHER, check, run, same
from pools import MINI, SONNET, TO_MINI, TO_SONNET, call, line, say, scene, told, took_over, tools_of

client = openai.OpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=30)

TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": WEATHER}}]
# A list in the place of the name, the same beside it as the SDK's documentation has it, and a route.
WAYS_TO_NAME = [
    {"model": [MINI, SONNET]},
    {"model": "unused", "extra_body": {"model": [MINI, {"model": SONNET}]}},
    {"model": "writers"},
]
MIXES = [
    ([MINI, SONNET], TO_SONNET),
    ([SONNET, MINI], TO_MINI),
    ([MINI, "openai/gpt-4o"], "transfer_to_gpt_4o"),
    ([SONNET, "anthropic/claude-3-opus-20240229"], "transfer_to_claude_3_opus_20240229"),
]


def upstream(model):
    return model.split("/")[0]


def ask(stream, messages, **options):
    """The whole answer, or the one that the SDK puts together from a stream; and who ended it."""
    if not stream:
        answer = client.chat.completions.create(messages=messages, **options)
        return answer, answer.model
    with client.chat.completions.stream(messages=messages, stream_options={"include_usage": True}, **options) as events:
        for event in events:
            if event.type == "chunk":
                same(event.chunk.object, "chat.completion.chunk", "object")
                assert event.chunk.choices is not None, "an event that is no chunk"
                assert event.chunk.model, "a chunk of no model"
                model = event.chunk.model
        # What is put together keeps the model of the first chunk.
        return events.get_final_completion(), model


def again(message):
    """An answer as the next request tells of it."""
    calls = [
        {"id": one.id, "type": "function", "function": {"name": one.function.name, "arguments": one.function.arguments}}
        for one in message.tool_calls
    ]
    return {"role": "assistant", "tool_calls": calls}


def user(text):
    return [{"role": "user", "content": text}]


@check
def every_way_to_name_a_pool():
    for named in WAYS_TO_NAME:
        answers = []
        for stream in (False, True):
            with scene(openai=[call(TO_SONNET, _text="First.", reason="prose")], anthropic=[say("Then.")]) as stage:
                answer, model = ask(stream, user("Go"), **named)
                choice = answer.choices[0]
                same((choice.message.content, choice.finish_reason), ("First.\n\nThen.", "stop"), "text, finish reason")
                assert not choice.message.tool_calls, choice.message.tool_calls
                same(model, SONNET, "model")
                (decisions,) = stage.runs(1)
                same(line(decisions[-1]), f"2.2 handoff handed_over {MINI} -> {SONNET}", "last decision")
                same(decisions[-1]["handoff"]["said"], "prose", "the reason that was written down")
                used = [decision["outcome"]["usage"] for decision in decisions]
                sums = tuple(sum(one[key] for one in used) for key in ("input_tokens", "output_tokens"))
                same((answer.usage.prompt_tokens, answer.usage.completion_tokens), sums, "usage")
                answers.append((choice.message.content, sums))
        same(answers[0], answers[1], "streamed and whole")


@check
def every_mix_of_dialects():
    for models, to in MIXES:
        for stream in (False, True):
            steps = {"openai": [], "anthropic": []}
            steps[upstream(models[0])].append(call(to, reason="r"))
            steps[upstream(models[1])].append(say("Here."))
            with scene(**steps) as stage:
                answer, model = ask(stream, user("Go"), model=models)
                same((answer.choices[0].message.content, model), ("Here.", models[1]), "text, model")
                last = stage.seen(upstream(models[1]))[-1]
                wanted = ["user: Go", f'assistant calls {to} {{"reason": "r"}}', took_over(models[0])]
                same(told(last), wanted, "the second model's request")


@check
def tool_round_with_the_second_model():
    for models, to in MIXES:
        for stream in (False, True):
            steps = {"openai": [], "anthropic": []}
            steps[upstream(models[0])].append(call(to, reason="r"))
            steps[upstream(models[1])] += [call("get_weather", city="Oslo", days=1), say("It snows.")]
            with scene(**steps) as stage:
                messages = user("Weather?")
                first = ask(stream, messages, model=models, tools=TOOLS)[0].choices[0]
                same(first.finish_reason, "tool_calls", "finish reason")
                (one,) = first.message.tool_calls
                same((one.function.name, first.message.content or None), ("get_weather", None), "call, text")
                messages += [
                    again(first.message),
                    {"role": "tool", "tool_call_id": one.id, "content": "snow"},
                ]
                second, model = ask(stream, messages, model=models, tools=TOOLS)
                same((second.choices[0].message.content, model), ("It snows.", models[1]), "text, model")
                last = stage.seen(upstream(models[1]))[-1]
                same(tools_of(last)[0], "get_weather", "the client's tool comes first")
                calls = 'assistant calls get_weather {"city": "Oslo", "days": 1}'
                same(told(last), ["user: Weather?", calls, "result: snow"], "the second request")
                same(stage.story(2)[1], [f"1.1 stay stays {models[1]}"], "decisions of the second request")


@check
def tool_round_before_a_hand_over():
    """A transfer behind the client's own call waits for the next request."""
    for stream in (False, True):
        openai_says = [{"call": [["get_weather", {"city": "Oslo", "days": 1}], [TO_SONNET, {"reason": "later"}]]}]
        with scene(openai=openai_says, anthropic=[say("It snows, says Claude.")]) as stage:
            messages = user("Weather?")
            first = ask(stream, messages, model=[MINI, SONNET], tools=TOOLS)[0].choices[0].message
            same([one.function.name for one in first.tool_calls], ["get_weather"], "calls")
            answered = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "snow"}
            messages += [again(first), answered]
            second, model = ask(stream, messages, model=[MINI, SONNET], tools=TOOLS)
            same((second.choices[0].message.content, model), ("It snows, says Claude.", SONNET), "text, model")
            story = stage.story(2)
            same(story[0][1], f"1.1 handoff calls_go_to_client {MINI} -> {SONNET}", "the hand-over that waits")


@check
def no_hand_over_where_the_client_rules_it_out():
    for options in [{"tools": TOOLS, "tool_choice": "none"}, {"n": 2}]:
        with scene(openai=[say("Alone.")]) as stage:
            answer = client.chat.completions.create(model=[MINI, SONNET], messages=user("Go"), **options)
            same(answer.choices[0].message.content, "Alone.", "text")
            assert TO_SONNET not in tools_of(stage.seen("openai")[0]), "a transfer was offered"
            same(stage.story(1), [[f"1.1 select first_in_order {MINI}"]], "decisions")


@check
def a_stream_that_breaks_is_an_error():
    with scene(openai=[call(TO_SONNET, reason="r")], anthropic=[{"fault": "fault-after-content"}]):
        text = ""
        try:
            for chunk in client.chat.completions.create(model=[MINI, SONNET], messages=user("Go"), stream=True):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        except openai.APIError as error:
            assert text and error.message, (text, error)
            return
    raise AssertionError("the stream ended as if nothing had happened")


run(f"openai {openai.__version__} (Python), lists and routes")

"""The unmodified Anthropic SDK for Python, which passes a list or a route as its model; see checks.py and pools.py
for its environment."""

import anthropic

from checks import API_KEY, BASE_URL, WEATHER, check, run, same
from pools import MINI, SONNET, TO_MINI, TO_SONNET, call, line, say, scene, told, took_over, tools_of

client = anthropic.Anthropic(base_url=BASE_URL, api_key=API_KEY, max_retries=0, timeout=30)

TOOLS = [{"name": "get_weather", "description": "Weather.", "input_schema": WEATHER}]
MIXES = [
    ([MINI, SONNET], TO_SONNET),
    ([SONNET, MINI], TO_MINI),
    ([MINI, "openai/gpt-4o"], "transfer_to_gpt_4o"),
    ([SONNET, "anthropic/claude-3-opus-20240229"], "transfer_to_claude_3_opus_20240229"),
]


def pool(*models):
    """A list: the SDK itself looks its model up by name, so the list stands beside it."""
    return {"model": "unused", "extra_body": {"model": list(models)}}


WAYS_TO_NAME = [pool(MINI, SONNET), pool({"model": MINI}, {"model": SONNET, "settings": {}}), {"model": "writers"}]


def upstream(model):
    return model.split("/")[0]


def ask(stream, messages, **options):
    """The whole message, or the one that the SDK puts together from a stream."""
    options = {"max_tokens": 200, "messages": messages, **options}
    if not stream:
        return client.messages.create(**options)
    with client.messages.stream(**options) as events:
        return events.get_final_message()


def user(text):
    return [{"role": "user", "content": text}]


def blocks(message):
    """The content, a line for each block."""
    return [block.text if block.type == "text" else f"{block.name} {block.input}" for block in message.content]


@check
def every_way_to_name_a_pool():
    for named in WAYS_TO_NAME:
        answers = []
        for stream in (False, True):
            with scene(openai=[call(TO_SONNET, _text="First.", reason="prose")], anthropic=[say("Then.")]) as stage:
                message = ask(stream, user("Go"), **named)
                same((blocks(message), message.stop_reason), (["First.", "Then."], "end_turn"), "blocks, stop reason")
                (decisions,) = stage.runs(1)
                same(line(decisions[-1]), f"2.2 handoff handed_over {MINI} -> {SONNET}", "last decision")
                same(decisions[-1]["handoff"]["said"], "prose", "the reason that was written down")
                used = [decision["outcome"]["usage"] for decision in decisions]
                sums = tuple(sum(one[key] for one in used) for key in ("input_tokens", "output_tokens"))
                usage = message.usage
                read = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
                same((read, usage.output_tokens), sums, "usage")
                answers.append((blocks(message), sums))
                if not stream:
                    same(message.model, SONNET, "model")
        same(answers[0], answers[1], "streamed and whole")


@check
def every_mix_of_dialects():
    for models, to in MIXES:
        for stream in (False, True):
            steps = {"openai": [], "anthropic": []}
            steps[upstream(models[0])].append(call(to, reason="r"))
            steps[upstream(models[1])].append(say("Here."))
            with scene(**steps) as stage:
                message = ask(stream, user("Go"), **pool(*models), system="Be brief.")
                same((blocks(message), message.stop_reason), (["Here."], "end_turn"), "blocks, stop reason")
                last = stage.seen(upstream(models[1]))[-1]
                talk = ["system: Be brief.", "user: Go", f'assistant calls {to} {{"reason": "r"}}', took_over(models[0])]
                same(told(last), talk, "the second model's request")


@check
def tool_round_with_the_second_model():
    for models, to in MIXES:
        for stream in (False, True):
            steps = {"openai": [], "anthropic": []}
            steps[upstream(models[0])].append(call(to, reason="r"))
            steps[upstream(models[1])] += [call("get_weather", city="Oslo", days=1), say("It snows.")]
            with scene(**steps) as stage:
                messages = user("Weather?")
                first = ask(stream, messages, **pool(*models), tools=TOOLS)
                same(first.stop_reason, "tool_use", "stop reason")
                same(blocks(first), ["get_weather {'city': 'Oslo', 'days': 1}"], "blocks")
                result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "snow"}
                messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
                second = ask(stream, messages, **pool(*models), tools=TOOLS)
                same((blocks(second), second.model), (["It snows."], models[1]), "blocks, model")
                last = stage.seen(upstream(models[1]))[-1]
                same(tools_of(last)[0], "get_weather", "the client's tool comes first")
                calls = 'assistant calls get_weather {"city": "Oslo", "days": 1}'
                same(told(last), ["user: Weather?", calls, "result: snow"], "the second request")
                same(stage.story(2)[1], [f"1.1 stay stays {models[1]}"], "decisions of the second request")


@check
def a_stream_that_breaks_is_an_error():
    with scene(openai=[call(TO_SONNET, _text="First.", reason="r")], anthropic=[{"fault": "fault-after-content"}]):
        text = ""
        try:
            with client.messages.stream(**pool(MINI, SONNET), max_tokens=99, messages=user("Go")) as events:
                for piece in events.text_stream:
                    text += piece
        except anthropic.APIError as error:
            assert text.startswith("First.The tool"), text
            assert error.message, "an error without a message"
            return
    raise AssertionError("the stream ended as if nothing had happened")


run(f"anthropic {anthropic.__version__} (Python), lists and routes")

"""The unmodified Pydantic AI on its three kinds of models; see checks.py and scripted.py for its environment."""

from pydantic import BaseModel, Field
from pydantic_ai import Agent, ModelRetry, NativeOutput, ToolOutput, BinaryContent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider
import pydantic_ai

from checks import API_KEY, run, same
from scripted import BOTH, LYON, OSLO, TALK, USAGE, call, everywhere, say, schema_of, script, tools_of

KINDS = ("chat", "responses", "messages")


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    days: int = Field(description="How many days.")


def model(way, kind, name=None):
    name = name or way.model
    if kind == "messages":
        provider = AnthropicProvider(base_url=way.base_url, api_key=API_KEY)
        # What the library knows of a vendor's models by their names.
        return AnthropicModel(name, provider=provider, profile={"supports_json_schema_output": True})
    provider = OpenAIProvider(base_url=way.v1, api_key=API_KEY)
    return OpenAIChatModel(name, provider=provider) if kind == "chat" else OpenAIResponsesModel(name, provider=provider)


async def go(agent, prompt, stream, **options):
    """Runs an agent to its end; answers what it gave, and what it can tell about the run."""
    if not stream:
        result = await agent.run(prompt, **options)
        return result.output, result
    kinds = set()

    async def watch(_context, events):
        async for event in events:
            kinds.add(event.event_kind)

    result = await agent.run(prompt, event_stream_handler=watch, **options)
    assert {"part_start", "part_end"} <= kinds, f"nothing was streamed: {kinds}"
    return result.output, result


def spent(result, requests):
    """Fails unless a run cost what its answers were said to cost."""
    usage = result.usage
    same(usage.requests, requests, "requests")
    counted = (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens)
    same(counted, tuple(requests * USAGE[name] for name in ("input", "cached", "output")), "usage")


@everywhere(kind=KINDS, stream=BOTH)
async def a_text(way, kind, stream):
    agent = Agent(model(way, kind), instructions="You are brief.")
    with script(way, say(TALK)) as asked:
        output, result = await go(agent, "Quel temps ?", stream)
        same(output, TALK, "text")
        spent(result, 1)
        response = result.all_messages()[-1]
        same(response.finish_reason, "stop", "finish reason")
        same(asked.told(), ["system: You are brief.", "user: Quel temps ?"], "the conversation")


@everywhere(kind=KINDS)
async def text_in_pieces(way, kind):
    """The pieces of a stream join to the text; two turns go on from one another."""
    agent = Agent(model(way, kind))
    with script(way, say("Un."), say(TALK)) as asked:
        _, first = await go(agent, "One?", stream=False)
        async with agent.run_stream("Two?", message_history=first.all_messages()) as result:
            told = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        assert len(told) > 1, f"one piece: {told}"
        same("".join(told), TALK, "text")
        spent(result, 1)
        same(asked.told(), ["user: One?", "assistant: Un.", "user: Two?"], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
async def tools(way, kind, stream):
    """A text before two calls at once, an error that the model is told, and the end."""
    agent = Agent(model(way, kind))
    seen = []

    @agent.tool_plain(retries=2)
    def get_weather(city: str, days: int) -> str:
        """The weather of a city."""
        seen.append({"city": city, "days": days})
        if city == LYON["city"] and seen.count(LYON) == 1:
            raise ModelRetry("Too busy.")
        return f"{days} mild days"

    at_once = {"say": "I look.", "call": [["get_weather", LYON], ["get_weather", OSLO]]}
    with script(way, at_once, call("get_weather", **LYON), say(TALK)) as asked:
        output, result = await go(agent, "Weather?", stream)
        same(output, TALK, "text")
        same(sorted(seen, key=str), sorted([LYON, OSLO, LYON], key=str), "arguments")
        spent(result, 3)
        finishes = [one.finish_reason for one in result.all_messages() if one.kind == "response"]
        # The Responses API has no word for an answer that ends with calls.
        calls = "stop" if kind == "responses" else "tool_call"
        same(finishes, [calls, calls, "stop"], "finish reasons")
        talk = asked.told()
        calls = ['assistant calls get_weather {"city": "Lyon", "days": 2}', 'assistant calls get_weather {"city": "Øst-\\"Oslo\\"", "days": 14}']
        same(talk[:4], ["user: Weather?", "assistant: I look.", *calls], "the conversation")
        assert talk[4].startswith("result: ") and "Too busy." in talk[4], talk
        same(talk[5:], ["result: 14 mild days", calls[0], "result: 2 mild days"], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
async def a_tool_without_arguments(way, kind, stream):
    agent = Agent(model(way, kind))

    @agent.tool_plain
    def now() -> str:
        return "noon"

    with script(way, call("now"), say("Noon.")) as asked:
        same((await go(agent, "Now?", stream))[0], "Noon.", "text")
        same(asked.told(), ["user: Now?", "assistant calls now {}", "result: noon"], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
async def structured_by_a_tool(way, kind, stream):
    agent = Agent(model(way, kind), output_type=ToolOutput(Weather, name="weather"))
    with script(way, call("weather", **OSLO)) as asked:
        output, result = await go(agent, "Weather?", stream)
        same(output, Weather(**OSLO), "object")
        spent(result, 1)
        same(tools_of(asked.bodies()[0]), ["weather"], "tools")


@everywhere(kind=KINDS, stream=BOTH)
async def structured_by_a_schema(way, kind, stream):
    agent = Agent(model(way, kind), output_type=NativeOutput(Weather))
    with script(way, say('{"city": "Lyon", "days": 2}')) as asked:
        output, result = await go(agent, "Weather?", stream)
        same(output, Weather(**LYON), "object")
        spent(result, 1)
        schema = schema_of(asked.bodies()[0])
        same(sorted(schema["required"]), ["city", "days"], "the schema that was asked for")


@everywhere(kind=KINDS, stream=BOTH)
async def structured_after_a_mistake(way, kind, stream):
    """What does not fit is sent back once, and the second answer counts."""
    agent = Agent(model(way, kind), output_type=ToolOutput(Weather, name="weather"), retries=1)
    with script(way, call("weather", city="Lyon", days="many"), call("weather", **LYON)) as asked:
        _, result = await go(agent, "Weather?", stream)
        same(result.output, Weather(**LYON), "object")
        spent(result, 2)
        same(asked.told()[:2], ["user: Weather?", 'assistant calls weather {"city": "Lyon", "days": "many"}'], "the conversation")


@everywhere(kind=KINDS, stream=BOTH)
async def a_limit_of_tokens(way, kind, stream):
    agent = Agent(model(way, kind), model_settings={"max_tokens": 16})
    with script(way, say("mot " * 20)):
        output, result = await go(agent, "Many words?", stream)
        same(output, "mot " * 16, "text")
        # From a stream of the Responses API, the library reads a finish reason off `response.completed` only.
        finish = None if stream and kind == "responses" else "length"
        same(result.all_messages()[-1].finish_reason, finish, "finish reason")


@everywhere(kind=KINDS, stream=BOTH)
async def a_picture(way, kind, stream):
    agent = Agent(model(way, kind))
    picture = BinaryContent(b"\x89PNG\r\n\x1a\n" + bytes(16), media_type="image/png")
    with script(way, say("A dot.")) as asked:
        same((await go(agent, ["What is it?", picture], stream))[0], "A dot.", "text")
        assert picture.base64 in str(asked.bodies()[0]), "the picture did not arrive"


@everywhere(kind=KINDS, stream=BOTH)
async def an_error_is_an_exception(way, kind, stream):
    for name, status, steps in ((way.model, 400, [{"fault": "fault-400"}]), ("no-such-model", 404, [])):
        with script(way, *steps):
            try:
                await go(Agent(model(way, kind, name)), "Hi", stream)
            except ModelHTTPError as error:
                same(error.status_code, status, "status")
            else:
                raise AssertionError(f"nothing was raised for {status}")


@everywhere(kind=KINDS)
async def a_stream_that_breaks_is_an_exception(way, kind):
    if way.path is None and kind == "responses":
        return  # Of the event `error` the library takes no notice; `response.failed` behind it is the gateway's.
    with script(way, {"fault": "fault-after-content"}):
        try:
            await go(Agent(model(way, kind)), "Hi", stream=True)
        except Exception as error:
            assert not isinstance(error, AssertionError), error
        else:
            raise AssertionError("nothing was raised")


run(f"pydantic-ai {pydantic_ai.__version__}")

"""The unmodified OpenAI Agents SDK against a gateway: its own loop switches agents and models between requests.

The gateway hands nothing over here. See checks.py and pools.py for its environment.
"""

import asyncio
import json
from functools import partial
from itertools import permutations

from agents import Agent, ModelSettings, Runner, RunConfig, function_tool, handoff
from agents import set_default_openai_api, set_default_openai_client, set_tracing_disabled
from agents.version import __version__
from openai import AsyncOpenAI
from pydantic import BaseModel

from checks import API_KEY, BASE_URL, check, run, same
from pools import MINI, SONNET, call, line, say, scene, told, tools_of

set_tracing_disabled(True)

# Which API the SDK speaks; the first is its default.
APIS = ("responses", "chat_completions")

# The SDK reads what stands before a slash as a provider of its own.
CLAUDE = "claude-sonnet-4-20250514"
# A model of each upstream, as the SDK names it and as the gateway does.
MODELS = {
    "openai": ("gpt-4o-mini", MINI),
    "anthropic": (CLAUDE, SONNET),
    "responses": ("gpt-4.1-mini", "responses/gpt-4.1-mini"),
}

# The one that answers in objects, where the other does not.
WITH_OBJECTS = {"anthropic": "claude-sonnet-4-5"}

TO_BILLING = "transfer_to_billing_agent"
GIVEN = 'result: {"assistant": "Billing Agent"}'
USAGE = {"input": 100, "cached": 60, "cache_write": 0, "output": 20, "reasoning": 0}


class Why(BaseModel):
    reason: str


class Weather(BaseModel):
    city: str
    days: int


def go(agent, text, how, **options):
    """Runs the loop of the SDK to its end; answers the text and the name of the agent that gave it."""
    result = loop(agent, text, how, **options)
    return result.final_output, result.last_agent.name


def loop(agent, text, how, **options):
    """The same; answers all that the SDK has of it."""
    api, stream = how
    set_default_openai_api(api)
    # On chat, the SDK asks for the usage of a stream only when it is told to.
    config = RunConfig(model_settings=ModelSettings(include_usage=True), **options)

    async def play():
        async with AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=30) as client:
            set_default_openai_client(client, use_for_tracing=False)
            if not stream:
                return await Runner.run(agent, text, run_config=config)
            result = Runner.run_streamed(agent, text, run_config=config)
            async for event in result.stream_events():
                assert event.type in ("raw_response_event", "run_item_stream_event", "agent_updated_stream_event")
            return result

    return asyncio.run(play())


def both(function, label="", **given):
    """Registers a check on both APIs, whole and streamed."""
    for api in APIS:
        for stream in (False, True):
            one = partial(function, (api, stream), **given)
            one.__name__ = f"{api}/{function.__name__}{label}/{'streamed' if stream else 'whole'}"
            check(one)


def between_upstreams(function):
    """Registers a check from each upstream to each other one."""
    for source, target in permutations(MODELS, 2):
        both(function, f"/{source}_to_{target}", source=source, target=target)


@between_upstreams
def triage_to_billing(how, source, target):
    (first_model, first_name), (second_model, second_name) = MODELS[source], MODELS[target]
    billing = Agent(name="Billing Agent", instructions="You bill.", model=second_model, handoff_description="Bills.")
    triage = Agent(name="Triage", instructions="You sort.", model=first_model, handoffs=[billing])
    script = {source: [{**call(TO_BILLING), "usage": USAGE}], target: [{**say("Your card is new."), "usage": USAGE}]}
    with scene(**script) as stage:
        result = loop(triage, "I need to update my card", how)
        same((result.final_output, result.last_agent.name), ("Your card is new.", "Billing Agent"), "text, agent")
        usage = result.context_wrapper.usage
        counted = (usage.requests, usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens)
        same(counted, (2, 200, 120, 40), "requests, tokens in, of them cached, out")
        (asked,), (billed,) = stage.seen(source), stage.seen(target)
        same(tools_of(asked), [TO_BILLING], "tools of the first")
        same(told(asked), ["system: You sort.", "user: I need to update my card"], "the first request")
        talk = ["system: You bill.", "user: I need to update my card", f"assistant calls {TO_BILLING} {{}}", GIVEN]
        same(told(billed), talk, "the second request")
        first, second = stage.runs(2)
        same([line(one) for one in first], [f"1.1 select only_model {first_name}"], "decisions of the first request")
        observed = [f"1.1 observe observed {second_name}", f"1.1 select only_model {second_name}"]
        same([line(one) for one in second], observed, "decisions of the second request")
        same(second[0]["reason"]["text"], "the client's own loop handed over to billing_agent", "the reason")


def on_each_upstream(function):
    """Registers a check for each upstream."""
    for upstream in MODELS:
        both(function, f"/{upstream}", upstream=upstream)


@on_each_upstream
def an_object_after_a_tool(how, upstream):
    @function_tool
    def look_up(city: str) -> str:
        """Looks a city up."""
        return f"{city}: mild"

    model = WITH_OBJECTS.get(upstream) or MODELS[upstream][0]
    agent = Agent(name="Weather", instructions="You look.", model=model, tools=[look_up], output_type=Weather)
    steps = [call("look_up", city="Ørsta"), say('{"city": "Ørsta", "days": 3}')]
    with scene(**{upstream: [{**step, "usage": USAGE} for step in steps]}) as stage:
        result = loop(agent, "Weather?", how)
        same(result.final_output, Weather(city="Ørsta", days=3), "object")
        same(result.context_wrapper.usage.output_tokens, 40, "tokens out")
        last = stage.seen(upstream)[1]
        talk = ["system: You look.", "user: Weather?", 'assistant calls look_up {"city": "Ørsta"}', "result: Ørsta: mild"]
        same(told(last), talk, "the last request")
        assert "days" in json.dumps(last.get("response_format") or last.get("text") or last.get("output_config")), last


@both
def a_reason_is_given(how):
    billing = Agent(name="Billing Agent", instructions="You bill.", model="gpt-4o")
    with_reason = handoff(billing, input_type=Why, on_handoff=lambda context, why: None)
    triage = Agent(name="Triage", instructions="You sort.", model=CLAUDE, handoffs=[with_reason])
    with scene(openai=[say("Billed.")], anthropic=[call(TO_BILLING, reason="a card")]) as stage:
        same(go(triage, "My card", how), ("Billed.", "Billing Agent"), "text, agent")
        (asked,), (billed,) = stage.seen("anthropic"), stage.seen("openai")
        same(list(asked["tools"][0]["input_schema"]["properties"]), ["reason"], "what the transfer asks for")
        talk = ["system: You bill.", "user: My card", f'assistant calls {TO_BILLING} {{"reason": "a card"}}', GIVEN]
        same(told(billed), talk, "the second request")


@both
def tools_before_and_after(how):
    """Each agent has a tool; the history crosses from one dialect into the other and back."""
    looked = []

    @function_tool
    def look_up(name: str) -> str:
        """Looks a customer up."""
        looked.append(name)
        return f"{name}: 3 invoices"

    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE, tools=[look_up])
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", tools=[look_up], handoffs=[billing])
    openai = [call("look_up", name="Ann"), call(TO_BILLING)]
    anthropic = [call("look_up", name="Bob"), say("Two customers.")]
    with scene(openai=openai, anthropic=anthropic) as stage:
        same(go(triage, "Who?", how), ("Two customers.", "Billing Agent"), "text, agent")
        same(looked, ["Ann", "Bob"], "what was looked up")
        last = stage.seen("anthropic")[1]
        talk = [
            "system: You bill.",
            "user: Who?",
            'assistant calls look_up {"name": "Ann"}',
            "result: Ann: 3 invoices",
            f"assistant calls {TO_BILLING} {{}}",
            GIVEN,
            'assistant calls look_up {"name": "Bob"}',
            "result: Bob: 3 invoices",
        ]
        same(told(last), talk, "the last request")
        same(len(stage.runs(4)), 4, "runs")


@both
def several_transfers_at_once(how):
    """The loop takes the first and answers the others; the history goes through as it is."""
    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE)
    sales = Agent(name="Sales", instructions="You sell.", model=CLAUDE)
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", handoffs=[billing, sales])
    two = {"call": [[TO_BILLING, {}], ["transfer_to_sales", {}]]}
    with scene(openai=[two], anthropic=[say("Billed.")]) as stage:
        same(go(triage, "Both", how), ("Billed.", "Billing Agent"), "text, agent")
        told_then = told(stage.seen("anthropic")[0])
        assert "result: Multiple handoffs detected, ignoring this one." in told_then, told_then


@both
def a_nested_history_without_a_user(how):
    """The history becomes one assistant message: a conversation that no user began."""
    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE)
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", handoffs=[billing])
    with scene(openai=[call(TO_BILLING)], anthropic=[say("Billed.")]) as stage:
        same(go(triage, "My card", how, nest_handoff_history=True), ("Billed.", "Billing Agent"), "text, agent")
        (billed,) = stage.seen("anthropic")
        same(billed["messages"][0]["role"], "user", "who begins, where the vendor wants a user")
        assert "For context, here is the conversation so far" in json.dumps(billed), billed


@both
def an_agent_that_is_a_pool(how):
    """An agent whose model is a route: the gateway hands over inside of one step of the loop."""
    writer = Agent(name="Writer", instructions="You write.", model="writers", model_settings=ModelSettings(temperature=0.5))
    to_sonnet = call("transfer_to_claude_sonnet_4_20250514", reason="prose")
    with scene(openai=[to_sonnet], anthropic=[say("Prose.")]) as stage:
        same(go(writer, "Write", how), ("Prose.", "Writer"), "text, agent")
        (decisions,) = stage.runs(1)
        same(line(decisions[1]), f"2.2 handoff handed_over {MINI} -> {SONNET}", "the hand-over")


run(f"openai-agents {__version__} (Python)")

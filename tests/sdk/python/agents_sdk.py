"""The unmodified OpenAI Agents SDK against a gateway: its own loop switches agents and models between requests.

The gateway hands nothing over here. See checks.py and pools.py for its environment.
"""

import asyncio
import json

from agents import Agent, ModelSettings, Runner, RunConfig, function_tool, handoff
from agents import set_default_openai_api, set_default_openai_client, set_tracing_disabled
from agents.version import __version__
from openai import AsyncOpenAI
from pydantic import BaseModel

from checks import API_KEY, BASE_URL, check, run, same
from pools import MINI, SONNET, call, line, say, scene, told, tools_of

set_tracing_disabled(True)
set_default_openai_api("chat_completions")

# The SDK reads what stands before a slash as a provider of its own.
CLAUDE = "claude-sonnet-4-20250514"

TO_BILLING = "transfer_to_billing_agent"
GIVEN = 'result: {"assistant": "Billing Agent"}'


class Why(BaseModel):
    reason: str


def go(agent, text, stream, **options):
    """Runs the loop of the SDK to its end; answers the text and the name of the agent that gave it."""

    async def loop():
        async with AsyncOpenAI(base_url=f"{BASE_URL}/v1", api_key=API_KEY, max_retries=0, timeout=30) as client:
            set_default_openai_client(client, use_for_tracing=False)
            if not stream:
                result = await Runner.run(agent, text, **options)
            else:
                result = Runner.run_streamed(agent, text, **options)
                async for event in result.stream_events():
                    assert event.type in ("raw_response_event", "run_item_stream_event", "agent_updated_stream_event")
            return result.final_output, result.last_agent.name

    return asyncio.run(loop())


def both(function):
    """Registers a check, whole and streamed."""
    for stream in (False, True):

        def one(stream=stream):
            function(stream)

        one.__name__ = f"{function.__name__}_{'streamed' if stream else 'whole'}"
        check(one)


@both
def triage_to_billing(stream):
    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE, handoff_description="Bills.")
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", handoffs=[billing])
    with scene(openai=[call(TO_BILLING)], anthropic=[say("Your card is new.")]) as stage:
        answer = go(triage, "I need to update my card", stream)
        same(answer, ("Your card is new.", "Billing Agent"), "text, agent")
        (asked,), (billed,) = stage.seen("openai"), stage.seen("anthropic")
        same((tools_of(asked), tools_of(billed)), ([TO_BILLING], [TO_BILLING]), "tools")
        same(told(asked), ["system: You sort.", "user: I need to update my card"], "the first request")
        talk = ["system: You bill.", "user: I need to update my card", f"assistant calls {TO_BILLING} {{}}", GIVEN]
        same(told(billed), talk, "the second request")
        first, second = stage.runs(2)
        same([line(one) for one in first], [f"1.1 select only_model {MINI}"], "decisions of the first request")
        observed = [f"1.1 observe observed {SONNET}", f"1.1 select only_model {SONNET}"]
        same([line(one) for one in second], observed, "decisions of the second request")
        same(second[0]["reason"]["text"], "the client's own loop handed over to billing_agent", "the reason")


@both
def a_reason_is_given(stream):
    billing = Agent(name="Billing Agent", instructions="You bill.", model="gpt-4o")
    with_reason = handoff(billing, input_type=Why, on_handoff=lambda context, why: None)
    triage = Agent(name="Triage", instructions="You sort.", model=CLAUDE, handoffs=[with_reason])
    with scene(openai=[say("Billed.")], anthropic=[call(TO_BILLING, reason="a card")]) as stage:
        same(go(triage, "My card", stream), ("Billed.", "Billing Agent"), "text, agent")
        (asked,), (billed,) = stage.seen("anthropic"), stage.seen("openai")
        same(list(asked["tools"][0]["input_schema"]["properties"]), ["reason"], "what the transfer asks for")
        talk = ["system: You bill.", "user: My card", f'assistant calls {TO_BILLING} {{"reason": "a card"}}', GIVEN]
        same(told(billed), talk, "the second request")


@both
def tools_before_and_after(stream):
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
        same(go(triage, "Who?", stream), ("Two customers.", "Billing Agent"), "text, agent")
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
def several_transfers_at_once(stream):
    """The loop takes the first and answers the others; the history goes through as it is."""
    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE)
    sales = Agent(name="Sales", instructions="You sell.", model=CLAUDE)
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", handoffs=[billing, sales])
    two = {"call": [[TO_BILLING, {}], ["transfer_to_sales", {}]]}
    with scene(openai=[two], anthropic=[say("Billed.")]) as stage:
        same(go(triage, "Both", stream), ("Billed.", "Billing Agent"), "text, agent")
        told_then = told(stage.seen("anthropic")[0])
        assert "result: Multiple handoffs detected, ignoring this one." in told_then, told_then


@both
def a_nested_history_without_a_user(stream):
    """The history becomes one assistant message: a conversation that no user began."""
    billing = Agent(name="Billing Agent", instructions="You bill.", model=CLAUDE)
    triage = Agent(name="Triage", instructions="You sort.", model="gpt-4o-mini", handoffs=[billing])
    config = RunConfig(nest_handoff_history=True)
    with scene(openai=[call(TO_BILLING)], anthropic=[say("Billed.")]) as stage:
        same(go(triage, "My card", stream, run_config=config), ("Billed.", "Billing Agent"), "text, agent")
        (billed,) = stage.seen("anthropic")
        same(billed["messages"][0]["role"], "user", "who begins, where the vendor wants a user")
        assert "For context, here is the conversation so far" in json.dumps(billed), billed


@both
def an_agent_that_is_a_pool(stream):
    """An agent whose model is a route: the gateway hands over inside of one step of the loop."""
    writer = Agent(name="Writer", instructions="You write.", model="writers", model_settings=ModelSettings(temperature=0.5))
    to_sonnet = call("transfer_to_claude_sonnet_4_20250514", reason="prose")
    with scene(openai=[to_sonnet], anthropic=[say("Prose.")]) as stage:
        same(go(writer, "Write", stream), ("Prose.", "Writer"), "text, agent")
        (decisions,) = stage.runs(1)
        same(line(decisions[1]), f"2.2 handoff handed_over {MINI} -> {SONNET}", "the hand-over")


run(f"openai-agents {__version__} (Python)")

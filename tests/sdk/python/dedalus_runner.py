"""The unmodified DedalusRunner against a gateway; see checks.py and pools.py for its environment.

Each check runs in every way that the runner knows: with either client, whole and streamed.
"""

import ast
import asyncio
import contextlib
import io
import itertools
import json
import re

import dedalus_labs
from dedalus_labs import AsyncDedalus, Dedalus, DedalusRunner

from checks import API_KEY, BASE_URL, check, raises, run, same
from pools import MINI, SONNET, TO_MINI, TO_SONNET, call, line, say, scene, told, took_over, tools_of

OPTIONS = {"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 30}
SEARCH = "simon-liang-brave-search-mcp__echo"
WAYS = list(itertools.product([Dedalus, AsyncDedalus], [False, True]))


class Told:
    """What the runner gave back, however it was asked."""

    def __init__(self):
        self.text = ""
        self.model = None
        self.agents = None
        self.events = []
        self.finish = None
        self.result = None
        self.results = None
        self.errors = None


def run_runner(way, **options):
    """Runs the runner to its end."""
    kind, stream = way
    # With its other client it cannot print a tool call without failing.
    speaks = kind is AsyncDedalus and not stream
    runner = DedalusRunner(kind(**OPTIONS), verbose=speaks)
    answer, printed = Told(), io.StringIO()

    def take(chunk):
        same(chunk.object, "chat.completion.chunk", "object")
        extra = chunk.model_extra or {}
        answer.model = chunk.model
        answer.events += [extra["x_dedalus_event"]] if "x_dedalus_event" in extra else []
        answer.agents = extra.get("agents_used", answer.agents)
        answer.results = extra.get("mcp_tool_results", answer.results)
        answer.errors = extra.get("mcp_server_errors", answer.errors)
        for choice in chunk.choices:
            answer.text += choice.delta.content or ""
            answer.finish = choice.finish_reason or answer.finish

    async def asynchronous():
        async with runner.client:
            if not stream:
                return await runner.run(**options)
            async for chunk in runner.run(**options, stream=True):
                take(chunk)

    with contextlib.redirect_stdout(printed):
        if kind is AsyncDedalus:
            answer.result = asyncio.run(asynchronous())
        elif stream:
            for chunk in runner.run(**options, stream=True):
                take(chunk)
        else:
            answer.result = runner.run(**options)
    if not stream:
        answer.text = answer.result.final_output
    if speaks:
        # It gives back no response: what it says of it, it prints.
        answer.model = re.findall(r"server says model: (.*?)\)", printed.getvalue())[-1]
        for agents in re.findall(r"agents_used: (\[.*\])", printed.getvalue()):
            answer.agents = ast.literal_eval(agents)
    return answer


def tells_model(way):
    """Whether the runner lets its caller know who answered."""
    return way != (Dedalus, False)


def in_every_way(function):
    """Registers a check for each way to run the runner."""
    for way in WAYS:

        def one(way=way):
            function(way)

        one.__name__ = f"{function.__name__}_{way[0].__name__}_{'streamed' if way[1] else 'whole'}"
        check(one)


def local(log):
    """A function of the caller's, and a list of how it was called."""

    def search(query: str) -> str:
        """Search the web.

        Args:
            query: what to look for
        """
        log.append(query)
        return f"Found: {query}."

    return search


def searched(query, known=True):
    """The call and its result as the next upstream hears of them.

    Streaming, the runner leaves the call out: the gateway knows it of lists of models, and not of single ones.
    """
    call = f"search {json.dumps({'query': query})}" if known else "unknown_tool {}"
    return [f"assistant calls {call}", f"result: Found: {query}."]


def handed(to, reason, by):
    """A hand-over as its target reads it."""
    return [f"assistant calls {to} {json.dumps({'reason': reason})}", took_over(by)]


def updated(model):
    return {"type": "agent_updated", "agent": model, "model": model}


@in_every_way
def research_then_write(way):
    """S0-1: the first model uses the tools, the second writes."""
    searches, task = [], "Research the latest SpaceX launch, then write a creative blog post about it"
    openai = [call("search", query="SpaceX"), call(TO_SONNET, reason="Claude writes better prose")]
    with scene(openai=openai, anthropic=[say("A post about the launch.")]) as stage:
        answer = run_runner(way, input=task, model=[MINI, SONNET], tools=[local(searches)])
        same(answer.text, "A post about the launch.", "text")
        same(searches, ["SpaceX"], "searches")
        if tells_model(way):
            same((answer.model, answer.agents), (SONNET, [MINI, SONNET]), "models")
        if way[1]:
            same((answer.events, answer.finish), ([updated(SONNET)], "stop"), "events, finish reason")
        else:
            same(answer.result.tools_called, ["search"], "tools called")
            same(answer.result.mcp_results, [], "results of servers")
            same(answer.result.steps_used, 2, "steps")
            same([one["name"] for one in answer.result.tool_results], ["search"], "tool results")
        asked, again = stage.seen("openai")
        (written,) = stage.seen("anthropic")
        same([tools_of(one) for one in (asked, again)], [["search", TO_SONNET]] * 2, "tools of the researcher")
        same(tools_of(written), ["search", TO_MINI], "tools of the writer")
        same(told(asked), [f"user: {task}"], "the first request")
        talk = [f"user: {task}", *searched("SpaceX")]
        same(told(again), talk, "the second request")
        same(told(written), talk + handed(TO_SONNET, "Claude writes better prose", MINI), "the writer's request")
        first, second = stage.runs(2)
        same([line(one) for one in first], [f"1.1 select first_in_order {MINI}"], "first run")
        same(
            [line(one) for one in second],
            [f"1.1 select first_in_order {MINI}", f"2.2 handoff handed_over {MINI} -> {SONNET}"],
            "second run",
        )
        same(second[1]["handoff"]["said"], "Claude writes better prose", "the reason that was written down")
        same(second[1]["reason"]["source"], "model", "who gave it")


@in_every_way
def research_with_a_server(way):
    """S0-1 as its document has it: the tools are a server's, and the gateway calls them."""
    task, reason = "Research the latest SpaceX launch, then write a creative blog post about it", "prose"
    openai = [call(SEARCH, text="SpaceX"), call(TO_SONNET, _text="Found it.", reason=reason)]
    with scene(openai=openai, anthropic=[say("A post.")]) as stage:
        answer = run_runner(way, input=task, model=[MINI, SONNET], mcp_servers=["simon-liang/brave-search-mcp"])
        same(answer.errors or {}, {}, "servers that failed")
        same(answer.text, "Found it.\n\nA post.", "text")
        if tells_model(way):
            same((answer.model, answer.agents), (SONNET, [MINI, SONNET]), "models")
        results = answer.results if way[1] else [one.model_dump() for one in answer.result.mcp_results]
        (result,) = results
        found = (result["tool_name"], result["server_name"], result["arguments"], result["is_error"])
        same(found, ("echo", "simon-liang/brave-search-mcp", {"text": "SpaceX"}, False), "what the server did")
        assert "SpaceX" in json.dumps(result["result"]) and result["duration_ms"] >= 0, result
        if not way[1]:
            same((answer.result.steps_used, answer.result.tools_called), (1, []), "steps, tools called")
        asked, again = stage.seen("openai")
        (written,) = stage.seen("anthropic")
        same(tools_of(asked)[0], SEARCH, "the first tool of the researcher")
        same(tools_of(asked)[-1], TO_SONNET, "the last tool of the researcher")
        same(tools_of(again), tools_of(asked), "tools of the second turn")
        same(told(asked), [f"user: {task}"], "the first turn")
        talk = [f"user: {task}", f'assistant calls {SEARCH} {{"text": "SpaceX"}}', "result: SpaceX"]
        same(told(again), talk, "the second turn")
        same(told(written), [*talk, "assistant: Found it.", *handed(TO_SONNET, reason, MINI)], "the writer's turn")
        lines = [
            f"1.1 select first_in_order {MINI}",
            f"2.1 stay tools_answered {MINI}",
            f"3.2 handoff handed_over {MINI} -> {SONNET}",
        ]
        same(stage.story(1), [lines], "decisions")


@in_every_way
def a_server_that_is_not_there(way):
    """The run goes on without it, and what is wrong is said beside the answer."""
    with scene(openai=[say("Without it.")]) as stage:
        answer = run_runner(way, input="Go", model=[MINI, SONNET], mcp_servers=["no/such"])
        same(answer.text, "Without it.", "text")
        same(tools_of(stage.seen("openai")[0]), [TO_SONNET], "tools")
        if way[1]:
            same({name: error["code"] for name, error in answer.errors.items()}, {"no/such": "unknown_server"}, "errors")


@in_every_way
def phases(way):
    """S0-2: each phase has its model, in every mix of dialects, and the reason names the phase."""
    for first, to, second, task, reason in [
        (MINI, TO_SONNET, SONNET, "Gather facts, then write", "research is done, now writing"),
        ("openai/gpt-4.1", "transfer_to_gpt_4o", "openai/gpt-4o", "Plan, then code", "analysis is done, now code"),
        (SONNET, "transfer_to_claude_3_opus_20240229", "anthropic/claude-3-opus-20240229", "Help", "a specialist's case"),
        (SONNET, TO_MINI, MINI, "Sort this out", "triage is done, this is for tools"),
    ]:
        steps = {"openai": [], "anthropic": []}
        steps[first.split("/")[0]].append(call(to, _text="One moment.", reason=reason))
        steps[second.split("/")[0]].append(say("Done."))
        with scene(**steps) as stage:
            answer = run_runner(way, input=task, model=[first, second])
            same(answer.text, "One moment.\n\nDone.", "text")
            if tells_model(way):
                same((answer.model, answer.agents), (second, [first, second]), "models")
            if not way[1]:
                same((answer.result.steps_used, answer.result.tools_called), (1, []), "steps, tools called")
            last = stage.seen(second.split("/")[0])[-1]
            opening = [f"user: {task}", "assistant: One moment."]
            same(told(last), opening + handed(to, reason, first), "the second model's request")
            (decisions,) = stage.runs(1)
            lines = [f"1.1 select first_in_order {first}", f"2.2 handoff handed_over {first} -> {second}"]
            same([line(one) for one in decisions], lines, "decisions")
            same(decisions[1]["handoff"]["said"], reason, "the reason that was written down")


@in_every_way
def one_model(way):
    """S0-4: with one model there is nobody to hand over to."""
    for model, reason in [(MINI, "only_model"), ([MINI], "only_model"), ([MINI, MINI], "first_in_order")]:
        with scene(openai=[say("Alone.")]) as stage:
            answer = run_runner(way, input="Hello", model=model)
            same(answer.text, "Alone.", "text")
            (body,) = stage.seen("openai")
            same((tools_of(body), told(body)), ([], ["user: Hello"]), "the request")
            same(stage.story(1), [[f"1.1 select {reason} {MINI}"]], "decisions")


@in_every_way
def policy_between_steps(way):
    """S0-5: a callback changes the models, the messages and the settings from step to step."""
    searches = []

    def policy(context):
        if context["step"] == 1:
            sentence = {"role": "system", "content": "Answer in one sentence."}
            return {"model": [MINI], "message_prepend": [sentence], "model_settings": {"temperature": 0.1}}
        last = {"role": "user", "content": "Name your sources."}
        return {"model": SONNET, "message_append": [last], "model_settings": {"max_tokens": 64}, "max_steps": 2}

    steps = {"openai": [call("search", query="Mars")], "anthropic": [say("Sourced.")]}
    with scene(**steps) as stage:
        answer = run_runner(way, input="Go", model=[MINI, SONNET], tools=[local(searches)], policy=policy)
        same((answer.text, searches), ("Sourced.", ["Mars"]), "text, searches")
        (first,), (second,) = stage.seen("openai"), stage.seen("anthropic")
        same((tools_of(first), first["temperature"]), (["search"], 0.1), "the first step's tools and settings")
        same(told(first), ["system: Answer in one sentence.", "user: Go"], "the first step")
        same((tools_of(second), second["max_tokens"]), (["search"], 64), "the second step's tools and settings")
        same("temperature" in second, False, "a setting of the first step in the second")
        talk = ["user: Go", *searched("Mars", known=not way[1]), "user: Name your sources."]
        same(told(second), talk, "the second step")
        same(stage.story(2), [[f"1.1 select only_model {MINI}"], [f"1.1 select only_model {SONNET}"]], "decisions")


@in_every_way
def policy_that_asks_for_a_model_outside_of_the_list(way):
    """S0-5: the client ignores it, and the pool stays whole."""
    with scene(openai=[say("Here.")]) as stage:
        answer = run_runner(way, input="Go", model=[MINI, SONNET], policy={"model": "openai/gpt-4o"})
        same(answer.text, "Here.", "text")
        same(tools_of(stage.seen("openai")[0]), [TO_SONNET], "tools")


@in_every_way
def basic_handoff(way):
    """S1-1: the second model is named without its provider."""
    claude = "anthropic/claude-3-5-sonnet-20241022"
    task = "Research latest AI developments, then handoff to Claude to write a technical summary"
    to, reason = "transfer_to_claude_3_5_sonnet_20241022", "the user wants Claude to write"
    with scene(openai=[call(to, reason=reason)], anthropic=[say("A technical summary.")]) as stage:
        answer = run_runner(way, input=task, model=["openai/gpt-4", "claude-3-5-sonnet-20241022"])
        same(answer.text, "A technical summary.", "text")
        if tells_model(way):
            same((answer.model, answer.agents), (claude, ["openai/gpt-4", claude]), "models")
        (asked,), (written,) = stage.seen("openai"), stage.seen("anthropic")
        same((asked["model"], tools_of(asked)), ("gpt-4", [to]), "the first request")
        same((written["model"], tools_of(written)), ("claude-3-5-sonnet-20241022", ["transfer_to_gpt_4"]), "the second")
        same(told(written), [f"user: {task}", *handed(to, reason, "openai/gpt-4")], "what Claude was told")
        lines = ["1.1 select first_in_order openai/gpt-4", f"2.2 handoff handed_over openai/gpt-4 -> {claude}"]
        same(stage.story(1), [lines], "decisions")


@in_every_way
def tools_of_the_second_model(way):
    """The list comes again with the result of a local tool; the conversation does not go back."""
    searches, reason = [], "it is for Claude"
    anthropic = [call("search", query="Io"), say("Io has volcanoes.")]
    with scene(openai=[call(TO_SONNET, reason=reason)], anthropic=anthropic) as stage:
        answer = run_runner(way, input="Tell me of Io", model=[MINI, SONNET], tools=[local(searches)])
        same((answer.text, searches), ("Io has volcanoes.", ["Io"]), "text, searches")
        same(len(stage.seen("openai")), 1, "requests to the first model")
        talk = ["user: Tell me of Io", *searched("Io")]
        same(told(stage.seen("anthropic")[1]), talk, "the second request to Claude")
        first, second = stage.story(2)
        lines = [f"1.1 select first_in_order {MINI}", f"2.2 handoff handed_over {MINI} -> {SONNET}"]
        same((first, second), (lines, [f"1.1 stay stays {SONNET}"]), "decisions")


@in_every_way
def target_that_cannot_be_had(way):
    """The model that wanted to hand over is told, and answers itself."""
    openai = [call(TO_SONNET, _text="Wait.", reason="r"), say("Myself then.")]
    with scene(openai=openai, anthropic=[{"fault": "fault-503"}]) as stage:
        answer = run_runner(way, input="Go", model=[MINI, SONNET])
        same(answer.text, "Wait.\n\nMyself then.", "text")
        if tells_model(way):
            same(answer.model, MINI, "model")
        told_then = told(stage.seen("openai")[1])[-1]
        unavailable = f"target unavailable: `{SONNET}` cannot take the conversation now."
        same(told_then, f"result: [tool error] {unavailable} Answer yourself, or hand it to another.", "what it is told")
        lines = [f"2.2 handoff handed_over {MINI} -> {SONNET}", f"3.3 fallback target_unavailable {SONNET} -> {MINI}"]
        same(stage.story(1)[0][1:], lines, "decisions")


@in_every_way
def what_handoff_config_says(way):
    """The free-form object of the SDK: a limit, a description, instructions for one target."""
    config = {
        "strategy": "auto",
        "max_handoffs": 1,
        "targets": [{"model": SONNET, "description": "Knows poems.", "additional_instructions": "Rhyme."}],
    }
    openai, anthropic = [call(TO_SONNET, reason="a poem")], [call(TO_MINI, reason="no"), say("A rhyme in time.")]
    with scene(openai=openai, anthropic=anthropic) as stage:
        answer = run_runner(way, input="A poem", model=[MINI, SONNET], handoff_config=config)
        same(answer.text, "A rhyme in time.", "text")
        (asked,) = stage.seen("openai")
        description = asked["tools"][0]["function"]["description"]
        assert description.endswith("Knows poems."), description
        first, second = (told(body) for body in stage.seen("anthropic"))
        assert any("Instructions for you: Rhyme." in one for one in first), first
        refused = "result: not handed over: the conversation has changed hands often enough. Answer yourself."
        same(second[-1], refused, "the answer to a hand-over too many")
        (story,) = stage.story(1)
        same(story[-1], f"3.2 stay max_handoffs {SONNET}", "last decision")


def create(way, **options):
    """One request of the client itself; a stream is put together."""
    kind, stream = way

    async def asynchronous():
        async with kind(**OPTIONS) as client:
            answer = await client.chat.completions.create(stream=stream, **options)
            return [chunk async for chunk in answer] if stream else answer

    if kind is AsyncDedalus:
        return asyncio.run(asynchronous())
    answer = kind(**OPTIONS).chat.completions.create(stream=stream, **options)
    return list(answer) if stream else answer


@check
def extras_of_an_answer():
    """What stands beside an answer, and the same at the end of a stream."""
    found = []
    for way in WAYS:
        openai, anthropic = [call(TO_SONNET, _text="First.", reason="r")], [say("Then.")]
        with scene(openai=openai, anthropic=anthropic) as stage:
            messages = [{"role": "user", "content": "Go"}]
            options = {"stream_options": {"include_usage": True}} if way[1] else {}
            answer = create(way, model=[MINI, SONNET], messages=messages, **options)
            (decisions,) = stage.runs(1)
            last = next(one for one in reversed(answer) if one.choices) if way[1] else answer
            same((last.agents_used, last.turns_consumed), ([MINI, SONNET], 2), "agents used, turns consumed")
            wanted = {"from": MINI, "to": SONNET, "by": "model", "reason": "r", "turn": 1, "decision": decisions[1]["id"]}
            same(last.handoffs, [wanted], "hand-overs")
            same(last.choices[0].finish_reason, "stop", "finish reason")
            same(len({one.id for one in answer}) if way[1] else 1, 1, "ids of the chunks")
            used = [decision["outcome"]["usage"] for decision in decisions]
            sums = (sum(one["input_tokens"] for one in used), sum(one["output_tokens"] for one in used))
            usage = answer[-1].usage if way[1] else answer.usage
            same((usage.prompt_tokens, usage.completion_tokens), sums, "usage")
            text = "".join(one.choices[0].delta.content or "" for one in answer if one.choices) if way[1] else None
            found.append((text or answer.choices[0].message.content, sums))
    same(found, [found[0]] * len(WAYS), "streamed and whole")
    same(found[0][0], "First.\n\nThen.", "text")


@check
def settings_of_single_models():
    """`model` as a list of objects: each model has settings of its own, applied while it answers."""
    for way in WAYS:
        models = [
            {"model": MINI, "settings": {"temperature": 0.3, "attributes": {"speed": 1}}},
            {"model": SONNET, "settings": {"max_tokens": 77}},
        ]
        with scene(openai=[call(TO_SONNET, reason="r")], anthropic=[say("x")]) as stage:
            create(way, model=models, messages="Go", max_turns=4, temperature=0.9)
            (first,), (second,) = stage.seen("openai"), stage.seen("anthropic")
            same((first["temperature"], second["temperature"]), (0.3, 0.9), "temperatures")
            same(("max_tokens" in first, second["max_tokens"]), (False, 77), "limits")


@check
def turns_are_limited():
    for way in WAYS:
        openai = [call(TO_SONNET, _text="One.", reason="r")]
        with scene(openai=openai, anthropic=[call(TO_MINI, _text="Two.", reason="r")]) as stage:
            answer = create(way, model=[MINI, SONNET], messages="Go", max_turns=2)
            last = next(one for one in reversed(answer) if one.choices) if way[1] else answer
            same(last.choices[0].finish_reason, "length", "finish reason")
            same(stage.story(1)[0][-1].split()[1:3], ["stop", "max_turns"], "last decision")


@check
def a_stream_that_breaks_is_an_error():
    """The second model fails after it has begun: the SDK raises, and what came before was passed on."""
    openai, anthropic = [call(TO_SONNET, _text="First.", reason="r")], [{"fault": "fault-after-content"}]
    with scene(openai=openai, anthropic=anthropic):
        text = ""
        try:
            for chunk in Dedalus(**OPTIONS).chat.completions.create(
                model=[MINI, SONNET], messages="Go", stream=True
            ):
                text += chunk.choices[0].delta.content or "" if chunk.choices else ""
        except dedalus_labs.APIError as error:
            assert text.startswith("First.\n\nThe tool"), text
            assert str(error), "an error without a message"
            return
    raise AssertionError("the stream ended as if nothing had happened")


@check
def errors_in_the_form_that_the_sdk_reads():
    """It reads `code` and `type` from the top level of the body."""
    for stream in (False, True):
        client = Dedalus(**OPTIONS)
        error = raises(
            dedalus_labs.NotFoundError,
            404,
            lambda: client.chat.completions.create(model=["openai/no-such", SONNET], messages="Go", stream=stream),
        )
        same((error.body["code"], error.body["error"]["code"]), ("model_not_found", "model_not_found"), "code")
        error = raises(
            dedalus_labs.BadRequestError,
            400,
            lambda: client.chat.completions.create(model=[], messages="Go", stream=stream),
        )
        same(error.body["type"], "invalid_request_error", "type")


@check
def models():
    """The list has the members that the SDK's type requires; a name with a slash is sent raw."""
    client = Dedalus(**OPTIONS)
    listed = {model.id: model for model in client.models.list().data}
    same((listed[MINI].provider, listed[SONNET].provider), ("openai", "anthropic"), "providers")
    assert listed[MINI].created_at, "no created_at"
    same(client.models.retrieve(SONNET).id, SONNET, "id")


run(f"dedalus_labs {dedalus_labs.__version__} (Python)")

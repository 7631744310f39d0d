// The unmodified DedalusRunner for TypeScript against a gateway; see checks.mjs and pools.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import Dedalus, { DedalusRunner } from "dedalus-labs";

import { API_KEY, BASE_URL, rejects, run } from "./checks.mjs";
import { MINI, SONNET, TO_MINI, TO_SONNET, call, handed, line, say, scene, told, toolsOf } from "./pools.mjs";

const client = new Dedalus({ apiKey: API_KEY, baseURL: BASE_URL, maxRetries: 0, timeout: 30_000 });
const WAYS = { whole: false, streamed: true };

/** Runs the runner to its end. */
async function runRunner(stream, options) {
  const result = await new DedalusRunner(client).run({ ...options, stream });
  if (!stream) return { text: result.finalOutput, result, events: [] };
  const answer = { text: "", events: [] };
  for await (const chunk of result) {
    assert.equal(chunk.object, "chat.completion.chunk");
    answer.model = chunk.model;
    if (chunk.x_dedalus_event) answer.events.push(chunk.x_dedalus_event);
    answer.agents = chunk.agents_used ?? answer.agents;
    answer.results = chunk.mcp_tool_results ?? answer.results;
    answer.text += chunk.choices[0]?.delta.content ?? "";
    answer.finish = chunk.choices[0]?.finish_reason ?? answer.finish;
  }
  return answer;
}

/** A function of the caller's, and a list of how it was called. */
function local(log) {
  return function search(query) {
    log.push(query);
    return `Found: ${JSON.stringify(query)}.`;
  };
}

const updated = (model) => ({ type: "agent_updated", agent: model, model });
const checks = {};

/** Registers a check for each way to run the runner. */
function inEveryWay(name, play) {
  for (const [word, stream] of Object.entries(WAYS)) checks[`${name}_${word}`] = () => play(stream);
}

// S0-1: the first model uses the tools, the second writes.
inEveryWay("research_then_write", async (stream) => {
  const searches = [];
  const task = "Research the latest SpaceX launch, then write a creative blog post about it";
  const reason = "Claude writes better prose";
  const openai = [call("search", { query: "SpaceX" }), call(TO_SONNET, { reason })];
  await scene({ openai, anthropic: [say("A post about the launch.")] }, async ({ seen, runs }) => {
    const answer = await runRunner(stream, { input: task, model: [MINI, SONNET], tools: [local(searches)] });
    assert.equal(answer.text, "A post about the launch.");
    assert.equal(searches.length, 1);
    if (stream) {
      assert.deepEqual(answer.events, [updated(SONNET)]);
      assert.deepEqual([answer.model, answer.agents, answer.finish], [SONNET, [MINI, SONNET], "stop"]);
    } else {
      assert.deepEqual([answer.result.toolsCalled, answer.result.stepsUsed], [["search"], 2]);
      assert.deepEqual(answer.result.toolResults.map((one) => one.name), ["search"]);
      assert.equal(answer.result.conversationHistory.at(-1).content, "A post about the launch.");
    }
    const [asked, again] = await seen("openai");
    const [written, ...more] = await seen("anthropic");
    assert.equal(more.length, 0);
    assert.deepEqual([toolsOf(asked), toolsOf(again), toolsOf(written)], [["search", TO_SONNET], ["search", TO_SONNET], ["search", TO_MINI]]);
    assert.deepEqual(told(asked), [`user: ${task}`]);
    const talk = [`user: ${task}`, 'assistant calls search {"query":"SpaceX"}', `result: Found: ${JSON.stringify(searches[0])}.`];
    assert.deepEqual(told(again), talk);
    assert.deepEqual(told(written), [...talk, ...handed(TO_SONNET, reason, MINI)]);
    const [first, second] = await runs(2);
    assert.deepEqual(first.map(line), [`1.1 select first_in_order ${MINI}`]);
    assert.deepEqual(second.map(line), [`1.1 select first_in_order ${MINI}`, `2.2 handoff handed_over ${MINI} -> ${SONNET}`]);
    assert.deepEqual([second[1].handoff.said, second[1].reason.source], [reason, "model"]);
  });
});

// S0-1 as its document has it: the tools are a server's, and the gateway calls them.
inEveryWay("research_with_a_server", async (stream) => {
  const input = "Research the latest SpaceX launch, then write a creative blog post about it";
  const search = "simon-liang-brave-search-mcp__echo";
  const openai = [call(search, { text: "SpaceX" }), call(TO_SONNET, { reason: "prose" }, "Found it.")];
  await scene({ openai, anthropic: [say("A post.")] }, async ({ seen, story }) => {
    const mcpServers = ["simon-liang/brave-search-mcp"];
    const answer = await runRunner(stream, { input, model: [MINI, SONNET], mcpServers });
    assert.equal(answer.text, "Found it.\n\nA post.");
    if (stream) {
      assert.deepEqual([answer.model, answer.agents], [SONNET, [MINI, SONNET]]);
      const [{ tool_name, server_name, arguments: given, is_error }] = answer.results;
      assert.deepEqual([tool_name, server_name, given, is_error], ["echo", mcpServers[0], { text: "SpaceX" }, false]);
    } else {
      assert.deepEqual([answer.result.stepsUsed, answer.result.toolsCalled], [1, []]);
    }
    const [asked, again] = await seen("openai");
    assert.deepEqual([toolsOf(asked)[0], toolsOf(asked).at(-1)], [search, TO_SONNET]);
    const talk = [`user: ${input}`, `assistant calls ${search} {"text":"SpaceX"}`, "result: SpaceX"];
    assert.deepEqual(told(again), talk);
    const [written] = await seen("anthropic");
    assert.deepEqual(told(written), [...talk, "assistant: Found it.", ...handed(TO_SONNET, "prose", MINI)]);
    assert.deepEqual(await story(1), [
      [`1.1 select first_in_order ${MINI}`, `2.1 stay tools_answered ${MINI}`, `3.2 handoff handed_over ${MINI} -> ${SONNET}`],
    ]);
  });
});

// S0-2: each phase has its model, and the reason names the phase.
inEveryWay("phases", async (stream) => {
  for (const [first, to, second, task, reason] of [
    [MINI, TO_SONNET, SONNET, "Gather facts, then write", "research is done, now writing"],
    ["openai/gpt-4.1", "transfer_to_gpt_4o", "openai/gpt-4o", "Plan, then code", "analysis is done, now code"],
    [SONNET, "transfer_to_claude_3_opus_20240229", "anthropic/claude-3-opus-20240229", "Help", "a specialist's case"],
    [SONNET, TO_MINI, MINI, "Sort this out", "triage is done, this is for tools"],
  ]) {
    const script = { openai: [], anthropic: [] };
    const upstream = (model) => model.split("/")[0];
    script[upstream(first)].push(call(to, { reason }, "One moment."));
    script[upstream(second)].push(say("Done."));
    await scene(script, async ({ seen, runs }) => {
      const answer = await runRunner(stream, { input: task, model: [first, second] });
      assert.equal(answer.text, "One moment.\n\nDone.");
      if (stream) assert.deepEqual([answer.model, answer.agents], [second, [first, second]]);
      else assert.deepEqual([answer.result.stepsUsed, answer.result.toolsCalled], [1, []]);
      const last = (await seen(upstream(second))).at(-1);
      assert.deepEqual(told(last), [`user: ${task}`, "assistant: One moment.", ...handed(to, reason, first)]);
      const [decisions] = await runs(1);
      assert.deepEqual(decisions.map(line), [`1.1 select first_in_order ${first}`, `2.2 handoff handed_over ${first} -> ${second}`]);
      assert.equal(decisions[1].handoff.said, reason);
    });
  }
});

// S0-4: with one model there is nobody to hand over to.
inEveryWay("one_model", async (stream) => {
  for (const model of [MINI, [MINI]]) {
    await scene({ openai: [say("Alone.")] }, async ({ seen, story }) => {
      assert.equal((await runRunner(stream, { input: "Hello", model })).text, "Alone.");
      const [body] = await seen("openai");
      assert.deepEqual([toolsOf(body), told(body)], [[], ["user: Hello"]]);
      assert.deepEqual(await story(1), [[`1.1 select only_model ${MINI}`]]);
    });
  }
});

// S1-1: the second model is named without its provider.
inEveryWay("basic_handoff", async (stream) => {
  const [to, reason] = ["transfer_to_claude_3_5_sonnet_20241022", "the user wants Claude to write"];
  await scene({ openai: [call(to, { reason })], anthropic: [say("A technical summary.")] }, async ({ seen, story }) => {
    const input = "Research latest AI developments, then handoff to Claude to write a technical summary";
    const answer = await runRunner(stream, { input, model: ["openai/gpt-4", "claude-3-5-sonnet-20241022"] });
    assert.equal(answer.text, "A technical summary.");
    const claude = "anthropic/claude-3-5-sonnet-20241022";
    if (stream) assert.deepEqual([answer.model, answer.agents], [claude, ["openai/gpt-4", claude]]);
    const [[asked], [written]] = [await seen("openai"), await seen("anthropic")];
    assert.deepEqual([asked.model, toolsOf(asked)], ["gpt-4", [to]]);
    assert.deepEqual([written.model, toolsOf(written)], ["claude-3-5-sonnet-20241022", ["transfer_to_gpt_4"]]);
    assert.deepEqual(told(written), [`user: ${input}`, ...handed(to, reason, "openai/gpt-4")]);
    assert.deepEqual(await story(1), [["1.1 select first_in_order openai/gpt-4", `2.2 handoff handed_over openai/gpt-4 -> ${claude}`]]);
  });
});

// The list comes again with the result of a local tool; the conversation does not go back.
inEveryWay("tools_of_the_second_model", async (stream) => {
  const searches = [];
  const anthropic = [call("search", { query: "Io" }), say("Io has volcanoes.")];
  await scene({ openai: [call(TO_SONNET, { reason: "it is for Claude" })], anthropic }, async ({ seen, story }) => {
    const answer = await runRunner(stream, { input: "Tell me of Io", model: [MINI, SONNET], tools: [local(searches)] });
    assert.deepEqual([answer.text, searches.length], ["Io has volcanoes.", 1]);
    assert.equal((await seen("openai")).length, 1);
    const talk = ["user: Tell me of Io", 'assistant calls search {"query":"Io"}', `result: Found: ${JSON.stringify(searches[0])}.`];
    assert.deepEqual(told((await seen("anthropic"))[1]), talk);
    assert.deepEqual(await story(2), [
      [`1.1 select first_in_order ${MINI}`, `2.2 handoff handed_over ${MINI} -> ${SONNET}`],
      [`1.1 stay stays ${SONNET}`],
    ]);
  });
});

// The model that wanted to hand over is told, and answers itself.
inEveryWay("target_that_cannot_be_had", async (stream) => {
  const openai = [call(TO_SONNET, { reason: "r" }, "Wait."), say("Myself then.")];
  await scene({ openai, anthropic: [{ fault: "fault-503" }] }, async ({ seen, story }) => {
    const answer = await runRunner(stream, { input: "Go", model: [MINI, SONNET] });
    assert.equal(answer.text, "Wait.\n\nMyself then.");
    const unavailable = `[tool error] target unavailable: \`${SONNET}\` cannot take the conversation now.`;
    assert.equal(told((await seen("openai"))[1]).at(-1), `result: ${unavailable} Answer yourself, or hand it to another.`);
    assert.equal((await story(1))[0][2], `3.3 fallback target_unavailable ${SONNET} -> ${MINI}`);
  });
});

// This SDK turns every key of a body to snake case, also those that are data.
inEveryWay("keys_that_the_sdk_changes", async (stream) => {
  const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
  const tools = [{ type: "function", function: { name: "greet", description: "Greets.", parameters: schema } }];
  await scene({ openai: [say("Hello.")] }, async ({ seen, story }) => {
    const options = {
      model: [SONNET, "openai/Llama-3"],
      messages: [{ role: "user", content: "Go" }],
      agent_attributes: { speed: 1 },
      // The second model is the faster one; its name arrives as `openai/_llama-3`.
      model_attributes: { [SONNET]: { speed: 0.1 }, "openai/Llama-3": { speed: 0.9 } },
      handoff_config: { strategy: "attributes" },
      metadata: { userId: "u1" },
      tools,
    };
    const answer = await client.chat.completions.create({ ...options, stream });
    let text = stream ? "" : answer.choices[0].message.content;
    if (stream) for await (const chunk of answer) text += chunk.choices[0]?.delta.content ?? "";
    assert.equal(text, "Hello.");
    const [body] = await seen("openai");
    assert.deepEqual([body.model, toolsOf(body)], ["Llama-3", ["greet"]]);
    assert.deepEqual(await story(1), [["1.1 select best_attributes openai/Llama-3"]]);
    assert.equal("model_attributes" in body || "handoff_config" in body, false, "members for the gateway");
  });
});

// What stands beside an answer, and the same at the end of a stream.
checks.extras_of_an_answer = async () => {
  for (const stream of [false, true]) {
    await scene({ openai: [call(TO_SONNET, { reason: "r" }, "First.")], anthropic: [say("Then.")] }, async ({ runs }) => {
      const answer = await client.chat.completions.create({ model: [MINI, SONNET], messages: [{ role: "user", content: "Go" }], stream });
      let last = answer;
      if (stream) for await (const chunk of answer) if (chunk.choices.length) last = chunk;
      const [decisions] = await runs(1);
      assert.deepEqual([last.model, last.agents_used, last.turns_consumed], [SONNET, [MINI, SONNET], 2]);
      const handoff = { from: MINI, to: SONNET, by: "model", reason: "r", turn: 1, decision: decisions[1].id };
      assert.deepEqual(last.handoffs, [handoff]);
      assert.equal(last.choices[0].finish_reason, "stop");
    });
  }
};

// The second model fails after it has begun: the SDK throws, and what came before was passed on.
checks.a_stream_that_breaks_is_an_error = async () => {
  await scene({ openai: [call(TO_SONNET, { reason: "r" }, "First.")], anthropic: [{ fault: "fault-after-content" }] }, async () => {
    let text = "";
    await assert.rejects(async () => {
      for await (const chunk of await client.chat.completions.create({ model: [MINI, SONNET], messages: [{ role: "user", content: "Go" }], stream: true })) {
        text += chunk.choices[0]?.delta.content ?? "";
      }
    }, Dedalus.APIError);
    assert.ok(text.startsWith("First.\n\nThe tool"), text);
  });
};

// It shows the `message` at the top level of an error's body.
checks.errors_in_the_form_that_the_sdk_reads = async () => {
  for (const stream of [false, true]) {
    const messages = [{ role: "user", content: "Go" }];
    const error = await rejects(404, () => client.chat.completions.create({ model: ["openai/no-such", SONNET], messages, stream }));
    assert.match(error.message, /^404 [^{]*no-such/);
    await rejects(400, () => client.chat.completions.create({ model: [], messages, stream }));
  }
};

// A slash in a model's name is sent as %2F.
checks.models = async () => {
  assert.equal((await client.models.retrieve(SONNET)).id, SONNET);
  const { data } = await client.models.list();
  assert.equal(data.find((model) => model.id === MINI).provider, "openai");
};

const version = JSON.parse(readFileSync(new URL("node_modules/dedalus-labs/package.json", import.meta.url))).version;
await run(`dedalus-labs ${version} (Node)`, checks);

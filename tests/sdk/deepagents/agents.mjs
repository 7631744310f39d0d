// The unmodified `@deepagents/agent` against a gateway: its own loop gives another agent the word when a transfer
// tool was called. The gateway sees the transfers and hands nothing over itself. Its environment is that of
// checks.mjs and pools.mjs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createOpenAI } from "@ai-sdk/openai";
import { agent, execute, generate } from "@deepagents/agent";
import { tool } from "ai";
import { z } from "zod";

import { API_KEY, BASE_URL, run } from "./checks.mjs";
import { MINI, SONNET, call, line, say, scene, told, toolsOf } from "./pools.mjs";

// The provider warns of every model that it does not know by name.
globalThis.AI_SDK_LOG_WARNINGS = false;

const openai = createOpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });
// The library's examples name a model in the first way.
const APIS = { responses: openai.responses, chat: openai.chat };
// A model of each upstream, as the gateway names it.
const MODELS = { openai: MINI, anthropic: SONNET, responses: "responses/gpt-4.1-mini" };

const TO_RESEARCHER = "transfer_to_researcher_agent";
const GIVEN = "result: Transfer successful to researcher_agent.";
const QUESTION = "Who was first on the Moon?";
const USAGE = { input: 100, cached: 60, cache_write: 0, output: 20, reasoning: 0 };

const steps = (...given) => given.map((step) => ({ ...step, usage: USAGE }));

/** A coordinator with one specialist. */
function team(api, source, target, tools = {}) {
  const researcher = agent({
    name: "researcher_agent",
    model: APIS[api](MODELS[target]),
    prompt: "You research.",
    handoffDescription: "fact-finding",
    tools,
  });
  return agent({ name: "coordinator", model: APIS[api](MODELS[source]), prompt: "You coordinate.", handoffs: [researcher] });
}

/** Runs a team to its end; what a stream gives in pieces must be what it gives in the end. */
async function play(team, streamed) {
  if (!streamed) {
    const result = await generate(team, QUESTION, {});
    return { text: result.text, finish: result.finishReason, usage: result.totalUsage, steps: result.steps };
  }
  const result = await execute(team, QUESTION, {});
  let text = "";
  for await (const piece of result.textStream) text += piece;
  assert.equal(text.endsWith(await result.text), true, `${text} does not end with ${await result.text}`);
  return { text, finish: await result.finishReason, usage: await result.totalUsage, steps: await result.steps };
}

const checks = {};
for (const api of Object.keys(APIS)) {
  for (const streamed of [false, true]) {
    const form = streamed ? "streamed" : "whole";
    for (const source of Object.keys(MODELS)) {
      for (const target of Object.keys(MODELS).filter((one) => one !== source)) {
        checks[`${api}/${source}_to_${target}/${form}`] = async () => {
          const script = { [source]: steps(call(TO_RESEARCHER, {})), [target]: steps(say("Neil Armstrong 🚀.")) };
          await scene(script, async ({ seen, runs }) => {
            const answer = await play(team(api, source, target), streamed);
            assert.deepEqual([answer.text, answer.finish, answer.steps.length], ["Neil Armstrong 🚀.", "stop", 2]);
            assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens], [200, 40]);
            const [[asked], [found]] = [await seen(source), await seen(target)];
            assert.deepEqual(toolsOf(asked), [TO_RESEARCHER]);
            assert.ok(told(asked)[0].startsWith("system: You coordinate."), told(asked)[0]);
            assert.equal(told(asked).at(-1), `user: ${QUESTION}`);
            assert.ok(told(found)[0].startsWith("system: You research."), told(found)[0]);
            assert.deepEqual(told(found).slice(-3), [`user: ${QUESTION}`, `assistant calls ${TO_RESEARCHER} {}`, GIVEN]);
            const [first, second] = await runs(2);
            assert.deepEqual(first.map(line), [`1.1 select only_model ${MODELS[source]}`]);
            const observed = [`1.1 observe observed ${MODELS[target]}`, `1.1 select only_model ${MODELS[target]}`];
            assert.deepEqual(second.map(line), observed);
            assert.equal(second[0].reason.text, "the client's own loop handed over to researcher_agent");
          });
        };
      }
    }
    checks[`${api}/a_tool_of_the_specialist/${form}`] = async () => {
      const looked = [];
      const search = tool({
        description: "Searches.",
        inputSchema: z.object({ words: z.string() }),
        execute: ({ words }) => (looked.push(words), "Armstrong"),
      });
      const anthropic = steps(call("search", { words: "Moon" }), say("Armstrong."));
      await scene({ openai: steps(call(TO_RESEARCHER, {})), anthropic }, async ({ seen, runs }) => {
        const answer = await play(team(api, "openai", "anthropic", { search }), streamed);
        assert.deepEqual([answer.text, answer.steps.length, looked], ["Armstrong.", 3, ["Moon"]]);
        const last = (await seen("anthropic")).at(-1);
        assert.deepEqual(told(last).slice(-4), [
          `assistant calls ${TO_RESEARCHER} {}`,
          GIVEN,
          'assistant calls search {"words":"Moon"}',
          "result: Armstrong",
        ]);
        assert.equal((await runs(3)).length, 3);
      });
    };
  }
}

const version = JSON.parse(readFileSync(new URL("node_modules/@deepagents/agent/package.json", import.meta.url))).version;
await run(`@deepagents/agent ${version} (Node)`, checks);

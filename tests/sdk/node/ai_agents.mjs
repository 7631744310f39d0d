// The unmodified AI SDK against a gateway, as agent libraries are built on it: its loop switches model and
// prompt when a transfer tool was called. The gateway sees the transfers and hands nothing over itself.
// See checks.mjs and pools.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { API_KEY, BASE_URL, run } from "./checks.mjs";
import { MINI, SONNET, TO_SONNET, call, handed, say, scene, told, toolsOf } from "./pools.mjs";

// The provider warns of every model that it does not know by name.
globalThis.AI_SDK_LOG_WARNINGS = false;

const PROVIDERS = {
  openai_compatible: createOpenAICompatible({ name: "server", baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, includeUsage: true }),
  anthropic: createAnthropic({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY }),
};
const GIVEN = "Transfer successful to researcher_agent.";

/** The tool that such a library makes for an agent. */
const transfer = (agent, use) =>
  tool({
    description: `An input/parameter/argument less tool to transfer control to the ${agent} agent. Use for ${use}`,
    inputSchema: jsonSchema({ type: "object", properties: {}, additionalProperties: true }),
    execute: () => `Transfer successful to ${agent}.`,
  });

/** Runs the loop to its end; answers text, finish reason and the parts that are not what a client expects. */
async function loop(stream, request) {
  if (!stream) {
    const result = await generateText(request);
    return { text: result.text, finish: result.finishReason, steps: result.steps.length, odd: [] };
  }
  const odd = [];
  const result = streamText({ ...request, onError: () => {} });
  for await (const part of result.fullStream) if (part.type === "error") odd.push(String(part.error));
  return { text: await result.text, finish: await result.finishReason, steps: (await result.steps).length, odd };
}

/** The coordinator with one specialist, who has another model, another prompt and no tools. */
const swarm = (provider) => ({
  model: provider(MINI),
  system: "You coordinate.",
  prompt: "Who was first on the Moon?",
  maxRetries: 0,
  tools: { transfer_to_researcher_agent: transfer("researcher_agent", "fact-finding") },
  stopWhen: stepCountIs(25),
  prepareStep: ({ steps }) =>
    steps.some((step) => step.toolCalls.length > 0)
      ? { model: provider(SONNET), system: "You research.", activeTools: [] }
      : {},
});

function checks(provider) {
  const both = (play) => async () => {
    for (const stream of [false, true]) await play(stream);
  };
  return {
    coordinator_and_specialist: both(async (stream) => {
      const script = { openai: [call("transfer_to_researcher_agent", {})], anthropic: [say("Neil Armstrong.")] };
      await scene(script, async ({ seen, story }) => {
        const answer = await loop(stream, swarm(provider));
        assert.deepEqual(answer, { text: "Neil Armstrong.", finish: "stop", steps: 2, odd: [] });
        const [[asked], [found]] = [await seen("openai"), await seen("anthropic")];
        assert.deepEqual([toolsOf(asked), asked.model], [["transfer_to_researcher_agent"], "gpt-4o-mini"]);
        assert.deepEqual(told(asked), ["system: You coordinate.", "user: Who was first on the Moon?"]);
        const talk = ["assistant calls transfer_to_researcher_agent {}", `result: ${GIVEN}`];
        assert.deepEqual(told(found), ["system: You research.", "user: Who was first on the Moon?", ...talk]);
        const [first, second] = await story(2);
        assert.deepEqual(first, [`1.1 select only_model ${MINI}`]);
        assert.deepEqual(second, [`1.1 observe observed ${SONNET}`, `1.1 select only_model ${SONNET}`]);
      });
    }),
    a_route_inside_of_a_loop: both(async (stream) => {
      // The gateway hands over within one step; the loop sees one answer.
      const script = { openai: [call(TO_SONNET, { reason: "prose" }, "First.")], anthropic: [say("Then.")] };
      await scene(script, async ({ seen, story }) => {
        const request = { model: provider("writers"), prompt: "Write", maxRetries: 0 };
        const answer = await loop(stream, request);
        const text = provider === PROVIDERS.anthropic ? "First.Then." : "First.\n\nThen.";
        assert.deepEqual(answer, { text, finish: "stop", steps: 1, odd: [] });
        const talk = ["user: Write", "assistant: First.", ...handed(TO_SONNET, "prose", MINI)];
        assert.deepEqual(told((await seen("anthropic"))[0]), talk);
        assert.equal((await story(1))[0][1], `2.2 handoff handed_over ${MINI} -> ${SONNET}`);
      });
    }),
    async a_stream_that_breaks_is_an_error() {
      const script = { openai: [call(TO_SONNET, { reason: "r" }, "First.")], anthropic: [{ fault: "fault-after-content" }] };
      await scene(script, async () => {
        const answer = await loop(true, { model: provider("writers"), prompt: "Write", maxRetries: 0 });
        assert.deepEqual([answer.finish, answer.odd.length], ["error", 1]);
        assert.ok(answer.text.startsWith("First."), answer.text);
      });
    },
  };
}

const all = {};
for (const [label, provider] of Object.entries(PROVIDERS)) {
  for (const [name, check] of Object.entries(checks(provider))) all[`${label}/${name}`] = check;
}
const version = JSON.parse(readFileSync(new URL("node_modules/ai/package.json", import.meta.url))).version;
await run(`ai ${version} (Node), agents`, all);

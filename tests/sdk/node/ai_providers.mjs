// The unmodified AI SDK with each of its providers that a gateway serves, OpenAI's on both of its APIs. See checks.mjs
// and scripted.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { API_KEY, run } from "./checks.mjs";
import { AT_ONCE, LYON, OSLO, TALK, TOOL_TALK, USAGE, everywhere, fails, getWeather, say, schemaOf, script } from "./scripted.mjs";

// The provider warns of every model that it does not know by name.
globalThis.AI_SDK_LOG_WARNINGS = false;

const Weather = z.object({ city: z.string(), days: z.number().int() });

const open = (way) => ({ baseURL: `${way.base_url}/v1`, apiKey: API_KEY });
/** What the provider of OpenAI gives when nothing else is said is its Responses API. */
const MODELS = {
  openai: (way) => createOpenAI(open(way))(way.model),
  "openai.chat": (way) => createOpenAI(open(way)).chat(way.model),
  "openai-compatible": (way) =>
    createOpenAICompatible({ ...open(way), name: "server", includeUsage: true, supportsStructuredOutputs: true })(way.model),
  anthropic: (way) => createAnthropic(open(way))(way.model),
};

const checks = (model, provider) => (way, stream) => {
  const base = { model: model(way), maxRetries: 0 };
  /** Runs the loop of the SDK to its end; the pieces of a stream join to its text. */
  async function play(request) {
    if (!stream) return generateText({ ...base, ...request });
    let failed;
    const result = streamText({ ...base, ...request, onError: ({ error }) => (failed = error) });
    let text = "";
    for await (const piece of result.textStream) text += piece;
    if (failed) throw failed;
    const steps = await result.steps;
    assert.equal(text, steps.map((step) => step.text).join(""));
    const [finishReason, totalUsage, output] = await Promise.all([
      result.finishReason,
      result.totalUsage,
      request.output && result.output,
    ]);
    return { text: await result.text, steps, finishReason, totalUsage, output };
  }
  const spent = (usage, answers = 1) =>
    assert.deepEqual(
      [usage.inputTokens, usage.cachedInputTokens, usage.outputTokens, usage.totalTokens],
      [USAGE.input, USAGE.cached, USAGE.output, USAGE.input + USAGE.output].map((count) => answers * count),
    );
  return {
    async a_text() {
      await script(way, [say(TALK)], async ({ talk }) => {
        const answer = await play({ system: "You are brief.", prompt: "Quel temps ?" });
        assert.deepEqual([answer.text, answer.finishReason], [TALK, "stop"]);
        spent(answer.totalUsage);
        assert.deepEqual(await talk(), ["system: You are brief.", "user: Quel temps ?"]);
      });
    },
    async loop_of_tools() {
      const asked = [];
      const execute = (input) => (asked.push(input), getWeather(input));
      const tools = { get_weather: tool({ description: "Weather.", inputSchema: Weather, execute }) };
      await script(way, [AT_ONCE, say(TALK)], async ({ talk }) => {
        const answer = await play({ prompt: "Weather?", tools, stopWhen: stepCountIs(3) });
        assert.deepEqual(asked, [LYON, OSLO]);
        assert.deepEqual(answer.steps.map((step) => [step.text, step.finishReason]), [
          ["I look.", "tool-calls"],
          [TALK, "stop"],
        ]);
        spent(answer.totalUsage, 2);
        // Of an answer that is stored, this provider names the text by its id. An upstream that stored it knows it.
        const isNamed = provider === "openai" && (way.path ?? "/v1/responses") === "/v1/responses";
        const said = (line) => (isNamed && line === "assistant: I look." ? "item_reference" : line);
        assert.deepEqual(await talk(), TOOL_TALK.map(said));
      });
    },
    async an_object() {
      await script(way, [say(JSON.stringify(OSLO))], async ({ bodies }) => {
        // What the library knows of a vendor's models by their names.
        const providerOptions = { anthropic: { structuredOutputMode: "outputFormat" } };
        const answer = await play({ prompt: "Weather?", output: Output.object({ schema: Weather }), providerOptions });
        assert.deepEqual(answer.output, OSLO);
        assert.deepEqual(Object.keys(schemaOf((await bodies())[0]).properties).sort(), ["city", "days"]);
      });
    },
    async a_limit_of_tokens() {
      await script(way, [say("mot ".repeat(20))], async () => {
        const answer = await play({ prompt: "Words?", maxOutputTokens: 16 });
        assert.deepEqual([answer.text, answer.finishReason], ["mot ".repeat(16), "length"]);
      });
    },
    async an_error() {
      await script(way, [{ fault: "fault-400" }], async () => {
        assert.equal((await fails(APICallError, () => play({ prompt: "Hi" }))).statusCode, 400);
      });
    },
    ...(stream && {
      async a_stream_that_breaks() {
        await script(way, [{ fault: "fault-after-content" }], () => fails(Object, () => play({ prompt: "Hi" })));
      },
    }),
  };
};

const all = {};
for (const [provider, model] of Object.entries(MODELS)) Object.assign(all, everywhere(provider, checks(model, provider)));
const version = JSON.parse(readFileSync(new URL("node_modules/ai/package.json", import.meta.url))).version;
await run(`ai ${version} (Node), providers`, all);

// The unmodified AI SDK with its OpenAI-compatible and its Anthropic provider against a server;
// see checks.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

import { API_KEY, BASE_URL, CLOCK, MODEL, WEATHER, fitsClock, fitsWeather, rejects, run } from "./checks.mjs";

// The provider warns of every model that it does not know by name.
globalThis.AI_SDK_LOG_WARNINGS = false;

const compatible = createOpenAICompatible({
  name: "server",
  baseURL: `${BASE_URL}/v1`,
  apiKey: API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const anthropic = createAnthropic({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY });

/** The checks for one provider, and the prefix of models whose upstream speaks another dialect than it. */
function checks(provider, translated) {
  const ask = { model: provider(MODEL), prompt: "Say hello.", maxRetries: 0 };
  const seen = [];
  const tools = {
    get_weather: tool({
      description: "Weather.",
      inputSchema: jsonSchema(WEATHER),
      execute: (input) => (seen.push(["get_weather", input]), "clear"),
    }),
    get_time: tool({
      description: "Time.",
      inputSchema: jsonSchema(CLOCK),
      execute: (input) => (seen.push(["get_time", input]), "noon"),
    }),
  };
  /** Runs the loop of the SDK; answers the text and the names of the tools it ran. */
  const loop = async (stream, prompt) => {
    seen.length = 0;
    const request = { ...ask, prompt, tools, stopWhen: stepCountIs(3) };
    const result = stream ? streamText(request) : await generateText(request);
    if (stream) await result.consumeStream({ onError: (error) => assert.fail(error) });
    assert.equal((await result.steps).length, 2, "steps");
    for (const [name, input] of seen) (name === "get_weather" ? fitsWeather : fitsClock)(input);
    return [await result.text, seen.map(([name]) => name)];
  };
  return {
    async plain() {
      const result = await generateText(ask);
      assert.ok(result.text);
      assert.equal(result.finishReason, "stop");
      assert.ok(result.usage.inputTokens > 0 && result.usage.outputTokens > 0, "no usage");
    },
    async streamed_is_the_same_as_plain() {
      const result = streamText({ ...ask, onError: ({ error }) => assert.fail(error) });
      let text = "";
      for await (const part of result.textStream) text += part;
      assert.equal(text, (await generateText(ask)).text);
      assert.equal(await result.finishReason, "stop");
      assert.ok((await result.usage).inputTokens > 0, "no usage");
    },
    async tools_plain() {
      const [text, names] = await loop(false, "What is the weather in Paris?");
      assert.deepEqual(names, ["get_weather"]);
      assert.ok(text.includes("tool"), `the result was not seen: ${text}`);
    },
    async tools_streamed() {
      const [text, names] = await loop(true, "What is the weather in Paris?");
      assert.deepEqual(names, ["get_weather"]);
      assert.ok(text.includes("tool"), `the result was not seen: ${text}`);
    },
    async parallel_tools() {
      for (const stream of [false, true]) {
        const [, names] = await loop(stream, "Weather and time, in parallel.");
        assert.deepEqual(names.sort(), ["get_time", "get_weather"]);
      }
    },
    async structured_output() {
      const output = Output.object({ schema: jsonSchema(WEATHER) });
      fitsWeather((await generateText({ ...ask, output })).output);
      const result = streamText({ ...ask, output, onError: ({ error }) => assert.fail(error) });
      fitsWeather(await result.output);
    },
    async unknown_model() {
      await rejects(404, () => generateText({ ...ask, model: provider("no-such-model") }));
    },
    async bad_request() {
      const call = () => generateText({ ...ask, tools: { "not a name": tools.get_time } });
      // The upstream refuses such a name. On the way to another dialect it becomes one that is taken.
      if (MODEL.startsWith(translated)) await call();
      else await rejects(400, call);
    },
  };
}

const all = {};
const providers = { openai_compatible: [compatible, "ant/"], anthropic: [anthropic, "oai/"] };
for (const [label, [provider, translated]] of Object.entries(providers)) {
  for (const [name, check] of Object.entries(checks(provider, translated))) all[`${label}/${name}`] = check;
}
const version = JSON.parse(readFileSync(new URL("node_modules/ai/package.json", import.meta.url))).version;
await run(`ai ${version} (Node), ${MODEL}`, all);

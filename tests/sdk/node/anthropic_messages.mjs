// The unmodified Anthropic SDK for Node against a server; see checks.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

import { API_KEY, BASE_URL, CLOCK, MODEL, NESTED, WEATHER, fitsClock, fitsWeather, rejects, run } from "./checks.mjs";

const client = new Anthropic({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Say hello." }];
const tools = [
  { name: "get_weather", description: "Weather.", input_schema: WEATHER },
  { name: "get_time", description: "Time.", input_schema: CLOCK },
];

/** One message, plain or put together by the SDK's stream helper. */
const message = (stream, extra) => {
  const request = { model: MODEL, max_tokens: 1024, messages, ...extra };
  return stream ? client.messages.stream(request).finalMessage() : client.messages.create(request);
};
const text = ({ content }) => content.filter(({ type }) => type === "text").map((block) => block.text).join("");
const uses = ({ content }) => content.filter(({ type }) => type === "tool_use");

async function roundTrip(stream) {
  const talk = [{ role: "user", content: "What is the weather in Paris?" }];
  const asked = await message(stream, { messages: talk, tools });
  assert.equal(asked.stop_reason, "tool_use");
  assert.deepEqual(uses(asked).map((use) => use.name), ["get_weather"]);
  fitsWeather(uses(asked)[0].input);
  const result = { type: "tool_result", tool_use_id: uses(asked)[0].id, content: "clear" };
  talk.push({ role: "assistant", content: uses(asked).map(({ type, id, name, input }) => ({ type, id, name, input })) });
  talk.push({ role: "user", content: [result] });
  const told = await message(stream, { messages: talk, tools });
  assert.equal(told.stop_reason, "end_turn");
  assert.ok(text(told).includes("tool"), `the result was not seen: ${text(told)}`);
}

async function parallelRoundTrip(stream) {
  const talk = [{ role: "user", content: "Weather and time, in parallel." }];
  const asked = await message(stream, { messages: talk, tools });
  assert.deepEqual(uses(asked).map((use) => use.name), ["get_weather", "get_time"]);
  fitsWeather(uses(asked)[0].input);
  fitsClock(uses(asked)[1].input);
  const results = uses(asked).map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "fine" }));
  talk.push({ role: "assistant", content: uses(asked).map(({ type, id, name, input }) => ({ type, id, name, input })) });
  talk.push({ role: "user", content: results });
  assert.ok(text(await message(stream, { messages: talk, tools })));
}

const version = JSON.parse(readFileSync(new URL("node_modules/@anthropic-ai/sdk/package.json", import.meta.url))).version;

await run(`@anthropic-ai/sdk ${version} (Node), ${MODEL}`, {
  async plain() {
    const answer = await message(false, { system: "You are brief." });
    assert.ok(text(answer));
    assert.equal(answer.stop_reason, "end_turn");
    assert.ok(answer.usage.cache_read_input_tokens > 0, "no cached tokens");
  },
  async streamed_is_the_same_as_plain() {
    const [plain, streamed] = [await message(false), await message(true)];
    assert.equal(text(streamed), text(plain));
    assert.equal(streamed.stop_reason, plain.stop_reason);
    assert.equal(streamed.usage.output_tokens, plain.usage.output_tokens);
  },
  async streamed_raw() {
    let said = "";
    for await (const event of await client.messages.create({ model: MODEL, max_tokens: 1024, messages, stream: true })) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") said += event.delta.text;
    }
    assert.equal(said, text(await message(false)));
  },
  tools_plain: () => roundTrip(false),
  tools_streamed: () => roundTrip(true),
  parallel_tools_plain: () => parallelRoundTrip(false),
  parallel_tools_streamed: () => parallelRoundTrip(true),
  async structured_output() {
    const output_config = { format: { type: "json_schema", schema: WEATHER } };
    fitsWeather(text(await message(false, { output_config })));
    fitsWeather(text(await message(true, { output_config })));
  },
  async count_tokens() {
    assert.ok((await client.messages.countTokens({ model: MODEL, messages, tools })).input_tokens > 0);
  },
  async unknown_model() {
    const error = await rejects(404, () => message(false, { model: "no-such-model" }));
    assert.equal(error.error.error.type, "not_found_error");
    await rejects(404, () => message(true, { model: "no-such-model" }));
  },
  async bad_request() {
    const error = await rejects(400, () => message(false, { messages: [] }));
    assert.equal(error.error.error.type, "invalid_request_error");
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(NESTED), `${NESTED} is not in ${names}`);
    assert.equal((await client.models.retrieve(NESTED)).id, NESTED);
  },
});

// The unmodified OpenAI SDK for Node against a server; see checks.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

import { API_KEY, BASE_URL, CLOCK, MODEL, NESTED, WEATHER, fitsClock, fitsWeather, rejects, run } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Say hello." }];
const tools = [
  { type: "function", function: { name: "get_weather", description: "Weather.", parameters: WEATHER } },
  { type: "function", function: { name: "get_time", description: "Time.", parameters: CLOCK } },
];
const form = { type: "json_schema", json_schema: { name: "weather", strict: true, schema: WEATHER } };

const create = (extra) => client.chat.completions.create({ model: MODEL, messages, ...extra });
/** One message, plain or put together by the SDK's stream helper. */
const message = async (stream, extra) =>
  stream
    ? client.chat.completions.stream({ model: MODEL, messages, ...extra }).finalMessage()
    : (await create(extra)).choices[0].message;

async function roundTrip(stream) {
  const talk = [{ role: "user", content: "What is the weather in Paris?" }];
  const asked = await message(stream, { messages: talk, tools });
  assert.deepEqual(asked.tool_calls.map((call) => call.function.name), ["get_weather"]);
  fitsWeather(asked.tool_calls[0].function.arguments);
  talk.push(asked, { role: "tool", tool_call_id: asked.tool_calls[0].id, content: "clear" });
  const told = await message(stream, { messages: talk, tools });
  assert.ok(told.content.includes("tool"), `the result was not seen: ${told.content}`);
  assert.ok(!told.tool_calls?.length);
}

async function parallelRoundTrip(stream) {
  const talk = [{ role: "user", content: "Weather and time, in parallel." }];
  const asked = await message(stream, { messages: talk, tools });
  assert.deepEqual(asked.tool_calls.map((call) => call.function.name), ["get_weather", "get_time"]);
  fitsWeather(asked.tool_calls[0].function.arguments);
  fitsClock(asked.tool_calls[1].function.arguments);
  talk.push(asked, ...asked.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "fine" })));
  assert.ok((await message(stream, { messages: talk, tools })).content);
}

const version = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url))).version;

await run(`openai ${version} (Node), ${MODEL}`, {
  async plain() {
    const { data, request_id } = await create().withResponse();
    assert.ok(data.choices[0].message.content);
    assert.equal(data.choices[0].finish_reason, "stop");
    assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
    assert.ok(data.usage.prompt_tokens_details.cached_tokens > 0, "no cached tokens");
    assert.ok(request_id, "no x-request-id");
  },
  async streamed_is_the_same_as_plain() {
    let text = "";
    let finish = null;
    for await (const chunk of await create({ stream: true })) {
      text += chunk.choices[0]?.delta.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    assert.equal(text, (await create()).choices[0].message.content);
    assert.equal(finish, "stop");
  },
  async stream_helper_accumulates() {
    assert.equal((await message(true)).content, (await message(false)).content);
  },
  async streamed_usage_when_asked_for() {
    const stream = client.chat.completions.stream({ model: MODEL, messages, stream_options: { include_usage: true } });
    assert.equal((await stream.totalUsage()).total_tokens, (await create()).usage.total_tokens);
  },
  tools_plain: () => roundTrip(false),
  tools_streamed: () => roundTrip(true),
  parallel_tools_plain: () => parallelRoundTrip(false),
  parallel_tools_streamed: () => parallelRoundTrip(true),
  async structured_output() {
    fitsWeather((await message(false, { response_format: form })).content);
    fitsWeather((await message(true, { response_format: form })).content);
    fitsWeather((await client.chat.completions.parse({ model: MODEL, messages, response_format: form })).choices[0].message.content);
  },
  async unknown_model() {
    const error = await rejects(404, () => client.chat.completions.create({ model: "no-such-model", messages }));
    assert.equal(error.code, "model_not_found");
    await rejects(404, () => client.chat.completions.create({ model: "no-such-model", messages, stream: true }));
  },
  async bad_request() {
    const error = await rejects(400, () => create({ messages: [] }));
    assert.equal(error.type, "invalid_request_error");
  },
  async leaving_a_stream_early() {
    const stream = await create({ stream: true });
    for await (const _chunk of stream) break;
    assert.ok((await create()).choices[0].message.content, "the next request fails");
  },
  async models() {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(NESTED), `${NESTED} is not in ${names}`);
    assert.equal((await client.models.retrieve(NESTED)).id, NESTED);
    await rejects(404, () => client.models.retrieve("no-such-model"));
  },
});

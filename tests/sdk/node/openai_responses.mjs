// The Responses API through the unmodified OpenAI SDK for Node; see checks.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";

import { API_KEY, BASE_URL, CLOCK, MODEL, WEATHER, fitsClock, fitsWeather, rejects, run } from "./checks.mjs";

const client = new OpenAI({ baseURL: `${BASE_URL}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 });
// The built-in models have no cache, and call one tool at a time.
const builtIn = MODEL.startsWith("echo/");
const input = [{ role: "user", content: "Say hello." }];
const tools = [
  { type: "function", name: "get_weather", description: "Weather.", parameters: WEATHER, strict: false },
  { type: "function", name: "get_time", description: "Time.", parameters: CLOCK, strict: false },
];
const form = { format: { type: "json_schema", name: "weather", strict: true, schema: WEATHER } };

const create = (extra) => client.responses.create({ model: MODEL, input, ...extra });
/** One response, plain or put together by the SDK's stream helper. */
const response = async (stream, extra) =>
  stream ? client.responses.stream({ model: MODEL, input, ...extra }).finalResponse() : create(extra);
const calls = (answer) => answer.output.filter((item) => item.type === "function_call");
const text = (answer) =>
  answer.output
    .flatMap((item) => (item.type === "message" ? item.content : []))
    .map((part) => part.text ?? "")
    .join("");

async function roundTrip(stream, question, names) {
  const talk = [{ role: "user", content: question }];
  const asked = await response(stream, { input: talk, tools });
  assert.deepEqual(calls(asked).map((call) => call.name), builtIn ? names.slice(0, 1) : names);
  for (const call of calls(asked)) (call.name === "get_time" ? fitsClock : fitsWeather)(call.arguments);
  talk.push(...asked.output);
  talk.push(...calls(asked).map((call) => ({ type: "function_call_output", call_id: call.call_id, output: "clear" })));
  const told = await response(stream, { input: talk, tools });
  assert.ok(text(told).includes("tool"), `the result was not seen: ${text(told)}`);
}

const version = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url))).version;

await run(`openai ${version} (Node, Responses), ${MODEL}`, {
  async plain() {
    const { data, request_id } = await create().withResponse();
    assert.ok(data.output_text);
    assert.equal(data.status, "completed");
    assert.equal(data.usage.total_tokens, data.usage.input_tokens + data.usage.output_tokens);
    assert.ok(builtIn || data.usage.input_tokens_details.cached_tokens > 0, "no cached tokens");
    assert.ok(request_id, "no x-request-id");
  },
  async streamed_is_the_same_as_plain() {
    const events = [];
    for await (const event of await create({ stream: true })) events.push(event);
    assert.deepEqual(events.map((event) => event.sequence_number), [...events.keys()]);
    const pieces = events.filter((event) => event.type === "response.output_text.delta");
    const plain = await create();
    assert.equal(pieces.map((event) => event.delta).join(""), plain.output_text);
    assert.equal(events.at(-1).type, "response.completed");
    assert.deepEqual(events.at(-1).response.usage, plain.usage);
  },
  async stream_helper_accumulates() {
    assert.equal(text(await response(true)), text(await response(false)));
  },
  async token_limit() {
    for (const stream of [false, true]) {
      const answer = await response(stream, { input: "word ".repeat(60), max_output_tokens: 16 });
      assert.equal(answer.status, "incomplete");
      assert.equal(answer.incomplete_details.reason, "max_output_tokens");
    }
  },
  tools_plain: () => roundTrip(false, "What is the weather in Paris?", ["get_weather"]),
  tools_streamed: () => roundTrip(true, "What is the weather in Paris?", ["get_weather"]),
  parallel_tools_plain: () => roundTrip(false, "Weather and time, in parallel.", ["get_weather", "get_time"]),
  parallel_tools_streamed: () => roundTrip(true, "Weather and time, in parallel.", ["get_weather", "get_time"]),
  async structured_output() {
    fitsWeather(text(await response(false, { text: form })));
    fitsWeather(text(await response(true, { text: form })));
    const parsed = await client.responses.parse({ model: MODEL, input, text: form });
    fitsWeather(parsed.output_text);
  },
  async thinking_goes_back() {
    for (const stream of [false, true]) {
      const wanted = { reasoning: { effort: "low", summary: "auto" }, include: ["reasoning.encrypted_content"] };
      const answer = await response(stream, wanted);
      const talk = [...input, ...answer.output, { role: "user", content: "And now?" }];
      assert.ok(text(await response(stream, { ...wanted, input: talk })));
    }
  },
  async unknown_model() {
    for (const stream of [false, true]) {
      const error = await rejects(404, () => client.responses.create({ model: "no-such-model", input, stream }));
      assert.equal(error.code, "model_not_found");
    }
  },
  async bad_request() {
    const error = await rejects(400, () => create({ input: [] }));
    assert.equal(error.param, "input");
  },
  async leaving_a_stream_early() {
    for await (const _event of await create({ stream: true })) break;
    assert.ok((await create()).output_text, "the next request fails");
  },
});

// What the unmodified OpenAI SDK for Node puts together by itself, on both of its APIs: streams, objects by zod, and
// the loop of tools. See checks.mjs and scripted.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

import { API_KEY, run } from "./checks.mjs";
import { AT_ONCE, LYON, OSLO, TALK, TOOL_TALK, USAGE, call, everywhere, fails, getWeather, say, schemaOf, script, toolsOf } from "./scripted.mjs";

const Weather = z.object({ city: z.string(), days: z.number().int() });
const BRIEF = ["system: You are brief.", "user: Quel temps ?"];

const open = (way) => new OpenAI({ baseURL: `${way.base_url}/v1`, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 });

function chat(way, stream) {
  const { completions } = open(way).chat;
  const model = way.model;
  const user = (content) => [{ role: "user", content }];
  const counted = { stream_options: { include_usage: true } };
  const spent = (usage) =>
    assert.deepEqual(
      [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens, usage.total_tokens],
      [USAGE.input, USAGE.cached, USAGE.output, USAGE.input + USAGE.output],
    );
  /** One completion, whole or put together by the stream helper, and parsed. */
  const parsed = (request) =>
    stream
      ? completions.stream({ model, ...counted, ...request }).finalChatCompletion()
      : completions.parse({ model, ...request });
  return {
    async a_text() {
      const messages = [{ role: "system", content: "You are brief." }, ...user("Quel temps ?")];
      await script(way, [say(TALK)], async ({ talk }) => {
        const answer = await parsed({ messages });
        assert.equal(answer.choices[0].message.content, TALK);
        assert.equal(answer.choices[0].finish_reason, "stop");
        spent(answer.usage);
        assert.deepEqual(await talk(), BRIEF);
      });
    },
    async an_object() {
      const request = { messages: user("Weather?"), response_format: zodResponseFormat(Weather, "weather") };
      await script(way, [say(JSON.stringify(OSLO))], async ({ bodies }) => {
        const answer = await parsed(request);
        assert.deepEqual(answer.choices[0].message.parsed, OSLO);
        assert.deepEqual(Object.keys(schemaOf((await bodies())[0]).properties).sort(), ["city", "days"]);
      });
    },
    async arguments_of_calls() {
      const tools = [zodFunction({ name: "get_weather", parameters: Weather })];
      await script(way, [AT_ONCE], async ({ bodies }) => {
        const [{ message, finish_reason }] = (await parsed({ messages: user("Weather?"), tools })).choices;
        assert.deepEqual(message.tool_calls.map((one) => one.function.parsed_arguments), [LYON, OSLO]);
        assert.deepEqual([message.content, finish_reason], ["I look.", "tool_calls"]);
        assert.deepEqual(toolsOf((await bodies())[0]), ["get_weather"]);
      });
    },
    async loop_of_tools() {
      const asked = [];
      const run = (input) => (asked.push(input), getWeather(input));
      const tools = [zodFunction({ name: "get_weather", parameters: Weather, function: run, description: "Weather." })];
      await script(way, [AT_ONCE, say(TALK)], async ({ talk }) => {
        const runner = completions.runTools({ model, messages: user("Weather?"), tools, ...(stream ? { stream, ...counted } : {}) });
        assert.equal(await runner.finalContent(), TALK);
        assert.deepEqual(asked, [LYON, OSLO]);
        const { prompt_tokens, completion_tokens } = await runner.totalUsage();
        assert.deepEqual([prompt_tokens, completion_tokens], [2 * USAGE.input, 2 * USAGE.output]);
        assert.deepEqual(await talk(), TOOL_TALK);
      });
    },
    async a_limit_of_tokens() {
      await script(way, [say("mot ".repeat(20))], async () => {
        const request = { model, messages: user("Words?"), max_completion_tokens: 16 };
        const answer = stream
          ? await completions.stream(request).finalChatCompletion()
          : await completions.create(request);
        assert.deepEqual([answer.choices[0].message.content, answer.choices[0].finish_reason], ["mot ".repeat(16), "length"]);
      });
    },
    async an_error() {
      await script(way, [{ fault: "fault-400" }], async () => {
        const error = await fails(OpenAI.BadRequestError, () => parsed({ messages: user("Hi") }));
        assert.equal(error.status, 400);
      });
    },
    ...(stream && {
      async a_stream_that_breaks() {
        await script(way, [{ fault: "fault-after-content" }], () => fails(OpenAI.APIError, () => parsed({ messages: user("Hi") })));
      },
    }),
  };
}

function responses(way, stream) {
  const client = open(way).responses;
  const model = way.model;
  const spent = (usage) =>
    assert.deepEqual(
      [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens, usage.total_tokens],
      [USAGE.input, USAGE.cached, USAGE.output, USAGE.input + USAGE.output],
    );
  /** One response, whole or put together by the stream helper, and parsed; the deltas join to what it has in the end. */
  async function parsed(request) {
    if (!stream) return client.parse({ model, ...request });
    const events = client.stream({ model, ...request });
    let text = "";
    let input = "";
    const numbers = [];
    for await (const event of events) {
      numbers.push(event.sequence_number);
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.type === "response.function_call_arguments.delta") input += event.delta;
    }
    const answer = await events.finalResponse();
    const calls = answer.output.filter((item) => item.type === "function_call");
    assert.deepEqual(numbers, [...numbers.keys()]);
    assert.equal(text, textOf(answer));
    assert.equal(input, calls.map((item) => item.arguments).join(""));
    return answer;
  }
  const textOf = (answer) =>
    answer.output.flatMap((item) => (item.type === "message" ? item.content : [])).map((part) => part.text ?? "").join("");
  return {
    async a_text() {
      await script(way, [say(TALK)], async ({ talk }) => {
        const answer = await parsed({ input: "Quel temps ?", instructions: "You are brief." });
        assert.deepEqual([textOf(answer), answer.status], [TALK, "completed"]);
        spent(answer.usage);
        assert.deepEqual(await talk(), BRIEF);
      });
    },
    async an_object() {
      await script(way, [say(JSON.stringify(OSLO))], async ({ bodies }) => {
        const answer = await parsed({ input: "Weather?", text: { format: zodTextFormat(Weather, "weather") } });
        assert.deepEqual(answer.output_parsed, OSLO);
        assert.deepEqual(Object.keys(schemaOf((await bodies())[0]).properties).sort(), ["city", "days"]);
      });
    },
    async loop_of_tools() {
      const tools = [zodResponsesFunction({ name: "get_weather", parameters: Weather, description: "Weather." })];
      await script(way, [AT_ONCE, say(TALK)], async ({ talk }) => {
        const input = [{ role: "user", content: "Weather?" }];
        const asked = await parsed({ input, tools });
        const calls = asked.output.filter((item) => item.type === "function_call");
        assert.deepEqual(calls.map((one) => one.parsed_arguments), [LYON, OSLO]);
        assert.deepEqual([textOf(asked), asked.status], ["I look.", "completed"]);
        spent(asked.usage);
        // What the SDK parsed for its caller is not for the upstream.
        for (const { parsed_arguments, parsed: object, ...item } of asked.output) {
          input.push(item.type === "message" ? { ...item, content: item.content.map(({ parsed, ...part }) => part) } : item);
        }
        for (const one of calls) {
          input.push({ type: "function_call_output", call_id: one.call_id, output: getWeather(one.parsed_arguments) });
        }
        assert.equal(textOf(await parsed({ input, tools })), TALK);
        assert.deepEqual(await talk(), TOOL_TALK);
      });
    },
    async a_tool_that_must_be_called() {
      const tools = [zodResponsesFunction({ name: "get_weather", parameters: Weather, description: "Weather." })];
      await script(way, [call("get_weather", OSLO)], async ({ bodies }) => {
        const answer = await parsed({ input: "Weather?", tools, tool_choice: { type: "function", name: "get_weather" } });
        assert.deepEqual(answer.output.map((item) => item.parsed_arguments), [OSLO]);
        assert.ok(JSON.stringify((await bodies())[0].tool_choice).includes("get_weather"));
      });
    },
    async a_limit_of_tokens() {
      await script(way, [say("mot ".repeat(20))], async () => {
        const answer = await parsed({ input: "Words?", max_output_tokens: 16 });
        assert.deepEqual([textOf(answer), answer.status], ["mot ".repeat(16), "incomplete"]);
        assert.equal(answer.incomplete_details.reason, "max_output_tokens");
      });
    },
    async an_error() {
      await script(way, [{ fault: "fault-400" }], async () => {
        assert.equal((await fails(OpenAI.BadRequestError, () => parsed({ input: "Hi" }))).status, 400);
      });
    },
    ...(stream && {
      async a_stream_that_breaks() {
        // Without the gateway it is the event that is thrown, and no error.
        await script(way, [{ fault: "fault-after-content" }], () => fails(Object, () => parsed({ input: "Hi" })));
      },
    }),
  };
}

const version = JSON.parse(readFileSync(new URL("node_modules/openai/package.json", import.meta.url))).version;
await run(`openai ${version} (Node), helpers`, { ...everywhere("chat", chat), ...everywhere("responses", responses) });

// What the unmodified Anthropic SDK for Node puts together by itself: streams, and the loop of tools. See checks.mjs
// and scripted.mjs for its environment.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import { API_KEY, run } from "./checks.mjs";
import { AT_ONCE, LYON, OSLO, TALK, TOOL_TALK, USAGE, call, everywhere, fails, getWeather, say, schemaOf, script, toolsOf } from "./scripted.mjs";

const Weather = z.object({ city: z.string(), days: z.number().int() });

function checks(way, stream) {
  const client = new Anthropic({ baseURL: way.base_url, apiKey: API_KEY, maxRetries: 0, timeout: 30_000 });
  const base = { model: way.model, max_tokens: 500 };
  const user = (content) => [{ role: "user", content }];
  /** One message, whole or put together by the stream helper; the texts of a stream join to what it has in the end. */
  async function message(request) {
    if (!stream) return client.messages.create({ ...base, ...request });
    const events = client.messages.stream({ ...base, ...request });
    let text = "";
    events.on("text", (piece) => (text += piece));
    const answer = await events.finalMessage();
    assert.equal(text, textOf(answer));
    return answer;
  }
  const textOf = (answer) => answer.content.map((block) => block.text ?? "").join("");
  const spent = ({ input_tokens, cache_read_input_tokens, output_tokens }) =>
    assert.deepEqual(
      [input_tokens, cache_read_input_tokens, output_tokens],
      [USAGE.input - USAGE.cached, USAGE.cached, USAGE.output],
    );
  const tool = { name: "get_weather", description: "Weather.", input_schema: z.toJSONSchema(Weather) };
  return {
    async a_text() {
      await script(way, [say(TALK)], async ({ talk }) => {
        const answer = await message({ system: "You are brief.", messages: user("Quel temps ?") });
        assert.deepEqual([textOf(answer), answer.stop_reason, answer.role], [TALK, "end_turn", "assistant"]);
        spent(answer.usage);
        assert.deepEqual(await talk(), ["system: You are brief.", "user: Quel temps ?"]);
      });
    },
    async tools_by_hand() {
      await script(way, [AT_ONCE, say(TALK)], async ({ talk }) => {
        const messages = user("Weather?");
        const asked = await message({ messages, tools: [tool] });
        const uses = asked.content.filter((block) => block.type === "tool_use");
        assert.deepEqual(uses.map((block) => [block.name, block.input]), [["get_weather", LYON], ["get_weather", OSLO]]);
        assert.deepEqual([textOf(asked), asked.stop_reason], ["I look.", "tool_use"]);
        spent(asked.usage);
        const results = uses.map(({ id, input }) => ({ type: "tool_result", tool_use_id: id, content: getWeather(input) }));
        messages.push({ role: "assistant", content: asked.content }, { role: "user", content: results });
        assert.equal(textOf(await message({ messages, tools: [tool] })), TALK);
        assert.deepEqual(await talk(), TOOL_TALK);
      });
    },
    async loop_of_tools() {
      const asked = [];
      const run = (input) => (asked.push(input), getWeather(input));
      const tools = [betaZodTool({ name: "get_weather", description: "Weather.", inputSchema: Weather, run })];
      await script(way, [AT_ONCE, say(TALK)], async ({ talk }) => {
        const runner = client.beta.messages.toolRunner({ ...base, messages: user("Weather?"), tools, stream });
        if (stream) for await (const events of runner) for await (const _event of events);
        const last = await (stream ? runner.done() : runner.runUntilDone());
        assert.deepEqual([textOf(last), asked], [TALK, [LYON, OSLO]]);
        spent(last.usage);
        assert.deepEqual(await talk(), TOOL_TALK);
      });
    },
    async a_tool_that_must_be_called() {
      await script(way, [call("get_weather", OSLO)], async ({ bodies }) => {
        const answer = await message({ messages: user("Weather?"), tools: [tool], tool_choice: { type: "tool", name: "get_weather" } });
        assert.deepEqual(answer.content.map((block) => block.input), [OSLO]);
        assert.deepEqual(toolsOf((await bodies())[0]), ["get_weather"]);
      });
    },
    async an_object() {
      const request = { messages: user("Weather?"), output_config: { format: zodOutputFormat(Weather) } };
      await script(way, [say(JSON.stringify(OSLO))], async ({ bodies }) => {
        const answer = stream ? await message(request) : await client.messages.parse({ ...base, ...request });
        assert.deepEqual(answer.parsed_output, OSLO);
        assert.deepEqual(Object.keys(schemaOf((await bodies())[0]).properties).sort(), ["city", "days"]);
      });
    },
    async a_limit_of_tokens() {
      await script(way, [say("mot ".repeat(20))], async () => {
        const answer = await message({ messages: user("Words?"), max_tokens: 16 });
        assert.deepEqual([textOf(answer), answer.stop_reason], ["mot ".repeat(16), "max_tokens"]);
      });
    },
    async an_error() {
      await script(way, [{ fault: "fault-400" }], async () => {
        const error = await fails(Anthropic.BadRequestError, () => message({ messages: user("Hi") }));
        assert.equal(error.status, 400);
      });
    },
    ...(stream && {
      async a_stream_that_breaks() {
        await script(way, [{ fault: "fault-after-content" }], () => fails(Anthropic.APIError, () => message({ messages: user("Hi") })));
      },
    }),
  };
}

const version = JSON.parse(readFileSync(new URL("node_modules/@anthropic-ai/sdk/package.json", import.meta.url))).version;
await run(`@anthropic-ai/sdk ${version} (Node), helpers`, everywhere("", checks));

// Upstreams that are told what to answer, what reached them, and what the gateway wrote down.
//
// Beside the environment of checks.mjs:
//
//   OPENAI      where the scripted upstream of OpenAI's dialect is; it serves GPT models
//   ANTHROPIC   where the one of Anthropic's dialect is; it serves Claude models

import assert from "node:assert/strict";

import { API_KEY, BASE_URL } from "./checks.mjs";

const UPSTREAMS = { openai: process.env.OPENAI, anthropic: process.env.ANTHROPIC };

export const MINI = "openai/gpt-4o-mini";
export const SONNET = "anthropic/claude-sonnet-4-20250514";
export const TO_MINI = "transfer_to_gpt_4o_mini";
export const TO_SONNET = "transfer_to_claude_sonnet_4_20250514";

/** An answer in words. */
export const say = (text) => ({ say: text });
/** A call of a tool, behind a text if there is one. */
export const call = (name, input, text) => ({ call: [[name, input]], ...(text === undefined ? {} : { say: text }) });

async function ask(url, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${API_KEY}` };
  const answer = await fetch(url, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${url}: ${answer.status}`);
  return answer.json();
}

/**
 * Tells both upstreams what to answer, in order, and plays; fails when an answer was not asked for.
 * What is played gets `seen`, the bodies that reached an upstream, and `runs`, the decisions of each run.
 */
export async function scene(script, play) {
  for (const [name, origin] of Object.entries(UPSTREAMS)) await ask(`${origin}/__script`, script[name] ?? []);
  const since = Date.now();
  const seen = async (name) => (await ask(`${UPSTREAMS[name]}/__seen`)).seen.map((one) => one.body);
  const runs = async (count) => {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const page = (await ask(`${BASE_URL}/v1/decisions?limit=100`)).data;
      // An id begins with the milliseconds of its time.
      const ids = page.map((one) => one.run).filter((run) => parseInt(run.slice(4, 16), 16) >= since);
      const found = [...new Set(ids)].sort();
      if (found.length >= count) {
        assert.equal(found.length, count, "requests of the client");
        return Promise.all(found.map(async (run) => (await ask(`${BASE_URL}/v1/decisions/${run}`)).decisions));
      }
      assert.ok(Date.now() < deadline, `${found.length} of ${count} runs were written down`);
      await new Promise((wake) => setTimeout(wake, 20));
    }
  };
  const story = async (count) => (await runs(count)).map((decisions) => decisions.map(line));
  await play({ seen, runs, story });
  for (const [name, origin] of Object.entries(UPSTREAMS)) {
    assert.equal((await ask(`${origin}/__seen`)).left, 0, `answers of ${name} that nobody asked for`);
  }
}

/** `turn.hop kind code`, then from whom and to whom. */
export function line(decision) {
  const from = decision.from ? ` ${decision.from} ->` : "";
  return `${decision.turn}.${decision.hop} ${decision.kind} ${decision.reason.code}${from} ${decision.to ?? "-"}`;
}

/** The names of the tools that an upstream was given. */
export const toolsOf = (body) => (body.tools ?? []).map((tool) => tool.name ?? tool.function.name);

/** The conversation that an upstream was given, in words: both dialects read alike. */
export function told(body) {
  const text = (content) => (typeof content === "string" ? content : content.map((block) => block.text).join(""));
  const lines = body.system ? [`system: ${text(body.system)}`] : [];
  for (const message of body.messages) {
    if (message.role === "tool") {
      lines.push(`result: ${text(message.content)}`);
      continue;
    }
    const content = message.content ?? [];
    for (const block of typeof content === "string" ? [{ type: "text", text: content }] : content) {
      if (block.type === "text") lines.push(`${message.role}: ${block.text}`);
      else if (block.type === "tool_use") lines.push(`assistant calls ${block.name} ${JSON.stringify(block.input)}`);
      else if (block.type === "tool_result") lines.push(`result: ${text(block.content)}`);
      else lines.push(`${message.role}: ${JSON.stringify(block)}`);
    }
    for (const { function: made } of message.tool_calls ?? []) {
      lines.push(`assistant calls ${made.name} ${JSON.stringify(JSON.parse(made.arguments))}`);
    }
  }
  return lines;
}

/** A hand-over as its target reads it. */
export const handed = (to, reason, by) => [
  `assistant calls ${to} ${JSON.stringify({ reason })}`,
  `result: You have the conversation now. \`${by}\` handed it to you; the call above carries what it had to say. ` +
    "Go on from here, use only the tools that you are given, and do not speak of the hand-over.",
];

// Upstreams that are told what to answer, what reached them, and what the gateway wrote down.
//
// Beside the environment of checks.mjs:
//
//   OPENAI      where the scripted upstream of OpenAI's chat is; it serves GPT models
//   RESPONSES   where the one of OpenAI's Responses API is; it serves others of these
//   ANTHROPIC   where the one of Anthropic's dialect is; it serves Claude models

import assert from "node:assert/strict";

import { BASE_URL } from "./checks.mjs";
import { ask } from "./upstreams.mjs";

export { call, say, told, toolsOf } from "./upstreams.mjs";

const UPSTREAMS = { openai: process.env.OPENAI, responses: process.env.RESPONSES, anthropic: process.env.ANTHROPIC };

export const MINI = "openai/gpt-4o-mini";
export const SONNET = "anthropic/claude-sonnet-4-20250514";
export const TO_MINI = "transfer_to_gpt_4o_mini";
export const TO_SONNET = "transfer_to_claude_sonnet_4_20250514";

/**
 * Tells the upstreams what to answer, in order, and plays; fails when an answer was not asked for.
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

/** A hand-over as its target reads it. */
export const handed = (to, reason, by) => [
  `assistant calls ${to} ${JSON.stringify({ reason })}`,
  `result: You have the conversation now. \`${by}\` handed it to you; the call above carries what it had to say. ` +
    "Go on from here, use only the tools that you are given, and do not speak of the hand-over.",
];

// SDKs that ask one scripted upstream, which speaks every dialect, by every way that leads to it.
//
// Beside BASE_URL and API_KEY of checks.mjs:
//
//   UPSTREAM    where the scripted upstream is
//   WAYS        the ways, as JSON: `name`, `base_url`, `model`, and the `path` that the upstream is to be asked at
//
// What an upstream is to answer is said in full, with what it costs. So each check knows what its SDK must give
// back, and the same is expected by every way, whole and streamed.

import assert from "node:assert/strict";

import { ask, told } from "./upstreams.mjs";

export { call, say, told, toolsOf } from "./upstreams.mjs";

const { UPSTREAM } = process.env;
export const WAYS = JSON.parse(process.env.WAYS);

/** What each answer costs, unless its step says otherwise. */
export const USAGE = { input: 120, cached: 40, cache_write: 0, output: 30, reasoning: 0 };

/** Text that is cut anywhere when it is streamed. */
export const TALK = "Il fait doux à Lyon 🦀, dit-on.";
export const LYON = { city: "Lyon", days: 2 };
export const OSLO = { city: 'Øst-"Oslo"', days: 14 };

/** What an upstream is told of a text, two calls at once, and their results. */
export const TOOL_TALK = [
  "user: Weather?",
  "assistant: I look.",
  `assistant calls get_weather ${JSON.stringify(LYON)}`,
  `assistant calls get_weather ${JSON.stringify(OSLO)}`,
  "result: 2 mild days in Lyon",
  'result: 14 mild days in Øst-"Oslo"',
];

/** The step that makes two calls at once behind a text. */
export const AT_ONCE = { say: "I look.", call: [["get_weather", LYON], ["get_weather", OSLO]] };
export const getWeather = ({ city, days }) => `${days} mild days in ${city}`;

/**
 * Says what is answered, in order, and plays; fails when an answer was not asked for, or was asked for in another
 * dialect. What is played gets `bodies`, what reached the upstream, and `talk`, its last conversation.
 */
export async function script(way, steps, play) {
  await ask(`${UPSTREAM}/__script`, steps.map((step) => (step.fault ? step : { usage: USAGE, ...step })));
  const bodies = async () => (await ask(`${UPSTREAM}/__seen`)).seen.map((one) => one.body);
  await play({ bodies, talk: async () => told((await bodies()).at(-1)) });
  const after = await ask(`${UPSTREAM}/__seen`);
  assert.equal(after.left, 0, "answers that nobody asked for");
  if (way.path) {
    const elsewhere = after.seen.map((one) => one.path.split("?")[0]).filter((path) => path !== way.path);
    assert.deepEqual(elsewhere, [], "where else the upstream was asked");
  }
}

/** The schema that an upstream was told to answer in, in whichever way its dialect has. */
export const schemaOf = (body) =>
  (body.response_format?.json_schema ?? body.text?.format ?? body.output_config.format).schema;

/** Fails unless the call is rejected with an error of this kind; answers it. */
export async function fails(kind, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const fits = error instanceof kind && !(error instanceof assert.AssertionError);
    assert.ok(fits, `not a ${kind.name} but ${error}`);
    return error;
  }
  assert.fail(`no ${kind.name} but ${JSON.stringify(answer)}`);
}

/** The checks of `make`, for each way, whole and streamed; `label` stands before their names. */
export function everywhere(label, make) {
  const all = {};
  for (const way of WAYS) {
    for (const stream of [false, true]) {
      for (const [name, check] of Object.entries(make(way, stream))) {
        all[[way.name, ...(label ? [label] : []), name, stream ? "streamed" : "whole"].join("/")] = check;
      }
    }
  }
  return all;
}

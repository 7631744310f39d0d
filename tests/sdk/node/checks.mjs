// Runs named checks one after another and says which failed.
//
// Every script takes the same environment:
//
//   BASE_URL    where the server is, without /v1
//   API_KEY     what to authenticate with
//   MODEL       the model to ask
//   NESTED      a model whose name has a slash in it

import assert from "node:assert/strict";

export const BASE_URL = process.env.BASE_URL.replace(/\/+$/, "");
export const API_KEY = process.env.API_KEY ?? "sk-test";
export const MODEL = process.env.MODEL;
export const NESTED = process.env.NESTED;

export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const CLOCK = {
  type: "object",
  properties: { zone: { type: "string", enum: ["utc", "local"] } },
  required: ["zone"],
  additionalProperties: false,
};

/** Fails unless the value fits the weather schema. */
export function fitsWeather(value) {
  const weather = typeof value === "string" ? JSON.parse(value) : value;
  assert.deepEqual(Object.keys(weather).sort(), ["city", "days"]);
  assert.equal(typeof weather.city, "string");
  assert.ok(Number.isInteger(weather.days));
}

/** Fails unless the value fits the clock schema. */
export function fitsClock(value) {
  const clock = typeof value === "string" ? JSON.parse(value) : value;
  assert.ok(["utc", "local"].includes(clock.zone), `wrong zone: ${JSON.stringify(clock)}`);
}

/** Fails unless the call is rejected with this status; answers the error. */
export async function rejects(status, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.status ?? error.statusCode, status, `status of ${error}`);
    return error;
  }
  assert.fail(`nothing was rejected with ${status}`);
}

/** Runs every check and exits with 1 when one failed. */
export async function run(label, checks) {
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
    } catch (error) {
      failed += 1;
      const place = /\/([\w.]+\.mjs:\d+)/.exec(error.stack ?? "")?.[1] ?? "?";
      console.log(`FAILED ${label} ${name} (${place}): ${error.message}`);
    }
  }
  console.log(`${label}: ${Object.keys(checks).length - failed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

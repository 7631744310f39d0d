// Upstreams that are told what to answer, and what reached them; bodies of every dialect read alike.

import assert from "node:assert/strict";

import { API_KEY } from "./checks.mjs";

/** An answer in words. */
export const say = (text) => ({ say: text });
/** A call of a tool, behind a text if there is one. */
export const call = (name, input, text) => ({ call: [[name, input]], ...(text === undefined ? {} : { say: text }) });

/** Gets, or posts, and answers the JSON that comes back. */
export async function ask(url, body) {
  const headers = { "content-type": "application/json", authorization: `Bearer ${API_KEY}` };
  const answer = await fetch(url, body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, `${url}: ${answer.status}`);
  return answer.json();
}

/** The names of the tools that an upstream was given. */
export const toolsOf = (body) => (body.tools ?? []).map((tool) => tool.name ?? tool.function.name);

/** The conversation that an upstream was given, in words. */
export function told(body) {
  const system = body.system ?? body.instructions;
  const talk = body.messages ?? body.input;
  return [
    ...(system ? [`system: ${text(system)}`] : []),
    ...(typeof talk === "string" ? [`user: ${talk}`] : talk.flatMap(lines)),
  ];
}

const text = (content) => (typeof content === "string" ? content : content.map((block) => block.text).join(""));
const called = (name, input) => `assistant calls ${name} ${JSON.stringify(input)}`;

/** What one message says, or one item of the Responses API. */
function lines(item) {
  if (item.type === "function_call") return [called(item.name, JSON.parse(item.arguments))];
  if (item.type === "function_call_output") return [`result: ${text(item.output)}`];
  if (item.type === "item_reference") return [item.type];
  if (item.role === "tool") return [`result: ${text(item.content)}`];
  const role = item.role === "developer" ? "system" : item.role;
  const content = item.content ?? [];
  return [
    ...(typeof content === "string" ? [{ type: "text", text: content }] : content).map((block) => {
      if (["text", "input_text", "output_text"].includes(block.type)) return `${role}: ${block.text}`;
      if (block.type === "tool_use") return called(block.name, block.input);
      if (block.type === "tool_result") return `result: ${text(block.content)}`;
      return `${role}: ${JSON.stringify(block)}`;
    }),
    ...(item.tool_calls ?? []).map(({ function: made }) => called(made.name, JSON.parse(made.arguments))),
  ];
}

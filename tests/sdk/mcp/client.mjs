// Calls the tools of a gateway's own MCP endpoint with the official SDK for TypeScript: `client.mjs one|two URL`.
// `one` is the package of before 2026-07-28, `two` the one that speaks it.

import assert from 'node:assert/strict';

const [major, url] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } = major === 'one'
  ? {
      ...(await import('@modelcontextprotocol/sdk/client/index.js')),
      ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    }
  : await import('@modelcontextprotocol/client');

async function check(options) {
  const client = new Client({ name: 'checks', version: '1.0.0' }, options);
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name), ['select_optimal_model', 'route_to_specialist', 'prepare_handoff']);
  const call = async (name, args) => {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(!result.isError, JSON.stringify(result));
    assert.match(result.structuredContent.decision_id, /^dec_/);
    return [result.content[0].text, result.structuredContent];
  };

  const [name, selected] = await call('select_optimal_model', {
    task: 'What is the capital of France?',
    constraints: { capabilities: ['code'] },
  });
  assert.equal(name, selected.result);

  const [routedText, routed] = await call('route_to_specialist', { content: 'fn main() {}', analysis_type: 'code_review' });
  assert.deepEqual(JSON.parse(routedText), routed);
  assert.equal(routed.routing.prompt_style, 'technical');
  assert.equal(routed.ready_for_handoff, true);

  const handoff = {
    task: 'Translate this letter into French: Dear Sir',
    current_context: { pages: [1, 2] },
    target_model: 'echo/hello',
    handoff_instructions: 'Be brief.',
  };
  const [, prepared] = await call('prepare_handoff', handoff);
  assert.deepEqual(prepared.context, { pages: [1, 2] });
  assert.equal(prepared.handoff_metadata.expected_output_format, 'the translation alone');

  const refused = await client.callTool({ name: 'prepare_handoff', arguments: { ...handoff, target_model: 'echo/nobody' } });
  assert.ok(refused.isError, JSON.stringify(refused));
  await client.close();
}

await check();
if (major === 'two') {
  await check({ versionNegotiation: { mode: 'auto' } });
  await check({ versionNegotiation: { mode: { pin: '2026-07-28' } } });
}
console.log('ok');

// An MCP server made with the official SDK for TypeScript: `server.mjs one|two stdio|http`; over HTTP it writes its port.
// `one` is the package of before 2026-07-28 with sessions, `two` the one that speaks it.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { z } from 'zod';

const [major, transport] = process.argv.slice(2);
const sdk = major === 'one'
  ? await import('@modelcontextprotocol/sdk/server/mcp.js')
  : await import('@modelcontextprotocol/server');

function checks() {
  const server = new sdk.McpServer({ name: 'checks', version: '1.0.0' });
  const shape = (fields) => (major === 'one' ? fields : z.object(fields));
  server.registerTool(
    'echo',
    { description: 'Gives back what it gets.', inputSchema: shape({ text: z.string() }) },
    async ({ text }) => ({ content: [{ type: 'text', text }] }),
  );
  server.registerTool(
    'add',
    {
      description: 'Adds two numbers.',
      inputSchema: shape({ a: z.number(), b: z.number() }),
      outputSchema: shape({ sum: z.number() }),
    },
    async ({ a, b }) => ({ content: [], structuredContent: { sum: a + b } }),
  );
  server.registerTool('fail', { description: 'Fails.' }, async () => {
    throw new Error('no such file');
  });
  return server;
}

async function overStdio() {
  if (major === 'two') {
    const { serveStdio } = await import('@modelcontextprotocol/server/stdio');
    serveStdio(checks);
    return;
  }
  const { StdioServerTransport } = await import('@modelcontextprotocol/sdk/server/stdio.js');
  await checks().connect(new StdioServerTransport());
}

async function handler() {
  if (major === 'two') {
    const { toNodeHandler } = await import('@modelcontextprotocol/node');
    return toNodeHandler(sdk.createMcpHandler(checks));
  }
  const { StreamableHTTPServerTransport } = await import('@modelcontextprotocol/sdk/server/streamableHttp.js');
  const sessions = new Map();
  return async (request, response) => {
    let session = sessions.get(request.headers['mcp-session-id']);
    if (!session) {
      session = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, session),
      });
      await checks().connect(session);
    }
    await session.handleRequest(request, response);
  };
}

if (transport === 'stdio') {
  await overStdio();
} else {
  const http = createServer(await handler());
  http.listen(0, '127.0.0.1', () => console.log(http.address().port));
}

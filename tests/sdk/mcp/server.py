"""An MCP server made with the official SDK for Python: `server.py stdio`, or `server.py http`, which writes its port."""

import socket
import sys

import uvicorn

try:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
except ImportError:
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp.exceptions import ToolError

from pydantic import BaseModel

server = MCPServer("checks")


class Sum(BaseModel):
    sum: float


@server.tool(description="Gives back what it gets.")
def echo(text: str) -> str:
    return text


@server.tool(description="Adds two numbers.")
def add(a: float, b: float) -> Sum:
    return Sum(sum=a + b)


@server.tool(description="Fails.")
def fail() -> str:
    raise ToolError("no such file")


def main() -> None:
    if sys.argv[1] == "stdio":
        server.run()
        return
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


main()

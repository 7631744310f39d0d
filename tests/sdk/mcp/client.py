"""Calls the tools of a gateway's own MCP endpoint with the official SDK for Python: `client.py URL`.

The SDK of before 2026-07-28 makes a handshake; the one that speaks it is asked to do both.
"""

import asyncio
import json
import sys

TOOLS = ["select_optimal_model", "route_to_specialist", "prepare_handoff"]


def told(result):
    """What a call came to, in whichever spelling the SDK has."""
    failed = getattr(result, "is_error", None) if hasattr(result, "is_error") else result.isError
    found = result.structured_content if hasattr(result, "structured_content") else result.structuredContent
    assert not failed, result
    assert found["decision_id"].startswith("dec_"), found
    return result.content[0].text, found


async def check(call, names):
    assert sorted(names) == sorted(TOOLS), names
    text, found = told(
        await call("select_optimal_model", {"task": "What is the capital of France?", "constraints": {"capabilities": ["code"]}})
    )
    assert text == found["result"] and "/" in found["target"], (text, found)
    text, found = told(await call("route_to_specialist", {"content": "fn main() {}", "analysis_type": "code_review"}))
    assert json.loads(text) == found and found["ready_for_handoff"] is True, (text, found)
    assert found["content"] == "fn main() {}" and found["routing"]["prompt_style"] == "technical", found
    arguments = {
        "task": "Translate this letter into French: Dear Sir",
        "current_context": {"pages": [1, 2]},
        "target_model": "echo/hello",
        "handoff_instructions": "Be brief.",
    }
    text, found = told(await call("prepare_handoff", arguments))
    assert json.loads(text) == found and found["context"] == {"pages": [1, 2]}, (text, found)
    assert found["handoff_metadata"]["expected_output_format"] == "the translation alone", found
    refused = await call("prepare_handoff", {**arguments, "target_model": "echo/nobody"})
    assert refused.is_error if hasattr(refused, "is_error") else refused.isError, refused


async def with_session(url):
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async with streamablehttp_client(url) as (reading, writing, _), ClientSession(reading, writing) as session:
        hello = await session.initialize()
        assert hello.serverInfo.name == "baton", hello
        listed = await session.list_tools()
        await check(session.call_tool, [tool.name for tool in listed.tools])


async def with_client(url, mode):
    from mcp.client import Client

    async with Client(url, mode=mode) as client:
        listed = await client.list_tools()
        await check(client.call_tool, [tool.name for tool in listed.tools])
        return client.protocol_version


async def main(url):
    try:
        from mcp.client import Client  # noqa: F401
    except ImportError:
        await with_session(url)
        return
    spoken = [await with_client(url, mode) for mode in ("legacy", "auto", "2026-07-28")]
    assert spoken == ["2025-11-25", "2026-07-28", "2026-07-28"], spoken


asyncio.run(main(sys.argv[1]))
print("ok")

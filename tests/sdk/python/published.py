"""Every answer of the gateway against the schemas that OpenAI and Anthropic publish.

    published.py listen RECORDS GATEWAY    passes everything on to the gateway, and writes down what it answers
    published.py check RECORDS             compares what was written down with the schemas

The schemas are those that the conformance suite `llm-comply` brings with it. They are OpenAPI, which is JSON Schema
but for two words: `nullable`, and `discriminator`, which says by its type which member of a union something is.
"""

import http.client
import http.server
import importlib.resources
import json
import sys
import threading
from collections import Counter
from urllib.parse import urlsplit

# By path: the specification, the whole answer, an event of a stream.
SURFACES = {
    "/v1/chat/completions": ("openai_chat.json", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "/v1/responses": ("openai_chat.json", "Response", "ResponseStreamEvent"),
    "/v1/messages": ("anthropic.json", "Message", "MessageStreamEvent"),
}

# What may be null although its schema says nothing of it: the vendor's own examples of events have the first, and
# the schema of Open Responses wants both to be there.
NULL = [("Response", "usage"), ("TextResponseFormatJsonSchema", "description")]


def listen(records, gateway):
    """Passes requests on until it is ended."""
    target, lock = urlsplit(gateway).netloc, threading.Lock()

    class Passing(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_POST(self):
            asked = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
            upstream = http.client.HTTPConnection(target)
            try:
                upstream.request(self.command, self.path, asked, headers)
                answer = upstream.getresponse()
                self.pass_on(answer)
            except (OSError, http.client.HTTPException):
                self.close_connection = True  # One of the two sides has gone, and the other is to see it.
            finally:
                upstream.close()

        do_GET = do_DELETE = do_HEAD = do_POST

        def pass_on(self, answer):
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding"):
                    self.send_header(name, value)
            is_long = answer.headers.get("content-length") is None
            if is_long:
                self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            body = b""
            while piece := answer.read1(65536):
                body += piece
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if is_long else piece)
            if is_long:
                self.wfile.write(b"0\r\n\r\n")
            record = {
                "path": self.path.partition("?")[0],
                "status": answer.status,
                "type": answer.headers.get("content-type", ""),
                "body": body.decode(),
            }
            with lock, open(records, "a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Passing)
    print(f"listening on 127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


class Published:
    """The schemas of one specification, as JSON Schema."""

    def __init__(self, file):
        from jsonschema import Draft202012Validator

        spec = json.loads(importlib.resources.files("llm_comply").joinpath("specs", file).read_text(encoding="utf-8"))
        self.schemas = spec["components"]["schemas"]
        for name, member in NULL:
            schema = self.schemas.get(name, {})
            for part in (schema, *schema.get("allOf", ())):
                if member in part.get("properties", {}):
                    part["properties"][member] = {"anyOf": [part["properties"][member], {"type": "null"}]}
        self.components = {"schemas": {name: self.plain(schema) for name, schema in self.schemas.items()}}
        self.validator = Draft202012Validator
        self.made = {}

    def wrong(self, name, value):
        """What is wrong with a value of this schema, or nothing."""
        if name not in self.made:
            schema = {"$ref": f"#/components/schemas/{name}", "components": self.components}
            self.made[name] = self.validator(schema)
        error = next(self.made[name].iter_errors(value), None)
        if error is None:
            return None
        # Within a union, the member that came nearest says more.
        while error.context:
            error = max(error.context, key=lambda inner: (len(inner.absolute_path), -len(inner.context or ())))
        return f"{'.'.join(map(str, error.absolute_path)) or 'the whole'}: {error.message[:200]}"

    def plain(self, schema):
        if isinstance(schema, list):
            return [self.plain(one) for one in schema]
        if not isinstance(schema, dict):
            return schema
        made = {key: value if key in ("enum", "const", "default", "example") else self.plain(value) for key, value in schema.items()}
        for union in ("oneOf", "anyOf"):
            kinds = self.kinds(schema.get(union))
            if kinds:
                made.pop(union)
                # One of these types, and then what its schema says.
                is_of = lambda kind: {"properties": {"type": {"const": kind}}, "required": ["type"]}
                made["allOf"] = [
                    *made.get("allOf", []),
                    {"properties": {"type": {"enum": list(kinds)}}, "required": ["type"]},
                    *({"if": is_of(kind), "then": {"$ref": one}} for kind, one in kinds.items()),
                ]
        if made.pop("nullable", False):
            return {"anyOf": [made, {"type": "null"}]}
        return made

    def kinds(self, union):
        """The members of a union by their types, if each has one of its own."""
        found = {}
        for member in union or ():
            target = self.schemas.get(member.get("$ref", "").rpartition("/")[2], {})
            kind = target.get("properties", {}).get("type", {})
            values = kind.get("enum") or ([kind["const"]] if "const" in kind else [])
            if "type" not in target.get("required", ()) or len(values) != 1 or values[0] in found:
                return None
            found[values[0]] = member["$ref"]
        return found


def events(text):
    """The events of a stream: names and data."""
    for frame in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.partition(":")[::2] for line in frame.split("\n") if line and not line.startswith(":")]
        data = "\n".join(value.removeprefix(" ") for name, value in lines if name == "data")
        if data:
            yield dict(lines).get("event", "").strip(), data


def check(records):
    published = {file: Published(file) for file in {surface[0] for surface in SURFACES.values()}}
    seen, failed = Counter(), Counter()

    def compare(path, name, value):
        seen[f"{path} {name}"] += 1
        wrong = published[SURFACES[path][0]].wrong(name, value)
        if wrong:
            failed[f"{path} {name}: {wrong}"] += 1

    with open(records, encoding="utf-8") as file:
        for record in map(json.loads, file):
            path = record["path"]
            if path not in SURFACES:
                continue
            _, whole, event = SURFACES[path]
            if not record["type"].startswith("text/event-stream"):
                compare(path, whole if record["status"] == 200 else "ErrorResponse", json.loads(record["body"]))
                continue
            for name, data in events(record["body"]):
                if data == "[DONE]" or name == "ping":
                    continue
                value = json.loads(data)
                is_error = "error" in value and path != "/v1/responses"
                compare(path, "ErrorResponse" if is_error else event, value)
    for name, count in sorted(seen.items()):
        print(f"{count:6} {name}")
    for wrong, count in failed.most_common(40):
        print(f"FAILED {count} times: {wrong}")
    missing = [f"{path} {name}" for path, (_, *names) in SURFACES.items() for name in (*names, "ErrorResponse") if not seen[f"{path} {name}"]]
    if missing:
        print(f"FAILED: none of {', '.join(missing)} was seen")
    print(f"published schemas: {seen.total()} answers and events, {failed.total()} do not fit")
    sys.exit(1 if failed or missing else 0)


if __name__ == "__main__":
    {"listen": listen, "check": check}[sys.argv[1]](*sys.argv[2:])

"""Every answer of the gateway against the schemas that OpenAI and Anthropic publish.

    published.py listen RECORDS GATEWAY    passes everything on to the gateway, and writes down what it answers
    published.py check RECORDS             compares what was written down with the schemas
    published.py folder FOLDER             the same of every file in a folder that the black-box tests wrote

A line is written down for each answer: method, path, status, type, body. The black-box tests name themselves too.

The schemas are those that the conformance suite `llm-comply` brings with it. They are OpenAPI, which is JSON Schema
but for two words: `nullable`, and `discriminator`, which says by its type which member of a union something is.
"""

import http.client
import http.server
import importlib.resources
import json
import pathlib
import sys
import threading
from collections import Counter
from urllib.parse import urlsplit

# By method and path: the specification, the whole answer, an event of a stream. `{id}` is one segment.
SURFACES = {
    "POST /v1/chat/completions": ("openai_chat.json", "CreateChatCompletionResponse", "CreateChatCompletionStreamResponse"),
    "POST /v1/responses": ("openai_chat.json", "Response", "ResponseStreamEvent"),
    "POST /v1/responses/compact": ("openai_chat.json", "NewerCompacted", None),
    "GET /v1/responses/{id}": ("openai_chat.json", "Response", "ResponseStreamEvent"),
    "POST /v1/responses/{id}/cancel": ("openai_chat.json", "Response", None),
    "GET /v1/responses/{id}/input_items": ("openai_chat.json", "ResponseItemList", None),
    "GET /v1/models": ("openai_chat.json", "ListModelsResponse", None),
    "GET /v1/models/{id}": ("openai_chat.json", "Model", None),
    "POST /v1/messages": ("anthropic.json", "Message", "MessageStreamEvent"),
}

# The surfaces that the libraries use, each of which must be seen whole, streamed and with an error.
OF_LIBRARIES = ("POST /v1/chat/completions", "POST /v1/responses", "POST /v1/messages")

# The documents are older than what they document. What newer ones have is written here: the statuses of a response in
# the background, the event between the first two, the kinds below, and the object that a compacted conversation is.
NEWER_WORDS = [("Response", "status", ["queued", "cancelled"])]
NEWER_EVENTS = {"response.queued": "ResponseInProgressEvent"}


def kind(word, members):
    """An object of this type with these members, each a text."""
    texts = {member: {"type": "string"} for member in members}
    return {"type": "object", "properties": {"type": {"type": "string", "enum": [word]}, **texts}, "required": ["type", *members]}


# By specification: a schema, and another one with which it stands in the same unions.
NEWER_KINDS = {
    "openai_chat.json": {
        "NewerWebSearchTool": (kind("web_search", []), "WebSearchPreviewTool"),
        "NewerToolChoice": (kind("allowed_tools", ["mode"]), "ToolChoiceFunction"),
        "NewerCompaction": (kind("compaction", ["id", "encrypted_content"]), "FileSearchToolCall"),
    },
    "anthropic.json": {
        "NewerTooLargeError": (kind("request_too_large", ["message"]), "InvalidRequestError"),
    },
}
COMPACTED = {
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "object": {"type": "string", "enum": ["response.compaction"]},
        "created_at": {"type": "integer"},
        "output": {"type": "array", "items": {"$ref": "#/components/schemas/ItemResource"}},
        "usage": {"$ref": "#/components/schemas/ResponseUsage"},
    },
    "required": ["id", "object", "created_at", "output", "usage"],
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
                "method": self.command,
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
        if "ItemResource" in self.schemas:
            self.schemas["NewerCompacted"] = COMPACTED
        for name, (schema, beside) in NEWER_KINDS[file].items():
            self.schemas[name] = schema
            join(self.schemas, ref(beside), ref(name))
        for name, member, words in NEWER_WORDS:
            schema = self.schemas.get(name, {})
            for part in (schema, *schema.get("allOf", ())):
                known = part.get("properties", {}).get(member, {}).get("enum")
                if known:
                    known.extend(words)
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


def ref(name):
    return f"#/components/schemas/{name}"


def join(schema, beside, new):
    """Adds a member to every union that has the other one."""
    if isinstance(schema, list):
        if {"$ref": beside} in schema and {"$ref": new} not in schema:
            schema.append({"$ref": new})
        for part in schema:
            join(part, beside, new)
    elif isinstance(schema, dict):
        for part in schema.values():
            join(part, beside, new)


def events(text):
    """The events of a stream: names and data."""
    for frame in text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        lines = [line.partition(":")[::2] for line in frame.split("\n") if line and not line.startswith(":")]
        data = "\n".join(value.removeprefix(" ") for name, value in lines if name == "data")
        if data:
            yield dict(lines).get("event", "").strip(), data


def surface_of(record):
    """The surface that answered, if it is one with a schema."""
    parts = record["path"].strip("/").split("/")
    for surface in SURFACES:
        method, _, path = surface.partition(" ")
        names = path.strip("/").split("/")
        if method != record["method"]:
            continue
        if len(names) == len(parts) and all(name in (part, "{id}") for name, part in zip(names, parts)):
            return surface
        # A model's name may have a slash in it.
        if path == "/v1/models/{id}" and parts[:2] == names[:2] and len(parts) > 2:
            return surface
    return None


class Comparison:
    """What was compared, and what did not fit."""

    def __init__(self):
        self.published = {file: Published(file) for file in {surface[0] for surface in SURFACES.values()}}
        self.seen, self.failed = Counter(), Counter()
        # In which test each misfit came first.
        self.first = {}

    def compare(self, surface, name, value, test=None):
        self.seen[f"{surface} {name}"] += 1
        wrong = "no JSON" if value is None else self.published[SURFACES[surface][0]].wrong(name, value)
        if wrong:
            self.failed[f"{surface} {name}: {wrong}"] += 1
            self.first.setdefault(f"{surface} {name}: {wrong}", test)

    def add(self, record):
        surface = surface_of(record)
        if surface is None:
            return
        _, whole, event = SURFACES[surface]
        test = record.get("test")
        if not record["type"].startswith("text/event-stream"):
            value = read(record["body"])
            if record["status"] != 200 and (value or {}).get("type") == "error":
                # Asked with Anthropic's header, every path answers errors in that dialect.
                surface = "POST /v1/messages"
            self.compare(surface, whole if record["status"] == 200 else "ErrorResponse", value, test)
            return
        for name, data in events(record["body"]):
            if data == "[DONE]" or name == "ping":
                continue
            value = read(data)
            is_error = "error" in (value or ()) and "/responses" not in surface
            newer = NEWER_EVENTS.get((value or {}).get("type"))
            if newer:
                value["type"] = "response.in_progress"
            self.compare(surface, "ErrorResponse" if is_error else newer or event, value, test)

    def close(self, wanted):
        """Says what was found, and ends."""
        for name, count in sorted(self.seen.items()):
            print(f"{count:6} {name}")
        for wrong, count in self.failed.most_common(60):
            test = self.first[wrong]
            print(f"FAILED {count} times: {wrong}" + (f" (first in {test})" if test else ""))
        missing = [name for name in wanted if not self.seen[name]]
        if missing:
            print(f"FAILED: none of {', '.join(missing)} was seen")
        print(f"published schemas: {self.seen.total()} answers and events, {self.failed.total()} do not fit")
        sys.exit(1 if self.failed or missing else 0)


def read(text):
    """An object, or nothing where there is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def lines(path):
    with open(path, encoding="utf-8") as file:
        yield from map(json.loads, file)


def check(records):
    compared = Comparison()
    for record in lines(records):
        compared.add(record)
    names = lambda surface: (*SURFACES[surface][1:], "ErrorResponse")
    compared.close([f"{surface} {name}" for surface in OF_LIBRARIES for name in names(surface)])


def folder(path):
    compared = Comparison()
    for file in sorted(pathlib.Path(path).glob("*.ndjson")):
        for record in lines(file):
            compared.add(record)
    compared.close([f"{surface} {name}" for surface, (_, *names) in SURFACES.items() for name in names if name])


if __name__ == "__main__":
    {"listen": listen, "check": check, "folder": folder}[sys.argv[1]](*sys.argv[2:])

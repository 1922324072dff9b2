"""Statements about HTTP and the protocol itself: python wire.py DEMO_FILE"""

import json

import httpx

from client import check, demo

fixture = demo()
url = fixture["mcp"]["url"]
orgs = fixture["ensue"]["orgs"]
token = orgs["host"]["owner_token"]
outsider = fixture["gitbook"]["users"]["o1"]["token"]
statuses = set()


def seen(response):
    statuses.add(response.status_code)


client = httpx.Client(event_hooks={"response": [seen]}, timeout=60)


def post(body, token=token, **headers):
    """Only what a request cannot do without, and these headers."""
    all_headers = {"content-type": "application/json", "accept": "*/*"}
    if token:
        all_headers["authorization"] = f"Bearer {token}"
    all_headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    content = body if isinstance(body, bytes) or not isinstance(body, (dict, list)) else \
        json.dumps(body).encode()
    return client.post(url, content=content, headers=all_headers)


def message(method, **params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(tool, **arguments):
    """A call without initialize, with `Content-Type` only."""
    answer = post(message("tools/call", name=tool, arguments=arguments))
    check("status", answer.status_code, 200)
    return answer.json()["result"]["structuredContent"]


def keys():
    return [row["key_name"] for row in call("list_keys")["keys"]]


def refused(response, status, code):
    check(f"status of {response.text!r}", response.status_code, status)
    check("content type", response.headers["content-type"], "application/json")
    check("code", response.json()["error"]["code"], code)


# Who is not signed in meets 401, whatever is asked.
create = message("tools/call", name="create_memory",
                 arguments={"items": [{"key_name": "k", "description": "d", "value": "v"}]})
for credentials in [None, "", "Bearer", f"Bearer {token}x", f"Basic {token}", token,
                    f"Bearer{token}", f"Bearer {token[:-1]}", "Bearer \u00e9".encode("latin-1")]:
    headers = {"content-type": "application/json"}
    if credentials is not None:
        headers["authorization"] = credentials
    for body in [create, message("initialize"), "no json"]:
        content = body if isinstance(body, str) else json.dumps(body)
        answer = client.post(url, content=content, headers=headers)
        refused(answer, 401, "unauthorized")
        check("challenge", answer.headers["www-authenticate"], "Bearer")
        assert token not in answer.text
    for method in ["GET", "DELETE", "PUT"]:
        check(method, client.request(method, url, headers=headers).status_code, 401)
check("nothing was written", keys(), [])
# A token that says for no organization whom it is for.
refused(post(create, token=outsider), 403, "permission_denied")
# The scheme has no case.
check("bearer", client.post(url, json=message("tools/list"), headers={
    "authorization": f"bearer {token}"}).status_code, 200)
headers = {"authorization": f"Bearer {token}"}
for method in ["GET", "DELETE", "PUT", "PATCH"]:
    check(method, client.request(method, url, headers=headers).status_code, 405)

# What is asked for is answered, in every version that clients speak.
for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]:
    answer = post(message("initialize", protocolVersion=version, capabilities={},
                          clientInfo={"name": "c", "version": "1"}))
    check("status", (answer.status_code, answer.headers["content-type"]),
          (200, "application/json"))
    assert "mcp-session-id" not in answer.headers
    check("version", answer.json()["result"]["protocolVersion"], version)
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = post(ready, mcp_protocol_version=version, accept="application/json, text/event-stream")
    check("initialized", (answer.status_code, answer.content), (202, b""))
    answer = post(message("tools/list"), mcp_protocol_version=version)
    check("tools", len(answer.json()["result"]["tools"]), 21)
check("another version", post(message("tools/list"), mcp_protocol_version="1999-01-01").status_code,
      400)

# What is no message changes nothing and is never the server's fault.
for broken in [b"", b"{", b'{"jsonrpc": "2.0"', b"\xff\xfe", b"[" * 100000, b'{"a": "\xed\xa0\x80"}',
               json.dumps(create).encode()[:-1], b"null null"]:
    answer = post(broken)
    refused(answer, 400, -32700)
for strange in [[], [create], {}, 5, "text", None, {"jsonrpc": "1.0", "id": 1, "method": "ping"},
                {"jsonrpc": "2.0", "id": {}, "method": "ping"}, {"id": 1, "method": "tools/list"},
                {"jsonrpc": "2.0", "id": 1}]:
    answer = post(json.dumps(strange).encode())
    refused(answer, 400, -32600)
for arguments in [[], "text", 5, [create]]:
    answer = post(message("tools/call", name="create_memory", arguments=arguments))
    check("status", answer.status_code, 200)
    check(f"{arguments!r}", answer.json()["error"]["code"], -32602)
for params in [{}, {"name": 5}, {"arguments": {}}]:
    check(f"{params}", post(message("tools/call", **params)).json()["error"]["code"], -32602)
check("no such method", post(message("tools/conquer")).json()["error"]["code"], -32601)
check("without arguments", post(message("tools/call", name="list_keys")).json()["result"]["isError"],
      False)
check("another type", post(create, content_type="text/plain").status_code, 415)
for origin in ["https://evil.example", "http://127.0.0.1:1", "null"]:
    check(origin, post(create, origin=origin).status_code, 403)
check("a page of its own", post(message("ping"), origin=fixture["http"]["base_url"]).status_code, 200)
check("nothing was written", keys(), [])

# Large bodies: refused whole, however they are sent.
large = {"key_name": "large", "description": "d", "value": "v" * (5 << 20)}
huge = json.dumps(message("tools/call", name="create_memory", arguments={"items": [large]})).encode()
for body in [huge, huge[: (3 << 20) + 1]] * 10:
    check("with a length", post(body).status_code, 413)
    check("in pieces", post(body[n: n + 50000] for n in range(0, len(body), 50000)).status_code, 413)
check("nothing was written", keys(), [])
large["value"] = "v" * (2 << 20)
check("two megabytes", call("create_memory", items=[large])["results"][0]["status"], "success")
check("as it was", call("get_memory", key_names=["large"])["results"][0]["value"], large["value"])
call("delete_memory", key_names=["large"])

# Depth and numbers that no tool has a use for.
deep = b'{"a":' * 5000 + b"1" + b"}" * 5000
body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"share","arguments":%s}}'
for arguments in [deep, b'{"command":%s}' % deep, b'{"command":1e999}']:
    answer = post(body % arguments)
    assert answer.status_code in (200, 400), answer
    assert "error" in answer.json() or answer.json()["result"]["isError"], answer.text
answer = post(body % b'{"command":"%s"}' % deep.replace(b'"', b'\\"'))
check("deep in a text", answer.json()["result"]["structuredContent"]["error"]["code"],
      "invalid_argument")
check("the surrogate of half a letter",
      post(rb'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":"\ud800"}}').status_code, 400)

assert all(status < 500 for status in statuses), statuses
print("the wire holds")

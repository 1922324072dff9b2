"""The demo's people, each with a session of the MCP SDK, and what all scripts check with."""

import asyncio
import json
import sys
from contextlib import AsyncExitStack

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client

CODES = {
    "permission_denied", "not_found", "already_exists", "invalid_argument", "invalid_state",
    "invalid_token",
}


def check(what, got, want):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, want {want!r}")


def demo():
    with open(sys.argv[1]) as file:
        return json.load(file)


class Person:
    """Calls tools with one token, and holds every answer to the contract's form."""

    def __init__(self, name, session):
        self.name, self.session = name, session

    async def call(self, tool, **arguments):
        result = await self.session.call_tool(tool, arguments)
        at = f"{self.name} {tool} {arguments}"
        check(f"{at}: items of content", [item.type for item in result.content], ["text"])
        answer = json.loads(result.content[0].text)
        check(f"{at}: isError", (result.isError, answer if result.isError else {}), (False, {}))
        check(f"{at}: structured content", result.structuredContent, answer)
        assert isinstance(answer, dict), f"{at}: {answer!r}"
        return answer

    async def refused(self, code, tool, **arguments):
        """The message of a refusal with this code."""
        result = await self.session.call_tool(tool, arguments)
        at = f"{self.name} {tool} {arguments}"
        check(f"{at}: items of content", [item.type for item in result.content], ["text"])
        answer = json.loads(result.content[0].text)
        check(f"{at}: isError of {answer}", result.isError, True)
        check(f"{at}: fields", (set(answer), set(answer["error"])), ({"error"}, {"code", "message"}))
        check(f"{at}: code", answer["error"]["code"], code)
        assert code in CODES and answer["error"]["message"], at
        return answer["error"]["message"]

    async def outcome(self, tool, **arguments):
        """Whether it was done: for calls that race."""
        result = await self.session.call_tool(tool, arguments)
        return not result.isError

    async def share(self, command, **fields):
        return await self.call("share", command={"command": command, **fields})

    async def share_refused(self, code, command, **fields):
        return await self.refused(code, "share", command={"command": command, **fields})

    async def grant(self, target, action, key_pattern):
        answer = await self.share("grant", target=target, action=action, key_pattern=key_pattern)
        check("what was granted", {k: v for k, v in answer.items() if k != "grant_id"},
              {"target": target, "action": action, "key_pattern": key_pattern})
        return answer["grant_id"]

    async def put(self, **texts):
        """Memories that must be new, by key."""
        items = [{"key_name": k, "description": f"about {k}", "value": v} for k, v in texts.items()]
        answer = await self.call("create_memory", items=items)
        check("created", answer["results"], [{"key_name": k, "status": "success"} for k in texts])

    async def entries(self, tool, *keys):
        """The entries of an answer, which are in order and named as they were asked for."""
        answer = await self.call(tool, key_names=list(keys))
        check(f"{self.name} {tool}: names", [e["key_name"] for e in answer["results"]], list(keys))
        for entry in answer["results"]:
            if entry["status"] != "success":
                check("fields of a failed entry", set(entry), {"key_name", "status", "error"})
                assert isinstance(entry["error"], str) and entry["error"], entry
        return answer["results"]

    async def read(self, *keys):
        """The values; None where there is none for this person."""
        return [entry.get("value") for entry in await self.entries("get_memory", *keys)]

    async def reads(self, key):
        return (await self.read(key))[0] is not None

    async def keys(self, prefix="", **more):
        arguments = {"prefix": prefix, **more} if prefix else more
        answer = await self.call("list_keys", **arguments)
        check("count", answer["count"], len(answer["keys"]))
        for row in answer["keys"]:
            check("fields of a key", set(row),
                  {"key_name", "description", "size", "created_at", "updated_at"})
        return [row["key_name"] for row in answer["keys"]]

    async def found(self, query, **more):
        answer = await self.call("search_memories", query=query, **more)
        for hit in answer["results"]:
            check("fields of a hit", (set(hit), set(hit["metadata"])),
                  ({"key_name", "score", "value", "metadata"}, {"description"}))
        scores = [hit["score"] for hit in answer["results"]]
        check("best first", scores, sorted(scores, reverse=True))
        return [hit["key_name"] for hit in answer["results"]]

    async def members(self):
        answer = await self.call("list_org_members")
        return {row["member_org_name"]: row["status"] for row in answer["members"]}

    async def hosts(self):
        answer = await self.call("list_my_external_orgs")
        return {row["host_org_name"]: row["status"] for row in answer["orgs"]}

    async def pending(self):
        answer = await self.call("list_pending_invites")
        return [row["member_org_name"] for row in answer["invites"]]


class World:
    """Everybody: `world.host`, `world.alice`, `world.bravo` and so on are the owners and alice."""

    def __init__(self, fixture):
        self.fixture, self.url, self.stack = fixture, fixture["mcp"]["url"], AsyncExitStack()
        orgs = fixture["ensue"]["orgs"]
        self.tokens = {label: org["owner_token"] for label, org in orgs.items()}
        self.tokens["alice"] = orgs["host"]["users"]["alice"]["token"]
        self.names = {label: org["name"] for label, org in orgs.items()}

    async def __aenter__(self):
        for label, token in self.tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            client = streamablehttp_client(self.url, headers=headers)
            read, write, _ = await self.stack.enter_async_context(client)
            session = await self.stack.enter_async_context(ClientSession(read, write))
            started = await session.initialize()
            check("protocol", started.protocolVersion, "2025-11-25")
            setattr(self, label, Person(label, session))
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()

    async def invite(self, **arguments):
        return await self.host.call("create_invite", **arguments)

    async def let_in(self, label):
        """Lets an organization in that is not; the user name of its proxy user."""
        token = (await self.invite())["token"]
        await getattr(self, label).call("claim_invite", token=token)
        name = self.names[label]
        return (await self.host.call("approve_invite", member_org_name=name))["proxy_username"]

    async def put_out(self, *labels):
        for label in labels:
            await self.host.call("remove_member", member_org_name=self.names[label])


def run(*statements):
    """Runs them in their order, in one world, and says how many there were."""

    async def all_of_them():
        async with World(demo()) as world:
            for statement in statements:
                try:
                    await statement(world)
                except BaseException:
                    print("does not hold:", statement.__name__, file=sys.stderr)
                    raise

    asyncio.run(all_of_them())
    print(f"{len(statements)} hold")

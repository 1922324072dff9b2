"""Every statement about the tools, through the MCP SDK: python statements.py DEMO_FILE"""

import asyncio
import base64
import re
import time

from client import check, run

# In no refusal and in no answer to somebody without rights.
SECRET = "zanzibar"


def user(name):
    return {"type": "user", "username": name}


def group(name):
    return {"type": "group", "group_name": name}


ORG = {"type": "org"}


async def a_demo_begins_empty(w):
    for label in ["host", "bravo", "charlie", "delta", "echo"]:
        owner = getattr(w, label)
        check(f"keys of {label}", await owner.keys(), [])
        check("found", await owner.found("anything"), [])
        check("invites", await owner.call("list_invites"), {"invites": []})
        check("pending", await owner.call("list_pending_invites"), {"invites": []})
        check("members", await owner.call("list_org_members"), {"members": []})
        check("hosts", await owner.call("list_my_external_orgs"), {"orgs": []})
        check("grants", await owner.share("list"), {"grants": []})
        held = (await owner.call("list_permissions"))["permissions"]
        actions = ["create", "delete", "public_read", "read", "sharing", "update"]
        check("an owner has every right", sorted((p["action"], p["key_pattern"]) for p in held),
              [(action, "") for action in actions])
    check("alice's permissions", await w.alice.call("list_permissions"), {"permissions": []})
    check("alice's hosts", await w.alice.call("list_my_external_orgs"), {"orgs": []})


async def memories_are_created_read_changed_and_deleted(w):
    before = int(time.time())
    text = "caf\u00e9 \U0001f389\n\ttabs and 'quotes' \\"
    await w.host.put(**{"m/one": text})
    one, = await w.host.entries("get_memory", "m/one")
    created = one.pop("created_at")
    assert type(created) is int and before <= created <= time.time(), created
    check("the memory", one, {
        "key_name": "m/one", "status": "success", "value": text, "description": "about m/one",
        "size": len(text.encode()), "updated_at": created})
    # Without a description it stays, with one it is replaced.
    update = {"key_name": "m/one", "status": "success"}
    check("updated", await w.host.call("update_memory", key_name="m/one", value="two"), update)
    one, = await w.host.entries("get_memory", "m/one")
    check("after", (one["value"], one["description"], one["size"], one["created_at"]),
          ("two", "about m/one", 3, created))
    assert created <= one["updated_at"] <= time.time()
    await w.host.call("update_memory", key_name="m/one", value="3", description="new",
                      embed=True, embed_source="value")
    one, = await w.host.entries("get_memory", "m/one")
    check("after", (one["value"], one["description"]), ("3", "new"))
    await w.host.refused("not_found", "update_memory", key_name="m/none", value="x")
    # Each entry by itself, in order.
    got = await w.host.entries("get_memory", "m/none", "m/one", "m/none", "m/one")
    check("statuses", [entry["status"] for entry in got],
          ["not_found", "success", "not_found", "success"])
    gone = await w.host.entries("delete_memory", "m/none", "m/one", "m/one")
    check("statuses", [entry["status"] for entry in gone], ["not_found", "success", "not_found"])
    check("the value after", await w.host.read("m/one"), [None])


async def a_taken_key_fails_for_that_item(w):
    await w.host.put(taken="first")
    items = [{"key_name": key, "description": "d", "value": f"v{place}", "embed": True,
              "embed_source": "description"} for place, key in enumerate(["taken", "a", "a", "b"])]
    answer = await w.host.call("create_memory", items=items)
    check("names", [e["key_name"] for e in answer["results"]], ["taken", "a", "a", "b"])
    check("statuses", [e["status"] for e in answer["results"]],
          ["already_exists", "success", "already_exists", "success"])
    check("errors", [bool(e.get("error")) for e in answer["results"]], [True, False, True, False])
    check("values", await w.host.read("taken", "a", "b"), ["first", "v1", "v3"])
    item = {"key_name": "race", "description": "d", "value": "v"}
    answers = await asyncio.gather(*[w.host.call("create_memory", items=[item]) for _ in range(8)])
    check("one of eight", sorted(answer["results"][0]["status"] for answer in answers),
          ["already_exists"] * 7 + ["success"])
    await w.host.entries("delete_memory", "taken", "a", "b", "race")


async def a_value_may_come_as_base64(w):
    def item(value):
        return {"key_name": "b64", "description": "d", "value": value, "base64": True}

    for wrong in ["no base64!", base64.b64encode(b"\xff\xfe").decode(), "AAAA"]:
        answer = await w.host.call("create_memory", items=[item(wrong)])
        check(wrong, answer["results"][0]["status"], "invalid_argument")
    check("nothing was written", await w.host.keys(), [])
    right = base64.b64encode("h\u00e9llo".encode()).decode()
    answer = await w.host.call("create_memory", items=[item(right)])
    check("status", answer["results"][0]["status"], "success")
    check("decoded", await w.host.read("b64"), ["h\u00e9llo"])
    await w.host.entries("delete_memory", "b64")


async def keys_are_plain_texts(w):
    keys = ["Case", "case", "a%2fb", "a b", "\u00e9", "e\u0301", "\u00c9", "x/@y", "a\\b"]
    await w.host.put(**{key: f"of {key}" for key in keys})
    check("each is its own", await w.host.read(*keys), [f"of {key}" for key in keys])
    check("byte for byte", await w.host.keys(), sorted(keys, key=lambda key: key.encode()))
    check("no decoding", await w.host.read("a/b", "CASE", "a%2Fb", "case/"), [None] * 4)
    wrong = ["", "/a", "a/", "a//b", "a/../b", "..", "./a", "@", "@x", "@/k", "@widgets-inc/",
             "@Widgets-Inc/a", "@bravo/@charlie/k", "a\u0000b", "a\nb", "k" * 1025]
    for tool in ["get_memory", "delete_memory"]:
        got = await w.host.entries(tool, *wrong, "Case")
        check(tool, [entry["status"] for entry in got],
              ["invalid_argument"] * len(wrong) + ["success"])
    items = [{"key_name": key, "description": "d", "value": "v"} for key in wrong]
    answer = await w.host.call("create_memory", items=items)
    check("created", [(e["key_name"], e["status"]) for e in answer["results"]],
          [(key, "invalid_argument") for key in wrong])
    for key in wrong:
        await w.host.refused("invalid_argument", "update_memory", key_name=key, value="v")
    for text in [{"value": "a\u0000"}, {"description": "a\u0000"}]:
        item = {"key_name": "nul", "description": "d", "value": "v", **text}
        answer = await w.host.call("create_memory", items=[item])
        check("null character", answer["results"][0]["status"], "invalid_argument")
    await w.host.refused("invalid_argument", "update_memory", key_name="case", value="\u0000")
    longest = "k" * 1024
    await w.host.put(**{longest: "v"})
    check("@own/key is key", await w.host.read("@widgets-inc/case"), ["of case"])
    check("a list of one's own by name", await w.host.keys("@widgets-inc/ca"),
          ["@widgets-inc/case"])
    got = await w.host.entries("delete_memory", *keys[1:], longest)
    assert all(entry["status"] == "success" for entry in got)
    check("all is gone", await w.host.keys(), [])


async def a_call_is_about_one_to_a_hundred_keys(w):
    keys = [f"n/{number:03}" for number in range(205)]
    for start in range(0, 205, 100):
        await w.host.put(**{key: key for key in keys[start:start + 100]})
    for tool in ["get_memory", "delete_memory"]:
        for wrong in [[], keys[:101]]:
            await w.host.refused("invalid_argument", tool, key_names=wrong)
    items = [{"key_name": f"over/{n}", "description": "d", "value": "v"} for n in range(101)]
    for wrong in [[], items]:
        await w.host.refused("invalid_argument", "create_memory", items=wrong)
    # Pages of a hundred, without gaps and without a key twice.
    check("the default page", await w.host.keys(), keys[:100])
    pages = [await w.host.keys("n/", limit=100, offset=offset) for offset in (0, 100, 200)]
    check("pages", [len(page) for page in pages], [100, 100, 5])
    check("together", sum(pages, []), keys)
    check("a small page", await w.host.keys(limit=2, offset=3), keys[3:5])
    check("behind the end", await w.host.keys(offset=1000), [])
    check("pages with a wildcard", await w.host.keys("n/%0", limit=3, offset=2),
          ["n/002", "n/003", "n/004"])
    for wrong in [{"limit": 0}, {"limit": 101}, {"limit": -1}, {"offset": -1}, {"limit": "5"},
                  {"limit": 1.5}, {"offset": 2 ** 40}]:
        await w.host.refused("invalid_argument", "list_keys", **wrong)
    for start in range(0, 205, 100):
        await w.host.entries("delete_memory", *keys[start:start + 100])
    check("all is gone", await w.host.keys(), [])


async def a_prefix_is_one_of_like(w):
    keys = ["a%b", "a_b", "ab", "axb", "a\\b", "Axb", "docs/a", "docs/b", "docs-x/a"]
    await w.host.put(**{key: SECRET for key in keys})
    for prefix, want in [
        ("a\\_", ["a_b"]), ("a\\%", ["a%b"]), ("a\\\\", ["a\\b"]), ("A", ["Axb"]),
        ("docs/", ["docs/a", "docs/b"]), ("docs", ["docs-x/a", "docs/a", "docs/b"]),
        ("a_b", ["a%b", "a\\b", "a_b", "axb"]), ("%b", ["Axb", "a%b", "a\\b", "a_b", "ab", "axb",
                                                     "docs/b"]),
        ("_xb", ["Axb", "axb"]), ("nothing", []), ("/", []), ("' or 1=1 --", []),
    ]:
        check(prefix, await w.host.keys(prefix), want)
    # Wildcards show nothing that may not be read.
    grant = await w.host.grant(user("alice"), "read", "docs/")
    for prefix in ["", "%", "_", "_ocs%", "docs%", "%/a", "docs_", "a_b", "%%%%", "\\d"]:
        shown = await w.alice.keys(prefix)
        assert set(shown) <= {"docs/a", "docs/b"}, (prefix, shown)
    check("all of them", await w.alice.keys("%"), ["docs/a", "docs/b"])
    check("read one by one", await w.alice.read(*keys),
          [SECRET if key.startswith("docs/") else None for key in keys])
    check("before a wildcard", await w.alice.keys("docs_"), ["docs/a", "docs/b"])
    check("pages are counted after the filter", await w.alice.keys(limit=1, offset=1), ["docs/b"])
    check("searched", await w.alice.found(SECRET), ["docs/a", "docs/b"])
    check("searched below", await w.alice.found(SECRET, prefix="%b"), ["docs/b"])
    for prefix in ["@%/", "@_ravo/", "@", "@widgets", "@nobody/", "%@"]:
        check(prefix, (await w.alice.keys(prefix), await w.alice.found(SECRET, prefix=prefix)),
              ([], []))
    await w.host.share("revoke", grant_id=grant)
    check("after", (await w.alice.keys("%"), await w.alice.found(SECRET)), ([], []))
    await w.host.entries("delete_memory", *keys)


async def a_search_finds_the_best_first(w):
    await w.host.put(**{"s/both": "The Quick fox", "s/one": "quick", "fox/name": "x",
                        "s/none": "dog"})
    check("words in key, description and value", await w.host.found("quick FOX"),
          ["s/both", "fox/name", "s/one"])
    check("limited", await w.host.found("quick fox", limit=1), ["s/both"])
    check("with a prefix", await w.host.found("quick fox", prefix="s/"), ["s/both", "s/one"])
    hit, = (await w.host.call("search_memories", query="dog"))["results"]
    check("a hit", hit, {"key_name": "s/none", "score": 1.0, "value": "dog",
                         "metadata": {"description": "about s/none"}})
    check("no words", await w.host.found("... --"), [])
    check("of others nothing", await w.bravo.found("quick fox"), [])
    for wrong in [{"query": "x", "limit": 0}, {"query": "x", "limit": 101}, {}, {"query": 1}]:
        await w.host.refused("invalid_argument", "search_memories", **wrong)
    await w.host.entries("delete_memory", "s/both", "s/one", "fox/name", "s/none")


async def an_invite_is_refreshed_disabled_and_enabled(w):
    async def dead(token):
        await w.bravo.refused("invalid_token", "claim_invite", token=token)
        check("no trace", (await w.host.pending(), await w.host.members(), await w.bravo.hosts()),
              ([], {}, {}))

    first = await w.invite()
    check("fields", set(first), {"invite_id", "token", "url", "auto_approve", "status"})
    check("defaults", (first["auto_approve"], first["status"]), (False, "active"))
    assert re.fullmatch("[A-Za-z0-9_-]{22,}", first["token"]), first
    assert first["url"].endswith("/join?token=" + first["token"]), first
    auto = await w.invite(auto_approve=True)
    check("auto-approve", (auto["auto_approve"], auto["invite_id"] != first["invite_id"]),
          (True, True))
    check("listed", (await w.host.call("list_invites"))["invites"], [first, auto])

    which = {"invite_id": first["invite_id"]}
    second = await w.host.call("refresh_invite", **which)
    check("same settings", {**second, "token": 0, "url": 0}, {**first, "token": 0, "url": 0})
    assert second["token"] != first["token"] and second["url"].endswith(second["token"])
    await dead(first["token"])

    disabled = await w.host.call("disable_invite", **which)
    check("disabled", (disabled["invite_id"], disabled["status"]), (first["invite_id"], "disabled"))
    await dead(second["token"])
    await w.host.refused("invalid_state", "refresh_invite", **which)
    listed = (await w.host.call("list_invites"))["invites"]
    check("listed", [invite["status"] for invite in listed], ["disabled", "active"])

    third = await w.host.call("enable_invite", **which)
    check("enabled", (third["status"], third["auto_approve"]), ("active", False))
    check("three tokens", len({first["token"], second["token"], third["token"]}), 3)
    await dead(first["token"])
    await dead(second["token"])
    for wrong in ["", "x", "glj_" + "a" * 38, third["token"][:-1], third["token"] + "x",
                  "@" * 5000, "\u0000"]:
        await dead(wrong)
    # Nobody but the owner of the host.
    for tool in ["refresh_invite", "disable_invite", "enable_invite"]:
        await w.alice.refused("permission_denied", tool, **which)
        await w.bravo.refused("not_found", tool, **which)
        for wrong in ["", "nothing", "00000000-0000-7000-8000-000000000000"]:
            await w.host.refused("not_found", tool, invite_id=wrong)
    await w.alice.refused("permission_denied", "create_invite")
    await w.alice.refused("permission_denied", "list_invites")
    check("nothing changed", (await w.host.call("list_invites"))["invites"], [third, auto])
    check("a whole URL will do", await w.bravo.call("claim_invite", token=third["url"]),
          {"host_org_name": "widgets-inc", "status": "pending"})
    await w.bravo.call("leave_org", host_org_name="widgets-inc")
    for invite in [third, auto]:
        await w.host.call("disable_invite", invite_id=invite["invite_id"])


async def a_membership_goes_its_way_and_no_other(w):
    link = await w.invite()
    bravo = {"member_org_name": "bravo"}

    async def is_now(status):
        """The same on both sides."""
        check("for the host", (await w.host.members()).get("bravo"), status)
        check("for the member", (await w.bravo.hosts()).get("widgets-inc"), status)
        check("waiting", await w.host.pending(), ["bravo"] if status == "pending" else [])

    async def nothing_but(*allowed):
        """All other steps are refused and change nothing."""
        before = await w.host.call("list_org_members")
        for tool in ["approve_invite", "reject_invite", "remove_member"]:
            if tool not in allowed:
                await w.host.refused("invalid_state", tool, **bravo)
            # Who has no say: a user of the host, the member itself, a third one.
            await w.alice.refused("permission_denied", tool, **bravo)
            await w.bravo.refused("not_found", tool, **bravo)
            await w.charlie.refused("not_found", tool, **bravo)
        if "leave_org" not in allowed:
            await w.bravo.refused("invalid_state", "leave_org", host_org_name="widgets-inc")
        await w.charlie.refused("not_found", "leave_org", host_org_name="widgets-inc")
        check("nothing changed", await w.host.call("list_org_members"), before)

    async def claim(token=link["token"]):
        return (await w.bravo.call("claim_invite", token=token))["status"]

    async def step(tool, status, **more):
        check(tool, await w.host.call(tool, **bravo), {**bravo, "status": status, **more})
        await is_now(status)

    async def leave():
        check("leave", await w.bravo.call("leave_org", host_org_name="widgets-inc"),
              {"host_org_name": "widgets-inc", "status": "cancelled"})
        await is_now("cancelled")

    before = int(time.time())
    check("a claim waits", await claim(), "pending")
    await is_now("pending")
    waiting, = (await w.host.call("list_pending_invites"))["invites"]
    assert before <= waiting.pop("requested_at") <= time.time()
    check("the request", waiting, {**bravo, "status": "pending"})
    check("once more", await claim(), "pending")
    await is_now("pending")
    await nothing_but("approve_invite", "reject_invite", "leave_org")
    await step("reject_invite", "rejected")
    await nothing_but()
    check("a rejected one may ask again", await claim(), "pending")
    await leave()
    await nothing_but()
    check("one who withdrew may ask again", await claim(), "pending")
    await step("approve_invite", "approved", proxy_username="bravo")
    check("claiming again", await claim(), "approved")
    await is_now("approved")
    await nothing_but("remove_member", "leave_org")
    members = (await w.host.call("list_org_members"))["members"]
    check("one proxy user", members, [{**bravo, "status": "approved", "proxy_username": "bravo"}])
    await leave()
    await nothing_but()
    auto = await w.invite(auto_approve=True)
    check("approved by the link", await claim(auto["token"]), "approved")
    await is_now("approved")
    await step("remove_member", "removed")
    await nothing_but()
    # It goes one way, and for others there is nothing.
    check("the host has joined nothing", await w.host.hosts(), {})
    check("bravo has no members", await w.bravo.members(), {})
    await w.host.refused("invalid_state", "claim_invite", token=link["token"])
    await w.alice.refused("permission_denied", "claim_invite", token=link["token"])
    check("nobody joined itself", list(await w.host.members()), ["bravo"])
    for name in ["nobody", "", "Bravo", "@bravo", "\u0000", "x" * 300, "charlie", "widgets-inc"]:
        for tool in ["approve_invite", "reject_invite", "remove_member"]:
            await w.host.refused("not_found", tool, member_org_name=name)
        await w.bravo.refused("not_found", "leave_org", host_org_name=name and "n" + name)


async def any_user_sees_the_hosts_and_owners_act(w):
    theirs = await w.bravo.call("create_invite")
    await w.alice.refused("permission_denied", "claim_invite", token=theirs["token"])
    check("no trace", (await w.bravo.pending(), await w.host.hosts()), ([], {}))
    await w.host.call("claim_invite", token=theirs["token"])
    for status in ["pending", "approved"]:
        check("for alice, too", await w.alice.hosts(), {"bravo": status})
        await w.alice.refused("permission_denied", "leave_org", host_org_name="bravo")
        if status == "pending":
            await w.bravo.call("approve_invite", member_org_name="widgets-inc")
    await w.alice.refused("permission_denied", "list_pending_invites")
    await w.alice.refused("permission_denied", "list_org_members")
    check("left", (await w.host.call("leave_org", host_org_name="bravo"))["status"], "cancelled")


async def a_user_and_a_proxy_user_are_never_taken_for_each_other(w):
    await w.host.put(**{"n/x": SECRET})
    # The user was there before the organization came: it keeps the name.
    await w.host.share("create_user", username="echo")
    check("the proxy user", await w.let_in("echo"), "@echo")
    await w.host.grant(user("echo"), "read", "n/")
    check("was for the user", await w.echo.reads("@widgets-inc/n/x"), False)
    grant = await w.host.grant(user("@echo"), "read", "n/")
    check("was for the proxy user", await w.echo.reads("@widgets-inc/n/x"), True)
    targets = [row["target"]["username"] for row in (await w.host.share("list"))["grants"]]
    check("listed", targets, ["echo", "@echo"])
    await w.host.share("revoke", grant_id=grant)
    await w.host.share("delete_user", username="echo")
    # The organization was there first: its name is taken.
    await w.host.share_refused("already_exists", "create_user", username="echo")
    await w.host.share_refused("not_found", "delete_user", username="echo")
    check("it is still in", (await w.host.members())["echo"], "approved")
    await w.put_out("echo")
    await w.host.share_refused("already_exists", "create_user", username="echo")
    await w.host.entries("delete_memory", "n/x")


async def eight_claims_at_once_are_one_request(w):
    token = (await w.invite())["token"]
    done = await asyncio.gather(*[w.charlie.outcome("claim_invite", token=token)
                                  for _ in range(8)])
    assert any(done), done
    check("one request", await w.host.pending(), ["charlie"])
    check("one membership", await w.charlie.hosts(), {"widgets-inc": "pending"})
    auto = (await w.invite(auto_approve=True))["token"]
    done = await asyncio.gather(*[w.delta.outcome("claim_invite", token=auto) for _ in range(8)])
    assert any(done), done
    rows = (await w.host.call("list_org_members"))["members"]
    check("one proxy user", [row for row in rows if row["member_org_name"] == "delta"],
          [{"member_org_name": "delta", "status": "approved", "proxy_username": "delta"}])
    await w.host.call("reject_invite", member_org_name="charlie")
    await w.put_out("delta")


async def approve_and_reject_at_once_have_one_winner(w):
    token = (await w.invite())["token"]
    await w.host.put(**{"race/x": SECRET})
    await w.host.share("create_group", group_name="racers")
    await w.host.grant(group("racers"), "read", "race/")
    await w.host.share("set_external_group", group_name="racers")
    for turn in range(6):
        await w.echo.call("claim_invite", token=token)
        tools = ["approve_invite", "reject_invite"]
        done = await asyncio.gather(*[w.host.outcome(tool, member_org_name="echo")
                                      for tool in (tools if turn % 2 else tools[::-1])])
        check("winners", sorted(done), [False, True])
        status = (await w.host.members())["echo"]
        won = (tools if turn % 2 else tools[::-1])[done.index(True)]
        check("the winner's status", status,
              {"approve_invite": "approved", "reject_invite": "rejected"}[won])
        check("and what follows", await w.echo.reads("@widgets-inc/race/x"), status == "approved")
        if status == "approved":
            await w.echo.call("leave_org", host_org_name="widgets-inc")
    await w.host.share("delete_group", group_name="racers")
    await w.host.entries("delete_memory", "race/x")


async def a_proxy_user_does_what_it_was_granted(w):
    await w.host.put(**{"shared/plan": f"the {SECRET} plan", "shared/old": "an old plan",
                        "private/pay": f"{SECRET} pay", "sharedish/x": SECRET})
    plan, pay = "@widgets-inc/shared/plan", "@widgets-inc/private/pay"
    check("before", await w.bravo.read(plan), [None])
    token = (await w.invite())["token"]
    await w.bravo.call("claim_invite", token=token)
    await w.host.grant(ORG, "read", "shared/")
    check("while it waits", (await w.bravo.read(plan), await w.bravo.keys("@widgets-inc/"),
                             await w.bravo.found(SECRET)), ([None], [], []))
    proxy = (await w.host.call("approve_invite", member_org_name="bravo"))["proxy_username"]
    # An organization-wide grant is for everyone in it, and a proxy user is.
    check("by the organization's grant", await w.bravo.read(plan), [f"the {SECRET} plan"])
    everyone, = [row["grant_id"] for row in (await w.host.share("list"))["grants"]]
    await w.host.share("revoke", grant_id=everyone)
    check("from the next call on", await w.bravo.read(plan), [None])
    read = await w.host.grant(user(proxy), "read", "shared/")

    got = await w.bravo.entries("get_memory", plan, "own", pay, "@widgets-inc/shared/none")
    check("in order", [e["status"] == "success" for e in got], [True, False, False, False])
    check("the value", got[0]["value"], f"the {SECRET} plan")
    assert SECRET not in str(got[1:]), got
    check("listed by prefix", await w.bravo.keys("@widgets-inc/shared/"),
          ["@widgets-inc/shared/old", plan])
    check("listed all", await w.bravo.keys("@widgets-inc/"), ["@widgets-inc/shared/old", plan])
    check("with a wildcard", await w.bravo.keys("@widgets-inc/%"),
          ["@widgets-inc/shared/old", plan])
    check("with the CLI's escapes", await w.bravo.keys("@widgets-inc/shared/p"), [plan])
    check("in pages", await w.bravo.keys("@widgets-inc/", limit=1, offset=1), [plan])
    await w.bravo.put(**{"own": f"bravo's own {SECRET}"})
    check("a bare list is of one's own", await w.bravo.keys(), ["own"])
    check("a search is of both", sorted(await w.bravo.found(SECRET)), [plan, "own"])
    check("or of one", await w.bravo.found(SECRET, prefix="@widgets-inc/"), [plan])
    check("or of the other", await w.bravo.found(SECRET, prefix="o"), ["own"])
    # Reading implies nothing else, and each action opens what it says.
    new = {"key_name": "@widgets-inc/shared/new", "description": "d", "value": "v"}

    async def writes():
        made = (await w.bravo.call("create_memory", items=[new]))["results"][0]
        check("name", made["key_name"], new["key_name"])
        changed = await w.bravo.outcome("update_memory", key_name=plan, value="changed")
        gone = (await w.bravo.entries("delete_memory", "@widgets-inc/shared/old"))[0]
        return [made["status"] == "success", changed, gone["status"] == "success"]

    check("with read", await writes(), [False, False, False])
    check("nothing changed", await w.host.read("shared/plan", "shared/old", "shared/new"),
          [f"the {SECRET} plan", "an old plan", None])
    grants = []
    for place, action in enumerate(["create", "update", "delete"]):
        grants.append(await w.host.grant(user(proxy), action, "shared/"))
        check(action, (await writes())[place], True)
    check("in the host's own", await w.host.read("shared/plan", "shared/old", "shared/new"),
          ["changed", None, "v"])
    for grant in [read, *grants]:
        await w.host.share("revoke", grant_id=grant)
    check("nothing left", await w.bravo.keys("@widgets-inc/"), [])

    # It goes one way, and to nobody else.
    await w.host.grant(user(proxy), "read", "")
    check("everything", len(await w.bravo.keys("@widgets-inc/")), 4)
    for person, key in [(w.host, "@bravo/own"), (w.alice, "@bravo/own"), (w.charlie, plan),
                        (w.charlie, "@bravo/own"), (w.alice, "shared/plan"),
                        (w.bravo, "@nobody/shared/plan")]:
        got = await person.entries("get_memory", key)
        check(f"{person.name} {key}", got[0]["status"], "permission_denied")
        assert SECRET not in str(got) and "changed" not in str(got)
        message = await person.refused("permission_denied", "update_memory", key_name=key,
                                       value="mine")
        assert SECRET not in message
        prefix = key.rpartition("/")[0] + "/"
        check("listed", (await person.keys(prefix), await person.found(SECRET, prefix=prefix)),
              ([], []))
    # Nobody learns whether there is such a key, organization or membership.
    answers = {entry["error"] for entry in await w.charlie.entries(
        "get_memory", plan, "@widgets-inc/none", "@nobody/x", "@bravo/own", "@echo/x")}
    check("one answer", len(answers), 1)
    await w.put_out("bravo")
    check("removed", (await w.bravo.read(plan), await w.bravo.keys("@widgets-inc/"),
                      await w.bravo.found(SECRET)), ([None], [], ["own"]))
    await w.bravo.entries("delete_memory", "own")
    await w.host.entries("delete_memory", *await w.host.keys())


async def access_ends_with_the_membership(w):
    await w.host.put(**{"p/x": SECRET})
    await w.host.share("create_group", group_name="partners")
    await w.host.grant(group("partners"), "read", "p/")
    await w.host.share("set_external_group", group_name="partners")
    for label, end in [
        ("charlie", lambda: w.host.call("remove_member", member_org_name="charlie")),
        ("delta", lambda: w.delta.call("leave_org", host_org_name="widgets-inc")),
    ]:
        person, key = getattr(w, label), "@widgets-inc/p/x"
        proxy = await w.let_in(label)
        check("in the external group", await person.read(key), [SECRET])
        check("in the list of permissions",
              (await person.call("list_permissions"))["permissions"][1],
              {"action": "read", "key_pattern": "@widgets-inc/p/"})
        await w.host.share("create_group", group_name=f"of-{label}")
        await w.host.share("add_member", group_name=f"of-{label}", username=proxy)
        await w.host.grant(user(proxy), "update", "p/")
        await end()

        async def nothing():
            check("no value", await person.read(key), [None])
            check("no keys", await person.keys("@widgets-inc/"), [])
            check("not found", await person.found(SECRET), [])
            message = await person.refused("permission_denied", "update_memory", key_name=key,
                                           value="v")
            assert SECRET not in message
            permissions = (await person.call("list_permissions"))["permissions"]
            assert not any(p["key_pattern"].startswith("@") for p in permissions), permissions

        await nothing()
        # Whatever the user name is given now opens nothing.
        await w.host.share_refused("not_found", "grant", target=user(proxy), action="read",
                                   key_pattern="")
        await w.host.share_refused("not_found", "add_member", group_name="partners",
                                   username=proxy)
        await w.host.grant(group(f"of-{label}"), "read", "")
        given = [await w.host.grant(target, "read", "") for target in (group("partners"), ORG)]
        await nothing()
        for grant in given:
            await w.host.share("revoke", grant_id=grant)
        # Who comes back has what is given now, and nothing from before.
        check("the same proxy user", await w.let_in(label), proxy)
        check("the external group's", await person.read(key), [SECRET])
        check("not the grant", await person.outcome("update_memory", key_name=key, value="v"), False)
        users = await w.host.share("list", target_type="user")
        check("nor is it listed", users, {"grants": []})
        await w.put_out(label)
        await nothing()
        await w.host.share("delete_group", group_name=f"of-{label}")
    targets = [row["target"] for row in (await w.host.share("list"))["grants"]]
    check("grants of nobody are not listed", targets, [group("partners")])
    await w.host.share("delete_group", group_name="partners")
    check("its grants went with it", await w.host.share("list"), {"grants": []})
    await w.host.entries("delete_memory", "p/x")


async def a_command_is_an_object_or_a_text_that_holds_one(w):
    for command in ['{"command": "create_group", "group_name": "texts"}',
                    {"command": "delete_group", "group_name": "texts"}]:
        check("done", await w.host.call("share", command=command), {"group_name": "texts"})
    await w.host.share_refused("not_found", "delete_group", group_name="texts")


async def rights_add_up(w):
    await w.host.put(**{key: key for key in [
        "project/docs", "project/config/settings", "project-x/docs", "a/project/docs", "projects"]})
    keys = ["project/docs", "project/config/settings", "project-x/docs", "a/project/docs",
            "projects"]
    grant = await w.host.grant(user("alice"), "read", "project/")
    check("a prefix", await w.alice.read(*keys), keys[:2] + [None] * 3)
    check("and no other action", await w.alice.outcome(
        "update_memory", key_name="project/docs", value="x"), False)
    check("listed", await w.host.share("list"), {"grants": [{
        "grant_id": grant, "target": user("alice"), "action": "read", "key_pattern": "project/"}]})
    check("alice's", await w.alice.call("list_permissions"),
          {"permissions": [{"action": "read", "key_pattern": "project/"}]})
    await w.host.share("revoke", grant_id=grant)
    check("revoked", await w.alice.read(*keys), [None] * 5)
    await w.host.share_refused("not_found", "revoke", grant_id=grant)
    every = await w.host.grant(user("alice"), "read", "")
    check("every key", await w.alice.read(*keys), keys)
    await w.host.share("revoke", grant_id=every)
    exact = await w.host.grant(user("alice"), "read", "projects")
    check("one key", await w.alice.keys(), ["projects"])
    await w.host.share("revoke", grant_id=exact)
    named = await w.host.share("grant", target=user("alice"), action="read",
                               key_pattern="@widgets-inc/a/")
    check("by the own name", (named["key_pattern"], await w.alice.keys()),
          ("a/", ["a/project/docs"]))
    await w.host.share("revoke", grant_id=named["grant_id"])

    # Organization, group and user: the union.
    await w.host.share("create_group", group_name="team")
    check("added", await w.host.share("add_member", group_name="team", username="alice"),
          {"group_name": "team", "username": "alice"})
    await w.host.grant(group("team"), "read", "project-x/")
    await w.host.grant(ORG, "read", "a/")
    await w.host.grant(user("alice"), "read", "project/config/")
    check("the union", await w.alice.read(*keys), [None, *keys[1:4], None])
    check("listed", await w.alice.keys(), sorted(keys[1:4]))
    grants = (await w.host.share("list"))["grants"]
    check("grants", [(row["target"], row["action"], row["key_pattern"]) for row in grants],
          [(group("team"), "read", "project-x/"), (ORG, "read", "a/"),
           (user("alice"), "read", "project/config/")])
    for kind, want in [("group", grants[:1]), ("org", grants[1:2]), ("user", grants[2:])]:
        check(kind, (await w.host.share("list", target_type=kind))["grants"], want)
    check("by action", (await w.host.share("list", action="create"))["grants"], [])
    check("by both", (await w.host.share("list", action="read", target_type="org"))["grants"],
          grants[1:2])
    # Each change counts from the next call on.
    check("taken out", await w.host.share("remove_member", group_name="team", username="alice"),
          {"group_name": "team", "username": "alice"})
    check("the group's is gone", await w.alice.reads("project-x/docs"), False)
    await w.host.share("add_member", group_name="team", username="alice")
    check("and back", await w.alice.reads("project-x/docs"), True)
    check("deleted", await w.host.share("delete_group", group_name="team"), {"group_name": "team"})
    check("the group's is gone", await w.alice.reads("project-x/docs"), False)
    await w.host.share("create_group", group_name="team")
    check("a new one has nobody", await w.alice.reads("project-x/docs"), False)
    await w.host.share("add_member", group_name="team", username="alice")
    check("and nothing", await w.alice.reads("project-x/docs"), False)
    check("the rest stays", await w.alice.reads("a/project/docs"), True)
    for row in grants[1:]:
        await w.host.share("revoke", grant_id=row["grant_id"])
    await w.host.share("delete_group", group_name="team")

    # No action implies another one.
    tries = {
        "read": lambda: w.alice.reads("project/docs"),
        "update": lambda: w.alice.outcome("update_memory", key_name="project/docs", value="u"),
        "create": lambda: created(w.alice, "project/made"),
        "delete": lambda: deleted(w.alice, "project/gone"),
    }
    for action in [*tries, "public_read"]:
        await w.host.entries("delete_memory", "project/made", "project/gone")
        await w.host.put(**{"project/gone": "g"})
        grant = await w.host.grant(user("alice"), action, "project/")
        may = {name: await attempt() for name, attempt in tries.items()}
        check(action, may, {name: name == action for name in tries})
        await w.host.share("revoke", grant_id=grant)
    public = await w.host.share("make_public", key_pattern="project-x/")
    check("public", (public["action"], public["key_pattern"]), ("public_read", "project-x/"))
    check("is for whoever is signed in, too", await w.alice.reads("project-x/docs"), True)
    await w.host.share("revoke", grant_id=public["grant_id"])
    check("no more", await w.alice.reads("project-x/docs"), False)
    await w.host.entries("delete_memory", *await w.host.keys())
    check("no grant is left", await w.host.share("list"), {"grants": []})


async def created(person, key):
    item = {"key_name": key, "description": "d", "value": "v"}
    answer = await person.call("create_memory", items=[item])
    return answer["results"][0]["status"] == "success"


async def deleted(person, key):
    return (await person.entries("delete_memory", key))[0]["status"] == "success"


async def a_refused_command_changes_nothing(w):
    await w.host.share("create_group", group_name="g")
    grant = await w.host.grant(user("alice"), "read", "r/")
    other = await w.bravo.grant(ORG, "read", "r/")
    before = await w.host.share("list")
    for code, command in [
        ("already_exists", {"command": "create_user", "username": "alice"}),
        ("already_exists", {"command": "create_group", "group_name": "g"}),
        ("not_found", {"command": "delete_user", "username": "nobody"}),
        ("not_found", {"command": "delete_user", "username": "\u0000"}),
        ("not_found", {"command": "delete_group", "group_name": "none"}),
        ("not_found", {"command": "delete_group", "group_name": ""}),
        ("not_found", {"command": "delete_group", "group_name": "G"}),
        ("not_found", {"command": "add_member", "group_name": "none", "username": "alice"}),
        ("not_found", {"command": "add_member", "group_name": "g", "username": "nobody"}),
        ("not_found", {"command": "add_member", "group_name": "g", "username": "Alice"}),
        ("not_found", {"command": "remove_member", "group_name": "none", "username": "alice"}),
        ("not_found", {"command": "set_external_group", "group_name": "none"}),
        ("not_found", {"command": "revoke", "grant_id": "nothing"}),
        ("not_found", {"command": "revoke", "grant_id": "00000000-0000-7000-8000-000000000000"}),
        ("not_found", {"command": "revoke", "grant_id": other}),
        ("invalid_argument", {"command": "create_user", "username": ""}),
        ("invalid_argument", {"command": "create_user", "username": "@bravo"}),
        ("invalid_argument", {"command": "create_user", "username": "a\u0000"}),
        ("invalid_argument", {"command": "create_user"}),
        ("invalid_argument", {"command": "create_user", "username": 7}),
        ("invalid_argument", {"command": "create_user", "username": "zoe", "role": "admin"}),
        ("invalid_argument", {"command": "create_group", "group_name": ""}),
        ("invalid_argument", {"command": "create_group", "group_name": None}),
        ("invalid_argument", {"command": "revoke"}),
        ("invalid_argument", {"command": "conquer"}),
        ("invalid_argument", {"command": None}),
        ("invalid_argument", {"username": "zoe"}),
        ("invalid_argument", {}), ("invalid_argument", []), ("invalid_argument", 5),
        ("invalid_argument", None), ("invalid_argument", "no json"), ("invalid_argument", '"text"'),
        ("invalid_argument", "{"), ("invalid_argument", ""),
        ("invalid_argument", {"command": "list", "target_type": "planet"}),
        ("invalid_argument", {"command": "list", "action": "sharing"}),
        ("invalid_argument", {"command": "make_public"}),
        ("invalid_argument", {"command": "make_public", "key_pattern": "/"}),
    ]:
        await w.host.refused(code, "share", command=command)

    right = {"command": "grant", "target": user("alice"), "action": "read", "key_pattern": "x/"}
    for code, change in [
        ("invalid_argument", {"action": "sharing"}), ("invalid_argument", {"action": "share"}),
        ("invalid_argument", {"action": "READ"}), ("invalid_argument", {"action": ["read"]}),
        ("invalid_argument", {"action": "admin"}), ("invalid_argument", {"target": "alice"}),
        ("invalid_argument", {"target": {"type": "planet"}}),
        ("invalid_argument", {"target": {"type": "user"}}),
        ("invalid_argument", {"target": {"type": "group", "username": "alice"}}),
        ("invalid_argument", {"target": {"username": "alice"}}),
        ("invalid_argument", {"key_pattern": None}), ("invalid_argument", {"key_pattern": "a//b"}),
        ("invalid_argument", {"key_pattern": "@bravo/a/"}),
        ("invalid_argument", {"key_pattern": "../"}), ("invalid_argument", {"key_pattern": "/"}),
        ("not_found", {"target": user("nobody")}), ("not_found", {"target": group("none")}),
        ("not_found", {"target": user("bravo-nobody")}),
    ]:
        await w.host.refused(code, "share", command={**right, **change})
    for missing in ["target", "action", "key_pattern"]:
        rest = {name: field for name, field in right.items() if name != missing}
        await w.host.refused("invalid_argument", "share", command=rest)
    check("nothing changed", await w.host.share("list"), before)

    # Without sharing, nothing at all, whether it is there or not.
    for command in [
        {"command": "create_user", "username": "zoe"}, {"command": "create_user", "username": "alice"},
        {"command": "delete_user", "username": "alice"}, {"command": "delete_user", "username": "x"},
        {"command": "create_group", "group_name": "mine"}, {"command": "create_group", "group_name": "g"},
        {"command": "delete_group", "group_name": "g"}, {"command": "delete_group", "group_name": "x"},
        {"command": "add_member", "group_name": "g", "username": "alice"},
        {"command": "add_member", "group_name": "x", "username": "y"},
        {"command": "remove_member", "group_name": "g", "username": "alice"},
        right, {**right, "target": ORG}, {**right, "target": group("g")},
        {**right, "target": user("nobody")}, {**right, "target": group("none")},
        {"command": "revoke", "grant_id": grant}, {"command": "list"},
        {"command": "set_external_group", "group_name": "g"},
        {"command": "make_public", "key_pattern": "r/"},
    ]:
        await w.alice.refused("permission_denied", "share", command=command)
    check("nothing changed", await w.host.share("list"), before)
    check("no user was made", await w.host.share("create_user", username="zoe"),
          {"username": "zoe"})
    await w.host.share("delete_user", username="zoe")
    await w.host.share("revoke", grant_id=grant)
    await w.bravo.share("revoke", grant_id=other)
    await w.host.share("delete_group", group_name="g")


async def user_names_are_one_organizations_own(w):
    await w.host.share("create_user", username="Zo\u00eb Q.")
    await w.host.share_refused("already_exists", "create_user", username="Zo\u00eb Q.")
    # The same name somewhere else is somebody else.
    await w.bravo.share("create_user", username="Zo\u00eb Q.")
    await w.bravo.share("delete_user", username="Zo\u00eb Q.")
    grant = await w.host.grant(user("Zo\u00eb Q."), "read", "z/")
    await w.host.share("delete_user", username="Zo\u00eb Q.")
    check("the grant is gone", await w.host.share("list"), {"grants": []})
    # Who has the name next has nothing of who had it before.
    await w.host.share("create_user", username="Zo\u00eb Q.")
    check("nothing comes back", await w.host.share("list"), {"grants": []})
    await w.host.share("delete_user", username="Zo\u00eb Q.")
    check("revoked for good", await w.host.outcome(
        "share", command={"command": "revoke", "grant_id": grant}) in (True, False), True)
    done = await asyncio.gather(*[w.host.outcome(
        "share", command={"command": "create_user", "username": "once"}) for _ in range(8)])
    check("one of eight", sorted(done), [False] * 7 + [True])
    await w.host.share("delete_user", username="once")


async def parameters_of_another_shape_are_refused(w):
    """Each tool: a field too many, one too few, and of a wrong type."""
    right = {
        "create_memory": {"items": [{"key_name": "k", "description": "d", "value": "v"}]},
        "get_memory": {"key_names": ["k"]},
        "update_memory": {"key_name": "k", "value": "v"},
        "delete_memory": {"key_names": ["k"]},
        "list_keys": {}, "search_memories": {"query": "q"}, "create_invite": {},
        "list_invites": {}, "refresh_invite": {"invite_id": "i"},
        "disable_invite": {"invite_id": "i"}, "enable_invite": {"invite_id": "i"},
        "claim_invite": {"token": "t"}, "list_pending_invites": {},
        "approve_invite": {"member_org_name": "m"}, "reject_invite": {"member_org_name": "m"},
        "list_org_members": {}, "remove_member": {"member_org_name": "m"},
        "list_my_external_orgs": {}, "leave_org": {"host_org_name": "h"},
        "share": {"command": {"command": "list"}}, "list_permissions": {},
    }
    tools = {tool.name: tool.inputSchema for tool in (await w.host.session.list_tools()).tools}
    check("all tools", sorted(tools), sorted(right))
    invites = await w.host.call("list_invites")
    optional = ["description", "embed_source"]
    for name, arguments in right.items():
        check(f"{name}: required", sorted(tools[name].get("required", [])), sorted(arguments))
        await w.host.refused("invalid_argument", name, **arguments, surplus=1)
        for field in arguments:
            rest = {key: value for key, value in arguments.items() if key != field}
            await w.host.refused("invalid_argument", name, **rest)
        for field, schema in tools[name]["properties"].items():
            assert schema["type"] in ("string", "integer", "boolean", "array", "object"), schema
            for wrong in [7.5, {"a": 1}, [{}]] + ([] if field in optional else [None]):
                await w.host.refused("invalid_argument", name, **{**arguments, field: wrong})
    item = right["create_memory"]["items"][0]
    for wrong in [{**item, "surplus": 1}, {**item, "value": 5}, {**item, "embed": "true"}, "text",
                  {**item, "key_name": None}, *({k: v for k, v in item.items() if k != field}
                                               for field in item)]:
        # All or nothing: the first item is as it should be.
        await w.host.refused("invalid_argument", "create_memory", items=[item, wrong])
    for wrong in [[1], ["k", None], "k", {"k": 1}]:
        await w.host.refused("invalid_argument", "get_memory", key_names=wrong)
    await w.host.refused("not_found", "conquer")
    check("nothing was written", await w.host.keys(), [])
    check("nor made", await w.host.call("list_invites"), invites)


async def a_deleted_user_can_do_nothing(w):
    await w.host.put(**{"last/x": SECRET})
    await w.host.grant(ORG, "read", "last/")
    await w.host.grant(user("alice"), "update", "last/")
    check("before", await w.alice.read("last/x"), [SECRET])
    await w.host.share("delete_user", username="alice")
    check("no value", await w.alice.read("last/x"), [None])
    check("no keys", (await w.alice.keys(), await w.alice.found(SECRET)), ([], []))
    await w.alice.refused("permission_denied", "update_memory", key_name="last/x", value="v")
    check("no permissions", await w.alice.call("list_permissions"), {"permissions": []})
    await w.alice.refused("permission_denied", "list_my_external_orgs")
    await w.host.share("create_user", username="alice")
    check("another alice is somebody else", await w.alice.read("last/x"), [None])


run(
    a_demo_begins_empty,
    memories_are_created_read_changed_and_deleted,
    a_taken_key_fails_for_that_item,
    a_value_may_come_as_base64,
    keys_are_plain_texts,
    a_call_is_about_one_to_a_hundred_keys,
    a_prefix_is_one_of_like,
    a_search_finds_the_best_first,
    an_invite_is_refreshed_disabled_and_enabled,
    a_membership_goes_its_way_and_no_other,
    any_user_sees_the_hosts_and_owners_act,
    a_user_and_a_proxy_user_are_never_taken_for_each_other,
    eight_claims_at_once_are_one_request,
    approve_and_reject_at_once_have_one_winner,
    a_proxy_user_does_what_it_was_granted,
    access_ends_with_the_membership,
    a_command_is_an_object_or_a_text_that_holds_one,
    rights_add_up,
    a_refused_command_changes_nothing,
    user_names_are_one_organizations_own,
    parameters_of_another_shape_are_refused,
    a_deleted_user_can_do_nothing,
)

// What no form of this service sends: it is refused, it changes nothing, and it is never a 500.
"use strict";

const { check, same } = require("./hands");

async function raw(base, fixture) {
  const fetched = (address, options = {}) => fetch(base + address, { redirect: "manual", ...options });
  const form = (address, body, headers = {}) => fetched(address, {
    method: "POST", body,
    headers: { "content-type": "application/x-www-form-urlencoded", ...headers },
  });
  const key = fixture.ensue.orgs.host.owner_token;
  let answer = await form("/sign-in", `key=${encodeURIComponent(key)}&next=/users`);
  same("an access key signs in", answer.status, 303);
  same("and goes on to where one was going", answer.headers.get("location"), "/users");
  const set = answer.headers.get("set-cookie");
  check("the session is for this service only", /HttpOnly/.test(set) && /SameSite=Lax/.test(set), set);
  const cookie = set.split(";")[0];
  const own = { cookie };

  for (const next of ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "/a b"]) {
    answer = await form("/sign-in", `key=${key}&next=${encodeURIComponent(next)}`);
    same(`no way to ${next}`, answer.headers.get("location"), "/");
  }
  answer = await form("/sign-in", "key=svc_wrong");
  same("a wrong key", answer.status, 422);
  same("somebody unknown", (await form("/sign-in", "user=usr_nobody")).status, 422);

  // Cross-site requests: a form elsewhere, and one whose origin is hidden.
  for (const from of [
    { "sec-fetch-site": "cross-site", origin: "https://evil.example" },
    { "sec-fetch-site": "same-site", origin: "http://evil.example" },
    { origin: "https://evil.example" },
    { origin: "null" },
  ]) {
    answer = await form("/groups", "name=Evil", { ...own, ...from });
    same(`a form from ${JSON.stringify(from)}`, answer.status, 403);
    check("it is told", (await answer.text()).includes("sent from another site"));
  }
  const groups = await (await fetched("/groups", { headers: own })).text();
  check("and nothing was made", !groups.includes("Evil"));
  same("a form of this service", (await form("/groups", "name=Good", { ...own, "sec-fetch-site": "same-origin" })).status, 303);

  // Without a session, or with one that has ended: the way back is kept.
  answer = await fetched("/links/x?after=1");
  same("not signed in", answer.status, 303);
  same("and back", answer.headers.get("location"), "/sign-in?next=/links/x%3Fafter%3D1");
  answer = await form("/groups", "name=x", { cookie: "session=svc_gone", referer: `${base}/groups` });
  same("a form of an ended session", answer.headers.get("location"), "/sign-in?next=/groups");

  // Where a change is made, a GET makes none.
  for (const address of ["/users/pause", "/users/resume", "/users/key", "/incoming/batch", "/outgoing/cancel",
    "/people/invite", "/groups/external", "/switch", "/sign-out", "/join/decline"]) {
    same(`GET ${address}`, (await fetched(address, { headers: own })).status, 405);
  }

  const id = "00000000-0000-7000-8000-000000000000";
  const gets = ["/", "/users", "/users/new", `/links/${id}`, `/links/${id}/edit`, `/links/${id}/delete`, "/links/nonsense",
    "/incoming", "/incoming/org/x", "/incoming/user/x", "/incoming/cat/x", "/incoming/org/%ff", "/incoming/org/..%2f..",
    "/incoming/org/x/remove", "/outgoing", "/outgoing/leave", "/outgoing/leave?host=x&as=org", "/outgoing/leave?host=%00",
    "/people", "/people?q=%00", "/people?people=zzz", `/people/invites/${id}/revoke`, "/groups", `/groups/${id}`, "/groups/%F0%9F",
    "/permissions", "/permissions?who=org:x&action=read&key=a", "/permissions?who=x&action=fly&key=..", "/permissions?key=%ff&who=anonymous&action=read",
    `/permissions/${id}/revoke`, "/insights", "/audit", "/audit?from=yesterday", "/audit?before=x", "/audit?before=9223372036854775807",
    "/audit?before=-9223372036854775808", "/audit?from=0000-00-00", "/audit?member=org:", "/audit?kind=nonsense",
    "/memories", "/memories/read", "/memories/read?key=..", "/memories/read?key=@a/@b/c", "/memories/read?key=@nobody/x",
    "/join", "/join?token=%00", "/sign-in?next=%00"];
  const posts = ["/users/new", "/users/pause", "/users/resume", "/users/key/revoke", `/links/${id}/edit`, `/links/${id}/reveal`,
    `/links/${id}/refresh`, `/links/${id}/disable`, `/links/${id}/enable`, `/links/${id}/delete`, "/incoming/batch",
    "/incoming/org/x/approve", "/incoming/org/x/reject", "/incoming/user/x/remove", "/incoming/org/x/block",
    "/incoming/org/x/unblock", "/incoming/org/x/lift", "/outgoing/leave", "/outgoing/cancel", "/people/invite",
    `/people/invites/${id}/resend`, `/people/invites/${id}/revoke`, "/people/x/role", "/groups", "/groups/external",
    `/groups/${id}/add`, `/groups/${id}/remove`, `/groups/${id}/nest`, `/groups/${id}/unnest`, `/groups/${id}/rename`,
    `/groups/${id}/delete`, "/permissions", `/permissions/${id}/revoke`, "/memories", "/join", "/join/decline", "/switch"];
  const bodies = ["", "unknown=1", "a", "=&&=", "name=%ff%fe&label=%ff", "member=&member=x&member=org:&do=approve",
    "label=" + "x".repeat(5000) + "&max_uses=-1", "expires=99999999999999999999", "expires=4294967295&pattern0=a&actions0=read",
    "pattern0=../x&actions0=read", "pattern0=a&actions0=fly", "group=x&role=emperor", "once=%00&label=ok", "to=everyone&actions=read&pattern=%00",
    "to=org:x&all=on&actions=read", "addresses=" + "a@b.example,".repeat(11000), "addresses=not%20one&role=emperor",
    "role=admin&name=" + encodeURIComponent("a\u0000b"), "key=x&value=" + "v".repeat(70000), "host=x&as=org", "token=glj_x&as=me",
    "from=0&until=1&reason=" + "r".repeat(600)];
  const statuses = {};
  const note = (what, answered) => {
    statuses[answered.status] = (statuses[answered.status] ?? 0) + 1;
    check(`${what} answers ${answered.status}`, answered.status < 500);
  };
  await Promise.all(gets.map(async (address) => note(`GET ${address}`, await fetched(address, { headers: own }))));
  for (const address of posts) {
    await Promise.all(bodies.map(async (body) => note(`POST ${address} ${body.slice(0, 30)}`, await form(address, body, own))));
  }
  for (const [type, body] of [["application/json", "{}"], ["multipart/form-data; boundary=x", "--x--"], ["text/plain", "name=x"]]) {
    same(`a form as ${type}`, (await form("/groups", body, { ...own, "content-type": type })).status, 415);
  }
  same("too much for a form", (await form("/groups", "name=" + "x".repeat(3 << 20), own)).status, 413);
  const bytes = await fetched("/groups", { method: "POST", headers: { ...own, "content-type": "application/x-www-form-urlencoded" }, body: Buffer.from([0x6e, 0x3d, 0xff, 0xfe, 0x00]) });
  check("bytes that are no text", bytes.status < 500);

  // The same form twice makes one link.
  const twice = "once=form-twice&label=Once&pattern0=shared/&actions0=read";
  const [first, second] = [await form("/users/new", twice, own), await form("/users/new", twice, own)];
  same("the first one is answered with the link", first.status, 200);
  same("the second one leads to it", second.status, 303);
  const listed = await (await fetched("/users", { headers: own })).text();
  same("there is one", listed.split(">Once<").length - 1, 1);
  check("what people write is text", !(await (await form("/groups", "name=%3Cscript%3Ealert(1)%3C/script%3E", own)).text()).includes("<script>alert"));
  check("also in a list", !(await (await fetched("/groups", { headers: own })).text()).includes("<script>alert"));

  // An access key signs in until it is revoked, and nobody else revokes it.
  const made = /id="secret" value="(svc_[^"]+)"/.exec(await (await form("/users/key", "", own)).text())[1];
  answer = await form("/sign-in", `key=${fixture.ensue.orgs.bravo.owner_token}`);
  const other = { cookie: answer.headers.get("set-cookie").split(";")[0] };
  const [newest] = /name="key" value="\w+"/.exec(await (await fetched("/users", { headers: own })).text());
  const revoked = `key=${newest.split('"')[3]}`;
  same("somebody else's key", (await form("/users/key/revoke", revoked, other)).status, 404);
  same("it signs in", (await form("/sign-in", `key=${made}`)).status, 303);
  same("it is revoked", (await form("/users/key/revoke", revoked, own)).status, 303);
  same("and signs nobody in", (await form("/sign-in", `key=${made}`)).status, 422);

  const page = await fetched("/users", { headers: own });
  check("nothing is loaded from elsewhere", page.headers.get("content-security-policy").includes("default-src 'none'"));
  same("no page is kept", page.headers.get("cache-control"), "no-store");
  same("no page is framed", page.headers.get("x-frame-options"), "DENY");
  await form("/sign-out", "", own);
  same("after signing out the session is gone", (await fetched("/users", { headers: own })).status, 303);
  return statuses;
}

module.exports = { raw };

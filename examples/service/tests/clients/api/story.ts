// A link, a claim, an approval, decisions, a removal: with a client whose types were generated from
// the service's own description.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const [url, owner, guest] = process.argv.slice(2);
assert(url && owner && guest);
const signedIn = (token: string) =>
  createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${token}` } });
const [host, member] = [signedIn(owner), signedIn(guest)];

/** The answer, or the problem that it is instead. */
function done<T>(answer: { data?: T; error?: components["schemas"]["Problem"] }): T {
  assert.equal(answer.error, undefined);
  assert(answer.data !== undefined);
  return answer.data;
}

const me = done(await member.GET("/api/v1/me"));
const founded = done(
  await host.POST("/api/v1/organizations", {
    body: { name: `story-${Date.now()}`, display_name: "Story Inc." },
    params: { header: { "Idempotency-Key": "story" } },
  }),
);
const organization = founded.id;
const at = { path: { organization } };

const issued = done(
  await host.POST("/api/v1/organizations/{organization}/links", {
    params: at,
    body: {
      label: "Story",
      approval: "review",
      preset: { role: "read", grants: [{ actions: ["read"], pattern: { prefix: "guides/" } }] },
      expiry: { "after-seconds": 3600 },
      max_uses: { "at-most": 3 },
    },
  }),
);
assert(issued.token);

const preview = done(
  await createClient<paths>({ baseUrl: url }).POST("/api/v1/token-previews", {
    body: { token: issued.token },
  }),
);
assert.equal(preview.display_name, "Story Inc.");
assert.equal(preview.needs_review, true);

const claimed = done(await member.POST("/api/v1/claims", { body: { token: issued.token } }));
assert.equal(claimed.membership.status, "pending");

const who = { path: { organization, kind: "users" as const, member: me.id } };
const decide = async () => {
  const checks: components["schemas"]["Check"][] = [
    { action: "read", address: "guides/start" },
    { action: "update", address: "guides/start" },
  ];
  const answer = await member.POST("/api/v1/organizations/{organization}/decisions", {
    params: at,
    body: { checks },
  });
  return done(answer).decisions.map((decision) => decision.allowed);
};
assert.deepEqual(await decide(), [false, false]);

const approved = done(
  await host.POST("/api/v1/organizations/{organization}/members/{kind}/{member}/approve", {
    params: who,
  }),
);
assert.equal(approved.membership.status, "approved");
assert.deepEqual(await decide(), [true, false]);

const members = done(
  await host.GET("/api/v1/organizations/{organization}/members", {
    params: { ...at, query: { status: "approved", limit: 10 } },
  }),
);
assert.equal(members.items.length, 2);
assert.equal(members.next, null);

done(
  await host.POST("/api/v1/organizations/{organization}/members/{kind}/{member}/remove", {
    params: who,
    body: { reason: "the story ends" },
  }),
);
assert.deepEqual(await decide(), [false, false]);

const refused = await member.POST("/api/v1/claims", { body: { token: issued.token } });
assert.equal(refused.response.status, 404);
assert.equal(refused.error?.code, "invalid-token");
console.log("done");

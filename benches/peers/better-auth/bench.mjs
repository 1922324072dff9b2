// Accepting invitations with Better Auth's organization plugin on PostgreSQL.
//
//   node bench.mjs postgres://user@host/empty-database [--rounds 5] [--millis 1000] [--serve]
//
// Set up as its documentation says: `betterAuth` with a `pg` pool, and the plugin. Only users,
// sessions and invitations that wait are written by SQL, copies of one that the library has made.
// Every accept is a call of `auth.api.acceptInvitation` with the session's signed cookie, and makes
// its answer without HTTP. With `--serve`, a round is made for each line on the input, so that
// rounds can take turns with others'; each prints `round RATE P50_US P99_US`.

import { createHmac, randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { organization } from "better-auth/plugins";
import pg from "pg";

const AT_ONCE = 32;
const LIMIT = 2;
const [url, ...options] = process.argv.slice(2);
if (url === undefined) {
  console.error("usage: node bench.mjs postgres://user@host/empty-database [--rounds 5] [--millis 1000] [--serve]");
  process.exit(2);
}
const option = (name, otherwise) => {
  const at = options.indexOf(name);
  return at < 0 ? otherwise : Number(options[at + 1]);
};
const rounds = option("--rounds", 5);
const millis = option("--millis", 1000);

const secret = "a secret of the benchmark, long enough";
const database = new pg.Pool({ connectionString: url, max: AT_ONCE, idleTimeoutMillis: 0 });
const auth = betterAuth({
  baseURL: "http://localhost:3000",
  secret,
  database,
  emailAndPassword: { enabled: true },
  logger: { disabled: true },
  telemetry: { enabled: false },
  plugins: [
    organization({
      membershipLimit: (_user, organization) => (organization.slug.startsWith("limit-") ? LIMIT : 1e9),
      invitationLimit: 1e9,
      organizationLimit: 1e9,
      requireEmailVerificationOnInvitation: true,
    }),
  ],
});
await (await getMigrations(auth.options)).runMigrations();

const cookieName = (await auth.$context).authCookies.sessionToken.name;
const headersOf = (token) => {
  const signature = createHmac("sha256", secret).update(token).digest("base64");
  return new Headers({ cookie: `${cookieName}=${encodeURIComponent(`${token}.${signature}`)}` });
};

const signUp = async (email) => {
  const { token } = await auth.api.signUpEmail({ body: { email, name: email, password: "a password of the benchmark" } });
  return { email, headers: headersOf(token) };
};
const owner = await signUp("owner@example.com");
const template = await signUp("template@example.com");
const made = (slug) => auth.api.createOrganization({ body: { name: slug, slug }, headers: owner.headers });

const columns = async (table, replaced) => {
  const found = await database.query(
    "select column_name from information_schema.columns where table_schema = current_schema() and table_name = $1 order by ordinal_position",
    [table],
  );
  const names = found.rows.map((row) => row.column_name);
  const list = names.map((name) => `"${name}"`).join(", ");
  const values = names.map((name) => replaced[name] ?? `t."${name}"`).join(", ");
  return { list, values };
};

// That many users with a session and an invitation that waits.
let groups = 0;
const invited = async (organizationId, many) => {
  const group = `g${groups++}`;
  await auth.api.createInvitation({
    body: { organizationId, email: template.email, role: "member", resend: false },
    headers: owner.headers,
  });
  const copy = async (table, where, replaced) => {
    const { list, values } = await columns(table, replaced);
    await database.query(
      `insert into "${table}" (${list}) select ${values} from "${table}" t cross join generate_series(1, ${many}) n where ${where}`,
    );
  };
  await copy("user", `t.email = '${template.email}'`, {
    id: `'${group}-user-' || n`,
    email: `'${group}-' || n || '@example.com'`,
    emailVerified: "true",
  });
  await copy("session", `t."userId" = (select id from "user" where email = '${template.email}')`, {
    id: `'${group}-session-' || n`,
    token: `'${group}-token-' || n`,
    userId: `'${group}-user-' || n`,
  });
  await copy("invitation", `t.email = '${template.email}' and t."organizationId" = '${organizationId}'`, {
    id: `'${group}-invitation-' || n`,
    email: `'${group}-' || n || '@example.com'`,
  });
  await database.query(`delete from invitation where email = $1`, [template.email]);
  await database.query("analyze");
  return Array.from({ length: many }, (_, n) => ({
    invitationId: `${group}-invitation-${n + 1}`,
    headers: headersOf(`${group}-token-${n + 1}`),
  }));
};
const accept = ({ invitationId, headers }) => auth.api.acceptInvitation({ body: { invitationId }, headers });
const members = async (organizationId) => {
  const found = await database.query(`select count(*)::int as n from member where "organizationId" = $1`, [organizationId]);
  return found.rows[0].n;
};
const quantile = (sorted, part) => sorted[Math.round((sorted.length - 1) * part)];

const big = await made("big");
let waiting = [];
const round = async () => {
  if (waiting.length < 8 * millis) waiting = waiting.concat(await invited(big.id, 8 * millis + 1000));
  const before = await members(big.id);
  // All connections are there before the time runs.
  await Promise.all(Array.from({ length: AT_ONCE }, () => database.query("select pg_sleep(0.05)")));
  const times = [];
  const start = performance.now();
  const worker = async () => {
    while (performance.now() - start < millis && waiting.length > 0) {
      const next = waiting.pop();
      const begun = performance.now();
      await accept(next);
      times.push((performance.now() - begun) * 1000);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const seconds = (performance.now() - start) / 1000;
  if ((await members(big.id)) - before !== times.length) throw new Error("not as many members as were accepted");
  times.sort((a, b) => a - b);
  return [times.length / seconds, quantile(times, 0.5), quantile(times, 0.99)].map((value) => value.toFixed(1));
};

// The founder is one of two members; four accept at once, so one place is left for them.
const wrong = async (tries) => {
  let exceeded = 0;
  let most = 0;
  for (let n = 0; n < tries; n++) {
    const { id } = await made(`limit-${n}-${randomUUID()}`);
    await Promise.allSettled((await invited(id, 4)).map(accept));
    const found = await members(id);
    most = Math.max(most, found);
    if (found > LIMIT) exceeded++;
  }
  return { exceeded, most };
};

const version = (await import("better-auth/package.json", { with: { type: "json" } }).catch(() => null))?.default?.version;
console.log(`versions node ${process.version}${version ? `, better-auth ${version}` : ""}, pg pool of ${AT_ONCE}`);
await round(); // doesn't count
if (options.includes("--serve")) {
  console.log("ready");
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === "round") console.log(`round ${(await round()).join(" ")}`);
    else if (line === "wrong") {
      const { exceeded, most } = await wrong(20);
      console.log(`wrong ${exceeded} 20 ${most}`);
    } else break;
  }
} else {
  for (let n = 0; n < rounds; n++) {
    const [rate, p50, p99] = await round();
    console.log(`accepted ${rate} per second, ${AT_ONCE} at once, p50 ${p50} us, p99 ${p99} us`);
  }
  const { exceeded, most } = await wrong(20);
  console.log(`limit ${LIMIT}, four at once: exceeded in ${exceeded} of 20 tries, at most ${most} members`);
}
await database.end();
process.exit(0); // also while the input is open

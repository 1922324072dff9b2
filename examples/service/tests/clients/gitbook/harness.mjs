// What all scripts have: the vendor's client for everybody of the fixture, raw requests, and a
// watch on every answer, which is held against the published OpenAPI document.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';

import { GitBookAPI, GitBookAPIError } from '@gitbook/api';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const demo = JSON.parse(readFileSync(process.env.DEMO_FILE, 'utf8'));
export const base = demo.http.base_url;
export const { org_a: a, org_b: b, users } = demo.gitbook;
export const features = demo.features;

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const spec = JSON.parse(read('./node_modules/@gitbook/api/spec/openapi.json'));
const version = JSON.parse(read('./node_modules/@gitbook/api/package.json')).version;
assert.equal(version, '0.202.0');

const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addFormat('emoji', true);
ajv.addSchema(spec, 'spec');

const operations = [];
for (const [path, item] of Object.entries(spec.paths)) {
    const pattern = new RegExp(`^/v1${path.replace(/\{\w+\}/g, '[^/]+')}$`);
    for (const method of ['get', 'post', 'put', 'patch', 'delete']) {
        if (item[method]) operations.push({ path, method, pattern, answers: item[method].responses });
    }
}

const escaped = (text) => encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));

/** How many bodies were held against a schema, and how many refusals against the error's. */
export const seen = { bodies: 0, empty: 0, refusals: 0 };

function hold(method, url, status, type, text) {
    const { pathname } = new URL(url);
    const what = `${method} ${pathname}: ${status} ${text.slice(0, 300)}`;
    if (status >= 400) {
        assert.ok(type?.startsWith('application/json'), `${what}: ${type}`);
        const body = JSON.parse(text);
        assert.equal(body.error.code, status, what);
        assert.ok(typeof body.error.message === 'string' && body.error.message.length > 0, what);
        assert.deepEqual(Object.keys(body), ['error'], what);
        assert.ok(status < 500, what);
        seen.refusals += 1;
        return;
    }
    const operation = operations.find(
        (one) => one.method === method.toLowerCase() && one.pattern.test(pathname),
    );
    assert.ok(operation, `${what}: no such operation`);
    const documented = operation.answers[status];
    assert.ok(documented, `${what}: ${status} is not documented`);
    if (!documented.content) {
        assert.equal(text, '', what);
        seen.empty += 1;
        return;
    }
    assert.ok(type?.startsWith('application/json'), `${what}: ${type}`);
    const pointer = ['paths', operation.path, operation.method, 'responses', String(status),
        'content', 'application/json', 'schema'];
    const validate = ajv.getSchema(`spec#/${pointer.map(escaped).join('/')}`);
    assert.ok(validate, what);
    assert.ok(validate(JSON.parse(text)), `${what}: ${ajv.errorsText(validate.errors)}`);
    seen.bodies += 1;
}

const real = globalThis.fetch;
/** The status of the answer before, which the client does not tell of a success. */
export const last = { status: 0 };
globalThis.fetch = async (input, init) => {
    const answer = await real(input, init);
    const text = await answer.clone().text();
    last.status = answer.status;
    const method = init?.method ?? input.method ?? 'GET';
    try {
        hold(method, input.url ?? String(input), answer.status, answer.headers.get('content-type'), text);
    } catch (error) {
        broken.push(error);
        throw error;
    }
    return answer;
};

// A client may swallow what its fetch throws.
const broken = [];
after(() => {
    assert.deepEqual(broken, []);
    console.log(`held: ${seen.bodies} bodies, ${seen.empty} empty answers, ${seen.refusals} refusals`);
});

export const client = (token) => new GitBookAPI({ endpoint: base, authToken: token });
export const as = Object.fromEntries(
    Object.entries(users).map(([name, user]) => [name, client(user.token).orgs]),
);

/** The data of a call, and its status. */
export async function ok(call, status = 200) {
    const answer = await call;
    assert.equal(last.status, status);
    return answer.data;
}

/** A call that is refused with one of these. */
export async function refused(call, ...codes) {
    const error = await call.then(
        (answer) => assert.fail(`not refused: ${JSON.stringify(answer.data)}`),
        (error) => error,
    );
    assert.ok(error instanceof GitBookAPIError, String(error?.stack ?? error));
    assert.ok(codes.includes(error.code), `${error.code}: ${error.errorMessage}, not ${codes}`);
    assert.ok(error.errorMessage.length > 0);
    return error;
}

/** A request as it is, with the answer's status and JSON. */
export async function raw(method, path, { token = users.admin.token, body, headers = {} } = {}) {
    const answer = await fetch(`${base}${path}`, {
        method,
        headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers },
        body,
        ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
    });
    const text = await answer.text();
    return { status: answer.status, body: text && JSON.parse(text), headers: answer.headers };
}

/** All items of a list, page by page. */
export async function pages(list, query = {}) {
    const all = [];
    let page;
    for (let turn = 0; turn < 100; turn += 1) {
        const data = await ok(list({ ...query, ...(page ? { page } : {}) }));
        if (query.limit) assert.ok(data.items.length <= query.limit);
        all.push(data.items);
        if (!data.next) return all;
        assert.equal(data.items.length, query.limit, 'only the last page is not full');
        page = data.next.page;
    }
    return assert.fail('no end of pages');
}

export const link = (data, by = 'admin', org = a.id) =>
    ok(as[by].createOrganizationInvite(org, data), 201);
export const join = (who, invite, org = a.id) => as[who].joinOrganizationWithInvite(org, invite);
export const member = (who, by = 'admin', org = a.id) =>
    ok(as[by].getMemberInOrganizationById(org, users[who].id));
export const isMember = async (who, org = a.id, by = 'admin') => {
    const answer = await raw('GET', `/v1/orgs/${org}/members/${users[who].id}`, { token: users[by].token });
    assert.ok([200, 404].includes(answer.status));
    return answer.status === 200;
};
export const roster = async (org = a.id, by = 'admin') => {
    const found = await pages((query) => as[by].listMembersInOrganizationById(org, query), { limit: 100 });
    return found.flat();
};
export const invites = async (org = a.id, by = 'admin') => {
    const found = await pages((query) => as[by].listOrganizationInviteLinks(org, query), { limit: 100 });
    return found.flat();
};
export const roles = ['read', 'comment', 'edit', 'review', 'create', 'admin'];

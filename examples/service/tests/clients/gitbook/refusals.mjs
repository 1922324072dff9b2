// Bad input, as no client would send it: the documented refusal, nothing changed, never a 500.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';

import { a, as, b, base, features, invites, last, link, ok, raw, refused, roster, users } from './harness.mjs';

const at = `/v1/orgs/${a.id}`;
const unseen = (found) => found.map(({ lastSeenAt, ...rest }) => rest);
const state = async () => JSON.stringify([
    await invites(), unseen(await roster()), await invites(b.id, 'admin_b'),
    unseen(await roster(b.id, 'admin_b')), (await ok(as.admin.listTeamsInOrganizationById(a.id, {}))).items,
    await ok(as.admin.getOrganizationById(a.id)),
]);

const one = await link({ role: 'read' });
const content = await link({ level: 'read', space: a.space_id });
const team = await ok(as.admin.createOrganizationTeam(a.id, { title: 'Team' }), 201);
const writes = [
    ['POST', `${at}/invites`], ['POST', `${at}/link-invites`], ['PATCH', `${at}/link-invites/${one.id}`],
    ['PATCH', `${at}/link-invites/${content.id}`], ['PATCH', `${at}/members/${users.reader.id}`],
    ['PUT', `${at}/teams`], ['PATCH', `${at}/teams/${team.id}`], ['PUT', `${at}/teams/${team.id}/members`],
    ['PUT', `${at}/teams/${team.id}/members/${users.reader.id}`], ['PATCH', at],
];
assert.equal(features.length, 2);
const before = await state();

test('what is no JSON object of the right kind is 400', async () => {
    const bodies = [
        '{', '}', '{"role":', '{"role":"read"', 'null', 'true', '7', '"text"', '[]x', '{}{}', '{"role":"read"}}',
        "{'role':'read'}", 'role=read', '<role>read</role>', '\ufeff{}',
        new Uint8Array([0xff, 0xfe, 0x00]), new Uint8Array([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]),
        new Uint8Array([...Buffer.from('{"role":"'), 0xe2, 0x82, ...Buffer.from('"}')]),
        `${'['.repeat(100000)}`, `${'{"role":'.repeat(5000)}`, '{"title":"a line\nbreak"}', '{"role":"\u0000"}',
    ];
    // What is JSON, and wrong where there is a role, an address or a title.
    const wrong = ['{"role":"read","role":"admin"}', '{"role":"\\ud800"}', '{"role":1e999}', '{"role":"\\u0000"}',
        '{"emails":["\\u0000@x.example"],"title":"\\u0000","level":"\\u0000"}', '[]', '[1]',
        '{"emails":["a@b.example"],"emails":["c@d.example"],"title":"A","title":"B","role":{}}'];
    for (const [method, path] of writes) {
        for (const body of wrong) {
            const answer = await raw(method, path, { body });
            const passed = /\/members(\/|$)/.test(path) && answer.status < 300;
            assert.ok(answer.status === 400 || passed, `${method} ${path} ${body}: ${answer.status}`);
        }
    }
    // What was passed over has put the reader in the team.
    await ok(as.admin.deleteMemberFromOrganizationTeamById(a.id, team.id, users.reader.id), 205);
    for (const [method, path] of writes) {
        for (const body of bodies) {
            for (const type of ['application/json', 'text/plain', undefined]) {
                const headers = type ? { 'content-type': type } : {};
                const answer = await raw(method, path, { body, headers });
                assert.equal(answer.status, 400, `${method} ${path} ${String(body).slice(0, 40)}`);
                assert.ok(!answer.body.error.message.includes('role'), 'what was sent is not repeated');
            }
        }
    }
    assert.equal(await state(), before);
});

test('a body is needed where it says something', async () => {
    for (const [method, path] of writes) {
        const answer = await raw(method, path);
        const optional = path.endsWith(`/members/${users.reader.id}`) && method === 'PUT';
        assert.equal(answer.status, optional ? 204 : 400, `${method} ${path}`);
    }
    await ok(as.admin.deleteMemberFromOrganizationTeamById(a.id, team.id, users.reader.id), 205);
    assert.equal(await state(), before);
});

test('a content type is not needed, and unknown fields are passed over', async () => {
    const body = JSON.stringify({ role: 'comment', color: 'red', nested: { role: 'admin' } });
    for (const headers of [{}, { 'content-type': 'text/plain' }, { 'content-type': 'application/json; charset=utf-8' }]) {
        const made = await raw('POST', `${at}/link-invites`, { body: Buffer.from(body), headers });
        assert.equal(made.status, 201);
        assert.equal(made.body.role, 'comment');
        await ok(as.admin.deleteOrganizationInviteById(a.id, made.body.id), 205);
    }
    // Joining has neither body nor type; a body is not looked at.
    for (const options of [{}, { body: '{' }, { body: '', headers: { 'content-type': 'application/json' } }]) {
        const joined = await raw('POST', `${at}/invites/${one.id}`, { ...options, token: users.reader.token });
        assert.deepEqual([joined.status, joined.body], [200, {}]);
    }
    assert.equal(await state(), before);
});

test('huge bodies and long paths are refused', async () => {
    const emails = (bytes) => JSON.stringify({ emails: ['x'.repeat(bytes)] });
    for (const bytes of [2000, 1 << 20, 3 << 20]) {
        const answer = await raw('POST', `${at}/invites`, { body: emails(bytes) });
        assert.ok([400, 413].includes(answer.status), String(answer.status));
    }
    // Larger than what is read at all: said at once, without waiting for all of it.
    const declared = await spoken(`POST ${at}/invites HTTP/1.1`, { 'content-length': String(64 << 20) });
    assert.match(declared.head, /^HTTP\/1\.1 413 /);
    assert.match(declared.head, /content-type: application\/json/i);
    assert.equal(JSON.parse(declared.body).error.code, 413);
    for (const path of [`${at}/link-invites/${'x'.repeat(5000)}`, `/v1/orgs/${'x'.repeat(5000)}/members`,
        `${at}/members/${'x'.repeat(5000)}`]) {
        assert.equal((await raw('GET', path)).status, 404);
    }
    assert.equal(await state(), before);
});

/** A request written out by hand. */
function spoken(line, headers = {}, body = '') {
    const { hostname, port } = new URL(base);
    return new Promise((resolve, reject) => {
        const socket = connect(Number(port), hostname);
        let text = '';
        socket.setEncoding('latin1').on('data', (chunk) => {
            text += chunk;
            const [head, rest] = text.split('\r\n\r\n');
            const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
            if (rest !== undefined && rest.length >= length) {
                socket.destroy();
                resolve({ head, body: rest });
            }
        }).on('error', reject).on('end', () => reject(new Error(`ended: ${text}`)));
        const all = { host: hostname, authorization: `Bearer ${users.admin.token}`, ...headers };
        const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
        socket.write(`${[line, ...lines].join('\r\n')}\r\n\r\n${body}`, 'latin1');
    });
}

test('tokens are taken from the header as it is written, and from nowhere else', async () => {
    const { token } = users.admin;
    for (const authorization of [`bearer ${token}`, `BEARER  ${token}`, `Bearer ${token} `]) {
        const answer = await spoken(`GET ${at}/members HTTP/1.1`, { authorization });
        assert.match(answer.head, /^HTTP\/1\.1 200 /, authorization);
    }
    for (const authorization of [token, `Basic ${token}`, 'Bearer', 'Bearer ', `Bearer${token}`, `Bearer ${token}x`,
        `Bearer ${token.toUpperCase()}`, 'Bearer \xff\xfe', `Token ${token}`, `Bearer ${'x'.repeat(5000)}`]) {
        const answer = await spoken(`GET ${at}/members HTTP/1.1`, { authorization });
        assert.match(answer.head, /^HTTP\/1\.1 401 /, authorization);
        const { error } = JSON.parse(answer.body);
        assert.equal(error.code, 401);
        assert.ok(!error.message.includes(token));
    }
    for (const path of [`${at}/members?token=${token}`, `${at}/members?access_token=${token}`]) {
        assert.equal((await raw('GET', path, { token: null })).status, 401);
    }
});

test('unknown paths and methods have the documented body', async () => {
    for (const path of ['/v1/', '/v1/nothing', '/v1/orgs', `/v1/orgs/${a.id}/`, `${at}/nothing`, `${at}/invites/a/b`,
        `${at}/link-invites/`, `${at}/link-invites/${one.id}/x`, '/v1/orgs//members', `/v1//orgs/${a.id}/members`]) {
        for (const method of ['GET', 'POST', 'DELETE']) {
            const answer = await raw(method, path);
            assert.ok([400, 404, 405].includes(answer.status), `${method} ${path}: ${answer.status}`);
        }
    }
    const wrong = { [`${at}/invites`]: ['GET', 'PUT', 'PATCH', 'DELETE'], [`${at}/invites/${one.id}`]: ['GET', 'PUT', 'DELETE'],
        [`${at}/link-invites`]: ['PUT', 'PATCH', 'DELETE'], [`${at}/link-invites/${one.id}`]: ['PUT', 'POST'],
        [`${at}/members`]: ['POST', 'PUT', 'PATCH', 'DELETE'], [`${at}/members/${users.reader.id}`]: ['PUT', 'POST'],
        [`${at}/teams`]: ['POST', 'DELETE'], [at]: ['PUT', 'POST', 'DELETE'] };
    for (const [path, methods] of Object.entries(wrong)) {
        for (const method of methods) {
            const answer = await raw(method, path, { body: method === 'GET' ? undefined : '{"role":"admin"}' });
            assert.equal(answer.status, 405, `${method} ${path}`);
            assert.ok(answer.headers.get('allow'));
        }
    }
    assert.equal(await state(), before);
});

test('ids that are none, in every place of a path', async () => {
    const ids = ['x', '0', 'null', '*', '%00', '%20', '..%2f..', '%ff%fe', '%c3%28', "' or 1=1 --",
        '%27%20or%20%271%27%3D%271', 'ü', 'proxy_x', `${users.reader.id}%00`, one.id.toUpperCase(), 'glj_', 'gle_x'];
    for (const id of ids) {
        for (const [method, path, ...allowed] of [
            ['GET', `/v1/orgs/${id}/members`, 400, 404], ['GET', `/v1/orgs/${id}/link-invites`, 400, 404],
            ['POST', `/v1/orgs/${id}/invites/${one.id}`, 400, 404], ['POST', `${at}/invites/${id}`, 400, 404],
            ['GET', `${at}/link-invites/${id}`, 400, 404], ['DELETE', `${at}/link-invites/${id}`, 400, 204],
            ['PATCH', `${at}/link-invites/${id}`, 400, 404], ['GET', `${at}/members/${id}`, 400, 404],
            ['PATCH', `${at}/members/${id}`, 400, 404], ['DELETE', `${at}/members/${id}`, 400, 204],
            ['GET', `${at}/members/${id}/teams`, 400, 404], ['GET', `${at}/teams/${id}`, 400, 404],
            ['DELETE', `${at}/teams/${id}`, 400, 204], ['GET', `${at}/teams/${id}/members`, 400, 404],
            ['PUT', `${at}/teams/${team.id}/members/${id}`, 400, 404],
            ['DELETE', `${at}/teams/${team.id}/members/${id}`, 400, 204],
        ]) {
            const body = method === 'PATCH' ? '{"role":"admin"}' : undefined;
            const answer = await raw(method, path, { body });
            assert.ok(allowed.includes(answer.status), `${method} ${path}: ${answer.status}`);
        }
    }
    assert.equal(await state(), before);
});

test('searching and paging with anything are no errors of the server', async () => {
    for (const text of ['%00', '%ff', '%', '%25', '_', '[', '(', '\\', '%22', "'", '😀', 'x'.repeat(4000)]) {
        for (const query of [`search=${text}`, `page=${text}`, `role=${text}`, `sort=${text}`, `limit=${text}`]) {
            const answer = await raw('GET', `${at}/members?${query}`);
            assert.equal(answer.status, query.startsWith('search') ? 200 : 400, query);
        }
    }
});

test('a foreign admin changes nothing with ids of this organization', async () => {
    const foreign = as.admin_b;
    for (const org of [a.id, b.id]) {
        await refused(foreign.updateOrganizationInviteById(org, one.id, { role: 'admin' }), 404);
        await refused(foreign.updateMemberInOrganizationById(org, users.reader.id, { role: 'admin' }), 404);
        await refused(foreign.addMemberToOrganizationTeamById(org, team.id, users.admin_b.id, {}), 404);
        for (const call of [
            () => foreign.deleteOrganizationInviteById(org, one.id),
            () => foreign.removeMemberFromOrganizationById(org, users.reader.id),
            () => foreign.removeTeamFromOrganizationById(org, team.id),
        ]) {
            const done = await call().then(() => last.status, (error) => error.code);
            assert.equal(done, org === a.id ? 404 : 204);
        }
    }
    assert.equal(await state(), before);
});

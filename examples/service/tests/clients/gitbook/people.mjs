// Inviting by address, and members: statements 13 to 22, and the member list.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
    a, as, b, client, isMember, join, link, member, ok, pages, raw, refused, roles, roster, users,
} from './harness.mjs';

const invite = (data, by = 'admin', org = a.id) => ok(as[by].inviteUsersToOrganization(org, data));
const leave = (who) => ok(as[who].removeMemberFromOrganizationById(a.id, users[who].id), 205);
const list = (query) => as.admin.listMembersInOrganizationById(a.id, query);
const ids = async (query) => (await ok(list(query))).items.map((one) => one.id);
const change = (who, data, by = 'admin') =>
    as[by].updateMemberInOrganizationById(a.id, users[who].id, data);
const byEmail = async (email) => (await roster()).find((one) => one.user.email === email);

test('13: existing and new people are members at once, each counted once', async () => {
    const answer = await invite({
        emails: ['O1@Elsewhere.Example', 'new@acme.example', users.o1.email, 'NEW@acme.example',
            { email: 'other@acme.example', role: 'edit' }, { email: 'New@Acme.example', role: 'admin' }],
        role: 'comment',
    });
    assert.equal(answer.invited, 3);
    assert.equal(answer.users.length, 3);
    assert.equal(answer.failedSSOEmails, undefined);
    assert.equal(answer.users[0], users.o1.id);
    const found = await roster();
    assert.equal(found.length, 5);
    const fresh = found.find((one) => one.user.email === 'new@acme.example');
    assert.deepEqual([fresh.id, fresh.role, fresh.sso], [answer.users[1], 'comment', false]);
    assert.equal((await byEmail('other@acme.example')).role, 'edit');
    assert.equal((await member('o1')).role, 'comment');
    assert.equal(new Date(fresh.joinedAt).toISOString().slice(0, 4) >= '2025', true);
});

test('14: a role of their own, the one of the request, or guest', async () => {
    for (const role of [...roles, null]) {
        const email = `as-${role}@acme.example`;
        await invite({ emails: [{ email, role }], role: 'edit' });
        assert.equal((await byEmail(email)).role, role);
        const usual = `usual-${role}@acme.example`;
        await invite({ emails: [usual], role });
        assert.equal((await byEmail(usual)).role, role);
    }
    await invite({ emails: ['plain@acme.example'] });
    assert.equal((await byEmail('plain@acme.example')).role, null);
    const all = await roster();
    for (const one of all.filter((one) => one.role === 'admin' && one.id !== users.admin.id)) {
        await ok(as.admin.removeMemberFromOrganizationById(a.id, one.id), 205);
    }
});

test('15: members are not counted and keep their role', async () => {
    const before = await roster();
    const again = await invite({ emails: [users.reader.email, { email: users.admin.email, role: null }], role: 'admin' });
    assert.deepEqual(again, { users: [], invited: 0 });
    assert.equal((await member('reader')).role, 'read');
    assert.equal((await member('admin')).role, 'admin');
    assert.equal((await roster()).length, before.length);
    assert.deepEqual(await invite({ emails: [] }), { users: [], invited: 0 });
});

test('16: one thing that is wrong, and nobody is added', async () => {
    const before = await roster();
    const good = 'never-added@acme.example';
    const bad = [
        {}, { emails: null }, { emails: good }, { emails: { 0: good } }, { emails: 5 },
        { emails: [good, 'no address'] }, { emails: [good, ''] }, { emails: [good, 'x@'] }, { emails: [good, '@y.example'] },
        { emails: [good, 5] }, { emails: [good, null] }, { emails: [good, [good]] }, { emails: [good, {}] },
        { emails: [good, { email: good }] }, { emails: [good, { role: 'read' }] },
        { emails: [good, { email: 5, role: 'read' }] }, { emails: [good, { email: 'no address', role: 'read' }] },
        { emails: [good, { email: 'a@b.example', role: 'owner' }] }, { emails: [good, { email: 'a@b.example', role: 7 }] },
        { emails: [good, { email: good, role: 'nothing' }] }, { emails: [good, { email: 'a@b.example', role: 'guest' }] },
        { emails: [good], role: 'owner' }, { emails: [good], role: 7 }, { emails: [good], role: 'guest' },
        { emails: [good], sso: 'yes' }, { emails: [good], sso: 1 }, { emails: Array(1001).fill(good) },
    ];
    for (const data of bad) await refused(as.admin.inviteUsersToOrganization(a.id, data), 400);
    for (const [who, code] of [['reader', 403], ['o2', 404], ['admin_b', 404]]) {
        await refused(as[who].inviteUsersToOrganization(a.id, { emails: [good] }), code);
    }
    const unseen = (found) => found.map(({ lastSeenAt, ...rest }) => rest);
    assert.deepEqual(unseen(await roster()), unseen(before));
    // Not even an account was made: the next one gets the name of its address.
    const answer = await invite({ emails: [good] });
    assert.equal(answer.invited, 1);
    assert.equal((await byEmail(good)).user.displayName, 'never-added');
});

test('17: single sign-on, but not for people of another organization', async () => {
    await invite({ emails: [users.o3.email] }, 'admin_b', b.id);
    const answer = await invite({
        emails: [users.o3.email, users.o4.email, 'single@acme.example', users.reader.email, users.admin_b.email],
        sso: true,
    });
    assert.equal(answer.invited, 4);
    assert.deepEqual(answer.failedSSOEmails, [users.o3.email, users.admin_b.email]);
    assert.deepEqual(answer.users.slice(0, 2), [users.o3.id, users.o4.id]);
    assert.equal((await member('o3')).sso, false);
    assert.equal((await member('o4')).sso, true);
    assert.equal((await member('admin_b')).sso, false);
    assert.equal((await byEmail('single@acme.example')).sso, true);
    assert.equal((await member('reader')).sso, false);
    // Of this organization, and of no other.
    await invite({ emails: [users.o4.email], sso: false }, 'admin_b', b.id);
    assert.equal((await member('o4', 'admin_b', b.id)).sso, false);
    assert.equal((await member('o4')).sso, true);
    for (const who of ['o3', 'o4', 'admin_b']) await leave(who);
    const none = await invite({ emails: [users.o3.email], sso: false });
    assert.equal(none.failedSSOEmails, undefined);
    await leave('o3');
});

test('the list of members is filtered, searched, sorted and paged', async () => {
    const one = await link({ role: 'review' });
    for (const who of ['o5', 'o6', 'o7', 'o8']) await ok(join(who, one.id));
    const all = await roster();
    const by = (key) => [...all].sort((x, y) => (key(x) < key(y) ? -1 : 1)).map((row) => row.id);
    const joined = by((row) => row.joinedAt);
    assert.deepEqual(all.map((row) => row.id), joined.toReversed?.() ?? [...joined].reverse());
    assert.deepEqual(await ids({ sort: 'joinedAt', limit: 1000 }), [...joined].reverse());
    assert.deepEqual(await ids({ order: 'asc', limit: 1000 }), joined);
    const names = by((row) => `${row.user.displayName.toLowerCase()} ${row.id}`);
    assert.deepEqual(await ids({ sort: 'name', order: 'asc', limit: 1000 }), names);
    assert.deepEqual(await ids({ sort: 'name', limit: 1000 }), [...names].reverse());
    const seen = await ok(list({ sort: 'lastSeenAt', order: 'asc', limit: 1000 }));
    const times = seen.items.map((row) => row.lastSeenAt ?? '');
    assert.deepEqual(times, [...times].sort());
    assert.equal(seen.items.length, all.length);
    assert.ok(seen.items.at(-1).lastSeenAt);

    for (const role of [...roles, 'guest']) {
        const wanted = all.filter((row) => (row.role ?? 'guest') === role).map((row) => row.id);
        const found = await ok(list({ role, limit: 1000 }));
        assert.deepEqual(found.items.map((row) => row.id), wanted);
        assert.equal(found.count, wanted.length);
    }
    const reviewers = await ids({ role: 'review' });
    for (const who of ['o5', 'o6', 'o7', 'o8']) assert.ok(reviewers.includes(users[who].id));

    for (const search of [users.o5.display_name, users.o5.email, users.o5.email.toUpperCase(),
        users.o5.display_name.slice(2, 6).toUpperCase()]) {
        assert.deepEqual(await ids({ search }), [users.o5.id]);
    }
    assert.deepEqual(await ids({ search: 'nobody is called that' }), []);
    assert.deepEqual(await ids({ search: '%' }), []);
    assert.deepEqual((await ids({ search: '', limit: 1000 })).length, all.length);
    assert.deepEqual(await ids({ search: users.o5.email, role: 'admin' }), []);

    for (const sort of ['joinedAt', 'lastSeenAt', 'name']) {
        for (const order of ['asc', 'desc']) {
            const whole = await ids({ sort, order, limit: 1000 });
            for (const limit of [1, 4, all.length]) {
                const found = await pages(list, { sort, order, limit });
                assert.deepEqual(found.flat().map((row) => row.id), whole);
                assert.equal(found.length, Math.ceil(all.length / limit));
            }
        }
    }
    const first = await ok(list({ limit: 2, sort: 'name' }));
    assert.equal(first.count, all.length);
    // A page belongs to one order, one filter and one organization.
    for (const query of [{}, { sort: 'name', order: 'asc' }, { sort: 'name', role: 'read' }, { sort: 'name', search: 'a' }]) {
        await refused(list({ ...query, page: first.next.page }), 400);
    }
    await refused(as.admin_b.listMembersInOrganizationById(b.id, { sort: 'name', page: first.next.page }), 400);
    for (const query of ['sort=role', 'sort=', 'sort=Name', 'order=up', 'order=', 'role=owner', 'role=', 'role=null',
        'limit=-1', 'limit=1001', 'limit=x', 'limit=', 'page=x', 'page=', 'sort=name&sort=name']) {
        assert.equal((await raw('GET', `/v1/orgs/${a.id}/members?${query}`)).status, 400, query);
    }
    assert.equal((await raw('GET', `/v1/orgs/${a.id}/members?unknown=1`)).status, 200);
    assert.deepEqual((await ok(list({ limit: 0 }))).items, []);
    for (const [who, org] of [['o1', b.id], ['admin_b', a.id], ['admin', 'org_unknown']]) {
        await refused(as[who].listMembersInOrganizationById(org, {}), 403, 404);
    }
    for (const who of ['o5', 'o6', 'o7', 'o8']) await leave(who);
});

test('18, 19: only admins change roles, and it counts at once', async () => {
    await refused(as.reader.createOrganizationInvite(a.id, { role: 'read' }), 403);
    for (const who of ['reader', 'admin']) {
        await refused(change(who, { role: 'read' }, 'reader'), 403);
        for (const by of ['o2', 'admin_b']) await refused(change(who, { role: 'read' }, by), 404);
    }
    await refused(change('reader', { role: 'admin' }, 'reader'), 403);
    assert.equal((await member('reader')).role, 'read');
    for (const data of [{ role: 'owner' }, { role: 'guest' }, { role: 4 }, { role: [] }, { role: {} }, { role: '' }]) {
        await refused(change('reader', data), 400);
    }
    assert.equal((await member('reader')).role, 'read');
    const same = await ok(change('reader', {}));
    assert.deepEqual(same, await member('reader'));
    for (const role of [...roles, null]) {
        const changed = await ok(change('reader', { role }));
        assert.equal(changed.role, role);
        assert.deepEqual(await member('reader'), changed);
        const may = as.reader.createOrganizationInvite(a.id, { role: 'read' });
        if (role === 'admin') {
            await ok(may, 201);
            // A second admin invites to content, too.
            await ok(as.reader.createOrganizationInvite(a.id, { level: 'admin', space: a.space_id }), 201);
        } else {
            await refused(may, 403);
        }
    }
    await ok(change('reader', { role: 'read' }));
    await refused(as.admin.updateMemberInOrganizationById(a.id, 'usr_unknown', { role: 'read' }), 404);
    await refused(change('o8', { role: 'read' }), 404);
    await refused(change('admin_b', { role: 'read' }), 404);
    assert.equal((await member('admin_b', 'admin_b', b.id)).role, 'admin');
});

test('20: whoever is removed is out at once', async () => {
    await invite({ emails: [users.o5.email], role: 'admin' });
    await ok(as.o5.getMemberInOrganizationById(a.id, users.o5.id));
    await ok(as.admin.removeMemberFromOrganizationById(a.id, users.o5.id), 205);
    await refused(as.admin.getMemberInOrganizationById(a.id, users.o5.id), 404);
    await ok(as.admin.removeMemberFromOrganizationById(a.id, users.o5.id), 204);
    await ok(as.admin.removeMemberFromOrganizationById(a.id, 'usr_unknown'), 204);
    assert.ok(!(await roster()).some((one) => one.id === users.o5.id));
    for (const call of [
        () => as.o5.listMembersInOrganizationById(a.id, {}),
        () => as.o5.getMemberInOrganizationById(a.id, users.o5.id),
        () => as.o5.getMemberInOrganizationById(a.id, users.admin.id),
        () => as.o5.listOrganizationInviteLinks(a.id, {}),
        () => as.o5.createOrganizationInvite(a.id, { role: 'read' }),
        () => as.o5.inviteUsersToOrganization(a.id, { emails: ['x@y.example'] }),
        () => as.o5.removeMemberFromOrganizationById(a.id, users.o5.id),
        () => as.o5.removeMemberFromOrganizationById(a.id, users.reader.id),
        () => as.o5.updateMemberInOrganizationById(a.id, users.reader.id, { role: null }),
        () => as.o5.listTeamsInOrganizationById(a.id, {}),
        () => as.o5.getOrganizationById(a.id),
        () => as.o5.updateOrganizationById(a.id, { inviteLinks: false }),
    ]) {
        await refused(call(), 403, 404);
    }
});

test('21: members leave by themselves, and remove nobody else', async () => {
    await invite({ emails: [users.o6.email], role: 'create' });
    for (const by of ['o6', 'o2', 'admin_b']) {
        await refused(as[by].removeMemberFromOrganizationById(a.id, users.reader.id), 403, 404);
        await refused(as[by].removeMemberFromOrganizationById(a.id, users.admin.id), 403, 404);
        await refused(as[by].removeMemberFromOrganizationById(a.id, 'usr_unknown'), 403, 404);
    }
    assert.equal(await isMember('reader'), true);
    assert.equal(await isMember('admin'), true);
    await leave('o6');
    assert.equal(await isMember('o6'), false);
    await refused(as.o6.listMembersInOrganizationById(a.id, {}), 403, 404);
    await refused(as.o6.removeMemberFromOrganizationById(a.id, users.o6.id), 403, 404);
    await ok(as.admin.removeMemberFromOrganizationById(a.id, users.o6.id), 204);
});

test('22: there is always an admin', async () => {
    assert.deepEqual(await ids({ role: 'admin' }), [users.admin.id]);
    for (const role of [null, 'read', 'create']) await refused(change('admin', { role }), 409);
    await refused(as.admin.removeMemberFromOrganizationById(a.id, users.admin.id), 409);
    assert.equal((await ok(change('admin', { role: 'admin' }))).role, 'admin');
    await refused(as.admin_b.updateMemberInOrganizationById(b.id, users.admin_b.id, { role: 'read' }), 409);

    for (let turn = 0; turn < 10; turn += 1) {
        await ok(change('reader', { role: 'admin' }));
        const other = turn % 2 === 0
            ? [change('reader', { role: 'read' }), change('admin', { role: 'read' }, 'reader')]
            : [as.admin.removeMemberFromOrganizationById(a.id, users.reader.id),
                as.reader.removeMemberFromOrganizationById(a.id, users.admin.id)];
        const both = await Promise.allSettled(other);
        const codes = both.map((one) => (one.status === 'fulfilled' ? 'done' : one.reason.code));
        assert.equal(codes.filter((code) => code === 'done').length, 1, String(codes));
        assert.ok(codes.some((code) => [400, 403, 404, 409].includes(code)), String(codes));
        // Whoever is left sets it right.
        const left = both[0].status === 'fulfilled' ? 'admin' : 'reader';
        const rest = await ok(as[left].listMembersInOrganizationById(a.id, { role: 'admin' }));
        assert.deepEqual(rest.items.map((one) => one.id), [users[left].id]);
        const [gone] = ['admin', 'reader'].filter((who) => who !== left);
        await ok(as[left].inviteUsersToOrganization(a.id, { emails: [users[gone].email], role: 'admin' }));
        await ok(as[left].updateMemberInOrganizationById(a.id, users[gone].id, { role: 'admin' }));
        await ok(as.admin.updateMemberInOrganizationById(a.id, users.reader.id, { role: 'read' }));
    }
    const none = await client(users.admin.token).orgs.listMembersInOrganizationById(a.id, { role: 'admin' });
    assert.deepEqual(none.data.items.map((one) => one.id), [users.admin.id]);
});

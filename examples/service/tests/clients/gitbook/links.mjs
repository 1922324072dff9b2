// Invite links and joining: the contract's start state, pages, and statements 1 to 12.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
    a, as, b, client, invites, isMember, join, link, member, ok, pages, raw, refused, roles, roster, users,
} from './harness.mjs';

const remove = async (who) =>
    ok(as.admin.removeMemberFromOrganizationById(a.id, users[who].id), 205);
const leave = async (who) => ok(as[who].removeMemberFromOrganizationById(a.id, users[who].id), 205);

test('it begins with two members, no links, and ids that can stand in a path', async () => {
    const found = await roster();
    assert.deepEqual(
        found.map((one) => [one.id, one.role, one.user.email]).sort(),
        [[users.admin.id, 'admin', users.admin.email], [users.reader.id, 'read', users.reader.email]].sort(),
    );
    assert.deepEqual((await roster(b.id, 'admin_b')).map((one) => one.id), [users.admin_b.id]);
    assert.deepEqual(await invites(), []);
    const ids = [a.id, b.id, a.space_id, a.collection_id, ...Object.values(users).map((user) => user.id)];
    for (const id of ids) assert.match(id, /^[a-zA-Z0-9_-]+$/);
    assert.equal(new Set(ids).size, ids.length);
    assert.equal(Object.keys(users).length, 11);
    for (const user of Object.values(users)) assert.equal(user.email, user.email.toLowerCase());
});

test('without a token that is valid nothing is done, and the token is not repeated', async () => {
    for (const token of [undefined, 'made-up-token', `${users.admin.token}x`]) {
        const { orgs } = client(token);
        const calls = [
            () => orgs.listOrganizationInviteLinks(a.id, {}),
            () => orgs.createOrganizationInvite(a.id, { role: 'read' }),
            () => orgs.joinOrganizationWithInvite(a.id, 'x'),
            () => orgs.getOrganizationInviteLink(a.id, 'x'),
            () => orgs.updateOrganizationInviteById(a.id, 'x', { role: 'read' }),
            () => orgs.deleteOrganizationInviteById(a.id, 'x'),
            () => orgs.inviteUsersToOrganization(a.id, { emails: ['x@y.example'] }),
            () => orgs.listMembersInOrganizationById(a.id, {}),
            () => orgs.getMemberInOrganizationById(a.id, users.reader.id),
            () => orgs.updateMemberInOrganizationById(a.id, users.reader.id, { role: 'admin' }),
            () => orgs.removeMemberFromOrganizationById(a.id, users.reader.id),
            () => orgs.listTeamsInOrganizationById(a.id, {}),
            () => orgs.updateOrganizationById(a.id, { inviteLinks: false }),
        ];
        for (const call of calls) {
            const error = await refused(call(), 401);
            if (token) assert.ok(!error.errorMessage.includes(token));
        }
    }
});

test('1, 4: an id is unguessable; a guest link is asked for with null', async () => {
    const made = [];
    for (const role of [...roles, null]) {
        const one = await link({ role });
        assert.deepEqual([one.object, one.role, one.redundant], ['invite', role, true]);
        assert.deepEqual(Object.keys(one).sort(), ['id', 'object', 'redundant', 'role']);
        assert.match(one.id, /^[a-zA-Z0-9_-]{20,}$/);
        made.push(one);
    }
    assert.equal(new Set(made.map((one) => one.id)).size, 7);
    await refused(as.admin.createOrganizationInvite(a.id, {}), 400);
    for (const one of made) {
        assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, one.id)), one);
    }
    assert.deepEqual(await invites(), made, 'oldest first');
    for (const one of made) {
        await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
        await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 204);
        await refused(as.admin.getOrganizationInviteLink(a.id, one.id), 404);
        await refused(as.admin.updateOrganizationInviteById(a.id, one.id, { role: 'read' }), 404);
    }
    assert.deepEqual(await invites(), []);
});

test('2: only admins of the organization create, list, change and delete links', async () => {
    const kept = await link({ role: 'read' });
    const editor = await link({ role: 'create' });
    await ok(join('o1', editor.id));
    for (const [who, codes] of [['reader', [403]], ['o1', [403]], ['o2', [404]], ['admin_b', [404]]]) {
        await refused(as[who].createOrganizationInvite(a.id, { role: 'read' }), ...codes);
        await refused(as[who].createOrganizationInvite(a.id, { level: 'read', space: a.space_id }), ...codes);
        await refused(as[who].listOrganizationInviteLinks(a.id, {}), ...codes);
        await refused(as[who].getOrganizationInviteLink(a.id, kept.id), ...codes);
        await refused(as[who].updateOrganizationInviteById(a.id, kept.id, { role: 'admin' }), ...codes);
        await refused(as[who].deleteOrganizationInviteById(a.id, kept.id), ...codes);
        await refused(as[who].deleteOrganizationInviteById(a.id, 'made_up'), ...codes);
    }
    // Under their own organization, an id of another one is none.
    await refused(as.admin_b.getOrganizationInviteLink(b.id, kept.id), 404);
    await refused(as.admin_b.updateOrganizationInviteById(b.id, kept.id, { role: 'admin' }), 404);
    await ok(as.admin_b.deleteOrganizationInviteById(b.id, kept.id), 204);
    assert.deepEqual(await invites(), [kept, editor]);
    await refused(as.admin.listOrganizationInviteLinks('org_unknown', {}), 404);
    await refused(as.admin.createOrganizationInvite('org_unknown', { role: 'read' }), 404);
    await leave('o1');
    for (const one of [kept, editor]) await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
});

test('3, 11: content links are for a space or a collection, and are not in the list', async () => {
    const own = await link({ role: 'read' });
    for (const level of [...roles, null]) {
        const space = await link({ level, space: a.space_id });
        assert.deepEqual([space.level, space.space.id, space.space.organization], [level, a.space_id, a.id]);
        assert.ok(!('role' in space) && !('collection' in space));
        const collection = await link({ level, collection: a.collection_id });
        assert.deepEqual([collection.level, collection.collection.id], [level, a.collection_id]);
        assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, space.id)), space);
        assert.deepEqual(await invites(), [own]);
        for (const one of [space, collection]) {
            await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
        }
    }
    await refused(as.admin.createOrganizationInvite(a.id, { level: 'read', space: 'space_unknown' }), 404);
    await refused(as.admin.createOrganizationInvite(a.id, { level: 'read', collection: a.space_id }), 404);
    await ok(as.admin.deleteOrganizationInviteById(a.id, own.id), 205);

    const space = await link({ level: 'edit', space: a.space_id });
    const collection = await link({ level: 'comment', collection: a.collection_id });
    await ok(join('o1', space.id));
    await ok(join('o2', collection.id));
    const guest = await member('o1');
    assert.deepEqual([guest.role, guest.spaces], [null, 1]);
    const other = await member('o2');
    assert.deepEqual([other.role, other.spaces], [null, 0]);
    assert.equal((await member('reader')).spaces, 0);
    // A member gets the level, keeps the role, and gets it once.
    for (let turn = 0; turn < 2; turn += 1) {
        await ok(join('reader', space.id));
        const reader = await member('reader');
        assert.deepEqual([reader.role, reader.spaces], ['read', 1]);
    }
    // An admin has it already.
    await ok(join('admin', space.id));
    const admin = await member('admin');
    assert.deepEqual([admin.role, admin.spaces], ['admin', 0]);
    assert.deepEqual((await roster()).map((one) => [one.id, one.spaces]).sort(), [
        [users.admin.id, 0], [users.reader.id, 1], [users.o1.id, 1], [users.o2.id, 0]].sort());
    await leave('o1');
    await leave('o2');
    for (const one of [space, collection]) await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
});

test('5: the arm of the other kind, none, both or an unknown role change nothing', async () => {
    const own = await link({ role: 'comment' });
    const space = await link({ level: 'comment', space: a.space_id });
    const collection = await link({ level: null, collection: a.collection_id });
    const bad = {
        [own.id]: [{ level: 'read' }, { level: null }],
        [space.id]: [{ role: 'read' }, { role: null }],
        [collection.id]: [{ role: 'read' }, { role: null }],
    };
    for (const one of [own, space, collection]) {
        const others = [{}, { role: 'owner' }, { level: 'owner' }, { role: 'guest' }, { level: 'guest' },
            { role: 3 }, { level: 3 }, { role: ['read'] }, { role: 'read', level: 'read' }, { role: '' }];
        for (const data of [...bad[one.id], ...others]) {
            await refused(as.admin.updateOrganizationInviteById(a.id, one.id, data), 400);
        }
        assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, one.id)), one);
    }
    for (const role of [...roles, null]) {
        const changed = await ok(as.admin.updateOrganizationInviteById(a.id, own.id, { role }));
        assert.deepEqual(changed, { ...own, role });
        assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, own.id)), changed);
        for (const content of [space, collection]) {
            const level = role;
            const changed = await ok(as.admin.updateOrganizationInviteById(a.id, content.id, { level }));
            assert.deepEqual(changed, { ...content, level });
            assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, content.id)), changed);
        }
    }
    for (const data of [
        { role: 'owner' }, { role: 'guest' }, { role: 5 }, { role: true }, { role: [] }, { role: 'Admin' },
        { level: 'read' }, { space: a.space_id }, { level: 'nothing', space: a.space_id },
        { level: 'read', space: 7 }, { level: 'read', space: null },
        { level: 'read', space: a.space_id, collection: a.collection_id },
        { role: 'read', level: 'read', space: a.space_id },
    ]) {
        await refused(as.admin.createOrganizationInvite(a.id, data), 400);
    }
    assert.equal((await invites()).length, 1);
    for (const one of [own, space, collection]) await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
});

test('6: to an admin every link is redundant', async () => {
    const made = [];
    for (const role of [...roles, null]) made.push(await link({ role }));
    made.push(await link({ level: 'admin', space: a.space_id }));
    for (const one of made) {
        assert.equal(one.redundant, true);
        assert.equal((await ok(as.admin.getOrganizationInviteLink(a.id, one.id))).redundant, true);
    }
    assert.deepEqual((await invites()).map((one) => one.redundant), Array(7).fill(true));
    for (const one of made) await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
});

test('7, 8, 9: joining gives the role of that moment, once, and never a lower one', async () => {
    const one = await link({ role: 'comment' });
    assert.deepEqual(await ok(join('o3', one.id)), {});
    const first = await member('o3');
    assert.equal(first.role, 'comment');
    await ok(as.admin.updateOrganizationInviteById(a.id, one.id, { role: 'edit' }));
    assert.deepEqual(await member('o3'), first, 'a change of the link changes no member');
    await ok(join('o4', one.id));
    assert.equal((await member('o4')).role, 'edit');
    await ok(as.admin.updateOrganizationInviteById(a.id, one.id, { role: null }));
    for (const who of ['o3', 'o4', 'admin', 'reader']) await ok(join(who, one.id));
    assert.deepEqual(await member('o3'), { ...first, lastSeenAt: (await member('o3')).lastSeenAt });
    assert.equal((await member('o4')).role, 'edit');
    assert.equal((await member('admin')).role, 'admin');
    assert.equal((await member('reader')).role, 'read');
    await ok(join('o5', one.id));
    assert.equal((await member('o5')).role, null);
    assert.equal((await roster()).length, 5);

    // Each role comes out as it was put in.
    for (const role of roles) {
        const of = await link({ role });
        await ok(join('o6', of.id));
        assert.equal((await member('o6')).role, role);
        await remove('o6');
        await ok(as.admin.deleteOrganizationInviteById(a.id, of.id), 205);
        const back = { emails: [{ email: users.o6.email, role: null }] };
        await ok(as.admin.inviteUsersToOrganization(a.id, back));
        await leave('o6');
    }

    const many = await link({ role: 'review' });
    const joined = await Promise.allSettled(Array.from({ length: 20 }, () => join('o7', many.id)));
    const codes = joined.map((one) => (one.status === 'fulfilled' ? 200 : one.reason.code));
    assert.ok(codes.includes(200));
    for (const code of codes) assert.ok([200, 400, 409].includes(code), String(code));
    assert.equal((await roster()).filter((one) => one.id === users.o7.id).length, 1);
    assert.equal((await member('o7')).role, 'review');
    for (const who of ['o3', 'o4', 'o5', 'o7']) await leave(who);
    for (const of of [one, many]) await ok(as.admin.deleteOrganizationInviteById(a.id, of.id), 205);
});

test('a race of many people through one link lets each in once', async () => {
    const one = await link({ role: 'read' });
    const who = ['o3', 'o4', 'o5', 'o7'];
    await Promise.all([...who, ...who, ...who].map((name) => join(name, one.id)));
    assert.equal((await roster()).length, 6);
    for (const name of who) {
        assert.equal((await member(name)).role, 'read');
        await leave(name);
    }
    await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
});

test('10, 12: unknown, foreign and deleted ids open nothing, and members stay', async () => {
    const one = await link({ role: 'edit' });
    const ofB = await link({ role: 'edit' }, 'admin_b', b.id);
    await refused(join('o8', 'made_up_made_up_made_up'), 404);
    await refused(join('o8', `${one.id.slice(0, -1)}${one.id.endsWith('a') ? 'b' : 'a'}`), 404);
    await refused(join('o8', one.id, b.id), 404);
    await refused(join('o8', ofB.id, a.id), 404);
    await refused(join('o8', one.id, 'org_unknown'), 404);
    assert.equal(await isMember('o8'), false);
    assert.equal(await isMember('o8', b.id, 'admin_b'), false);
    await ok(join('o5', one.id));
    const before = await member('o5');
    await ok(as.admin.deleteOrganizationInviteById(a.id, one.id), 205);
    await refused(join('o8', one.id), 400, 403, 404, 410);
    assert.equal(await isMember('o8'), false);
    assert.deepEqual(await member('o5'), before);
    await leave('o5');
    await ok(as.admin_b.deleteOrganizationInviteById(b.id, ofB.id), 205);
});

test('whoever was removed does not come back by themselves', async () => {
    const one = await link({ role: 'read' });
    await ok(join('o5', one.id));
    await remove('o5');
    await refused(join('o5', one.id), 404);
    const newer = await link({ role: 'read' });
    await refused(join('o5', newer.id), 403);
    assert.equal(await isMember('o5'), false);
    await ok(as.admin.inviteUsersToOrganization(a.id, { emails: [users.o5.email], role: 'edit' }));
    assert.equal((await member('o5')).role, 'edit');
    await leave('o5');
    for (const of of [one, newer]) await ok(as.admin.deleteOrganizationInviteById(a.id, of.id), 205);
});

test('pages show each link once, and a page that is made up is refused', async () => {
    const made = [];
    for (let number = 0; number < 7; number += 1) {
        made.push(await link({ role: 'read' }));
        await link({ level: 'read', space: a.space_id });
    }
    const list = (query) => as.admin.listOrganizationInviteLinks(a.id, query);
    for (const limit of [1, 2, 3, 7, 1000]) {
        const found = await pages(list, { limit });
        assert.equal(found.length, Math.ceil(7 / Math.min(limit, 7)));
        assert.deepEqual(found.flat(), made);
    }
    const first = await ok(list({ limit: 3 }));
    assert.equal(first.count, 7);
    assert.equal((await ok(list({}))).items.length, 7);
    const none = await ok(list({ limit: 0 }));
    assert.deepEqual([none.items, none.next, none.count], [[], undefined, 7]);
    for (const page of ['made-up', '', first.next.page.slice(1), `${first.next.page}A`, '0', 'null']) {
        await refused(list({ page: page || '%00' }), 400, 404);
        assert.equal((await raw('GET', `/v1/orgs/${a.id}/link-invites?page=${page}`)).status, 400);
    }
    // The page of another organization, or of another list.
    await refused(as.admin_b.listOrganizationInviteLinks(b.id, { page: first.next.page }), 400);
    await refused(as.admin.listMembersInOrganizationById(a.id, { page: first.next.page }), 400);
    for (const limit of ['-1', '1001', '1.5', 'ten', '', '1e2', '%2B5', ' 5', '99999999999999999999']) {
        const answer = await raw('GET', `/v1/orgs/${a.id}/link-invites?limit=${limit}`);
        assert.equal(answer.status, 400, limit);
    }
    // A link that goes meanwhile takes no other with it.
    await ok(as.admin.deleteOrganizationInviteById(a.id, first.items[2].id), 205);
    const rest = await ok(list({ page: first.next.page }));
    assert.deepEqual(rest.items, made.slice(3));
});

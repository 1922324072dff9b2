// The optional parts: teams, and switching invite links off.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
    a, as, b, features, invites, isMember, join, link, member, ok, pages, raw, refused, users,
} from './harness.mjs';

const id = (who) => users[who].id;
const team = (data) => ok(as.admin.createOrganizationTeam(a.id, data), 201);
const get = (one) => ok(as.admin.getTeamInOrganizationById(a.id, one.id));
const people = async (one) => {
    const found = await pages((query) => as.admin.listTeamMembersInOrganizationById(a.id, one.id, query), { limit: 2 });
    return found.flat();
};
const inside = async (one) => (await people(one)).map((row) => [row.organization.id, row.team.role]).sort();
const teamsOf = async (who) => (await ok(as.admin.listTeamsForOrganizationMember(a.id, id(who), {}))).items;
const put = (one, who, data) => as.admin.addMemberToOrganizationTeamById(a.id, one.id, id(who), data);
const change = (one, data) => as.admin.updateMembersInOrganizationTeam(a.id, one.id, data);
const add = (who, role = 'read') =>
    ok(as.admin.inviteUsersToOrganization(a.id, { emails: who.map((name) => users[name].email), role }));

test('both parts are listed', () => assert.deepEqual([...features].sort(), ['org-settings', 'teams']));

test('teams are made, shown, listed, renamed and deleted', async () => {
    await add(['o1', 'o2']);
    const writers = await team({ title: 'Writers', members: [id('o1'), id('reader'), id('o1')] });
    assert.deepEqual([writers.object, writers.title, writers.members, writers.spaces], ['team', 'Writers', 2, 0]);
    assert.deepEqual(writers.permissions, { admin: true, view: true });
    assert.match(writers.id, /^[a-zA-Z0-9_-]+$/);
    assert.deepEqual(await get(writers), writers);
    assert.deepEqual(await inside(writers), [[id('o1'), 'member'], [id('reader'), 'member']].sort());
    const editors = await team({ title: 'x'.repeat(64) });
    assert.equal(editors.members, 0);
    const list = (query) => as.admin.listTeamsInOrganizationById(a.id, query);
    assert.deepEqual((await ok(list({}))).items, [writers, editors]);
    assert.deepEqual((await pages(list, { limit: 1 })).flat(), [writers, editors]);
    assert.deepEqual((await ok(list({ title: 'wRIT' }))).items, [writers]);
    const renamed = await ok(as.admin.updateTeamInOrganizationById(a.id, editors.id, { title: 'Editors' }));
    assert.deepEqual(renamed, { ...editors, title: 'Editors' });

    for (const data of [{}, { title: '' }, { title: 'y'.repeat(65) }, { title: 7 }, { title: null }, { title: ' ' },
        { title: 'T', members: id('o1') }, { title: 'T', members: [7] }, { title: 'T', members: [id('o8')] },
        { title: 'T', members: [id('admin_b')] }, { title: 'T', members: [id('o1'), 'usr_unknown'] }]) {
        await refused(as.admin.createOrganizationTeam(a.id, data), 400);
    }
    await refused(as.admin.createOrganizationTeam(a.id, { title: 'Writers' }), 409);
    await refused(as.admin.updateTeamInOrganizationById(a.id, editors.id, { title: 'Writers' }), 409);
    assert.equal((await ok(list({}))).count, 2);

    await ok(as.admin.removeTeamFromOrganizationById(a.id, writers.id), 205);
    await ok(as.admin.removeTeamFromOrganizationById(a.id, writers.id), 204);
    await refused(as.admin.getTeamInOrganizationById(a.id, writers.id), 404);
    await refused(as.admin.listTeamMembersInOrganizationById(a.id, writers.id, {}), 404);
    await refused(put(writers, 'o1', {}), 404);
    await refused(change(writers, { add: [id('o1')] }), 404);
    await refused(as.admin.deleteMemberFromOrganizationTeamById(a.id, writers.id, id('o1')), 404);
    assert.deepEqual(await teamsOf('o1'), []);
    const again = await team({ title: 'Writers' });
    assert.notEqual(again.id, writers.id);
    assert.equal(again.members, 0);
    for (const one of [again, editors]) await ok(as.admin.removeTeamFromOrganizationById(a.id, one.id), 205);
});

test('members of teams are added by id and address, get roles, and are removed', async () => {
    const one = await team({ title: 'One' });
    const other = await team({ title: 'Other', members: [id('o1')] });
    await ok(change(one, { add: [id('o1'), users.o2.email.toUpperCase()] }), 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'member'], [id('o2'), 'member']].sort());
    await ok(put(one, 'o1', { role: 'owner' }), 204);
    await ok(put(one, 'reader', {}), 204);
    assert.equal((await raw('PUT', `/v1/orgs/${a.id}/teams/${one.id}/members/${id('o1')}`)).status, 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'owner'], [id('o2'), 'member'], [id('reader'), 'member']].sort());
    const rows = await people(one);
    for (const row of rows) {
        assert.deepEqual(row.permissions, { view: true });
        assert.deepEqual(row.organization, await member(Object.keys(users).find((who) => id(who) === row.organization.id)));
    }
    assert.deepEqual((await teamsOf('o1')).map((row) => [row.team.title, row.member.role]), [['One', 'owner'], ['Other', 'member']]);
    assert.equal((await member('o1')).teams, 2);
    assert.equal((await member('admin')).teams, 0);
    const owned = await ok(as.admin.listTeamsInOrganizationById(a.id, { owner: id('o1') }));
    assert.deepEqual(owned.items.map((row) => row.title), ['One']);
    assert.equal((await get(one)).members, 3);

    // Both added and removed is removed.
    await ok(change(one, { add: [id('admin'), id('o2')], remove: [users.o2.email, id('admin')] }), 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'owner'], [id('reader'), 'member']].sort());
    await ok(change(one, { memberships: { [id('reader')]: { role: 'owner' }, [users.o1.email]: { role: 'member' } } }), 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'member'], [id('reader'), 'owner']].sort());
    await ok(change(one, {}), 204);

    const before = await inside(one);
    for (const data of [{ add: id('o2') }, { add: [7] }, { add: [id('o2'), 'usr_unknown'] }, { add: [id('o2'), id('o8')] },
        { add: [id('o2')], remove: ['nobody@nowhere.example'] }, { add: [id('o2')], remove: [id('admin_b')] },
        { add: [id('o2'), 'no@'] }, { add: [id('o2')], memberships: { [id('o1')]: { role: 'boss' } } },
        { add: [id('o2')], memberships: { [id('o1')]: {} } }]) {
        await refused(change(one, data), 400);
    }
    await refused(put(one, 'o2', { role: 'boss' }), 400);
    await refused(put(one, 'o8', {}), 404);
    await refused(put(one, 'admin_b', { role: 'owner' }), 404);
    assert.deepEqual(await inside(one), before);

    const out = (who) => as.admin.deleteMemberFromOrganizationTeamById(a.id, one.id, id(who));
    await ok(out('reader'), 205);
    await ok(out('reader'), 204);
    await ok(out('o8'), 204);
    await ok(put(one, 'reader', {}), 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'member'], [id('reader'), 'member']].sort());
    await ok(out('reader'), 205);

    // Leaving the organization leaves its teams, and coming back does not come back to them.
    await ok(put(one, 'o1', { role: 'owner' }), 204);
    await ok(put(one, 'o2', { role: 'owner' }), 204);
    await ok(as.o1.removeMemberFromOrganizationById(a.id, id('o1')), 205);
    await ok(as.admin.removeMemberFromOrganizationById(a.id, id('o2')), 205);
    assert.deepEqual(await inside(one), []);
    assert.deepEqual([(await get(one)).members, (await get(other)).members], [0, 0]);
    await refused(as.admin.listTeamsForOrganizationMember(a.id, id('o1'), {}), 404);
    await add(['o1', 'o2']);
    assert.deepEqual(await inside(one), []);
    assert.deepEqual(await teamsOf('o1'), []);
    assert.equal((await member('o1')).teams, 0);
    await ok(put(one, 'o1', {}), 204);
    assert.deepEqual(await inside(one), [[id('o1'), 'member']]);
});

test('only admins of the organization see and change teams', async () => {
    const one = await team({ title: 'Closed', members: [id('o1')] });
    await ok(put(one, 'o1', { role: 'owner' }), 204);
    const before = await inside(one);
    for (const [who, code] of [['reader', 403], ['o1', 403], ['o8', 404], ['admin_b', 404]]) {
        const by = as[who];
        const calls = [
            () => by.listTeamsInOrganizationById(a.id, {}),
            () => by.createOrganizationTeam(a.id, { title: 'Theirs' }),
            () => by.getTeamInOrganizationById(a.id, one.id),
            () => by.updateTeamInOrganizationById(a.id, one.id, { title: 'Theirs' }),
            () => by.removeTeamFromOrganizationById(a.id, one.id),
            () => by.removeTeamFromOrganizationById(a.id, 'made_up'),
            () => by.listTeamMembersInOrganizationById(a.id, one.id, {}),
            () => by.updateMembersInOrganizationTeam(a.id, one.id, { add: [id('reader')] }),
            () => by.addMemberToOrganizationTeamById(a.id, one.id, id('reader'), { role: 'owner' }),
            () => by.deleteMemberFromOrganizationTeamById(a.id, one.id, id('o1')),
            () => by.listTeamsForOrganizationMember(a.id, id('o1'), {}),
        ];
        for (const call of calls) await refused(call(), code);
    }
    await refused(as.admin_b.getTeamInOrganizationById(b.id, one.id), 404);
    await ok(as.admin_b.removeTeamFromOrganizationById(b.id, one.id), 204);
    await refused(as.admin_b.addMemberToOrganizationTeamById(b.id, one.id, id('admin_b'), {}), 404);
    assert.deepEqual(await inside(one), before);
    assert.equal((await get(one)).title, 'Closed');
    for (const page of ['x', '']) {
        assert.equal((await raw('GET', `/v1/orgs/${a.id}/teams?page=${page}`)).status, 400);
        assert.equal((await raw('GET', `/v1/orgs/${a.id}/teams/${one.id}/members?page=${page}`)).status, 400);
        assert.equal((await raw('GET', `/v1/orgs/${a.id}/members/${id('o1')}/teams?page=${page}`)).status, 400);
    }
});

test('links can be switched off for the whole organization', async () => {
    const own = await link({ role: 'read' });
    const space = await link({ level: 'read', space: a.space_id });
    const ofB = await link({ role: 'read' }, 'admin_b', b.id);
    const set = (data, by = 'admin') => as[by].updateOrganizationById(a.id, data);
    for (const [who, code] of [['reader', 403], ['o8', 404], ['admin_b', 404]]) {
        await refused(set({ inviteLinks: false }, who), code);
        await refused(as[who].getOrganizationById(a.id), code);
    }
    for (const data of [{ inviteLinks: 'no' }, { inviteLinks: 0 }, { inviteLinks: [] }, { title: 'Another' }]) {
        await refused(set(data), 400);
    }
    const before = await ok(as.admin.getOrganizationById(a.id));
    assert.deepEqual([before.id, before.title, before.inviteLinks], [a.id, a.title, true]);
    assert.deepEqual(await ok(set({})), before);
    const off = await ok(set({ inviteLinks: false }));
    assert.deepEqual(off, { ...before, inviteLinks: false });
    assert.deepEqual(await ok(as.admin.getOrganizationById(a.id)), off);
    for (const one of [own, space]) {
        await refused(join('o7', one.id), 400, 403, 404);
        assert.deepEqual(await ok(as.admin.getOrganizationInviteLink(a.id, one.id)), one);
    }
    const made = await link({ role: 'edit' });
    await refused(join('o7', made.id), 400, 403, 404);
    assert.equal(await isMember('o7'), false);
    assert.equal(await isMember('reader'), true);
    assert.equal((await invites()).length, 2);
    await ok(join('o7', ofB.id, b.id));
    await ok(set({ inviteLinks: false }));
    assert.deepEqual(await ok(set({ inviteLinks: true })), before);
    await ok(join('o7', made.id));
    assert.equal((await member('o7')).role, 'edit');
});

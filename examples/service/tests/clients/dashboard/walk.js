// node walk.js BASE_URL DEMO_FILE: walks through the dashboard as its people do.
"use strict";

const fs = require("fs");
const os = require("os");
const path = require("path");
const { launch, person, signIn, see, press, fits, check, same, count } = require("./hands");
const { look } = require("./pages");
const { raw } = require("./raw");

const [, , base, demoFile] = process.argv;
const fixture = JSON.parse(fs.readFileSync(demoFile, "utf8"));

/// From generating a link to a removal: `inviting` is the host, and `guest` joins.
async function membership(browser, strangers, inviting, guest, options) {
  const host = await person(browser, base, strangers, options);
  const other = await person(browser, base, strangers, options);
  const scripted = options.javaScriptEnabled !== false;
  const label = `For ${guest.title}`;

  await signIn(host, inviting.owner);
  await see(host, inviting.title);
  await host.goto("/users");
  await press(host, "+ Add external user");
  await host.fill("#pattern0", "/wrong");
  await host.fill("#label", label);
  await press(host, "Generate link");
  await see(host, /Permission 1: .+\. Go back and correct it\. Nothing was changed\./);
  same("a refused form keeps what was written", await host.inputValue("#label"), label);
  await host.fill("#pattern0", "shared/");
  await host.fill("#max_uses", "5");
  await host.fill("#expires", "30");
  await host.fill("#questions", "Which team?\nSince when?");
  await press(host, "Generate link");
  await see(host, "Link generated", "You review the request", "in 29 days", "at most 5");
  const first = await host.inputValue("#link");
  same("a button copies where script runs", await host.getByRole("button", { name: "Copy" }).isVisible(), scripted);
  await fits(host);

  // The other side sees what it opens before signing in, and the sign-in leads back.
  await other.goto(first);
  await see(other, `Join ${inviting.title}`, `@${inviting.name}`, label, `${inviting.title} reviews your request`, "Which team?");
  await press(other, "Sign in to go on");
  await other.getByRole("button", { name: new RegExp(guest.owner) }).click();
  await other.waitForURL(/\/join/);
  await other.getByLabel(guest.title).check();
  await other.getByLabel("Which team?").fill("Design <b>");
  await other.getByLabel("Since when?").fill("2019");
  await press(other, "Ask to join");
  await see(other, `Your request to join ${inviting.title} was sent. It waits for review.`, "Pending");
  await other.reload();
  same("it is said once", await other.locator(".flash").count(), 0);
  await fits(other);

  await host.goto("/incoming");
  await see(host, guest.title, `@${guest.name}`, "by a link", "today", "Design <b> · 2019");
  await press(host, guest.title);
  await see(host, "Which team?", "Design <b>", "What approval gives", "shared/");
  await host.fill("#lasts", "30");
  await press(host, "Approve");
  await see(host, `${guest.title} is approved and has access now.`, "Approved", "Proxy user", guest.name, "in 29 days");
  await fits(host);
  await host.goto("/incoming");
  await see(host, `by ${inviting.owner}`);

  // What the host shares is there, and nothing else.
  const key = `shared/for-${guest.name}`;
  await host.goto("/memories");
  for (const [name, text] of [[key, "Come in."], [`private/for-${guest.name}`, "Stay out."]]) {
    await host.fill("#key", name);
    await host.fill("#value", text);
    await press(host, "Write");
    await see(host, `${name} was written.`);
  }
  await other.goto(`/memories/read?key=@${inviting.name}/${key}`);
  await see(other, "Come in.");
  const secret = await other.goto(`/memories/read?key=@${inviting.name}/private/for-${guest.name}`);
  same("what is not shared", secret.status(), 404);
  await see(other, "There is no such key, or it is not yours to read.");
  await host.goto("/permissions");
  await host.selectOption("#who", { label: guest.title });
  await host.fill("#key", key);
  await press(host, "Explain");
  await see(host, `Yes: ${guest.title} may read ${key}.`, "which came with the membership");
  await host.fill("#key", "private/x");
  await press(host, "Explain");
  await see(host, `No: nothing lets ${guest.title} read private/x.`, "Nearly", "does not cover this key");
  await fits(host);

  // Refreshed, disabled, enabled: each time the link from before is dead.
  await host.goto("/users");
  await see(host, label, "1 of 5", "Active", "Review");
  await press(host, label);
  await see(host, guest.title, "Let in");
  await press(host, "Refresh");
  await press(host, "Refresh the link");
  await see(host, "Link refreshed");
  const second = await host.inputValue("#link");
  same("a refreshed link", (await other.goto(first)).status(), 404);
  await see(other, "This link opens nothing", "This invite is not valid.");
  same("the new one", (await other.goto(second)).status(), 200);
  await press(host, "To the link");
  await press(host, "Disable");
  await press(host, "Disable the link");
  await see(host, "The link is disabled.", "Disabled");
  same("a disabled link", (await other.goto(second)).status(), 404);
  await press(host, "Enable");
  await see(host, "Link enabled");
  const third = await host.inputValue("#link");
  same("an enabled link is another one", (await other.goto(second)).status(), 404);
  await press(host, "To the link");
  await press(host, "Show the link");
  same("and can be shown again", await host.inputValue("#link"), third);
  await host.goto("/users");
  await press(host, "Pause all");
  await see(host, "All links rest until you resume them.", "Paused");
  same("a link that rests", (await other.goto(third)).status(), 503);
  await see(other, "The links of this organization rest for now.");
  await press(host, "Resume all");
  await press(host, label);
  await press(host, "Edit");
  same("the form holds what the link has", await host.inputValue("#questions"), "Which team?\nSince when?");
  await host.fill("#questions", "");
  await host.fill("#max_uses", "9");
  await press(host, "Save");
  await see(host, "The link was changed.", "1 of 9");

  // The end, and the way back.
  await host.goto("/incoming");
  await press(host, `Remove ${guest.title}`);
  await see(host, `Remove ${guest.title}?`, "Its proxy user is deactivated");
  await host.fill("#reason", "the project is over");
  await press(host, "Remove");
  await see(host, `${guest.title} was removed and has no access any more.`, "Removed", "the project is over");
  same("access has ended", (await other.goto(`/memories/read?key=@${inviting.name}/${key}`)).status(), 404);
  await other.goto("/outgoing");
  await see(other, "Removed", "the project is over");
  await other.goto(third);
  await other.getByLabel(guest.title).check();
  await press(other, "Ask to join");
  await see(other, "There is nothing here", "This invite is not valid.", "Ask whoever sent you the link for a new one.");
  await host.goto("/users");
  await press(host, label);
  await press(host, "Refresh");
  await press(host, "Refresh the link");
  const fourth = await host.inputValue("#link");
  const ask = async () => {
    await other.goto(fourth);
    await other.getByLabel(guest.title).check();
    await press(other, "Ask to join");
    await see(other, "It waits for review.");
  };
  await ask();
  await press(other, `Cancel the request to ${inviting.title}`);
  await see(other, `Your request to join ${inviting.title} was withdrawn.`, "Cancelled");
  await ask();
  await host.goto("/incoming");
  await host.getByLabel(`Tick ${guest.title}`).check();
  await host.fill("#reason", "not this year");
  await press(host, "Reject ticked");
  await see(host, "1 rejected.", "not this year");
  await ask();
  await host.goto("/incoming");
  await host.getByLabel(`Tick ${guest.title}`).check();
  await press(host, "Approve ticked");
  await see(host, "1 approved.");
  await other.goto("/outgoing");
  await press(other, `Leave ${inviting.title}`);
  await see(other, `Leave ${inviting.title}?`);
  await press(other, "Leave");
  await see(other, `You have left ${inviting.title}`, "Cancelled");
  await host.goto("/users");
  await press(host, label);
  await press(host, "Delete");
  await press(host, "Delete the link");
  await see(host, "The link was deleted.");
  same("a deleted link", (await other.goto(fourth)).status(), 404);

  await host.goto("/audit?kind=membership-removed");
  await see(host, "Membership removed", guest.title, inviting.owner, "the project is over");
  await press(host, "Clear");
  await see(host, "Link deleted", "Membership left");
  const times = () => host.locator("tbody tr .nums").allInnerTexts();
  const newest = await times();
  // A page has 50: with as many events or fewer there is no other.
  check("a page is full or all", newest.length <= 50);
  if (await host.getByRole("link", { name: "Older", exact: true }).count()) {
    check("a full page goes on", newest.length === 50);
    await press(host, "Older");
    const older = await times();
    check("older ones are older", older.length > 0 && older[0] < newest[newest.length - 1]);
  }
  await host.context().close();
  await other.context().close();
}

/// The link in the mail to this address, as the service wrote it to its folder.
function mailed(address) {
  const folders = fs.readdirSync(os.tmpdir()).filter((name) => name.startsWith("guestlist-demo"));
  const mails = folders.flatMap((name) => {
    const folder = path.join(os.tmpdir(), name, "mails");
    if (!fs.existsSync(folder)) return [];
    return fs.readdirSync(folder).map((file) => path.join(folder, file));
  });
  const texts = mails.map((file) => fs.readFileSync(file, "utf8").replace(/=\r?\n/g, "").replace(/=3D/g, "="));
  const links = texts
    .filter((text) => text.includes(`To: ${address}`) || text.includes(`<${address}>`))
    .flatMap((text) => text.match(/https?:\/\/\S+\/join\?token=gle_\w+/g) ?? [])
    .filter((link) => link.startsWith(base));
  check(`there is a mail to ${address}`, links.length > 0);
  return links[0];
}

/// An invite by mail: the wrong account, the right one, another role, and out again.
async function invite(browser, strangers) {
  const host = await person(browser, base, strangers);
  await signIn(host, "Bruno Castell");
  await host.goto("/people");
  await see(host, "None yet. Each is for one address and can be used once.");
  await host.fill("#addresses", "o1@elsewhere.example, nonsense\no2@elsewhere.example");
  await host.locator("#role").selectOption({ label: "Read" });
  await host.fill("#message", "Welcome & come in.");
  await press(host, "Send invites");
  await see(host, "2 invites sent. nonsense: is no e-mail address.", "o1@elsewhere.example", "Pending", "sent");
  await press(host, "Revoke the invite for o2@elsewhere.example");
  await press(host, "Revoke the invite");
  await see(host, "The invite for o2@elsewhere.example was revoked.", "Revoked");
  const dead = mailed("o2@elsewhere.example");
  const link = mailed("o1@elsewhere.example");

  const guest = await person(browser, base, strangers);
  same("a revoked invite", (await guest.goto(dead)).status(), 404);
  await guest.goto(link);
  await see(guest, "An invite for you", "Join Borealis", "Welcome & come in.", "you are in at once");
  await press(guest, "Sign in to go on");
  await guest.getByRole("button", { name: /Pia Lindgren/ }).click();
  await guest.waitForURL(/\/join/);
  await guest.getByLabel("Myself").check();
  await press(guest, "Join");
  await see(guest, "That is not yours to do", "sign in with the account that has this address verified");
  await guest.goto(link);
  await press(guest, "Use another account");
  await guest.getByRole("button", { name: /Olga Petrov/ }).click();
  await guest.waitForURL(/\/join/);
  await guest.getByLabel("Myself").check();
  await press(guest, "Join");
  await see(guest, "Welcome: you have joined Borealis.", "Approved", "Read");
  same("it can be used once", (await guest.goto(link)).status(), 404);

  await host.goto("/people");
  await see(host, "Olga Petrov", "Accepted");
  await host.getByLabel("Role of Olga Petrov").selectOption({ label: "Edit" });
  await press(host, "Change the role of Olga Petrov");
  await see(host, "Olga Petrov has the role Edit now.");
  await host.getByLabel("Role of Bruno Castell").selectOption({ label: "Read" });
  await press(host, "Change the role of Bruno Castell");
  await see(host, "Things have changed meanwhile", "The last owner can't leave", "Make somebody else an administrator first.");

  // A member without rights sees what is theirs.
  await guest.goto("/sign-in");
  await signIn(guest, "Olga Petrov");
  await see(guest, "Borealis", "You are a member here");
  await guest.goto("/users");
  await see(guest, /needs the capability/);
  for (const page of ["/incoming", "/groups", "/permissions", "/insights", "/audit"]) {
    same(`${page} is not theirs`, (await guest.goto(page)).status(), 403);
    await see(guest, "That is not yours to do", "Ask an administrator");
  }
  await guest.goto("/users/new");
  await press(guest, "Generate link");
  await see(guest, /needs the capability/);

  await host.goto("/people");
  await press(host, "Remove Olga Petrov");
  await press(host, "Remove");
  await see(host, "Olga Petrov was removed and has no access any more.");
  await guest.goto("/");
  await see(guest, "You belong to no organization yet");
  await press(guest, "Sign out");
  await guest.goto("/people");
  same("signed out", new URL(guest.url()).pathname, "/sign-in");
  await host.context().close();
  await guest.context().close();
}

/// Groups and permissions, and somebody who comes by a link that lets in at once.
async function groups(browser, strangers) {
  const host = await person(browser, base, strangers);
  await signIn(host, "Emil Strand");
  await host.goto("/groups");
  await see(host, "No groups yet");
  for (const name of ["Partners", "Inner circle"]) {
    await host.goto("/groups");
    await host.fill("#name", name);
    await press(host, "Create");
    await see(host, `${name} was created.`);
  }
  await host.fill("#pattern", "plans/");
  await press(host, "Give the permission");
  await see(host, "The permission was given, and counts at once.", "plans/");
  await host.selectOption("#group", { label: "Partners" });
  await press(host, "Add the group");
  await see(host, "Whoever is in that group is in this one, too.", "Partners");
  await host.goto("/groups");
  await press(host, /^Partners/);
  await host.selectOption("#group", { label: "Inner circle" });
  await press(host, "Add the group");
  await see(host, /can't be in/);
  await host.goto("/groups");
  await host.selectOption("#group", { label: "Partners" });
  await press(host, "Save");
  await see(host, "Every proxy user is in this group now.", "External");

  await host.goto("/users/new");
  await host.fill("#pattern0", "");
  await host.getByRole("switch", { name: /Auto-approve/ }).check();
  await host.getByLabel("Both").check();
  await press(host, "Generate link");
  await see(host, "They are let in at once");
  const url = await host.inputValue("#link");
  const guest = await person(browser, base, strangers);
  await signIn(guest, "Dana Fox");
  await guest.goto(url);
  await see(guest, "None: you are in at once");
  await guest.getByLabel("Delta Labs").check();
  await press(guest, "Join");
  await see(guest, "Welcome: you have joined Echo Works.");
  await guest.goto(url);
  await guest.getByLabel("Myself").check();
  await press(guest, "Join");
  await see(guest, "Welcome: you have joined Echo Works.");
  await guest.selectOption("#switch", { label: "Echo Works" });
  await press(guest, "Switch");
  await see(guest, "You act in Echo Works now.", "You are a member here");

  await host.goto("/permissions");
  await host.selectOption("#who", { label: "Delta Labs" });
  await host.fill("#key", "plans/2027");
  await press(host, "Explain");
  await see(host, "Yes: Delta Labs may read plans/2027.", "through Partners → Inner circle");
  await press(host, /^Revoke read on plans/);
  await press(host, "Revoke");
  await see(host, "The permission was revoked.");
  await host.goto("/groups");
  await press(host, /^Inner circle/);
  await press(host, "Delete");
  await press(host, "Delete the group");
  await see(host, "The group was deleted.");
  await host.goto("/incoming");
  await press(host, "Delta Labs");
  await host.fill("#why", "too loud");
  await press(host, "Block");
  await see(host, "Blocked by Emil Strand: too loud");
  await press(host, "Unblock");
  await see(host, "It can ask to join again.");
  await host.goto("/insights");
  await see(host, "asked: 3", "let in: 3", "100 % let in");
  await host.context().close();
  await guest.context().close();
}

/// A form on another site.
async function elsewhere(browser) {
  const strangers = [];
  const page = await person(browser, base, strangers);
  await signIn(page, "Emil Strand");
  await page.goto("about:blank");
  await page.setContent(`<form method="post" action="${base}/groups"><input name="name" value="Evil"><button>Win</button></form>`);
  await Promise.all([page.waitForEvent("load"), page.getByRole("button").click()]);
  await see(page, "That is not yours to do", "This form was sent from another site.");
  await page.goto("/groups");
  check("nothing was made", !(await page.locator("main").innerText()).includes("Evil"));
  await page.context().close();
}

(async () => {
  const began = Date.now();
  const browser = await launch();
  const strangers = [];
  const statuses = await raw(base, fixture);
  await Promise.all([
    membership(
      browser, strangers,
      { name: "widgets-inc", title: "Widgets Inc.", owner: "Wanda Grimes" },
      { name: "bravo", title: "Bravo Studio", owner: "Bob Tanaka" },
      {},
    ),
    membership(
      browser, strangers,
      { name: "acme-docs", title: "Acme Docs", owner: "Ada Ashby" },
      { name: "charlie", title: "Charlie & Sons", owner: "Carol Mbeki" },
      { javaScriptEnabled: false, colorScheme: "dark", viewport: { width: 360, height: 740 } },
    ),
    (async () => {
      await invite(browser, strangers);
      await groups(browser, strangers);
      await elsewhere(browser);
    })(),
    look(browser, base, strangers),
  ]);
  same("nothing was asked of anybody else", strangers.join(" "), "");
  await browser.close();
  const took = ((Date.now() - began) / 1000).toFixed(0);
  console.log(`${count()} checks in ${took} s; answers to what was sent by hand: ${JSON.stringify(statuses)}`);
})().catch((error) => {
  console.error(error);
  process.exit(1);
});

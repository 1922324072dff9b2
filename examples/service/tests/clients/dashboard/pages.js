// Every page: it fits at a desk and on a phone, it is accessible in both themes, and a look changes
// nothing.
"use strict";

const path = require("path");
const { person, signIn, see, press, fits, accessible, check, same } = require("./hands");

const shots = process.env.DASHBOARD_SHOTS;
/// Those that are shown at a desk, on a phone, and in the dark.
const pictures = {
  "": ["overview", "users", "add-external-user", "issued", "preview", "join", "incoming", "request",
    "outgoing", "link", "people", "group", "explain", "insights", "audit"],
  "-phone": ["incoming"],
  "-dark": ["overview", "incoming", "join"],
};
const colors = ["color-contrast", "link-in-text-block"];
const desk = { width: 1280, height: 800 };
const phone = { width: 360, height: 740 };

async function shot(page, name, end) {
  if (!shots || !pictures[end].includes(name)) return;
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  const clip = { x: 0, y: 0, width: page.viewportSize().width, height: Math.min(height, 900) };
  await page.screenshot({ path: path.join(shots, `${name}${end}.png`), clip, fullPage: true });
}

/// The page as it is now: at a desk, on a phone, in the dark.
async function visit(page, name) {
  await fits(page);
  await shot(page, name, "");
  await accessible(page);
  await page.setViewportSize(phone);
  await fits(page);
  await shot(page, name, "-phone");
  await page.setViewportSize(desk);
  await page.emulateMedia({ colorScheme: "dark" });
  await shot(page, name, "-dark");
  await accessible(page, colors);
  await page.emulateMedia({ colorScheme: "light" });
}

/// How many events there are: a look at a page adds none.
async function events(page) {
  await page.goto("/audit");
  return page.locator("tbody tr").count();
}

async function look(browser, base, strangers) {
  const page = await person(browser, base, strangers, { colorScheme: "light", viewport: desk });
  await page.goto("/sign-in");
  await visit(page, "sign-in");
  await signIn(page, "Nora Lindholm");
  await see(page, "Northwind Research", "Waiting for your review", "Heron Works", "5 days");
  same("the page that is open is marked", await page.locator("nav [aria-current=page]").innerText(), "Overview");
  await visit(page, "overview");
  const before = await events(page);
  for (const [name, address] of [
    ["users", "/users"], ["add-external-user", "/users/new"], ["incoming", "/incoming"],
    ["outgoing", "/outgoing"], ["people", "/people"], ["groups", "/groups"],
    ["permissions", "/permissions"], ["memories", "/memories"], ["insights", "/insights"],
    ["audit", "/audit"],
  ]) {
    same(`${address} is there`, (await page.goto(address)).status(), 200);
    await visit(page, name);
  }
  await page.goto("/memories");
  await press(page, /@saltmarsh\/atlas\/north/);
  await see(page, "Sheet 1 of 12");
  await visit(page);
  await page.goto("/users");
  await press(page, "Research partners");
  await see(page, "Who came through it", "Fjord Labs", "5 of 25");
  await visit(page, "link");
  const link = new URL(page.url()).pathname;
  for (const what of ["edit", "refresh", "disable", "delete"]) {
    await page.goto(`${link}/${what}`);
    await visit(page, what === "refresh" ? "refresh" : undefined);
  }
  await page.goto("/incoming");
  await press(page, "Heron Works");
  await see(page, "What are you working on?", "Sensors for wetlands", "What approval gives");
  await visit(page, "request");
  await page.goto("/incoming");
  await press(page, "Fjord Labs");
  await press(page, "Remove");
  await see(page, "Remove Fjord Labs?");
  await visit(page);
  await page.goto("/groups");
  await press(page, /^Partners/);
  await see(page, "Every organization that is let in is in this group.", "Fjord Labs", "shared/");
  await visit(page, "group");
  await page.goto("/permissions");
  await page.selectOption("#who", { label: "Fjord Labs" });
  await page.fill("#key", "shared/design-tokens");
  await press(page, "Explain");
  await see(page, "Yes: Fjord Labs may read shared/design-tokens.", "through Partners");
  await visit(page, "explain");
  same("looking at pages changed nothing", await events(page), before);
  same("an unknown member is a page", (await page.goto("/incoming/org/nobody")).status(), 404);
  await visit(page);
  // Showing a link is on record, so it comes after.
  await page.goto(link);
  await press(page, "Show the link");
  const url = await page.locator("#link").inputValue();
  await visit(page, "issued");
  check("the link is one of this service", url.startsWith(`${base}/join?token=glj_`));
  await page.context().clearCookies();
  const answer = await page.goto(url);
  same("a join link sends no address on", answer.headers()["referrer-policy"], "no-referrer");
  await see(page, "Join Northwind Research", "reviews your request", "Sign in to go on");
  await visit(page, "preview");
  await press(page, "Sign in to go on");
  await visit(page);
  await page.getByRole("button", { name: /Bob Tanaka/ }).click();
  await page.waitForURL(/\/join/);
  await see(page, "Join as", "Bravo Studio", "Myself", "What are you working on?");
  await visit(page, "join");
  for (const foreign of [link, `${link}/edit`]) {
    same("another organization's link", (await page.goto(foreign)).status(), 404);
  }
  for (const bad of ["", "?token=", "?token=glj_nonsense", `?token=${"x".repeat(3000)}`, "?token=%ff%fe"]) {
    same(`a bad token${bad.slice(0, 20)} is a page`, (await page.goto(`/join${bad}`)).status(), 404);
  }
  await see(page, "This link opens nothing");
  await visit(page);
  await page.context().close();
}

module.exports = { look, events };

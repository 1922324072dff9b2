// What the walk is done with: a browser, its contexts, and checks that count.
"use strict";

const fs = require("fs");
const { chromium } = require("playwright-core");

const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

let checks = 0;

function check(what, holds, found = "") {
  checks += 1;
  if (!holds) throw new Error(`not as expected: ${what} ${found}`);
}

function same(what, found, expected) {
  check(what, found === expected, `(found ${JSON.stringify(found)}, expected ${JSON.stringify(expected)})`);
}

async function launch() {
  return chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

/// A person's browser. Whatever it asks for is asked of the service, or it is on the list.
async function person(browser, base, strangers, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 800 }, baseURL: base, acceptDownloads: false, ...options,
  });
  context.setDefaultTimeout(30000);
  context.on("request", (request) => {
    if (new URL(request.url()).origin !== base) strangers.push(request.url());
  });
  const page = await context.newPage();
  page.on("pageerror", (error) => strangers.push(`script: ${error.message}`));
  return page;
}

async function signIn(page, name) {
  await page.goto("/sign-in");
  await page.getByRole("button", { name: new RegExp(name) }).first().click();
  await page.waitForURL((url) => !url.pathname.startsWith("/sign-in"));
}

async function see(page, ...texts) {
  const body = (await page.locator("body").innerText()).replace(/\s+/g, " ");
  for (const text of texts) {
    const found = text instanceof RegExp ? text.test(body) : body.includes(text);
    check(`${page.url().split("?")[0]} shows ${text}`, found, `in: ${body.slice(0, 1500)}`);
  }
}

async function press(page, name, scope = page) {
  const wanted = { name, exact: typeof name === "string" };
  const button = scope.getByRole("button", wanted).or(scope.getByRole("link", wanted)).first();
  await Promise.all([page.waitForEvent("load"), button.click()]);
}

/// Nothing sticks out at the side.
async function fits(page) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  check(`${page.url().split("?")[0]} fits ${page.viewportSize().width}`, over <= 0, `(${over} too wide)`);
}

/// No rule of axe is broken. A theme changes colors only: the other one is asked about these.
async function accessible(page, rules) {
  if (!(await page.evaluate("typeof axe === 'object'"))) await page.evaluate(axe);
  const found = await page.evaluate(async (only) => {
    const options = { resultTypes: ["violations"] };
    if (only) options.runOnly = { type: "rule", values: only };
    const { violations } = await window.axe.run(document, options);
    return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
  }, rules);
  check(`${page.url().split("?")[0]} is accessible`, found.length === 0, found.join("\n"));
}

module.exports = { launch, person, signIn, see, press, fits, accessible, check, same, count: () => checks };

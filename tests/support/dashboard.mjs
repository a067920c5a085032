// Drives the dashboard in a real Chromium for tests/integration/test_dashboard.py.

import assert from "node:assert/strict";
import {ask, base, DESKTOP, directory, new_page, no_overflow, ok, run} from "./page_driver.mjs";

const PAGE = `${base}/dashboard/`;
const TOKEN = "a token of the dashboard";
const PHONE = {viewport: {width: 360, height: 740}, deviceScaleFactor: 2, isMobile: true, hasTouch: true};
const NUMBER = /^[0-9.]+[KMB]?$/;

const live = (page) => page.locator("#state[data-state=live]").waitFor();
const view = (page, name) => page.getByRole("navigation").getByRole("link", {name}).click();
const tile = (page, title) => page.locator(".tile", {has: page.locator("dt", {hasText: title})}).locator(".value");

async function value_matches(page, title, pattern) {
  const value = await tile(page, title).elementHandle();
  await page.waitForFunction(([element, source]) => new RegExp(source).test(element.textContent), [value, pattern.source]);
}

async function open(options, faults) {
  const page = await new_page(options, faults);
  await page.goto(PAGE);
  return page;
}

async function log_in(page, token = TOKEN) {
  await page.getByLabel("Token").fill(token);
  await page.keyboard.press("Enter");
}

async function shot(page, name) {
  await no_overflow(page);
  await page.screenshot({path: `${directory}/${name}.png`, fullPage: true});
}

async function login() {
  const faults = [];
  const page = await open(DESKTOP, faults);
  await shot(page, "login");
  assert.deepEqual(faults, []);
  await log_in(page, "not the token, really");
  await page.getByRole("alert").getByText("That is not the token.").waitFor();
  assert.equal(new URL(page.url()).pathname, "/dashboard/login");
  assert.deepEqual(faults.splice(0).map((fault) => /403/.test(fault)), [true]);
  ok("a wrong token is told so");

  await log_in(page);
  await live(page);
  assert.equal(page.url(), PAGE);
  assert.equal(await page.evaluate(() => document.cookie), "", "no script sees the session");
  const [cookie] = await page.context().cookies();
  assert.equal(cookie.httpOnly, true);
  assert.equal(cookie.sameSite, "Strict");
  assert(!cookie.value.includes(TOKEN));
  ok("the token opens the page");

  await page.getByRole("button", {name: "Log out"}).click();
  await page.getByLabel("Token").waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  await page.goto(PAGE);
  await page.getByLabel("Token").waitFor();
  assert.deepEqual(faults, []);
  ok("logged out, it asks again");
}

async function look() {
  const faults = [];
  const page = await open(DESKTOP, faults);
  await log_in(page);
  await live(page);
  await ask("connect");
  await value_matches(page, "Messages in /s", /^[0-9.]*[1-9]/);
  await value_matches(page, "Deliveries /s", /^[0-9.]*[1-9]/);
  for (const title of ["Connections", "Messages out /s", "Requests /s"]) await value_matches(page, title, NUMBER);
  await value_matches(page, "Loop lag", /ms$/);
  await value_matches(page, "Memory", /B$/);
  await page.waitForFunction(() => (document.querySelector(".tile polyline").getAttribute("points") ?? "").split(" ").length > 3);
  ok("numbers move");

  const rows = page.getByRole("region", {name: "Workers"}).locator("tbody tr");
  await rows.nth(1).waitFor();
  assert.equal(await rows.count(), 2);
  assert.match(await rows.first().textContent(), /^0 pid \d+/);
  assert.match(await page.locator("#node").textContent(), /· 2 workers · up \d/);
  await page.getByRole("listitem").filter({hasText: "ready"}).first().waitFor();
  ok("the workers and the history are there");
  await shot(page, "desktop-light");

  await view(page, "Channels");
  await page.getByRole("link", {name: "room"}).waitFor();
  await page.getByLabel("Find").fill("nothing");
  await page.getByText("No channel of that name has subscribers.").waitFor();
  await page.getByLabel("Find").fill("oo");
  await page.getByRole("link", {name: "room"}).click();
  await page.locator("dt", {hasText: "Publications so far"}).waitFor();
  await page.getByText("<b>hello</b>", {exact: false}).first().waitFor();
  assert.equal(await page.locator("main b").count(), 0, "markup stays text");
  await page.getByRole("region", {name: "Members"}).getByText("ann").first().waitFor();
  await shot(page, "channel");
  ok("a channel, its members and its history");
  assert.deepEqual(faults, []);

  const dark = await open({...DESKTOP, colorScheme: "dark"}, faults);
  await log_in(dark);
  await live(dark);
  await dark.waitForFunction(() => (document.querySelector(".tile polyline").getAttribute("points") ?? "").split(" ").length > 3);
  await shot(dark, "desktop-dark");
  for (const colorScheme of ["light", "dark"]) {
    const phone = await open({...PHONE, colorScheme}, faults);
    await shot(phone, `phone-login-${colorScheme}`);
    await log_in(phone);
    await live(phone);
    await phone.locator("tbody tr").first().waitFor();
    await shot(phone, `phone-${colorScheme}`);
    for (const name of ["Channels", "Connections", "Events"]) {
      await view(phone, name);
      await phone.getByRole("heading", {name, level: 2}).waitFor();
      if (name !== "Events") await phone.locator("tbody tr").first().waitFor();
      await shot(phone, `phone-${name.toLowerCase()}-${colorScheme}`);
    }
    await phone.context().close();
  }
  ok("it fits a phone");
  assert.deepEqual(faults, []);
  ok("no error, no warning, nothing asked from elsewhere");
}

async function kick() {
  const faults = [];
  const page = await open(DESKTOP, faults);
  await log_in(page);
  await live(page);
  await ask("connect");
  await view(page, "Connections");
  await page.getByLabel("Find").fill("ann");
  await page.locator("tbody tr", {hasText: "ann"}).first().waitFor();
  await page.waitForFunction(() => document.querySelectorAll("tbody tr").length === 1);
  await shot(page, "connections");
  await page.locator("tbody a").first().click();
  await page.locator("dt", {hasText: "Address"}).waitFor();
  await page.getByRole("link", {name: "room"}).waitFor();
  await page.getByRole("button", {name: "Close connection"}).click();
  await shot(page, "kick");
  await page.getByRole("dialog").getByRole("button", {name: "Keep it"}).click();
  await page.getByRole("dialog").waitFor({state: "hidden"});
  await ask("still open");
  await page.getByRole("button", {name: "Close connection"}).click();
  await page.getByRole("dialog").getByRole("button", {name: "Close connection"}).click();
  await page.getByText("Closed.").waitFor();
  await ask("closed");
  await page.waitForFunction(() => document.querySelector("main button").disabled);
  assert(faults.every((fault) => /404/.test(fault)), faults.join("\n"));
  ok("a connection is closed by who says so twice");
}

async function keyboard() {
  const faults = [];
  const page = await open(DESKTOP, faults);
  await page.locator("#token:focus").waitFor();  // The browser gives it the focus when it first draws the page.
  await page.keyboard.type(TOKEN);
  await page.keyboard.press("Enter");
  await live(page);
  const focused = () => page.evaluate(() => document.activeElement.textContent.trim());
  const walk = [];
  for (let i = 0; i < 6; ++i) {
    await page.keyboard.press("Tab");
    walk.push(await focused());
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", `the focus is seen on ${walk.at(-1)}`);
  }
  assert.deepEqual(walk, ["Skip to content", "Log out", "Overview", "Channels", "Connections", "Events"]);
  await page.keyboard.press("Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", {name: "Connections", level: 2}).waitFor();
  assert.equal(await focused(), "Connections", "the focus is at the new view's heading");
  assert.equal(await page.getByRole("navigation").locator("[aria-current=page]").textContent(), "Connections");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.type), "search");
  for (const role of ["banner", "navigation", "main"]) assert.equal(await page.getByRole(role).count(), 1, role);
  assert.deepEqual(faults, []);
  ok("all is reached by keyboard, and seen");
}

async function goes_on() {
  const faults = [];
  const page = await open(DESKTOP, faults);
  await log_in(page);
  await live(page);
  await ask("reload");
  await page.locator(".event", {hasText: "reloaded"}).first().waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll("tbody tr")].every((row) => row.cells[5].textContent === "2"));
  ok("a reload is told, and the session holds");
  await ask("upgrade");
  await page.locator(".event", {hasText: "upgraded"}).first().waitFor();
  await page.locator(".event", {hasText: "reloaded"}).first().waitFor();
  await page.reload();
  await live(page);
  await page.locator(".event", {hasText: "upgraded"}).first().waitFor();
  await shot(page, "upgraded");
  ok("so is an upgrade, and the history goes on");
  assert.deepEqual(faults.filter((fault) => !/ERR_|Failed to load/.test(fault)), []);
}

await run({login, look, kick, keyboard, goes_on});

// Drives the live page in a real Chromium for tests/integration/test_live_page.py.

import assert from "node:assert/strict";
import {ask, base, DESKTOP, directory, new_page, no_overflow, ok, run} from "./page_driver.mjs";

const PHONE = {viewport: {width: 390, height: 844}, deviceScaleFactor: 2, isMobile: true, hasTouch: true};

async function open(options, fragment, faults) {
  const page = await new_page(options, faults);
  await page.goto(`${base}/${fragment}`);
  await connected(page);
  return page;
}

const connected = (page) => page.locator("#connection[data-state=open]").waitFor();
const said = (page, text) => page.locator(".message .text", {hasText: text});

async function say(page, text) {
  await page.getByRole("textbox", {name: "Message"}).fill(text);
  await page.keyboard.press("Enter");
}

async function expect_once(page, text) {
  await said(page, text).first().waitFor();
  assert.equal(await said(page, text).count(), 1, `"${text}" once`);
}

async function post(path, body) {
  const response = await fetch(`${base}/api/${path}`, {method: "POST", body: JSON.stringify(body)});
  assert.equal(response.status, 200);
  return (await response.json()).result;
}

async function talk() {
  const faults = [];
  const ada = await open(DESKTOP, "#room=tea&name=Ada", faults);
  await ada.screenshot({path: `${directory}/desktop-empty.png`});
  const grace = await open({...DESKTOP, colorScheme: "dark"}, "?room=tea&name=Grace", faults);
  const stranger = await open(DESKTOP, "#room=coffee&name=Stranger", faults);

  const channels = (await post("channels", {})).channels;
  assert.deepEqual(channels.tea, {num_clients: 2});
  ok("two tabs are two subscribers");

  await say(ada, "Hello, is anybody here?");
  await expect_once(grace, "Hello, is anybody here?");
  await expect_once(ada, "Hello, is anybody here?");
  await say(grace, "Yes, and I read you.");
  await expect_once(ada, "Yes, and I read you.");
  assert.equal(await grace.locator(".from", {hasText: "Ada"}).count(), 1);
  ok("a message typed in one tab appears in the other, once");

  const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
  await say(ada, hostile);
  await expect_once(grace, hostile);
  assert.equal(await grace.locator("#log img, #log script").count(), 0);
  assert.equal(await grace.title(), "tea · BeamGate");
  ok("markup stays text");

  await post("publish", {channel: "tea", data: {from: "The application", text: "Tea is ready", at: "nonsense"}});
  await expect_once(grace, "Tea is ready");
  await post("publish", {channel: "tea", data: [1, 2, 3]});
  await expect_once(grace, "[1,2,3]");
  await post("publish", {channel: "tea", b64data: "AAEC"});
  await expect_once(grace, "(3 bytes, binary)");
  ok("what the application publishes appears, whatever it is");

  assert.equal(await stranger.locator(".message").count(), 0);
  await stranger.getByRole("textbox", {name: "Room"}).fill("not a room!");
  await stranger.getByRole("button", {name: "Join"}).click();
  assert.equal(await stranger.locator("#room-name").textContent(), "coffee");
  await stranger.getByRole("textbox", {name: "Room"}).fill("tea");
  await stranger.getByRole("button", {name: "Join"}).click();
  await stranger.getByText("Nothing said in this room yet").waitFor();
  await connected(stranger);
  await say(ada, "Who came in?");
  await expect_once(stranger, "Who came in?");
  ok("another room hears nothing, until its tab joins");

  for (const title of ["WebSockets", "Subscriptions", "Messages in /s", "Requests /s"]) {
    const value = ada.locator(".figure", {hasText: title}).locator(".value");
    await ada.waitForFunction((element) => /^[0-9.]+[KMB]?$/.test(element.textContent), await value.elementHandle());
  }
  assert.match(await ada.locator("#node").textContent(), /^4 workers · \d+ connections · up \d/);
  // The page asks once a second, and the third has just come.
  await ada.locator(".figure", {hasText: "WebSockets"}).locator(".value", {hasText: /^3$/}).waitFor();
  ok("live counters count");

  for (let i = 0; i < 12; ++i) await say(i % 3 ? grace : ada, `Line ${i} of a longer talk.`);
  await expect_once(ada, "Line 11");
  await expect_once(grace, "Line 11");
  const drawn = (page) => page.waitForFunction(
      () => (document.querySelector(".spark polyline").getAttribute("points") ?? "").split(" ").length > 3);
  await drawn(ada);
  await drawn(grace);
  await ada.screenshot({path: `${directory}/desktop-light.png`});
  await grace.screenshot({path: `${directory}/desktop-dark.png`});
  await no_overflow(ada);

  for (const colorScheme of ["light", "dark"]) {
    const phone = await open({...PHONE, colorScheme}, `#room=tea&name=Phone ${colorScheme}`, faults);
    await say(phone, "From a phone.");
    await expect_once(phone, "From a phone.");
    await say(ada, `To the ${colorScheme} phone: a line that is long enough to be broken on a small screen.`);
    await expect_once(phone, `To the ${colorScheme} phone`);
    await drawn(phone);
    await no_overflow(phone);
    await phone.screenshot({path: `${directory}/phone-${colorScheme}.png`, fullPage: true});
    await phone.context().close();
  }
  ok("it fits a phone");
  assert.deepEqual(faults, []);
  ok("no error, no warning, nothing asked from elsewhere");
}

async function come_back() {
  const faults = [];
  const ada = await open(DESKTOP, "#room=tea&name=Ada", faults);
  const grace = await open(DESKTOP, "#room=tea&name=Grace", faults);
  await ask("kill workers");
  for (const page of [ada, grace]) {
    await page.getByText("Back again.").waitFor();
    await connected(page);
  }
  await say(ada, "Still here");
  await expect_once(grace, "Still here");
  ok("both tabs came back by themselves");

  await ask("stop gateway");
  await ada.locator("#connection[data-state=waiting]").waitFor();
  assert.equal(await ada.getByRole("button", {name: "Send"}).isDisabled(), true);
  await ada.getByText(/Next try in \d+ s/).waitFor();
  await ada.screenshot({path: `${directory}/disconnected.png`});
  ok("without a gateway the page says so");
}

async function remote() {
  const faults = [];
  const page = await open(DESKTOP, "#room=tea&name=Ada", faults);
  await page.getByText("only on the gateway's own machine").waitFor();
  assert.equal(await page.locator("#figures").isHidden(), true);
  await page.screenshot({path: `${directory}/no-status.png`});
  ok("without /status the page says why");
}

await run({talk, come_back, remote});

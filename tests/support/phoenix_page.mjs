// The official Phoenix client in a real Chromium, for tests/integration/test_phoenix.py.
//
//   node phoenix_page.mjs URL            URL: a page that has loaded phoenix.js
//
// Any surprise ends it with a message and status 1.

import assert from "node:assert/strict";
import {launch} from "./browser.mjs";
import {ask, ok} from "./dialogue.mjs";

const [, , url] = process.argv;

const browser = await launch();

// A tab in the room; what it sees is in its window.
async function open(name, polls) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.message));
  await page.goto(url);
  await page.evaluate(([meta, transport]) => {
    window.said = [];
    window.socket = new Phoenix.Socket("/socket", {...(transport ? {transport: Phoenix.LongPoll} : {}), timeout: 20_000,
                                                   rejoinAfterMs: () => 50});
    window.closes = 0;
    socket.onClose(() => ++window.closes);
    socket.connect();
    window.room = socket.channel("presence:room", {meta});
    window.presence = new Phoenix.Presence(room);
    room.on("say", (payload) => said.push(payload instanceof ArrayBuffer ? [...new Uint8Array(payload)] : payload));
    return new Promise((resolve, reject) => room.join().receive("ok", resolve).receive("error", reject)
        .receive("timeout", () => reject(new Error("join timed out"))));
  }, [{name}, polls]);
  return page;
}

const push = (page, payload) => page.evaluate((value) => new Promise((resolve, reject) => room
    .push("say", Array.isArray(value) ? new Uint8Array(value).buffer : value)
    .receive("ok", resolve).receive("error", reject)
    .receive("timeout", () => reject(new Error("push timed out")))), payload);
const said = (page, n) => page.waitForFunction((count) => window.said.length >= count, n)
    .then(() => page.evaluate(() => window.said));
const names = (page, n) => page.waitForFunction((count) => Object.keys(presence.state).length === count, n)
    .then(() => page.evaluate(() => presence.list((_, {metas}) => metas[0].name).sort()));

try {
  const [ada, grace, polling] = [await open("ada"), await open("grace"), await open("polling", true)];
  for (const page of [ada, grace, polling]) assert.deepEqual(await names(page, 3), ["ada", "grace", "polling"]);
  ok("three tabs see each other, one of them by polls");

  await push(ada, {text: "<b>hello</b>"});
  await push(polling, {text: "by polls"});
  assert.deepEqual(await said(grace, 2), [{text: "<b>hello</b>"}, {text: "by polls"}]);
  await push(grace, [1, 2, 255]);
  assert.deepEqual(await said(ada, 2), [{text: "by polls"}, [1, 2, 255]]);
  assert.deepEqual(await said(polling, 2), [{text: "<b>hello</b>"}, {base64: "AQL/"}]);
  ok("they talk, in text and binary");

  await grace.context().close();
  assert.deepEqual(await names(ada, 2), ["ada", "polling"]);
  assert.deepEqual(await names(polling, 2), ["ada", "polling"]);
  ok("a tab that is closed is gone from the others");

  await ask("kill workers");
  for (const page of [ada, polling]) await page.waitForFunction(() => window.closes > 0 && room.state === "joined");
  for (const page of [ada, polling]) assert.deepEqual(await names(page, 2), ["ada", "polling"]);
  await push(ada, {back: 1});
  assert.deepEqual((await said(polling, 3)).at(-1), {back: 1});
  await push(polling, {back: 2});
  assert.deepEqual((await said(ada, 3)).at(-1), {back: 2});
  ok("both come back after their workers' death");
  assert.deepEqual([...ada.faults, ...polling.faults], []);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await browser.close();
  process.exit();  // Whatever else is open: everything has been seen.
}

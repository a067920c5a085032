// EventSource in a real Chromium, for tests/integration/test_event_source.py.
//
//   node event_source.mjs URL OTHER          OTHER is another server's URL, of another origin
//
// Any surprise ends it with a message and status 1.

import assert from "node:assert/strict";
import {request} from "node:http";
import {launch} from "./browser.mjs";
import {ask, ok} from "./dialogue.mjs";

const [, , base, other] = process.argv;

const browser = await launch();

// A page with an EventSource that notes everything.
async function open(url, options = {}) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`${base}/page`);
  await page.evaluate(([url, options]) => {
    window.heard = [];
    window.opened = 0;
    window.source = new EventSource(url, options);
    source.onopen = () => ++window.opened;
    source.onmessage = (event) => heard.push(event.data);
    source.addEventListener("beamgate.reset", (event) => heard.push(`reset ${JSON.parse(event.data).reason}`));
  }, [url, options]);
  await page.waitForFunction(() => window.opened === 1);
  return page;
}

const heard = (page) => page.evaluate(() => window.heard);
const until = (page, count) => page.waitForFunction((count) => window.heard.length >= count, count);

// Over a connection of its own: one that is kept may be to a worker that has died.
function publish(text) {
  return new Promise((resolve, reject) => {
    const asked = request(`${base}/api/publish?channel=kept`, {method: "POST", agent: false}, (answer) => {
      answer.resume();
      answer.on("end", () => (answer.statusCode === 200 ? resolve() : reject(new Error(answer.statusCode))));
    });
    asked.on("error", reject);
    asked.end(text);
  });
}

const expected = [];
async function say(count) {
  for (let i = 0; i < count; ++i) {
    expected.push(`event ${expected.length}\nof two lines`);
    await publish(expected.at(-1));
  }
}

const tabs = [await open("/kept"), await open("/kept")];
// What opens a source doesn't say that its channels are joined; the first event is for both, or comes again.
await ask("wait for 2");
await say(10);
for (const tab of tabs) {
  await until(tab, 10);
  assert.deepEqual(await heard(tab), expected);
}
ok("two tabs hear the same");

await ask("kill workers");
await say(10);
await ask("wait for 2");
await say(10);
for (const tab of tabs) {
  await until(tab, 30);
  assert.deepEqual(await heard(tab), expected, "nothing is missing, nothing came twice");
  assert(await tab.evaluate(() => window.opened) >= 2, "it has come back");
}
ok("they come back and recover");

await tabs[0].close();
await tabs[1].evaluate(() => source.close());
await ask("wait for 0");
ok("they are gone when they close");

const guest = await open(`${other}/theirs`, {withCredentials: true});
await ask("wait for 1");
await publish("for a page of another origin");
await until(guest, 1);
assert.deepEqual(await heard(guest), ["for a page of another origin"]);
ok("a page of another origin");

const stranger = await (await browser.newContext()).newPage();
await stranger.goto(`${base}/page`);
const state = await stranger.evaluate((url) => new Promise((resolve) => {
  const source = new EventSource(url);
  source.onopen = () => resolve("open");
  source.onerror = () => resolve(source.readyState);
}), `${other}/strangers`);
assert.equal(state, 2, "refused for good");
ok("a page that may not");

await browser.close();
process.exit(0);

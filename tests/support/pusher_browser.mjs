// pusher-js in a real Chromium, for tests/integration/test_pusher.py; it begins as pusher_judge.mjs does.
//
//   node pusher_browser.mjs

import assert from "node:assert/strict";
import Server from "pusher";
import {launch} from "./browser.mjs";
import {ask, ok} from "./dialogue.mjs";

const APP = {appId: "77", key: "bgkey01", secret: "bg-secret-01 of the test"};

const [host, port] = (await ask("start 9")).split(":");  // No webhooks are taken.
const base = `http://${host}:${port}`;
const server = new Server({...APP, host, port, useTLS: false});
const browser = await launch();
const context = await browser.newContext();
await context.exposeFunction("sign_channel", (socket, channel, user) =>
  server.authorizeChannel(socket, channel, channel.startsWith("presence-") ? {user_id: user, user_info: {name: user}} : undefined));
await context.exposeFunction("sign_user", (socket, user) => server.authenticateUser(socket, {id: user}));

// A tab of a user, which notes what its channels say.
async function open(user) {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  await page.goto(`${base}/blank`);
  await page.addScriptTag({url: "/web/pusher.min.js"});
  await page.evaluate(({key, port, user}) => {
    window.seen = [];
    window.pusher = new Pusher(key, {
      cluster: "", wsHost: location.hostname, wsPort: port, forceTLS: false, enabledTransports: ["ws"],
      channelAuthorization: {customHandler: ({socketId, channelName}, done) =>
        sign_channel(socketId, channelName, user).then((auth) => done(null, auth), done)},
      userAuthentication: {customHandler: ({socketId}, done) => sign_user(socketId, user).then((auth) => done(null, auth), done)},
    });
    pusher.connection.bind("state_change", ({current}) => seen.push({event: current}));
    window.join = (name) => pusher.subscribe(name).bind_global((event, data) => seen.push({event, data}));
  }, {key: APP.key, port: Number(port), user});
  return page;
}

// Takes what the tab has noted, once it is there.
async function told(page, event, data) {
  const fits = ([event, data]) => {
    const at = seen.findIndex((each) => each.event === event && (data === undefined || JSON.stringify(each.data) === data));
    return at < 0 ? undefined : seen.splice(at, 1);
  };
  await page.waitForFunction(fits, [event, data === undefined ? undefined : JSON.stringify(data)]);
}
const members = (page) => page.evaluate(() => pusher.channel("presence-room").members.count);

try {
  const [ann, tab, bob] = [await open("ann"), await open("ann"), await open("bob")];
  for (const page of [ann, tab, bob]) {
    await told(page, "connected");
    await page.evaluate(() => join("presence-room"));
    await told(page, "pusher:subscription_succeeded");
  }
  assert.equal(await members(bob), 2);
  await server.trigger("presence-room", "tick", {n: 1});
  for (const page of [ann, tab, bob]) await told(page, "tick", {n: 1});
  await bob.evaluate(() => pusher.channel("presence-room").trigger("client-hello", {from: "bob"}));
  for (const page of [ann, tab]) await told(page, "client-hello", {from: "bob"});
  ok("three tabs of two users share a room");

  await tab.close();
  await server.trigger("presence-room", "mark", {});
  await told(bob, "mark", {});
  assert.equal(await members(bob), 2);
  await ann.evaluate(() => pusher.signin());
  await ann.waitForFunction(() => pusher.user.user_data);
  await ann.evaluate(() => pusher.user.bind("note", (data) => seen.push({event: "note", data})));
  await server.sendToUser("ann", "note", {n: 2});
  await told(ann, "note", {n: 2});
  ok("one of two tabs closes, and the user stays");

  await ask("kill workers");
  for (const page of [ann, bob]) await told(page, "connected");
  for (const page of [ann, bob]) await told(page, "pusher:subscription_succeeded");
  await bob.waitForFunction(() => pusher.channel("presence-room").members.count === 2);
  await server.trigger("presence-room", "tick", {n: 3});
  for (const page of [ann, bob]) await told(page, "tick", {n: 3});
  ok("tabs come back when their worker is lost");
} finally {
  await browser.close();
}
process.exit(0);

// Judges the gateway's Centrifuge protocol by its official client, centrifuge-js, unmodified.  For
// tests/integration/test_centrifuge.py.
//
//   node centrifuge_judge.mjs SCENARIO HOST:PORT
//
// Any surprise ends it with a message and status 1.

import assert from "node:assert/strict";
import {createHmac} from "node:crypto";
import {once} from "node:events";
import {Centrifuge} from "centrifuge";
import WebSocket from "ws";
import {ask, ok} from "./dialogue.mjs";

const [scenario, address] = process.argv.slice(2);
const SECRET = "a secret of thirty-two bytes or more";
const WAIT_MS = 20_000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(claims, secret = SECRET) {
  const signed = `${base64url({alg: "HS256", typ: "JWT"})}.${base64url(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const now = () => Math.floor(Date.now() / 1000);
const clients = [];

function client(path, options = {}) {
  const made = new Centrifuge(`ws://${address}${path}`, {websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200,
                                                         ...options});
  made.on("error", () => {});
  clients.push(made);
  return made;
}

// The next event of this name, what it says.
const next = (emitter, name) => within(once(emitter, name).then(([value]) => value), name);

async function connected(path, options) {
  const made = client(path, options);
  made.connect();
  await within(made.ready(), "connected");
  return made;
}

async function subscribed(made, channel, options) {
  const subscription = made.newSubscription(channel, options);
  subscription.received = [];
  subscription.on("publication", (publication) => subscription.received.push(publication));
  subscription.subscribe();
  await within(subscription.ready(), `subscribed ${channel}`);
  return subscription;
}

async function until(condition, what) {
  const deadline = Date.now() + WAIT_MS;
  while (!condition()) {
    assert(Date.now() < deadline, `${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const refusal = (promise) => promise.then(() => assert.fail("was not refused"), (error) => error.code);

const scenarios = {
  async tokens() {
    for (const [options, code] of [[{token: "nonsense"}, 3500],
                                   [{token: token({sub: "u"}, "another secret, of no use to anybody here")}, 3500],
                                   [{token: token({sub: "u"}).replace(/^[^.]+/, base64url({alg: "none"}))}, 3500],
                                   [{token: token({sub: "u", nbf: now() + 3600})}, 3500],
                                   [{}, 101]]) {
      const refused = client("/token", options);
      refused.connect();
      assert.equal((await next(refused, "disconnected")).code, code);
    }
    ok("refused");

    const granted = client("/token", {token: token({sub: "ada", exp: now() + 600, info: {nick: "Ada"}}), data: {x: 1}});
    granted.connect();
    assert.match((await next(granted, "connected")).client, /^[0-9a-f]{16}$/);
    assert.equal(await ask("user ada"), "1");
    ok("granted");

    // Expired, it brings another one (error 109).
    const fresh = await connected("/token", {token: token({sub: "bob", exp: now() - 1}),
                                             getToken: async () => token({sub: "bob", exp: now() + 600})});
    assert.equal(fresh.state, "connected");
    ok("expired and renewed");
  },

  async refresh() {
    let asked = 0;
    const made = await connected("/token", {
      token: token({sub: "ada", exp: now() + 2}),
      getToken: async () => token({sub: "ada", exp: now() + (++asked > 1 ? 600 : 2)}),
    });
    let left = false;
    made.on("connecting", () => { left = true; });
    await until(() => asked === 2, "two new tokens");
    await made.rpc("x").catch((error) => assert.equal(error.code, 108));
    assert(!left, "it went away");
    ok("connection");

    let subscriptionTokens = 0;
    const subscription = await subscribed(made, "token-room", {
      getToken: async () => token({sub: "ada", channel: "token-room", exp: now() + (++subscriptionTokens > 2 ? 600 : 2)}),
    });
    await until(() => subscriptionTokens === 3, "three tokens of the subscription");
    assert.equal(subscription.state, "subscribed");
    ok("subscription");

    for (const claims of [{sub: "ada", channel: "other"}, {sub: "eve", channel: "token-2"}, {}]) {
      const refused = made.newSubscription("token-2", {token: token(claims)});
      refused.subscribe();
      assert.equal((await next(refused, "unsubscribed")).code, 103);
      made.removeSubscription(refused);
    }
    ok("wrong tokens");
  },

  async channels() {
    const [one, two] = [await connected("/open"), await connected("/open")];
    const first = await subscribed(one, "room");
    const second = await subscribed(two, "room");
    await first.publish({text: "ü", n: [1.5, null]});
    await until(() => first.received.length === 1 && second.received.length === 1, "publication");
    assert.deepEqual(second.received[0].data, {text: "ü", n: [1.5, null]});
    assert.match(second.received[0].info.client, /^[0-9a-f]{16}$/);
    ok("published");

    await ask("publish room");
    await until(() => second.received.length === 4, "the API's publications");
    assert.deepEqual(second.received.slice(1).map(({data, tags}) => [data, tags?.event]),
                     [["by the API", "greeting"], ["plain text", undefined], ["AAH/", undefined]]);
    ok("from the API");

    assert.equal(await refusal(first.presence()), 108);
    assert.equal(await refusal(first.history({limit: 1})), 108);
    assert.equal(await refusal(one.publish("elsewhere", 1)), 103);
    assert.equal(await refusal(one.rpc("method")), 108);
    const quiet = await subscribed(one, "quiet");
    assert.equal(await refusal(quiet.publish(1)), 103);
    for (const [channel, code] of [["denied", 103], ["#server-to-user-x", 103], ["a\u0001b", 107], ["x".repeat(256), 107]]) {
      const refused = one.newSubscription(channel);
      refused.subscribe();
      assert.equal((await next(refused, "unsubscribed")).code, code, channel);
    }
    ok("refused");

    second.unsubscribe();
    await first.publish("again");
    await until(() => first.received.length === 5, "publication");
    await refusal(two.rpc("x"));  // Whatever was on its way to it has come.
    assert.equal(second.received.length, 4);
    second.subscribe();
    await within(second.ready(), "subscribed again");
    ok("left and came back");
  },

  async presence() {
    const options = (sub, nick) => ({token: token({sub, info: {nick}})});
    const watcher = await connected("/token", options("w", "W"));
    const room = watcher.newSubscription("presence-room", {token: token({sub: "w", channel: "presence-room", info: {seat: 1}})});
    const events = [];
    for (const name of ["join", "leave"]) {
      room.on(name, ({info}) => events.push([name, info.user, info.connInfo?.nick, ...(info.chanInfo ? [info.chanInfo] : [])]));
    }
    room.subscribe();
    await until(() => events.length === 1, "its own join");
    assert.deepEqual(events.splice(0), [["join", "w", "W", {seat: 1}]]);
    const tabs = [await connected("/token", options("ada", "Ada")), await connected("/token", options("ada", "Ada"))];
    for (const tab of tabs) await subscribed(tab, "presence-room");
    await until(() => events.length === 2, "joins");
    const {clients: members} = await room.presence();
    assert.deepEqual(Object.values(members).map(({user}) => user).sort(), ["ada", "ada", "w"]);
    const {connInfo, chanInfo} = Object.values(members).find(({user}) => user === "w");
    assert.deepEqual([connInfo, chanInfo], [{nick: "W"}, {seat: 1}]);
    assert(Object.entries(members).every(([id, info]) => id === info.client));
    assert.deepEqual(await room.presenceStats(), {numUsers: 2, numClients: 3});
    ok("members");

    tabs[0].disconnect();
    await until(() => events.length === 3, "a leave");
    assert.deepEqual(await room.presenceStats(), {numUsers: 2, numClients: 2});
    tabs[1].disconnect();
    await until(() => events.length === 4, "another leave");
    assert.deepEqual(events, [["join", "ada", "Ada"], ["join", "ada", "Ada"], ["leave", "ada", "Ada"], ["leave", "ada", "Ada"]]);
    assert.deepEqual(await room.presenceStats(), {numUsers: 1, numClients: 1});
    ok("left");

    const stranger = await connected("/open");
    const guest = await subscribed(stranger, "presence-room");
    assert.deepEqual(await guest.presenceStats(), {numUsers: 2, numClients: 2});
    const {clients: with_guest} = await guest.presence();
    assert.deepEqual(Object.values(with_guest).map(({user}) => user).sort(), ["", "w"]);
    ok("anonymous");
  },

  async history() {
    const made = await connected("/open");
    const log = await subscribed(made, "history-log");
    for (let i = 1; i <= 5; ++i) await log.publish(i);
    await until(() => log.received.length === 5, "publications");
    const data = ({publications}) => publications.map((publication) => publication.data);
    const position = await log.history();
    assert.equal(position.offset, 5);
    assert.deepEqual(data(position), []);
    const {epoch} = position;
    assert.deepEqual(data(await log.history({limit: 2})), [1, 2]);
    assert.deepEqual(data(await log.history({limit: -1})), [1, 2, 3, 4, 5]);
    assert.deepEqual(data(await log.history({limit: 2, reverse: true})), [5, 4]);
    assert.deepEqual(data(await log.history({limit: 2, since: {offset: 2, epoch}})), [3, 4]);
    assert.deepEqual(data(await log.history({limit: 2, reverse: true, since: {offset: 3, epoch}})), [2, 1]);
    assert.equal(await refusal(log.history({limit: 1, since: {offset: 2, epoch: "other"}})), 112);
    ok("history");

    const late = await connected("/open");
    const since = late.newSubscription("history-log", {since: {offset: 3, epoch}});
    since.received = [];
    since.on("publication", ({data, offset}) => since.received.push([data, offset]));
    since.subscribe();
    const context = await next(since, "subscribed");
    assert(context.wasRecovering && context.recovered && context.recoverable);
    await until(() => since.received.length === 2, "recovered publications");
    assert.deepEqual(since.received, [[4, 4], [5, 5]]);
    ok("recovered");

    for (const position of [{offset: 3, epoch: "other"}, {offset: 99, epoch}]) {
      const lost = (await connected("/open")).newSubscription("history-log", {since: position});
      lost.on("publication", () => assert.fail("a partial recovery"));
      lost.subscribe();
      const what = await next(lost, "subscribed");
      assert(what.wasRecovering && !what.recovered && !what.hasRecoveredPublications);
    }
    ok("truthfully not recovered");

    // Cache: the newest on subscribing.
    await ask("publish cache-price");
    const price = (await connected("/open")).newSubscription("cache-price");
    price.subscribe();
    assert.equal((await next(price, "publication")).data, "newest");
    ok("cache");
  },

  async application() {
    const made = await connected("/hook?name=ada");
    const messages = [];
    made.on("message", ({data}) => messages.push(data));
    assert.deepEqual((await made.rpc("add", {a: 1, b: 2})).data, {sum: 3});
    assert.equal((await made.rpc("text", null)).data, "plain");
    assert.equal(await refusal(made.rpc("nothing")), 104);
    assert.equal(await refusal(made.rpc("forbidden")), 103);
    assert.equal(await refusal(made.rpc("own")), 1234);
    assert.equal(await refusal(made.rpc("broken")), 100);
    ok("rpc");

    await made.send({note: "hello"});
    await until(() => messages.length === 1, "the answer of send");
    assert.deepEqual(messages, [{heard: {note: "hello"}}]);
    ok("send");

    const granted = await subscribed(made, "hook-yes");
    const refused = made.newSubscription("hook-no");
    refused.subscribe();
    assert.equal((await next(refused, "unsubscribed")).code, 103);
    await granted.publish("fine");
    await until(() => granted.received.length === 1, "publication");
    assert.equal(await refusal(granted.publish("bad")), 103);
    ok("asked about channels");

    // It unsubscribes while the application thinks, and subscribes again.
    const changing = made.newSubscription("hook-later");
    const heard = [];
    for (const name of ["subscribed", "unsubscribed", "error"]) changing.on(name, () => heard.push(name));
    changing.subscribe();
    await ask("asked");
    changing.unsubscribe();
    await ask("release");
    await made.rpc("text", null);  // Behind it in the queue.
    assert.equal(await ask("subscribers"), "0");
    changing.subscribe();
    await within(changing.ready(), "subscribed again");
    assert.equal(await ask("subscribers"), "1");
    assert.deepEqual(heard, ["unsubscribed", "subscribed"]);
    ok("taken back");

    const rejected = client("/hook?name=nobody");
    rejected.connect();
    await next(rejected, "error");
    rejected.disconnect();
    ok("refused at the handshake");
  },

  async by_server() {
    const made = client("/token", {token: token({sub: "ada", channels: ["news", "history-news"]})});
    const seen = [];
    for (const name of ["subscribed", "unsubscribed"]) made.on(name, ({channel}) => seen.push(`${name} ${channel}`));
    made.on("publication", ({channel, data}) => seen.push(`${channel} ${JSON.stringify(data)}`));
    made.on("message", ({data}) => seen.push(`message ${JSON.stringify(data)}`));
    made.connect();
    await until(() => seen.length === 2, "server-side subscriptions");
    assert.deepEqual(seen.splice(0).sort(), ["subscribed history-news", "subscribed news"]);
    await ask("publish news");
    await until(() => seen.length === 1, "news");
    assert.deepEqual(seen.splice(0), ['news "newest"']);
    ok("by token");

    await ask("subscribe ada extra");
    await until(() => seen.length === 1, "subscribed");
    await ask("publish extra");
    await until(() => seen.length === 2, "publication");
    await ask("unsubscribe ada extra");
    await until(() => seen.length === 3, "unsubscribed");
    assert.deepEqual(seen.splice(0), ["subscribed extra", 'extra "newest"', "unsubscribed extra"]);
    ok("by the API");

    await ask("send ada");
    await until(() => seen.length === 2, "messages");
    assert.deepEqual(seen.splice(0).sort(), ['message "for the user"', 'message {"one":1}']);
    ok("messages");

    // It was away while there was news.
    let again = next(made, "connecting");
    await ask("disconnect ada 3011");
    assert.equal((await again).code, 3011);
    await within(made.ready(), "connected again");
    seen.splice(0);
    made.disconnect();
    await ask("publish history-news");
    made.connect();
    await until(() => seen.some((event) => event === 'history-news "newest"'), "the missed news");
    ok("recovered");

    const final = next(made, "disconnected");
    await ask("disconnect ada");
    assert.equal((await final).code, 3503);
    ok("disconnected for good");
  },

  // Publications go on while workers die or are replaced: none is missing, none comes twice.
  async flow() {
    const made = [];
    for (let i = 0; i < 8; ++i) made.push(await connected("/open"));
    let recovered = 0;
    let lost = 0;
    const rooms = [];
    for (const one of made) {
      const room = await subscribed(one, "history-flow");
      room.on("subscribed", (context) => {
        if (context.wasRecovering) context.recovered ? ++recovered : ++lost;
      });
      rooms.push(room);
    }
    let drops = 0;
    for (const one of made) one.on("connecting", () => ++drops);
    const total = Number(await ask("flow"));
    await until(() => rooms.every((room) => room.received.length >= total), "all publications");
    const expected = Array.from({length: total}, (_, i) => i + 1);
    for (const room of rooms) assert.deepEqual(room.received.map(({data}) => data), expected);
    assert.equal(lost, 0);
    ok(`drops ${drops} recovered ${recovered} publications ${total}`);
  },
};

try {
  await scenarios[scenario]();
} catch (error) {
  console.log(error.stack ?? String(error));
  process.exitCode = 1;
}
for (const made of clients) made.disconnect();
process.exit();

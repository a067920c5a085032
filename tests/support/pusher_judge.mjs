// Judges the gateway's Pusher protocol by its official parties, unmodified: pusher-js and laravel-echo as clients, the
// "pusher" package as their application's server.  For tests/integration/test_pusher.py.
//
//   node pusher_judge.mjs SCENARIO
//
// First of all it asks for "start PORT", whose answer is the gateway's host:port; webhooks are taken at PORT.  Any surprise
// ends it with a message and status 1.

import assert from "node:assert/strict";
import {createServer} from "node:http";
import Echo from "laravel-echo";
import Server from "pusher";
import Client from "pusher-js";
import {ask, ok} from "./dialogue.mjs";

const APP = {appId: "77", key: "bgkey01", secret: "bg-secret-01 of the test"};
const WAIT_MS = 15_000;

function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// What a client is told, kept until somebody waits for it.
class Inbox {
  items = [];
  waiting = [];

  push(item) {
    this.items.push(item);
    this.waiting = this.waiting.filter(({fits, resolve}) => !this.#give(fits, resolve));
  }
  #give(fits, resolve) {
    const at = this.items.findIndex(fits);
    if (at >= 0) resolve(this.items.splice(at, 1)[0]);
    return at >= 0;
  }
  take(fits, what) {
    return within(new Promise((resolve) => {
      if (!this.#give(fits, resolve)) this.waiting.push({fits, resolve});
    }), what);
  }
}

// --- The application: its webhooks, and what it signs for its clients.

const hooks = new Inbox();
let refuse_hooks = 0;
const receiver = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const hook = server.webhook({headers: request.headers, rawBody: Buffer.concat(parts).toString()});
    if (!hook.isValid()) hooks.push({name: "invalid webhook"});
    const taken = refuse_hooks-- <= 0;
    if (taken) for (const event of hook.getEvents()) hooks.push(event);
    response.writeHead(taken ? 200 : 503).end();
  });
});
await new Promise((listening) => receiver.listen(0, "127.0.0.1", listening));
const address = await ask(`start ${receiver.address().port}`);
const [host, port] = address.split(":");
const server = new Server({...APP, host, port, useTLS: false, encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString("base64")});

const open = [];
function options(user, more = {}) {
  return {
    cluster: "", wsHost: host, wsPort: Number(port), forceTLS: false, enabledTransports: ["ws"], disableStats: true,
    channelAuthorization: {
      customHandler: ({socketId, channelName}, done) => {
        if (channelName.includes("forbidden")) return done(null, {auth: `${APP.key}:00`, channel_data: "{}"});
        const data = channelName.startsWith("presence-") && user ? {user_id: user, user_info: {name: `Name of ${user}`}} : undefined;
        done(null, server.authorizeChannel(socketId, channelName, data));
      },
    },
    userAuthentication: {
      customHandler: ({socketId}, done) => done(null, server.authenticateUser(socketId, {id: user, user_info: {name: user}})),
    },
    ...more,
  };
}

// A pusher-js client that notes everything.
class Peer {
  inbox = new Inbox();

  constructor(user, more, key = APP.key) {
    this.pusher = new Client(key, options(user, more));
    this.pusher.bind_global((event, data) => this.inbox.push({event, data}));
    this.pusher.connection.bind("error", (error) => this.inbox.push({event: "error", data: error}));
    this.pusher.connection.bind("state_change", ({current}) => this.inbox.push({event: `state ${current}`}));
    open.push(this.pusher);
  }
  async connected() {
    await this.told("state connected");
    return this;
  }
  get socket() { return this.pusher.connection.socket_id; }
  told(event, data) {
    return this.inbox.take((each) => each.event === event && (data === undefined || same(each.data, data)),
                           `${event} ${JSON.stringify(data) ?? ""}`);
  }
  // The channel, once it is subscribed; its events are noted with its name.
  async join(name) {
    const channel = this.pusher.subscribe(name);
    channel.bind_global((event, data) => this.inbox.push({event: `${name} ${event}`, data}));
    await within(new Promise((resolve, reject) => {
      channel.bind("pusher:subscription_succeeded", resolve);
      channel.bind("pusher:subscription_error", (error) => reject(new Error(JSON.stringify(error))));
    }), `subscription to ${name}`);
    return channel;
  }
  silent(event) {
    assert(!this.inbox.items.some((each) => each.event === event), `no ${event}: ${JSON.stringify(this.inbox.items)}`);
  }
}

function same(a, b) {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

const peer = (user, more) => new Peer(user, more).connected();
const get = async (path, params = {}) => (await server.get({path, params})).json();
const refused = (promise, status) => assert.rejects(promise, (error) => error.status === status);

// --- Scenarios.

const scenarios = {
  async public_channels() {
    const peers = await Promise.all(Array.from({length: 6}, () => peer()));
    for (const each of peers) await each.join("news");
    assert.equal(new Set(peers.map((each) => each.socket)).size, peers.length);
    await server.trigger("news", "tick", {n: 1});
    for (const each of peers) await each.told("news tick", {n: 1});
    await server.trigger(["news", "other"], "tick", "plain text", {socket_id: peers[0].socket});
    for (const each of peers.slice(1)) await each.told("news tick", "plain text");
    await server.triggerBatch([{channel: "news", name: "tick", data: {n: 2}}, {channel: "news", name: "tock", data: {n: 3}}]);
    for (const each of peers) await each.told("news tock", {n: 3});
    peers[0].silent("news tick plain text");
    assert(!peers[0].inbox.items.some((each) => each.data === "plain text"), "its own is left out");
    ok("events reach every worker's clients, in order");

    await peers[5].told("news pusher:subscription_count", {subscription_count: 6});
    peers[5].pusher.unsubscribe("news");
    await peers[0].told("news pusher:subscription_count", {subscription_count: 5});
    ok("subscription counts");

    assert.deepEqual((await get("/channels")).channels, {news: {}});
    assert.deepEqual((await get("/channels", {filter_by_prefix: "ne", info: "subscription_count"})).channels,
                     {news: {subscription_count: 5}});
    assert.deepEqual(await get("/channels/news", {info: "subscription_count"}), {occupied: true, subscription_count: 5});
    assert.deepEqual(await get("/channels/nothing"), {occupied: false});
    const told = await (await server.trigger(["news", "x"], "tick", {n: 4}, {info: "subscription_count"})).json();
    assert.deepEqual(told.channels, {news: {subscription_count: 5}, x: {subscription_count: 0}});
    await refused(server.get({path: "/channels/news/users"}), 400);
    await refused(server.get({path: "/channels", params: {info: "user_count"}}), 400);
    await refused(server.get({path: "/nothing"}), 404);
    await refused(server.trigger("news", "pusher:error", {}), 400);
    const stranger = new Server({...APP, secret: "another one, which is wrong", host, port, useTLS: false});
    await refused(stranger.trigger("news", "tick", {}), 401);
    ok("the HTTP API");
  },

  async private_channels() {
    const [ann, bob, eve] = await Promise.all([peer("ann"), peer("bob"), peer("eve")]);
    const room = await ann.join("private-room");
    await bob.join("private-room");
    await assert.rejects(eve.join("private-forbidden"), /AuthError/);
    ok("authorisation granted and refused");

    assert(room.trigger("client-typing", {at: 1}));
    await bob.told("private-room client-typing", {at: 1});
    await server.trigger("private-room", "done", {});
    await ann.told("private-room done");
    ann.silent("private-room client-typing");
    eve.pusher.send_event("client-typing", {at: 2}, "private-room");
    assert.equal((await eve.told("error")).data.data.code, 4301);
    ann.pusher.send_event("client-typing", {at: 3}, "news");
    assert.equal((await ann.told("error")).data.data.code, 4301);
    ok("client events, of subscribers only, never to the sender");

    for (let i = 0; i < 30; ++i) room.trigger("client-flood", {i});
    assert.equal((await ann.told("error")).data.data.code, 4301);
    assert.equal(ann.pusher.connection.state, "connected");
    ok("the rate of client events is bounded");

    await ann.join("private-encrypted-safe");
    await server.trigger("private-encrypted-safe", "secret", {pin: 4711});
    await ann.told("private-encrypted-safe secret", {pin: 4711});
    ok("encrypted channels");

    const hook = (name) => hooks.take((event) => event.name === name, `webhook ${name}`);
    const event = await hook("client_event");
    assert.equal(event.channel, "private-room");
    assert.equal(event.event, "client-typing");
    assert.equal(event.socket_id, ann.socket);
    ok("webhooks of client events");
  },

  async presence() {
    const [ann, ann2, bob] = await Promise.all([peer("ann"), peer("ann"), peer("bob")]);
    const first = await ann.join("presence-lobby");
    assert.equal(first.members.count, 1);
    assert.deepEqual(first.members.me, {id: "ann", info: {name: "Name of ann"}});
    const second = await bob.join("presence-lobby");
    assert.equal(second.members.count, 2);
    assert.deepEqual(second.members.get("ann").info, {name: "Name of ann"});
    const added = await ann.told("presence-lobby pusher:member_added");
    assert.deepEqual(added.data, {id: "bob", info: {name: "Name of bob"}});
    ok("members are listed and announced");

    const tab = await ann2.join("presence-lobby");
    assert.equal(tab.members.count, 2);
    second.trigger("client-wave", {to: "all"});
    await ann.told("presence-lobby client-wave", {to: "all"});
    await ann2.told("presence-lobby client-wave", {to: "all"});
    bob.silent("presence-lobby pusher:member_added");
    assert.deepEqual((await get("/channels/presence-lobby/users")).users.map(({id}) => id).sort(), ["ann", "bob"]);
    assert.deepEqual(await get("/channels/presence-lobby", {info: "user_count,subscription_count"}),
                     {occupied: true, subscription_count: 3, user_count: 2});
    assert.deepEqual((await get("/channels", {filter_by_prefix: "presence-", info: "user_count"})).channels,
                     {"presence-lobby": {user_count: 2}});
    ok("a user with two tabs is one member");

    ann2.pusher.disconnect();
    await server.trigger("presence-lobby", "mark", {});
    await bob.told("presence-lobby mark");
    bob.silent("presence-lobby pusher:member_removed");
    ann.pusher.disconnect();
    assert.equal((await bob.told("presence-lobby pusher:member_removed")).data.id, "ann");
    assert.equal(second.members.count, 1);
    ok("the last tab's end is the member's end");

    await assert.rejects(bob.join("presence-forbidden"), /AuthError/);
    ok("presence refused");
  },

  // At most four are listed, and of those that are only counted a list is made again when two are left.
  async presence_counted() {
    const names = ["u1", "u2", "u3", "u4", "u5"];
    const peers = await Promise.all(names.map((name) => peer(name)));
    const rooms = [];
    for (const each of peers) rooms.push(await each.join("presence-few"));
    await peers[0].told("presence-few pusher:subscription_count", {subscription_count: 5, user_count: 5});
    peers[0].inbox.items = peers[0].inbox.items.filter(({event}) => event !== "presence-few pusher:subscription_succeeded");
    for (const each of peers.slice(2)) each.pusher.disconnect();
    for (const each of peers.slice(0, 2)) {
      await each.inbox.take(({event, data}) => event === "presence-few pusher:subscription_succeeded" && data.count === 2, "a list");
    }
    const ids = (room) => Object.keys(room.members.members).sort();
    assert.deepEqual([ids(rooms[0]), ids(rooms[1])], [["u1", "u2"], ["u1", "u2"]]);
    assert.equal(rooms[0].members.me.id, "u1");
    ok("members are listed again");

    peers[1].pusher.disconnect();
    assert.equal((await peers[0].told("presence-few pusher:member_removed")).data.id, "u2");
    assert.equal(rooms[0].members.count, 1);
    ok("and followed from there on");
  },

  // Two apps that call everything the same.
  async apps() {
    const till = {appId: "78", key: "tillkey", secret: "0123456789abcdef"};
    const other = new Server({...till, host, port, useTLS: false});
    const customer = await peer("ann");
    const clerk = await new Peer("ann", {
      channelAuthorization: {customHandler: ({socketId, channelName}, done) =>
        done(null, other.authorizeChannel(socketId, channelName, {user_id: "ann", user_info: {name: "clerk"}}))},
      userAuthentication: {customHandler: ({socketId}, done) => done(null, other.authenticateUser(socketId, {id: "ann"}))},
    }, till.key).connected();
    for (const each of [customer, clerk]) {
      await each.join("news");
      assert.equal((await each.join("presence-room")).members.count, 1);
      each.pusher.signin();
      await each.told("pusher:signin_success");
    }
    await server.trigger("news", "tick", "the shop's");
    await other.trigger("news", "tick", "the till's");
    await customer.told("news tick", "the shop's");
    await clerk.told("news tick", "the till's");
    customer.silent("news tick");
    clerk.silent("news tick");
    ok("channels are an app's own");

    await server.sendToUser("ann", "hello", "from the shop");
    await other.sendToUser("ann", "hello", "from the till");
    await customer.told("hello", "from the shop");
    await clerk.told("hello", "from the till");
    customer.silent("hello");
    clerk.silent("hello");
    await other.terminateUserConnections("ann");
    await clerk.told("state disconnected");
    await server.trigger("news", "tock", {});
    await customer.told("news tock");
    ok("and so are users");

    assert.deepEqual((await get("/channels", {info: "subscription_count"})).channels,
                     {news: {subscription_count: 1}, "presence-room": {subscription_count: 1}});
    assert.deepEqual((await (await other.get({path: "/channels"})).json()).channels, {});
    const added = await hooks.take(({name}) => name === "member_added", "webhook member_added");
    assert.deepEqual([added.channel, added.user_id], ["presence-room", "ann"]);
    assert(!hooks.items.some(({name, channel}) => name === "member_added" || channel.includes("/")), "the till's is no matter of the shop's");
    ok("and what their servers hear");
  },

  async cache_channels() {
    const [ann, bob] = await Promise.all([peer("ann"), peer("bob")]);
    await ann.join("cache-prices");
    await ann.told("cache-prices pusher:cache_miss");
    assert.deepEqual(await hooks.take(({name}) => name === "cache_miss", "webhook cache_miss"),
                     {name: "cache_miss", channel: "cache-prices"});
    await server.trigger("cache-prices", "price", {eur: 1});
    await server.trigger("cache-prices", "price", {eur: 2});
    await bob.join("cache-prices");
    await bob.told("cache-prices price", {eur: 2});
    bob.silent("cache-prices pusher:cache_miss");
    const {cache} = await get("/channels/cache-prices", {info: "cache"});
    assert.equal(cache.data, '{"eur":2}');
    assert(cache.ttl > 1000 && cache.ttl <= 1800, String(cache.ttl));
    ok("the newest event greets new subscribers");

    const room = await ann.join("private-cache-room");
    await ann.told("private-cache-room pusher:cache_miss");
    room.trigger("client-note", {});
    await server.trigger("news", "mark", {});
    await bob.join("private-cache-room");
    await bob.told("private-cache-room pusher:cache_miss");
    ok("client events are not cached");
  },

  async users() {
    const [ann, ann2, bob] = await Promise.all([peer("ann"), peer("ann"), peer("bob")]);
    for (const each of [ann, ann2, bob]) {
      each.pusher.user.bind("greeting", (data) => each.inbox.push({event: "to me", data}));
      each.pusher.signin();
      await each.told("pusher:signin_success");
    }
    await server.sendToUser("ann", "greeting", {hello: "ann"});
    await ann.told("to me", {hello: "ann"});
    await ann2.told("to me", {hello: "ann"});
    await server.sendToUser("bob", "greeting", {hello: "bob"});
    await bob.told("to me", {hello: "bob"});
    bob.silent("to me");
    ok("what is sent to a user reaches all of its connections");

    bob.pusher.send_event("pusher:subscribe", {channel: "#server-to-user-ann", auth: ""});
    await bob.told("pusher:subscription_error");
    ok("nobody listens to another user");

    await server.terminateUserConnections("ann");
    await ann.told("state failed").catch(() => ann.told("state disconnected"));
    assert.notEqual(ann2.pusher.connection.state, "connected");
    assert.equal(bob.pusher.connection.state, "connected");
    ok("a user's connections are terminated");
  },

  async watchlist() {
    const bob = await peer("bob");
    bob.pusher.signin();
    await bob.told("pusher:signin_success");
    const ann = await new Peer("ann", {userAuthentication: {customHandler: ({socketId}, done) =>
      done(null, server.authenticateUser(socketId, {id: "ann", watchlist: ["bob", "carl"]}))}}).connected();
    for (const event of ["online", "offline"]) {
      ann.pusher.user.watchlist.bind(event, (data) => ann.inbox.push({event, data: data.user_ids}));
    }
    ann.pusher.signin();
    await ann.told("online", ["bob"]);
    const carl = await peer("carl");
    carl.pusher.signin();
    await ann.told("online", ["carl"]);
    const tab = await peer("carl");
    tab.pusher.signin();
    await tab.told("pusher:signin_success");
    tab.pusher.disconnect();
    bob.pusher.disconnect();
    await ann.told("offline", ["bob"]);
    ann.silent("offline");
    carl.pusher.disconnect();
    await ann.told("offline", ["carl"]);
    ok("users come online and go offline");
  },

  async webhooks() {
    const hook = (name, more) => hooks.take((event) => same(event, {name, ...more}), `webhook ${name} ${JSON.stringify(more)}`);
    const [ann, ann2, bob] = await Promise.all([peer("ann"), peer("ann"), peer("bob")]);
    await ann.join("news");
    await hook("channel_occupied", {channel: "news"});
    await hook("subscription_count", {channel: "news", subscription_count: 1});
    await bob.join("news");
    await hook("subscription_count", {channel: "news", subscription_count: 2});
    ok("channels that become occupied, and how many are in them");

    await ann.join("presence-lobby");
    await hook("member_added", {channel: "presence-lobby", user_id: "ann"});
    await ann2.join("presence-lobby");
    await bob.join("presence-lobby");
    await hook("member_added", {channel: "presence-lobby", user_id: "bob"});
    ann.pusher.unsubscribe("presence-lobby");
    bob.pusher.unsubscribe("presence-lobby");
    await hook("member_removed", {channel: "presence-lobby", user_id: "bob"});
    assert(!hooks.items.some(({name, user_id}) => name.startsWith("member_") && user_id === "ann"), "ann is one member, still there");
    ok("members");

    refuse_hooks = 3;
    ann2.pusher.disconnect();
    await hook("member_removed", {channel: "presence-lobby", user_id: "ann"});
    assert(refuse_hooks < 0, "what was not taken has come again");
    await hook("channel_vacated", {channel: "presence-lobby"});
    ok("again until they are taken");

    // Back within three seconds: never vacant, and not occupied anew.
    ann.pusher.unsubscribe("news");
    bob.pusher.unsubscribe("news");
    await hook("subscription_count", {channel: "news", subscription_count: 0});
    await bob.join("news");
    await hook("subscription_count", {channel: "news", subscription_count: 1});
    await bob.join("last");
    await hook("channel_occupied", {channel: "last"});
    assert(!hooks.items.some(({name, channel}) => name.startsWith("channel_") && channel === "news"), "a moment is nothing");
    for (const each of [ann, bob]) each.pusher.disconnect();
    await hook("channel_vacated", {channel: "news"});
    await hook("channel_vacated", {channel: "last"});
    ok("a channel that is empty for a moment");
  },

  async laravel_echo() {
    globalThis.window ??= globalThis;
    const echo = (user) => {
      const made = new Echo({broadcaster: "pusher", key: APP.key, Pusher: Client, client: new Client(APP.key, options(user))});
      open.push(made.connector.pusher);
      return made;
    };
    const [ann, bob] = [echo("ann"), echo("bob")];
    const inbox = new Inbox();
    const channel = ann.channel("orders").listen(".shipped", (data) => inbox.push(data));
    await within(new Promise((done) => channel.subscribed(done)), "subscribed");
    await server.trigger("orders", "shipped", {id: 5});
    await inbox.take((data) => same(data, {id: 5}), "the event");
    ok("public");

    const seen = new Inbox();
    const room = (who, name) => who.join("room")
      .here((users) => seen.push({name, here: users.map((user) => user.name).sort()}))
      .joining((user) => seen.push({name, joining: user.name}))
      .leaving((user) => seen.push({name, leaving: user.name}))
      .listenForWhisper("typing", (data) => seen.push({name, typing: data}));
    const saw = (item) => seen.take((each) => same(each, item), JSON.stringify(item));
    const hers = room(ann, "ann");
    await saw({name: "ann", here: ["Name of ann"]});
    room(bob, "bob");
    await saw({name: "bob", here: ["Name of ann", "Name of bob"]});
    await saw({name: "ann", joining: "Name of bob"});
    hers.whisper("typing", {key: "x"});
    await saw({name: "bob", typing: {key: "x"}});
    bob.disconnect();
    await saw({name: "ann", leaving: "Name of bob"});
    ok("here, joining, leaving, whispers");
  },

  async worker_loss() {
    const [ann, bob] = await Promise.all([peer("ann"), peer("bob")]);
    await ann.join("presence-lobby");
    await bob.join("presence-lobby");
    await ask("kill workers");
    await Promise.all([ann, bob].map((each) => each.told("state connected")));
    // After a new connection each of them subscribes anew, by itself.
    await ann.told("presence-lobby pusher:subscription_succeeded");
    for (let listed = 0; listed !== 2;) listed = (await get("/channels/presence-lobby/users")).users.length;
    await server.trigger("presence-lobby", "tick", {n: 1});
    await ann.told("presence-lobby tick", {n: 1});
    await bob.told("presence-lobby tick", {n: 1});
    ok("clients come back and find each other");
  },

  async survival() {
    const [ann, bob] = await Promise.all([peer("ann"), peer("bob")]);
    await ann.join("presence-lobby");
    const room = await bob.join("presence-lobby");
    ann.pusher.signin();
    await ann.told("pusher:signin_success");
    await ask("kill workers");
    await server.trigger("presence-lobby", "tick", {n: 1});
    await ann.told("presence-lobby tick", {n: 1});
    await bob.told("presence-lobby tick", {n: 1});
    room.trigger("client-still", {here: true});
    await ann.told("presence-lobby client-still", {here: true});
    ann.pusher.user.bind("greeting", (data) => ann.inbox.push({event: "to me", data}));
    await server.sendToUser("ann", "greeting", {n: 2});
    await ann.told("to me", {n: 2});
    assert.equal((await get("/channels/presence-lobby/users")).users.length, 2);
    for (const each of [ann, bob]) each.silent("state unavailable"), each.silent("state connecting");
    bob.silent("presence-lobby pusher:member_removed");
    ok("nobody has noticed the death of the workers");
  },
};

const scenario = scenarios[process.argv[2]];
assert(scenario, "which scenario?");
try {
  await scenario();
  assert(!hooks.items.some(({name}) => name === "invalid webhook"), "webhooks are signed");
} finally {
  for (const each of open) each.disconnect();
}
receiver.close();
process.exit(0);

// Plays scenarios with the official Phoenix client for tests/integration/test_phoenix.py.
//
//   node phoenix_client.mjs ENDPOINT SCENARIO            ENDPOINT: http://127.0.0.1:PORT/socket
//
// Any surprise ends it with a message and status 1.

import assert from "node:assert/strict";
import {LongPoll, Presence, Socket} from "phoenix";
import WebSocket from "ws";
import {ask, ok} from "./dialogue.mjs";

const [, , endpoint, scenario] = process.argv;
const sockets = [];

function within(ms, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A socket that keeps what it has seen.
function connect(options = {}) {
  const socket = new Socket(endpoint, {transport: WebSocket, timeout: 20_000, ...options});
  socket.closes = [];
  socket.errors = [];
  socket.onClose((event) => socket.closes.push(event));
  socket.onError((error) => socket.errors.push(error));
  sockets.push(socket);
  socket.connect();
  return socket;
}

const opened = (socket) => within(20_000, new Promise((resolve) => {
  if (socket.isConnected()) resolve();
  socket.onOpen(resolve);
}), "open");

// {status, response} of a push.
const reply = (push) => within(21_000, new Promise((resolve) => {
  for (const status of ["ok", "error", "timeout"]) push.receive(status, (response) => resolve({status, response}));
}), "reply");

// Messages of an event, to be waited for.
class Inbox {
  constructor(channel, event) {
    this.messages = [];
    this.waiting = [];
    channel.on(event, (payload) => {
      this.messages.push(payload);
      this.waiting.splice(0).forEach((wake) => wake());
    });
  }
  async count(n) {
    await within(20_000, (async () => {
      while (this.messages.length < n) await new Promise((resolve) => this.waiting.push(resolve));
    })(), `${n} messages, there are ${this.messages.length}`);
    return this.messages;
  }
}

async function join(socket, topic, params = {}) {
  const channel = socket.channel(topic, params);
  const {status, response} = await reply(channel.join());
  assert.equal(status, "ok", `${topic}: ${JSON.stringify(response)}`);
  channel.joined = response;
  return channel;
}

// What is true sooner or later.
async function until(condition, what, ms = 20_000) {
  const end = Date.now() + ms;
  while (!condition()) {
    assert(Date.now() < end, `${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

// --- Scenarios for either transport.

async function talk(options) {
  const [ada, grace, carol] = [connect(options), connect(options), connect(options)];
  const rooms = [];
  for (const socket of [ada, grace, carol]) rooms.push(await join(socket, "room:tea"));
  const inboxes = rooms.map((room) => new Inbox(room, "say"));
  ok("three clients have joined");

  assert.deepEqual(await reply(rooms[0].push("say", {text: "hello", n: 1.5, list: [null, true]})),
                   {status: "ok", response: {}});
  for (const inbox of inboxes.slice(1)) {
    assert.deepEqual(await inbox.count(1), [{text: "hello", n: 1.5, list: [null, true]}]);
  }
  ok("a push is answered and reaches the others");

  const bytes = new Uint8Array([0xde, 0xad, 0, 255]).buffer;
  const binary = rooms.map((room) => new Inbox(room, "pcm"));
  assert.deepEqual(await reply(rooms[0].push("pcm", bytes)), {status: "ok", response: {}});
  const [heard] = await binary[1].count(1);
  const expected = options.transport === LongPoll ? {base64: "3q0A/w=="} : [0xde, 0xad, 0, 255];
  assert.deepEqual(heard instanceof ArrayBuffer ? [...new Uint8Array(heard)] : heard, expected);
  ok("a binary push too");

  for (let i = 0; i < 250; ++i) rooms[1].push("say", {i});
  const many = await inboxes[0].count(250);
  assert.deepEqual(many.slice(-250).map(({i}) => i), [...Array(250).keys()]);
  await inboxes[2].count(251);
  assert.equal(inboxes[1].messages.length, 1, "nobody hears itself");
  ok("250 pushes reach the others in order, and nobody itself");

  const messages = new Inbox(rooms[0], "message");
  await ask("publish");
  assert.deepEqual(await messages.count(3), [{from: "the application"}, "plain text", [1, 2]]);
  ok("what the application publishes comes as the event message");

  assert.deepEqual(await reply(rooms[2].push("phx_error", {})), {status: "error", response: {reason: "invalid event"}});
  assert.deepEqual(await reply(rooms[2].push("presence_diff", {})),
                   {status: "error", response: {reason: "invalid event"}});
  let closed = 0;
  rooms[2].onClose(() => ++closed);
  assert.equal((await reply(rooms[2].leave())).status, "ok");
  assert.equal(closed, 1);
  rooms[0].push("say", {after: "leave"});
  await inboxes[1].count(2);
  assert.equal(inboxes[2].messages.length, 251);
  const again = await join(carol, "room:tea");
  const heard_again = new Inbox(again, "say");
  await reply(rooms[0].push("say", {back: true}));
  assert.deepEqual(await heard_again.count(1), [{back: true}]);
  ok("who has left hears nothing until it comes back");

  const twin = carol.channel("room:tea", {});  // The client leaves the first one by itself.
  assert.equal((await reply(twin.join())).status, "ok");
  const heard_twin = new Inbox(twin, "say");
  await reply(rooms[0].push("say", {twin: true}));
  assert.deepEqual(await heard_twin.count(1), [{twin: true}]);
  assert.equal(heard_again.messages.length, 1);
  ok("a second join takes the first one's place");
  assert.deepEqual([ada, grace, carol].flatMap((socket) => socket.errors), []);
}

async function presence(options) {
  const [ada, grace] = [connect(options), connect(options)];
  const room = ada.channel("presence:1", {meta: {device: "web"}});
  const watched = new Presence(room);
  assert.equal((await reply(room.join())).status, "ok");
  const keys = () => Object.keys(watched.state);
  await until(() => keys().length === 1, "one member");
  assert.match(keys()[0], /^[0-9a-f]{16}$/);
  const [mine] = watched.list((_, {metas}) => metas[0]);
  assert.equal(mine.device, "web");
  assert.equal(typeof mine.phx_ref, "string");
  ok("it finds itself");

  const other = grace.channel("presence:1", {meta: {device: "phone", online: [1]}});
  const seen = new Presence(other);
  assert.equal((await reply(other.join())).status, "ok");
  await until(() => Object.keys(seen.state).length === 2, "two members at the new one");
  await until(() => keys().length === 2, "two members at the first one");
  const refs = watched.list((_, {metas}) => metas).flat().map(({phx_ref}) => phx_ref);
  assert.equal(new Set(refs).size, 2);
  assert.deepEqual(watched.list((key, {metas}) => metas.map(({device}) => device)).flat().sort(), ["phone", "web"]);
  ok("two members see each other, with what they say of themselves");

  const tab = connect({...options, params: {name: "x"}});
  await join(tab, "presence:1");
  await until(() => keys().length === 3, "three members");
  tab.disconnect();
  await until(() => keys().length === 2, "one has left", options.transport === LongPoll ? 40_000 : 20_000);
  assert.equal((await reply(other.leave())).status, "ok");
  await until(() => keys().length === 1, "the other has left");
  ok("members go by disconnecting and by leaving");

  const crowd = Array.from({length: 20}, () => connect(options));
  await Promise.all(crowd.map((socket) => join(socket, "presence:1")));
  await until(() => keys().length === 21, "a crowd");
  if (options.transport !== LongPoll) {
    crowd.forEach((socket) => socket.disconnect());
    await until(() => keys().length === 1, "the crowd gone");
  }
  ok("a crowd comes and goes");
  assert.deepEqual(ada.errors, []);
}

async function users(options) {
  // Two tabs of one user and one of another, by their tokens.
  const token = (await ask("tokens")).split(" ");
  const [ada, tab, grace] = [0, 0, 1].map((i) => connect({...options, authToken: token[i]}));
  const channel = ada.channel("presence:users");
  const watched = new Presence(channel);
  const log = [];
  watched.onJoin((key, current, {metas}) => log.push(`join ${key} ${current?.metas.length ?? 0}+${metas.length}`));
  watched.onLeave((key, current, {metas}) => log.push(`leave ${key} ${current.metas.length}-${metas.length}`));
  assert.equal((await reply(channel.join())).status, "ok");
  await until(() => watched.state.ada?.metas.length === 1, "ada");
  await join(tab, "presence:users");
  await until(() => watched.state.ada?.metas.length === 2, "ada's two tabs");
  await join(grace, "presence:users");
  await until(() => watched.state.grace?.metas.length === 1, "grace");
  assert.deepEqual(Object.keys(watched.state).sort(), ["ada", "grace"]);
  tab.disconnect();
  await until(() => watched.state.ada.metas.length === 1, "one tab of ada", 40_000);
  grace.disconnect();
  await until(() => watched.state.grace === undefined, "grace gone", 40_000);
  assert.deepEqual(log, ["join ada 0+1", "join ada 1+1", "join grace 0+1", "leave ada 1-1", "leave grace 0-1"]);
  ok("a user with two tabs is one member with two metas");

  const own = await join(ada, "#server-to-user-ada");
  const mail = new Inbox(own, "message");
  await ask("publish to ada");
  assert.deepEqual(await mail.count(1), [{for: "ada"}]);
  const foreign = await reply(ada.channel("#server-to-user-grace").join());
  assert.deepEqual(foreign, {status: "error", response: {reason: "unauthorized"}});
  ok("a user's own channel, and nobody else's");

  for (const authToken of [token[2], "nonsense", undefined]) {
    const stranger = connect({...options, authToken, reconnectAfterMs: () => 100_000});
    await until(() => stranger.errors.length > 0, "refused");
    assert(!stranger.isConnected());
    stranger.disconnect();
  }
  ok("no entrance without a good token");
}

async function webhook(options) {
  await ask("refuse connections");
  const refused = connect({...options, reconnectAfterMs: () => 50});
  await until(() => refused.errors.length > 0, "refused");
  assert(!refused.isConnected());
  if (options.transport === LongPoll) {
    await until(() => refused.closes.length > 0, "closed");
    assert.equal(refused.closes[0].code, 1008);
  }
  refused.disconnect();
  ok("the application refuses a connection");

  await ask("accept connections");
  const ada = connect({...options, params: {room: "tea"}, authToken: "a token of ours"});
  await opened(ada);
  ok("it accepts another one");

  const room = ada.channel("room:1", {name: "ada"});
  assert.deepEqual(await reply(room.join()), {status: "ok", response: {motd: "hi", topic: "room:1"}});
  const denied = await reply(ada.channel("secret:1", {}).join());
  assert.deepEqual(denied, {status: "error", response: {reason: "members only"}});
  const refusal = await reply(ada.channel("secret:2", {}).join());
  assert.deepEqual(refusal, {status: "error", response: {reason: "unauthorized"}});
  const broken = await reply(ada.channel("broken:1", {}).join());
  assert.deepEqual(broken, {status: "error", response: {reason: "unavailable"}});
  const seen = [];
  const listening = ada.onMessage(({topic, event, payload}) => { if (topic === "greeted:1") seen.push([event, payload]); });
  const greeted = ada.channel("greeted:1", {});
  const greetings = new Inbox(greeted, "message");
  assert.deepEqual(await reply(greeted.join()), {status: "ok", response: {motd: "hello"}});
  await greetings.count(3);
  ada.off([listening]);
  assert.deepEqual(seen.map(([event]) => event), ["phx_reply", "message", "message", "message"]);
  assert.deepEqual([seen[1][1], seen[3][1]], [{n: 1}, {n: 2}]);
  ok("its word on joins is the join's reply");

  const inbox = new Inbox(room, "message");
  assert.deepEqual(await reply(room.push("echo", {a: [1]})), {status: "ok", response: {a: [1]}});
  assert.deepEqual(await reply(room.push("nothing", {})), {status: "ok", response: {}});
  assert.deepEqual(await reply(room.push("bad", {})), {status: "error", response: {field: "a", problem: "missing"}});
  const bytes = await reply(room.push("bytes", new Uint8Array([1, 2, 3]).buffer));
  assert.equal(bytes.status, "ok");
  assert.deepEqual(bytes.response instanceof ArrayBuffer ? [...new Uint8Array(bytes.response)] : bytes.response,
                   options.transport === LongPoll ? {base64: "AwIB"} : [3, 2, 1]);
  assert.equal((await reply(room.push("tell", {}))).status, "ok");
  assert.deepEqual(await inbox.count(2), [{more: 1}, {told: "everybody"}]);
  ok("and on pushes the push's");

  let closed = 0;
  room.onClose(() => ++closed);
  assert.equal((await reply(room.push("kick", {}))).status, "ok");
  await until(() => closed === 1, "closed by the application");
  ok("it closes a topic");
  await ask("check requests");
}

// --- Scenarios of the WebSocket.

async function heartbeat() {
  const ada = connect({heartbeatIntervalMs: 20});
  await opened(ada);
  const before = [];
  ada.onMessage(({topic, event, payload}) => before.push([topic, event, payload.status]));
  await until(() => before.length >= 3, "three heartbeats");
  assert(before.every((each) => JSON.stringify(each) === '["phoenix","phx_reply","ok"]'));
  const rtt = await within(5000, new Promise((resolve) => ada.ping(resolve)), "ping");
  assert(rtt < 5000);
  assert.equal(ada.closes.length, 0);
  ok("heartbeats are answered");
}

async function come_back() {
  const all = Array.from({length: 12}, () => connect({rejoinAfterMs: () => 50}));
  const rooms = [];
  const views = [];
  for (const socket of all) {
    const room = socket.channel("presence:1");
    views.push(new Presence(room));
    assert.equal((await reply(room.join())).status, "ok");
    rooms.push(room);
  }
  const size = (view) => Object.keys(view.state).length;
  for (const view of views) await until(() => size(view) === 12, "everybody");
  ok("twelve are there");
  const began = Date.now();
  await ask("kill a worker");
  await until(() => all.some((socket) => socket.closes.length > 0), "somebody lost");
  await until(() => rooms.every((room) => room.state === "joined"), "everybody back");
  for (const view of views) await until(() => size(view) === 12, `everybody again`);
  assert(all.every((socket) => socket.closes.length <= 1));
  ok(`lost ${all.filter((socket) => socket.closes.length > 0).length}, right again after ${Date.now() - began} ms`);
  const inboxes = rooms.map((room) => new Inbox(room, "say"));
  await reply(rooms[0].push("say", {back: true}));
  for (const inbox of inboxes.slice(1)) assert.deepEqual(await inbox.count(1), [{back: true}]);
  ok("and it talks again");

  const closes = all.map((socket) => socket.closes.length);
  await ask("reload");
  await until(() => rooms.every((room) => room.state === "joined"), "everybody joined");
  await reply(rooms[1].push("say", {reloaded: true}));
  await inboxes[0].count(1);
  assert.deepEqual(inboxes[0].messages.at(-1), {reloaded: true});
  assert.deepEqual(all.map((socket) => socket.closes.length), closes);
  ok("a reload is not noticed");
}

// A session by polls ends with its worker, but for a reload: the client is told 500, and opens another one by itself.
async function poll_come_back() {
  const all = Array.from({length: 4}, () => connect({transport: LongPoll, rejoinAfterMs: () => 50}));
  const rooms = all.map((socket) => socket.channel("presence:1"));
  const views = rooms.map((room) => new Presence(room));
  const inboxes = rooms.map((room) => new Inbox(room, "say"));
  for (const room of rooms) assert.equal((await reply(room.join())).status, "ok");
  const metas = (view) => Object.values(view.state).flatMap(({metas}) => metas).length;
  for (const view of views) await until(() => metas(view) === 4, "everybody");
  ok("four are there");
  for (const action of ["reload", "upgrade", "kill workers"]) {
    for (const socket of all) socket.closes.length = 0;
    await ask(action);
    if (action !== "reload") await until(() => all.every((socket) => socket.closes.length > 0), "every session's end");
    await until(() => rooms.every((room) => room.state === "joined"), "everybody back", 40_000);
    for (const view of views) await until(() => metas(view) === 4, "everybody once", 60_000);
    for (const inbox of inboxes) inbox.messages.length = 0;
    await reply(rooms[0].push("say", {after: action}));
    for (const inbox of inboxes.slice(1)) assert.deepEqual(await inbox.count(1), [{after: action}]);
    if (action === "reload") assert(all.every((socket) => socket.closes.length === 0), "a reload is not noticed");
    ok(`talks after ${action}`);
  }
  // Also for a poll that was held by the worker that died.
  assert.deepEqual([...new Set(all.flatMap((socket) => socket.errors))], [500]);
}

// What earlier versions of the client want of a browser.
class Request {
  static count = 0;
  open(method, url) { Object.assign(this, {method, url, abortion: new AbortController()}); }
  setRequestHeader() {}
  abort() { this.abortion.abort(); }
  send(body) {
    ++Request.count;
    fetch(this.url, {method: this.method, body, signal: this.abortion.signal}).then((answer) => answer.text()).then((text) => {
      Object.assign(this, {readyState: 4, responseText: text});
      this.onreadystatechange();
    }, () => this.abortion.signal.aborted || this.onerror());
  }
}

// They are told in a way that makes them join again, and don't ask more than it takes.
async function poll_rejoin(version) {
  Object.assign(globalThis, {self: globalThis, XMLHttpRequest: Request});
  const client = await import(`phoenix-${version}`);
  const {LongPoll, Socket} = client.Socket ? client : client.default;
  const socket = new Socket(endpoint, {transport: LongPoll, reconnectAfterMs: () => 50, rejoinAfterMs: () => 50});
  sockets.push(socket);
  socket.connect();
  const room = socket.channel("room:1");
  const inbox = new Inbox(room, "message");
  let joins = 0;
  room.join().receive("ok", () => ++joins);
  await until(() => joins === 1, "the join");
  for (const action of ["close", "kill workers"]) {
    const before = joins;
    Request.count = 0;
    await ask(action);
    await until(() => joins > before && room.state === "joined", `another join after ${action}`, 40_000);
    inbox.messages.length = 0;
    await ask("publish");
    await inbox.count(1);
    assert(Request.count < 30, `${Request.count} requests`);
    ok(`hears what is published after ${action}`);
  }
}

async function fallback() {
  // A transport that never opens: the client falls back to long polls by itself.
  class Nowhere {
    constructor() {
      this.readyState = 0;
      setTimeout(() => this.onerror?.(new Error("no WebSocket here")), 5);
    }
    close() { this.readyState = 3; }
  }
  const store = new Map();
  const ada = connect({transport: Nowhere, longPollFallbackMs: 200,
                       sessionStorage: {getItem: (key) => store.get(key) ?? null,
                                        setItem: (key, value) => store.set(key, value)}});
  await opened(ada);
  const room = await join(ada, "room:tea");
  assert.deepEqual(await reply(room.push("say", {})), {status: "ok", response: {}});
  assert.equal(store.get("phx:fallback:LongPoll"), "true");
  ok("falls back to long polls");
}

const polls = {transport: LongPoll};
const scenarios = {
  talk: () => talk({}), presence: () => presence({}), users: () => users({}), webhook: () => webhook({}),
  poll_talk: () => talk(polls), poll_presence: () => presence(polls), poll_users: () => users(polls),
  poll_webhook: () => webhook(polls), heartbeat, come_back, poll_come_back, fallback,
  "poll_rejoin_1.4": () => poll_rejoin("1.4"), "poll_rejoin_1.7": () => poll_rejoin("1.7"),
};
try {
  await scenarios[scenario]();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  sockets.forEach((socket) => socket.disconnect());
  process.stdin.destroy();
  setTimeout(() => process.exit(), 3000).unref();
}

// One room, every protocol: official clients where there are some, for tests/integration/test_one_room.py.
//
//   node one_room.mjs HTTP LINE ROOM KEY SECRET         HTTP and LINE: host:port
//
// Each of them says one thing, and so does the application; everybody has to hear what everybody else has said, and
// nobody but long-polling, event streams and those that have no voice of their own anything of itself.

import assert from "node:assert/strict";
import {createHmac} from "node:crypto";
import {connect} from "node:net";
import {createInterface} from "node:readline";
import {Centrifuge} from "centrifuge";
import {Socket} from "phoenix";
import Pusher from "pusher-js";
import WebSocket from "ws";

const [, , http, line, room, key, secret] = process.argv;
const [host, port] = http.split(":");
const heard = {};
const said = [];

// Who is speaking: {"from": who}, or "from who".
function note(listener, data) {
  let value = data;
  if (typeof value === "string" && value.startsWith("{")) value = JSON.parse(value);
  (heard[listener] ??= []).push(typeof value === "string" ? value.replace("from ", "") : value.from);
}

async function until(condition, what) {
  const end = Date.now() + 15_000;
  while (!condition()) {
    assert(Date.now() < end, `${what}: ${JSON.stringify(heard)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const joined = (name, start) => new Promise((resolve, reject) => {
  start(resolve, reject);
  setTimeout(() => reject(new Error(`${name} has not joined`)), 15_000).unref();
});

const speakers = {};

await joined("pusher", (resolve, reject) => {
  const pusher = new Pusher(key, {
    wsHost: host, wsPort: Number(port), forceTLS: false, enabledTransports: ["ws"], cluster: "x", disableStats: true,
    channelAuthorization: {customHandler: ({socketId, channelName}, answer) => answer(null, {
      auth: `${key}:${createHmac("sha256", secret).update(`${socketId}:${channelName}`).digest("hex")}`})},
  });
  const channel = pusher.subscribe(room);
  channel.bind("pusher:subscription_succeeded", resolve);
  channel.bind("pusher:subscription_error", reject);
  channel.bind_global((event, data) => event.startsWith("pusher:") || note("pusher", data));
  speakers.pusher = () => channel.trigger("client-say", {from: "pusher"});
});

await joined("phoenix", (resolve, reject) => {
  const socket = new Socket(`http://${http}/socket`, {transport: WebSocket});
  socket.connect();
  const channel = socket.channel(room, {});
  channel.join().receive("ok", resolve).receive("error", reject);
  for (const event of ["say", "client-say", "message"]) channel.on(event, (data) => note("phoenix", data));
  speakers.phoenix = () => channel.push("say", {from: "phoenix"});
});

await joined("centrifuge", (resolve) => {
  const client = new Centrifuge(`ws://${http}/centrifuge`, {websocket: WebSocket});
  const subscription = client.newSubscription(room);
  subscription.on("subscribed", resolve);
  subscription.on("publication", ({data}) => note("centrifuge", data));
  subscription.subscribe();
  client.connect();
  speakers.centrifuge = () => subscription.publish({from: "centrifuge"});
});

await joined("raw", (resolve) => {
  const socket = new WebSocket(`ws://${http}/raw`);
  socket.on("open", resolve);
  socket.on("message", (data) => note("raw", data.toString()));
  speakers.raw = () => socket.send("from raw");
});

await joined("line", (resolve) => {
  const [line_host, line_port] = line.split(":");
  const socket = connect(Number(line_port), line_host);
  createInterface({input: socket}).on("line", (text) => text === `OK joined ${room}` ? resolve() : note("line", text));
  socket.write(`JOIN ${room}\n`);
  speakers.line = () => socket.write("from line\n");
});

await joined("stream", async (resolve) => {
  const response = await fetch(`http://${http}/sse`);
  let text = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const fields = text.slice(0, end).split("\n");
      const data = fields.filter((field) => field.startsWith("data: ")).map((field) => field.slice(6));
      if (data.length > 0) note("stream", data.join("\n"));
      else if (fields.some((field) => field.startsWith("id: "))) resolve();
    }
  }
});

const beginning = (await fetch(`http://${http}/poll`)).headers.get("etag");
(async () => {
  for (let since = beginning.replaceAll("\"", ""); ;) {
    const response = await fetch(`http://${http}/poll?since=${since}`);
    if (response.status === 204) continue;
    const {cursor, publications, missed} = await response.json();
    assert.equal(missed, undefined);
    for (const {data} of publications) note("poll", data);
    since = cursor;
  }
})();

const listeners = ["pusher", "phoenix", "centrifuge", "raw", "line", "stream", "poll"];
speakers.api = () => fetch(`http://${http}/api/publish`, {
  method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({channel: room, data: {from: "api"}})});
// centrifuge-js and raw sockets hear themselves, as they do elsewhere.
const hears_itself = new Set(["centrifuge", "raw"]);

for (const [speaker, speak] of Object.entries(speakers)) {
  said.push(speaker);
  await speak();
  const expected = (listener) => said.filter((name) => name !== listener || hears_itself.has(name));
  await until(() => listeners.every((listener) => (heard[listener] ?? []).length >= expected(listener).length), speaker);
  for (const listener of listeners) assert.deepEqual(heard[listener] ?? [], expected(listener), listener);
  console.log(`ok all have heard ${speaker}`);
}
process.exit(0);

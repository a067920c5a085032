// A WebSocket-over-HTTP application made of the official library, for tests/integration/test_grip.py.
//
//   node grip_backend.mjs CONTROL_URI KEY        prints its port, then one line of JSON for each request
//
// It accepts connections, subscribes each to the channel "room", answers "<n>: <text>" (n counts in the connection's
// meta), publishes "publish ..." to the room by way of the library, and obeys "detach", "leave", "enter", "filter USER FILTER ...",
// "close" and "refuse".  After "stream" it takes what comes as one stream of words with ";" behind each, answers every
// whole word, and takes nothing of the others yet (Content-Bytes-Accepted).

import {createServer} from "node:http";
import {
  Publisher, WebSocketContext, WebSocketMessageFormat, createWebSocketControlMessage, decodeWebSocketEvents,
  encodeWebSocketEvents,
} from "@fanoutio/grip";

const [, , control_uri, key] = process.argv;
const publisher = new Publisher({control_uri, control_iss: "tester", key});

function meta_of(headers) {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("meta-"))
    .map(([name, value]) => [name.slice(5), value]));
}

async function talk(context) {
  if (context.isOpening()) {
    context.accept();
    context.subscribe("room");
  }
  while (context.canRecv()) {
    let text;
    try {
      text = context.recv();
    } catch (error) {
      return "disconnected";
    }
    if (text === null) return `closed ${context.closeCode}`;
    if (text === "close") context.close(4321);
    else if (text.startsWith("filter ")) {
      const [user, ...filters] = text.slice(7).split(" ");
      context.sendControl(createWebSocketControlMessage("set-meta", {name: "user", value: user}));
      context.sendControl(createWebSocketControlMessage("subscribe", {channel: "room", filters}));
    } else if (text === "enter") context.subscribe("vault");
    else if (text === "stream") context.meta.stream = "yes";
    else if (text === "leave") context.unsubscribe("room");
    else if (text === "detach") context.detach();
    else if (text === "wake me") context.wants_to_wake = true;
    else if (text === "beat") context.sendControl(createWebSocketControlMessage("keep-alive", {timeout: 1, content: "still there"}));
    else if (text === "no beat") context.sendControl(createWebSocketControlMessage("keep-alive", {}));
    else if (text === "later") context.sendControl(createWebSocketControlMessage("send-delayed", {timeout: 1, content: "late"}));
    else if (text === "much later") context.sendControl(createWebSocketControlMessage("send-delayed", {timeout: 3600, content: "late"}));
    else if (text === "now") context.sendControl(createWebSocketControlMessage("flush-delayed", {}));
    else if (text === "binary") context.sendBinary(new Uint8Array([0, 1, 255]));
    else if (text.startsWith("publish ")) await publisher.publishFormats("room", new WebSocketMessageFormat(text.slice(8)));
    else {
      context.meta.count = String(Number(context.meta.count ?? 0) + 1);
      context.send(`${context.meta.count}: ${text}`);
    }
  }
  return "open";
}

// What the events of a stream say, and how much of it is whole words.
function read_stream(context) {
  let text = "";
  while (context.canRecv()) text += context.recv() ?? "";
  const whole = text.slice(0, text.lastIndexOf(";") + 1);
  for (const word of whole.split(";").slice(0, -1)) context.send(`word ${word}`);
  return {text, accepted: Buffer.byteLength(whole)};
}

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const signature = await publisher.validateGripSig(request.headers["grip-sig"]);
  const context = new WebSocketContext(request.headers["connection-id"], meta_of(request.headers),
    decodeWebSocketEvents(new Uint8Array(Buffer.concat(pieces))));
  if (request.headers["x-refuse"]) {
    response.writeHead(403, {"Content-Type": "text/plain"}).end("not you\n");
    return;
  }
  const opening = context.isOpening();
  if (request.headers["meta-stream"]) {
    const {text, accepted} = read_stream(context);
    console.log(JSON.stringify({text, accepted, replayed: Number(request.headers["content-bytes-replayed"] ?? 0)}));
    response.setHeader("Content-Bytes-Accepted", String(accepted));
    response.writeHead(200, context.toHeaders()).end(Buffer.from(encodeWebSocketEvents(context.getOutgoingEvents())));
    return;
  }
  const state = await talk(context);
  console.log(JSON.stringify({opening, state, signed: signature.isSigned, id: context.id,
    type: request.headers["content-type"], meta: meta_of(request.headers)}));
  if (context.wants_to_wake) response.setHeader("Keep-Alive-Interval", "1");
  if (state === "open" && pieces.length === 0) context.send("you are idle");
  response.writeHead(200, context.toHeaders()).end(Buffer.from(encodeWebSocketEvents(context.getOutgoingEvents())));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

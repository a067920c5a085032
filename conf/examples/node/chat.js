// A chat room behind BeamGate, with nothing but Node's own modules.
//
// BeamGate holds the WebSockets; this program only answers HTTP requests and keeps no state:
//
//   beamgate.connect        May this connection open?  We name its user and put it into a room.
//   beamgate.message        A line was typed.  We answer the sender, or publish to the room.
//   beamgate.connected,     News, in batches.  Nobody waits for our answer, so what we have to say about
//   beamgate.disconnected   them goes the other way, through BeamGate's HTTP API.
//
// Run it with:  node chat.js     and beside it:  beamgate -p . -c beamgate.conf
"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

// The same as in beamgate.conf; two secrets, separated by a space, while one replaces the other.
const secrets = (process.env.BEAMGATE_SECRETS || "whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==").split(" ");
const api = process.env.BEAMGATE_API || "http://127.0.0.1:8080/api";
const apiKey = process.env.BEAMGATE_API_KEY || "example-key-change-it-in-both";
const port = Number(process.env.PORT || 9000);
const toleranceSeconds = 300;
const bodyBytesMax = 1 << 20;
const namePattern = /^[A-Za-z0-9_-]{1,32}$/;
const page = fs.readFileSync(path.join(__dirname, "..", "chat.html"));

const text = (status, body) => ({ status, type: "text/plain; charset=utf-8", body });
const actions = (document) => ({ status: 200, type: "application/vnd.beamgate+json", body: JSON.stringify(document) });

// Standard Webhooks: an HMAC over id, time and body; compared in constant time.
function isGenuine(headers, body) {
  const stamp = headers["webhook-timestamp"] || "";
  if (!/^\d{1,15}$/.test(stamp) || Math.abs(Date.now() / 1000 - Number(stamp)) > toleranceSeconds) return false;
  const offered = (headers["webhook-signature"] || "").split(" ").map((each) => Buffer.from(each));
  return secrets.some((secret) => {
    const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
    const mac = crypto.createHmac("sha256", key).update(`${headers["webhook-id"]}.${stamp}.`).update(body);
    const expected = Buffer.from("v1," + mac.digest("base64"));
    return offered.some((each) => each.length === expected.length && crypto.timingSafeEqual(each, expected));
  });
}

function callApi(method, body, type) {
  const headers = { "Content-Type": type, "Content-Length": Buffer.byteLength(body), "X-API-Key": apiKey };
  return new Promise((resolve, reject) => {
    const request = http.request(`${api}/${method}`, { method: "POST", headers, timeout: 5000 }, async (response) => {
      try {
        const answer = await readBody(response);
        if (response.statusCode !== 200) throw new Error(`${method}: HTTP ${response.statusCode}`);
        const { result, error } = JSON.parse(answer);
        if (error) throw new Error(`${method}: ${error.message}`);
        resolve(result);
      } catch (error) {
        reject(error);
      }
    });
    request.on("timeout", () => request.destroy(new Error(`${method}: no answer`)));
    request.on("error", reject);
    request.end(body);
  });
}

const publish = (room, line) => callApi(`publish?channel=${room}`, line, "text/plain");

async function count(room) {
  const { channels } = await callApi("channels", JSON.stringify({ pattern: room }), "application/json");
  return channels[room].num_clients;
}

async function readBody(stream) {
  const parts = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > bodyBytesMax) throw new Error("body too large");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

// Who is this?  Any 4xx refuses the connection.
function onConnect(uri) {
  const query = new URL(uri, "http://localhost").searchParams;
  const name = query.get("name") || "";
  const room = query.get("room") || "lobby";
  if (!namePattern.test(name) || !namePattern.test(room)) {
    return text(403, "a name and a room have 1 to 32 letters, digits, - or _\n");
  }
  return actions({ user: name, state: room, subscribe: [room], send: [`* welcome to ${room}, ${name}`] });
}

async function onMessage(user, room, line) {
  if (line === "/who") return text(200, `* you are ${user}, one of ${await count(room)} in ${room}`);
  if (line.startsWith("/me ")) return actions({ publish: [{ channel: room, data: `* ${user} ${line.slice(4)}` }] });
  if (line.startsWith("/")) return text(200, "* there is /me and /who");
  return actions({ publish: [{ channel: room, data: `${user}: ${line}` }] });
}

async function onEvents(events) {
  const verbs = { "beamgate.connected": "joined", "beamgate.disconnected": "left" };
  for (const event of events) {
    const verb = verbs[event.type];
    if (!verb || !event.beamgatestate) continue;
    await publish(event.beamgatestate, `* ${event.beamgateuser} ${verb}`);
  }
  return { status: 204 };
}

async function answer(request) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (request.method === "GET" && pathname === "/") return { status: 200, type: "text/html; charset=utf-8", body: page };
  if (request.method !== "POST" || pathname !== "/beamgate") return text(404, "not found\n");
  const body = await readBody(request);
  const headers = request.headers;
  if (!isGenuine(headers, body)) return text(403, "not from BeamGate\n");
  if ((headers["content-type"] || "").startsWith("application/cloudevents-batch+json")) return onEvents(JSON.parse(body));
  if (headers["ce-type"] === "beamgate.connect") return onConnect(headers["beamgate-uri"] || "");
  if (headers["ce-type"] === "beamgate.message") {
    return onMessage(headers["beamgate-user"], headers["beamgate-state"], body.toString());
  }
  return { status: 204 };
}

const server = http.createServer(async (request, response) => {
  let reply;
  try {
    reply = await answer(request);
  } catch (error) {
    console.error(String(error));
    reply = text(500, "the application failed\n");
  }
  response.writeHead(reply.status, reply.type ? { "Content-Type": reply.type } : {});
  response.end(reply.body);
});
server.keepAliveTimeout = 65000;
server.listen(port, "127.0.0.1", () => console.error(`chat application on http://127.0.0.1:${server.address().port}`));

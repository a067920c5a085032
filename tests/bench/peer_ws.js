// A peer for the benchmarks: the npm package ws, one process, echo and one room that POST /publish fills.
// Prints "port N" once it listens; ends when its standard input does.
"use strict";

const http = require("node:http");
const path = require("node:path");
const { WebSocketServer } = require(path.join(__dirname, "..", "support", "node_modules", "ws"));

const room = new Set();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

const server = http.createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const data = Buffer.concat(parts);
    for (const socket of room) socket.send(data, { binary: true });
    response.writeHead(200, { "Content-Length": 2 }).end("ok");
  });
});

server.on("upgrade", (request, stream, head) => {
  sockets.handleUpgrade(request, stream, head, (socket) => {
    if (request.url === "/echo") {
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    } else {
      room.add(socket);
      socket.on("close", () => room.delete(socket));
    }
  });
});

server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(`port ${server.address().port}`));
process.stdin.on("end", () => process.exit(0)).resume();

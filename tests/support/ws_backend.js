// A WebSocket application behind the gateway: the npm package ws, on a free port.
// Prints "port N" once it listens, and "closed CODE" for each socket that ends; ends when its standard input does.
//   /echo     sends back what it gets, with the path and two request fields before the first
//   /close    closes with 4001 at the first message
//   /vanish   ends the connection without a Close at the first message
//   /refuse   answers the handshake with 403
"use strict";

const http = require("node:http");
const path = require("node:path");
const { WebSocketServer } = require(path.join(__dirname, "node_modules", "ws"));

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: true, maxPayload: 64 << 20 });
const server = http.createServer((request, response) => {
  response.writeHead(200, { "Content-Length": 5 }).end("plain");
});

server.on("upgrade", (request, stream, head) => {
  if (request.url === "/refuse") {
    stream.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    return;
  }
  sockets.handleUpgrade(request, stream, head, (socket) => {
    socket.on("error", () => {});
    socket.on("close", (code) => console.log(`closed ${code}`));
    if (request.url.startsWith("/echo")) {
      socket.send(`${request.url} ${request.headers.host} ${request.headers["x-forwarded-for"]}`);
    }
    socket.on("message", (data, isBinary) => {
      if (request.url === "/close") socket.close(4001, "enough");
      else if (request.url === "/vanish") socket.terminate();
      else socket.send(data, { binary: isBinary });
    });
  });
});

server.listen(0, "127.0.0.1", () => console.log(`port ${server.address().port}`));
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));

"""The asyncio twin of ws_client.py, for hundreds or thousands of connections in one thread.

    socket = await ws_asyncio.connect(address, "/chat", source="127.0.0.2")
    await socket.send("hello")
    message = await socket.recv()
"""

import asyncio

import ws_frame
from http_client import Response, parse_fields
from wire import split_address
from ws_client import Closed, Refused, check_handshake
from ws_frame import BINARY, CLOSE, PING, PONG, TEXT


async def connect(address, target="/", headers=(), subprotocols=(), source=None, timeout=30):
    return await asyncio.wait_for(_connect(address, target, headers, subprotocols, source), timeout)


async def _connect(address, target, headers, subprotocols, source):
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address[5:])
    else:
        host, port = split_address(address)
        reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0) if source else None)
    try:
        key = ws_frame.make_key()
        host = "localhost" if address.startswith("unix:") else address
        writer.write(ws_frame.handshake(host, target, key, headers, subprotocols))
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, block = head.partition(b"\r\n")
        _, status, reason = (line.decode() + "  ").split(" ", 2)
        response = Response(int(status), reason.strip(), parse_fields(block))
        if response.status != 101:
            raise Refused(response)
        check_handshake(response, key)
    except BaseException:
        writer.close()
        raise
    return AsyncWebSocket(reader, writer, response)


class AsyncWebSocket:
    def __init__(self, reader, writer, response):
        self.reader = reader
        self.writer = writer
        self.response = response
        self.buffer = bytearray()

    async def send_frame(self, opcode, payload=b"", **shape):
        self.writer.write(ws_frame.encode(opcode, payload, **shape))
        await self.writer.drain()

    async def send(self, message):
        text = isinstance(message, str)
        await self.send_frame(TEXT if text else BINARY, message.encode() if text else message)

    async def recv_frame(self):
        while True:
            parsed = ws_frame.parse(self.buffer)
            if parsed:
                del self.buffer[: parsed[1]]
                return parsed[0]
            try:
                data = await self.reader.read(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise Closed(1006)
            self.buffer += data

    async def recv(self, timeout=30):
        """The next message (str or bytes); servers of ours never fragment."""
        return await asyncio.wait_for(self._recv(), timeout)

    async def _recv(self):
        while True:
            frame = await self.recv_frame()
            if frame.opcode == PING:
                await self.send_frame(PONG, frame.payload)
            elif frame.opcode == CLOSE:
                self.writer.write(ws_frame.encode(CLOSE, frame.payload[:2]))
                raise Closed(*ws_frame.decode_close(frame.payload))
            elif frame.opcode in (TEXT, BINARY):
                if not frame.fin:
                    raise AssertionError("fragmented message")
                return frame.payload.decode() if frame.opcode == TEXT else frame.payload

    async def close(self, code=1000, timeout=30):
        await self.send_frame(CLOSE, ws_frame.encode_close(code))
        try:
            while True:
                await self.recv(timeout)
        except Closed as closed:
            self.writer.close()
            return closed.code

    def abort(self):
        self.writer.transport.abort()

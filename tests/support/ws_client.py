"""A blocking WebSocket client for tests: checks the server strictly, lets the test misbehave freely.

    with ws_client.connect(address, "/echo") as socket:
        socket.send("hello")
        self.assertEqual(socket.recv(), "hello")

recv() answers pings and puts fragments together; recv_frame() shows single frames.  For hundreds of
connections see ws_asyncio.py.
"""

import contextlib
import zlib

import ws_frame
from http_client import Connection
from ws_frame import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

__all__ = ["connect", "WebSocket", "Refused", "Closed", "TEXT", "BINARY", "CLOSE", "PING", "PONG", "CONTINUATION"]


class Refused(Exception):
    """The handshake was answered with an ordinary response."""

    def __init__(self, response):
        super().__init__(repr(response))
        self.response = response
        self.status = response.status


class Closed(Exception):
    """The server closed; code 1006 when it did so without a Close frame."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason!r}")
        self.code = code
        self.reason = reason


def connect(address, target="/", headers=(), subprotocols=(), extensions=None, timeout=10, source=None,
            receive_buffer=None, **socket):
    connection = Connection(address, timeout, source, receive_buffer, **socket)
    try:
        key = ws_frame.make_key()
        connection.send(ws_frame.handshake(connection.host, target, key, headers, subprotocols, extensions))
        response = connection.read_response()
        if response.status != 101:
            raise Refused(response)
        check_handshake(response, key)
    except BaseException:
        connection.close()
        raise
    return WebSocket(connection.wire, response)


def check_handshake(response, key):
    for name, expected in (("upgrade", "websocket"), ("connection", "upgrade")):
        if response.header(name, "").lower() != expected:
            raise AssertionError(f"101 without {name}: {expected}: {response}")
    if response.fields.all("sec-websocket-accept") != [ws_frame.accept_for(key)]:
        raise AssertionError(f"wrong Sec-WebSocket-Accept: {response}")


class WebSocket:
    def __init__(self, wire, response):
        self.wire = wire
        self.response = response
        self.subprotocol = response.header("sec-websocket-protocol")
        self.extensions = response.header("sec-websocket-extensions")
        deflate = "permessage-deflate" in (self.extensions or "")
        self.inflater = zlib.decompressobj(-15) if deflate else None
        self.fresh_inflater = deflate and "server_no_context_takeover" in self.extensions
        self.deflater = zlib.compressobj(wbits=-15) if deflate else None
        self.fresh_deflater = deflate and "client_no_context_takeover" in self.extensions
        self.pings = []   # Payloads of the pings that recv() answered.
        self.pongs = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    # Sending.

    def send_frame(self, opcode, payload=b"", **shape):
        self.wire.send(ws_frame.encode(opcode, payload, **shape))

    def send(self, message, opcode=None):
        if opcode is None:
            opcode = TEXT if isinstance(message, str) else BINARY
        self.send_frame(opcode, message.encode() if isinstance(message, str) else message)

    def send_deflated(self, message, opcode=TEXT):
        if self.fresh_deflater:
            self.deflater = zlib.compressobj(wbits=-15)
        data = self.deflater.compress(message.encode() if isinstance(message, str) else message)
        data += self.deflater.flush(zlib.Z_SYNC_FLUSH)
        self.send_frame(opcode, data[:-4], rsv=4)

    def ping(self, payload=b""):
        self.send_frame(PING, payload)

    # Receiving.

    def recv_frame(self, timeout=None):
        """The next frame as it is; Ended when the stream ends."""
        deadline = self.wire.deadline(timeout)
        while True:
            parsed = ws_frame.parse(self.wire.buffer)
            if parsed:
                frame, used = parsed
                self.wire.take(used)
                if frame.masked:
                    raise AssertionError("a server must not mask")
                return frame
            if not self.wire.fill(deadline):
                raise Closed(1006)

    def recv_message(self, timeout=None):
        """(opcode, bytes) of the next message; pings are answered, a Close is answered and raised."""
        kind, data, deflated = None, bytearray(), False
        while True:
            frame = self.recv_frame(timeout)
            if frame.opcode == PING:
                self.pings.append(frame.payload)
                self.send_frame(PONG, frame.payload)
            elif frame.opcode == PONG:
                self.pongs.append(frame.payload)
            elif frame.opcode == CLOSE:
                with contextlib.suppress(OSError):
                    self.send_frame(CLOSE, frame.payload[:2])
                raise Closed(*ws_frame.decode_close(frame.payload))
            else:
                if (kind is None) == (frame.opcode == CONTINUATION):
                    raise AssertionError(f"opcode {frame.opcode} out of place")
                if kind is None:
                    kind, deflated = frame.opcode, bool(frame.rsv & 4)
                data += frame.payload
                if frame.fin:
                    return kind, self.inflate(bytes(data)) if deflated else bytes(data)

    def inflate(self, data):
        if not self.inflater:
            raise AssertionError("compressed message, but no extension was negotiated")
        if self.fresh_inflater:
            self.inflater = zlib.decompressobj(-15)
        return self.inflater.decompress(data + b"\x00\x00\xff\xff")

    def recv(self, timeout=None):
        """The next message: str for text, bytes for binary."""
        kind, data = self.recv_message(timeout)
        return data.decode() if kind == TEXT else data

    def recv_close(self, timeout=None):
        """The code the server closes with; messages before that are dropped."""
        try:
            while True:
                self.recv_message(timeout)
        except Closed as closed:
            return closed.code

    # Ending.

    def close(self, code=1000, reason="", timeout=None):
        """The whole closing handshake; returns the server's code and waits for the end of the stream."""
        self.send_frame(CLOSE, ws_frame.encode_close(code, reason))
        answer = self.recv_close(timeout)
        self.wire.wait_end(timeout)
        self.wire.close()
        return answer

    def abort(self):
        self.wire.reset()

"""HTTP/2 clients: one that keeps the rules (hyper-h2), one whose frames are made by hand, to break them.

    with h2_client.connect(gateway.address()) as client:          # prior knowledge; tls=... speaks ALPN
        response = client.get("/")                                  # .status .fields .body .trailers
        stream = client.request("POST", "/", body=b"...")
        response = client.response(stream)

    raw = h2_client.Frames(gateway.address())                       # preface and SETTINGS are exchanged
    raw.headers(1, GET)
    raw.wait_goaway(h2_client.PROTOCOL_ERROR)
"""

import contextlib
import struct
import time

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hpack

import ws_client
from http_client import Fields
from wire import Ended, Timeout, Wire, open_socket

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)


def head(method="GET", path="/", authority="test", scheme="http", fields=()):
    """A header list in the order that HTTP/2 wants."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [(name, value) for name, value in pseudo if value is not None] + list(fields)


class Response:
    def __init__(self, stream):
        self.stream = stream
        self.status = None
        self.fields = Fields()
        self.body = b""
        self.trailers = None
        self.interims = []
        self.ended = False
        self.reset = None  # The error code of an RST_STREAM.

    @property
    def text(self):
        return self.body.decode()

    def header(self, name, fallback=None):
        return self.fields.get(name, fallback)


class Client:
    """hyper-h2 over a socket.  Everything read is acknowledged at once unless `hold` is set."""

    def __init__(self, address, timeout=10, tls=None, name=None, receive_buffer=None, window=None, validate=True,
                 source=None):
        self.wire = Wire(open_socket(address, timeout, source=source, tls=tls, name=name, receive_buffer=receive_buffer),
                         timeout)
        self.tls = tls is not None
        self.timeout = timeout
        self.hold = False
        self.goaway = None
        self.responses = {}
        self.chosen = self.wire.sock.selected_alpn_protocol() if tls is not None else None
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="latin-1", validate_outbound_headers=validate,
            normalize_outbound_headers=validate))
        if window is not None:
            self.state.local_settings = h2.settings.Settings(
                client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window,
                                             h2.settings.SettingCodes.ENABLE_PUSH: 0})
        self.state.initiate_connection()
        self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.wire.close()

    def flush(self):
        data = self.state.data_to_send()
        if data:
            self.wire.send(data)

    # Requests.

    def request(self, method, path, fields=(), body=None, authority="test", end=True, trailers=None, pseudo=()):
        stream = self.state.get_next_available_stream_id()
        self.responses[stream] = Response(stream)
        given = dict(fields).items() if isinstance(fields, dict) else list(fields)
        listed = head(method, path, authority, "https" if self.tls else "http", given)
        listed[1:1] = list(pseudo)
        self.state.send_headers(stream, listed, end_stream=end and body is None and trailers is None)
        self.flush()
        if body is not None:
            self.send_body(stream, body, end=end and trailers is None)
        if trailers is not None:
            self.state.send_headers(stream, list(trailers), end_stream=True)
            self.flush()
        return stream

    def send_body(self, stream, body, end=True):
        """All of it, as the server's windows allow."""
        deadline = time.monotonic() + self.timeout
        view = memoryview(body)
        while view:
            room = min(self.state.local_flow_control_window(stream), self.state.max_outbound_frame_size, len(view))
            if self.responses[stream].ended or self.responses[stream].reset is not None:
                return  # Answered without it.
            if room == 0:
                self.read_once(deadline)
                continue
            self.state.send_data(stream, bytes(view[:room]))
            view = view[room:]
            self.flush()
        if end:
            self.state.end_stream(stream)
            self.flush()

    def get(self, path, fields=(), **options):
        return self.response(self.request("GET", path, fields, **options))

    def reset(self, stream, code=CANCEL):
        self.state.reset_stream(stream, code)
        self.flush()

    # Answers.

    def response(self, stream, timeout=None):
        """Waits for its end, which may be a reset."""
        response = self.responses[stream]
        self.until(lambda: response.ended or response.reset is not None, timeout)
        return response

    def until(self, condition, timeout=None):
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        while not condition():
            self.read_once(deadline)

    def read_once(self, deadline):
        if not self.wire.buffer and not self.wire.fill(deadline):
            raise Ended(b"")
        for event in self.state.receive_data(self.wire.take(len(self.wire.buffer))):
            self.handle(event)
        self.flush()

    def handle(self, event):
        stream = getattr(event, "stream_id", None)
        response = self.responses.get(stream)
        if isinstance(event, h2.events.InformationalResponseReceived):
            response.interims.append((int(dict(event.headers)[":status"]), event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            response.status = int(dict(event.headers)[":status"])
            for name, value in event.headers:
                if not name.startswith(":"):
                    response.fields.append((name, value))
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
            if not self.hold and event.flow_controlled_length:
                self.state.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            response.ended = True
        elif isinstance(event, h2.events.StreamReset):
            if response is not None:
                response.reset = event.error_code
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = event

    def wait_goaway(self, timeout=None):
        with contextlib.suppress(Ended):
            self.until(lambda: self.goaway is not None, timeout)
        if self.goaway is None:
            raise AssertionError("the connection ended without GOAWAY")
        return self.goaway


def connect(address, **options):
    return Client(address, **options)


class StreamWire:
    """A stream of a Client, with what ws_client wants of a Wire."""

    def __init__(self, client, stream):
        self.client = client
        self.stream = stream
        self.response = client.responses[stream]
        self.timeout = client.timeout
        self.buffer = bytearray()

    deadline = Wire.deadline
    take = Wire.take
    wait_end = Wire.wait_end

    def send(self, data, timeout=None):
        self.client.send_body(self.stream, data, end=False)

    def fill(self, deadline):
        while not self.response.body:
            if self.response.ended or self.response.reset is not None:
                return False
            try:
                self.client.read_once(deadline)
            except Ended:
                return False
        self.buffer += self.response.body
        self.response.body = b""
        return True

    def end(self):
        self.client.state.end_stream(self.stream)
        self.client.flush()

    def close(self):
        """In order where the server has ended its side, else with a reset."""
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            self.end() if self.response.ended else self.reset()

    def reset(self):
        self.client.reset(self.stream)


def websocket(client, path, fields=(), subprotocols=(), extensions=None, authority="test"):
    """A WebSocket over one of the client's streams (RFC 8441); ws_client.Refused with any other answer than 200."""
    listed = list({"sec-websocket-version": "13", **dict(fields)}.items())
    if subprotocols:
        listed.append(("sec-websocket-protocol", ", ".join(subprotocols)))
    if extensions:
        listed.append(("sec-websocket-extensions", extensions))
    stream = client.request("CONNECT", path, listed, authority=authority, end=False,
                            pseudo=[(":protocol", "websocket")])
    response = client.responses[stream]
    client.until(lambda: response.status is not None or response.reset is not None)
    if response.status != 200:
        raise ws_client.Refused(client.response(stream))
    return ws_client.WebSocket(StreamWire(client, stream), response)


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    def __repr__(self):
        return f"<frame {self.kind} flags={self.flags:#x} stream={self.stream} {self.payload[:60]!r}>"

    @property
    def code(self):
        """The error code of RST_STREAM and GOAWAY."""
        return struct.unpack("!I", self.payload[:4] if self.kind == RST_STREAM else self.payload[4:8])[0]


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack("!I", size)[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def settings(**values):
    numbers = {"table": 1, "push": 2, "streams": 3, "window": 4, "frame": 5, "list": 6, "connect": 8}
    return b"".join(struct.pack("!HI", numbers[name], value) for name, value in values.items())


class Frames:
    """Frames by hand.  handshake=False: not even the preface is sent."""

    def __init__(self, address, timeout=10, handshake=True, payload=b"", receive_buffer=None):
        self.wire = Wire(open_socket(address, timeout, receive_buffer=receive_buffer), timeout)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        if handshake:
            self.wire.send(PREFACE + frame(SETTINGS, payload=payload))
            self.wait(SETTINGS)
            self.send(SETTINGS, ACK)
            self.wait(SETTINGS, lambda f: f.flags & ACK)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()

    def send(self, kind, flags=0, stream=0, payload=b"", length=None):
        self.wire.send(frame(kind, flags, stream, payload, length))

    def block(self, fields):
        return self.encoder.encode(fields)

    def headers(self, stream, fields, flags=END_HEADERS | END_STREAM):
        self.send(HEADERS, flags, stream, self.block(fields))

    def read(self, timeout=None):
        header = self.wire.read_exactly(9, timeout)
        length = int.from_bytes(header[:3], "big")
        found = Frame(header[3], header[4], int.from_bytes(header[5:9], "big") & 0x7FFFFFFF,
                      self.wire.read_exactly(length, timeout))
        if found.kind == HEADERS:
            found.fields = self.decoder.decode(found.payload)
        return found

    def wait(self, kind, match=lambda f: True, timeout=None):
        """The next frame of this kind; what comes before it is skipped."""
        deadline = time.monotonic() + (self.wire.timeout if timeout is None else timeout)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Timeout(f"no frame of kind {kind} in time")
            found = self.read(left)
            if found.kind == kind and match(found):
                return found

    def status(self, stream, timeout=None):
        """Of the response on this stream."""
        found = self.wait(HEADERS, lambda f: f.stream == stream, timeout)
        return int(dict(found.fields)[":status"])

    def wait_goaway(self, timeout=None):
        """Its error code; None when the connection ends without."""
        with contextlib.suppress(Ended):
            return self.wait(GOAWAY, timeout=timeout).code
        return None

    def outcome(self, stream, timeout=None):
        """What becomes of a stream: its status, ("reset", code), ("goaway", code), or "closed"."""
        with contextlib.suppress(Ended):
            while True:
                found = self.read(timeout)
                if found.kind == HEADERS and found.stream == stream:
                    return int(dict(found.fields)[":status"])
                if found.kind == RST_STREAM and found.stream == stream:
                    return ("reset", found.code)
                if found.kind == GOAWAY:
                    return ("goaway", found.code)
        return "closed"

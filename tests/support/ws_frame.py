"""RFC 6455 frames as bytes, written from the specification and nothing of BeamGate's.

encode() makes any frame, also forbidden ones; parse() reads one off the front of a buffer.
"""

import base64
import hashlib
import os
import struct
from collections import namedtuple

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Frame = namedtuple("Frame", "fin rsv opcode masked payload")


def mask_bytes(key, payload):
    if not payload:
        return b""
    pad = (key * (len(payload) // 4 + 1))[: len(payload)]
    mixed = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return mixed.to_bytes(len(payload), "big")


def encode(opcode, payload=b"", fin=True, rsv=0, mask=True, length=None):
    """length: what the header claims, where that shall differ from the payload given."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 1 << 16:
        head += struct.pack("!BH", bit | 126, size)
    else:
        head += struct.pack("!BQ", bit | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + mask_bytes(key, payload)


def parse(buffer):
    """(Frame, bytes used), or None while the frame is not complete."""
    if len(buffer) < 2:
        return None
    size, at = buffer[1] & 0x7F, 2
    if size == 126:
        if len(buffer) < 4:
            return None
        size, at = struct.unpack_from("!H", buffer, 2)[0], 4
    elif size == 127:
        if len(buffer) < 10:
            return None
        size, at = struct.unpack_from("!Q", buffer, 2)[0], 10
    masked = bool(buffer[1] & 0x80)
    key = b""
    if masked:
        key = bytes(buffer[at : at + 4])
        at += 4
    if len(buffer) < at + size:
        return None
    payload = bytes(buffer[at : at + size])
    if masked:
        payload = mask_bytes(key, payload)
    return Frame(bool(buffer[0] & 0x80), buffer[0] >> 4 & 7, buffer[0] & 15, masked, payload), at + size


def encode_close(code=None, reason=""):
    return b"" if code is None else struct.pack("!H", code) + reason.encode()


def decode_close(payload):
    """(code, reason); 1005 when there is none."""
    if not payload:
        return 1005, ""
    return struct.unpack_from("!H", payload)[0], payload[2:].decode()


def make_key():
    return base64.b64encode(os.urandom(16)).decode()


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def handshake(host, target, key, headers=(), subprotocols=(), extensions=None):
    fields = [("Host", host), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
              ("Sec-WebSocket-Key", key), ("Sec-WebSocket-Version", "13")]
    if subprotocols:
        fields.append(("Sec-WebSocket-Protocol", ", ".join(subprotocols)))
    if extensions:
        fields.append(("Sec-WebSocket-Extensions", extensions))
    fields += list(headers.items() if isinstance(headers, dict) else headers)
    return (f"GET {target} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in fields) + "\r\n").encode("latin-1")

#!/usr/bin/env python3
"""A chat room behind BeamGate, with nothing but Python's standard library.

BeamGate holds the WebSockets; this program only answers HTTP requests and keeps no state:

    beamgate.connect        May this connection open?  We name its user and put it into a room.
    beamgate.message        A line was typed.  We answer the sender, or publish to the room.
    beamgate.connected,     News, in batches.  Nobody waits for our answer, so what we have to say about
    beamgate.disconnected   them goes the other way, through BeamGate's HTTP API.

Run it with:  python3 chat.py     and beside it:  beamgate -p . -c beamgate.conf
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# The same as in beamgate.conf; two secrets, separated by a space, while one replaces the other.
SECRETS = os.environ.get("BEAMGATE_SECRETS", "whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==").split()
API = os.environ.get("BEAMGATE_API", "http://127.0.0.1:8080/api")
API_KEY = os.environ.get("BEAMGATE_API_KEY", "example-key-change-it-in-both")
PORT = int(os.environ.get("PORT", "9000"))
TOLERANCE_S = 300
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
PAGE = Path(__file__).resolve().parent.parent / "chat.html"


def is_genuine(headers, body):
    """Standard Webhooks: an HMAC over id, time and body; compared in constant time."""
    message_id, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_S:
        return False
    signed = f"{message_id}.{stamp}.".encode() + body
    for secret in SECRETS:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        expected = b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        for offered in headers.get("webhook-signature", "").split():
            if hmac.compare_digest(expected, offered.encode("latin-1")):
                return True
    return False


def call_api(method, body, content_type):
    request = urllib.request.Request(f"{API}/{method}", body.encode(),
                                     {"Content-Type": content_type, "X-API-Key": API_KEY})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)["result"]


def publish(room, text):
    call_api(f"publish?channel={room}", text, "text/plain")


def count(room):
    channels = call_api("channels", json.dumps({"pattern": room}), "application/json")["channels"]
    return channels[room]["num_clients"]


def on_connect(uri):
    """The status and the document that say who this is; any 4xx refuses the connection."""
    query = parse_qs(urlsplit(uri).query)
    name, room = query.get("name", [""])[0], query.get("room", ["lobby"])[0]
    if not NAME.fullmatch(name) or not NAME.fullmatch(room):
        return 403, "a name and a room have 1 to 32 letters, digits, - or _\n"
    return 200, {"user": name, "state": room, "subscribe": [room], "send": [f"* welcome to {room}, {name}"]}


def on_message(user, room, text):
    if text == "/who":
        return 200, f"* you are {user}, one of {count(room)} in {room}"
    if text.startswith("/me "):
        return 200, {"publish": [{"channel": room, "data": f"* {user} {text[4:]}"}]}
    if text.startswith("/"):
        return 200, "* there is /me and /who"
    return 200, {"publish": [{"channel": room, "data": f"{user}: {text}"}]}


def on_events(events):
    for event in events:
        verb = {"beamgate.connected": "joined", "beamgate.disconnected": "left"}.get(event["type"])
        if verb and event.get("beamgatestate"):
            publish(event["beamgatestate"], f"* {event['beamgateuser']} {verb}")
    return 204, ""


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open between calls.

    def do_GET(self):
        if urlsplit(self.path).path == "/":
            self.answer(200, PAGE.read_text(), "text/html; charset=utf-8")
        else:
            self.answer(404, "not found\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path != "/beamgate" or not is_genuine(self.headers, body):
            return self.answer(403, "not from BeamGate\n")
        kind, user, room = (self.headers.get(name, "") for name in ("ce-type", "beamgate-user", "beamgate-state"))
        if self.headers.get("content-type", "").startswith("application/cloudevents-batch+json"):
            return self.answer(*on_events(json.loads(body)))
        if kind == "beamgate.connect":
            return self.answer(*on_connect(self.headers.get("beamgate-uri", "")))
        if kind == "beamgate.message":
            return self.answer(*on_message(user, room, body.decode("utf-8", "replace")))
        return self.answer(204, "")

    def answer(self, status, content, content_type="text/plain; charset=utf-8"):
        if isinstance(content, dict):
            content, content_type = json.dumps(content), "application/vnd.beamgate+json"
        data = content.encode()
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """Quiet: BeamGate has an access log."""


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    server = Server(("127.0.0.1", PORT), Application)
    print(f"chat application on http://127.0.0.1:{server.server_port}", file=sys.stderr)
    server.serve_forever()

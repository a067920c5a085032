#!/usr/bin/env python3
"""Who was watching, from when to when, in PostgreSQL.  BeamGate holds the WebSockets and says who comes and goes.

    beamgate.connect         May this connection open?  We name its user.
    beamgate.user.online     A user's first connection has opened: a row of watching_times begins.
    beamgate.user.offline    Its last one is gone: the row ends.

Events come at least once and may overtake each other, so every row is known by its user and its beginning, and writing it
twice changes nothing.  What could not be told, because this program or BeamGate was away, is asked for: at the start and
every minute, from the cursor that is stored beside the rows.

Run it with:  DATABASE=dbname=sessions python3 sessions.py     and beside it:  beamgate -p . -c beamgate.conf
GET / lists the latest rows.  It needs psycopg2 (Debian: python3-psycopg2).
"""

import base64
import hashlib
import hmac
import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import psycopg2

# The same as in beamgate.conf; two secrets, separated by a space, while one replaces the other.
SECRETS = os.environ.get("BEAMGATE_SECRETS", "whsec_ZXhhbXBsZSBzZWNyZXQsIGNoYW5nZSBpdCBpbiBib3RoIQ==").split()
API = os.environ.get("BEAMGATE_API", "http://127.0.0.1:8080/api")
API_KEY = os.environ.get("BEAMGATE_API_KEY", "example-key-change-it-in-both")
PORT = int(os.environ.get("PORT", "9000"))
DATABASE = os.environ.get("DATABASE", "dbname=sessions")
CATCH_UP_S = float(os.environ.get("CATCH_UP_S", "60"))
TOLERANCE_S = 300
NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")

TABLES = """
CREATE TABLE IF NOT EXISTS watching_times (
    user_name text NOT NULL,
    started   timestamptz NOT NULL,
    ended     timestamptz,                       -- NULL: is still watching
    estimated boolean NOT NULL DEFAULT false,    -- the end was not told, but found out later
    PRIMARY KEY (user_name, started)
);
CREATE TABLE IF NOT EXISTS beamgate_cursor (one boolean PRIMARY KEY DEFAULT true CHECK (one), cursor text NOT NULL);
"""
BEGIN = "INSERT INTO watching_times (user_name, started) VALUES (%s, %s) ON CONFLICT DO NOTHING"
END = """INSERT INTO watching_times (user_name, started, ended) VALUES (%s, %s, %s)
         ON CONFLICT (user_name, started) DO UPDATE SET ended = EXCLUDED.ended, estimated = false"""


def database():
    return psycopg2.connect(DATABASE)


def write(cursor, kind, data):
    if kind == "beamgate.user.online":
        cursor.execute(BEGIN, (data["user"], data["joined"]))
    elif kind == "beamgate.user.offline":
        cursor.execute(END, (data["user"], data["joined"], data["left"]))


def call_api(method, params):
    request = urllib.request.Request(f"{API}/{method}", json.dumps(params).encode(),
                                     {"Content-Type": "application/json", "X-API-Key": API_KEY})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    if "error" in answer:
        raise OSError(f"{method}: {answer['error']['message']}")
    return answer["result"]


def read_changes(cursor, since):
    """Writes what has changed since then; the new cursor, or None when that is not known any more."""
    while True:
        page = call_api("user_changes", {"since": since})
        if not page["known"]:
            return None
        for change in page["changes"]:
            write(cursor, change["type"], change)
        since = page["cursor"]
        if not page["more"]:
            return since


def read_everybody(cursor):
    """Compares the open rows with who is there; the cursor to go on from."""
    present, since, after = {}, None, ""
    while True:
        page = call_api("users", {"after": after})
        since = since or page["cursor"]
        present.update((user["user"], user["since"]) for user in page["users"])
        if not page["more"]:
            break
        after = page["users"][-1]["user"]
    for user, started in present.items():
        cursor.execute(BEGIN, (user, started))
    cursor.execute("SELECT user_name, started FROM watching_times WHERE ended IS NULL")
    for user, started in cursor.fetchall():
        cursor.execute("UPDATE watching_times SET ended = now(), estimated = true WHERE user_name = %s AND started = %s"
                       " AND (%s::timestamptz IS NULL OR started <> %s::timestamptz)",
                       (user, started, present.get(user), present.get(user)))
    return since


def catch_up():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT cursor FROM beamgate_cursor")
        row = cursor.fetchone()
        since = (read_changes(cursor, row[0]) if row else None) or read_everybody(cursor)
        cursor.execute("INSERT INTO beamgate_cursor (cursor) VALUES (%s) ON CONFLICT (one) DO UPDATE SET cursor = EXCLUDED.cursor",
                       (since,))
    connection.close()


def keep_up():
    while True:
        try:
            catch_up()
            pause_s = CATCH_UP_S
        except (OSError, urllib.error.URLError, psycopg2.Error) as error:
            print(f"could not catch up: {error}", file=sys.stderr)
            pause_s = min(1.0, CATCH_UP_S)
        time.sleep(pause_s)  # Between two looks; news come by themselves.


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


def on_connect(uri):
    user = parse_qs(urlsplit(uri).query).get("user", [""])[0]
    if not NAME.fullmatch(user):
        return 403, "a user has 1 to 32 letters, digits, - or _\n"
    return 200, {"user": user}


def on_events(events):
    with database() as connection, connection.cursor() as cursor:
        for event in events:
            write(cursor, event["type"], event["data"])
    connection.close()
    return 204, ""


def latest_rows():
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT user_name, started, ended FROM watching_times ORDER BY started DESC LIMIT 100")
        rows = [{"user": user, "started": started.isoformat(), "ended": ended and ended.isoformat()}
                for user, started, ended in cursor.fetchall()]
    connection.close()
    return rows


class Application(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # Keeps connections open between calls.

    def do_GET(self):
        if self.path != "/":
            return self.answer(404, "not found\n")
        return self.answer(200, json.dumps(latest_rows()), "application/json")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path != "/beamgate" or not is_genuine(self.headers, body):
            return self.answer(403, "not from BeamGate\n")
        try:
            if self.headers.get("content-type", "").startswith("application/cloudevents-batch+json"):
                return self.answer(*on_events(json.loads(body)))
        except psycopg2.Error as error:  # BeamGate will come again with it.
            return self.answer(503, f"{error}\n")
        if self.headers.get("ce-type") == "beamgate.connect":
            return self.answer(*on_connect(self.headers.get("beamgate-uri", "")))
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
    with database() as connection, connection.cursor() as cursor:
        cursor.execute(TABLES)
    connection.close()
    threading.Thread(target=keep_up, daemon=True).start()
    server = Server(("127.0.0.1", PORT), Application)
    print(f"sessions application on http://127.0.0.1:{server.server_port}", file=sys.stderr)
    server.serve_forever()

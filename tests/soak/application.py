"""The application behind the gateway: goes away in three ways, comes back, and keeps books of who is online.

It answers plain requests that are proxied to it (/app/bytes?N, /app/upload), names the users of handshakes, and is told
of sessions.  Its books are as those of any application should be: what the webhooks tell, and after that what the
journal of the gateway's API says, which must agree.
"""

import hashlib
import json
import random
import threading
import time

import beamgate
import http_client
import standard_webhooks
from backend import Backend, Hang, Reply

HOST = "127.0.0.77"  # Nobody connects from here, so that its port is free when it comes back.
SECRET = standard_webhooks.new_secret("soak")
BLOCK = random.Random(5).randbytes(1 << 16)
GRACE_S = 2  # What was refused may be told so a little later.


def content(size):
    return (BLOCK * (size // len(BLOCK) + 1))[:size]


def call_api(address, method, timeout, **params):
    answer = http_client.post(address, f"/api/{method}", params, timeout=timeout).json()
    if "error" in answer:
        raise AssertionError(f"{method}: {answer['error']}")
    return answer["result"]


class Application:
    KINDS = ("refuses", "hangs", "fails")

    def __init__(self):
        self.lock = threading.Lock()
        self.told = {}           # (type, user, joined) to the webhook ids it came under.
        self.unconfirmed = {}    # Told, and not yet found in the journal: key to when it happened.
        self.cursor = None
        self.journal_begins = ""  # What happened before that is in no journal any more.
        self.away_from, self.back_at = None, 0.0
        self.backend = None
        self.open(0)
        self.address, self.port = self.backend.address, self.backend.port

    def open(self, port):
        self.backend = Backend(self.answer, secret=SECRET, host=HOST, port=port)

    def close(self):
        self.backend.close()

    # Being away.

    def leave(self, kind):
        self.away_from = time.monotonic()
        if kind == "refuses":
            self.backend.stop_listening()
        else:
            self.backend.on("*", Hang() if kind == "hangs" else Reply(503))

    def come_back(self):
        if self.away_from is None:
            return
        self.backend.close()
        self.open(self.port)
        self.back_at = time.monotonic() + GRACE_S
        self.away_from = None

    def was_away_since(self, moment):
        return self.away_from is not None or moment < self.back_at

    # Answering.

    def answer(self, request):
        with self.backend.changed:
            self.backend.requests.clear()  # A soak is long.
        if request.path == "/app/bytes":
            return Reply(200, content(int(request.query)))
        if request.path == "/app/upload":
            return Reply(200, hashlib.sha256(request.body).hexdigest())
        if request.type == "beamgate.connect":
            user = request.header("beamgate-uri").rpartition("=")[2]
            return Reply(200, {"user": user}, {"Content-Type": "application/vnd.beamgate+json"})
        if request.header("content-type", "").startswith("application/cloudevents-batch+json"):
            self.take(request.header("webhook-id"), json.loads(request.body))
        return Reply(204)

    def take(self, webhook_id, events):
        with self.lock:
            for event in events:
                if event["type"].startswith("beamgate.user."):
                    data = event["data"]
                    key = event["type"], data["user"], data["joined"]
                    self.told.setdefault(key, set()).add(webhook_id)
                    self.unconfirmed[key] = data.get("left") or data["joined"]

    # The books.

    def check(self, address, online, timeout):
        """That the gateway knows who is online, and that each change of the journal was told, and no other."""
        def call(method, **params):
            return call_api(address, method, timeout, **params)

        def there():
            return {user["user"] for user in call("users", limit=10000)["users"] if user["connections"]} == online
        beamgate.until(there, timeout, f"users online are {sorted(online)}")
        changes = self.changes(call)
        if changes is None:  # The journal was a killed master's: nobody knows what is still to be told.
            self.cursor = call("users", limit=10000)["cursor"]
            self.journal_begins = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
            return

        def all_told():
            with self.lock:
                return all(key in self.told for key in changes)
        beamgate.until(all_told, timeout, "all changes of the journal are told")
        with self.lock:
            invented = [key for key, when in self.unconfirmed.items() if key not in changes and when > self.journal_begins]
            again = [key for key in changes if len(self.told[key]) > 1]
            self.unconfirmed.clear()
            self.told = {key: ids for key, ids in self.told.items() if key in changes}  # The rest is long past.
        if invented:
            raise AssertionError(f"told, but not in the journal: {sorted(invented)[:5]}")
        if again:
            raise AssertionError(f"told under more than one webhook-id: {again[:5]}")

    def changes(self, call):
        """Those since the last time, as keys; None when the journal does not reach back to it."""
        found = set()
        while self.cursor:
            page = call("user_changes", since=self.cursor)
            if not page["known"]:
                return None
            found.update((change["type"], change["user"], change["joined"]) for change in page["changes"])
            self.cursor = page["cursor"]
            if not page["more"]:
                return found
        return None

"""One room for all: pusher-js, phoenix.js, centrifuge-js, a raw WebSocket, a line client, an event stream, long-polling and
the application hear each other through four workers.  Official clients, unmodified: support/one_room.mjs."""

import subprocess
from pathlib import Path

import beamgate

SUPPORT = Path(beamgate.SOURCE_ROOT, "tests", "support")
ROOM, KEY, SECRET = "private-tea", "roomkey", "a secret of the room's app"
HTTP = f"""
app room {{ id 1; key {KEY}; secret "{SECRET}"; }}
channels * {{ history 100 1m; }}
server {{
    listen 127.0.0.1:0;
    location /app/ {{ websocket pusher; }}
    location /socket {{ websocket phoenix; }}
    location /centrifuge {{ websocket centrifuge; }}
    location /raw {{ websocket raw; websocket_subscribe {ROOM}; websocket_publish {ROOM}; }}
    location /sse {{ sse {ROOM}; }}
    location /poll {{ longpoll {ROOM}; longpoll_timeout 200ms; }}
    location /api/ {{ api on; }}
}}
"""


class OneRoom(beamgate.TestCase):
    def test_everybody_hears_everybody(self):
        gateway = self.gateway(HTTP, main="line { listen 127.0.0.1:0; }", workers=4)
        http, line = gateway.addresses()
        node = subprocess.run(["node", str(SUPPORT / "one_room.mjs"), http, line, ROOM, KEY, SECRET], capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(node.returncode, 0, node.stdout + node.stderr + gateway.log()[-3000:])
        self.assertEqual(node.stdout.count("ok all have heard"), 6)


if __name__ == "__main__":
    beamgate.main()

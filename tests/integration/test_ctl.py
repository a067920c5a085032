"""beamgate ctl: an administrator looks at a running gateway and directs it, over its control socket and by signals."""

import os
import re
import stat
import subprocess
from signal import SIGINT

import beamgate
import http_client
import ws_client
from backend import Reply

MAIN = "control unix:control.sock;"
SERVER = """
    deny all;
    server {
        listen 127.0.0.1:0;
        location ~ ^/room/(?<room>[a-z]+)$ { allow all; websocket raw; websocket_subscribe $room; websocket_publish $room; }
        location / { allow all; return 200; }
    }
"""


class Ctl(beamgate.TestCase):
    def start(self, http=SERVER, main=MAIN, **options):
        self.running = self.gateway(http, main=main, **options)
        self.address = self.tcp_address(self.running)
        return self.running

    def tcp_address(self, gateway):
        """The control socket is one more address that it listens at."""
        return next(address for address in map(gateway.address, range(2)) if not address.startswith("unix:"))

    def command(self, *words):
        gateway = self.running
        return [beamgate.binary(), "ctl", "-p", str(gateway.directory), "-c", str(gateway.config_path), *words]

    def ctl(self, *words, status=0):
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=120, cwd=self.running.directory)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status == 0 else done.stderr

    def join(self, room):
        return self.track(ws_client.connect(self.address, f"/room/{room}"))

    def rows(self, text):
        """Lines of a table below its head, as words."""
        return [line.split() for line in text.splitlines()[1:]]


class Looking(Ctl):
    def test_the_socket_is_its_owners_alone(self):
        gateway = self.start()
        mode = os.stat(gateway.path("control.sock")).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)
        gateway.stop()
        self.assertFalse(gateway.path("control.sock").exists())

    def test_status(self):
        gateway = self.start(workers=2)
        for _ in range(3):
            self.join("red")
        beamgate.until(lambda: "3 WebSockets" in self.ctl("status"), 10, "three WebSockets")
        text = self.ctl("status")
        self.assertRegex(text, r"(?m)^version +\d")
        self.assertRegex(text, r"(?m)^connections +\d+, 3 WebSockets$")
        self.assertRegex(text, r"(?m)^channels +[12], 3 subscriptions$")
        workers = text[text.index("WORKER"):].splitlines()[1:]
        self.assertEqual([line.split()[0] for line in workers], ["0", "1"])
        self.assertEqual(len(gateway.worker_pids()), 2)

    def test_connections_and_channels(self):
        self.start(workers=2)
        self.assertEqual(self.rows(self.ctl("connections")), [])
        for room in ("red", "red", "blue"):
            self.join(room)
        rows = self.rows(self.ctl("connections"))
        self.assertEqual(len(rows), 3)
        self.assertEqual(sorted(row[-1] for row in rows), ["blue", "red", "red"])
        self.assertEqual({(row[1], row[2]) for row in rows}, {("-", "raw")})
        for row in rows:
            self.assertRegex(row[0], r"^[0-9a-f]{16}$")
        self.assertEqual(self.rows(self.ctl("channels")), [["1", "blue"], ["2", "red"]])
        self.assertEqual(self.rows(self.ctl("channels", "b*")), [["1", "blue"]])

    def test_users(self):
        application = self.backend()
        application.on("/", lambda request: Reply(200, headers=[("beamgate-user", "ann")]))
        self.start(http=f"webhook app {{ url {application.url}/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }}"
                        "server { listen 127.0.0.1:0; location / { websocket raw; webhook app; } }")
        one, two = (self.track(ws_client.connect(self.address, "/")) for _ in range(2))
        self.assertEqual([row[1] for row in self.rows(self.ctl("connections", "ann"))], ["ann", "ann"])
        self.assertIn("no such", self.ctl("connections", "bob", status=1))
        self.ctl("kick", "user:ann", "4001", "out & away")
        for client in (one, two):
            self.assertEqual(client.recv_close(), 4001)

    def tap(self, *words):
        tap = subprocess.Popen(self.command("tap", *words), stdout=subprocess.PIPE, text=True, preexec_fn=beamgate.end_with_parent)
        self.addCleanup(tap.stdout.close)
        self.addCleanup(tap.wait)
        self.addCleanup(tap.kill)
        return tap

    def test_a_tap_of_a_user(self):
        """What is published to the user, whether it is there or not; the tap is not the user."""
        self.start(http="""server { listen 127.0.0.1:0; location /api/ { api on; } }""", workers=2)

        def api(path, body):
            answer = http_client.post(self.address, f"/api/{path}", body)
            self.assertEqual(answer.status, 200, answer.text)
            return answer.json()["result"]
        tap = self.tap("user", "ann.b@example: 1")
        channel = "#server-to-user-ann.b@example: 1"
        beamgate.until(lambda: self.rows(self.ctl("channels", "#*")), 10, "the tap is subscribed")
        api("publish", {"channel": "#server-to-user-bob", "data": "not for this one"})
        api("publish", {"channel": channel, "data": {"to": "ann"}})
        api("publish", {"channel": channel, "data": "two\nlines"})
        self.assertEqual(tap.stdout.readline(), '{"to":"ann"}\n')
        self.assertEqual(tap.stdout.readline(), '"two\\nlines"\n')
        self.assertEqual(api("users", {})["users"], [])
        self.assertIn("tap user NAME", self.ctl("tap", "users", "ann", status=1))

    def test_a_tap_of_any_name(self):
        self.start(http="""server { listen 127.0.0.1:0; location /api/ { api on; } }""")
        name = "chat:room.1/%41 ü"
        tap = self.tap(name)
        beamgate.until(lambda: name in self.ctl("channels"), 10, "the tap is subscribed")
        http_client.post(self.address, "/api/publish", {"channel": name, "data": "hello"})
        self.assertEqual(tap.stdout.readline(), '"hello"\n')

    def test_a_tap(self):
        self.start()
        tap = self.tap("red")
        beamgate.until(lambda: self.rows(self.ctl("channels")) == [["1", "red"]], 10, "the tap is subscribed")
        client = self.join("red")
        client.send("hello")
        client.send("two\nlines \x1b[31m")
        client.send("x" * 60_000)
        client.send("last")
        self.assertEqual(tap.stdout.readline(), "hello\n")
        self.assertEqual(tap.stdout.readline(), "two\\x0alines \\x1b[31m\n")
        self.assertEqual(tap.stdout.readline(), "x" * 60_000 + "\n")
        self.assertEqual(tap.stdout.readline(), "last\n")
        tap.send_signal(SIGINT)
        self.assertEqual(tap.wait(10), -SIGINT)


class Directing(Ctl):
    def test_kick(self):
        self.start(workers=2)
        one, two = self.join("red"), self.join("blue")
        by_room = {row[-1]: row[0] for row in self.rows(self.ctl("connections"))}
        self.ctl("kick", by_room["red"])
        self.assertEqual(one.recv_close(), 1008)
        two.send("still here")
        self.assertEqual(two.recv(), "still here")
        self.assertIn("no such connection", self.ctl("kick", "0123456789abcdef", status=1))
        self.assertIn("close code", self.ctl("kick", by_room["blue"], "99", status=1))

    def test_log_level(self):
        gateway = self.start(workers=1, log_level="notice")
        self.assertEqual(self.ctl("log-level"), "notice (configured: notice)\n")
        self.assertEqual(self.ctl("log-level", "info"), "info (configured: notice)\n")

        def said():
            http_client.request(self.address, "BAD REQUEST", "/", timeout=5)
            return "request_refused" in gateway.log()
        beamgate.until(said, 10, "the worker's line at level info")
        self.assertEqual(self.ctl("log-level", "configured"), "notice (configured: notice)\n")
        self.assertIn("expected level=", self.ctl("log-level", "loud", status=1))
        self.ctl("log-level", "debug")
        self.ctl("reload")
        self.assertEqual(self.ctl("log-level"), "notice (configured: notice)\n")

    def test_reload_waits_for_its_end(self):
        gateway = self.start()
        self.assertEqual(self.ctl("reload"), "")
        self.assertIn("reloaded generation=2", gateway.log())
        taken = self.gateway(SERVER)
        gateway.write_config(http=SERVER.replace("127.0.0.1:0", taken.address()))
        self.assertIn("no reload", self.ctl("reload", status=1))
        gateway.write_config("nonsense on;")
        self.assertIn("nonsense", self.ctl("reload", status=1))

    def test_upgrade_waits_for_its_end(self):
        gateway = self.start(workers=1, main=MAIN + "upgrade_trial 0;")
        client = self.join("red")
        self.assertEqual(self.ctl("upgrade"), "")
        self.assertIn("upgraded workers=1", gateway.log())
        client.send("still here")
        self.assertEqual(client.recv(), "still here")
        self.assertEqual(stat.S_IMODE(os.stat(gateway.path("control.sock")).st_mode), 0o600)

    def test_drain_and_reopen(self):
        gateway = self.start(main=MAIN + "worker_shutdown_timeout 1s;")
        client = self.join("red")
        self.ctl("reopen")
        gateway.wait_log("logs_reopened")
        self.ctl("drain")
        self.assertEqual(client.recv_close(), 1001)
        gateway.check_ended()
        self.assertIn("no running master", self.ctl("stop", status=1))
        self.assertIn("connect", self.ctl("status", status=1))


class Mistakes(Ctl):
    def test_what_makes_no_sense(self):
        gateway = self.start()
        for words in ((), ("nonsense",), ("kick",), ("tap",), ("status", "more"), ("kick", "1", "2", "3", "4")):
            self.assertIn("Usage: beamgate ctl", self.ctl(*words, status=2))
        self.assertIn("Usage: beamgate ctl", subprocess.run([beamgate.binary(), "ctl", "-h"], capture_output=True, text=True).stdout)
        for wrong in ("control here;", "control unix:;", "control unix:" + "/a" * 60 + ";", "control 127.0.0.1:1;"):
            gateway.write_config(main=wrong)
            self.assertEqual(gateway.run("-t").returncode, 1, wrong)

    def test_without_a_socket_signals_are_left(self):
        gateway = self.start(main="")
        self.assertIn("control unix:", self.ctl("status", status=1))
        self.assertIn("error log", self.ctl("reload"))
        gateway.wait_log(r"\breloaded generation=2")

    def test_the_dump_starts_the_same_gateway(self):
        gateway = self.start()
        dumped = gateway.run("-T").stdout
        self.assertEqual(len(re.findall(r"(?m)^\s*control ", dumped)), 1)
        self.running = self.gateway(config=re.sub(r"(?m)^# configuration file.*$", "", dumped))
        self.address = self.tcp_address(self.running)
        self.join("red")
        self.assertEqual(self.rows(self.ctl("channels")), [["1", "red"]])


if __name__ == "__main__":
    beamgate.main()

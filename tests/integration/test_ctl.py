"""beamgate ctl: an administrator looks at a running gateway and directs it, over its control socket and by signals."""

import json
import os
import re
import stat
import subprocess
from signal import SIGINT, SIGKILL

import beamgate
import event_stream
import http_client
import jwt_token
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
        self.assertEqual(len(self.rows(self.ctl("connections", "channel:red"))), 2)
        self.assertEqual(self.rows(self.ctl("connections", "channel:re")), [])

    def test_json(self):
        self.start(workers=2)
        self.join("red")
        told = lambda *words: json.loads(self.ctl("-j", *words))
        self.assertEqual(told("status")["workers"], 2)
        self.assertEqual([each["channels"] for each in told("connections")["result"]["connections"]], [["red"]])
        self.assertEqual(told("channels")["result"]["channels"], {"red": {"num_clients": 1}})
        self.assertEqual(told("log-level")["level"], told("log-level")["configured"])
        self.assertEqual(told("reasons"), {"reasons": []})

    def test_users(self):
        application = self.backend()
        application.on("/", lambda request: Reply(200, headers=[("beamgate-user", "ann")]))
        self.start(http=f"webhook app {{ url {application.url}/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }}"
                        "server { listen 127.0.0.1:0; location / { websocket raw; webhook app; } }")
        one, two = (self.track(ws_client.connect(self.address, "/")) for _ in range(2))
        for words in ("ann", "user:ann"):
            self.assertEqual([row[1] for row in self.rows(self.ctl("connections", words))], ["ann", "ann"])
        self.assertIn("no such", self.ctl("connections", "bob", status=1))
        self.assertEqual(self.ctl("kick", "user:ann", "4001", "out & away"), "2 closed\n")
        for client in (one, two):
            self.assertEqual(client.recv_close(), 4001)

    def tap(self, *words, stderr=subprocess.DEVNULL):
        tap = subprocess.Popen(self.command("tap", *words), stdout=subprocess.PIPE, stderr=stderr, text=True, encoding="utf-8",
                               errors="surrogateescape", preexec_fn=beamgate.end_with_parent)
        self.addCleanup(tap.stdout.close)
        self.addCleanup(tap.wait)
        self.addCleanup(tap.kill)
        return tap

    def test_a_tap_of_a_user(self):
        """What the user's connections send and are sent, whichever workers they are at; nothing of anybody else."""
        application = self.backend()
        application.on("/", self.application)
        gateway = self.start(http=self.people(application), workers=3)
        name = "ann.b@example: 1"
        api = self.api
        tap = self.tap("user", name)
        gateway.wait_log(r"tap_begun user=\"ann\.b@example: 1\" connection=[0-9a-f]{16}")
        bob = self.track(ws_client.connect(self.address, "/", headers=[("X-User", "bob")]))
        anns = [self.track(ws_client.connect(self.address, "/", headers=[("X-User", name)], extensions=extensions))
                for extensions in (None, "permessage-deflate", "permessage-deflate; server_no_context_takeover", None)]
        line = re.compile(r"\d\d:\d\d:\d\d\.\d{3} ([0-9a-f]{16}) ([<>*]) (.*)\n")

        def lines(count):
            return [line.fullmatch(tap.stdout.readline()).groups() for _ in range(count)]
        opened = lines(4)
        self.assertEqual({rest for _, *rest in map(list, opened) for rest in [tuple(rest)]}, {("*", "opened, raw")})
        ids = {uid for uid, _, _ in opened}
        self.assertEqual(len(ids), 4)
        bob.send("not for this one")
        self.assertEqual(bob.recv(), "NOT FOR THIS ONE")
        for ann in anns:
            ann.send("two\nlines " + "and more " * 40)
            ann.recv()
        said = lines(8)
        text = "two\\x0alines " + "and more " * 40
        self.assertEqual(sorted((way, what) for _, way, what in said), [("<", text)] * 4 + [(">", text.replace("\\x0a", "\n").upper().replace("\n", "\\x0a"))] * 4)
        self.assertEqual({uid for uid, _, _ in said}, ids)
        api("publish", {"channel": "#server-to-user-" + name, "data": {"to": "ann"}})
        self.assertEqual({rest for _, *rest in map(list, lines(4)) for rest in [tuple(rest)]}, {(">", '{"to":"ann"}')})
        api("publish", {"channel": "everybody", "data": "x" * 100_000})
        for _, way, what in lines(4):
            self.assertEqual((way, what), (">", '"' + "x" * (65_536 - 1) + " ... (100002 bytes)"))
        http_client.request(self.address, "POST", f"/api/connections/{min(ids)}", {"Content-Type": "application/octet-stream"}, b"\x00\xff")
        self.assertEqual(lines(1), [(min(ids), ">", "(binary) \\x00\\xff")])
        anns[0].close(4001)
        self.assertEqual([rest[1:] for rest in lines(1)], [("*", "closed with 4001 by the client")])
        self.ctl("kick", f"user:{name}")
        self.assertEqual({(way, what) for _, way, what in lines(3)}, {("*", "closed with 1008 by the gateway")})

    def application(self, request):
        if request.header("ce-type") == "beamgate.connect":
            return Reply(204, headers=[("beamgate-user", request.header("x-user")), ("beamgate-subscribe", "everybody")])
        return Reply(200, request.body.decode().upper(), headers=[("Content-Type", "text/plain")])

    def people(self, application):
        return f"""webhook app {{ url {application.url}/; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0;
                                  forward_headers X-User; }}
                   server {{ listen 127.0.0.1:0; location /api/ {{ api on; }} location / {{ websocket raw; webhook app; }} }}"""

    def api(self, path, body):
        answer = http_client.post(self.address, f"/api/{path}", body)
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json()["result"]

    def test_a_tap_of_a_user_goes_on(self):
        """Whoever is killed or replaced; and it ends with its command."""
        application = self.backend()
        application.on("/", self.application)
        gateway = self.start(http=self.people(application), main=MAIN + "upgrade_trial 0;", workers=2)
        tap = self.tap("user", "ann")
        gateway.wait_log("tap_begun user=ann")
        ann = self.track(ws_client.connect(self.address, "/", headers=[("X-User", "ann")]))
        self.assertIn("* opened", tap.stdout.readline())

        def talk(word):
            ann.send(word)
            self.assertEqual(ann.recv(), word.upper())
            self.assertEqual(tap.stdout.readline()[30:], f"< {word}\n")
            self.assertEqual(tap.stdout.readline()[30:], f"> {word.upper()}\n")
        talk("hello")
        gateway.deaths_expected = True
        for pid in gateway.worker_pids():
            os.kill(pid, SIGKILL)
        gateway.wait_log("worker_adopted", count=2)
        talk("killed")
        self.ctl("upgrade")
        talk("upgraded")
        tap.send_signal(SIGINT)
        tap.wait(10)
        self.assertEqual(self.rows(self.ctl("connections"))[0][1], "ann")

    def test_a_tap_of_plain_clients(self):
        secret = "a secret of thirty-two bytes or more"
        gateway = self.start(http=f"""token people {{ secret "{secret}"; }} channels news {{ subscribe token; }}
            server {{ listen 127.0.0.1:0; location = /stream {{ sse argument=channel; sse_token people; }}
                      location = /poll {{ longpoll argument=channel; longpoll_timeout 30s; longpoll_token people; }}
                      location /api/ {{ api on; }} }}""", workers=2)
        tap = self.tap("user", "ann")
        gateway.wait_log("tap_begun user=ann")
        target = f"?channel=news&token={jwt_token.sign(secret, {'sub': 'ann', 'channel': 'news'})}"
        stream = self.track(event_stream.Reader(self.address, "/stream" + target)).wait_joined()
        poll = self.track(http_client.Connection(self.address))
        poll.send_request("GET", "/poll" + target)
        beamgate.until(lambda: len(self.rows(self.ctl("connections", "ann"))) == 2, 10, "both are there")
        self.api("publish", {"channel": "news", "data": "extra"})
        said = {tap.stdout.readline()[30:] for _ in range(2)}
        self.assertEqual({line[:2] for line in said}, {"> "})
        self.assertEqual(len([line for line in said if "extra" in line]), 2, said)
        stream.close()

    def test_taps_by_the_api(self):
        self.start(http="server { listen 127.0.0.1:0; location /api/ { api on; } location / { websocket raw; } }")
        self.assertIn("CHANNEL|user NAME", self.ctl("tap", "users", "ann", status=2))
        for target, status in (("taps/ann", 400), ("taps/ann?connection=0", 400), ("taps/ann?connection=x", 400), ("taps/", 404),
                               ("taps/ann?connection=0001000001000001", 200)):
            self.assertEqual(http_client.post(self.address, f"/api/{target}", "").status, status, target)
        self.assertEqual(http_client.get(self.address, "/api/taps/ann?connection=0001000001000001").status, 405)
        for number in range(2, 17):
            self.assertEqual(http_client.post(self.address, f"/api/taps/ann?connection=00010000010000{number:02x}", "").status, 200)
        self.assertEqual(http_client.post(self.address, "/api/taps/ann?connection=0001000001000011", "").status, 503)

    def test_a_tap_of_any_name(self):
        self.start(http="""server { listen 127.0.0.1:0; location /api/ { api on; } }""")
        for name in ("chat:room.1/%41 ü", "#server-to-user-ann b"):
            tap = self.tap(name)
            beamgate.until(lambda: name in self.ctl("channels", "#*") + self.ctl("channels"), 10, "the tap is subscribed")
            http_client.post(self.address, "/api/publish", {"channel": name, "data": "hello"})
            self.assertEqual(tap.stdout.readline(), '"hello"\n')

    def test_a_tap(self):
        self.start()
        tap = self.tap("red")
        beamgate.until(lambda: self.rows(self.ctl("channels")) == [["1", "red"]], 10, "the tap is subscribed")
        client = self.join("red")
        client.send("hello")
        client.send("two\nlines \x1b[31m \x9b31m ü")
        client.send("x" * 60_000)
        client.send("last")
        self.assertEqual(tap.stdout.readline(), "hello\n")
        self.assertEqual(tap.stdout.readline(), "two\\x0alines \\x1b[31m \\xc2\\x9b31m ü\n")
        self.assertEqual(tap.stdout.readline(), "x" * 60_000 + "\n")
        self.assertEqual(tap.stdout.readline(), "last\n")
        tap.send_signal(SIGINT)
        self.assertEqual(tap.wait(10), -SIGINT)

    def test_a_tap_says_why_it_ends(self):
        self.start(main=MAIN + "worker_shutdown_timeout 1s;")
        tap = self.tap("red", stderr=subprocess.PIPE)
        beamgate.until(lambda: self.rows(self.ctl("channels")), 10, "the tap is subscribed")
        self.ctl("drain")
        self.assertEqual(tap.wait(10), 1)
        self.assertRegex(tap.stderr.read(), "closed it with 1001")
        tap.stderr.close()


class Directing(Ctl):
    def test_kick(self):
        self.start(workers=2)
        one, two = self.join("red"), self.join("blue")
        by_room = {row[-1]: row[0] for row in self.rows(self.ctl("connections"))}
        self.assertEqual(self.ctl("kick", by_room["red"]), "1 closed\n")
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
        self.assertRegex(self.ctl("log-level", "loud", status=1), r"^beamgate ctl: the gateway says: expected level=.* configured\n$")
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


class Reasons(Ctl):
    def test_reasons(self):
        self.start()
        self.assertEqual(self.rows(self.ctl("reasons")), [])
        self.join("red")
        self.assertEqual(self.ctl("kick", self.rows(self.ctl("connections"))[0][0]), "1 closed\n")
        http_client.get(self.address, "/room/red")
        self.assertEqual(self.rows(self.ctl("reasons")),
                         [["1", "websocket_handshakes_refused", "malformed"], ["1", "connections_closed", "api"]])
        self.assertEqual(json.loads(self.ctl("-j", "reasons")),
                         {"reasons": [{"count": 1, "what": "websocket_handshakes_refused", "reason": "malformed"},
                                      {"count": 1, "what": "connections_closed", "reason": "api"}]})


class InNeed(Ctl):
    """Who asks has a configuration that does not load, or one of something else."""

    def broken(self, main=MAIN, http="nonsense on;"):
        self.running.write_config(main=main, http=http)

    def run_ctl(self, *words, directory=None):
        directory = directory or self.running.directory
        done = subprocess.run([beamgate.binary(), "ctl", *words], capture_output=True, text=True, timeout=120, cwd=directory)
        return done.returncode, done.stdout, done.stderr

    def test_the_lines_of_a_broken_configuration_are_enough(self):
        gateway = self.start(main="control unix:elsewhere.sock;")
        for http in ("nonsense on;", "server {", 'server { listen "'):
            self.broken(main="control unix:elsewhere.sock;", http=http)
            done = subprocess.run(self.command("status"), capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("version ", done.stdout)
            self.assertIn("beamgate.conf:", done.stderr)
            self.assertIn(f"does not load; control socket: {gateway.path('elsewhere.sock')}, pid file: {gateway.path('beamgate.pid')}",
                          done.stderr)
        self.ctl("stop")
        gateway.check_ended()

    def test_so_is_an_included_file(self):
        self.start(files={"control.conf": MAIN}, main="include control.conf;")
        self.broken(main="include control.conf; include none.conf;")
        self.assertIn("version ", self.ctl("status"))

    def test_without_any_the_usual_places(self):
        gateway = self.start()
        self.broken(main="", http="server {")
        self.assertIn("version ", self.ctl("status"))
        gateway.write_config("pid nowhere.pid")  # Of which nothing can be read.
        self.ctl("reopen")
        gateway.config_path.unlink()
        self.assertIn("version ", self.ctl("status"))
        self.ctl("stop")
        gateway.check_ended()

    def test_a_configuration_that_has_no_socket(self):
        """Another one may have been started, such as with -c; what -c names now is not another one's."""
        gateway = self.start()
        gateway.write_config(main="")
        at = ("-p", str(gateway.directory))
        status, out, err = self.run_ctl(*at, "status")
        self.assertEqual(status, 0, err)
        self.assertIn("version ", out)
        self.assertEqual(err, f"beamgate ctl: {gateway.config_path} has no control socket; trying {gateway.path('control.sock')}\n")
        status, _, err = self.run_ctl(*at, "-c", str(gateway.config_path), "status")
        self.assertEqual(status, 1)
        self.assertIn('has no "control unix:path;"; -s says where', err)
        gateway.write_config(main="control off;")
        self.assertEqual(self.run_ctl(*at, "status")[0], 1)
        gateway.path("control.sock").unlink()
        gateway.write_config(main="")
        status, _, err = self.run_ctl(*at, "status")
        self.assertEqual(status, 1)
        self.assertIn(f"there is no socket at {gateway.path('control.sock')}; -s says where", err)

    def test_a_socket_that_is_named(self):
        gateway = self.start()
        socket = str(gateway.path("control.sock"))
        self.broken(main="control unix:wrong.sock;")
        for words in (["-s", socket], [f"-s{socket}"], ["--socket", socket], [f"--socket={socket}"], ["-s", "control.sock"]):
            status, out, err = self.run_ctl(*words, "status")
            self.assertEqual((status, err), (0, ""), words)
            self.assertIn("version ", out)
        status, _, err = self.run_ctl("-s", "none.sock", "status")
        self.assertEqual(status, 1)
        self.assertIn("none.sock: can't connect to the control socket", err)
        for words in (["-s"], ["--socket="], ["--sockets", socket]):
            self.assertEqual(self.run_ctl(*words)[0], 2, words)
        # A signal finds its master by the configuration, such as it is.
        status, _, err = self.run_ctl("-p", str(gateway.directory), "-c", str(gateway.config_path), "-s", socket, "stop")
        self.assertEqual(status, 0, err)
        self.assertIn("does not load", err)
        gateway.check_ended()


class Mistakes(Ctl):
    def test_what_makes_no_sense(self):
        gateway = self.start()
        for words, wrong in (((), "a command is missing"), (("nonsense",), 'there is no command "nonsense"'),
                             (("kick",), '"kick" takes ID|user:NAME [CODE [REASON]]'), (("tap",), '"tap" takes CHANNEL|user NAME'),
                             (("tap", "a", "b"), '"tap" takes CHANNEL|user NAME'), (("status", "more"), '"status" takes no arguments'),
                             (("kick", "1", "2", "3", "4"), '"kick" takes'), (("-x", "status"), 'invalid option: "x"'),
                             (("--json", "status"), 'invalid option: "--json"'), (("-t", "status"), "the options are -s, -c"),
                             (("-s",), 'option "-s" requires')):
            with self.subTest(words=words):
                said = self.ctl(*words, status=2)
                self.assertIn(f"beamgate ctl: {wrong}", said)
                self.assertIn('"beamgate ctl -h" shows', said)
                self.assertEqual(said.count("\n"), 1)
        self.assertIn("beamgate ctl", gateway.run("-h").stdout)
        for words in (["-h"], ["--help"], ["help"], ["kick", "--help"]):
            done = subprocess.run([beamgate.binary(), "ctl", *words], capture_output=True, text=True)
            self.assertIn("Usage: beamgate ctl", done.stdout, words)
            self.assertEqual(done.returncode, 0, words)
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

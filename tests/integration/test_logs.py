"""Logs: where lines go and how they look (syslog, a journal, JSON), what repeats, and that no log stops the serving.

Syslog servers are sockets of this file.  A full disk is /dev/full, a limit of a file's size, and, where that may be
mounted, a small tmpfs.
"""

import contextlib
import json
import os
import re
import resource
import socket
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGUSR1

import beamgate
import http_client
import ws_client

SERVER = 'server { listen 127.0.0.1:0; location / { return 200 "hello\\n"; } location = /metrics { access_log off; metrics; } }'
HEAD = re.compile(r"<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ((?:\S+ )?)(\w+): (.*)", re.DOTALL)
LISTENING = re.compile(r"\blistening address=127\.0\.0\.1:(\d+)")


class Receiver:
    """A syslog server: every datagram is kept."""

    def __init__(self, path=None):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.settimeout(10)
        self.socket.bind(str(path) if path else ("127.0.0.1", 0))
        self.messages = []

    @property
    def server(self):
        return f"unix:{self.path}" if self.path else "127.0.0.1:%d" % self.socket.getsockname()[1]

    def receive(self):
        """(priority, host, tag, text)"""
        message = self.socket.recv(1 << 16).decode()
        self.messages.append(message)
        match = HEAD.fullmatch(message)
        assert match, message
        return int(match[1]), match[3].strip(), match[4], match[5]

    def wait(self, pattern):
        while True:
            message = self.receive()
            if re.search(pattern, message[3]):
                return message

    def close(self):
        self.socket.close()
        if self.path:
            self.path.unlink()


class Logs(beamgate.TestCase):
    def receiver(self, path=None):
        receiver = Receiver(path)
        self.addCleanup(receiver.socket.close)
        return receiver

    def lost(self, gateway, log, index=0):
        return gateway.metrics(index)[f'beamgate_log_lines_lost_total{{log="{log}"}}']


class Syslog(Logs):
    def test_access_log_over_udp(self):
        receiver = self.receiver()
        gateway = self.gateway(
            f"log_format f '$request_uri $status'; access_log syslog:server={receiver.server},facility=local3,severity=notice,tag=edge f;"
            + SERVER)
        http_client.get(gateway.address(), "/one")
        self.assertEqual(receiver.receive(), (19 * 8 + 5, socket.gethostname(), "edge", "/one 200"))
        for number in range(20):
            http_client.get(gateway.address(), f"/{number}")
        self.assertEqual({receiver.receive()[3] for _ in range(20)}, {f"/{number} 200" for number in range(20)})

    def test_defaults_and_a_unix_socket(self):
        gateway = self.gateway(start=False)
        receiver = self.receiver(gateway.path("log"))
        gateway.write_config(http=f"access_log syslog:server={receiver.server},nohostname;" + SERVER)
        gateway.start()
        http_client.get(gateway.address(), "/one")
        priority, host, tag, text = receiver.receive()
        self.assertEqual((priority, host, tag), (23 * 8 + 6, "", "beamgate"))
        self.assertRegex(text, r'^127\.0\.0\.1 - - \[.*\] "GET /one HTTP/1\.1" 200 6 "-" "[^"]*"$')

    def test_a_server_that_is_away_costs_lines_and_is_found_again(self):
        gateway = self.gateway(start=False)
        path = gateway.path("log")
        gateway.write_config(http=f"log_format f $request_uri; access_log syslog:server=unix:{path} f;" + SERVER, workers=1)
        gateway.start()
        self.assertEqual(http_client.get(gateway.address(), "/before").status, 200)
        self.assertEqual(self.lost(gateway, "access"), 1)
        for number in range(2):
            receiver = self.receiver(path)
            http_client.get(gateway.address(), f"/{number}")
            self.assertEqual(receiver.receive()[3], f"/{number}")
            receiver.close()
            self.assertEqual(http_client.get(gateway.address(), "/away").status, 200)
        self.assertEqual(self.lost(gateway, "access"), 3)

    def test_a_server_that_reads_nothing_stops_nothing(self):
        gateway = self.gateway(start=False)
        receiver = self.receiver(gateway.path("log"))
        gateway.write_config(http=f"access_log syslog:server={receiver.server};" + SERVER, workers=1)
        gateway.start()
        with http_client.Connection(gateway.address()) as connection:
            for number in range(900):
                connection.send_request("GET", f"/{number}")
                self.assertEqual(connection.read_response().status, 200)
        self.assertGreater(self.lost(gateway, "access"), 0)

    def test_error_log_of_every_process(self):
        receiver = self.receiver()
        gateway = self.gateway(start=False)
        path = f"syslog:server=localhost:{receiver.socket.getsockname()[1]},tag=gate"
        config = f"daemon off; pid beamgate.pid; error_log %s info; user root; worker_processes 1; events {{ }} http {{ {SERVER} }}"
        if os.geteuid() != 0:
            config = config.replace("user root;", "")
        gateway.write_config(config % path)
        gateway.start(wait=False)
        _, _, tag, text = receiver.wait(LISTENING)
        address = "127.0.0.1:" + LISTENING.search(text)[1]
        self.assertEqual(tag, "gate")
        self.assertRegex(text, r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{3} \[notice\] \d+#master: listening")
        self.assertEqual(receiver.wait(r"\bready workers=1")[0], 23 * 8 + 5)
        http_client.request(address, "BAD REQUEST", "/", timeout=5)
        self.assertEqual(receiver.wait(r"#worker: request_refused")[0], 23 * 8 + 6)
        # A keeper, and the successor of its worker.
        os.kill(gateway.worker_pids()[0], SIGKILL)
        gateway.deaths_expected = True
        self.assertEqual(receiver.wait(r"#keeper: worker_died")[0], 23 * 8 + 1)
        receiver.wait(r"#worker: worker_adopted")
        receiver.wait(r"#master: worker_ready")
        # To a file and back.
        file = gateway.path("error.log")
        gateway.write_config(config % file)
        gateway.signal(SIGHUP)
        beamgate.until(lambda: file.exists() and "reloaded" in file.read_text(), 10, "the new log")

        # A worker follows when it reads of it, and its first words may still go elsewhere.
        def stands_in_the_file():
            http_client.request(address, "BAD REQUEST", "/", timeout=5)
            return "#worker: request_refused" in file.read_text()
        beamgate.until(stands_in_the_file, 10, "the worker's line")
        gateway.write_config(config % path)
        gateway.signal(SIGHUP)
        receiver.wait(r"#master: reloaded")
        receiver.socket.settimeout(0.2)

        def arrives():
            http_client.request(address, "BAD REQUEST", "/", timeout=5)
            try:
                return receiver.wait(r"#worker: request_refused")
            except TimeoutError:
                return None
        beamgate.until(arrives, 10, "the worker's line")

    def test_what_is_wrong_is_said(self):
        gateway = self.gateway(start=False)
        for words, error in (("syslog:", "server="), ("syslog:server=", "server="), ("syslog:server=127.0.0.1:x", "port"),
                             ("syslog:server=127.0.0.1,facility=local9", "facility"),
                             ("syslog:server=127.0.0.1,severity=loud", "severity="),
                             ("syslog:server=127.0.0.1,tag=a-b", "tag="), ("syslog:server=127.0.0.1,tag=" + "a" * 33, "tag="),
                             ("syslog:server=127.0.0.1,host=x", "nohostname"),
                             ("syslog:server=unix:" + "/a" * 60, "at")):
            with self.subTest(words=words):
                gateway.write_config(http=f"access_log {words};" + SERVER)
                told = gateway.run("-t")
                self.assertEqual(told.returncode, 1)
                self.assertIn(error, told.stderr)
        gateway.write_config(http="access_log syslog:server=127.0.0.1,facility=daemon,severity=warn,tag=x_1,nohostname;" + SERVER)
        self.assertEqual(gateway.run("-t").returncode, 0)


class Formats(Logs):
    def test_json_survives_any_request(self):
        fields = ("request", "http_user_agent", "uri", "args", "connection", "connection_id", "connection_requests")
        text = "{" + ",".join(f'"{field}":"${field}"' for field in fields) + "}"
        gateway = self.gateway(f"log_format j escape=json '{text}'; access_log access.log j;" + SERVER)
        agents = ['plain', 'a "quoted" \\ back', "tab\there", "caf\u00e9 \u2713", "\u0001\u001f"]
        with http_client.Connection(gateway.address()) as connection:
            for agent in agents[:4]:
                connection.send_request("GET", '/x%22%0A%5C?q="', headers={"User-Agent": agent.encode().decode("latin-1")})
                self.assertEqual(connection.read_response().status, 200)
        http_client.get(gateway.address(), "/other")
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text().count("\n") == 5, 10, "five lines")
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        mine = [row for row in rows if row["uri"] != "/other"]
        self.assertEqual([row["http_user_agent"] for row in mine], agents[:4])
        self.assertEqual({row["uri"] for row in mine}, {'/x"\n\\'})
        self.assertEqual({row["args"] for row in mine}, {'q="'})
        self.assertEqual([row["connection_requests"] for row in mine], ["1", "2", "3", "4"])
        self.assertEqual(len({row["connection"] for row in mine}), 1)
        self.assertEqual(len({row["connection"] for row in rows}), 2)
        for row in rows:
            self.assertRegex(row["connection_id"], r"^[0-9a-f]{16}$")
            self.assertEqual(int(row["connection_id"], 16), int(row["connection"]))

    def test_what_was_refused_is_told_as_it_came(self):
        """For whoever bans by the log, or reads in it what was tried: the first line as far as it came, whatever it was."""
        gateway = self.gateway("log_format r '$status $request|'; access_log access.log r; client_header_timeout 1s;" + SERVER)
        log = gateway.path("access.log")
        end = b"Host: a\r\n\r\n"
        long = b"GET /" + b"a" * 9000
        hello = bytes.fromhex("16030100c8010000c40303") + b"hello\"\\\x00\r more\nsecond"
        tried = ((hello, r"400 \x16\x03\x01\x00\xC8\x01\x00\x00\xC4\x03\x03hello\x22\x5C\x00\x0D more|"),
                 (long + b" HTTP/1.1\r\n" + end, "414 " + long[:2048].decode() + "|"),
                 (long, "414 " + long[:2048].decode() + "|"),
                 (b"GET /x y HTTP/1.1\r\n" + end, "400 GET /x y HTTP/1.1|"),
                 (b"GET / HTTP/3.1\r\n" + end, "505 GET / HTTP/3.1|"),
                 (b"GET /admin\xff.php?x=1 HTTP/1.1\r\n" + end, r"400 GET /admin\xFF.php?x=1 HTTP/1.1|"),
                 (b"\r\nGET /\x01 HTTP/1.1\r\n" + end, r"400 GET /\x01 HTTP/1.1|"),
                 (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400 GET /a HTTP/1.1|"),
                 (b"GET /b HTTP/1.1\r\nX: \x00\r\n\r\n", "400 GET /b HTTP/1.1|"),
                 (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 PRI * HTTP/2.0|"),
                 (b"GET /slow HTTP/1.1\r\nHost:", "408 GET /slow HTTP/1.1|"),
                 (b"\r\n\r\n", "400 -|"),
                 (b"GET /fine HTTP/1.1\r\n" + end, "200 GET /fine HTTP/1.1|"))
        for number, (request, line) in enumerate(tried, 1):
            with self.subTest(request=request[:40]), http_client.Connection(gateway.address()) as connection:
                connection.send(request)
                beamgate.until(lambda: log.exists() and log.read_text().count("\n") >= number, 10, "a line")
                self.assertEqual(log.read_text().splitlines()[number - 1], line)

    def test_json_is_utf8_whatever_the_bytes_are(self):
        gateway = self.gateway("""log_format j escape=json '{"agent":"$http_user_agent"}'; access_log access.log j;""" + SERVER)
        agents = [b"a\xffb", b"half \xc3", b"\xed\xa0\x80 a surrogate", b"\xc0\xaf overlong", "whole \u2713".encode()]
        with http_client.Connection(gateway.address()) as connection:
            for agent in agents:
                connection.send_request("GET", "/", headers={"User-Agent": agent.decode("latin-1")})
                self.assertEqual(connection.read_response().status, 200)
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_bytes().count(b"\n") == len(agents), 10, "a line for each")
        said = [json.loads(line)["agent"] for line in log.read_text(encoding="utf-8").splitlines()]
        self.assertEqual(said, ["a\ufffdb", "half \ufffd", "\ufffd\ufffd\ufffd a surrogate", "\ufffd\ufffd overlong", "whole \u2713"])

    @unittest.skipUnless(os.geteuid() == 0, "another user takes root")
    def test_the_master_makes_every_log_for_workers_that_may_not(self):
        gateway = self.gateway(
            "access_log all.log; server { listen 127.0.0.1:0; location / { location /inner { location /inner/most {"
            " access_log innermost.log; return 200; } } return 200; } }", main="user nobody;")
        self.assertEqual(http_client.get(gateway.address(), "/inner/most").status, 200)
        log = gateway.path("innermost.log")
        beamgate.until(lambda: log.exists() and log.read_text().count("\n") == 1, 10, "its line")
        self.assertNotIn("access_log_open_failed", gateway.log())

    def test_several_logs_and_a_condition(self):
        gateway = self.gateway(
            "log_format u $request_uri; map $status $loud { ~^[23] 0; default 1; }"
            "access_log all.log u; access_log errors.log u if=$loud;"
            'server { listen 127.0.0.1:0; location / { return 200; } location /bad { return 404; }'
            ' location /own { access_log own.log u; return 200; } location /off { access_log off; return 404; } }')
        for target in ("/good", "/bad", "/own", "/off", "/last"):
            http_client.get(gateway.address(), target)
        read = lambda name: gateway.path(name).read_text().split() if gateway.path(name).exists() else []
        beamgate.until(lambda: "/last" in read("all.log"), 10, "the last line")
        beamgate.until(lambda: read("own.log"), 10, "its own line")
        self.assertEqual(sorted(read("all.log")), ["/bad", "/good", "/last"])
        self.assertEqual(read("errors.log"), ["/bad"])
        self.assertEqual(read("own.log"), ["/own"])

    def test_a_journal_is_told_the_levels(self):
        gateway = self.gateway(SERVER, start=False, workers=1)
        script = gateway.path("as-systemd-does")
        script.write_text("#!/bin/sh\nJOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec " + beamgate.binary() + ' "$@"\n')
        script.chmod(0o755)
        gateway.binary = script
        gateway.start()
        http_client.request(gateway.address(), "BAD REQUEST", "/", timeout=5)
        gateway.wait_log(r"^<6>.*\[info\].*#worker: request_refused")
        gateway.wait_log(r"^<5>.*\[notice\].*#master: ready")

    def test_a_location_tells_and_changes_the_level(self):
        gateway = self.gateway("server { listen 127.0.0.1:0; location = /level { log_level_switch on; } "
                               "location = /no { log_level_switch off; root .; } }", log_level="notice")
        address = gateway.address()

        def level():
            return http_client.get(address, "/level").json()

        def is_said():
            http_client.request(address, "BAD REQUEST", "/", timeout=5)
            return "request_refused" in gateway.log()

        self.assertEqual(level(), {"level": "notice", "configured": "notice"})
        self.assertEqual(http_client.post(address, "/level?level=loud", "").status, 400)
        self.assertEqual(http_client.request(address, "PUT", "/level?level=info").status, 405)
        self.assertEqual(http_client.get(address, "/level?level=info").json()["level"], "notice", "GET changes nothing")
        self.assertEqual(http_client.get(address, "/no").status, 404)
        is_said()
        self.assertEqual(http_client.post(address, "/level?level=info", "").json(), {"level": "info", "configured": "notice"})
        beamgate.until(is_said, 10, "a line at level info")
        self.assertNotIn("request_refused", gateway.log().partition("log_level_set level=info")[0])
        gateway.signal(SIGHUP)
        beamgate.until(lambda: level()["level"] == "notice", 10, "the configured level")

    def test_workers_follow_a_level_that_a_reload_changes(self):
        gateway = self.gateway(SERVER, workers=1)
        http_client.request(gateway.address(), "BAD REQUEST", "/first", timeout=5)
        gateway.wait_log("#worker: request_refused")
        followed = SERVER.replace("server {", "server { location = /followed { return 204; }", 1)
        gateway.write_config(http=followed, log_level="notice")
        gateway.signal(SIGHUP)
        beamgate.until(lambda: http_client.get(gateway.address(), "/followed").status == 204, 10, "the worker to follow")
        mark = gateway.log_mark()
        http_client.request(gateway.address(), "BAD REQUEST", "/second", timeout=5)
        gateway.write_config(log_level="info")
        gateway.signal(SIGHUP)
        gateway.wait_log(r"#worker: configuration_in_force generation=3", after=mark)
        http_client.request(gateway.address(), "BAD REQUEST", "/third", timeout=5)
        gateway.wait_log("#worker: request_refused", after=mark)
        self.assertEqual(sum("request_refused" in line for line in gateway.log().splitlines()[mark:]), 1)


class Repeats(Logs):
    def test_the_same_error_again_and_again_is_said_once_with_a_number(self):
        gateway = self.gateway("server { listen 127.0.0.1:0; location / { proxy_pass http://127.0.0.1:1; } }", workers=1)
        for _ in range(60):
            self.assertEqual(http_client.get(gateway.address(), "/").status, 502)
        gateway.wait_log(r"\[warn\].*log_repeats event=upstream_failed times_more=(\d+)", timeout=20)
        lines = gateway.log().splitlines()
        said = sum(": upstream_failed " in line for line in lines)
        more = sum(int(match) for match in re.findall(r"event=upstream_failed times_more=(\d+)", gateway.log()))
        self.assertLess(said, 20)
        self.assertLessEqual(said + more, 60)

    def test_different_ones_are_all_said_as_long_as_they_are_few(self):
        gateway = self.gateway("upstream u { server 127.0.0.2:1 max_fails=0; server 127.0.0.3:1 max_fails=0; server 127.0.0.4:1 max_fails=0; }"
                               "server { listen 127.0.0.1:0; location / { proxy_pass http://u; } }", workers=1)
        http_client.get(gateway.address(), "/")
        for number in (2, 3, 4):
            gateway.wait_log(rf"upstream_failed .*server=127\.0\.0\.{number}:1")


class Connections(Logs):
    """A line about one connection says which."""

    CONNECTION = r"connection=([0-9a-f]{16})"

    def test_requests_and_upstreams(self):
        gateway = self.gateway("""
            server {
                listen 127.0.0.1:0;
                location /up { proxy_pass http://127.0.0.1:1; }
                location /cycle { rewrite ^ /cycle last; }
            }""", workers=1)
        for target, event in (("/up", "upstream_failed"), ("/cycle", "redirection_cycle")):
            with contextlib.closing(http_client.Connection(gateway.address())) as client:
                self.assertGreaterEqual(client.request("GET", target).status, 500)
            gateway.wait_log(rf"{event} {self.CONNECTION} ")
        http_client.request(gateway.address(), "BAD REQUEST", "/", timeout=5)
        gateway.wait_log(rf"request_refused {self.CONNECTION} client=")

    def test_webhooks(self):
        gateway = self.gateway(f"webhook app {{ url http://127.0.0.1:1/; secret whsec_{'c2VjcmV0' * 4}; on_error allow; }}"
                               "server { listen 127.0.0.1:0; location /api/ { api on; } location / { websocket raw; webhook app; } }", workers=1)
        client = self.track(ws_client.connect(gateway.address(), "/"))
        client.send("hello")
        gateway.wait_log(rf"webhook_failed {self.CONNECTION} webhook=app", count=2)
        named = set(re.findall(rf"webhook_failed {self.CONNECTION}", gateway.log()))
        known = http_client.get(gateway.address(), "/api/connections").json()["result"]["connections"]
        self.assertIn(known[0]["id"], named)

    def test_every_line_in_the_sources_that_has_a_client_has_its_connection(self):
        lines = []
        for path in Path(beamgate.SOURCE_ROOT, "worker").rglob("*.cc"):
            for call in re.findall(r"log_?\.(?:write|error|warn|notice|info)\([^;]*;", path.read_text()):
                if re.search(r'\{"(client|peer|upstream)",', call):
                    lines.append((path.name, call))
        self.assertGreater(len(lines), 8)
        self.assertEqual([line for line in lines if '{"connection",' not in line[1] and not re.search("upstream_(un)?healthy|not_resolved", line[1])], [])


class FullDisk(Logs):
    def serve(self, gateway, count=50):
        for number in range(count):
            self.assertEqual(http_client.get(gateway.address(), f"/{number}").status, 200)

    def test_an_access_log_that_takes_nothing(self):
        gateway = self.gateway("access_log /dev/full;" + SERVER, workers=2)
        self.serve(gateway)
        beamgate.until(lambda: self.lost(gateway, "access") == 50, 10, "all lines are counted as lost")
        failures = gateway.log().count("access_log_write_failed")
        self.assertGreater(failures, 0)
        self.assertLess(failures, 20)
        gateway.wait_log("access_log_write_failed path=/dev/full .*No space left on device")

    def test_an_error_log_that_takes_nothing(self):
        gateway = self.gateway(start=False)
        server = SERVER.replace("127.0.0.1:0", f"unix:{gateway.path('http')}")
        user = "user root;" if os.geteuid() == 0 else ""
        gateway.write_config(f"daemon off; pid beamgate.pid; error_log /dev/full info; {user} worker_processes 1;"
                             f"events {{ }} http {{ {server} }}")
        gateway.start(wait=False)

        def ask(target):
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(str(gateway.path("http")))
                client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
                return b"".join(iter(lambda: client.recv(65536), b"")).decode()

        beamgate.until(lambda: gateway.path("http").exists(), 30, "the socket")
        self.assertTrue(beamgate.until(lambda: self.try_to(ask, "/"), 30, "an answer").startswith("HTTP/1.1 200"))
        self.assertRegex(ask("/metrics"), r'(?m)^beamgate_log_lines_lost_total\{log="error"\} [1-9]')

    def try_to(self, call, *arguments):
        try:
            return call(*arguments)
        except OSError:
            return None

    def test_a_file_that_may_not_grow(self):
        gateway = self.gateway("log_format u $request_uri; access_log access.log u;" + SERVER, workers=1)
        log = gateway.path("access.log")
        self.serve(gateway, 1)
        beamgate.until(lambda: log.read_text(), 10, "a line")
        worker = gateway.worker_pids()[0]
        # The next line is cut in its middle, and whoever isn't told what SIGXFSZ means dies of it.
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (log.stat().st_size + 3, resource.RLIM_INFINITY))
        self.assertEqual(http_client.get(gateway.address(), "/is-cut").status, 200)
        beamgate.until(lambda: self.lost(gateway, "access") == 1, 10, "the line is counted")
        self.assertEqual(log.read_text(), "/0\n/is")
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.whole_again(gateway, log)
        self.assertEqual(gateway.worker_pids(), [worker])

    def whole_again(self, gateway, log):
        """Until there are lines again, each on its own."""
        def written():
            http_client.get(gateway.address(), "/again")
            return "/again" in log.read_text().split("\n")
        beamgate.until(written, 10, "a line after the disk had room again")

    def test_a_full_file_system(self):
        with tempfile.TemporaryDirectory() as directory:
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=777", "tmpfs", directory], capture_output=True)
            if mounted.returncode != 0:
                self.skipTest("a file system can't be mounted here: " + mounted.stderr.decode().strip())
            try:
                self.fill_and_free(Path(directory))
            finally:
                subprocess.run(["umount", "-l", directory], check=True)

    def fill_and_free(self, directory):
        gateway = self.gateway(f"log_format u $request_uri; access_log {directory}/access.log u;" + SERVER, workers=1)
        self.serve(gateway, 1)
        with open(directory / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        long = "/" + "x" * 2000
        for _ in range(4):
            self.assertEqual(http_client.get(gateway.address(), long).status, 200)
        beamgate.until(lambda: self.lost(gateway, "access") >= 2, 10, "lines are lost")
        gateway.wait_log("access_log_write_failed .*No space left on device")
        (directory / "ballast").unlink()
        self.whole_again(gateway, directory / "access.log")
        gateway.signal(SIGUSR1)
        gateway.wait_log("logs_reopened")
        self.assertTrue(stat.S_ISREG((directory / "access.log").stat().st_mode))
        gateway.stop()


if __name__ == "__main__":
    beamgate.main()

"""TLS towards clients: whatever works over plain connections works over TLS, and who asks for what gets its answer.

The clients are Python's ssl module, curl and openssl s_client; certificates are made by the test.
"""

import contextlib
import hashlib
import os
import re
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

import beamgate
import http_client
import wire
import ws_client
from backend import Huge, Reply
from certificates import Authority, Pair, openssl

LISTEN = "listen 127.0.0.1:0 ssl;"


class TlsCase(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(cls.place.cleanup)
        cls.authority = Authority(cls.place.name)
        cls.pair = cls.authority.issue("one.test", "*.one.test")

    def client(self, pair=None, **options):
        return self.authority.client(pair, **options)

    def connect(self, gateway, name="one.test", index=0, context=None, **options):
        return self.track(http_client.Connection(gateway.address(index), tls=context or self.client(), name=name,
                                                 **options))

    def get(self, gateway, target="/", name="one.test", index=0, context=None, headers=(), **options):
        with http_client.Connection(gateway.address(index), tls=context or self.client(), name=name,
                                    **options) as connection:
            return connection.request("GET", target, headers)

    def websocket(self, gateway, target, name="one.test", index=0, **options):
        return self.track(ws_client.connect(gateway.address(index), target, tls=self.client(), name=name, **options))

    def serving(self, locations="location / { return 200 ok; }", more="", **options):
        return self.gateway(f"""server {{ {LISTEN} {self.pair.directives()} server_name one.test; {more} {locations} }}
            server {{ listen 127.0.0.2:0; location = /metrics {{ metrics; }} location / {{ return 200 plain; }} }}""",
                            **options)

    def metric(self, gateway, name):
        return gateway.metrics(1)[f"beamgate_{name}"]

    def failed(self, gateway):
        """Handshakes that failed, by reason; those that did not happen are left out."""
        rows = {re.match(r'beamgate_tls_handshakes_failed_total\{reason="(\w+)"\}', name): count
                for name, count in gateway.metrics(1).items()}
        return {found[1]: count for found, count in rows.items() if found and count}


class Everything(TlsCase):
    """What ws and http do, wss and https do."""

    def test_requests_follow_each_other_and_are_pipelined(self):
        gateway = self.serving("location / { return 200 $request_uri; }")
        connection = self.connect(gateway)
        for number in range(5):
            self.assertEqual(connection.request("GET", f"/{number}").text, f"/{number}")
        for number in range(50):
            connection.send_request("GET", f"/piped/{number}")
        self.assertEqual([connection.read_response().text for _ in range(50)], [f"/piped/{n}" for n in range(50)])

    def test_a_request_may_come_byte_by_byte(self):
        gateway = self.serving()
        connection = self.connect(gateway)
        for byte in b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n":
            connection.send(bytes([byte]))
        self.assertEqual(connection.read_response().text, "ok")

    def test_files_of_every_size(self):
        gateway = self.serving("root files;", start=False)
        contents = {str(size): os.urandom(size) for size in (0, 1, 16384, 16385, 300_000, 5_000_000)}
        gateway.path("files").mkdir()
        for name, data in contents.items():
            gateway.path("files").joinpath(name).write_bytes(data)
        gateway.start()
        connection = self.connect(gateway)
        for name, data in contents.items():
            self.assertEqual(connection.request("GET", f"/{name}").body, data, name)

    def test_a_slow_reader_gets_a_whole_file(self):
        gateway = self.serving("root files;", start=False)
        data = os.urandom(8_000_000)
        gateway.path("files").mkdir()
        gateway.path("files").joinpath("big").write_bytes(data)
        gateway.start()
        connection = self.connect(gateway, receive_buffer=4096)
        connection.send_request("GET", "/big")
        head = connection.read_head()
        read = hashlib.sha256()
        left = int(head.header("content-length"))
        while left:
            piece = connection.wire.read_exactly(min(left, 7_001))
            read.update(piece)
            left -= len(piece)
        self.assertEqual(read.digest(), hashlib.sha256(data).digest())

    def test_proxying_both_ways(self):
        backend = self.backend(lambda request: Reply(200, request.body))
        backend.on("/huge", Huge(30_000_000))
        backend.on("/chunks", Huge(3_000_000, chunked=True))
        gateway = self.serving(f"location / {{ proxy_pass {backend.url}; client_max_body_size 0; }}")
        connection = self.connect(gateway)
        body = os.urandom(3_000_000)
        self.assertEqual(connection.request("POST", "/", body=body).body, body)
        self.assertEqual(len(connection.request("GET", "/huge").body), 30_000_000)
        self.assertEqual(len(connection.request("GET", "/chunks").body), 3_000_000)
        self.assertEqual(backend.wait(path="/").header("x-forwarded-proto"), "https")

    def test_websocket_echo_of_every_size(self):
        gateway = self.serving("location / { websocket echo; websocket_message_max 4m; websocket_send_queue 8m; }")
        socket = self.websocket(gateway, "/")
        for size in (0, 1, 125, 126, 16_384, 65_536, 1_000_000):
            message = os.urandom(size)
            socket.send(message)
            self.assertEqual(socket.recv(), message, size)
        self.assertEqual(socket.close(), 1000)
        self.assertFalse(socket.wire.cut, "the stream ends with close_notify")

    def test_compressed_messages(self):
        gateway = self.serving("location / { websocket echo; websocket_deflate on; }")
        socket = self.websocket(gateway, "/", extensions="permessage-deflate")
        self.assertIn("permessage-deflate", socket.extensions)
        socket.send_deflated("hello " * 200)
        self.assertEqual(socket.recv(), "hello " * 200)

    def test_a_room_is_shared_with_plain_connections(self):
        room = "location /room { websocket raw; websocket_subscribe room; websocket_publish room; }"
        gateway = self.gateway(f"""server {{ {LISTEN} {self.pair.directives()} {room} }}
                                   server {{ listen 127.0.0.2:0; {room} }}""")
        sealed = [self.websocket(gateway, "/room") for _ in range(80)]
        plain = [self.track(ws_client.connect(gateway.address(1), "/room")) for _ in range(3)]
        for sender in (sealed[0], plain[0]):
            for number in range(20):
                sender.send(f"message {number}")
            for client in sealed + plain:
                self.assertEqual([client.recv() for _ in range(20)], [f"message {n}" for n in range(20)])

    def test_webhooks_are_called_as_for_plain_connections(self):
        backend = self.backend()
        backend.on("beamgate.message", lambda request: Reply(200, b"heard " + request.body,
                                                             {"Content-Type": "text/plain"}))
        gateway = self.gateway(f"""webhook app {{ url {backend.url}/hook; }}
            server {{ {LISTEN} {self.pair.directives()} location / {{ websocket raw; webhook app; }} }}""")
        socket = self.websocket(gateway, "/")
        for number in range(30):
            socket.send(f"{number}")
        self.assertEqual([socket.recv() for _ in range(30)], [f"heard {n}" for n in range(30)])
        socket.close()
        backend.wait_events("beamgate.disconnected")

    def test_a_slow_reader_is_closed_when_its_queue_is_full(self):
        """What the queue holds is plaintext; ciphertext doesn't hide a reader that doesn't read."""
        room = ("location /room { websocket raw; websocket_subscribe room; websocket_publish room; "
                "websocket_send_queue 256k; websocket_message_max 128k; }")
        gateway = self.serving(room)
        slow = self.websocket(gateway, "/room", receive_buffer=4096)
        talker = self.websocket(gateway, "/room")
        for _ in range(200):
            talker.send(b"x" * 100_000)
            talker.recv()
            if self.metric(gateway, 'connections_closed_total{reason="slow_reader"}'):
                break
        self.assertEqual(self.metric(gateway, 'connections_closed_total{reason="slow_reader"}'), 1)
        self.assertEqual(slow.recv_close(), 1008)

    def test_a_client_that_floods_is_read_no_faster_than_it_reads(self):
        gateway = self.serving("location / { websocket echo; websocket_message_max 1m; websocket_send_queue 1m; }",
                               workers=1)
        context = self.client()
        flooder = self.track(ws_client.connect(gateway.address(), "/", tls=context, name="one.test",
                                               receive_buffer=4096, timeout=2))
        with self.assertRaises(wire.Timeout):
            for _ in range(400):
                flooder.send(b"x" * 100_000)
        if not beamgate.sanitized():
            self.assertLess(gateway.memory()["Rss"], 100 << 20)

    def test_curl(self):
        gateway = self.serving()
        port = gateway.address().rpartition(":")[2]
        done = subprocess.run(["curl", "-sS", "--cacert", self.authority.certificate, "--resolve",
                               f"one.test:{port}:127.0.0.1", f"https://one.test:{port}/x", "-v"],
                              capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stdout, "ok", done.stderr)
        self.assertIn("ALPN: server accepted http/1.1", done.stderr)

    def test_redirects_stay_with_https(self):
        gateway = self.serving("location = /go { return 301 /there; } location = /say { return 200 $scheme/$https; }")
        self.assertEqual(self.get(gateway, "/go", headers=[("Host", "one.test")]).header("location"),
                         "https://one.test/there")
        self.assertEqual(self.get(gateway, "/say").text, "https/on")
        plain = http_client.get(gateway.address(1), "/")
        self.assertEqual(plain.text, "plain")


class Endings(TlsCase):
    def test_close_notify_is_answered(self):
        gateway = self.serving()
        connection = self.connect(gateway)
        self.assertEqual(connection.request("GET", "/").text, "ok")
        connection.wire.sock.settimeout(10)
        connection.wire.sock.unwrap().close()  # Raises unless the server says close_notify too.

    def test_the_server_says_close_notify(self):
        gateway = self.serving(more="keepalive_timeout 0;")
        connection = self.connect(gateway)
        self.assertEqual(connection.request("GET", "/").text, "ok")
        self.assertTrue(connection.ended())
        self.assertFalse(connection.wire.cut)

    def test_a_client_that_only_cuts_is_forgotten(self):
        gateway = self.serving("location / { websocket echo; }")
        for _ in range(3):
            self.websocket(gateway, "/").abort()
        beamgate.until(lambda: self.metric(gateway, "websockets_active") == 0)

    def test_an_unfinished_handshake_is_ended(self):
        gateway = self.serving(more="ssl_handshake_timeout 200ms;")
        for begun in (b"", b"\x16\x03\x01\x02\x00\x01"):
            with self.subTest(begun=begun), wire.open_socket(gateway.address()) as silent:
                silent.sendall(begun)
                self.assertEqual(silent.recv(1), b"")
        self.assertEqual(self.get(gateway).text, "ok")
        self.assertEqual(self.failed(gateway), {"timeout": 2})
        gateway.wait_log(r"tls_handshake_failed .*not completed in time", count=2)

    def test_a_secured_connection_has_the_header_timeout(self):
        gateway = self.serving(more="ssl_handshake_timeout 20s; client_header_timeout 200ms;")
        connection = self.connect(gateway)
        self.assertTrue(connection.ended())

    def test_garbage_in_the_place_of_records(self):
        gateway = self.serving()
        for garbage in (b"\x16" + os.urandom(2000), b"\x16\x03\x01\xff\xff" + os.urandom(100),
                        b"\x16\x03\x01\x00\x05hello"):
            with wire.open_socket(gateway.address()) as broken:
                broken.sendall(garbage)
                broken.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):
                    while broken.recv(4096):
                        pass
        self.assertGreaterEqual(self.failed(gateway)["malformed"], 2)
        self.assertEqual(self.get(gateway).text, "ok")

    def test_a_broken_record_ends_the_connection_alone(self):
        gateway = self.serving()
        good, bad = self.connect(gateway), self.connect(gateway)
        self.assertEqual(bad.request("GET", "/").text, "ok")
        raw = socket.socket(fileno=os.dup(bad.wire.sock.fileno()))
        raw.sendall(b"\x17\x03\x03\x00\x20" + os.urandom(32))
        raw.close()
        with contextlib.suppress(ssl.SSLError):  # An alert says what is wrong.
            bad.wire.wait_end()
        self.assertEqual(good.request("GET", "/").text, "ok")

    def test_plain_http_on_a_tls_address(self):
        gateway = self.serving()
        with http_client.Connection(gateway.address()) as plain:
            response = plain.request("GET", "/secret")
            self.assertEqual(response.status, 400)
            self.assertIn("plain HTTP request was sent to HTTPS port", response.text)
            self.assertTrue(plain.ended())
        self.assertEqual(self.metric(gateway, 'requests_refused_total{reason="tls"}'), 1)

    def test_tls_on_a_plain_address(self):
        gateway = self.serving()
        with self.assertRaises(ssl.SSLError):
            self.get(gateway, index=1)


class Names(TlsCase):
    """SNI chooses the certificate as server_name chooses the server."""

    def setUp(self):
        issue = self.authority.issue
        names = {"default": ("default.test",), "exact": ("www.names.test",), "wide": ("*.names.test", "deep.names.test"),
                 "tail": ("mail.example", "mail.elsewhere")}
        self.pairs = {key: issue(*value) for key, value in names.items()}
        self.settings = (("default", "default.test"), ("exact", "www.names.test"), ("wide", "*.names.test"),
                         ("tail", "mail.*"))

    def start_named(self):
        return self.gateway("".join(
            f"server {{ {LISTEN} {self.pairs[key].directives()} server_name {name}; "
            f"location / {{ return 200 \"{key} $ssl_server_name\"; }} }}\n" for key, name in self.settings))

    def shown(self, gateway, name):
        """The names in the certificate that is shown to who asks for `name`."""
        context = self.client(check_hostname=False)
        with wire.open_socket(gateway.address(), tls=context, name=name) as sock:
            return [value for _, value in sock.getpeercert()["subjectAltName"]]

    def test_each_name_gets_its_certificate(self):
        gateway = self.start_named()
        for name, first in ((None, "default.test"), ("unknown.test", "default.test"),
                            ("www.names.test", "www.names.test"), ("WWW.Names.Test", "www.names.test"),
                            ("other.names.test", "*.names.test"), ("deep.names.test", "*.names.test"),
                            ("mail.example", "mail.example"), ("mail.elsewhere", "mail.example")):
            with self.subTest(name=name):
                self.assertEqual(self.shown(gateway, name)[0], first)

    def test_the_request_goes_where_its_host_says(self):
        gateway = self.start_named()
        with http_client.Connection(gateway.address(), tls=self.client(), name="www.names.test") as connection:
            for host, answer in (("www.names.test", "exact www.names.test"), ("mail.example", "tail www.names.test")):
                self.assertEqual(connection.request("GET", "/", [("Host", host)]).text, answer)

    def test_handshakes_for_unknown_names_are_rejected(self):
        gateway = self.gateway(f"""
            server {{ listen 127.0.0.1:0 ssl default_server; ssl_reject_handshake on; }}
            server {{ {LISTEN} {self.pair.directives()} server_name one.test;
                      location / {{ return 200 ok; }} }}""")
        self.assertEqual(self.get(gateway, headers=[("Host", "one.test")]).text, "ok")
        for name in (None, "two.test"):
            with self.subTest(name=name), self.assertRaisesRegex(ssl.SSLError, "(?i)unrecognized.name"):
                self.get(gateway, name=name, context=self.client(check_hostname=False))

    def test_rsa_and_ecdsa_side_by_side(self):
        rsa = self.authority.issue("one.test", kind="rsa")
        gateway = self.serving(more=rsa.directives())
        for ciphers, kind in (("ECDHE-ECDSA-AES128-GCM-SHA256", self.pair), ("ECDHE-RSA-AES128-GCM-SHA256", rsa)):
            context = self.client(maximum_version=ssl.TLSVersion.TLSv1_2)
            context.set_ciphers(ciphers)
            with wire.open_socket(gateway.address(), tls=context, name="one.test") as sock:
                self.assertEqual(sock.getpeercert()["serialNumber"], kind.serial())

    def test_versions_follow_the_name(self):
        two = self.authority.issue("two.test")
        gateway = self.gateway(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name one.test;
                      ssl_protocols TLSv1.3; location / {{ return 200 $ssl_protocol; }} }}
            server {{ {LISTEN} {two.directives()} server_name two.test;
                      ssl_protocols TLSv1.2; location / {{ return 200 $ssl_protocol; }} }}""")
        self.assertEqual(self.get(gateway, name="one.test").text, "TLSv1.3")
        self.assertEqual(self.get(gateway, name="two.test", headers=[("Host", "two.test")]).text, "TLSv1.2")
        with self.assertRaises(ssl.SSLError):
            self.get(gateway, context=self.client(maximum_version=ssl.TLSVersion.TLSv1_2))


class Protocols(TlsCase):
    def test_versions_and_what_variables_say(self):
        gateway = self.serving('location / { return 200 "$ssl_protocol $ssl_cipher $ssl_server_name"; }')
        for version, text in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2 ECDHE-ECDSA-"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3 TLS_")):
            context = self.client(minimum_version=version, maximum_version=version)
            answer = self.get(gateway, context=context).text
            self.assertTrue(answer.startswith(text) and answer.endswith(" one.test"), answer)

    def test_old_versions_and_weak_ciphers_are_refused(self):
        gateway = self.serving()
        for arguments in (["-tls1_1"], ["-tls1"], ["-tls1_2", "-cipher", "AES128-SHA@SECLEVEL=0"],
                          ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA@SECLEVEL=0"]):
            with self.subTest(arguments=arguments):
                done = subprocess.run(["openssl", "s_client", "-connect", gateway.address(), *arguments],
                                      input=b"", capture_output=True, timeout=30)
                self.assertIn(b"Cipher is (NONE)", done.stdout, done.stderr)
        accepted = subprocess.run(["openssl", "s_client", "-connect", gateway.address(), "-tls1_2"], input=b"",
                                  capture_output=True, timeout=30)
        self.assertNotIn(b"Cipher is (NONE)", accepted.stdout)

    def test_alpn(self):
        gateway = self.serving()
        for offered, chosen in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (None, None)):
            context = self.client()
            if offered:
                context.set_alpn_protocols(offered)
            with wire.open_socket(gateway.address(), tls=context, name="one.test") as sock:
                self.assertEqual(sock.selected_alpn_protocol(), chosen)
        context = self.client()
        context.set_alpn_protocols(["acme-tls/1"])
        with self.assertRaises(ssl.SSLError):
            wire.open_socket(gateway.address(), tls=context, name="one.test")

    def test_why_handshakes_fail_is_counted(self):
        other = self.authority.issue("other.test")
        gateway = self.gateway(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name one.test; ssl_protocols TLSv1.3; ssl_ecdh_curve P-384;
                      location / {{ return 200 ok; }} }}
            server {{ listen 127.0.0.2:0; location = /metrics {{ metrics; }} }}
            server {{ {LISTEN} {other.directives()} server_name other.test; ssl_reject_handshake on; }}""")

        def hello(*arguments, name="one.test"):
            return lambda: subprocess.run(["openssl", "s_client", "-connect", gateway.address(), "-servername", name, *arguments],
                                          input=b"", capture_output=True, timeout=30)

        def raw(data):
            def send():
                with wire.open_socket(gateway.address()) as sock:
                    sock.sendall(data)
            return send

        cases = {"version": hello("-tls1_2"), "cipher": hello("-groups", "P-256"), "protocol": hello("-alpn", "acme-tls/1"),
                 "rejected": hello(name="other.test"), "alert": hello("-verify_return_error"),
                 "malformed": raw(b"\x16\x03\x01\x00\x05hello"), "closed": raw(b"\x16\x03\x01\x02\x00\x01")}
        expected = {}
        for reason, fail in cases.items():
            with self.subTest(reason):
                fail()
                expected[reason] = 1
                beamgate.until(lambda: self.failed(gateway) == expected, 10, f"{expected} of handshakes that failed")
        raw(b"")()  # A look whether somebody listens is no handshake.
        self.assertEqual(self.get(gateway).text, "ok")
        self.assertEqual(self.failed(gateway), expected)

    def test_what_is_no_hello_is_not_rejected_but_malformed(self):
        gateway = self.gateway(f"""
            server {{ listen 127.0.0.1:0 ssl default_server; ssl_reject_handshake on; }}
            server {{ listen 127.0.0.2:0; location = /metrics {{ metrics; }} }}""")
        with wire.open_socket(gateway.address()) as sock:
            sock.sendall(b"\x16\x03\x01\x00\x05hello")
        beamgate.until(lambda: self.failed(gateway) == {"malformed": 1}, 10, "one that is malformed")

    def test_renegotiation_is_refused(self):
        gateway = self.serving()
        done = subprocess.run(["openssl", "s_client", "-connect", gateway.address(), "-tls1_2", "-servername",
                               "one.test"], input=b"R\n", capture_output=True, timeout=30)
        self.assertIn(b"no renegotiation", done.stderr + done.stdout)

    def test_a_key_update_goes_unnoticed(self):
        gateway = self.serving("location / { return 200 again; }", more="keepalive_timeout 3s;")
        process = subprocess.Popen(["openssl", "s_client", "-connect", gateway.address(), "-tls1_3"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        request = b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n"
        process.stdin.write(request)
        process.stdin.flush()
        reader = wire.Wire(PipeSocket(process.stdout))
        reader.read_until(b"again")
        process.stdin.write(b"K\n")
        process.stdin.flush()
        reader.read_until(b"KEYUPDATE")  # What it reads together with the command it throws away.
        process.stdin.write(request)
        process.stdin.flush()
        reader.read_until(b"again")
        process.stdin.close()
        process.wait(20)

    def test_whose_order_of_ciphers_counts(self):
        ours, theirs = "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"
        gateway = self.gateway("".join(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name {name}; ssl_ciphers {ours}:{theirs}; {setting}
                      location / {{ return 200 $ssl_cipher; }} }}"""
            for name, setting in (("one.test", ""), ("own.one.test", "ssl_prefer_server_ciphers on;"))))
        context = self.client(maximum_version=ssl.TLSVersion.TLSv1_2)
        context.set_ciphers(f"{theirs}:{ours}")
        for name, chosen in (("one.test", theirs), ("own.one.test", ours)):
            with self.subTest(name=name):
                self.assertEqual(self.get(gateway, name=name, context=context, headers=[("Host", name)]).text, chosen)

    def test_dhe_needs_parameters(self):
        rsa = self.authority.issue("one.test", kind="rsa")
        parameters = Path(self.place.name) / "dh.pem"
        openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072", "-out", parameters)
        for setting, words in (("", b"Cipher is (NONE)"), (f"ssl_dhparam {parameters};", b"Server Temp Key: DH, 3072 bits")):
            with self.subTest(setting=setting):
                gateway = self.serving(more=rsa.directives() + setting)
                done = subprocess.run(["openssl", "s_client", "-connect", gateway.address(), "-tls1_2", "-cipher",
                                       "DHE-RSA-AES128-GCM-SHA256"], input=b"", capture_output=True, timeout=30)
                self.assertIn(words, done.stdout, done.stderr)

    def test_curves_and_commands(self):
        gateway = self.serving(more="ssl_ecdh_curve secp384r1; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;")
        done = openssl("s_client", "-connect", gateway.address(), "-tls1_3", input=b"")
        self.assertIn(b"Server Temp Key: ECDH, secp384r1", done)
        self.assertIn(b"TLS_AES_128_GCM_SHA256", done)


class PipeSocket:
    """What wire.Wire needs of a socket, over a pipe."""

    def __init__(self, pipe):
        self.pipe = pipe

    def settimeout(self, seconds):
        pass

    def recv(self, size):
        return os.read(self.pipe.fileno(), size)


class Sessions(TlsCase):
    def resume(self, gateway, context, session, name="one.test", index=0):
        """(whether it was resumed, the session to come back with)"""
        with http_client.Connection(gateway.address(index), tls=context, name=name, session=session) as connection:
            self.assertEqual(connection.request("GET", "/", [("Host", name)]).status, 200)
            return connection.wire.sock.session_reused, connection.wire.sock.session

    def contexts(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            yield version.name, self.client(minimum_version=version, maximum_version=version)

    def test_any_worker_resumes_what_another_began(self):
        gateway = self.serving('location / { return 200 "$ssl_session_reused $pid"; }', workers=4)
        for version, context in self.contexts():
            with self.subTest(version=version):
                _, session = self.resume(gateway, context, None)
                self.assertTrue(all(self.resume(gateway, context, session)[0] for _ in range(20)))
        self.assertEqual(self.metric(gateway, "tls_sessions_resumed_total"), 40)

    def test_a_reload_keeps_the_keys(self):
        gateway = self.serving()
        for version, context in self.contexts():
            with self.subTest(version=version):
                _, session = self.resume(gateway, context, None)
                mark = gateway.log_mark()
                gateway.signal(beamgate_signal("HUP"))
                gateway.wait_log(r"\breloaded\b", after=mark, timeout=20)
                self.assertTrue(self.resume(gateway, context, session)[0])

    def test_tickets_can_be_turned_off(self):
        gateway = self.serving(more="ssl_session_tickets off;")
        for version, context in self.contexts():
            with self.subTest(version=version):
                _, session = self.resume(gateway, context, None)
                self.assertFalse(session is not None and session.has_ticket)
                if session is not None:
                    self.assertFalse(self.resume(gateway, context, session)[0])

    def test_keys_from_files_are_shared_by_gateways(self):
        keys = {}
        for size in (48, 80):
            keys[size] = Path(self.place.name) / f"ticket{size}"
            keys[size].write_bytes(os.urandom(size))
        for first, second in (((80,), (80,)), ((48,), (48,)), ((80,), (48, 80))):
            with self.subTest(first=first, second=second):
                lines = [" ".join(f"ssl_session_ticket_key {keys[size]};" for size in sizes)
                         for sizes in (first, second)]
                one, two = (self.serving(more=line, workers=1) for line in lines)
                for _, context in self.contexts():
                    _, session = self.resume(one, context, None)
                    self.assertTrue(self.resume(two, context, session)[0])
        stranger = self.serving(workers=1)
        for _, context in self.contexts():
            _, session = self.resume(one, context, None)
            self.assertFalse(self.resume(stranger, context, session)[0])

    def test_a_session_is_resumed_for_so_long(self):
        lasting, brief = self.serving(workers=1), self.serving(more="ssl_session_timeout 1s;", workers=1)
        begun = {gateway: [(context, self.resume(gateway, context, None)[1]) for _, context in self.contexts()]
                 for gateway in (lasting, brief)}
        for gateway, seconds in ((lasting, 300), (brief, 1)):
            self.assertEqual([session.ticket_lifetime_hint for _, session in begun[gateway]], [seconds] * 2)
        for context, session in begun[brief]:
            beamgate.until(lambda: not self.resume(brief, context, session)[0], 10, "a session that is too old")
        for context, session in begun[lasting]:
            self.assertTrue(self.resume(lasting, context, session)[0])

    def test_a_session_is_not_resumed_where_other_certificates_are_asked_for(self):
        two = self.authority.issue("two.test")
        gateway = self.gateway(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name one.test;
                      location / {{ return 200 ok; }} }}
            server {{ {LISTEN} {two.directives()} server_name two.test;
                      ssl_verify_client optional; ssl_client_certificate {self.authority.certificate};
                      location / {{ return 200 $ssl_client_verify; }} }}""")
        for version, context in self.contexts():
            context.check_hostname = False
            with self.subTest(version=version):
                _, session = self.resume(gateway, context, None)
                self.assertTrue(self.resume(gateway, context, session)[0], "the control")
                self.assertFalse(self.resume(gateway, context, session, name="two.test")[0])


def beamgate_signal(name):
    import signal
    return getattr(signal, f"SIG{name}")


class ClientCertificates(TlsCase):
    LOCATIONS = ('location / { return 200 "$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_serial|'
                 '$ssl_client_fingerprint"; }')

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ann = cls.authority.issue("ann", organization="Friends")
        cls.other = Authority(Path(cls.place.name) / "other", "Somebody Else")
        cls.stranger = cls.other.issue("bob")

    def asking(self, how, more=""):
        ca = f"ssl_client_certificate {self.authority.certificate};"
        return self.serving(self.LOCATIONS, more=f"ssl_verify_client {how}; {ca} {more}")

    def answer(self, gateway, pair=None, context=None):
        response = self.get(gateway, context=context or self.client(pair))
        return response.status, response.text

    def test_required(self):
        gateway = self.asking("on")
        status, text = self.answer(gateway, self.ann)
        digest = hashlib.sha1(ssl.PEM_cert_to_DER_cert(self.ann.pem())).hexdigest()
        self.assertEqual((status, text), (200, f"SUCCESS|O=Friends,CN=ann|CN=BeamGate Test Authority|"
                                               f"{self.ann.serial()}|{digest}"))
        status, text = self.answer(gateway)
        self.assertEqual(status, 400)
        self.assertIn("No required SSL certificate was sent", text)
        status, text = self.answer(gateway, self.stranger)
        self.assertEqual(status, 400)
        self.assertIn("The SSL certificate error", text)

    def test_optional(self):
        gateway = self.asking("optional")
        self.assertEqual(self.answer(gateway), (200, "NONE||||"))
        self.assertTrue(self.answer(gateway, self.ann)[1].startswith("SUCCESS|"))
        self.assertEqual(self.answer(gateway, self.stranger)[0], 400)

    def test_optional_without_an_authority(self):
        gateway = self.asking("optional_no_ca")
        status, text = self.answer(gateway, self.stranger)
        self.assertEqual(status, 200)
        self.assertRegex(text, r"^FAILED:unable to (get|verify)[^|]*\|CN=bob\|CN=Somebody Else\|")
        self.assertTrue(self.answer(gateway, self.ann)[1].startswith("SUCCESS|"))

    def test_which_authorities_clients_are_told(self):
        own, other = self.authority.certificate, self.other.certificate
        for setting, names, status in (
                (f"ssl_client_certificate {own};", ["CN = BeamGate Test Authority"], 400),
                (f"ssl_trusted_certificate {own};", [], 400),
                (f"ssl_client_certificate {other}; ssl_trusted_certificate {own};", ["CN = Somebody Else"], 200)):
            with self.subTest(setting=setting):
                gateway = self.serving(self.LOCATIONS, more=f"ssl_verify_client on; {setting}")
                told = openssl("s_client", "-connect", gateway.address(), "-servername", "one.test", input=b"").decode()
                found = re.search(r"Acceptable client certificate CA names\n((?:CN = .*\n)*)", told)
                self.assertEqual(found[1].splitlines() if found else [], names)
                self.assertEqual("No client certificate CA names sent" in told, not names)
                self.assertEqual(self.answer(gateway, self.ann)[0], 200)
                self.assertEqual(self.answer(gateway, self.stranger)[0], status)

    def test_how_long_a_chain_may_be(self):
        middle = Authority(self.place.name, "Middle", above=self.authority)
        chains = [self.ann, middle.issue("ann"), Authority(self.place.name, "Low", above=middle).issue("ann")]
        cases = {"one.test": ("", [200, 200, 400]), "none.one.test": ("ssl_verify_depth 0;", [200, 400, 400]),
                 "two.one.test": ("ssl_verify_depth 2;", [200, 200, 200])}
        gateway = self.gateway("".join(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name {name}; ssl_verify_client on; {setting}
                      ssl_client_certificate {self.authority.certificate}; {self.LOCATIONS} }}"""
            for name, (setting, _) in cases.items()))
        for name, (setting, statuses) in cases.items():
            with self.subTest(setting=setting):
                answers = [self.get(gateway, name=name, context=self.client(pair), headers=[("Host", name)]) for pair in chains]
                self.assertEqual([answer.status for answer in answers], statuses)

    def test_off_asks_for_nothing(self):
        gateway = self.serving(self.LOCATIONS)
        self.assertEqual(self.answer(gateway, self.ann), (200, "NONE||||"))

    def test_a_resumed_session_is_still_the_client(self):
        gateway = self.asking("on")
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.client(self.ann, minimum_version=version, maximum_version=version)
            session = None
            for reused in (False, True):
                with http_client.Connection(gateway.address(), tls=context, name="one.test",
                                            session=session) as connection:
                    self.assertTrue(connection.request("GET", "/").text.startswith("SUCCESS|O=Friends,CN=ann|"))
                    self.assertEqual(connection.wire.sock.session_reused, reused)
                    session = connection.wire.sock.session

    def test_revoked(self):
        authority = Authority(Path(self.place.name) / "revoking", "Revoking Authority")
        good, bad = authority.issue("good"), authority.issue("bad")
        revoked = authority.revoke(bad)
        gateway = self.serving(self.LOCATIONS, more=f"ssl_verify_client on; ssl_crl {revoked}; "
                                                    f"ssl_client_certificate {authority.certificate};")
        self.assertEqual(self.answer(gateway, good)[0], 200)
        self.assertEqual(self.answer(gateway, bad)[0], 400)

    def test_another_server_is_not_reached_around_its_demand(self):
        two = self.authority.issue("two.test")
        gateway = self.gateway(f"""
            server {{ {LISTEN} {self.pair.directives()} server_name one.test;
                      location / {{ return 200 open; }} }}
            server {{ {LISTEN} {two.directives()} server_name two.test; ssl_verify_client on;
                      ssl_client_certificate {self.authority.certificate}; location / {{ return 200 secret; }} }}""")
        with http_client.Connection(gateway.address(), tls=self.client(), name="one.test") as connection:
            self.assertEqual(connection.request("GET", "/", [("Host", "one.test")]).text, "open")
            self.assertEqual(connection.request("GET", "/", [("Host", "two.test")]).status, 421)
        secret = self.get(gateway, name="two.test", context=self.client(self.ann), headers=[("Host", "two.test")])
        self.assertEqual(secret.text, "secret")

    def test_the_application_is_told(self):
        backend = self.backend()
        ca = f"ssl_client_certificate {self.authority.certificate};"
        gateway = self.gateway(f"""webhook app {{ url {backend.url}/hook; }}
            log_format c '$request_uri|$ssl_client_raw_cert|$ssl_client_cert'; access_log access.log c;
            server {{ {LISTEN} {self.pair.directives()} ssl_verify_client optional; {ca}
                location /ws {{ websocket raw; webhook app; }}
                location / {{ proxy_pass {backend.url}; proxy_set_header X-Client $ssl_client_s_dn;
                              proxy_set_header X-Certificate $ssl_client_escaped_cert; }} }}""")
        forged = [("Beamgate-Client-Subject", "CN=root")]
        with http_client.Connection(gateway.address(), tls=self.client(self.ann), name="one.test") as connection:
            self.assertEqual(connection.request("GET", "/page").status, 200)
        page = backend.wait(path="/page")
        self.assertEqual(page.header("x-client"), "O=Friends,CN=ann")
        from urllib.parse import unquote
        self.assertEqual(unquote(page.header("x-certificate")), self.ann.pem())
        log = gateway.path("access.log")
        beamgate.until(lambda: log.exists() and log.read_text(), 10, "the access log")
        raw, folded = (text.replace(r"\x0A", "\n").replace(r"\x09", "\t") for text in log.read_text().split("|")[1:])
        self.assertEqual(raw.strip(), self.ann.pem().strip())
        self.assertEqual(folded.strip(), self.ann.pem().strip().replace("\n", "\n\t"))
        with ws_client.connect(gateway.address(), "/ws", tls=self.client(self.ann), name="one.test",
                               headers=forged) as socket:
            socket.send("hello")
            for event in ("beamgate.connect", "beamgate.message"):
                request = backend.wait(event)
                self.assertEqual(request.fields.all("beamgate-client-subject"), ["O=Friends,CN=ann"])
                self.assertEqual(request.header("beamgate-client-verify"), "SUCCESS")
        with ws_client.connect(gateway.address(), "/ws", tls=self.client(), name="one.test", headers=forged):
            request = backend.wait("beamgate.connect", count=2)
            self.assertEqual(request.fields.all("beamgate-client-subject"), [])
            self.assertEqual(request.header("beamgate-client-verify"), "NONE")


class Stapling(TlsCase):
    def test_the_response_is_sent_with_its_certificate(self):
        response = self.authority.ocsp_response(self.pair, Path(self.place.name) / "staple.der")
        gateway = self.serving(more=f"ssl_stapling on; ssl_stapling_file {response};")
        told = openssl("s_client", "-connect", gateway.address(), "-servername", "one.test", "-status", input=b"")
        self.assertIn(b"OCSP Response Status: successful", told)
        unasked = self.serving()
        told = openssl("s_client", "-connect", unasked.address(), "-servername", "one.test", "-status", input=b"")
        self.assertIn(b"OCSP response: no response sent", told)

    def test_a_response_for_another_certificate_is_told_of(self):
        other = self.authority.issue("two.test")
        response = self.authority.ocsp_response(other, Path(self.place.name) / "other.der")
        gateway = self.serving(more=f"ssl_stapling on; ssl_stapling_file {response};")
        self.assertIn("is for another certificate", gateway.run("-t").stderr)
        told = openssl("s_client", "-connect", gateway.address(), "-servername", "one.test", "-status", input=b"")
        self.assertIn(b"OCSP response: no response sent", told)


class Configuration(TlsCase):
    """What -t says of certificates and keys, and what nobody says."""

    def check(self, server, files=None):
        gateway = self.gateway(f"server {{ listen 127.0.0.1:0 ssl; {server} }}", start=False, files=files)
        done = gateway.run("-t")
        return done.returncode, done.stderr

    def test_what_is_wrong_is_named_with_its_file(self):
        other = self.authority.issue("other.test")
        empty = Path(self.place.name) / "empty.pem"
        empty.write_text("nothing\n")
        for server, words in (
                ("", ["no \"ssl_certificate\" is defined"]),
                (f"ssl_certificate {self.pair.certificate};", ["no \"ssl_certificate_key\"", self.pair.certificate]),
                (f"ssl_certificate_key {self.pair.key};", ["no \"ssl_certificate\" is defined for key", self.pair.key]),
                ("ssl_certificate /nowhere.pem; ssl_certificate_key /nowhere.key;",
                 ["cannot read \"/nowhere.pem\"", "No such file"]),
                (Pair(empty, self.pair.key).directives(), ["cannot load certificate", str(empty), "no start line"]),
                (Pair(self.pair.certificate, empty).directives(), ["cannot load certificate key", str(empty)]),
                (Pair(self.pair.certificate, other.key).directives(), ["cannot use certificate key", str(other.key),
                                                                       "key values mismatch"]),
                (self.pair.directives() + "ssl_protocols TLSv1.1;", ["older versions are not supported"]),
                (self.pair.directives() + "ssl_ciphers NONSENSE;", ["no usable cipher"]),
                (self.pair.directives() + "ssl_ecdh_curve nonsense;", ["no usable curve"]),
                (self.pair.directives() + "ssl_verify_client on;", ["no \"ssl_client_certificate\""]),
                (self.pair.directives() + f"ssl_session_ticket_key {empty};", ["80 or 48 bytes"]),
                (self.pair.directives() + f"ssl_stapling on; ssl_stapling_file {empty};",
                 ["is no successful OCSP response"]),
                (self.pair.directives() + "ssl_conf_command Nonsense x;", ["TLS command"]),
                (self.pair.directives() + "ssl_session_cache shared:x;", ["shared:name:size"]),
                (self.pair.directives() + f"ssl_crl {empty};", ["cannot load the revocation list"])):
            with self.subTest(server=server):
                code, text = self.check(server)
                self.assertEqual(code, 1, text)
                for word in words:
                    self.assertIn(str(word), text)
                self.assertRegex(text, r"beamgate\.conf:\d+:\d+:")
        self.assertEqual(self.check(self.pair.directives() + "ssl_session_cache shared:SSL:10m;")[0], 0)

    def test_a_mistake_is_told_once_and_where_it_is(self):
        """Not what only follows from it, and not at the server that the setting stands in."""
        elliptic = self.authority.issue("one.test", kind="ec")
        rsa = self.authority.issue("one.test", kind="rsa")
        for line, words in (
                (f"ssl_certificate /nowhere.pem; ssl_certificate_key {self.pair.key};", "cannot read \"/nowhere.pem\""),
                (f"ssl_certificate {self.pair.certificate}; ssl_certificate_key /nowhere.key;", "cannot read \"/nowhere.key\""),
                (self.pair.directives() + "\nssl_client_certificate /nowhere.pem; ssl_verify_client on;", "cannot read"),
                (f"ssl_certificate {rsa.certificate};\nssl_certificate_key {elliptic.key};", "different key types"),
                (self.pair.directives() + "\nssl_ciphers NONSENSE;", "no usable cipher"),
                (self.pair.directives() + "\nssl_ecdh_curve nonsense;", "no usable curve"),
                (self.pair.directives() + "\nssl_conf_command Nonsense x;", "the TLS command")):
            with self.subTest(line=line):
                gateway = self.gateway(f"server {{ listen 127.0.0.1:0 ssl;\n{line}\n}}", start=False)
                text = gateway.run("-t").stderr
                errors = re.findall(r"\[emerg\] .*beamgate\.conf:(\d+):\d+: (.*)", text)
                self.assertEqual(len(errors), 1, text)
                self.assertIn(words, errors[0][1])
                where = gateway.path("beamgate.conf").read_text().splitlines()[int(errors[0][0]) - 1]
                self.assertEqual(where, line.splitlines()[-1])

    def test_an_expired_certificate_is_a_warning(self):
        old = self.authority.issue("one.test", expired=True)
        code, text = self.check(old.directives())
        self.assertEqual(code, 0, text)
        self.assertIn(f"certificate \"{old.certificate}\" has expired", text)

    def test_keys_are_in_no_dump_and_no_log(self):
        gateway = self.serving()
        lines = [line for line in Path(self.pair.key).read_text().splitlines() if not line.startswith("-")]
        dump = gateway.run("-T")
        gateway.signal(beamgate_signal("HUP"))
        gateway.wait_log(r"\breloaded\b", timeout=20)
        self.assertIn(str(self.pair.key), dump.stdout)
        for text in (dump.stdout, dump.stderr, gateway.log()):
            self.assertFalse([line for line in lines if line in text])
            self.assertNotIn("embedded_file", text)

    @beamgate.unittest.skipUnless(os.geteuid() == 0, "only root can have keys that workers may not read")
    def test_workers_need_no_right_to_the_keys(self):
        Path(self.pair.key).chmod(0o600)
        gateway = self.serving(main="user nobody;")
        self.assertEqual(self.get(gateway).text, "ok")
        gateway.signal(beamgate_signal("HUP"))
        gateway.wait_log(r"\breloaded\b", timeout=20)
        self.assertEqual(self.get(gateway).text, "ok")


if __name__ == "__main__":
    beamgate.main()

"""proxy_pass https://...: whom the gateway believes to be a backend, what it shows it, and what it asks it for."""

import os
import socket
import ssl
import tempfile
from pathlib import Path

import beamgate
import http_client
from backend import Cut, Huge, Raw, Reply
from certificates import Authority


class Upstream(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(cls.place.cleanup)
        cls.authority = Authority(cls.place.name)
        cls.pair = cls.authority.issue("backend.test", "127.0.0.1")

    def tls_backend(self, pair=None, client_ca=None, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = pair or self.pair
        context.load_cert_chain(pair.certificate, pair.key)
        if client_ca is not None:
            context.load_verify_locations(str(client_ca))
            context.verify_mode = ssl.CERT_REQUIRED
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return self.backend(tls=context)

    def serving(self, backend, settings="", url=None, **options):
        return self.gateway(f"""server {{ listen 127.0.0.1:0; client_max_body_size 0;
            location / {{ proxy_pass {url or backend.url}; {settings} }} }}""", **options)

    def verifying(self, authority=None, more=""):
        return f"proxy_ssl_verify on; proxy_ssl_trusted_certificate {(authority or self.authority).certificate}; {more}"

    def test_both_ways_and_with_any_version(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version.name):
                backend = self.tls_backend(version=version)
                backend.on("*", lambda request: Reply(200, request.body))
                backend.on("/huge", Huge(20_000_000))
                backend.on("/chunks", Huge(2_000_000, chunked=True))
                gateway = self.serving(backend)
                body = os.urandom(5_000_000)
                with http_client.Connection(gateway.address()) as client:
                    self.assertEqual(client.request("POST", "/", body=body).body, body)
                    self.assertEqual(len(client.request("GET", "/huge").body), 20_000_000)
                    self.assertEqual(len(client.request("GET", "/chunks").body), 2_000_000)
                    self.assertEqual(client.request("GET", "/small").status, 200)

    def test_a_slow_client_slows_the_backend(self):
        backend = self.tls_backend()
        huge = Huge(200_000_000)
        backend.on("/huge", huge)
        gateway = self.serving(backend)
        with http_client.Connection(gateway.address(), receive_buffer=4096) as client:
            client.send_request("GET", "/huge")
            client.read_head()
            client.wire.read_exactly(1_000_000)
            self.assertLess(huge.sent, 100_000_000)

    def test_connections_are_kept(self):
        backend = self.tls_backend()
        gateway = self.serving(backend, workers=1)
        with http_client.Connection(gateway.address()) as client:
            for _ in range(10):
                self.assertEqual(client.request("GET", "/").status, 200)
        self.assertEqual(backend.connections, 1)

    def test_sessions_are_resumed(self):
        for settings, reused in (("", True), ("proxy_ssl_session_reuse off;", False)):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with self.subTest(settings=settings, version=version.name):
                    backend = self.tls_backend(version=version)
                    backend.on("*", Reply(200, b"", {"Connection": "close"}))
                    gateway = self.serving(backend, settings, workers=1)
                    for _ in range(4):
                        self.assertEqual(http_client.get(gateway.address(), "/").status, 200)
                    self.assertEqual([resumed for _, resumed, _ in backend.handshakes], [False] + [reused] * 3)

    def test_verification(self):
        other = Authority(Path(self.place.name) / "other", "Somebody Else")
        old = self.authority.issue("backend.test", expired=True)
        cases = [  # Certificate, settings, status.
            (self.pair, self.verifying(), 200),
            (self.pair, self.verifying(more="proxy_ssl_name backend.test;"), 200),
            (self.pair, self.verifying(more="proxy_ssl_name elsewhere.test;"), 502),
            (self.pair, self.verifying(other), 502),
            (old, self.verifying(more="proxy_ssl_name backend.test;"), 502),
            (other.issue("backend.test"), "proxy_ssl_verify off;", 200),
            (self.pair, "proxy_ssl_verify on;", 502)]  # The system knows nothing of this authority.
        for pair, settings, status in cases:
            with self.subTest(settings=settings, pair=pair.certificate):
                backend = self.tls_backend(pair)
                gateway = self.serving(backend, settings)
                self.assertEqual(http_client.get(gateway.address(), "/").status, status)
                self.assertEqual(len(backend.requests), 1 if status == 200 else 0)

    def test_how_long_a_chain_may_be(self):
        middle = Authority(self.place.name, "Middle", above=self.authority)
        low = Authority(self.place.name, "Low", above=middle)
        backends = [self.tls_backend(authority.issue("127.0.0.1")) for authority in (self.authority, middle, low)]
        cases = {"two": ("proxy_ssl_verify_depth 2;", [200, 200, 200]), "default": ("", [200, 200, 502]),
                 "none": ("proxy_ssl_verify_depth 0;", [200, 502, 502])}
        gateway = self.gateway("server { listen 127.0.0.1:0; " + self.verifying() + "".join(
            f"location /{name}/{number} {{ proxy_pass {backend.url}; {setting} }}\n"
            for name, (setting, _) in cases.items() for number, backend in enumerate(backends)) + "}", workers=1)
        for name, (setting, statuses) in cases.items():
            with self.subTest(setting=setting):
                answers = [http_client.get(gateway.address(), f"/{name}/{number}") for number in range(3)]
                self.assertEqual([answer.status for answer in answers], statuses)

    def test_revoked_backends(self):
        authority = Authority(Path(self.place.name) / "revoking", "Revoking Authority")
        good, bad = authority.issue("127.0.0.1"), authority.issue("127.0.0.1")
        revoked = authority.revoke(bad)
        for pair, status in ((good, 200), (bad, 502)):
            backend = self.tls_backend(pair)
            gateway = self.serving(backend, self.verifying(authority, f"proxy_ssl_crl {revoked};"))
            self.assertEqual(http_client.get(gateway.address(), "/").status, status)

    def test_the_name_that_is_told(self):
        for settings, name in (("", None), ("proxy_ssl_server_name on;", None),  # An address is no name.
                               ("proxy_ssl_server_name on; proxy_ssl_name backend.test;", "backend.test"),
                               ("proxy_ssl_server_name on; proxy_ssl_name $host;", "asked.test")):
            with self.subTest(settings=settings):
                backend = self.tls_backend()
                gateway = self.serving(backend, settings)
                self.assertEqual(http_client.get(gateway.address(), "/", [("Host", "asked.test")]).status, 200)
                self.assertEqual(backend.handshakes[0][0], name)

    def test_an_upstream_that_variables_choose(self):
        """Its name is what is told, and what the certificate is checked against."""
        backends = [self.tls_backend(self.authority.issue(name)) for name in ("one.test", "two.test")]
        gateway = self.gateway(f"""
            upstream one.test {{ server {backends[0].address}; }} upstream two.test {{ server {backends[1].address}; }}
            upstream three.test {{ server {backends[0].address}; }}
            server {{ listen 127.0.0.1:0; location / {{ proxy_pass https://$arg_to; proxy_ssl_server_name on;
                {self.verifying()} }} }}""")
        for name, status in (("one.test", 200), ("two.test", 200), ("three.test", 502), ("four.test", 502)):
            with self.subTest(name):
                self.assertEqual(http_client.get(gateway.address(), f"/?to={name}").status, status)
        self.assertEqual([backend.handshakes[0][0] for backend in backends], ["one.test", "two.test"])

    def test_a_certificate_is_shown(self):
        mine = self.authority.issue("the gateway")
        shown = f"proxy_ssl_certificate {mine.certificate}; proxy_ssl_certificate_key {mine.key};"
        for settings, status in ((shown, 200), ("", 502)):
            backend = self.tls_backend(client_ca=self.authority.certificate)
            gateway = self.serving(backend, settings)
            self.assertEqual(http_client.get(gateway.address(), "/").status, status)
            self.assertEqual([name for _, _, name in backend.handshakes if status == 200],
                             ["the gateway"] if status == 200 else [])

    def test_versions_and_ciphers_are_kept_to(self):
        backend = self.tls_backend(version=ssl.TLSVersion.TLSv1_2)
        for settings, status in (("proxy_ssl_protocols TLSv1.3;", 502), ("proxy_ssl_protocols TLSv1.2;", 200),
                                 ("proxy_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;", 200),
                                 ("proxy_ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256;", 502)):
            with self.subTest(settings=settings):
                gateway = self.serving(backend, settings)
                self.assertEqual(http_client.get(gateway.address(), "/").status, status)

    def test_a_backend_that_speaks_no_tls(self):
        with socket.create_server(("127.0.0.1", 0)) as plain:
            gateway = self.serving(None, url="https://127.0.0.1:%d" % plain.getsockname()[1])
            with http_client.Connection(gateway.address()) as client:
                client.send_request("GET", "/")
                accepted, _ = plain.accept()
                with accepted:
                    accepted.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                    self.assertEqual(client.read_response().status, 502)

    def test_a_handshake_that_never_ends(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(8)
            gateway = self.serving(None, "proxy_connect_timeout 300ms;",
                                   url="https://127.0.0.1:%d" % silent.getsockname()[1])
            self.assertEqual(http_client.get(gateway.address(), "/").status, 504)

    def test_a_response_that_is_cut(self):
        """Only close_notify ends a response without a length; a length tells by itself."""
        backend = self.tls_backend()
        backend.on("/cut", Cut())
        backend.on("/open", Raw(b"HTTP/1.1 200 OK\r\n\r\nwithout a length"))
        gateway = self.serving(backend)
        for path in ("/cut", "/open"):
            with self.subTest(path=path), http_client.Connection(gateway.address()) as client:
                client.send_request("GET", path)
                with self.assertRaises(Exception):
                    client.read_response()

    def test_two_locations_share_no_connection_of_another_kind(self):
        backend = self.tls_backend()
        gateway = self.gateway(f"""upstream both {{ server {backend.address}; }}
            server {{ listen 127.0.0.1:0;
                location /open {{ proxy_pass https://both; }}
                location /named {{ proxy_pass https://both; proxy_ssl_server_name on; proxy_ssl_name backend.test; }}
                location /strict {{ proxy_pass https://both; {self.verifying(more="proxy_ssl_name nobody.test;")} }}
                location /plain {{ proxy_pass http://both; }} }}""", workers=1)
        get = lambda path: http_client.get(gateway.address(), path).status
        for _ in range(2):
            self.assertEqual(get("/open"), 200)
            self.assertEqual(get("/named"), 200)
        self.assertEqual(backend.connections, 2)
        self.assertEqual(get("/strict"), 502)
        self.assertEqual(get("/plain"), 502)

    def test_what_is_wrong_is_told(self):
        for settings, words in (("proxy_ssl_trusted_certificate /nowhere.pem;", "cannot read \"/nowhere.pem\""),
                                (f"proxy_ssl_certificate {self.pair.certificate};", "belong together"),
                                ("proxy_ssl_protocols SSLv3;", "older versions are not supported"),
                                ("proxy_ssl_ciphers NONSENSE;", "no usable cipher")):
            with self.subTest(settings=settings):
                gateway = self.serving(None, settings, url="https://127.0.0.1:1", start=False)
                done = gateway.run("-t")
                self.assertEqual(done.returncode, 1)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    beamgate.main()

"""Who the client is: real_ip, the PROXY protocol in and out, and the X-Forwarded-* and Forwarded fields that go on.

What it shows: nobody but a trusted proxy can say who a client is, a PROXY header is read strictly and in time or the
connection ends without an answer, and what it says is what limits, logs and applications see.
"""

import os
import socket
import ssl
import struct
import subprocess
import tempfile
from signal import SIGHUP, SIGKILL

import beamgate
import http_client
import ws_client
from backend import Reply
from certificates import Authority
from recorder import Recorder
from wire import Ended, open_socket

TRUST = "set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
V1 = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(command=0x21, protocol=0x11, rest=None, tlvs=b""):
    if rest is None:
        rest = socket.inet_aton("203.0.113.7") + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 4711, 443)
    return SIGNATURE + struct.pack("!BBH", command, protocol, len(rest + tlvs)) + rest + tlvs


def v2_six(source, destination):
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination)
    return v2(protocol=0x21, rest=ends + struct.pack("!HH", 4711, 443))


WHO = ('return 200 "$remote_addr $remote_port $realip_remote_addr $proxy_protocol_addr $proxy_protocol_port '
       '$proxy_protocol_server_addr $proxy_protocol_server_port";')


class RealIp(beamgate.TestCase):
    def who(self, settings, fields, source="127.0.0.1", location=""):
        gateway = self.gateway(f'{settings} server {{ listen 127.0.0.1:0; location / {{ {location} '
                               'return 200 "$remote_addr $realip_remote_addr"; } }', workers=1)
        return http_client.get(gateway.address(), "/", fields, source=source).text

    def test_only_a_trusted_peer_is_believed(self):
        settings = "set_real_ip_from 127.0.0.2; real_ip_header X-Forwarded-For;"
        fields = {"X-Forwarded-For": "203.0.113.9, 203.0.113.7", "X-Real-IP": "203.0.113.1"}
        self.assertEqual(self.who(settings, fields, source="127.0.0.2"), "203.0.113.7 127.0.0.2")
        self.assertEqual(self.who(settings, fields, source="127.0.0.3"), "127.0.0.3 127.0.0.3")

    def test_which_field_and_which_address(self):
        trusted = "set_real_ip_from 127.0.0.0/8;"
        chain = {"X-Forwarded-For": "203.0.113.9, 203.0.113.7, 127.9.9.9"}
        cases = [
            ("", {"X-Real-IP": "203.0.113.1"}, "203.0.113.1"),
            ("", chain, "127.0.0.1"),
            ("real_ip_header X-Forwarded-For;", chain, "127.9.9.9"),
            ("real_ip_header X-Forwarded-For; real_ip_recursive on;", chain, "203.0.113.7"),
            ("real_ip_header Forwarded;", {"Forwarded": 'for=203.0.113.9, for="[2001:db8::7]:80";proto=http'}, "2001:db8::7"),
            ("real_ip_header Forwarded;", {"Forwarded": "for=unknown"}, "127.0.0.1"),
            ("real_ip_header X-Client;", {"X-Client": "203.0.113.4:99"}, "203.0.113.4"),
            ("real_ip_header X-Client;", {"X-Client": "203.0.113.4.5"}, "127.0.0.1"),
            ("real_ip_header proxy_protocol;", {"X-Real-IP": "203.0.113.1", "proxy_protocol": "203.0.113.1"}, "127.0.0.1"),
        ]
        for settings, fields, client in cases:
            with self.subTest(settings, fields=fields):
                self.assertEqual(self.who(trusted + settings, fields), client + " 127.0.0.1")

    def test_a_location_has_its_own(self):
        fields = {"X-Real-IP": "203.0.113.1", "X-Other": "203.0.113.2"}
        trusted = "set_real_ip_from 127.0.0.1;"
        self.assertEqual(self.who(trusted, fields, location="real_ip_header X-Other;"), "203.0.113.2 127.0.0.1")
        self.assertEqual(self.who(trusted, fields, location="set_real_ip_from 10.0.0.1;"), "127.0.0.1 127.0.0.1")

    def test_what_an_application_is_told(self):
        origin = Recorder()
        self.addCleanup(origin.close)
        gateway = self.gateway(f"""set_real_ip_from 127.0.0.2; real_ip_header X-Forwarded-For;
            server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://{origin.address};
                proxy_set_header Forwarded $proxy_add_forwarded; proxy_set_header X-Chain $proxy_add_x_forwarded_for;
                proxy_set_header X-Request-ID $request_id; proxy_set_header X-Where "$scheme $host $http_host $server_port $proxy_host $proxy_port";
            }} }}""", workers=1)
        fields = {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7", "X-Forwarded-Proto": "https",
                  "X-Forwarded-Host": "outside", "X-Real-IP": "6.6.6.6", "Host": "in:81"}
        port = gateway.address().rpartition(":")[2]
        for source, chain, forwarded, proto, host, client in (
                ("127.0.0.2", "203.0.113.7, 127.0.0.2", 'for=203.0.113.7, for=127.0.0.2;proto=http;host="in:81"', "https",
                 "outside", "203.0.113.7"),
                ("127.0.0.3", "127.0.0.3", 'for=127.0.0.3;proto=http;host="in:81"', "http", "in:81", "127.0.0.3")):
            with self.subTest(source):
                http_client.get(gateway.address(), "/", fields, source=source)
                request = origin.wait()
                self.assertEqual(request.all("x-forwarded-for"), [chain])
                self.assertEqual(request.all("x-chain"), [chain])
                self.assertEqual(request.all("forwarded"), [forwarded])
                self.assertEqual(request.all("x-forwarded-proto"), [proto])
                self.assertEqual(request.all("x-forwarded-host"), [host])
                self.assertEqual(request.all("x-real-ip"), [client])
                self.assertRegex(request.header("x-request-id"), "^[0-9a-f]{32}$")
                self.assertEqual(request.header("x-where"), f"http in in:81 {port} {origin.address} " +
                                 origin.address.rpartition(":")[2])
            origin.clear()


class AnnouncedCase(beamgate.TestCase):
    def move(self, parameters, connect):
        application = self.backend(Reply(204))
        gateway = self.gateway(f"""{TRUST}
            webhook app {{ url {application.url}/hook; secret whsec_MDEyMzQ1Njc4OWFiY2RlZg==; }}
            server {{ listen 127.0.0.1:0 proxy_protocol{parameters}; location /ws {{ websocket raw; webhook app; }} }}
            server {{ listen unix:api.sock; location / {{ api on; }} }}""", workers=3)
        address = next(each for each in gateway.addresses() if not each.startswith("unix:"))
        api = next(each for each in gateway.addresses() if each.startswith("unix:"))
        clients = {f"203.0.113.{10 + number}" for number in range(12)}
        for client in clients:
            each = self.track(connect(address, V1.replace(b"203.0.113.7", client.encode())))
            each.send("here")
        application.wait("beamgate.message", count=12)
        ids = [request.header("beamgate-connection") for request in application.seen("beamgate.message")]
        self.assertEqual(self.peers(api, ids), clients)
        gateway.write_config(workers=1)
        gateway.signal(SIGHUP)
        gateway.wait_workers(1, timeout=20)
        self.assertEqual(self.peers(api, ids), clients)

    def peers(self, api, ids):
        return {http_client.get(api, f"/connections/{id}").json()["result"]["peer"].rpartition(":")[0] for id in ids}


class Announced(AnnouncedCase):
    def announced(self, settings=TRUST, location=WHO, server="",
                  **options):
        return self.gateway(f"{settings} log_format who '$remote_addr $proxy_protocol_addr $status'; "
                            f"server {{ listen 127.0.0.1:0 proxy_protocol; {server} location / {{ {location} }} }}",
                            **options)

    def ask(self, gateway, header, request=GET, pieces=1):
        with http_client.Connection(gateway.address()) as client:
            data = header + request
            size = -(-len(data) // pieces)
            for at in range(0, len(data), size):
                client.send(data[at:at + size])
            return client.read_response().text

    def test_versions_and_kinds(self):
        gateway = self.announced()
        told = "203.0.113.7 4711 127.0.0.1 203.0.113.7 4711 192.0.2.1 443"
        tlv = b"\x04\x00\x03abc" + b"\x20\x00\x00"
        for name, header, answer in (
                ("v1", V1, told), ("v2", v2(), told), ("v2 with TLVs", v2(tlvs=tlv), told),
                ("v1, IPv6", b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n",
                 "2001:db8::7 4711 127.0.0.1 2001:db8::7 4711 2001:db8::1 443"),
                ("v2, IPv6", v2_six("2001:db8::7", "2001:db8::1"),
                 "2001:db8::7 4711 127.0.0.1 2001:db8::7 4711 2001:db8::1 443")):
            for pieces in (1, 7):
                with self.subTest(name, pieces=pieces):
                    self.assertEqual(self.ask(gateway, header, pieces=pieces), answer)
        for name, header in (("v1 UNKNOWN", b"PROXY UNKNOWN\r\n"), ("v2 LOCAL", v2(command=0x20)),
                             ("v2 UNSPEC", v2(protocol=0, rest=b"")), ("v2 unix", v2(protocol=0x31, rest=bytes(216)))):
            with self.subTest(name):
                self.assertRegex(self.ask(gateway, header), r"^127\.0\.0\.1 \d+ 127\.0\.0\.1    $")

    def test_a_malformed_header_ends_the_connection_without_an_answer(self):
        gateway = self.announced()
        bad = {"none": GET, "lower case": b"proxy tcp4 1.2.3.4 1.2.3.4 1 1\r\n", "line feed": V1.replace(b"\r\n", b"\n"),
               "two spaces": V1.replace(b"TCP4 ", b"TCP4  "), "port": V1.replace(b"4711", b"70000"),
               "address": V1.replace(b"203.", b"303."), "too long": b"PROXY UNKNOWN " + b"x" * 200 + b"\r\n",
               "v2 version": v2(command=0x11), "v2 command": v2(command=0x22), "v2 family": v2(protocol=0x41),
               "v2 too short": v2(rest=b"1234"), "v2 cut TLV": v2(tlvs=b"\x04\x00\x09abc"),
               "v2 too long": SIGNATURE + b"\x21\x11\xff\xff", "a TLS hello": b"\x16\x03\x01\x02\x00\x01",
               "an empty line first": b"\r\n" + GET}
        for name, header in bad.items():
            with self.subTest(name), http_client.Connection(gateway.address()) as client:
                client.send(header + GET)
                self.assertTrue(client.ended(timeout=5))
        gateway.wait_log("proxy_header_refused .*reason=malformed", count=len(bad))

    def test_a_header_is_awaited_for_a_time_only(self):
        gateway = self.announced(server="client_header_timeout 300ms;")
        for name, begun in (("nothing", b""), ("a part", V1[:20]), ("a part of v2", v2()[:20])):
            with self.subTest(name), http_client.Connection(gateway.address()) as client:
                client.send(begun)
                self.assertTrue(client.ended(timeout=5))
        gateway.wait_log("proxy_header_refused .*reason=late", count=3)

    def test_one_header_for_each_connection(self):
        gateway = self.announced()
        with http_client.Connection(gateway.address()) as client:
            client.send(V1 + GET + GET)
            self.assertEqual(client.read_response().text, client.read_response().text)
            client.send(V1 + GET)
            self.assertEqual(client.read_response().status, 400)

    def test_without_trust_the_peer_stays_the_client(self):
        for settings in ("", "set_real_ip_from 127.0.0.1;", "real_ip_header proxy_protocol;",
                         "set_real_ip_from 10.0.0.1; real_ip_header proxy_protocol;"):
            with self.subTest(settings):
                self.assertRegex(self.ask(self.announced(settings), V1),
                                 r"^127\.0\.0\.1 \d+ 127\.0\.0\.1 203\.0\.113\.7 4711 192\.0\.2\.1 443$")

    def test_a_server_of_the_address_announces_for_all(self):
        gateway = self.gateway("""server { listen unix:a.sock; server_name a; return 200 a; }
            server { listen unix:a.sock proxy_protocol; server_name b; return 200 $proxy_protocol_addr; }""")
        with http_client.Connection(gateway.address()) as client:
            client.send(V1 + GET.replace(b"x", b"b"))
            self.assertEqual(client.read_response().text, "203.0.113.7")

    def test_what_the_client_itself_claims_is_not_believed(self):
        """A balancer that speaks this protocol passes the client's own bytes on: its fields are the client's claims."""
        origin = Recorder()
        self.addCleanup(origin.close)
        gateway = self.announced(location=f"proxy_pass http://{origin.address};")
        request = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: evil\r\nX-Real-IP: 6.6.6.6\r\n\r\n")
        self.ask(gateway, V1, request)
        request = origin.wait()
        self.assertEqual((request.all("x-forwarded-for"), request.all("x-real-ip"), request.all("x-forwarded-proto")),
                         (["203.0.113.7"], ["203.0.113.7"], ["http"]))

    def test_rules_limits_and_logs_speak_of_the_announced_client(self):
        gateway = self.announced(location="access_log access.log who; deny 203.0.113.7; root .; index page;", files={"page": "in"},
                                 events="connections_per_address 2;")
        other = V1.replace(b"203.0.113.7", b"203.0.113.8")
        self.assertTrue(self.ask(gateway, V1).startswith("403"))
        kept = []
        for _ in range(2):
            kept.append(self.track(http_client.Connection(gateway.address())))
            kept[-1].send(other + GET)
            self.assertEqual(kept[-1].read_response().text, "in")
        with http_client.Connection(gateway.address()) as third:
            third.send(other + GET)
            self.assertTrue(third.ended(timeout=5), "a third of the same announced client")
        self.assertEqual(self.ask(gateway, V1.replace(b"203.0.113.7", b"203.0.113.9")), "in", "another client")
        kept[0].close()
        beamgate.until(lambda: self.serves(gateway, other), 10, "room for the client again")
        log = gateway.path("access.log").read_text()
        self.assertIn("203.0.113.7 203.0.113.7 403\n", log)

    def serves(self, gateway, header):
        try:
            return self.ask(gateway, header) == "in"
        except (Ended, OSError):
            return False

    def test_a_websocket_keeps_its_client_over_a_move(self):
        """Fewer workers: the connection goes to another one, and is still its client's."""
        self.move("", lambda address, header: ws_client.connect(address, "/ws", announce=header))


class AnnouncedTls(AnnouncedCase):
    """A TLS handshake behind the header, as it comes from a balancer that passes TLS on."""

    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(place.cleanup)
        cls.authority = Authority(place.name)
        cls.pair = cls.authority.issue("one.test")

    def announced(self, location=WHO.replace('"$', '"$scheme $ssl_server_name $'), server="", **options):
        return self.gateway(f"""{TRUST} {self.pair.directives()}
            server {{ listen 127.0.0.1:0 ssl http2 proxy_protocol; {server} location / {{ {location} }} }}
            server {{ listen 127.0.0.2:0; location = /metrics {{ metrics; }} }}""", **options)

    def connect(self, gateway, header=V1, **options):
        return self.track(http_client.Connection(gateway.address(), announce=header, tls=self.authority.client(),
                                                 name="one.test", **options))

    def ask(self, gateway, header, pieces, **options):
        """The header and the hello come in one stream, cut into so many pieces; answer: everything until the end."""
        coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        end = self.authority.client(**options).wrap_bio(coming, going, server_hostname="one.test")
        with open_socket(gateway.address()) as sock:
            def until_done(step, *arguments):
                while True:
                    try:
                        return step(*arguments)
                    except ssl.SSLWantReadError:
                        sock.sendall(going.read())
                    got = sock.recv(65536)
                    coming.write(got) if got else coming.write_eof()

            with self.assertRaises(ssl.SSLWantReadError):
                end.do_handshake()
            begin = header + going.read()
            size = -(-len(begin) // pieces)
            for at in range(0, len(begin), size):
                sock.sendall(begin[at:at + size])
            until_done(end.do_handshake)
            end.write(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            answer = b""
            while got := until_done(end.read, 65536):
                answer += got
            return answer.partition(b"\r\n\r\n")[2].decode()

    def test_a_handshake_may_come_with_the_header_or_behind_it(self):
        gateway = self.announced()
        told = "https one.test 203.0.113.7 4711 127.0.0.1 203.0.113.7 4711 192.0.2.1 443"
        for name, header in (("v1", V1), ("v2", v2())):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for pieces in (1, 2, 5, 40, 600):
                    with self.subTest(name, version=version.name, pieces=pieces):
                        self.assertEqual(self.ask(gateway, header, pieces, minimum_version=version, maximum_version=version),
                                         told)
        with self.subTest("the header alone, first"):
            connection = self.connect(gateway)
            self.assertEqual([connection.request("GET", "/").text for _ in range(2)], [told, told])

    def test_curl_speaks_http_2_behind_its_header(self):
        gateway = self.announced(location='return 200 "$http2 $remote_addr $proxy_protocol_server_addr";')
        host, _, port = gateway.address().rpartition(":")
        told = subprocess.run(
            ["curl", "-sS", "--haproxy-protocol", "--http2", "--cacert", self.authority.certificate, "--connect-to",
             f"one.test:443:{host}:{port}", "https://one.test/"], capture_output=True, text=True, timeout=30)
        self.assertEqual((told.stdout, told.stderr), ("h2 127.0.0.1 127.0.0.1", ""))

    def test_what_is_no_tls_behind_the_header(self):
        gateway = self.announced()
        for pieces in ((V1 + GET,), (V1, GET)):
            with self.subTest(pieces=len(pieces)), http_client.Connection(gateway.address()) as client:
                for piece in pieces:
                    client.send(piece)
                response = client.read_response()
                self.assertEqual(response.status, 400)
                self.assertIn("plain HTTP", response.text)
        for name, data in (("no header", b"\x16\x03\x01\x02\x00\x01"), ("plain, without a header", GET)):
            with self.subTest(name), http_client.Connection(gateway.address()) as client:
                client.send(data)
                self.assertTrue(client.ended(timeout=5))
        gateway.wait_log("proxy_header_refused .*reason=malformed", count=2)

    def test_a_handshake_behind_the_header_has_its_time(self):
        gateway = self.announced(server="ssl_handshake_timeout 200ms;")
        for begun in (V1, V1 + b"\x16\x03\x01\x02\x00\x01"):
            with self.subTest(begun=begun), open_socket(gateway.address()) as silent:
                silent.sendall(begun)
                self.assertEqual(silent.recv(1), b"")
        gateway.wait_log(r"tls_handshake_failed .*client=203\.0\.113\.7.*not completed in time", count=2)
        self.assertEqual(gateway.metrics(1)['beamgate_tls_handshakes_failed_total{reason="timeout"}'], 2)

    def test_the_announced_client_is_counted_once_its_header_is_read(self):
        gateway = self.announced(location="return 200 in;", events="connections_per_address 2;", workers=1)
        for _ in range(2):
            self.assertEqual(self.connect(gateway).request("GET", "/").text, "in")
        with self.assertRaises((OSError, ssl.SSLError)):
            self.connect(gateway)
        self.assertEqual(self.connect(gateway, V1.replace(b"203.0.113.7", b"203.0.113.9")).request("GET", "/").text, "in")

    def test_a_websocket_keeps_its_client_over_a_move(self):
        self.move(f" ssl; {self.pair.directives().rstrip('; ')}",
                  lambda address, header: ws_client.connect(address, "/ws", announce=header, name="one.test",
                                                            tls=self.authority.client()))

    def test_an_adopted_header_goes_on_with_tls(self):
        """The worker is killed between the header's parts; its successor reads the rest, and the handshake."""
        gateway = self.announced(location="return 200 $remote_addr;", workers=1)
        sock = self.track(open_socket(gateway.address()))
        sock.sendall(V1[:20])
        beamgate.until(lambda: gateway.metrics(1)["beamgate_bytes_received_total"] >= 20)
        gateway.expect_deaths()
        os.kill(gateway.worker_pids()[0], SIGKILL)
        sock.sendall(V1[20:])
        secured = self.track(self.authority.client().wrap_socket(sock, server_hostname="one.test"))
        secured.sendall(GET)
        self.assertIn(b"203.0.113.7", secured.recv(65536))


class Announcing(beamgate.TestCase):
    """proxy_protocol on: towards an application."""

    def origin(self):
        def prologue(data):
            if data.startswith(SIGNATURE[:1]):
                return 16 + struct.unpack("!H", data[14:16])[0] if len(data) >= 16 else None
            end = data.find(b"\r\n")
            return None if end < 0 else end + 2

        origin = Recorder(prologue=prologue)
        self.addCleanup(origin.close)
        return origin

    def test_each_connection_to_a_server_names_its_client(self):
        origin = self.origin()
        gateway = self.gateway(f"""upstream app {{ server {origin.address}; keepalive 8; }}
            server {{ listen 127.0.0.1:0; location / {{ proxy_pass http://app; proxy_protocol on; }}
                location /v2 {{ proxy_pass http://app; proxy_protocol v2; }} }}""", workers=1)
        port = int(gateway.address().rpartition(":")[2])
        with http_client.Connection(gateway.address(), source="127.0.0.9") as client:
            source_port = client.wire.sock.getsockname()[1]
            for _ in range(2):
                self.assertEqual(client.request("GET", "/").text, "ok")
            self.assertEqual(client.request("GET", "/v2").text, "ok")
        line = b"PROXY TCP4 127.0.0.9 127.0.0.1 %d %d\r\n" % (source_port, port)
        binary = v2(rest=socket.inet_aton("127.0.0.9") + socket.inet_aton("127.0.0.1") + struct.pack("!HH", source_port, port))
        self.assertEqual(origin.prologues, [line, line, binary], "one request on each connection")
        self.assertEqual(origin.oddities, [])
        self.assertEqual([request.header("connection") for request in origin.requests], ["close"] * 3)

    def test_a_client_on_a_unix_socket_is_unknown(self):
        origin = self.origin()
        gateway = self.gateway(f"""server {{ listen unix:in.sock;
            location / {{ proxy_pass http://{origin.address}; proxy_protocol on; }} }}""", workers=1)
        self.assertEqual(http_client.get(gateway.address(), "/").text, "ok")
        self.assertEqual(origin.prologues, [b"PROXY UNKNOWN\r\n"])

    def test_what_was_announced_is_announced_again(self):
        """One gateway behind another: the second sees the first one's client."""
        inner = self.gateway("""set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
            server { listen 127.0.0.1:0 proxy_protocol; location / { %s } }""" % WHO)
        for version in ("v1", "v2"):
            with self.subTest(version):
                outer = self.gateway(f"""set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;
                    server {{ listen 127.0.0.1:0 proxy_protocol; location / {{
                        proxy_pass http://{inner.address()}; proxy_protocol {version}; }} }}""")
                with http_client.Connection(outer.address()) as client:
                    client.send(V1 + GET)
                    self.assertEqual(client.read_response().text,
                                     "203.0.113.7 4711 127.0.0.1 203.0.113.7 4711 192.0.2.1 443")


if __name__ == "__main__":
    beamgate.main()

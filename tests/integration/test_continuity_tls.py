"""Connections with TLS 1.3 survive what plain ones do, moves and deaths, byte for byte; those that can't are told so.

The clients are the oracle's, which change their keys meanwhile, and single ones in awkward states: half a record, a
backlog, a KeyUpdate under way.  Controls: tls_engine openssl, where connections stay with their worker and end with it,
as those of TLS 1.2 and of HTTP/2 do.
"""

import functools
import hmac
import os
import struct
import tempfile
import unittest
from signal import SIGKILL, SIGQUIT, SIGUSR2

import beamgate
import continuity
import h2_client
import http_client
import memory
import tls_client
import ws_client
import ws_frame
from certificates import Authority
from ws_frame import BINARY, TEXT

ROUNDS = 2
MIB = 1 << 20
BACKLOG_BYTES = 700_000
SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
VARIABLES = " ".join(f"${name}" for name in (
    "https", "scheme", "server_name", "ssl_protocol", "ssl_cipher", "ssl_server_name", "ssl_session_reused",
    "ssl_client_verify", "ssl_client_s_dn", "ssl_client_i_dn", "ssl_client_serial", "ssl_client_fingerprint",
    "ssl_client_escaped_cert"))
LOCATIONS = f"""
    location = /hello {{ return 200 hello; }}
    location = /tls {{ return 200 "{VARIABLES}"; }}
    location = /slow {{ websocket echo; websocket_message_max 2m; websocket_send_queue 4m; }}
"""


def either_way(test):
    """Tries it with a move, and with a death."""
    @functools.wraps(test)
    def try_both(self):
        for disturb in (self.move, self.kill):
            with self.subTest(disturb.__name__):
                test(self, disturb)
    return try_both


class TlsCase(continuity.TestCase):
    """The first address is plain, for what is asked; the second speaks TLS, and is watched."""

    index = 1

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(cls.place.cleanup)
        cls.authority = Authority(cls.place.name)
        cls.pair = cls.authority.issue("one.test")
        cls.client_pair = cls.authority.issue("a client", organization="Clients")
        cls.watching = {"tls": cls.context(), "name": "one.test"}

    @classmethod
    def context(cls, **options):
        return tls_client.Context(cls.authority.certificate, **options)

    def http(self, more="", around="", others=""):
        plain = continuity.HTTP
        tls = plain.replace("listen 127.0.0.1:0 backlog=4096;",
                            f"listen 127.0.0.2:0 ssl backlog=4096; server_name one.test; {self.pair.directives()}"
                            f" ssl_verify_client optional; ssl_client_certificate {self.authority.certificate};"
                            f" {more} {LOCATIONS}")
        self.assertNotEqual(tls, plain)
        return around + plain + tls + others

    def serve(self, more="", around="", others="", **options):
        """more: of the server with TLS; around: of all; others: further servers."""
        return self.start_copy(http=self.http(more, around, others), **options)

    def connect(self, target="/echo", context=None, **options):
        return self.track(ws_client.connect(self.running.address(1), target, timeout=continuity.SETTLE_S,
                                            tls=context or self.watching["tls"], name="one.test", **options))

    def visit(self, context=None, session=None):
        """A connection that stays, over HTTP."""
        return self.track(http_client.Connection(self.running.address(1), timeout=continuity.SETTLE_S,
                                                 tls=context or self.watching["tls"], name="one.test", session=session))

    def check(self, client, text="still there"):
        client.send(text)
        self.assertEqual(client.recv(), text)

    # What happens to a connection: it moves to another worker, or its worker dies.  Both leave it alone.

    def move(self):
        self.upgrade()

    def kill(self):
        """Of the only worker; it has served somebody before it is killed again."""
        old, = self.running.worker_pids()
        os.kill(old, SIGKILL)
        beamgate.until(lambda: len(now := self.running.worker_pids()) == 1 and now != [old], continuity.SETTLE_S,
                       "a successor")
        self.assertEqual(http_client.get(self.running.address(), "/status").status, 200)

    def serve_one(self, more="", **options):
        self.serve(more, workers=1, **options).expect_deaths()


class Load(TlsCase):
    def test_workers_killed_at_random(self):
        self.serve(env=continuity.LINGER).expect_deaths()
        oracle = self.kill_workers_under_load(connections=200)
        self.assertGreater(oracle.key_updates, continuity.kills())

    def test_control_with_openssl_s_records(self):
        self.serve("tls_engine openssl;").expect_deaths()
        oracle = self.watch(connections=100, busy=10)
        self.kill_workers(oracle, 1)
        oracle.wait_faults("closed")
        oracle.finish_quietly()
        self.assertEqual(set(oracle.kinds()), {"closed"})

    def test_keepers_killed_and_then_their_worker(self):
        self.serve(workers=1).expect_deaths()
        slot, = self.wait_slots(1)
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        mark = self.running.log_mark()
        self.kill_keepers(slot)
        self.running.wait_log(r"\bworker_repaired\b.*\bleft=0\b", after=mark, timeout=continuity.SETTLE_S)
        slot, = self.wait_slots(1, without=slot)
        oracle.wait_messages(200)
        os.kill(slot.worker, SIGKILL)
        self.wait_slots(1, without=[slot.worker])
        oracle.wait_messages(200)
        oracle.finish()

    def test_upgrades_to_the_same_binary(self):
        self.serve()
        oracle = self.watch(connections=100, busy=10, subscribers=5, visitors=2)
        for _ in range(3):
            self.upgrade()
            oracle.wait_messages(200)
        self.reload()
        oracle.wait_visits(5)
        oracle.finish()

    @continuity.needs_next
    def test_to_another_binary_and_back(self):
        self.serve()
        oracle = self.watch(connections=200, busy=20, subscribers=20, visitors=3)
        publisher = self.publish(oracle)
        files = self.open_files()
        for _ in range(ROUNDS):
            for next_one, binary in ((True, os.environ["BEAMGATE_NEXT"]), (False, beamgate.binary())):
                self.install(binary)
                self.upgrade()
                beamgate.until(lambda: self.version().endswith("-next") == next_one, continuity.SETTLE_S, "the version")
                oracle.wait_messages(300)
                oracle.wait_visits(10)
        publisher.stop()
        oracle.finish()
        self.check_nothing_left(files, 2)

    def test_more_and_fewer_workers(self):
        self.serve(main="worker_shutdown_timeout 60s;")
        oracle = self.watch(connections=200, busy=20, subscribers=20, visitors=3)
        publisher = self.publish(oracle)
        for workers in (4, 1, 2):
            before = self.workers_of({peer.name for peer in oracle.echoes})
            self.reload(workers=workers)
            self.running.wait_workers(workers, continuity.SETTLE_S)
            oracle.wait_messages(300)
            oracle.wait_visits(10)
            moved = lambda: [end for end, worker in self.workers_of(before).items() if worker != before[end]]
            beamgate.until(moved, continuity.SETTLE_S, "connections that are served by another process now")
        publisher.stop()
        oracle.finish()

    def test_a_master_s_death(self):
        self.serve().expect_deaths()
        oracle = self.watch(connections=100, busy=10)
        self.wait_slots(2)
        files = self.open_files()
        for _ in range(2):
            self.running.lose_master()
            oracle.wait_messages(200)
            os.kill(self.running.worker_pids()[0], SIGKILL)
            oracle.wait_messages(200)
            self.running.start_another_master()
            self.wait_slots(2)
            oracle.wait_messages(200)
        self.reload(workers=3, result=r"\bresized workers=3")
        self.reload(workers=2, result=r"\bresized workers=2")
        self.running.wait_workers(2, continuity.SETTLE_S)
        self.upgrade()
        oracle.wait_messages(200)
        oracle.finish()
        self.check_nothing_left(files, 2)

    @continuity.needs_faults
    def test_a_death_at_every_step_of_a_move(self):
        self.serve().expect_deaths()
        oracle = self.watch(connections=200, busy=20, subscribers=10, silence_max=60)
        for step in continuity.STEPS:
            with self.subTest(step=step):
                path = self.plan(step, "kill 2 once")
                self.try_upgrade()
                self.assertFalse(path.exists(), "nobody came to that point")
                self.running.wait_workers(2, continuity.SETTLE_S)
                oracle.wait_messages(200)
        self.assertIn(" upgraded ", self.try_upgrade()[-1])
        oracle.wait_messages(200)
        oracle.finish()

    @continuity.needs_faults
    def test_a_crash_costs_the_guilty_connection_alone(self):
        self.serve().expect_deaths()
        oracle = self.watch(connections=100, busy=10, subscribers=5)
        for fault in ("segv", "abort", "exit"):
            with self.subTest(fault=fault):
                guilty = self.connect()
                guilty.send(f"fault:{fault}")
                self.assertIn(guilty.recv_close(), (1006, 1011))
                self.running.wait_workers(2, continuity.SETTLE_S)
                oracle.wait_messages(200)
        oracle.finish()


class States(TlsCase):
    """One client in an awkward state."""

    @either_way
    def test_a_record_in_pieces(self, disturb):
        self.serve_one()
        client = self.connect()
        record = client.wire.sock.sealed(ws_frame.encode(TEXT, b"piece by piece"))
        at = 0
        for end in (3, 5, 20, len(record) - 1):  # Half a head, a head, some of it, all but a byte.
            client.wire.sock.raw.sendall(record[at:end])
            at = end
            disturb()
        client.wire.sock.raw.sendall(record[at:])
        self.assertEqual(client.recv(), "piece by piece")

    @either_way
    def test_a_half_read_message_of_many_records(self, disturb):
        data = bytes(range(256)) * (MIB // 256)
        self.serve_one()
        client = self.connect("/slow")
        records = client.wire.sock.sealed(ws_frame.encode(BINARY, data))
        client.wire.sock.raw.sendall(records[: MIB // 3])
        disturb()
        client.wire.sock.raw.sendall(records[MIB // 3 : MIB // 2])
        disturb()
        client.wire.sock.raw.sendall(records[MIB // 2 :])
        self.assertEqual(client.recv(), data)

    @either_way
    def test_a_backlog_for_a_reader_that_stalls(self, disturb):
        data = bytes(range(256)) * (BACKLOG_BYTES // 256)
        self.serve_one()
        for asks in (None, False, True):  # For a KeyUpdate behind it.
            client = self.connect("/slow", receive_buffer=4096)
            client.send(data)
            self.check(self.connect())  # What was sent before has been read.
            disturb()
            if asks is not None:
                client.wire.sock.key_update(asks)
            disturb()
            got = b""
            while len(got) < BACKLOG_BYTES // 3:  # It reads again, and stalls.
                client.wire.fill(client.wire.deadline())
                got = bytes(client.wire.buffer)
            disturb()
            self.assertEqual(client.recv() == data, True, "every byte as it was")
            self.check(client)

    @either_way
    def test_keep_alive_between_requests_and_in_one(self, disturb):
        self.serve_one()
        connection = self.visit()
        self.assertEqual(connection.request("GET", "/hello").text, "hello")
        disturb()
        self.assertEqual(connection.request("GET", "/hello").text, "hello")
        connection.send(b"GET /hello HT")
        disturb()
        connection.send(b"TP/1.1\r\nHost: one.test\r\n\r\n")
        self.assertEqual(connection.read_response().text, "hello")

    @either_way
    def test_what_variables_say(self, disturb):
        shapes = [(suite, pair, resumed) for suite in SUITES for pair in (None, self.client_pair)
                  for resumed in (False, True)]
        self.serve_one()
        visits = []
        for suite, pair, resumed in shapes:
            context = self.context(suites=suite, pair=pair)
            visit = self.visit(context)
            said = visit.request("GET", "/tls", [("Host", "one.test")]).text
            if resumed:
                visit = self.visit(context, visit.wire.sock.tls.session())
                said = visit.request("GET", "/tls", [("Host", "one.test")]).text
            self.assertIn(f"on https one.test TLSv1.3 {suite} one.test {'r' if resumed else '.'} ", said)
            self.assertIn("SUCCESS O=Clients,CN=a client " if pair else "NONE ", said)
            visits.append((visit, said))
        for _ in range(2):
            disturb()
            for visit, said in visits:
                self.assertEqual(visit.request("GET", "/tls", [("Host", "one.test")]).text, said)

    @either_way
    def test_whom_a_server_trusts(self, disturb):
        """Whether a connection may ask another server depends on the certificate that it has shown (or not) once."""
        verify = f"ssl_client_certificate {self.authority.certificate}; ssl_verify_client"
        listen = f"listen 127.0.0.2:0 ssl; {self.pair.directives()}"
        others = (f"server {{ {listen} {verify} optional; server_name same.test; location / {{ return 200 same; }} }}"
                  f"server {{ {listen} {verify} on; server_name strict.test; location / {{ return 200 strict; }} }}")
        cases = [(pair, host) for pair in (None, self.client_pair) for host in ("one.test", "same.test", "strict.test")]
        self.serve_one(others=others)
        ask = lambda visit, host: visit.request("GET", "/hello", [("Host", host)]).status
        said = [ask(self.visit(self.context(pair=pair)), host) for pair, host in cases]
        self.assertGreater(len(set(said)), 1)
        visits = [self.visit(self.context(pair=pair)) for pair, _ in cases]
        for visit in visits:
            self.assertEqual(ask(visit, "one.test"), 200)
        disturb()
        self.assertEqual([ask(visit, host) for visit, (_, host) in zip(visits, cases)], said)

    @either_way
    def test_keys_change(self, disturb):
        self.serve_one()
        client = self.connect()
        for asks in (False, True):
            client.wire.sock.key_update(asks)  # Before there is any data, or behind it.
            disturb()
            self.check(client)
            client.wire.sock.key_update(asks)
            self.check(client)
            disturb()
            client.wire.sock.tls.key_update(asks)
            record = client.wire.sock.tls.take()
            client.wire.sock.raw.sendall(record[:9])
            disturb()
            client.wire.sock.raw.sendall(record[9:] + client.wire.sock.sealed(ws_frame.encode(TEXT, b"behind it")))
            self.assertEqual(client.recv(), "behind it")
        for number in range(100):
            client.wire.sock.key_update(number % 3 == 0)
            self.check(client, f"{number} of many")

    @either_way
    def test_ends_are_orderly(self, disturb):
        self.serve_one()
        client, other, half, ended = self.connect(), self.connect(), self.visit(), self.visit()
        for visit in (half, ended):
            self.assertEqual(visit.request("GET", "/hello").text, "hello")
        half.wire.sock.tls.close()
        close_notify = half.wire.sock.tls.take()
        half.wire.sock.raw.sendall(close_notify[:7])
        disturb()
        half.wire.sock.raw.sendall(close_notify[7:])
        ended.wire.sock.close_notify()
        for visit in (half, ended):
            self.assertTrue(visit.wire.wait_end())
            self.assertFalse(visit.wire.cut, "it is answered")
        self.assertEqual(client.close(), 1000)
        self.assertFalse(client.wire.cut, "the stream ends with close_notify")
        self.running.signal(SIGQUIT)
        self.assertEqual(other.recv_close(), 1001)
        self.assertTrue(other.wire.wait_end())
        self.assertFalse(other.wire.cut)
        self.running.check_ended()

    @either_way
    def test_a_broken_record_ends_its_connection_alone(self, disturb):
        self.serve_one()
        good, bad = self.connect(), self.connect()
        disturb()
        bad.wire.sock.raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with self.assertRaisesRegex(tls_client.TlsError, "alert bad record mac"):
            bad.wire.wait_end()
        self.check(good)

    @either_way
    def test_without_tickets_and_with_many(self, disturb):
        for more in ("ssl_session_tickets off;", "ssl_conf_command NumTickets 5;"):
            self.serve_one(more)
            silent, client = self.connect(), self.connect()  # Nothing but tickets has gone to one of them.
            self.check(client)
            disturb()
            self.check(silent)
            self.check(client)

    @either_way
    def test_a_session_is_resumed_afterwards(self, disturb):
        self.serve_one()
        visit = self.visit()
        self.assertEqual(visit.request("GET", "/hello").text, "hello")
        session = visit.wire.sock.tls.session()
        disturb()
        again = self.visit(session=session)
        self.assertEqual(again.request("GET", "/hello").text, "hello")
        self.assertTrue(again.wire.sock.tls.session_reused())

    def test_a_reload_decides_for_new_connections(self):
        self.serve(workers=1).expect_deaths()
        before = self.connect()
        self.reload(http=self.http("tls_engine openssl;"), result=r"\bconfiguration_in_force\b")
        after = self.connect()
        self.check(before)
        self.check(after)
        self.kill()
        self.check(before)
        self.assertEqual(after.recv_close(), 1006)


class Secrets(TlsCase):
    """What a connection is protected with is in its worker's memory while it is needed, once, and then nowhere."""

    NEEDED = {"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"}

    def connect_watched(self):
        """A client, and what is secret about it."""
        context = self.context(suites=SUITES[0])
        client = self.connect(context=context)
        self.check(client)
        secrets = {label: secret for label, secret in context.secrets.items() if label != "EXPORTER_SECRET"}
        self.assertGreaterEqual(secrets.keys(), self.NEEDED)
        return client, secrets | {f"key of {label}": self.key_of(secrets[label]) for label in self.NEEDED}

    def end(self, client):
        """Until its worker counts it no more."""
        count = sum(self.connections_per_worker().values())
        client.close()
        beamgate.until(lambda: sum(self.connections_per_worker().values()) < count, continuity.SETTLE_S, "the end")

    def key_of(self, secret):
        """RFC 8446 section 7.3."""
        label = b"tls13 key"
        info = struct.pack(f"!HB{len(label)}sBB", 16, len(label), label, 0, 1)
        return hmac.new(secret, info, "sha256").digest()[:16]

    def places(self, *watched):
        """Where the secrets of each are, [(name, mapping)], and their workers.  Nobody sees to what was on a stack."""
        workers = self.running.worker_pids()
        found = memory.places(workers, {(number, name): secret for number, secrets in enumerate(watched)
                                        for name, secret in secrets.items()})
        found = [(worker, where, number, name) for worker, where, (number, name) in found if where != "[stack]"]
        return [([(name, where) for _, where, whose, name in found if whose == number],
                 {worker for worker, _, whose, _ in found if whose == number}) for number in range(len(watched))]

    def displace(self):
        """Somebody else uses TLS in every worker, as ciphers keep the keys that they were last used with."""
        workers = self.running.worker_pids()
        others = [self.connect() for _ in range(20 * len(workers) - 19)]
        for other in others:
            self.check(other)
        ends = [other.wire.sock.getsockname() for other in others]
        self.assertEqual(set(self.workers_of(ends).values()), set(workers))
        for other in others:
            other.wire.close()

    def check_in_use(self, *watched):
        """In one arena, and the keys in the same worker's heap."""
        for found, workers in self.places(*watched):
            self.assertEqual(len(workers), 1)
            self.assertEqual({name for name, where in found if where == "arena"}, self.NEEDED)
            self.assertEqual({name for name, where in found if where != "arena"}, {f"key of {name}" for name in self.NEEDED})

    def check_gone(self, *watched):
        self.displace()
        self.assertEqual(self.places(*watched), [([], set())] * len(watched))

    def test_a_connection_that_has_ended(self):
        self.serve_one()
        client, secrets = self.connect_watched()
        self.check_in_use(secrets)
        self.end(client)
        (found, _), = self.places(secrets)  # With nothing that could have overwritten them by chance.
        self.assertFalse([name for name, _ in found if not name.startswith("key of ")])
        self.check_gone(secrets)

    def test_keys_that_have_changed(self):
        self.serve_one()
        client, secrets = self.connect_watched()
        client.wire.sock.key_update(asks=True)
        self.check(client)
        self.check_gone(secrets)
        self.check(client)

    @unittest.skipIf(beamgate.sanitized(), "what is freed is the sanitizer's, and stays as it is")
    def test_connections_that_move(self):
        self.serve(workers=1)
        clients, secrets = zip(*(self.connect_watched() for _ in range(8)))
        before = self.running.worker_pids()
        self.reload(workers=2)
        self.running.wait_workers(2, continuity.SETTLE_S)
        ends = [client.wire.sock.getsockname() for client in clients]
        beamgate.until(lambda: set(self.workers_of(ends).values()) > set(before), continuity.SETTLE_S, "some have moved")
        for client in clients:
            self.check(client)
        self.displace()
        self.check_in_use(*secrets)
        for client in clients:
            self.end(client)
        self.check_gone(*secrets)

    def test_a_session_of_tls_1_2(self):
        self.serve_one()
        context = self.context(version=tls_client.TLS12)
        client = self.connect(context=context)
        self.check(client)
        (found, _), = self.places(context.secrets)
        self.assertEqual([name for name, _ in found], ["CLIENT_RANDOM"])
        self.end(client)
        self.assertEqual(self.places(context.secrets), [([], set())])


class Staying(TlsCase):
    """What can't move goes on in its worker for a while, and is then told to come again."""

    def check_stays(self, client, movable):
        """client stays and is closed; movable goes on."""
        old = self.running.worker_pids()
        self.running.signal(SIGUSR2)
        self.running.wait_log(r"\breplacement_leaves_connections\b.*\bleft=1\b", timeout=continuity.SETTLE_S)
        for each in (client, movable):
            self.check(each)
        self.assertEqual(client.recv_close(continuity.SETTLE_S), 1012)
        client.wire.wait_end()
        self.assertFalse(client.wire.cut, "an orderly end")
        self.running.wait_log(r"\bupgraded\b", timeout=continuity.SETTLE_S)
        beamgate.until(lambda: not set(old) & set(self.running.worker_pids()), continuity.SETTLE_S, "the old one gone")
        self.check(movable)

    def test_tls_1_2(self):
        self.serve(workers=1, main="worker_shutdown_timeout 6s;")
        self.check_stays(self.connect(context=self.context(version=tls_client.TLS12)), self.connect())

    def test_openssl_s_records(self):
        for more, around in (("tls_engine openssl;", ""), ("", "tls_engine openssl;")):
            with self.subTest(more=more, around=around):
                self.serve(more, around, workers=1, main="worker_shutdown_timeout 6s;")
                self.check_stays(self.connect(), self.track(ws_client.connect(self.running.address(), "/echo")))

    def test_a_server_may_say_otherwise(self):
        self.serve("tls_engine movable;", "tls_engine openssl;", workers=1)
        client = self.connect()
        self.upgrade()
        self.check(client)

    def test_short_records(self):
        """Whom OpenSSL has promised short records (RFC 6066 section 4) gets them from it."""
        self.serve(workers=1, main="worker_shutdown_timeout 6s;")
        self.check_stays(self.connect(context=self.context(fragment=1)), self.connect())

    def test_http2(self):
        self.serve("http2 on;", workers=1, main="worker_shutdown_timeout 6s;")
        context = self.authority.client()
        context.set_alpn_protocols(["h2"])
        client = self.track(h2_client.connect(self.running.address(1), tls=context, name="one.test"))
        self.assertEqual(client.get("/hello").text, "hello")
        movable = self.connect()
        self.running.signal(SIGUSR2)
        client.until(lambda: client.goaway is not None)
        self.running.wait_log(r"\bupgraded\b", timeout=continuity.SETTLE_S)
        self.check(movable)

    def test_deaths_end_them_at_once(self):
        self.serve("http2 on;", workers=1).expect_deaths()
        context = self.authority.client()
        context.set_alpn_protocols(["h2"])
        http2 = self.track(h2_client.connect(self.running.address(1), tls=context, name="one.test"))
        self.assertEqual(http2.get("/hello").text, "hello")
        old = self.connect(context=self.context(version=tls_client.TLS12))
        movable = self.connect()
        for client in (old, movable):
            self.check(client)
        self.kill()
        self.assertTrue(http2.wire.wait_end())
        self.assertTrue(old.wire.wait_end())
        self.assertTrue(old.wire.cut, "nobody is left to say close_notify")
        self.check(movable)


if __name__ == "__main__":
    continuity.main()

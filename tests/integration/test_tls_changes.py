"""TLS while things change: certificates under load without a failed handshake; connections that can't move end well.

A session of OpenSSL's (tls_engine openssl) is in its worker's heap: a planned change lets it finish, a death ends it at
once, never in silence.  test_continuity_tls.py is about those that move.
"""

import os
import ssl
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGQUIT, SIGSTOP, SIGUSR2

import beamgate
import http_client
import wire
import ws_client
from certificates import Authority


class Changes(beamgate.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory(prefix="beamgate-certificates-")
        cls.addClassCleanup(cls.place.cleanup)
        cls.authority = Authority(cls.place.name)
        cls.pair = cls.authority.issue("one.test")

    def serving(self, pair=None, engine="movable", **options):
        pair = pair or self.pair
        options.setdefault("main", "worker_shutdown_timeout 2s;")
        return self.gateway(self.http(pair, engine), **options)

    def http(self, pair, engine="movable"):
        return f"""
            server {{ listen 127.0.0.1:0 ssl; {pair.directives()} tls_engine {engine};
                location = /echo {{ websocket echo; }}
                location / {{ return 200 ok; }} }}
            server {{ listen 127.0.0.2:0; location = /metrics {{ metrics; }} location = /echo {{ websocket echo; }} }}"""

    def websocket(self, gateway):
        return self.track(ws_client.connect(gateway.address(), "/echo", tls=self.authority.client(), name="one.test"))

    def check(self, client):
        client.send("still there")
        self.assertEqual(client.recv(), "still there")

    def reload(self, gateway, **changes):
        gateway.write_config(**changes)
        mark = gateway.log_mark()
        gateway.signal(SIGHUP)
        gateway.wait_log(r"\breloaded\b", after=mark, timeout=20)

    def test_certificates_change_under_load(self):
        """The files of the certificate are exchanged, the configuration stays as it is."""
        pairs = [self.authority.issue("one.test") for _ in range(2)]
        live = Path(self.place.name) / "live"
        live.mkdir()

        def install(pair):
            for source, name in ((pair.certificate, "one.pem"), (pair.key, "one.key")):
                fresh = live / (name + ".new")
                fresh.write_bytes(Path(source).read_bytes())
                fresh.rename(live / name)

        class Live:
            def directives(self):
                return f"ssl_certificate {live}/one.pem; ssl_certificate_key {live}/one.key;"

        install(pairs[0])
        gateway = self.serving(Live())
        stop, failures, done = threading.Event(), [], [0, 0, 0]

        def visit(number):
            context = self.authority.client()
            while not stop.is_set():
                try:
                    with http_client.Connection(gateway.address(), tls=context, name="one.test") as connection:
                        if connection.request("GET", "/").text != "ok":
                            failures.append("another answer")
                    done[number] += 1
                except Exception as error:  # Whatever it is, the client noticed.
                    failures.append(repr(error))

        visitors = [threading.Thread(target=visit, args=(number,)) for number in range(3)]
        for visitor in visitors:
            visitor.start()
        client = self.websocket(gateway)
        try:
            for number in range(1, 7):
                install(pairs[number % 2])
                before = list(done)
                self.reload(gateway)
                gateway.wait_log(r"\bconfiguration_in_force\b", count=2 * number)
                with wire.open_socket(gateway.address(), tls=self.authority.client(), name="one.test") as sock:
                    self.assertEqual(sock.getpeercert()["serialNumber"], pairs[number % 2].serial())
                beamgate.until(lambda: all(now > then for now, then in zip(done, before)) or failures, 20, "visits")
                self.check(client)
        finally:
            stop.set()
            for visitor in visitors:
                visitor.join()
        self.assertEqual(failures, [])

    def test_a_broken_certificate_leaves_the_old_one_in_force(self):
        gateway = self.serving()
        gateway.write_config(http=self.http(self.pair).replace(self.pair.certificate, "/nowhere.pem"))
        mark = gateway.log_mark()
        gateway.signal(SIGHUP)
        gateway.wait_log(r"cannot read .*/nowhere\.pem", after=mark)
        with wire.open_socket(gateway.address(), tls=self.authority.client(), name="one.test") as sock:
            self.assertEqual(sock.getpeercert()["serialNumber"], self.pair.serial())

    def test_connections_finish_when_their_worker_is_replaced(self):
        """Plain connections move and go on; those with TLS go on where they are, and are then told to come again."""
        gateway = self.serving(engine="openssl", workers=2, main="worker_shutdown_timeout 12s;")
        sealed = [self.websocket(gateway) for _ in range(10)]
        plain = [self.track(ws_client.connect(gateway.address(1), "/echo")) for _ in range(10)]
        old = gateway.worker_pids()
        gateway.signal(SIGUSR2)
        gateway.wait_log(r"\breplacement_leaves_connections\b", count=2, timeout=30)
        for client in sealed + plain:
            self.check(client)

        def read_end(client):
            code = client.recv_close(30)
            client.wire.wait_end()
            return code, client.wire.cut

        with ThreadPoolExecutor(10) as pool:  # Nobody may be late with the answer to a Close.
            self.assertEqual(list(pool.map(read_end, sealed)), [(1012, False)] * 10, "orderly ends")
        gateway.wait_log(r"\bupgraded\b", timeout=30)
        beamgate.until(lambda: not set(old) & set(gateway.worker_pids()), 20, "the old workers to end")
        for client in plain + [self.websocket(gateway)]:
            self.check(client)

    def test_connections_stay_with_a_worker_that_has_lost_its_keepers(self):
        """What is plain moves to a complete one; what is sealed goes on where it is, until it ends by itself."""
        gateway = self.serving(engine="openssl", workers=1)
        gateway.expect_deaths()
        sealed = [self.websocket(gateway) for _ in range(5)]
        plain = self.track(ws_client.connect(gateway.address(1), "/echo"))
        old, = gateway.worker_pids()
        keepers = [pid for title in ("keeper process", "standby keeper") for pid in gateway.pids_titled(f"beamgate: {title}")]
        for number in (SIGSTOP, SIGKILL):  # Stopped first: the one that is left shall not become the other.
            for pid in keepers:
                os.kill(pid, number)
        gateway.wait_log(r"\bworker_repaired\b.*\bleft=5\b", timeout=20)
        new, = set(gateway.worker_pids()) - {old}
        later = self.websocket(gateway)
        self.reload(gateway)
        for client in [*sealed, plain, later]:
            self.check(client)
        os.kill(new, SIGKILL)
        self.assertTrue(later.wire.wait_end(5), "this one was with the other worker")
        for client in [*sealed, plain]:
            self.check(client)
        for client in sealed:
            client.close()
        beamgate.until(lambda: old not in gateway.worker_pids(), 20, "the end of the old worker")
        self.check(plain)

    def test_fewer_workers(self):
        gateway = self.serving(engine="openssl", workers=3)
        sealed = [self.websocket(gateway) for _ in range(20)]
        self.reload(gateway, workers=1)
        gateway.wait_workers(1, timeout=30)
        codes = []
        for client in sealed:
            try:
                self.check(client)
                codes.append(0)
            except ws_client.Closed as closed:
                codes.append(closed.code)
        self.assertEqual(set(codes) - {0, 1012}, set())
        self.check(self.websocket(gateway))

    def test_a_session_is_resumed_after_an_upgrade(self):
        gateway = self.serving()
        context = self.authority.client()
        with http_client.Connection(gateway.address(), tls=context, name="one.test") as connection:
            connection.request("GET", "/")
            session = connection.wire.sock.session
        gateway.signal(SIGUSR2)
        gateway.wait_log(r"\bupgraded\b", timeout=30)
        with http_client.Connection(gateway.address(), tls=context, name="one.test", session=session) as connection:
            self.assertEqual(connection.request("GET", "/").text, "ok")
            self.assertTrue(connection.wire.sock.session_reused)

    def test_a_death_ends_tls_connections_at_once(self):
        gateway = self.serving(engine="openssl", workers=1)
        gateway.expect_deaths()
        sealed = [self.websocket(gateway) for _ in range(5)]
        begun = wire.Wire(wire.open_socket(gateway.address()))
        self.addCleanup(begun.close)
        begun.send(b"\x16\x03\x01")  # A handshake that has only begun.
        kept = self.track(http_client.Connection(gateway.address(), tls=self.authority.client(), name="one.test"))
        self.assertEqual(kept.request("GET", "/").text, "ok")
        plain = self.track(ws_client.connect(gateway.address(1), "/echo"))
        self.check(plain)
        os.kill(gateway.worker_pids()[0], SIGKILL)
        line = gateway.wait_log(r"worker_adopted connections=(\d+) .*closed_tls=(\d+)")
        self.assertEqual(line.groups(), ("1", "7"))
        for client in sealed:
            self.assertTrue(client.wire.wait_end(5))
            self.assertTrue(client.wire.cut, "nobody is left to say close_notify")
        self.assertTrue(begun.wait_end(5))
        self.assertTrue(kept.wire.wait_end(5))
        self.check(plain)
        self.check(self.websocket(gateway))
        beamgate.until(lambda: gateway.metrics(1)["beamgate_websockets_active"] == 2)

    def test_a_graceful_stop(self):
        gateway = self.serving()
        sealed = [self.websocket(gateway) for _ in range(5)]
        gateway.signal(SIGQUIT)
        self.assertEqual([client.recv_close() for client in sealed], [1001] * 5)
        gateway.check_ended()


if __name__ == "__main__":
    beamgate.main()

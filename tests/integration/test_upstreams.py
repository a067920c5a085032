"""Upstreams, end to end: which of several servers gets a request, and what becomes of it when servers fail.

What it shows: the balancing methods against real backends; that under load, with backends killed and started
again, no request is lost that could be passed to another server and none is repeated that could have had an
effect; that health checks take servers out and back in; and that names are followed to their new addresses.
"""

import collections
import contextlib
import threading

import backend
import beamgate
import http_client
from backend import Backend, Garbage, Hang, Held, Raw, Reply
from name_server import NameServer


class Whole:
    """A response that leaves in one piece, so that it has either begun completely or not at all."""

    def __init__(self, body=b"ok", status=200):
        self.data = b"HTTP/1.1 %d Reply\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)

    def play(self, wire, request, stopping):
        wire.send(self.data)
        return True


class UpstreamCase(beamgate.TestCase):
    def upstream(self, servers, settings="", location="", http="", workers=1, **options):
        lines = "".join(f"server {server};" for server in servers)
        gateway = self.gateway(
            f"upstream app {{ {lines} {settings} }} {http}\n"
            "server { listen 127.0.0.1:0; client_max_body_size 0; location /status { status on; }\n"
            f"location /metrics {{ metrics on; }} location / {{ proxy_pass http://app; {location} }} }}",
            workers=workers, **options)
        return gateway, gateway.address()

    def states(self, address):
        """Server to state, as the status page says it."""
        rows = http_client.get(address, "/status").json()["upstreams"]
        return {row["server"]: row["state"] for row in rows}

    def wait_state(self, address, server, state, timeout=20):
        beamgate.until(lambda: self.states(address)[server] == state, timeout, f"{server} to be {state}")


class Balancing(UpstreamCase):
    def test_weights_and_down(self):
        heavy, light, down = self.backend(Reply()), self.backend(Reply()), self.backend(Reply())
        _, address = self.upstream([f"{heavy.address} weight=3", light.address, f"{down.address} down"])
        for _ in range(40):
            http_client.get(address, "/")
        self.assertEqual([len(one.requests) for one in (heavy, light, down)], [30, 10, 0])
        self.assertEqual(self.states(address), {heavy.address: "up", light.address: "up", down.address: "down"})

    def test_least_conn_spares_the_busy(self):
        held = Held(Reply())
        busy, idle = self.backend(held), self.backend(Reply())
        _, address = self.upstream([busy.address, idle.address], "least_conn;")
        waiting = self.track(http_client.Connection(address))
        waiting.send_request("GET", "/first")
        busy.wait(path="/first")
        for _ in range(10):
            self.assertEqual(http_client.get(address, "/").status, 200)
        self.assertEqual((len(busy.requests), len(idle.requests)), (1, 10))
        held.release()
        self.assertEqual(waiting.read_response().status, 200)

    def test_a_hash_keeps_to_its_server(self):
        for method in ("hash $arg_user", "hash $arg_user consistent"):
            with self.subTest(method):
                origins = [self.backend(Reply()) for _ in range(3)]
                _, address = self.upstream([origin.address for origin in origins], f"{method};")
                for user in range(30):
                    for _ in range(2):
                        http_client.get(address, f"/?user={user}")
                owners = collections.defaultdict(set)
                for origin in origins:
                    self.assertGreater(len(origin.requests), 0)
                    for request in origin.requests:
                        owners[request.query].add(origin.address)
                self.assertEqual({len(owner) for owner in owners.values()}, {1})

    def test_ip_hash_keeps_a_client(self):
        origins = [self.backend(Reply()) for _ in range(2)]
        _, address = self.upstream([origin.address for origin in origins], "ip_hash;",
                                   http="set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;")
        for client in range(20):
            for last in (1, 200):  # The last byte does not count.
                http_client.get(address, f"/{client}", {"X-Real-IP": f"192.0.{client}.{last}"})
        counts = collections.Counter(request.path for request in origins[0].requests)
        self.assertTrue(counts)
        self.assertTrue(origins[1].requests)
        self.assertEqual(set(counts.values()), {2})

    def test_max_conns_bounds_a_server(self):
        held = Held(Reply())
        small, other = self.backend(held), self.backend(Reply())
        _, address = self.upstream([f"{small.address} max_conns=2 weight=100", other.address])
        waiting = [self.track(http_client.Connection(address)) for _ in range(2)]
        for number, connection in enumerate(waiting):
            connection.send_request("GET", f"/held{number}")
            small.wait(path=f"/held{number}")
        for _ in range(5):
            self.assertEqual(http_client.get(address, "/").status, 200)
        self.assertEqual((len(small.requests), len(other.requests)), (2, 5))
        held.release()
        for connection in waiting:
            self.assertEqual(connection.read_response().status, 200)

    def test_without_a_free_server_it_is_a_bad_gateway(self):
        held = Held(Reply())
        only = self.backend(held)
        _, address = self.upstream([f"{only.address} max_conns=1"])
        waiting = self.track(http_client.Connection(address))
        waiting.send_request("GET", "/held")
        only.wait(path="/held")
        self.assertEqual(http_client.get(address, "/").status, 502)
        held.release()
        self.assertEqual(waiting.read_response().status, 200)

    def test_a_backup_serves_when_the_others_fail(self):
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        spare = self.backend(Reply(200, "spare"))
        _, address = self.upstream([dead, f"{spare.address} backup"])
        for _ in range(5):
            self.assertEqual(http_client.get(address, "/").text, "spare")


class NextUpstream(UpstreamCase):
    def test_a_status_passes_to_the_next_server(self):
        bad, good = self.backend(Reply(503, "busy")), self.backend(Reply(200, "good"))
        _, address = self.upstream([f"{bad.address} max_fails=0", good.address],
                                   location="proxy_next_upstream error http_503;")
        for _ in range(10):
            self.assertEqual(http_client.get(address, "/").text, "good")
        self.assertEqual((len(bad.requests), len(good.requests)), (5, 10))
        # What could have had an effect is answered by whoever got it.
        statuses = [http_client.post(address, "/", "x").status for _ in range(10)]
        self.assertEqual(sorted(statuses), [200] * 5 + [503] * 5)

    def test_a_timeout_passes_to_the_next_server(self):
        silent, good = self.backend(Hang()), self.backend(Reply(200, "good"))
        _, address = self.upstream([silent.address, good.address], location="proxy_read_timeout 2s;")
        self.assertEqual(http_client.get(address, "/", timeout=30).text, "good")
        self.assertEqual(self.states(address)[silent.address], "aside")

    def test_an_upload_goes_on_over_a_kept_connection(self):
        """Nothing of it was sent where nobody listens; the next server's connection is there already, and idle."""
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        well = self.backend(Reply(200, "taken"))
        _, address = self.upstream([f"{dead} max_fails=0", well.address])
        body = bytes(300_000)
        for _ in range(6):  # Either server is the first one's turn.
            self.assertEqual(http_client.get(address, "/warm").status, 200)
            self.assertEqual(http_client.request(address, "POST", "/upload", body=body).text, "taken")
        self.assertEqual([len(one.body) for one in well.requests if one.path == "/upload"], [len(body)] * 6)

    def test_how_many_servers_are_tried(self):
        for option, tried in (("", 3), ("proxy_next_upstream_tries 2;", 2), ("proxy_next_upstream_tries 1;", 1)):
            origins = [self.backend(Reply(503, "busy")) for _ in range(3)]
            _, address = self.upstream([origin.address for origin in origins], location="proxy_next_upstream http_503;" + option)
            response = http_client.get(address, "/")
            self.assertEqual((response.status, response.text), (503, "busy"))
            self.assertEqual(sum(len(origin.requests) for origin in origins), tried, option)

    def test_how_long_servers_are_tried(self):
        silent, good = self.backend(Hang()), self.backend(Reply(200, "good"))
        for option, status in (("", 200), ("proxy_next_upstream_timeout 1m;", 200),
                               ("proxy_next_upstream_timeout 100ms;", 504)):
            _, address = self.upstream([f"{silent.address} max_fails=0", f"{good.address} backup"],
                                       location="proxy_read_timeout 300ms;" + option)
            self.assertEqual(http_client.get(address, "/").status, status, option)

    def test_a_large_upload_passes_when_it_is_held(self):
        body = b"x" * (2 << 20)
        bad = self.backend(Reply(503))
        good = self.backend(lambda request: Reply(200, str(len(request.body))))
        gateway, address = self.upstream([bad.address, good.address],
                                         location="proxy_next_upstream http_503; proxy_request_buffering on;"
                                                  "proxy_temp_path .;")
        response = http_client.request(address, "PUT", "/", body=body, timeout=30)
        self.assertEqual(response.text, str(len(body)))
        self.assertEqual([len(one.requests) for one in (bad, good)], [1, 1])
        self.assertEqual(bad.requests[0].body, body)
        # Nothing of it has a name.
        self.assertEqual([path.name for path in gateway.directory.iterdir() if path.name not in
                          ("beamgate.conf", "beamgate.pid", "beamgate.pid.keeper")], [])

    def test_killed_backends_cost_nothing_that_could_be_repeated(self):
        """Load on three backends, of which one at a time dies and comes back; every request has a number."""
        origins = [Backend(Whole()) for _ in range(3)]
        generations = list(origins)
        _, address = self.upstream([origin.address for origin in origins], workers=2)
        stop = threading.Event()
        answers, lock = {}, threading.Lock()

        def load(worker):
            number = 0
            while not stop.is_set():
                number += 1
                method = "POST" if number % 2 else "GET"
                target = f"/{method.lower()}/{worker}/{number}"
                try:
                    status = http_client.request(address, method, target, body="x" if method == "POST" else None,
                                                 timeout=30).status
                except (OSError, EOFError) as error:
                    status = repr(error)
                with lock:
                    answers[target] = status

        threads = [threading.Thread(target=load, args=(worker,), daemon=True) for worker in range(6)]
        for thread in threads:
            thread.start()

        def progress(count):
            with lock:
                wanted = len(answers) + count
            beamgate.until(lambda: len(answers) >= wanted, 60, "requests to be answered")

        try:
            for turn in range(9):
                progress(40)
                dying = origins[turn % 3]
                dying.stop_listening()
                progress(40)
                dying.close()
                origins[turn % 3] = Backend(Whole(), port=dying.port)
                generations.append(origins[turn % 3])
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
            for origin in generations:
                origin.close()
        seen = collections.Counter(request.path for origin in generations for request in origin.requests)
        gets = {target: status for target, status in answers.items() if target.startswith("/get/")}
        posts = {target: status for target, status in answers.items() if target.startswith("/post/")}
        self.assertEqual({target: status for target, status in gets.items() if status != 200}, {})
        self.assertEqual({target: seen[target] for target in posts if seen[target] > 1}, {})
        self.assertEqual({target: status for target, status in posts.items() if status not in (200, 502)}, {})
        # A POST that was answered was seen; one that no backend has seen at all was not lost but passed on.
        self.assertEqual([target for target, status in posts.items() if status == 200 and seen[target] != 1], [])
        self.assertGreater(len(gets), 300)


class Health(UpstreamCase):
    def test_a_server_goes_out_and_comes_back(self):
        sick, well = self.backend(Reply(200, "sick")), self.backend(Reply(200, "well"))
        for origin in (sick, well):
            origin.on("/up", Reply(200))
        gateway, address = self.upstream([sick.address, well.address],
                                         "health_check uri=/up interval=200ms fails=2 passes=2;")
        sick.wait(path="/up")
        self.wait_state(address, sick.address, "up")
        request = sick.requests[0]
        self.assertEqual((request.header("host"), request.header("connection")), ("app", "close"))
        sick.on("/up", Reply(500))
        self.wait_state(address, sick.address, "unhealthy")
        rows = gateway.metrics()
        self.assertEqual(rows[f'beamgate_upstream_server_up{{upstream="app",server="{sick.address}"}}'], 0)
        self.assertEqual(rows[f'beamgate_upstream_server_up{{upstream="app",server="{well.address}"}}'], 1)
        self.assertGreaterEqual(rows['beamgate_upstream_checks_failed_total{reason="status"}'], 2)
        for _ in range(10):
            self.assertEqual(http_client.get(address, "/").text, "well")
        sick.on("/up", Reply(204))
        self.wait_state(address, sick.address, "up")
        self.assertEqual({http_client.get(address, "/").text for _ in range(4)}, {"sick", "well"})

    def test_a_server_that_is_silent_or_gone_is_out(self):
        silent = self.backend(Hang())
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        well = self.backend(Reply(200, "well"))
        _, address = self.upstream([silent.address, dead, well.address],
                                   "health_check interval=200ms timeout=1s;")
        self.wait_state(address, silent.address, "unhealthy")
        self.wait_state(address, dead, "unhealthy")
        for _ in range(6):
            self.assertEqual(http_client.get(address, "/").text, "well")

    def test_why_checks_fail_is_counted(self):
        held, dead = backend.unused_address()
        self.addCleanup(held.close)
        servers = {"connect": dead}
        for reason, behaviour in (("timeout", Hang()), ("closed", Raw(b"HTTP/1.1 2")), ("malformed", Garbage()), ("status", Reply(404))):
            servers[reason] = self.backend(behaviour).address
        gateway, address = self.upstream([*servers.values()], "health_check interval=200ms timeout=1s fails=1;")
        for server in servers.values():
            self.wait_state(address, server, "unhealthy")
        rows = gateway.metrics()
        counted = {reason: rows[f'beamgate_upstream_checks_failed_total{{reason="{reason}"}}'] for reason in servers}
        self.assertEqual([reason for reason, count in counted.items() if count == 0], [], counted)

    def test_when_all_are_out_there_is_no_gateway(self):
        origin = self.backend(Reply(404))
        _, address = self.upstream([origin.address], "health_check interval=200ms;")
        self.wait_state(address, origin.address, "unhealthy")
        self.assertEqual(http_client.get(address, "/").status, 502)

    def test_a_reload_ends_the_checks(self):
        origin = self.backend(Reply(500))
        gateway, address = self.upstream([origin.address], "health_check interval=200ms;")
        self.wait_state(address, origin.address, "unhealthy")
        gateway.write_config(http=gateway.shape["http"].replace("health_check interval=200ms;", ""))
        gateway.signal(1)
        self.wait_state(address, origin.address, "up")
        self.assertEqual(http_client.get(address, "/").status, 500)


class Names(UpstreamCase):
    def twins(self):
        """Two backends on one port of two addresses."""
        while True:
            one = self.backend(Reply(200, "one"))
            with contextlib.suppress(OSError):
                return one, self.backend(Reply(200, "two"), host="127.0.0.2", port=one.port)

    def named(self, port, names, settings="", valid=""):
        return self.upstream([f"app.invalid:{port} resolve"], settings,
                             http=f"resolver {names.address} {valid} ipv6=off;")

    def test_a_name_is_followed(self):
        one, two = self.twins()
        names = NameServer({"app.invalid": ["127.0.0.1"]})
        self.addCleanup(names.close)
        gateway, address = self.named(one.port, names, valid="valid=200ms")
        beamgate.until(lambda: self.states(address) == {one.address: "up"}, 10, "the name's address")
        self.assertEqual(http_client.get(address, "/").text, "one")
        names.table["app.invalid"] = ["127.0.0.1", "127.0.0.2"]
        beamgate.until(lambda: len(self.states(address)) == 2, 10, "both addresses")
        self.assertEqual({http_client.get(address, "/").text for _ in range(4)}, {"one", "two"})
        names.table["app.invalid"] = ["127.0.0.2"]
        beamgate.until(lambda: self.states(address) == {two.address: "up"}, 10, "the other address")
        self.assertEqual(http_client.get(address, "/").text, "two")
        # Neither an unknown name nor silence takes the last addresses away.
        del names.table["app.invalid"]
        names.wait_questions(3)
        self.assertEqual(http_client.get(address, "/").text, "two")
        names.silent = True
        names.wait_questions(2)
        self.assertEqual(http_client.get(address, "/").text, "two")
        gateway.wait_log("upstream_not_resolved")
        self.assertGreaterEqual(gateway.metrics()["beamgate_upstream_resolutions_failed_total"], 1)
        # A reload keeps what is known as well.
        gateway.signal(1)
        gateway.wait_log("reload|configuration", timeout=10)
        self.assertEqual(http_client.get(address, "/").text, "two")

    def test_an_answer_is_used_as_long_as_it_says(self):
        one, two = self.twins()
        names = NameServer({"app.invalid": ["127.0.0.1"]}, ttl=1)
        self.addCleanup(names.close)
        _, address = self.named(one.port, names)
        beamgate.until(lambda: self.states(address) == {one.address: "up"}, 10, "the name's address")
        names.table["app.invalid"] = ["127.0.0.2"]
        beamgate.until(lambda: self.states(address) == {two.address: "up"}, 20, "the other address")

    def test_new_addresses_are_checked_too(self):
        one, _ = self.twins()
        names = NameServer({"app.invalid": ["127.0.0.1", "127.0.0.3"]})
        self.addCleanup(names.close)
        _, address = self.named(one.port, names, "health_check interval=200ms;", "valid=200ms")
        beamgate.until(lambda: self.states(address) == {one.address: "up", f"127.0.0.3:{one.port}": "unhealthy"},
                       20, "one of two")

    def test_a_name_server_that_is_silent_is_given_up(self):
        names = NameServer({"app.invalid": ["127.0.0.1"]})
        self.addCleanup(names.close)
        names.silent = True
        patient, hasty = (self.upstream(["app.invalid:9 resolve"], http=f"resolver {names.address} ipv6=off; {timeout}")[0]
                          for timeout in ("", "resolver_timeout 100ms;"))
        beamgate.until(lambda: names.questions >= 2, 10, "both to ask")
        hasty.wait_log("upstream_not_resolved .*no answer in time")
        self.assertNotIn("upstream_not_resolved", patient.log())

    def test_a_name_that_is_not_known_yet_is_no_gateway(self):
        names = NameServer()
        self.addCleanup(names.close)
        _, address = self.named(9, names)
        self.assertEqual(self.states(address), {})
        self.assertEqual(http_client.get(address, "/").status, 502)


if __name__ == "__main__":
    beamgate.main()

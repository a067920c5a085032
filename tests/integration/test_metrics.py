"""Metrics: both formats as their rules want them, and figures that say what happened, summed over the workers."""

import os
import re
import time
import unittest
from signal import SIGHUP, SIGKILL, SIGUSR2

import backend
import beamgate
import h2_client
import http_client
import prometheus
import wire
import ws_client
from backend import Reply

SERVER = """
server {
    listen 127.0.0.1:0;
    http2 on;
    location /echo { websocket echo; }
    location /room { websocket raw; websocket_subscribe room; websocket_publish room; websocket_origins https://good.example; }
    location /status { stub_status; }
    location /metrics { metrics; }
    location /api { api on; }
    location / { return 200 "hello\\n"; }
}
"""
REASONS = ("connections_refused", "accept_pauses", "requests_refused", "websocket_handshakes_refused", "connections_closed",
           "messages_dropped", "subscriptions_refused", "publications_refused", "connections_lost", "webhook_events_dropped",
           "webhook_failures", "upstream_failures", "http2_floods")


def value(rows, name, **labels):
    text = ",".join(f'{key}="{word}"' for key, word in labels.items())
    return rows[f"beamgate_{name}" + (f"{{{text}}}" if text else "")]


class Formats(beamgate.TestCase):
    def get(self, gateway, accept=None):
        page = http_client.get(gateway.address(), "/metrics", {"Accept": accept} if accept else {})
        self.assertEqual(page.status, 200)
        return page

    def test_prometheus_text(self):
        gateway = self.gateway(SERVER)
        for accept in (None, "*/*", "text/plain;version=0.0.4", "application/openmetrics-text;q=0.2,text/plain;q=0.3",
                       "application/openmetrics-text;q=0"):
            page = self.get(gateway, accept)
            self.assertEqual(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8", accept)
            families = prometheus.read(page.text, openmetrics=False)
        self.assertEqual(families["beamgate_http_requests_total"][0], "counter")
        self.assertEqual(families["beamgate_connections_active"][0], "gauge")
        self.assertEqual(families["beamgate_loop_lag_seconds"][0], "histogram")

    def test_openmetrics(self):
        before = time.time()
        gateway = self.gateway(SERVER)
        for accept in (prometheus.ACCEPT, "application/openmetrics-text", "Text/Plain;q=0.5, APPLICATION/openmetrics-text"):
            page = self.get(gateway, accept)
            self.assertEqual(page.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8")
            self.assertIn("accept", page.header("vary").lower())
            families = prometheus.read(page.text, openmetrics=True)
        kind, samples = families["beamgate_http_requests"]
        self.assertEqual(kind, "counter")
        self.assertEqual(set(samples), {"beamgate_http_requests_total", "beamgate_http_requests_created"})
        self.assertTrue(before - 1 <= samples["beamgate_http_requests_created"] <= time.time())
        plain = prometheus.read(self.get(gateway).text, openmetrics=False)
        self.assertEqual({name.removesuffix("_total") for name in plain}, set(families))

    @unittest.skipUnless(prometheus.tool(), "promtool is not installed (packaging/install-dependencies test)")
    def test_promtool_has_nothing_to_say(self):
        gateway = self.gateway("upstream odd { server 127.0.0.1:1; }" + SERVER)
        with ws_client.connect(gateway.address(), "/echo") as client:
            client.send("hello")
            client.recv()
            self.assertEqual(prometheus.check_metrics(self.get(gateway).text), "")

    def test_every_reason_is_there_before_it_has_happened(self):
        rows = self.gateway(SERVER).metrics()
        for family in REASONS:
            found = [key for key in rows if key.startswith(f"beamgate_{family}_total{{reason=")]
            self.assertGreater(len(found), 1, family)
            self.assertEqual([rows[key] for key in found], [0] * len(found))


class Figures(beamgate.TestCase):
    def test_connections_by_protocol_and_state(self):
        gateway = self.gateway(SERVER, workers=3)
        address = gateway.address()
        echoes = [self.track(ws_client.connect(address, "/echo")) for _ in range(5)]
        rooms = [self.track(ws_client.connect(address, "/room")) for _ in range(3)]
        idle = [self.track(http_client.Connection(address)) for _ in range(4)]
        for connection in idle:
            connection.request("GET", "/")
        reading = [self.track(wire.Wire(wire.open_socket(address))) for _ in range(2)]
        for connection in reading:
            connection.send(b"GET / HTT")
        two = self.track(h2_client.Client(address))
        self.assertEqual(two.get("/").status, 200)

        def settled():
            rows = gateway.metrics()
            state = lambda protocol, state: value(rows, "connections", protocol=protocol, state=state)
            self.assertEqual(value(rows, "websockets", protocol="echo"), 5)
            self.assertEqual(value(rows, "websockets", protocol="raw"), 3)
            return (state("http1", "reading"), state("http1", "answering"), state("http1", "idle"), state("http2", "open"),
                    state("websocket", "open"), state("tunnel", "open")) == (2, 1, 4, 1, 8, 0)
        beamgate.until(settled, 10, "what every connection is at")
        rows = gateway.metrics()
        self.assertEqual(value(rows, "workers"), 3)
        shares = [rows[key] for key in rows if key.startswith("beamgate_worker_connections{")]
        self.assertEqual(len(shares), 3)
        beamgate.until(lambda: sum(number for key, number in gateway.metrics().items()
                                   if key.startswith("beamgate_worker_connections{")) in (16, 17), 10, "all of them")
        for client in echoes + rooms:
            client.close()
        beamgate.until(lambda: value(gateway.metrics(), "websockets_active") == 0, 10, "the end of all WebSockets")
        rows = gateway.metrics()
        self.assertEqual(value(rows, "websockets", protocol="echo") + value(rows, "websockets", protocol="raw"), 0)

    def test_messages_and_reasons(self):
        gateway = self.gateway(SERVER)
        address = gateway.address()
        clients = [self.track(ws_client.connect(address, "/room")) for _ in range(4)]
        before = gateway.metrics()
        clients[0].send("x" * 1000)
        for client in clients:
            self.assertEqual(len(client.recv()), 1000)
        with self.assertRaises(ws_client.Refused):
            ws_client.connect(address, "/room", headers=[("Origin", "https://bad.example")])
        self.assertEqual(http_client.get(address, "/room").status, 426)
        rows = gateway.metrics()
        grown = lambda name, **labels: value(rows, name, **labels) - value(before, name, **labels)
        self.assertEqual(grown("messages_received_total"), 1)
        self.assertEqual(grown("hub_publications_total"), 1)
        self.assertEqual(grown("hub_deliveries_total"), 4)
        self.assertGreater(grown("bytes_received_total"), 1000)
        self.assertGreater(grown("bytes_sent_total"), 4000)
        self.assertEqual(grown("websocket_handshakes_refused_total", reason="origin"), 1)
        self.assertEqual(grown("websocket_handshakes_refused_total", reason="malformed"), 1)
        self.assertEqual(grown("http_responses_total", **{"class": "4xx"}), 2)

    def test_how_long_applications_take(self):
        application = self.backend()
        application.on("/hook", Reply(200))
        application.on("/slow", backend.Held(Reply(200, "slow")))
        application.on("/fast", Reply(200, "fast"))
        gateway = self.gateway(
            f"webhook app {{ url {application.url}/hook; secret whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0; }}"
            f"server {{ listen 127.0.0.1:0; location /ws {{ websocket raw; webhook app; }} location /metrics {{ metrics; }}"
            f" location / {{ proxy_pass {application.url}; }} }}")
        with ws_client.connect(gateway.address(), "/ws") as client:
            client.send("hello")
            beamgate.until(lambda: value(gateway.metrics(), "webhook_duration_seconds_count") >= 3, 10, "three calls")
        self.assertEqual(http_client.get(gateway.address(), "/fast").text, "fast")
        rows = gateway.metrics()
        self.assertEqual(value(rows, "upstream_duration_seconds_count"), 1)
        self.assertEqual(rows['beamgate_upstream_duration_seconds_bucket{le="+Inf"}'], 1)
        self.assertGreater(value(rows, "webhook_duration_seconds_sum"), 0)
        beamgate.until(lambda: value(gateway.metrics(), "webhook_requests_active") == 0, 10, "all calls answered")

    def test_every_worker_tells_of_itself(self):
        gateway = self.gateway(SERVER, workers=2)
        for name in ("worker_resident_memory_bytes", "worker_arena_bytes", "worker_loop_lag_seconds"):
            beamgate.until(lambda: len([key for key in gateway.metrics() if key.startswith(f"beamgate_{name}{{slot=")]) == 2)
        beamgate.until(lambda: value(gateway.metrics(), "worker_resident_memory_bytes", slot=0) > 1 << 20)
        rows = gateway.metrics()
        self.assertEqual(value(rows, "bus_queue_bytes", slot=1, direction="to_worker"), 0)
        beamgate.until(lambda: value(gateway.metrics(), "loop_lag_seconds_count") > 20, 10, "twenty ticks")


class Life(beamgate.TestCase):
    def test_reloads(self):
        gateway = self.gateway(SERVER)
        gateway.signal(SIGHUP)
        gateway.wait_log(r"\breloaded generation=2")
        gateway.write_config("nonsense on;")
        gateway.signal(SIGHUP)
        gateway.wait_log("reload_failed")
        rows = gateway.metrics()
        self.assertEqual((value(rows, "reloads_total", result="done"), value(rows, "reloads_total", result="refused")), (1, 1))
        self.assertEqual(value(rows, "workers_started_total"), 2)

    def test_a_worker_that_dies(self):
        gateway = self.gateway(SERVER, workers=1)
        clients = [self.track(ws_client.connect(gateway.address(), "/echo")) for _ in range(3)]
        before = value(gateway.metrics(), "http_requests_total")
        gateway.deaths_expected = True
        os.kill(gateway.worker_pids()[0], SIGKILL)
        for client in clients:
            client.send("still")
            self.assertEqual(client.recv(), "still")
        rows = gateway.metrics()
        self.assertEqual(value(rows, "worker_deaths_total"), 1)
        self.assertEqual(value(rows, "worker_adoptions_total"), 1)
        self.assertIn(value(rows, "connections_adopted_total"), (3, 4))  # The last scrape's may not be gone yet.
        self.assertEqual([rows[key] for key in rows if key.startswith("beamgate_connections_lost_total{")], [0] * 4)
        self.assertEqual(value(rows, "websockets", protocol="echo"), 3)
        self.assertEqual(value(rows, "workers"), 1)
        self.assertGreater(value(rows, "http_requests_total"), before, "what the dead worker had counted stays")

    def test_an_upgrade(self):
        gateway = self.gateway(SERVER, workers=1, main="upgrade_trial 0;")
        client = self.track(ws_client.connect(gateway.address(), "/echo"))
        requests = value(gateway.metrics(), "http_requests_total")
        gateway.signal(SIGUSR2)
        gateway.wait_log(r"\bupgraded workers=1", timeout=60)
        client.send("still")
        self.assertEqual(client.recv(), "still")
        beamgate.until(lambda: value(gateway.metrics(), "workers") == 1, 30, "one worker")
        rows = gateway.metrics()
        self.assertEqual(value(rows, "upgrades_total", result="done"), 1)
        self.assertEqual(value(rows, "connections_moved_total"), 1)
        self.assertGreater(value(rows, "http_requests_total"), requests)


class StubStatus(beamgate.TestCase):
    def test_it_is_nginxs_page(self):
        gateway = self.gateway(SERVER, workers=2)
        address = gateway.address()
        for _ in range(2):
            self.track(ws_client.connect(address, "/echo"))
        with http_client.Connection(address) as idle:
            idle.request("GET", "/")
            page = http_client.get(address, "/status")
            self.assertEqual((page.status, page.header("content-type")), (200, "text/plain"))
            match = re.fullmatch(r"Active connections: (\d+) \nserver accepts handled requests\n (\d+) (\d+) (\d+) \n"
                                 r"Reading: (\d+) Writing: (\d+) Waiting: (\d+) \n", page.text)
            self.assertIsNotNone(match, page.text)
            self.assertEqual([int(number) for number in match.groups()], [4, 4, 4, 4, 0, 3, 1])
        self.assertEqual(http_client.post(address, "/status", "").status, 405)
        self.assertEqual(http_client.request(address, "HEAD", "/status").status, 200)


if __name__ == "__main__":
    beamgate.main()

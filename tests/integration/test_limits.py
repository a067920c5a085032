"""Limits at accept: what doesn't fit waits or is refused, and nothing that is served suffers.

Without room for a connection (worker_connections) or without a free descriptor (worker_rlimit_nofile) a worker
stops accepting; clients wait in the kernel's queue and are served when others have gone.  Only an address
above connections_per_address is turned away at once.
"""

import unittest

import beamgate
import http_client

HTTP = """
server {
    listen 127.0.0.1:0;
    location / { return 200 "served"; }
    location /metrics { metrics on; }
}
"""


class Limits(beamgate.TestCase):
    def served(self, connection):
        connection.send_request("GET", "/", [("Host", "x")])
        return connection.read_response(timeout=10).text == "served"

    def crowd(self, address, count):
        connections = [http_client.Connection(address, timeout=10) for _ in range(count)]
        self.addCleanup(lambda: [connection.close() for connection in connections])
        return connections

    def check_waiting_clients_are_served(self, gateway, fitting, crowd):
        connections = self.crowd(gateway.address(), crowd)
        for connection in connections[:fitting]:
            self.assertTrue(self.served(connection))
        for leaving, waiting in zip(connections[:crowd - fitting], connections[fitting:]):
            leaving.close()
            self.assertTrue(self.served(waiting), "its place was taken by one that has left")

    def test_worker_connections(self):
        gateway = self.gateway(HTTP, workers=1, events="worker_connections 20;")
        self.check_waiting_clients_are_served(gateway, 20, 35)

    # UBSan's check of a virtual call opens a pipe: without a free descriptor it reports an error of its own.
    # packaging/check runs this file on the release build as well.
    @unittest.skipIf(beamgate.sanitized(), "a sanitizer needs descriptors itself")
    def test_descriptors(self):
        gateway = self.gateway(HTTP, workers=1, main="worker_rlimit_nofile 64;",
                               events="worker_connections 1000;")
        self.check_waiting_clients_are_served(gateway, 30, 70)
        page = http_client.get(gateway.address(), "/metrics").text
        self.assertRegex(page, r"(?m)^beamgate_accept_pauses_total [1-9]")

    def test_connections_per_address(self):
        gateway = self.gateway(HTTP, workers=3, events="connections_per_address 6;")
        connections = self.crowd(gateway.address(), 6)
        for connection in connections:
            self.assertTrue(self.served(connection))
        refused = http_client.Connection(gateway.address(), timeout=10)
        self.addCleanup(refused.close)
        self.assertTrue(refused.ended(timeout=10), "a seventh of the same address, on whichever worker")
        other = http_client.Connection(gateway.address(), timeout=10, source="127.0.0.2")
        self.addCleanup(other.close)
        self.assertTrue(self.served(other), "another address has its own count")
        connections[0].close()

        def accepted_again():
            with http_client.Connection(gateway.address(), timeout=10) as again:
                try:
                    return self.served(again)
                except (OSError, EOFError):
                    return False

        beamgate.until(accepted_again, 10, "room for the address again")


if __name__ == "__main__":
    beamgate.main()

"""Limits at accept: what doesn't fit waits or is refused, and nothing that is served suffers.

Without room for a connection (worker_connections) or without a free descriptor (worker_rlimit_nofile) a worker
stops accepting; clients wait in the kernel's queue and are served when others have gone.  Only an address
above connections_per_address is turned away at once.
"""

import resource
import signal
import subprocess
import unittest
from pathlib import Path

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
        self.check_waiting_clients_are_served(gateway, 20, 70)
        page = http_client.get(gateway.address(), "/metrics").text
        self.assertRegex(page, r"(?m)^beamgate_accept_pauses_total.* [1-9]")

    @unittest.skipIf(beamgate.sanitized(), "a sanitizer needs descriptors itself")
    def test_who_has_all_descriptors_leaves_room_for_the_master(self):
        """Logs and listening sockets come as descriptors, and a worker that could not take them would be lost."""
        gateway = self.gateway(HTTP, workers=1, main="worker_rlimit_nofile 150;", events="worker_connections 1000;")
        connections = self.crowd(gateway.address(), 150)
        held = connections[:60]
        for connection in held:
            self.assertTrue(self.served(connection))
        mark = gateway.log_mark()
        gateway.signal(signal.SIGUSR1)
        gateway.wait_log("logs_reopened", after=mark)
        for workers in (1, 2, 1):
            mark = gateway.log_mark()
            gateway.write_config(workers=workers)
            gateway.signal(signal.SIGHUP)
            gateway.wait_log(r"\breloaded ", after=mark)
            gateway.wait_workers(workers)
        for connection in held:
            self.assertTrue(self.served(connection))
        self.assertNotIn("master_gone", gateway.log())

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


class Warnings(beamgate.TestCase):
    def test_limits_that_will_bite_are_told_before_and_at_the_start(self):
        gateway = self.gateway(HTTP, start=False, events="worker_connections 6000;")
        self.assertNotIn("RLIMIT_NOFILE", gateway.run("-t").stderr)
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (5000, 5000))
        told = subprocess.run(gateway.command("-t"), capture_output=True, text=True, preexec_fn=few)
        self.assertEqual(told.returncode, 0)
        self.assertRegex(told.stderr, r"\[warn\] worker_connections 6000 may take 6084 open files.*RLIMIT_NOFILE is 5000")
        wrapper = gateway.path("with-few-files")
        wrapper.write_text(f'#!/bin/sh\nulimit -n 5000\nexec {beamgate.binary()} "$@"\n')
        wrapper.chmod(0o755)
        gateway.binary = wrapper
        gateway.start()
        gateway.wait_log(r"\[warn\].*system_limit what=.*RLIMIT_NOFILE is 5000")
        gateway.wait_log(rf"\bready workers=\d+ configuration={gateway.config_path} error_log=stderr manual=beamgate-troubleshooting\(7\)")

    def test_a_backlog_that_the_kernel_cuts(self):
        most = int(Path("/proc/sys/net/core/somaxconn").read_text())
        gateway = self.gateway(HTTP.replace("listen 127.0.0.1:0", f"listen 127.0.0.1:0 backlog={most + 1}"), start=False)
        self.assertRegex(gateway.run("-t").stderr, rf"\[warn\] the backlog of listen .*{most + 1}, is cut to net.core.somaxconn, {most}")


if __name__ == "__main__":
    beamgate.main()

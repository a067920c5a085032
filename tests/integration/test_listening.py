"""Listening: over IPv4, IPv6 and unix sockets, and what may stand beside an address.  The host needs IPv6 on loopback."""

import contextlib
import os
import re
import socket
from signal import SIGCONT, SIGSTOP

import beamgate
import http_client
import wire


class Listening(beamgate.TestCase):
    def test_ipv6(self):
        gateway = self.gateway('server { listen [::1]:0; return 200 "$remote_addr $server_addr $server_port"; }')
        port = re.fullmatch(r"\[::1\]:(\d+)", gateway.address())[1]
        self.assertEqual(http_client.get(gateway.address(), "/").text, f"::1 ::1 {port}")

    def test_both_families_at_one_address(self):
        for setting, both in (("", False), ("ipv6only=on", False), ("ipv6only=off", True)):
            with self.subTest(setting):
                gateway = self.gateway(f"server {{ listen [::]:0 {setting} reuseport; return 200 $remote_addr; }}")
                port = re.fullmatch(r"\[::\]:(\d+)", gateway.address())[1]
                self.assertEqual(http_client.get(f"[::1]:{port}", "/").text, "::1")
                if both:
                    self.assertEqual(http_client.get(f"127.0.0.1:{port}", "/").text, "127.0.0.1")
                else:
                    with self.assertRaises(ConnectionRefusedError):
                        http_client.get(f"127.0.0.1:{port}", "/")

    def test_an_ipv4_client_at_an_ipv6_address_is_one_of_ipv4(self):
        gateway = self.gateway("server { listen [::]:0 ipv6only=off; deny 127.0.0.1; root .; }", files={"x": "in"})
        port = gateway.address().rpartition(":")[2]
        self.assertEqual(http_client.get(f"127.0.0.1:{port}", "/x").status, 403)
        self.assertEqual(http_client.get(f"[::1]:{port}", "/x").text, "in")

    def test_a_unix_socket_goes_with_the_gateway(self):
        gateway = self.gateway("server { listen unix:a.sock; return 200 '[$remote_addr]'; }")
        path = gateway.path("a.sock")
        self.assertEqual(http_client.get(f"unix:{path}", "/").text, "[unix:]")
        gateway.stop()
        self.assertFalse(path.exists())

    def test_backlog(self):
        """So many clients wait to be accepted; the next gets no answer."""
        gateway = self.gateway("server { listen 127.0.0.1:0 backlog=7; return 200 ok; }", workers=1)
        worker, connected = gateway.worker_pids()[0], 0
        os.kill(worker, SIGSTOP)
        with contextlib.suppress(TimeoutError):
            while connected < 20:
                self.track(socket.create_connection(wire.split_address(gateway.address()), timeout=0.5))
                connected += 1
        os.kill(worker, SIGCONT)
        self.assertEqual(connected, 8)  # One more than it says, as Linux has it.


if __name__ == "__main__":
    beamgate.main()

"""A reload drops nothing: connections live on under the new settings, and nobody is refused meanwhile."""

import threading
from signal import SIGHUP

import beamgate
import http_client
import ws_client


def server(listen="127.0.0.1:0", message_max="1k", answer="old", extra=""):
    return f"""server {{
        listen {listen};
        location = /echo {{ websocket echo; websocket_message_max {message_max}; }}
        location = /room {{ websocket raw; websocket_subscribe room; websocket_publish room; }}
        location = /answer {{ return 200 {answer}; }}
        {extra}
    }}"""


class Reload(beamgate.TestCase):
    def reload(self, gateway, **changes):
        gateway.write_config(**changes)
        mark = gateway.log_mark()
        gateway.signal(SIGHUP)
        gateway.wait_log(r"\breloaded\b", after=mark, timeout=20)

    def test_open_connections_get_the_new_settings(self):
        gateway = self.gateway(server())
        clients = [self.track(ws_client.connect(gateway.address(), "/echo")) for _ in range(20)]
        with ws_client.connect(gateway.address(), "/echo") as strict:
            strict.send("x" * 2000)
            self.assertEqual(strict.recv_close(), 1009)
        pids = gateway.worker_pids()
        mark = gateway.log_mark()
        self.reload(gateway, http=server(message_max="4k", answer="new"))
        gateway.wait_log(r"\bconfiguration_in_force\b", count=len(pids), after=mark)  # A client could overtake it.
        for client in clients:
            client.send("x" * 2000)
            self.assertEqual(client.recv(), "x" * 2000)
        self.assertEqual(http_client.get(gateway.address(), "/answer").text, "new")
        self.assertEqual(gateway.worker_pids(), pids, "the workers stay")

    def test_subscriptions_and_their_order_survive(self):
        gateway = self.gateway(server())
        talker, listener = (self.track(ws_client.connect(gateway.address(), "/room")) for _ in range(2))
        for number in range(5):
            talker.send(f"before {number}")
            self.reload(gateway, http=server(answer=f"generation{number}"))
            talker.send(f"after {number}")
            self.assertEqual([listener.recv(), listener.recv()], [f"before {number}", f"after {number}"])

    def refused(self, address):
        try:
            http_client.get(address, "/answer")
        except ConnectionRefusedError:
            return True
        except (EOFError, ConnectionError):
            pass  # Was still in the queue of a worker that closed its socket.
        return False

    def test_a_listening_address_is_added_and_removed(self):
        gateway = self.gateway(server())
        first = gateway.address()
        client = self.track(ws_client.connect(first, "/echo"))
        socket_path = gateway.path("extra.sock")
        self.reload(gateway, http=server(extra=f"listen unix:{socket_path};"))
        self.assertEqual(http_client.get(f"unix:{socket_path}", "/answer").text, "old")
        self.reload(gateway, http=server(listen=f"unix:{socket_path}"))
        beamgate.until(lambda: self.refused(first), 10, "the removed address refusing")
        client.send("still here")
        self.assertEqual(client.recv(), "still here")

    def test_nobody_is_refused_while_reloads_go_on(self):
        gateway = self.gateway(server())
        stopping, failures, answered = threading.Event(), [], []

        def ask():
            while not stopping.is_set():
                try:
                    answered.append(http_client.get(gateway.address(), "/answer").status)
                except Exception as error:
                    failures.append(repr(error))

        askers = [threading.Thread(target=ask) for _ in range(4)]
        for asker in askers:
            asker.start()
        for number in range(10):
            self.reload(gateway, http=server(answer=f"generation{number}"))
        stopping.set()
        for asker in askers:
            asker.join(30)
        self.assertEqual(failures, [])
        self.assertEqual(set(answered), {200})
        self.assertGreater(len(answered), 10)

    def test_more_workers_and_fewer(self):
        gateway = self.gateway(server(), main="worker_shutdown_timeout 1s;", workers=1)
        client = self.track(ws_client.connect(gateway.address(), "/echo"))
        self.reload(gateway, workers=3)
        gateway.wait_workers(3)
        client.send("grown")
        self.assertEqual(client.recv(), "grown")
        self.reload(gateway, workers=1)
        gateway.wait_workers(1)
        client.send("shrunk")
        self.assertEqual(client.recv(), "shrunk")
        for _ in range(20):
            self.assertEqual(http_client.get(gateway.address(), "/answer").text, "old")

    def test_hups_in_quick_succession_end_in_the_last_configuration(self):
        gateway = self.gateway(server())
        for number in range(20):
            gateway.write_config(http=server(answer=f"generation{number}"))
            gateway.signal(SIGHUP)
        beamgate.until(lambda: http_client.get(gateway.address(), "/answer").text == "generation19", 20, "the last one")


if __name__ == "__main__":
    beamgate.main()

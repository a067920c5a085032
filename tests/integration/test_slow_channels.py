"""slow_reader skip: a channel whose subscribers may miss something takes half of their send queues and no more."""

import beamgate
import centrifuge_client
import http_client
import ws_client

HTTP = """
channels cursors:* { slow_reader skip; }
channels kept:* { slow_reader skip; history 100 10m; }
server {
    listen 127.0.0.1:0;
    location = /ws { websocket raw; websocket_subscribe $arg_channel chat; websocket_send_queue 256k; }
    location = /connection/websocket { websocket centrifuge; websocket_send_queue 256k; }
    location /api/ { api on; }
    location = /metrics { metrics on; }
}
"""
CHUNK = "x" * 20_000


class SlowChannels(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, workers=1)
        self.address = self.running.address()

    def publish(self, channel, data=CHUNK):
        command = {"channel": channel, "data": data, "receipt": True}
        return http_client.post(self.address, "/api/publish", command).json()["result"]["receipt"]

    def fill(self, channel):
        """Publishes until it isn't for the subscriber any more; gives how many were."""
        for count in range(2_000):
            if self.publish(channel)["dropped"] == 1:
                return count
        raise AssertionError("nothing was ever dropped")

    def dropped(self, reason):
        return self.running.metrics()[f'beamgate_messages_dropped_total{{reason="{reason}"}}']

    def test_the_other_half_is_for_others(self):
        client = self.track(ws_client.connect(self.address, "/ws?channel=cursors:1", receive_buffer=4096))
        sent = self.fill("cursors:1")
        for _ in range(10):
            self.assertEqual(self.publish("cursors:1")["dropped"], 1)
        self.assertEqual(self.dropped("skipped"), 11)
        self.assertEqual(self.publish("chat", "hello")["sent"], 1)
        self.assertEqual(self.dropped("slow_reader"), 0)
        for _ in range(sent):
            self.assertEqual(client.recv(), f'"{CHUNK}"')
        self.assertEqual(client.recv(), '"hello"')
        self.assertEqual(self.publish("cursors:1", "again")["sent"], 1)
        self.assertEqual(client.recv(), '"again"')

    def test_by_default_it_is_closed(self):
        client = self.track(ws_client.connect(self.address, "/ws?channel=other", receive_buffer=4096))
        self.fill("other")
        self.assertEqual(self.dropped("skipped"), 0)
        self.assertEqual(client.recv_close(), 1008)

    def test_who_cannot_recover_what_is_kept_comes_back(self):
        client = self.track(ws_client.connect(self.address, "/ws?channel=kept:2", receive_buffer=4096))
        self.fill("kept:2")
        self.assertEqual(client.recv_close(), 1013)
        self.assertEqual(self.running.metrics()['beamgate_connections_closed_total{reason="missed"}'], 1)

    def test_what_is_kept_is_recovered(self):
        client = self.track(centrifuge_client.connect(self.address, "/connection/websocket", receive_buffer=4096))
        begun = client.call("subscribe", channel="kept:1")
        sent = self.fill("kept:1")
        self.assertEqual(self.publish("kept:1")["subscribers"], 0, "it is told, and no subscriber until it comes back")
        self.assertEqual([client.push("pub")["offset"] for _ in range(sent)], list(range(1, sent + 1)))
        self.assertEqual(client.push("unsubscribe")["code"], 2500)
        again = client.call("subscribe", channel="kept:1", recover=True, epoch=begun["epoch"], offset=sent)
        self.assertEqual((again["recovered"], [pub["offset"] for pub in again["publications"]]), (True, [sent + 1, sent + 2]))


if __name__ == "__main__":
    beamgate.main()

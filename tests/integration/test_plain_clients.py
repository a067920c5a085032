"""Clients that speak no WebSocket, as the HTTP API sees them: event streams, long polls and lines are looked at, counted
and closed as others are."""

import beamgate
import event_stream
import http_client
import jwt_token
import ws_client
from wire import Wire, open_socket

SECRET = "a secret of thirty-two bytes or more"
HTTP = """
token people { secret "a secret of thirty-two bytes or more"; }
channels members-* { subscribe token; }
server {
    listen 127.0.0.1:0;
    location = /stream { sse argument=channel; sse_token people; }
    location = /poll { longpoll argument=channel; longpoll_timeout 30s; longpoll_token people; }
    location = /ws { websocket raw; websocket_subscribe $arg_channel; }
    location /api/ { api on; }
}
"""


class PlainClients(beamgate.TestCase):
    def setUp(self):
        self.running = self.gateway(HTTP, main="line { listen 127.0.0.1:0; }", workers=2)
        self.http, self.line = self.running.addresses()

    def stream(self, user, channel="members-a"):
        target = f"/stream?channel={channel}&token={jwt_token.sign(SECRET, {'sub': user, 'channel': channel})}"
        return self.track(event_stream.Reader(self.http, target)).wait_joined()

    def poll(self, user, channel="members-a"):
        """What becomes of a request that waits, when there is an answer."""
        target = f"/poll?channel={channel}&token={jwt_token.sign(SECRET, {'sub': user, 'channel': channel})}"
        connection = self.track(http_client.Connection(self.http))
        connection.send_request("GET", target)
        beamgate.until(lambda: "longpoll" in self.look(user)["protocols"])
        return connection

    def join(self, room):
        wire = Wire(open_socket(self.line))
        self.addCleanup(wire.close)
        wire.send(f"JOIN {room}\n".encode())
        self.assertEqual(self.hear(wire), f"OK joined {room}")
        return wire

    def hear(self, wire):
        return wire.read_until(b"\n")[:-1].decode()

    def request(self, method, path):
        return http_client.request(self.http, method, f"/api{path}")

    def look(self, user):
        return self.request("GET", f"/users/{user}").json().get("result", {"protocols": {}})

    def test_a_users_streams_and_polls(self):
        stream, poll, other = self.stream("ann"), self.poll("ann"), self.stream("bob")
        view = self.look("ann")
        self.assertEqual((view["num_clients"], view["protocols"]), (2, {"eventstream": 1, "longpoll": 1}))
        self.assertEqual({(one["user"], *one["channels"]) for one in view["connections"]}, {("ann", "members-a")})
        self.assertEqual(self.request("DELETE", "/users/ann").json()["result"], {"num_clients": 2})
        stream.wait_end()
        stream.close()
        self.assertTrue(poll.ended())
        poll.close()
        beamgate.until(lambda: self.request("GET", "/users/ann").status == 404)
        self.assertEqual(self.request("DELETE", "/users/ann").status, 404)
        self.assertEqual(self.look("bob")["num_clients"], 1)
        http_client.post(self.http, "/api/publish", {"channel": "members-a", "data": 1})
        self.assertEqual(other.next().data, "1")

    def test_one_connection(self):
        line = self.join("lobby")
        found = self.request("GET", "/connections").json()["result"]
        self.assertEqual((found["num_clients"], found["connections"][0]["protocol"]), (1, "line"))
        path = "/connections/" + found["connections"][0]["id"]
        self.assertEqual(self.request("GET", path).json()["result"]["channels"], ["lobby"])
        self.assertEqual(http_client.post(self.http, f"/api{path}", "hello").status, 404, "messages are for WebSockets")
        self.assertEqual(self.request("DELETE", path).json(), {"result": {}})
        self.assertEqual(self.hear(line), "BYE closed by the application")
        line.wait_end()
        line.close()
        beamgate.until(lambda: self.request("GET", path).status == 404)

    def test_everybody_of_a_channel(self):
        line, stays = self.join("lobby"), self.join("other")
        socket = self.track(ws_client.connect(self.http, "/ws?channel=lobby"))
        reader = self.stream("ann", "lobby")
        self.assertEqual(self.request("DELETE", "/channels/lobby").json()["result"], {"num_clients": 3})
        self.assertEqual(self.hear(line), "ERR removed from lobby")
        reader.wait_end()
        line.send(b"hello\n")
        self.assertEqual(self.hear(line), "ERR join a room first")
        stays.send(b"still here\n")
        socket.ping(b"x")
        self.assertEqual(socket.recv_frame().payload, b"x", "a WebSocket stays, without the channel")
        again = self.join("lobby")
        self.assertEqual(self.request("DELETE", "/channels/lobby?code=4001").json()["result"], {"num_clients": 1})
        self.assertEqual(self.hear(again), "BYE closed by the application")


if __name__ == "__main__":
    beamgate.main()

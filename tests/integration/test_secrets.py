"""What was secret in a configuration is nowhere in the memory of any process once another is in force.

The memory is looked at as by somebody who has got at it: see memory.py.  Keys of connections: test_continuity_tls.py.
"""

import os
import re
import subprocess
import tempfile
import unittest
from signal import SIGKILL

import beamgate
import continuity
import http_client
import memory
from certificates import Authority

SECRET = "a-secret-of-the-webhook-4711-0815"
PLAIN = "server { listen 127.0.0.1:0; location / { return 200 hello; } %s }"


@unittest.skipIf(beamgate.sanitized(), "what is freed is the sanitizer's, and stays as it is")
class Secrets(continuity.TestCase):
    def setUp(self):
        place = self.enterContext(tempfile.TemporaryDirectory(prefix="beamgate-certificates-"))
        self.pair = Authority(place).issue("one.test")
        self.secrets = {"webhook": SECRET.encode(), "number": self.key_number()[::-1]}
        with open(self.pair.key) as file:
            self.secrets["key file"] = file.read().splitlines()[1].encode()

    def key_number(self):
        """The private key, without its highest bytes; OpenSSL keeps it the other way round."""
        text = subprocess.run(["openssl", "pkey", "-in", self.pair.key, "-noout", "-text"], check=True,
                              capture_output=True, text=True).stdout
        number = re.search(r"priv:\n((?: +[0-9a-f:]+\n)+)", text)[1]
        return bytes.fromhex(re.sub(r"[\s:]", "", number))[-24:]

    def before(self):
        return (f"webhook app {{ url http://127.0.0.1:9/; secret {SECRET}; }}\n" + PLAIN % "" +
                f"server {{ listen 127.0.0.2:0 ssl; server_name one.test; {self.pair.directives()} }}")

    def keepers(self):
        return [pid for name in ("keeper process", "standby keeper") for pid in self.running.pids_titled(f"beamgate: {name}")]

    def found(self, pids):
        return {name for _, _, name in memory.places(pids, self.secrets)}

    def check_gone(self):
        """Soon: a worker follows a reload just after the master has told of it."""
        pids = [self.running.pid, *self.running.worker_pids(), *self.running.pids_titled("beamgate: master keeper")]
        beamgate.until(lambda: memory.places(pids, self.secrets) == [], 10, "memory without secrets")

    def test_a_reload_ends_them(self):
        self.start_copy(http=self.before(), workers=2)
        for pids in ([self.running.pid], *([pid] for pid in self.running.worker_pids())):
            self.assertEqual(self.found(pids), self.secrets.keys())  # Control: they can be found.
        self.reload(http=PLAIN % "")
        self.check_gone()
        self.assertEqual(len(self.keepers()), 4)
        beamgate.until(lambda: self.found(self.keepers()) == set(), 30, "no keeper has them")

    def test_workers_that_are_started_by_an_upgrade(self):
        """They have no copy of what the new master has read of the old."""
        self.start_copy(http=self.before(), workers=1)
        self.upgrade()
        self.assertEqual(self.found(self.running.worker_pids()), self.secrets.keys())
        self.reload(http=PLAIN % "")
        self.check_gone()

    def test_a_successor_of_a_worker_that_was_killed(self):
        self.start_copy(http=self.before(), workers=1).expect_deaths()
        old, = self.running.worker_pids()
        os.kill(old, SIGKILL)
        beamgate.until(lambda: self.running.worker_pids() not in ([], [old]), 30, "a successor")
        self.assertEqual(http_client.get(self.running.address(), "/").text, "hello")
        self.assertEqual(self.found(self.running.worker_pids()), self.secrets.keys())
        self.reload(http=PLAIN % "")
        self.check_gone()

    def test_a_successor_whose_keeper_has_let_go(self):
        self.start_copy(http=self.before(), workers=1).expect_deaths()
        self.reload(http=PLAIN % "return 404;")
        beamgate.until(lambda: self.found(self.keepers()) == set(), 30, "no keeper has them")
        slot, = self.wait_slots(1)
        os.kill(slot.worker, SIGKILL)
        slot, = self.wait_slots(1, without=[slot.worker])
        self.assertEqual(http_client.get(self.running.address(), "/").status, 404)
        os.kill(slot.keeper, SIGKILL)  # The standby takes over, and serves the next death.
        slot, = self.wait_slots(1, without=[slot.keeper])
        os.kill(slot.worker, SIGKILL)
        self.wait_slots(1, without=[slot.worker])
        self.assertEqual(http_client.get(self.running.address(), "/").status, 404)


if __name__ == "__main__":
    beamgate.main()

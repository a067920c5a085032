"""The soak itself, in short: it passes where nothing is lost, and sees it where something is."""

import os
import subprocess
import sys

import beamgate

RUN = beamgate.SOURCE_ROOT / "tests" / "soak" / "run"
FEW = ("--seconds", "0", "--rounds", "1", "--connections", "60", "--busy", "8", "--sealed", "10", "--slow", "1",
       "--never", "1", "--members", "4", "--commuters", "4", "--callers", "2", "--readers", "2")


class Soak(beamgate.TestCase):
    def soak(self, *arguments):
        """As a user calls it, who has no BEAMGATE_BINARY."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BEAMGATE_")}
        return subprocess.run([sys.executable, "-B", RUN, "--binary", beamgate.binary(), *FEW, *arguments],
                              capture_output=True, text=True, timeout=600, env=environment)

    def test_one_round_of_everything(self):
        result = self.soak("--events", "6", "--seed", "3")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr[-8000:])
        self.assertIn("0 faults", result.stdout)

    def test_the_control_sees_lost_connections(self):
        result = self.soak("--events", "1", "--seed", "1", "--no-keepers", "--only", "kill_worker")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("AssertionError", result.stderr)


if __name__ == "__main__":
    beamgate.main()

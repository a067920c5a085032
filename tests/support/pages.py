"""What the tests of built-in pages share: a real Chromium, driven by a script of support/ with playwright-core.

Screenshots are left to be looked at, in a directory of the page's name below BEAMGATE_SCREENSHOTS, or beside the binary.
"""

import os
from pathlib import Path

import beamgate
import node_script

SCENARIO_TIMEOUT_S = 500


class TestCase(beamgate.TestCase):
    page = None  # Its name: "live-page".
    script = None  # What drives it: "live_page.mjs".

    @classmethod
    def setUpClass(cls):
        node_script.need_chromium()
        cls.directory = Path(os.environ.get("BEAMGATE_SCREENSHOTS") or Path(beamgate.binary()).parent) / cls.page
        cls.directory.mkdir(parents=True, exist_ok=True)

    def play(self, gateway, scenario, actions=None):
        """Runs a scenario in the browser, doing what it asks for; gives what it has seen."""
        return node_script.play([self.script, f"http://{gateway.address()}", str(self.directory), scenario], actions,
                                gateway.log, SCENARIO_TIMEOUT_S)

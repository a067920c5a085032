"""The files of the Debian package that change with the sources: its configuration, its version, what it installs.

The package itself is built by packaging/build-deb, which runs lintian, and tried in a clean root by packaging/test-deb;
both need too much time, root and the network for a test that runs always.
"""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import beamgate

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = ROOT / "packaging" / "debian"


class Packaging(unittest.TestCase):
    def test_the_packaged_configuration_is_accepted(self):
        with tempfile.TemporaryDirectory() as directory:
            config = Path(directory, "beamgate.conf")
            for name in ("beamgate.conf", "mime.types"):
                shutil.copy(ROOT / "conf" / name, directory)
            subprocess.run(["patch", "--fuzz=0", str(config), str(DEBIAN / "beamgate.conf.patch")], check=True,
                           stdout=subprocess.DEVNULL)
            text = config.read_text()
            for wanted in ("user beamgate;", "pid    /run/beamgate/beamgate.pid;", "include conf.d/*.conf;", "daemon off;"):
                self.assertIn(wanted, text)
            for place in ("/run/beamgate/", "/var/log/beamgate/"):  # Which the package makes.
                text = text.replace(place, "")
            config.write_text(text.replace("user beamgate;", "user root;"))
            command = [beamgate.binary(), "-t", "-p", directory, "-c", "beamgate.conf"]
            done = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            Path(directory, "conf.d").mkdir()
            Path(directory, "conf.d", "wrong.conf").write_text("no_such_directive on;\n")
            self.assertNotEqual(subprocess.run(command, capture_output=True).returncode, 0)

    def test_the_version_is_that_of_the_sources(self):
        version = re.search(r"project\(beamgate VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
        self.assertTrue((DEBIAN / "changelog").read_text().startswith(f"beamgate ({version}) "))

    def test_every_file_to_be_installed_is_there(self):
        made = {"beamgate.conf"}  # By debian/rules.
        for name in ("beamgate.install", "beamgate.examples", "beamgate.docs"):
            for line in (DEBIAN / name).read_text().splitlines():
                path = line.split()[0]
                if path.startswith("debian/"):
                    file = path.removeprefix("debian/")
                    self.assertTrue((DEBIAN / file).exists() or file in made, path)
                else:
                    self.assertTrue(list(ROOT.glob(path)), path)


if __name__ == "__main__":
    beamgate.main()

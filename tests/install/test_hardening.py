"""What an attacker of a memory error finds: the binary's own protections, read from its ELF headers and symbols."""

import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import beamgate

# What a function begins with that may be called through a pointer.
LANDING = {"x86_64": "endbr64", "aarch64": r"paciasp|bti\s+c"}


def readelf(option):
    return subprocess.run(["readelf", "-W", option, beamgate.binary()], capture_output=True, text=True, check=True).stdout


class Hardening(unittest.TestCase):
    def test_position_independent(self):
        self.assertRegex(readelf("--file-header"), r"Type:\s+DYN")
        self.assertIn("PIE", readelf("--dynamic"))

    def test_tables_of_the_linker_are_read_only(self):
        self.assertIn("GNU_RELRO", readelf("--segments"))
        self.assertIn("BIND_NOW", readelf("--dynamic"))

    def test_neither_stack_nor_anything_else_is_written_and_executed(self):
        flags = re.findall(r"^\s+(?:LOAD|GNU_STACK)\s+(?:0x\w+\s+){5}(.*?)\s+0x", readelf("--segments"), re.M)
        self.assertGreater(len(flags), 3)
        for each in flags:
            self.assertFalse("W" in each and "E" in each, each)

    def test_the_processor_may_check_jumps(self):
        """Ours is compiled for it.  Whether it does is for the system: the note needs every object that is linked."""
        machine = os.uname().machine
        if machine not in LANDING:
            self.skipTest(f"no such thing on {machine}")
        start = int(re.search(r"^\s+\d+: (\w+)\s+\d+ FUNC\s+GLOBAL\s+\w+\s+\d+ main$", readelf("--symbols"), re.M)[1], 16)
        code = subprocess.run(["objdump", "-d", f"--start-address={start}", f"--stop-address={start + 8}", beamgate.binary()],
                              capture_output=True, text=True, check=True).stdout
        self.assertRegex(code, LANDING[machine])

    def test_stack_protector_and_fortified_functions(self):
        symbols = set(re.findall(r"\s(__\w+_chk)(?:@|\s)", readelf("--dyn-syms")))
        self.assertIn("__memcpy_chk", symbols)
        self.assertGreater(len(symbols), 3)
        self.assertIn("__stack_chk_fail", readelf("--dyn-syms"))

    def test_the_standard_library_checks_bounds(self):
        self.assertIn("__glibcxx_assert_fail", readelf("--dyn-syms"))

    def test_variables_are_never_what_another_function_has_left(self):
        commands = json.loads(Path(os.environ["BEAMGATE_BUILD"], "compile_commands.json").read_text())
        ours = [entry["command"] for entry in commands if re.search(r"/(common|master|worker)/[^ ]*\.cc$", entry["file"])]
        self.assertGreater(len(ours), 100)
        if "clang" in ours[0].split()[0]:
            self.skipTest("clang 14 has no such option")
        for command in ours:
            self.assertIn(" -ftrivial-auto-var-init=zero ", command)


if __name__ == "__main__":
    beamgate.main()

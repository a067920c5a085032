"""What an attacker of a memory error finds: the binary's own protections, read from its ELF headers and symbols."""

import re
import subprocess
import unittest

import beamgate


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

    def test_stack_protector_and_fortified_functions(self):
        symbols = set(re.findall(r"\s(__\w+_chk)(?:@|\s)", readelf("--dyn-syms")))
        self.assertIn("__memcpy_chk", symbols)
        self.assertGreater(len(symbols), 3)
        self.assertIn("__stack_chk_fail", readelf("--dyn-syms"))


if __name__ == "__main__":
    beamgate.main()

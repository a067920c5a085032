"""The Go example, on the standard library: judged alone, then driven by two clients through the gateway."""

import beamgate
import chat_example


class Example(chat_example.Tests, beamgate.TestCase):
    directory, command = "go", ["go", "run", "."]


if __name__ == "__main__":
    beamgate.main()

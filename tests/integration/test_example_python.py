"""The Python example, on the standard library: judged alone, then driven by two clients through the gateway."""

import beamgate
import chat_example


class Example(chat_example.Tests, beamgate.TestCase):
    directory, command = "python", ["/usr/bin/python3", "-B", "chat.py"]


if __name__ == "__main__":
    beamgate.main()

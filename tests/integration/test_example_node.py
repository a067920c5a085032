"""The Node example, on Node's own modules: judged alone, then driven by two clients through the gateway."""

import beamgate
import chat_example


class Example(chat_example.Tests, beamgate.TestCase):
    directory, command = "node", ["node", "chat.js"]


if __name__ == "__main__":
    beamgate.main()

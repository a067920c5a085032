"""The PHP example, served by PHP's built-in server: judged alone, then driven by two clients through the gateway."""

import beamgate
import chat_example


class Example(chat_example.Tests, beamgate.TestCase):
    directory, command = "php", ["php", "-d", "display_errors=0", "-S", "127.0.0.1:PORT", "chat.php"]


if __name__ == "__main__":
    beamgate.main()

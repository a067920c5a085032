"""TLS clients that do what Python's ssl module has no words for: KeyUpdate, cipher suites of TLS 1.3, half a record.

    context = tls_client.Context(authority.certificate, pair=None, suites="TLS_AES_128_GCM_SHA256")
    with ws_client.connect(address, "/echo", tls=context, name="one.test") as client:
        client.wire.sock.key_update(asks=True)

It is the same OpenSSL, called by ctypes, with its bytes in memory: Tls knows no socket, Socket is one with it.
"""

import ctypes
import socket
import time

crypto, openssl = ctypes.PyDLL("libcrypto.so.3"), ctypes.PyDLL("libssl.so.3")
SET_HOST_NAME, SET_MINIMUM, SET_MAXIMUM = 55, 123, 124  # SSL_ctrl(3)
TLS12, TLS13 = 0x0303, 0x0304
PEM, VERIFY_PEER = 1, 1
WANT_READ, ZERO_RETURN = 2, 6  # SSL_get_error(3)
CHUNK = 1 << 16


def declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


POINTER, TEXT, INT, LONG, SIZE = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_long, ctypes.c_size_t)
for library, name, *shape in (
        (crypto, "BIO_s_mem", POINTER), (crypto, "BIO_new", POINTER, POINTER),
        (crypto, "BIO_read", INT, POINTER, POINTER, INT), (crypto, "BIO_write", INT, POINTER, TEXT, INT),
        (crypto, "BIO_ctrl_pending", SIZE, POINTER), (crypto, "ERR_get_error", ctypes.c_ulong),
        (crypto, "ERR_clear_error", None), (crypto, "ERR_reason_error_string", TEXT, ctypes.c_ulong),
        (openssl, "TLS_client_method", POINTER), (openssl, "SSL_CTX_new", POINTER, POINTER),
        (openssl, "SSL_CTX_free", None, POINTER), (openssl, "SSL_CTX_ctrl", LONG, POINTER, INT, LONG, POINTER),
        (openssl, "SSL_CTX_set_tlsext_max_fragment_length", INT, POINTER, ctypes.c_uint8),
        (openssl, "SSL_CTX_load_verify_locations", INT, POINTER, TEXT, TEXT),
        (openssl, "SSL_CTX_set_verify", None, POINTER, INT, POINTER),
        (openssl, "SSL_CTX_use_certificate_chain_file", INT, POINTER, TEXT),
        (openssl, "SSL_CTX_use_PrivateKey_file", INT, POINTER, TEXT, INT),
        (openssl, "SSL_CTX_set_ciphersuites", INT, POINTER, TEXT), (openssl, "SSL_new", POINTER, POINTER),
        (openssl, "SSL_CTX_set_keylog_callback", None, POINTER, POINTER),
        (openssl, "SSL_free", None, POINTER), (openssl, "SSL_set_bio", None, POINTER, POINTER, POINTER),
        (openssl, "SSL_set_connect_state", None, POINTER), (openssl, "SSL_do_handshake", INT, POINTER),
        (openssl, "SSL_ctrl", LONG, POINTER, INT, LONG, TEXT), (openssl, "SSL_set1_host", INT, POINTER, TEXT),
        (openssl, "SSL_read", INT, POINTER, POINTER, INT), (openssl, "SSL_write", INT, POINTER, TEXT, INT),
        (openssl, "SSL_get_error", INT, POINTER, INT), (openssl, "SSL_key_update", INT, POINTER, INT),
        (openssl, "SSL_shutdown", INT, POINTER), (openssl, "SSL_get1_session", POINTER, POINTER),
        (openssl, "SSL_set_session", INT, POINTER, POINTER), (openssl, "SSL_SESSION_free", None, POINTER),
        (openssl, "SSL_session_reused", INT, POINTER), (openssl, "SSL_get_version", TEXT, POINTER)):
    declare(library, name, *shape)


ON_SECRET = ctypes.CFUNCTYPE(None, POINTER, TEXT)


class TlsError(AssertionError):
    """OpenSSL's reason."""


def check(good):
    if not good:
        reason = crypto.ERR_reason_error_string(crypto.ERR_get_error())
        crypto.ERR_clear_error()
        raise TlsError(reason.decode() if reason else "OpenSSL gives no reason")


class Context:
    """pair: the certificate that is shown (certificates.Pair); suites: of TLS 1.3, "A:B"; version: the only one;
    fragment: what is asked for by max_fragment_length (RFC 6066 section 4), 1: 512 bytes."""

    def __init__(self, authority, pair=None, suites=None, version=TLS13, fragment=None):
        self.native = openssl.SSL_CTX_new(openssl.TLS_client_method())
        check(openssl.SSL_CTX_load_verify_locations(self.native, str(authority).encode(), None))
        openssl.SSL_CTX_set_verify(self.native, VERIFY_PEER, None)
        for which in (SET_MINIMUM, SET_MAXIMUM):
            check(openssl.SSL_CTX_ctrl(self.native, which, version, None))
        if suites:
            check(openssl.SSL_CTX_set_ciphersuites(self.native, suites.encode()))
        if fragment:
            check(openssl.SSL_CTX_set_tlsext_max_fragment_length(self.native, fragment))
        self.secrets = {}  # Of the newest handshake, by the labels of SSLKEYLOGFILE.
        self.on_secret = ON_SECRET(self.note_secret)
        openssl.SSL_CTX_set_keylog_callback(self.native, self.on_secret)
        if pair:
            check(openssl.SSL_CTX_use_certificate_chain_file(self.native, str(pair.certificate).encode()))
            check(openssl.SSL_CTX_use_PrivateKey_file(self.native, str(pair.key).encode(), PEM))

    def __del__(self):
        openssl.SSL_CTX_free(self.native)

    def note_secret(self, _, line):
        label, _, secret = line.decode().split()
        self.secrets[label] = bytes.fromhex(secret)

    def wrap_socket(self, sock, server_hostname=None, session=None, suppress_ragged_eofs=False):
        """As ssl.SSLContext has it."""
        return Socket(sock, Tls(self, server_hostname, session)).shake_hands()


class Session:
    """What a handshake can be resumed with."""

    def __init__(self, native):
        self.native = native

    def __del__(self):
        openssl.SSL_SESSION_free(self.native)


class Tls:
    """One client's end: ciphertext by put() and take(), plaintext by read() and write()."""

    def __init__(self, context, name=None, session=None):
        self.context = context
        self.native = openssl.SSL_new(context.native)
        self.incoming, self.outgoing = (crypto.BIO_new(crypto.BIO_s_mem()) for _ in range(2))
        openssl.SSL_set_bio(self.native, self.incoming, self.outgoing)  # They are its own from now on.
        openssl.SSL_set_connect_state(self.native)
        if name:
            check(openssl.SSL_ctrl(self.native, SET_HOST_NAME, 0, name.encode()))
            check(openssl.SSL_set1_host(self.native, name.encode()))
        if session:
            check(openssl.SSL_set_session(self.native, session.native))
        self.established = self.ended = False
        self.room = ctypes.create_string_buffer(CHUNK)

    def __del__(self):
        openssl.SSL_free(self.native)

    def put(self, ciphertext):
        crypto.BIO_write(self.incoming, bytes(ciphertext), len(ciphertext))

    def take(self):
        """What is to be sent."""
        taken = b""
        while crypto.BIO_ctrl_pending(self.outgoing):
            count = crypto.BIO_read(self.outgoing, self.room, CHUNK)
            taken += self.room[:count]
        return taken

    def proceed(self, result):
        """True: it is done; false: it waits for bytes, or there will be none."""
        if result > 0:
            return True
        why = openssl.SSL_get_error(self.native, result)
        self.ended = self.ended or why == ZERO_RETURN
        check(why in (WANT_READ, ZERO_RETURN))
        return False

    def shake_hands(self):
        crypto.ERR_clear_error()
        self.established = self.established or self.proceed(openssl.SSL_do_handshake(self.native))
        return self.established

    def write(self, plaintext):
        crypto.ERR_clear_error()
        check(openssl.SSL_write(self.native, bytes(plaintext), len(plaintext)) == len(plaintext))

    def read(self):
        """All that has come."""
        taken = []
        crypto.ERR_clear_error()
        while not self.ended and self.proceed(count := openssl.SSL_read(self.native, self.room, CHUNK)):
            taken.append(self.room[:count])
        return b"".join(taken)

    def key_update(self, asks):
        """asks: the server is to change its keys too."""
        crypto.ERR_clear_error()
        check(openssl.SSL_key_update(self.native, 1 if asks else 0))
        check(openssl.SSL_do_handshake(self.native) == 1)

    def close(self):
        openssl.SSL_shutdown(self.native)
        crypto.ERR_clear_error()

    def session(self):
        return Session(openssl.SSL_get1_session(self.native))

    def session_reused(self):
        return openssl.SSL_session_reused(self.native) == 1


class Socket:
    """A socket with TLS around it, as far as wire.Wire uses one.  sealed(...) gives a record instead of sending it."""

    def __init__(self, raw, tls):
        self.raw = raw
        self.tls = tls

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def shake_hands(self):
        while not self.tls.shake_hands():
            self.flush()
            self.fill()
        self.flush()
        return self

    def flush(self):
        self.raw.sendall(self.tls.take())

    def fill(self):
        data = self.raw.recv(CHUNK)
        if not data:
            raise ConnectionResetError("cut, without a close_notify")
        self.tls.put(data)

    def sealed(self, data):
        self.tls.write(data)
        return self.tls.take()

    def sendall(self, data):
        self.raw.sendall(self.sealed(data))

    def recv(self, _):
        deadline = time.monotonic() + (self.raw.gettimeout() or 60)
        while True:
            data = self.tls.read()
            self.flush()  # What a KeyUpdate has asked for.
            if data or self.tls.ended:
                return data
            if time.monotonic() > deadline:
                raise socket.timeout("only records without data came")
            self.fill()

    def key_update(self, asks):
        self.tls.key_update(asks)
        self.flush()

    def close_notify(self):
        self.tls.close()
        self.flush()

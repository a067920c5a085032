"""Signed tokens (JWT) of RS256, ES256 and HS256, and the JWK sets (RFC 7517) of their keys, made by the openssl command.

    keys = jose.make_keys(directory)              # by algorithm; their files are put into the directory
    jose.key_set(keys.values())                   # the text of a file for "jwks"
    keys["ES256"].sign({"sub": "ann"})
    keys["ES256"].sign({"sub": "ann"}, alg="HS256")       # its header lies
"""

import json
from pathlib import Path

import jwt_token
from certificates import make_key, openssl


class Key:
    """id: its "kid"."""

    def __init__(self, id):
        self.id = id

    def jwk(self):
        return {"kid": self.id, "alg": self.algorithm, "use": "sig", **self.parameters()}

    def sign(self, claims, **header):
        """header: fields beside its own, or in their place."""
        fields = {"alg": self.algorithm, "kid": self.id, **header}
        text = ".".join(jwt_token.encode(json.dumps(part).encode()) for part in (fields, claims))
        return f"{text}.{jwt_token.encode(self.signature(text.encode()))}"


class RsaKey(Key):
    algorithm = "RS256"

    def __init__(self, id, path):
        super().__init__(id)
        self.path = path
        make_key(path, "rsa")

    def parameters(self):
        modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
        return {"kty": "RSA", "n": jwt_token.encode(bytes.fromhex(modulus)), "e": "AQAB"}

    def signature(self, text):
        return openssl("dgst", "-sha256", "-sign", self.path, input=text)

    def public_pem(self):
        return openssl("pkey", "-in", self.path, "-pubout")


class EcKey(Key):
    algorithm = "ES256"

    def __init__(self, id, path):
        super().__init__(id)
        self.path = path
        make_key(path)

    def parameters(self):
        point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]  # An uncompressed one's end.
        return {"kty": "EC", "crv": "P-256", "x": jwt_token.encode(point[:32]), "y": jwt_token.encode(point[32:])}

    def signature(self, text):
        """R and S side by side (RFC 7518 section 3.4); the command gives an ASN.1 sequence of two short numbers."""
        sequence = openssl("dgst", "-sha256", "-sign", self.path, input=text)
        r_end = 4 + sequence[3]
        numbers = sequence[4:r_end], sequence[r_end + 2:]
        return b"".join(int.from_bytes(number, "big").to_bytes(32, "big") for number in numbers)


class Secret(Key):
    algorithm = "HS256"

    def __init__(self, id, secret=None):
        super().__init__(id)
        self.secret = secret or openssl("rand", 32)

    def parameters(self):
        return {"kty": "oct", "k": jwt_token.encode(self.secret)}

    def signature(self, text):
        return openssl("dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{self.secret.hex()}", "-binary", input=text)


def make_keys(directory):
    """One for each algorithm. Those of another directory have the same ids."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    made = RsaKey("rsa", directory / "rsa.pem"), EcKey("ec", directory / "ec.pem"), Secret("shared")
    return {key.algorithm: key for key in made}


def key_set(keys, *more):
    """more: other members of the set, as dictionaries."""
    return json.dumps({"keys": [*(key.jwk() for key in keys), *more]})

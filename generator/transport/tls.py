"""TLS over memory: the socket layer reads and stamps ciphertext, this turns it into plaintext and back."""

from __future__ import annotations

import ssl

from generator.errors import ScenarioError
from generator.job import Tls

_PLAIN_BYTES = 262_144


def context(tls: Tls) -> ssl.SSLContext:
    """A client context as the scenario asks. Raises ScenarioError naming the file that cannot be used."""
    made = ssl.create_default_context()
    made.set_alpn_protocols(["http/1.1"])
    if tls.ca is not None:
        try:
            made.load_verify_locations(cafile=tls.ca)
        except (OSError, ssl.SSLError) as e:
            raise ScenarioError(f"target.tls.ca: {tls.ca}: cannot be read as PEM certificates: {e}") from e
    if tls.cert is not None:
        try:
            made.load_cert_chain(tls.cert, tls.key)
        except (OSError, ssl.SSLError) as e:
            raise ScenarioError(f"target.tls.cert: {tls.cert}: cannot be used with its key: {e}") from e
    if not tls.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


class TlsSession:
    """One connection's TLS state. No socket in sight: bytes in, bytes out."""

    __slots__ = ("_in", "_object", "_out")

    def __init__(self, made: ssl.SSLContext, server_name: str, resume: ssl.SSLSession | None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = made.wrap_bio(self._in, self._out, server_hostname=server_name, session=resume)

    def handshake(self, data: bytes) -> tuple[bytes, bool, str | None]:
        """(bytes to send, done, error). An error comes with the alert that should still be sent."""
        if data:
            self._in.write(data)
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return self._out.read(), False, None
        except (ssl.SSLError, ssl.CertificateError) as e:
            reason = getattr(e, "verify_message", "") or getattr(e, "reason", "") or str(e)
            return self._out.read(), False, f"TLS refused: {reason}"
        return self._out.read(), True, None

    def encrypt(self, data: bytes) -> bytes:
        self._object.write(data)
        return self._out.read()

    def decrypt(self, data: bytes) -> tuple[bytes, bool, str | None]:
        """(plaintext, whole, error). ``whole``: no part of a later record was read with it. An empty error is a clean close."""
        self._in.write(data)
        plain = b""
        while True:
            try:
                piece = self._object.read(_PLAIN_BYTES)
            except ssl.SSLWantReadError:
                return plain, self._in.pending == 0, None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return plain, False, None if plain else ""
            except ssl.SSLError as e:
                return plain, False, None if plain else (e.reason or str(e))
            if not piece:
                return plain, False, None if plain else ""
            plain += piece

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume."""
        return self._object.session

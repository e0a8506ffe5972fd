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

    __slots__ = ("_header", "_in", "_left_bytes", "_object", "_out", "closed")

    def __init__(self, made: ssl.SSLContext, server_name: str, resume: ssl.SSLSession | None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._object = made.wrap_bio(self._in, self._out, server_hostname=server_name, session=resume)
        self._header = b""
        self._left_bytes = 0
        self.closed = False  # by the peer's alert, so that nothing can have been cut off

    def handshake(self, data: bytes) -> tuple[bytes, bool, str | None]:
        """(bytes to send, done, error). An error comes with the alert that should still be sent."""
        if data:
            self._in.write(data)
            self._ends_a_record(data)
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
        """(plaintext, whole, end). ``whole``: no part of a later record was read with it. ``end``: None while the stream goes on,
        empty after the peer's closing alert, else what went wrong."""
        self._in.write(data)
        whole = self._ends_a_record(data)
        plain = b""
        while True:
            try:
                piece = self._object.read(_PLAIN_BYTES)
            except ssl.SSLWantReadError:
                return plain, whole, None
            except ssl.SSLZeroReturnError:
                piece = b""
            except ssl.SSLError as e:
                return plain, False, e.reason or str(e)
            if not piece:
                self.closed = True
                return plain, False, ""
            plain += piece

    def _ends_a_record(self, data: bytes) -> bool:
        """OpenSSL does not tell that it holds the first part of a record, so the headers are followed here: type, version, and
        the length in the last two of five bytes (RFC 8446, 5.1)."""
        header, left, at = self._header, self._left_bytes, 0
        while at < len(data):
            if left:
                taken = min(left, len(data) - at)
                left -= taken
            else:
                piece = data[at : at + 5 - len(header)]
                taken = len(piece)
                header += piece
                if len(header) == 5:
                    left, header = int.from_bytes(header[3:]), b""
            at += taken
        self._header, self._left_bytes = header, left
        return not left and not header

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection may resume."""
        return self._object.session

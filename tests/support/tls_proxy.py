"""A TLS-terminating reverse proxy, as nginx or Caddy would stand before a site: one request a connection."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOP = (b"connection:", b"x-forwarded-")


class TlsProxy:
    """`port` is known at once; `upstream` is set when the site has started."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self._key = folder / "key.pem"
        self._make_certificate()
        self.upstream: tuple[str, int] = ("127.0.0.1", 0)
        self.port = 0

    async def serve(self, stop: asyncio.Event, started: threading.Event) -> None:
        """Serve until `stop`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self._key)
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip().split(b"\r\n")
            upgrade = any(line.lower().startswith(b"upgrade:") for line in lines)
            kept = [line for line in lines if not line.lower().startswith(HOP)]
            kept += [b"X-Forwarded-Proto: https", b"X-Forwarded-For: 203.0.113.9"]
            kept.append(b"Connection: Upgrade" if upgrade else b"Connection: close")
            back, forth = await asyncio.open_connection(*self.upstream)
            forth.write(b"\r\n".join([first, *kept]) + b"\r\n\r\n")
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))

    def _make_certificate(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
        self._key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
    with contextlib.suppress(OSError, RuntimeError):
        target.close()


@contextlib.contextmanager
def tls_proxy(folder: Path) -> Iterator[TlsProxy]:
    """Run a proxy in a thread."""
    proxy = TlsProxy(folder)
    started, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(proxy.serve(stop, started)), daemon=True)
    thread.start()
    try:
        assert started.wait(10)
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)

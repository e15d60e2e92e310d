"""A real mail server on this machine: STARTTLS or TLS, credentials, and refusals at any step."""

import asyncio
import datetime
import ipaddress
import ssl
import warnings
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "desk", "p@ss/word"


@dataclass
class MailServer:
    """`async with` it. `answers` holds, by step (`MAIL`, `RCPT`, `DATA`), what the next ones get; `lost` at DATA takes
    the mail and breaks the connection."""

    folder: Path
    encryption: str = "starttls"
    """starttls, tls or off."""
    answers: dict[str, list[str]] = field(default_factory=dict)
    mail: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        certificate, key = _certificate(self.folder)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
        self.trusted = ssl.create_default_context(cafile=str(certificate))
        self._transports: list[Any] = []

        def protocol() -> SMTP:
            return _Server(
                self,
                tls_context=context if self.encryption == "starttls" else None,
                require_starttls=self.encryption == "starttls",
                auth_required=True,
                auth_require_tls=self.encryption == "starttls",
                authenticator=_authenticate,
                hostname="localhost",
                enable_SMTPUTF8=False,
            )

        loop = asyncio.get_running_loop()
        tls = context if self.encryption == "tls" else None
        self._server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        scheme = "smtps" if self.encryption == "tls" else "smtp"
        more = "/?starttls=off" if self.encryption == "off" else ""
        self.url = f"{scheme}://{USER}:p%40ss%2Fword@127.0.0.1:{self.port}{more}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in self._transports:
            transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def _planned(self, step: str) -> str:
        return self.answers[step].pop(0) if self.answers.get(step) else ""

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if planned := self._planned("MAIL"):
            return planned
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if planned := self._planned("RCPT"):
            return planned
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        planned = self._planned("DATA")
        if planned and planned != "lost":
            return planned
        assert isinstance(envelope.content, bytes)
        self.mail.append(message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        self.envelopes.append((str(envelope.mail_from), envelope.rcpt_tos))
        if planned == "lost":
            server.transport.abort()  # type: ignore[union-attr]
        return "250 2.0.0 taken as 4711"


class _Server(SMTP):
    def __init__(self, mail: MailServer, **how: Any) -> None:
        with warnings.catch_warnings(action="ignore"):  # it finds credentials without TLS unwise
            super().__init__(mail, **how)
        self._mail = mail

    def connection_made(self, transport: Any) -> None:
        self._mail._transports.append(transport)
        super().connection_made(transport)


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    known = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=known, handled=False)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """For 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "mail.crt", folder / "mail.key"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate, private

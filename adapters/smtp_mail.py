"""E-mail by an SMTP server."""

import asyncio
import ssl
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from urllib.parse import parse_qs, unquote, urlsplit

import aiosmtplib

from domain.ports import Clock, Outgoing, Refused, Unavailable, Uncertain

WITHIN_S = 60.0
"""How long all of it may take."""
ANSWER_S = 20.0
"""How long the server may take over each of its answers."""
CHECK_S = 5.0
_SIGN_IN_FIRST = (530, 535, 538)
_POLICY = SMTP_POLICY.clone(cte_type="7bit")


class SmtpMail:
    """See `domain.ports.Messages`. `url` is smtp://user:password@host:port, where the connection must become encrypted
    (STARTTLS) before anything is said, or smtps://…, where it is from the start; `?starttls=off` is for a server on
    this machine. `sender` is the address that all mail comes from, `Willow <desk@willow.example>` or without a name.

    Each message has a connection of its own. One whose last answer was lost, after the message itself had been sent,
    is uncertain: it isn't sent again. `tls_context` is for a server that the system's certificates don't vouch for."""

    def __init__(
        self,
        url: str,
        sender: str,
        clock: Clock,
        *,
        tls_context: ssl.SSLContext | None = None,
        answer_s: float = ANSWER_S,
        within_s: float = WITHIN_S,
    ) -> None:
        """Raises ValueError for what can't be a server's address or a sender's."""
        parts = urlsplit(url)
        if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
            raise ValueError("not smtp://user:password@host:port or smtps://…")
        self._name, self._address = parseaddr(sender)
        if "@" not in self._address:
            raise ValueError(f"not an e-mail address: {sender!r}")
        self._host = parts.hostname
        self._port = parts.port or (465 if parts.scheme == "smtps" else 587)
        self._encrypted = parts.scheme == "smtps"
        self._start_tls = not self._encrypted and parse_qs(parts.query).get("starttls") != ["off"]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._clock, self._tls_context = clock, tls_context
        self._answer_s, self._within_s = answer_s, within_s

    async def check(self) -> None:
        """Raises Unavailable unless the server takes the credentials."""
        server = self._server()
        try:
            async with asyncio.timeout(CHECK_S):
                await self._connect(server)
                await server.quit()
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as problem:
            raise Unavailable(self._explain(problem)) from None
        finally:
            server.close()

    async def send(self, message: Outgoing) -> str:
        """The message's Message-ID, the same at every attempt."""
        id = f"<{message.id}@{self._address.rpartition('@')[2]}>"
        try:
            content = self._content(message, id)
        except ValueError:
            raise Refused("an e-mail can't be made of it: an address or a header is none") from None
        server = self._server()
        given = False
        try:
            async with asyncio.timeout(self._within_s):
                await self._connect(server)
                await server.mail(self._address)
                await server.rcpt(message.to)
                given = True
                await server.data(content)
        except aiosmtplib.SMTPResponseException as problem:
            raise self._outcome(problem, given) from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as problem:
            if given:
                raise Uncertain(f"the answer of mail server {self._host} was lost") from None
            raise Unavailable(self._explain(problem)) from None
        except ValueError:
            raise Refused(f"{message.to!r} is not an address that mail server {self._host} takes") from None
        else:
            with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                async with asyncio.timeout(CHECK_S):
                    await server.quit()
            return id
        finally:
            server.close()

    def _outcome(self, problem: aiosmtplib.SMTPResponseException, given: bool) -> Exception:
        """What the server's refusal says of the message: what comes before it is the deployment's affair."""
        theirs = aiosmtplib.SMTPSenderRefused | aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError
        if not isinstance(problem, theirs) or problem.code in _SIGN_IN_FIRST or 400 <= problem.code < 500:
            return Unavailable(self._explain(problem))
        if problem.code < 500 and given:
            return Uncertain(self._explain(problem))  # neither yes nor no
        return Refused(self._explain(problem))

    def _server(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            timeout=self._answer_s,
            use_tls=self._encrypted,
            start_tls=self._start_tls,
            tls_context=self._tls_context,
        )

    async def _connect(self, server: aiosmtplib.SMTP) -> None:
        await server.connect()
        if self._user:
            await server.login(self._user, self._password)

    def _content(self, message: Outgoing, id: str) -> bytes:
        mail = EmailMessage(policy=_POLICY)
        user, _, domain = self._address.rpartition("@")
        mail["From"] = Address(message.sender or self._name, user, domain)
        mail["To"] = message.to
        if message.reply_to:
            mail["Reply-To"] = message.reply_to
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(self._clock.now())
        mail["Message-ID"] = id
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        # Put in front by hand: an address is not to be folded, nor encoded.
        ended = (
            f"List-Unsubscribe: <{message.unsubscribe_url}>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
            if message.unsubscribe_url
            else ""
        )
        return ended.encode("ascii") + mail.as_bytes()

    def _explain(self, problem: Exception) -> str:
        who = f"mail server {self._host}"
        if isinstance(problem, aiosmtplib.SMTPAuthenticationError):
            return f"{who} refused the credentials ({problem.code})"
        if isinstance(problem, aiosmtplib.SMTPResponseException):
            return f"{who} refused ({problem.code}): {' '.join(problem.message.split())[:300]}"
        if isinstance(problem, ssl.SSLError) or isinstance(problem.__cause__, ssl.SSLError):
            return f"{who} has no certificate that can be trusted"
        if isinstance(problem, TimeoutError):
            return f"{who} took too long"
        if type(problem) is aiosmtplib.SMTPException:
            return f"{who} offers no encryption (STARTTLS), or no way to sign in"
        return f"{who} could not be reached"

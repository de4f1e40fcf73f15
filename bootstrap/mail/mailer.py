"""Mailers: they take one mail and send it, or say that they could not.

`mailer_for` makes one from the configuration: `smtp://` and `smtps://` send by a server, anything else is a folder, in
which each mail becomes a file. A password goes to a server over TLS alone, and so does every mail, but to a server on
this machine.

Source: RFC 5321, RFC 3207 (STARTTLS), RFC 8314 (implicit TLS), RFC 5322.
"""

import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

import trio
from attrs import field, frozen

from peernet.core.errors import PeernetError, UserError
from peernet.node.home import write_secret

__all__ = ["FolderMailer", "Mail", "MailFailed", "Mailer", "SmtpMailer", "mailer_for"]

TIMEOUT_S: Final = 30.0
_LINES: Final = SMTP.clone(max_line_length=900)
"""Lines that mail servers take (RFC 5321, 4.5.3.1.6), so long that a link is never broken."""
_PORTS: Final = {"smtp": 587, "smtps": 465}


@frozen(repr=False)
class Mail:
    """One mail: plain text."""

    id: str
    to: str
    subject: str
    body: str


class MailFailed(PeernetError):
    """A mail was not sent. The message names no address."""

    def __init__(self, message: str, *, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good
        """Whether trying again is of no use."""


class Mailer(Protocol):
    """Sends mails."""

    async def send(self, mail: Mail) -> None:
        """Sends it; raises `MailFailed`."""
        ...


@frozen
class FolderMailer:
    """Writes each mail into a folder, as a file that mail programs open: for one machine, and for tests."""

    folder: Path
    sender: str

    async def send(self, mail: Mail) -> None:
        """Writes it, whole or not at all, for nobody else to read."""
        data = _message(mail, self.sender).as_bytes()
        try:
            await trio.to_thread.run_sync(write_secret, self.folder / f"{mail.id}.eml", data)
        except OSError as error:
            raise MailFailed(f"the folder cannot be written: {error.strerror}") from error


@frozen
class SmtpMailer:
    """Hands mails to a server."""

    host: str
    port: int
    sender: str
    implicit_tls: bool = False
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    context: ssl.SSLContext = field(factory=ssl.create_default_context, repr=False, eq=False)

    async def send(self, mail: Mail) -> None:
        """Sends it in a thread: a server that is slow holds nobody else up."""
        await trio.to_thread.run_sync(self._send, mail, abandon_on_cancel=True)

    def _send(self, mail: Mail) -> None:
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(_message(mail, self.sender), self.sender, [mail.to])
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            raise MailFailed(
                "the recipient was refused", for_good=all(500 <= code < 600 for code in codes)
            ) from None  # it names the address
        except smtplib.SMTPResponseException as error:
            raise MailFailed(f"the mail server said {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise MailFailed(f"the mail server cannot be used: {type(error).__name__}") from None

    def _connected(self) -> smtplib.SMTP:
        if self.implicit_tls:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT_S, context=self.context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT_S)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=self.context)
            elif self.user or not _is_this_machine(self.host):
                raise MailFailed("the mail server offers no encryption (STARTTLS)")
        except BaseException:
            server.close()
            raise
        return server


def mailer_for(where: str, sender: str, folder: Path) -> Mailer:
    """The mailer of the configuration; raises `UserError`.

    Args:
        where: `smtp://user:password@host:port`, `smtps://...`, or a folder; empty for `folder`.
        sender: the address that mails come from.
        folder: where mails go if nothing else is said.
    """
    if not where.startswith(("smtp:", "smtps:")):
        return FolderMailer(Path(where).expanduser() if where else folder, sender)
    try:
        parts = urlsplit(where)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        host, port = None, 0
    if not host:
        raise UserError("[portal] mail is such as smtp://user:password@mail.example.org:587, or a folder")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii():
        # Python's client for SMTP sends others to no server.
        raise UserError("[portal] mail: the mail server's user and password can have letters of ASCII alone")
    return SmtpMailer(host, port, sender, parts.scheme == "smtps", user, password)


def _message(mail: Mail, sender: str) -> EmailMessage:
    message = EmailMessage(policy=_LINES)
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Date"] = formatdate(localtime=False)
    # The same each time, so that whoever gets it twice can tell.
    message["Message-ID"] = f"<{mail.id}@{sender.rpartition('@')[2] or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    return message


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

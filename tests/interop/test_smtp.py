"""Mails are handed to another mail server than ours (aiosmtpd), over sockets, TLS and its own rules of SMTP."""

import socket
import ssl
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from bootstrap.database import Database
from bootstrap.mail.mailer import Mail, MailFailed, SmtpMailer, mailer_for
from bootstrap.mail.outbox import queue_mail
from bootstrap.mail.postman import Postman
from peernet.core.errors import UserError

NOW = 1_800_000_000
FROM = "peernet@example.org"
LINK = "https://peernet.example/verify?key=" + "k" * 300
MAIL = Mail("mailid", "ann@example.org", "Bestätigen", f"Grüße\n{LINK}\n.\n..zwei Punkte\nEnde")
USER, PASSWORD = "portal", "pass word%"


class Box:
    """What the server has taken, and whom it does not take."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.secure: list[bool] = []

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("later"):
            return "451 4.7.1 greylisted: come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        self.taken.append(envelope)
        self.secure.append(session.ssl is not None)
        return "250 OK"


def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def server(authority: trustme.CA, box: Box) -> Iterator[Controller]:
    """A server that asks for STARTTLS, and then for the password."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = Controller(
        box, "127.0.0.1", port, tls_context=context, require_starttls=True, auth_required=True, authenticator=knows
    )
    running.start()
    yield running
    running.stop()


def mailer(server: Controller, authority: trustme.CA, password: str = PASSWORD) -> SmtpMailer:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    return SmtpMailer("localhost", server.port, FROM, user=USER, password=password, context=trusting)


async def test_a_mail_arrives_as_it_was_written(server: Controller, authority: trustme.CA, box: Box):
    await mailer(server, authority).send(MAIL)
    (taken,) = box.taken
    assert (taken.mail_from, taken.rcpt_tos, box.secure) == (FROM, [MAIL.to], [True])
    assert isinstance(taken.content, bytes)
    read = message_from_bytes(taken.content, policy=policy.default)
    assert (read["To"], read["From"], read["Subject"]) == (MAIL.to, FROM, MAIL.subject)
    body = read.get_body()
    assert body is not None
    assert body.get_content().splitlines() == MAIL.body.splitlines()
    assert max(map(len, taken.content.splitlines())) <= 998


async def test_a_wrong_password_and_strangers_are_told_and_tried_again_or_not(
    server: Controller, authority: trustme.CA, box: Box
):
    with pytest.raises(MailFailed) as told:
        await mailer(server, authority, "another").send(MAIL)
    assert not told.value.for_good
    for to, for_good in (("nobody@example.org", True), ("later@example.org", False)):
        with pytest.raises(MailFailed) as told:
            await mailer(server, authority).send(Mail("id", to, "Hello", "There"))
        assert told.value.for_good == for_good
        assert to not in str(told.value)
    assert box.taken == []


async def test_a_server_that_nobody_vouches_for_gets_nothing(server: Controller, box: Box):
    with pytest.raises(MailFailed):
        await mailer(server, trustme.CA()).send(MAIL)
    assert box.taken == []


async def test_the_postman_empties_the_box_into_it(
    server: Controller, authority: trustme.CA, box: Box, sqlite_database: Database
):
    for number in range(3):
        sqlite_database.write(
            lambda transaction, to=f"person{number}@example.org": queue_mail(
                transaction, to=to, subject="Hello", body="There", now_s=NOW
            )
        )
    await Postman(sqlite_database, mailer(server, authority)).deliver(NOW)
    assert sorted(taken.rcpt_tos[0] for taken in box.taken) == [f"person{n}@example.org" for n in range(3)]
    assert sqlite_database.read(lambda transaction: transaction.rows("SELECT id FROM mail")) == []


def test_the_configurations_word_is_such_a_mailer(tmp_path):
    made = mailer_for("smtp://portal:pass%20word%25@localhost:2525", FROM, tmp_path)
    assert isinstance(made, SmtpMailer)
    assert (made.user, made.password, made.port) == (USER, PASSWORD, 2525)
    with pytest.raises(UserError, match="ASCII"):
        mailer_for("smtp://portal:p%C3%A4ss@localhost:2525", FROM, tmp_path)

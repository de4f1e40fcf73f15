"""Mail: written to a folder or handed to a server, sent once, tried again, given up; and nothing said of whom to."""

import contextlib
import smtplib
import socket
import ssl
import stat
import threading
from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from itertools import pairwise
from pathlib import Path

import pytest
import structlog
import trio
import trustme
from attrs import define, field

from bootstrap.database import Database
from bootstrap.mail.mailer import FolderMailer, Mail, MailFailed, SmtpMailer, mailer_for
from bootstrap.mail.outbox import queue_mail
from bootstrap.mail.postman import CLAIM_S, GIVE_UP_S, Postman
from peernet.core.errors import UserError

NOW = 1_800_000_000
MAIL = Mail(
    "mailid", "ann@example.org", "Hello", "A line\nhttps://peernet.example/verify?key=" + "k" * 300 + "\n.\nEnd é"
)


@define
class FakeMailer:
    """Takes mails, or fails as it is told."""

    sent: list[Mail] = field(factory=list)
    failing: MailFailed | None = None

    async def send(self, mail: Mail) -> None:
        await trio.lowlevel.checkpoint()
        if self.failing is not None:
            raise self.failing
        self.sent.append(mail)


@define
class SmtpServer:
    """An SMTP server with one client at a time, as far as our mailer speaks with it."""

    context: ssl.SSLContext | None
    implicit: bool = False
    refuses: str = ""
    """The answer to RCPT TO, if it is not taken."""
    said: list[str] = field(factory=list)
    data: bytes = b""
    listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        client.settimeout(5)
        if self.implicit and self.context:
            client = self.context.wrap_socket(client, server_side=True)
        with contextlib.ExitStack() as stack:
            self._converse(stack.enter_context(client), stack)

    def _converse(self, client: socket.socket, stack: contextlib.ExitStack) -> None:
        secure = self.implicit
        client.sendall(b"220 test\r\n")
        while line := self._line(client):
            word = line[:4].upper()
            self.said.append(("tls " if secure else "") + line)
            if word == "EHLO":
                offered = b"250-test\r\n250-STARTTLS\r\n" if self.context and not secure else b"250-test\r\n"
                client.sendall(offered + b"250 AUTH PLAIN\r\n")
            elif word == "STAR" and self.context:
                client.sendall(b"220 go\r\n")
                client, secure = stack.enter_context(self.context.wrap_socket(client, server_side=True)), True
            elif word == "RCPT" and self.refuses:
                client.sendall(self.refuses.encode() + b"\r\n")
            elif word == "DATA":
                client.sendall(b"354 go\r\n")
                while not self.data.endswith(b"\r\n.\r\n"):
                    self.data += client.recv(4096)
                client.sendall(b"250 taken\r\n")
            elif word == "QUIT":
                client.sendall(b"221 bye\r\n")
                return
            else:
                client.sendall(b"235 in\r\n" if word == "AUTH" else b"250 ok\r\n")

    def _line(self, client: socket.socket) -> str:
        line = b""
        while not line.endswith(b"\r\n"):
            got = client.recv(1)
            if not got:
                return ""
            line += got
        return line.decode().strip()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context_of(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def running() -> Iterator[object]:
    """Runs servers in threads, which end with the test."""
    started: list[tuple[SmtpServer, threading.Thread]] = []

    def run(server: SmtpServer) -> SmtpServer:
        thread = threading.Thread(target=_quietly, args=(server,), daemon=True)
        thread.start()
        started.append((server, thread))
        return server

    yield run
    for server, thread in started:
        server.listener.close()
        thread.join(5)


def _quietly(server: SmtpServer) -> None:
    # The client may hang up: the test says whether it should.
    with contextlib.suppress(OSError):
        server.serve()


async def test_a_mail_becomes_a_file_that_mail_programs_open(tmp_path: Path):
    mailer = FolderMailer(tmp_path / "mail", "desk@peernet.example")
    await mailer.send(MAIL)
    await mailer.send(MAIL)  # again, after a crash: one file
    [path] = (tmp_path / "mail").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert (message["to"], message["from"], message["subject"]) == ("ann@example.org", "desk@peernet.example", "Hello")
    assert message["message-id"] == "<mailid@peernet.example>"
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content().replace("\r\n", "\n") == MAIL.body + "\n"


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MailFailed, match="cannot be written"):
        await FolderMailer(tmp_path / "file" / "mail", "a@example.org").send(MAIL)


async def test_a_server_gets_the_mail_over_tls(authority: trustme.CA, trusting: ssl.SSLContext, running):
    server = running(SmtpServer(context_of(authority)))
    await SmtpMailer("localhost", server.port, "desk@peernet.example", user="u", password="p", context=trusting).send(
        MAIL
    )
    assert [line for line in server.said if line.startswith("AUTH")] == []
    assert any(line.startswith("tls AUTH") for line in server.said)
    assert "tls rcpt TO:<ann@example.org>" in [line.replace("RCPT", "rcpt") for line in server.said]
    assert b"Subject: Hello" in server.data
    assert b"k" * 300 in server.data.replace(b"=\r\n", b"")


async def test_a_server_with_tls_from_the_beginning(authority: trustme.CA, trusting: ssl.SSLContext, running):
    server = running(SmtpServer(context_of(authority), implicit=True))
    await SmtpMailer("localhost", server.port, "desk@peernet.example", implicit_tls=True, context=trusting).send(MAIL)
    assert b"Subject: Hello" in server.data


async def test_another_servers_certificate_gets_no_password(authority: trustme.CA, trusting: ssl.SSLContext, running):
    server = running(SmtpServer(context_of(authority, "evil.example")))
    with pytest.raises(MailFailed, match="SSLCertVerificationError"):
        await SmtpMailer("localhost", server.port, "a@example.org", user="u", password="p", context=trusting).send(
            MAIL
        )
    assert not any("AUTH" in line for line in server.said)


async def test_without_encryption_there_is_no_password_and_no_stranger(running, monkeypatch: pytest.MonkeyPatch):
    server = running(SmtpServer(None))
    with pytest.raises(MailFailed, match="no encryption"):
        await SmtpMailer("127.0.0.1", server.port, "a@example.org", user="u", password="p").send(MAIL)
    assert server.data == b""
    # A server elsewhere: only its name says so here.
    other = running(SmtpServer(None))
    real = smtplib.SMTP
    monkeypatch.setattr(smtplib, "SMTP", lambda _, port, **more: real("127.0.0.1", port, **more))
    with pytest.raises(MailFailed, match="no encryption"):
        await SmtpMailer("mail.example.org", other.port, "a@example.org").send(MAIL)
    local = running(SmtpServer(None))
    await SmtpMailer("127.0.0.1", local.port, "a@example.org").send(MAIL)
    assert local.data


@pytest.mark.parametrize(("answer", "for_good"), [("550 ann@example.org is unknown", True), ("451 later", False)])
async def test_a_refusal_is_for_good_or_not_and_names_nobody(running, answer: str, for_good: bool):
    server = running(SmtpServer(None, refuses=answer))
    with pytest.raises(MailFailed) as told:
        await SmtpMailer("127.0.0.1", server.port, "a@example.org").send(MAIL)
    assert told.value.for_good is for_good
    assert "ann" not in str(told.value)


async def test_a_server_that_is_not_there_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(MailFailed, match="cannot be used"):
        await SmtpMailer("127.0.0.1", port, "a@example.org").send(MAIL)


def test_the_configuration_names_a_mailer(tmp_path: Path):
    made = mailer_for("smtp://us%40er:p%3Aw@mail.example.org", "a@example.org", tmp_path)
    assert isinstance(made, SmtpMailer)
    assert (made.host, made.port, made.user, made.password, made.implicit_tls) == (
        "mail.example.org", 587, "us@er", "p:w", False,
    )  # fmt: skip
    assert "p:w" not in repr(made)
    tls = mailer_for("smtps://mail.example.org:4465", "a@example.org", tmp_path)
    assert isinstance(tls, SmtpMailer)
    assert (tls.port, tls.implicit_tls) == (4465, True)
    assert mailer_for("", "a@example.org", tmp_path) == FolderMailer(tmp_path, "a@example.org")
    assert mailer_for(str(tmp_path / "x"), "a@example.org", tmp_path) == FolderMailer(tmp_path / "x", "a@example.org")
    for wrong in ("smtp://", "smtp://:25", "smtp://host:port"):
        with pytest.raises(UserError, match="is such as"):
            mailer_for(wrong, "a@example.org", tmp_path)


def queue(database: Database, to: str = "ann@example.org", now_s: int = NOW, subject: str = "Hello") -> None:
    database.write(lambda transaction: queue_mail(transaction, to=to, subject=subject, body="x", now_s=now_s))


def waiting(database: Database) -> int:
    return database.read(lambda transaction: transaction.rows("SELECT count(*) FROM mail"))[0][0]


async def test_what_was_sent_is_gone(database: Database):
    queue(database)
    postman = Postman(database, FakeMailer())
    assert await postman.deliver(NOW) == 1
    assert await postman.deliver(NOW) == 0
    assert [mail.to for mail in postman.mailer.sent] == ["ann@example.org"]
    assert waiting(database) == 0


async def test_two_postmen_send_a_mail_once(database: Database):
    for number in range(10):
        queue(database, f"p{number}@example.org")
    mailer = FakeMailer()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(Postman(database, mailer).deliver, NOW)
    assert len(mailer.sent) == len({mail.id for mail in mailer.sent}) == 10


async def test_a_mail_that_fails_waits_longer_each_time_and_is_given_up(sqlite_database: Database):
    queue(sqlite_database)
    mailer = FakeMailer(failing=MailFailed("no server"))
    postman = Postman(sqlite_database, mailer)
    tries, now_s = [], NOW
    while waiting(sqlite_database):
        before = postman.counted.total()
        await postman.deliver(now_s)
        if postman.counted.total() > before:
            tries.append(now_s - NOW)
        now_s += 60 if now_s < NOW + 3 * 3600 else 1800
        assert now_s < NOW + 2 * GIVE_UP_S
    waits = [later - earlier for earlier, later in pairwise(tries)]
    assert waits[:5] == [60, 120, 240, 480, 960]
    assert max(waits) == 4 * 3600
    assert GIVE_UP_S <= tries[-1] <= GIVE_UP_S + 4 * 3600
    assert postman.counted["given_up"] == 1


async def test_a_mail_that_no_server_will_ever_take_is_given_up_at_once(sqlite_database: Database):
    queue(sqlite_database)
    await Postman(sqlite_database, FakeMailer(failing=MailFailed("refused", for_good=True))).deliver(NOW)
    assert waiting(sqlite_database) == 0


async def test_one_mail_that_fails_holds_up_no_other(sqlite_database: Database):
    queue(sqlite_database, "bad@example.org")
    queue(sqlite_database, "good@example.org")

    class Half(FakeMailer):
        async def send(self, mail: Mail) -> None:
            if mail.to.startswith("bad"):
                raise MailFailed("no")
            await super().send(mail)

    assert await Postman(sqlite_database, Half()).deliver(NOW) == 1


async def test_a_postman_who_dies_leaves_the_mail_to_the_next(sqlite_database: Database):
    queue(sqlite_database)

    class Dying(FakeMailer):
        async def send(self, mail: Mail) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Postman(sqlite_database, Dying()).deliver(NOW)
    mailer = FakeMailer()
    assert await Postman(sqlite_database, mailer).deliver(NOW + 1) == 0  # it may still be under way
    assert await Postman(sqlite_database, mailer).deliver(NOW + CLAIM_S) == 1


async def test_a_mailer_that_hangs_is_not_waited_for(sqlite_database: Database, autojump_clock):
    queue(sqlite_database)

    class Hanging(FakeMailer):
        async def send(self, mail: Mail) -> None:
            await trio.sleep_forever()

    postman = Postman(sqlite_database, Hanging())
    assert await postman.deliver(NOW) == 0
    assert postman.counted["failed"] == 1


async def test_no_log_says_whom_a_mail_was_to(sqlite_database: Database):
    queue(sqlite_database)
    with structlog.testing.capture_logs() as logs:
        await Postman(sqlite_database, FakeMailer(failing=MailFailed("no server"))).deliver(NOW)
    assert logs
    assert "ann" not in repr(logs)
    assert "ann" not in repr(MAIL)


async def test_a_subject_is_one_header(tmp_path: Path, sqlite_database: Database):
    queue(sqlite_database, subject="Hello\r\nBcc: bob@example.org\n\nText " + "x" * 200)
    await Postman(sqlite_database, FolderMailer(tmp_path, "a@example.org")).deliver(NOW)
    [path] = tmp_path.glob("*.eml")
    message = BytesParser(policy=policy.default).parsebytes(path.read_bytes())
    assert message["bcc"] is None
    assert message["subject"].startswith("Hello Bcc: bob@example.org Text xxx")
    assert len(message["subject"]) == 150

"""What is written to people about their accounts.

Rules: no mail holds text that somebody else has chosen, since anybody can have one sent to anybody; each says what
happened, what to do, and what to do if it was somebody else.
"""

from attrs import frozen

from bootstrap.database import Transaction
from bootstrap.mail.outbox import queue_mail

__all__ = ["Letters"]


@frozen
class Letters:
    """The letters of one operator."""

    origin: str
    """Where the links lead: scheme, host, port."""
    operator_name: str

    def verify(self, transaction: Transaction, to: str, secret: str, now_s: int) -> None:
        """To somebody who asks for an account."""
        self._send(
            transaction,
            to,
            "Confirm your e-mail address",
            "Somebody, probably you, asked for an account with this address. Open this link to confirm it:\n\n"
            f"{self.origin}/verify?key={secret}\n\n"
            "You will be asked for the password that you chose. The link is good for three days, and once.\n\n"
            "If you did not ask for an account, do nothing: without the link there will be none.",
            now_s,
        )

    def has_account(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To somebody who asks for an account and has one."""
        self._send(
            transaction,
            to,
            "You have an account already",
            "Somebody, probably you, asked for an account with this address. It has one already: sign in at\n\n"
            f"{self.origin}/sign-in\n\n"
            "If you do not know your password any more, or never chose one, choose a new one here:\n\n"
            f"{self.origin}/recover\n\n"
            "If it was somebody else, do nothing: they learn nothing about your account.",
            now_s,
        )

    def recover(self, transaction: Transaction, to: str, secret: str, now_s: int) -> None:
        """To somebody who does not know their password."""
        self._send(
            transaction,
            to,
            "Choose a new password",
            "Somebody, probably you, wants to choose a new password for the account with this address:\n\n"
            f"{self.origin}/recover/new?key={secret}\n\n"
            "The link is good for an hour, and once. The new password ends all sessions and API tokens.\n\n"
            "If it was somebody else, do nothing: your password stays as it is.",
            now_s,
        )

    def no_account(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To an address that somebody takes for an account's."""
        self._send(
            transaction,
            to,
            "There is no account with this address",
            "Somebody, perhaps you, asked for a new password for an account with this address. There is no such "
            "account. If you have one, it is with another address of yours; if not, you can make one here:\n\n"
            f"{self.origin}/sign-up\n\n"
            "If it was somebody else, do nothing.",
            now_s,
        )

    def change_email(self, transaction: Transaction, to: str, secret: str, now_s: int) -> None:
        """To the new address of an account."""
        self._send(
            transaction,
            to,
            "Confirm your new e-mail address",
            "Somebody, probably you, wants to use this address for their account from now on:\n\n"
            f"{self.origin}/account/email/confirm?key={secret}\n\n"
            "The link is good for a day, and once, for whoever is signed in to that account.\n\n"
            "If it was somebody else, do nothing: without the link nothing changes.",
            now_s,
        )

    def address_is_taken(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To an account's address that somebody wants for another account."""
        self._send(
            transaction,
            to,
            "This address belongs to an account already",
            "Somebody, perhaps you, wants to use this address for another account. It has an account already, so "
            "nothing was changed. To use it for the other one, sign in here and delete this account or change its "
            f"address first:\n\n{self.origin}/sign-in\n\n"
            "If it was somebody else, do nothing: they learn nothing about your account.",
            now_s,
        )

    def email_will_change(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To the address that an account has until the new one is confirmed."""
        self._tell(
            transaction,
            to,
            "Your e-mail address is about to change",
            "Somebody who knows your password asked for another e-mail address for your account. It changes once the "
            "new address is confirmed.",
            now_s,
        )

    def email_changed(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To the address that an account had until now."""
        self._send(
            transaction,
            to,
            "Your e-mail address was changed",
            "Your account has another e-mail address from now on, and nothing more will be sent to this one.\n\n"
            f"If it was not you, write to us at once: {self.origin}/contact",
            now_s,
        )

    def password_changed(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To somebody whose password is another one from now on."""
        self._tell(
            transaction,
            to,
            "Your password was changed",
            "The password of your account was changed, and its other sessions were ended.",
            now_s,
        )

    def token_made(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To somebody for whom a program can act from now on."""
        self._tell(
            transaction,
            to,
            "An API token was made",
            f"A program can act for your account with it: {self.origin}/account/tokens shows all of them.",
            now_s,
        )

    def roles_changed(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To somebody who may do more or less from now on."""
        self._send(
            transaction,
            to,
            "Your roles were changed",
            f"An operator changed what your account may do. See {self.origin}/account",
            now_s,
        )

    def suspended(self, transaction: Transaction, to: str, reason: str, now_s: int) -> None:
        """To somebody whose account an operator has suspended, with the operator's reason."""
        self._send(
            transaction,
            to,
            "Your account is suspended",
            f"An operator has suspended your account, for this reason:\n\n{reason}\n\n"
            "You can still sign in, see what is held about you, and use all your rights about it. If you think that "
            f"this is wrong, say so: {self.origin}/contact",
            now_s,
        )

    def restored(self, transaction: Transaction, to: str, now_s: int) -> None:
        """To somebody whose account is suspended no more."""
        self._send(transaction, to, "Your account works again", "Your account is no longer suspended.", now_s)

    def _tell(self, transaction: Transaction, to: str, subject: str, body: str, now_s: int) -> None:
        doubt = f"If it was not you, choose a new password at once: {self.origin}/recover"
        self._send(transaction, to, subject, f"{body}\n\n{doubt}", now_s)

    def _send(self, transaction: Transaction, to: str, subject: str, body: str, now_s: int) -> None:
        signed = f"{body}\n\n-- \n{self.operator_name}\n{self.origin}\n"
        queue_mail(transaction, to=to, subject=subject, body=signed, now_s=now_s)

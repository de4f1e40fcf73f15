"""TLS for WebSockets: certificates to listen with, authorities to trust, and errors that say what to do.

Rules:

1. TLS 1.2 or newer. A listener has a certificate and its key, from PEM files. Who dials checks the certificate
   against the system's authorities, and one more file if configured, and against the name that it dialled.
2. TLS is there for firewalls, proxies and browsers. Who a peer is comes from Noise inside, whatever the certificate.
3. A file that cannot be used is found out when the peer starts, not when somebody connects.
"""

import ssl
from pathlib import Path
from typing import NoReturn

import trio
from attrs import frozen

from peernet.core.errors import ConnectionFailed, RemoteProtocolError, UserError

__all__ = ["TlsFiles", "TlsStream", "accept_tls", "dialling_context", "listening_context", "start_tls"]

TlsStream = trio.SSLStream[trio.SocketStream]

_ALPN = ["http/1.1"]


@frozen
class TlsFiles:
    """The PEM files of a node; an empty path is none."""

    certificate: str = ""
    """The certificate to listen with, and its chain."""
    key: str = ""
    """Its private key; empty if it is in the certificate's file."""
    authority: str = ""
    """Certificates that are trusted besides the system's authorities."""


def listening_context(files: TlsFiles) -> ssl.SSLContext:
    """What a listener speaks TLS by; raises `UserError` when a file cannot be used."""
    if not files.certificate:
        raise UserError("listening on /tls/ws needs a certificate: give --tls-certificate FILE and --tls-key FILE")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    for option, path in (("--tls-certificate", files.certificate), ("--tls-key", files.key)):
        _require_readable(option, path)
    try:
        context.load_cert_chain(files.certificate, files.key or None, password=lambda: _refuse_password(files))
    except ssl.SSLError as error:
        raise UserError(_unusable(files, error)) from error
    return context


def dialling_context(files: TlsFiles) -> ssl.SSLContext:
    """What a dialler checks certificates by; raises `UserError` when the authority's file cannot be used."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_ALPN)
    _require_readable("--tls-authority", files.authority)
    if files.authority:
        try:
            context.load_verify_locations(files.authority)
        except ssl.SSLError as error:
            raise UserError(f"--tls-authority {files.authority} holds no certificate in PEM form") from error
    return context


async def start_tls(socket: trio.SocketStream, context: ssl.SSLContext, name: str) -> TlsStream:
    """TLS on a socket that we dialled; raises `ConnectionFailed` unless its certificate is trusted and for `name`."""
    stream = trio.SSLStream(socket, context, server_hostname=name, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise ConnectionFailed(_why_failed(error.__cause__, name)) from error
    return stream


async def accept_tls(socket: trio.SocketStream, context: ssl.SSLContext) -> TlsStream:
    """TLS on a socket that somebody dialled; raises `RemoteProtocolError` for what is no TLS of ours."""
    stream = trio.SSLStream(socket, context, server_side=True, https_compatible=True)
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        raise RemoteProtocolError("the TLS handshake failed", reason="tls") from error
    return stream


def _require_readable(option: str, path: str) -> None:
    if not path:
        return
    try:
        with Path(path).open("rb"):
            return
    except OSError as error:
        raise UserError(f"{option} {path} cannot be read: {error.strerror or error}") from error


def _refuse_password(files: TlsFiles) -> NoReturn:
    raise UserError(
        f"the key in {files.key or files.certificate} is locked by a password, which nobody is there to type: "
        "give --tls-key a file with the key unlocked, and let only the peer's user read it"
    )


def _unusable(files: TlsFiles, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {files.key} does not fit the certificate in {files.certificate}: give its own key"
    if not files.key:
        return (
            f"{files.certificate} holds no certificate with its key in PEM form: is the key in a file for --tls-key?"
        )
    return f"{files.certificate} and {files.key} are not a certificate and its key in PEM form"


def _why_failed(cause: BaseException | None, name: str) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        if cause.verify_code in {62, 64}:
            return f"the certificate there is not for {name}"
        return (
            f"the certificate of {name} is not trusted ({cause.verify_message}): if a private authority issued it, "
            "give that one's certificate with --tls-authority"
        )
    if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
        return "no TLS is spoken there: is the address /ws instead of /tls/ws?"
    return "the TLS handshake failed"

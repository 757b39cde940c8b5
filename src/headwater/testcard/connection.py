"""A publisher's connection: opened, brought to the publish, and listened to; and its failures in words."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl

from headwater.errors import PublishRefused
from headwater.protocols.rtmp.client import ClientSession, Publishing, PublishUrl

CONNECT_TIMEOUT_S = 10.0


class NoTls(ConnectionError):
    """What answered speaks no TLS: to try again does not help."""


async def open_connection(
    url: PublishUrl, context: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, and speak TLS where a context is given.

    Raises:
        OSError: the server cannot be reached, speaks no TLS, or (ssl.SSLCertVerificationError) is not trusted.
        TimeoutError: nothing happened within CONNECT_TIMEOUT_S.
    """
    opening = asyncio.open_connection(url.host, url.port, ssl=context)
    try:
        return await asyncio.wait_for(opening, CONNECT_TIMEOUT_S)
    except ssl.SSLCertVerificationError:
        raise
    except (ssl.SSLError, ConnectionResetError) as error:
        if context is None:
            raise
        # What answers TLS with a reset or with something else is most often a port of plain RTMP. A reset may also be
        # a proxy whose server is away for a moment.
        kind = NoTls if isinstance(error, ssl.SSLError) else ConnectionError
        raise kind(f"no TLS is spoken there ({words(error)}); is it the port of RTMPS?") from error


async def negotiate(session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """From the handshake to the server's NetStream.Publish.Start."""
    writer.write(session.data_to_send())
    heard = False
    while True:
        data = await reader.read(65_536)
        if not data and not heard:
            raise EOFError("the server closed the connection without an answer; does that port speak RTMP?")
        if not data:
            raise EOFError("the server closed the connection before it accepted the publish")
        heard = True
        events = session.receive_data(data)
        writer.write(session.data_to_send())
        if any(isinstance(event, Publishing) for event in events):
            return


async def listen(session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer pings and acknowledge; ends by raising."""
    while data := await reader.read(65_536):
        session.receive_data(data)
        writer.write(session.data_to_send())
    raise EOFError("the server closed the connection")


def tls_context(insecure: bool) -> ssl.SSLContext:
    """The machine's trusted certificates, or those of SSL_CERT_FILE; `insecure` trusts any."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def words(error: BaseException) -> str:
    """Why a connection failed, for people."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, PublishRefused):
        return error.description
    if isinstance(error, socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, ConnectionResetError) and not str(error):
        return "the server closed the connection"
    return str(error) or type(error).__name__


def distrust(error: ssl.SSLCertVerificationError) -> str:
    """Why a certificate was refused, and what can be done."""
    why = error.verify_message.rstrip(".")
    return f"the server's certificate is not trusted: {why} (SSL_CERT_FILE names one to trust, --insecure trusts any)"

"""Postfix from the cache: as somebody's mail server with us as its relayhost, and as a recipient's server."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.peers.packages import unpacked
from tests.peers.peer import (
    KEEPER,
    MAIL_OWNER,
    POSTDROP,
    Peer,
    Sink,
    environment,
    folder,
    free_port,
    maildir,
    need_root,
    own_copy,
    with_resolver,
)

P = TypeVar("P", bound=Peer)

_SERVICES = """\
{listen} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

# Folders of the queue with their owner, group and mode, as Postfix's own set-up makes them.
_OWN = (
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
)
_QUEUE = dict.fromkeys(_OWN, (MAIL_OWNER, 0, 0o700)) | {
    "maildrop": (MAIL_OWNER, POSTDROP, 0o730),
    "public": (MAIL_OWNER, POSTDROP, 0o710),
    "pid": (0, 0, 0o755),
}


@contextmanager
def postfix_relay(
    relayhost: tuple[str, int],
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    mynetworks: str = "127.0.0.0/8",
    main_cf: Mapping[str, str] | None = None,
) -> Iterator[Peer]:
    """A mail server that takes mail from `mynetworks` and hands all of it to `relayhost`.

    `main_cf` is added to its configuration and wins, for example {"smtp_tls_security_level": "encrypt"}.
    """
    settings = {
        "relayhost": f"[{relayhost[0]}]:{relayhost[1]}",
        "mynetworks": mynetworks,
        "myhostname": "mail.relay.example",
        "minimal_backoff_time": "2s",
        "maximal_backoff_time": "4s",
        "queue_run_delay": "2s",
    }
    with _home() as (home, root):
        peer = Peer(home, address, port or free_port(address))
        _configure(peer, root, settings | dict(main_cf or {}))
        yield from _running(peer, root)


@contextmanager
def postfix_sink(
    certificate: Path | None,
    key: Path | None,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    main_cf: Mapping[str, str] | None = None,
) -> Iterator[Sink]:
    """A recipient's server for every domain: STARTTLS with the given certificate, each copy kept in a file.

    It changes nothing of a message: no header is added but Return-Path, X-Original-To, Delivered-To and Received, none
    is removed, not even Bcc.
    """
    settings = {
        "mynetworks": "127.0.0.0/8",
        "myhostname": "mx.sink.example",
        "virtual_mailbox_domains": "static:all",
        "virtual_mailbox_maps": "static:mail/",
        "virtual_minimum_uid": "100",
        "virtual_uid_maps": f"static:{KEEPER}",
        "virtual_gid_maps": f"static:{KEEPER}",
        "virtual_mailbox_limit": "0",
        "message_drop_headers": "",
    }
    with _home() as (home, root):
        if certificate is not None and key is not None:
            settings["smtpd_tls_security_level"] = "may"
            settings["smtpd_tls_cert_file"] = str(own_copy(certificate, home / "certificate.pem", 0))
            settings["smtpd_tls_key_file"] = str(own_copy(key, home / "key.pem", 0))
        box = maildir(home, KEEPER)
        sink = Sink(home, address, port or free_port(address), box)
        _configure(sink, root, settings | {"virtual_mailbox_base": str(home)} | dict(main_cf or {}))
        yield from _running(sink, root)


@contextmanager
def postfix_sender(resolver: str, main_cf: Mapping[str, str]) -> Iterator[Peer]:
    """A mail server that takes mail from this machine and delivers it itself, by MX, asking the resolver on port 53.

    What could not be delivered is tried again after a second, and then after an hour.
    """
    settings = {
        "mynetworks": "127.0.0.0/8",
        "myhostname": "mail.sender.example",
        "smtp_host_lookup": "dns",
        "smtp_dns_support_level": "dnssec",
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "1h",
        "queue_run_delay": "1s",
    }
    with _home() as (home, root):
        peer = Peer(home, "127.0.0.1", free_port("127.0.0.1"))
        _configure(peer, root, settings | dict(main_cf))
        yield from _running(peer, root, with_resolver(resolver, home))


def queued(peer: Peer) -> int:
    """How many messages wait in a Postfix's queue."""
    folders = (peer.home / "queue" / name for name in ("incoming", "active", "deferred", "hold"))
    return sum(file.is_file() for path in folders for file in path.rglob("*"))


@contextmanager
def _home() -> Iterator[tuple[Path, Path]]:
    need_root("Postfix")
    root = unpacked("postfix", "libnss-wrapper")
    with folder() as home:
        yield home, root


def _configure(peer: Peer, root: Path, settings: Mapping[str, str]) -> None:
    for name, (owner, group, mode) in {"": (0, 0, 0o755), **_QUEUE}.items():
        path = peer.home / "queue" / name
        path.mkdir()
        os.chown(path, owner, group)
        path.chmod(mode)
    (peer.home / "data").mkdir()
    os.chown(peer.home / "data", MAIL_OWNER, MAIL_OWNER)
    kept = "LD_LIBRARY_PATH LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP"
    base = {
        "compatibility_level": "3.6",
        "queue_directory": str(peer.home / "queue"),
        "data_directory": str(peer.home / "data"),
        "daemon_directory": str(root / "usr/lib/postfix/sbin"),
        "command_directory": str(root / "usr/sbin"),
        "shlib_directory": str(root / "usr/lib/postfix"),
        "meta_directory": str(root / "etc/postfix"),
        "import_environment": f"MAIL_CONFIG MAIL_LOGTAG POSTLOG_SERVICE POSTLOG_HOSTNAME LANG=C TZ {kept}",
        "mail_owner": "postfix",
        "setgid_group": "postdrop",
        "default_privs": "nobody",
        "maillog_file": "/dev/stdout",
        "mydestination": "",
        "inet_interfaces": "127.0.0.1",  # for its judgement of what is itself; master.cf says where it listens
        "inet_protocols": "ipv4",
        "alias_maps": "",
        "alias_database": "",
        "local_recipient_maps": "",
        "local_header_rewrite_clients": "",
        "smtpd_relay_restrictions": "permit_mynetworks, reject",
        "smtp_host_lookup": "native",
        "smtp_dns_support_level": "disabled",
        "message_size_limit": "209715200",
        "biff": "no",
    }
    lines = [f"{name} = {value}" for name, value in (base | dict(settings)).items()]
    (peer.home / "etc").mkdir()
    (peer.home / "etc/main.cf").write_text("\n".join(lines) + "\n")
    (peer.home / "etc/master.cf").write_text(_SERVICES.format(listen=f"{peer.host}:{peer.port}"))


def _running(peer: P, root: Path, before: Sequence[str] = ()) -> Iterator[P]:
    environ = environment(root, peer.home, "usr/lib/postfix") | {"MAIL_CONFIG": str(peer.home / "etc")}
    try:
        peer.start(
            [*before, root / "usr/lib/postfix/sbin/master", "-c", peer.home / "etc", "-s"],
            environ,
        )
        yield peer
    finally:
        peer.stop()

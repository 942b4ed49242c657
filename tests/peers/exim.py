"""Exim from the cache, as a recipient's server: another implementation, and GnuTLS instead of OpenSSL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.peers.packages import unpacked
from tests.peers.peer import (
    KEEPER,
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

_CONFIGURATION = """\
primary_hostname = mx.exim.example
exim_path = {home}/exim
spool_directory = {home}/spool
log_file_path = {home}/log/%s
pid_file_path = {home}/pid
daemon_smtp_ports = {port}
local_interfaces = {address}
keep_environment =
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
deliver_drop_privilege = true
message_size_limit = 200M
smtp_accept_max = 200
{tls}
begin routers
all:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  maildir_format
  directory = {home}/mail
  return_path_add
  envelope_to_add
begin retry
* * F,2h,1m
"""


_CLIENT = """\
primary_hostname = mail.hospital.example
exim_path = {home}/exim
spool_directory = {home}/spool
log_file_path = {home}/log/%s
log_selector = +all
keep_environment =
trusted_users = root
deliver_drop_privilege = true
host_lookup =
begin routers
all:
  driver = manualroute
  transport = out
  route_list = * {host}::{port} byname
  self = send
begin transports
out:
  driver = smtp
  hosts_require_tls = *
  tls_verify_certificates = {ca}
  tls_verify_hosts = *
  hosts_try_chunking = *
begin retry
* * F,2h,1m
"""


@contextmanager
def exim_client(server: tuple[str, int], ca: Path) -> Iterator[tuple[list[str], dict[str, str], Path]]:
    """A mail server with us as its smarthost: the command that takes a message, its environment, its log."""
    need_root("Exim")
    root = unpacked("exim4-daemon-light", "exim4-base", "libnss-wrapper")
    with folder() as home:
        own_copy(ca, home / "ca.pem", KEEPER)
        text = _CLIENT.format(home=home, host=server[0], port=server[1], ca=home / "ca.pem")
        (home / "exim.conf").write_text(text)
        (home / "spool").mkdir()
        for path in (home / "spool", home / "log"):
            os.chown(path, KEEPER, KEEPER)
        program = _program(root, home)
        yield [str(program), "-C", str(home / "exim.conf")], {"PATH": "/usr/bin:/bin"}, home / "log/main"


_SENDER = """\
primary_hostname = mail.sender.example
exim_path = {home}/exim
spool_directory = {home}/spool
log_file_path = {home}/log/%s
pid_file_path = {home}/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
keep_environment =
acl_smtp_rcpt = accept
acl_smtp_data = accept
host_lookup =
rfc1413_query_timeout = 0s
tls_advertise_hosts =
disable_ipv6 = true
dns_dnssec_ok = 1
smtp_accept_queue_per_connection = 0
deliver_drop_privilege = true
begin routers
all:
  driver = dnslookup
  transport = out
  self = send
  dnssec_request_domains = *
begin transports
out:
  driver = smtp
  port = {to}
  dnssec_request_domains = *
  tls_verify_certificates = {ca}
{more}
begin retry
* * F,2h,1h
"""


@contextmanager
def exim_sender(resolver: str, port: int, ca_file: Path, more: Mapping[str, str]) -> Iterator[Peer]:
    """A mail server that takes mail from this machine and delivers it itself, by MX, to that port.

    It asks the resolver on port 53. `more` is added to the transport. What could not be delivered waits for an hour.
    """
    need_root("Exim")
    root = unpacked("exim4-daemon-heavy", "exim4-base", "libnss-wrapper")
    with folder() as home:
        own_copy(ca_file, home / "ca.pem", KEEPER)
        peer = Peer(home, "127.0.0.1", free_port("127.0.0.1"))
        lines = "\n".join(f"  {name} = {value}" for name, value in more.items())
        text = _SENDER.format(home=home, port=peer.port, to=port, ca=home / "ca.pem", more=lines)
        (home / "exim.conf").write_text(text)
        (home / "spool").mkdir()
        for path in (home / "spool", home / "log"):
            os.chown(path, KEEPER, KEEPER)
        command = [
            *with_resolver(resolver, home),
            str(_program(root, home)),
            "-C",
            f"{home}/exim.conf",
            "-bdf",
        ]
        try:
            peer.start(command, {"PATH": "/usr/bin:/bin"})
            yield peer
        finally:
            peer.stop()


@contextmanager
def exim_sink(
    certificate: Path | None, key: Path | None, *, address: str = "127.0.0.1", port: int = 0, more: str = ""
) -> Iterator[Sink]:
    """A recipient's server for every domain: STARTTLS with the given certificate, each copy kept in a file.

    `more` is added to the main section of its configuration.
    """
    need_root("Exim")
    root = unpacked("exim4-daemon-light", "exim4-base", "libnss-wrapper")
    with folder() as home:
        tls = "tls_advertise_hosts ="
        if certificate is not None and key is not None:
            own_copy(certificate, home / "certificate.pem", KEEPER)
            own_copy(key, home / "key.pem", KEEPER)
            tls = f"tls_certificate = {home}/certificate.pem\ntls_privatekey = {home}/key.pem"
        port = port or free_port(address)
        text = _CONFIGURATION.format(home=home, address=address, port=port, tls=tls + "\n" + more)
        (home / "exim.conf").write_text(text)
        (home / "spool").mkdir()
        for path in (home / "spool", home / "log"):
            os.chown(path, KEEPER, KEEPER)
        program = _program(root, home)
        sink = Sink(home, address, port, maildir(home, KEEPER))
        try:
            sink.start([program, "-C", home / "exim.conf", "-bdf"], {"PATH": "/usr/bin:/bin"})
            yield sink
        finally:
            sink.stop()


def _program(root: Path, home: Path) -> Path:
    """Exim runs itself again for each delivery with a cleaned environment, so the environment comes from a script."""
    settings = [f"{name}='{value}'" for name, value in environment(root, home, "usr/lib").items()]
    program = home / "exim"
    program.write_text(f'#!/bin/sh\nexec env {" ".join(settings)} "{root}/usr/sbin/exim4" "$@"\n')
    program.chmod(0o755)
    return program

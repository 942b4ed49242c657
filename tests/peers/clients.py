"""Programs that submit mail, run once for each message: msmtp, GNU SASL, swaks, OpenSMTPD's smtp, nodemailer, Exim.

Each returns what the program printed; a refusal by the server or any other failure raises ClientFailed with it. None
but Exim needs root. Where a package or an interpreter is missing they raise PeerUnavailable.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from tests.peers.exim import exim_client
from tests.peers.packages import PeerUnavailable, unpacked

_PATIENCE = 60.0

_NODEMAILER = """
const [job] = process.argv.slice(1);
const {port, host, ca, auth, from, to, raw} = JSON.parse(job);
const transport = require("nodemailer").createTransport({
  host, port, secure: false, requireTLS: true, tls: {ca: require("fs").readFileSync(ca)}, auth,
});
transport.sendMail({envelope: {from, to}, raw: Buffer.from(raw, "base64")})
  .then(sent => console.log(sent.response), error => { console.error(error.message); process.exit(1); });
"""


class ClientFailed(AssertionError):
    """The program did not get rid of its message; the text is what it printed."""


async def msmtp(
    server: tuple[str, int],
    ca: str,
    message: bytes,
    *,
    sender: str,
    to: Sequence[str],
    mechanism: str = "off",
) -> str:
    """`mechanism` is one of msmtp's words, such as `scram-sha-256`; the login is printer with the password geheim."""
    root = unpacked("msmtp")
    login = ["--user=printer", "--passwordeval=echo geheim"] if mechanism != "off" else []
    return await _run(
        [
            root / "usr/bin/msmtp", "--file=/dev/null", f"--host={server[0]}", f"--port={server[1]}",
            "--tls=on", "--tls-starttls=on", f"--tls-trust-file={ca}", f"--auth={mechanism}", *login,
            f"--from={sender}", "--debug", "--", *to,
        ],
        message, _libraries(root),
    )  # fmt: skip


async def gsasl(server: tuple[str, int], ca: str, mechanism: str) -> str:
    """GNU SASL's own client logs in as printer with the password geheim, and says what it said."""
    root = unpacked("gsasl")
    return await _run(
        [
            root / "usr/bin/gsasl", "--smtp", "--starttls", "--verbose", f"--x509-ca-file={ca}",
            f"--mechanism={mechanism}", "--authentication-id=printer", "--password=geheim",
            "--connect", f"{server[0]}:{server[1]}",
        ],
        b"QUIT\r\n", _libraries(root),
    )  # fmt: skip


async def swaks(
    server: tuple[str, int],
    message: bytes,
    *more: str,
    sender: str,
    to: Sequence[str],
    source: str = "127.0.0.1",
) -> str:
    """`more` are further arguments of swaks."""
    root = unpacked("swaks", "libnet-ssleay-perl", "perl-openssl-defaults")
    perl = sorted(root.glob("usr/lib/*/perl5/*"))
    environ = _libraries(root) | {"PERL5LIB": ":".join(map(str, (*perl, root / "usr/share/perl5")))}
    return await _run(
        [
            root / "usr/bin/swaks", "--server", f"{server[0]}:{server[1]}", "--local-interface", source,
            "--helo", "client.hospital.example", "--from", sender, "--to", ",".join(to), "--data", "-", *more,
        ],
        message, environ,
    )  # fmt: skip


async def opensmtpd(server: tuple[str, int], message: bytes, *, sender: str, to: Sequence[str]) -> str:
    """The client half of OpenSMTPD; STARTTLS is demanded, our certificate's issuer is nobody that it knows."""
    root = unpacked("opensmtpd")
    return await _run(
        [root / "usr/bin/smtp", "-C", "-v", "-s", f"smtp+tls://{server[0]}:{server[1]}", "-F", sender, *to],
        message, _libraries(root),
    )  # fmt: skip


async def nodemailer(
    server: tuple[str, int], ca: str, message: bytes, *, sender: str, to: Sequence[str], login: bool = False
) -> str:
    node = shutil.which("node")
    if node is None:
        raise PeerUnavailable("nodemailer: needs node, and there is none")
    root = unpacked("node-nodemailer")
    job = {
        "host": server[0], "port": server[1], "ca": ca, "from": sender, "to": list(to),
        "auth": {"user": "printer", "pass": "geheim"} if login else None, "raw": base64.b64encode(message).decode(),
    }  # fmt: skip
    environ = {"PATH": os.environ["PATH"], "NODE_PATH": str(root / "usr/share/nodejs")}
    return await _run([node, "-e", _NODEMAILER, json.dumps(job)], b"", environ)


async def exim(server: tuple[str, int], ca: str, message: bytes, *, sender: str, to: Sequence[str]) -> str:
    """Exim's delivery log: with K where it used BDAT."""
    with exim_client(server, Path(ca)) as (command, environ, log):
        await _run(
            [*command, "-odf", "-oi", "-f", sender, "--", *to], message.replace(b"\r\n", b"\n"), environ
        )
        return log.read_text()


def _libraries(root: Path) -> dict[str, str]:
    folders = sorted(root.glob("usr/lib/*-linux-gnu*"))
    return {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": ":".join(map(str, folders)), "HOME": "/nonexistent"}


async def _run(command: Sequence[str | Path], stdin: bytes, environ: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=environ,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(stdin), _PATIENCE)
    except TimeoutError:
        process.kill()
        raise
    text = said.decode(errors="replace")
    if process.returncode:
        raise ClientFailed(f"{Path(command[0]).name} ended with {process.returncode}:\n{text[-3000:]}")
    return text

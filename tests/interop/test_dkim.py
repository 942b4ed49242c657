"""Our signatures read by Perl's Mail::DKIM, which Debian packages: nothing of it is ours, nor dkimpy's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.wire.dkim import hash_message, signature_field
from tests.fakes.dkim_zone import kept_keys
from tests.peers.packages import PeerUnavailable, unpacked

PACKAGES = (
    "libmail-dkim-perl",
    "libcrypt-openssl-bignum-perl",
    "libcrypt-openssl-random-perl",
    "libcrypt-openssl-rsa-perl",
    "libcryptx-perl",
    "libjson-perl",
    "libmail-authenticationresults-perl",
    "libmailtools-perl",
    "libnet-dns-perl",
)
READER = """
use Mail::DKIM::Verifier; use Mail::DKIM::PublicKey; use Mail::DKIM::DNS;
my %zone; open(my $in, '<', $ARGV[0]) or die; while (<$in>) { chomp; my ($n, $t) = split /\\t/; $zone{$n} = $t }
{ package Fake; sub new { my ($c, $n) = @_; bless { n => $n }, $c } sub type { 'TXT' }
  sub char_str_list { $zone{$_[0]{n}} } sub txtdata { $zone{$_[0]{n}} } }
no warnings 'redefine';
*Mail::DKIM::DNS::query = sub { $zone{$_[0]} ? (Fake->new($_[0])) : () };
*Mail::DKIM::DNS::query_async = sub { my ($n, $t, %p) = @_; my @found = Mail::DKIM::DNS::query($n, $t);
  my $on = $p{Callbacks}{Success}; return sub { $on ? $on->(@found) : @found } };
my $reader = Mail::DKIM::Verifier->new(); binmode STDIN;
while (read(STDIN, my $piece, 65536)) { $reader->PRINT($piece) }
$reader->CLOSE;
print join("\\n", map { $_->algorithm . ' ' . $_->result_detail } $reader->signatures), "\\n";
"""
MESSAGES = {
    "plain": b"From: ann@hospital.example\r\nTo: b@c.example\r\nSubject: x\r\n\r\nhello \t there\r\n\r\n\r\n",
    "folded": (
        b"From: Ann\r\n <ann@hospital.example>\r\nTo: b@c.example,\r\n\td@e.example\r\nSubject:  a   b \r\n"
        b"Message-ID: <1@hospital.example>\r\nList-Id: x\r\nMIME-Version: 1.0\r\n\r\n..dots\r\n.\r\nlast line"
    ),
    "eight bits": "From: ann@hospital.example\r\nSubject: gr\xfc\xdfe\r\n\r\n\xfcber\r\n".encode(),
    "no body": b"From: ann@hospital.example\r\n\r\n",
    "twice": b"From: ann@hospital.example\r\nTo: a@b.example\r\nTo: c@d.example\r\n\r\nx\r\n",
}

Verdicts = Callable[[bytes], list[str]]


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Verdicts:
    """What Mail::DKIM says of each signature of a message."""
    perl = shutil.which("perl")
    if perl is None:
        pytest.skip("there is no perl")
    try:
        root = unpacked(*PACKAGES, libraries=False)
    except PeerUnavailable as reason:
        pytest.skip(str(reason))
    folders = [root / "usr/share/perl5", *sorted((root / "usr/lib").glob("*/perl5/*"))]
    environment = os.environ | {"PERL5LIB": ":".join(map(str, folders))}
    folder: Path = tmp_path_factory.mktemp("zone")
    zone = folder / "zone"
    zone.write_text("".join(f"{key.record.name}\t{key.record.text}\n" for key in kept_keys()))

    def read(content: bytes) -> list[str]:
        done = subprocess.run(
            [perl, "-e", READER, str(zone)], input=content, capture_output=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().splitlines()

    return read


def signed(content: bytes) -> bytes:
    hashed = hash_message(content)
    now = datetime.now(UTC)
    return b"".join(signature_field(hashed, key, now, timedelta(days=7)) for key in kept_keys()) + content


@pytest.mark.parametrize("name", MESSAGES)
def test_the_signatures_pass(verdicts: Verdicts, name: str) -> None:
    """Debian's version knows RSA only, and must not stumble over the other; dkimpy judges that in other tests."""
    rsa, ed25519 = verdicts(signed(MESSAGES[name]))
    assert rsa == "rsa-sha256 pass"
    assert ed25519 in {"ed25519-sha256 pass", "ed25519-sha256 invalid (unsupported algorithm ed25519-sha256)"}


def test_it_sees_what_was_changed_or_added(verdicts: Verdicts) -> None:
    content = signed(MESSAGES["plain"])
    assert not any("pass" in one for one in verdicts(content.replace(b"hello", b"hullo")))
    assert not any("pass" in one for one in verdicts(b"Subject: y\r\n" + content))
    assert verdicts(b"Received: from z\r\n" + content)[0] == "rsa-sha256 pass"

"""What a configuration file may say, how each mistake is told, and that all mistakes are told at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from gateway.config import Config, ConfigError, ConfigProblem, load
from gateway.config.fields import Endpoint
from gateway.model.address import Address

MINIMAL = """\
hostname = "gw.hospital.example"
data_dir = "data"
policy = "policy.toml"
postmaster = "postmaster@hospital.example"

[[listener]]
name = "smarthost"
address = "127.0.0.1:2525"
tls = "off"

[[connector]]
name = "office"
kind = "smtp"
domains = ["Hospital.example", "bücher.example"]
networks = ["192.0.2.0/28"]
"""
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$" + "A" * 43


class Site:
    """A folder with a configuration in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "sealgate.toml"

    def load(self, text: str, environ: Mapping[str, str] | None = None) -> Config:
        self.file.write_text(text)
        return load(self.file, environ or {})

    def problems(self, text: str, environ: Mapping[str, str] | None = None) -> tuple[ConfigProblem, ...]:
        with pytest.raises(ConfigError) as caught:
            self.load(text, environ)
        return caught.value.problems

    def told(self, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        return [f"{p.line}:{p.column} {p.key}: {p.message}" for p in self.problems(text, environ)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_minimal_file_gives_the_defaults(site: Site) -> None:
    config = site.load(MINIMAL)

    assert config.postmaster == Address("postmaster", "hospital.example")
    assert config.listener[0].address == Endpoint("127.0.0.1", 2525)
    assert config.connector[0].domains == ("hospital.example", "xn--bcher-kva.example")
    assert config.connector[0].networks == (ipaddress.ip_network("192.0.2.0/28"),)
    assert config.limits.message_size == 157_286_400
    assert config.delivery.timeouts.dot == timedelta(minutes=10)
    assert config.helo == "gw.hospital.example"
    assert config.audit_origin == "gw.hospital.example/audit"


def test_relative_paths_count_from_the_folder_of_the_file(site: Site) -> None:
    config = site.load(MINIMAL)

    assert config.policy == site.folder / "policy.toml"
    assert config.keys.queue == site.folder / "keys/queue.key"
    assert config.audit_directory == site.folder / "data/audit"
    assert config.head_file == site.folder / "data/audit-head"


def test_a_configuration_cannot_be_changed(site: Site) -> None:
    config = site.load(MINIMAL)

    with pytest.raises(ValidationError, match="frozen"):
        config.delivery.port = 26  # type: ignore[misc]


def test_every_problem_is_told_at_once_with_its_place(site: Site) -> None:
    text = MINIMAL.replace("hostname", "hostnam").replace('"127.0.0.1:2525"', '"127.0.0.1"')
    text += 'null_sender = "maybe"\n[limits]\nmessage_size = "big"\nrecipents = 5\n[dns]\ntimeout = 5\n'

    assert site.told(text) == [
        "1:1 hostnam: is not a setting",
        "1:1 hostname: is required",
        '8:1 listener[0].address: must be an address with a port, such as "192.0.2.1:25" or "[2001:db8::1]:25"',
        '16:1 connector[0].null_sender: must be "allow", "automatic" or "refuse"',
        '18:1 limits.message_size: is not a size: write octets, or a number with its unit, such as "64KiB" or "150MB"',
        "19:1 limits.recipents: is not a setting",
        '21:1 dns.timeout: is not a duration: write a number with its unit, such as "30s", "5m", "1h30m" or "7d"',
    ]


def test_an_unknown_key_comes_with_the_nearest_known_one(site: Site) -> None:
    (problem,) = site.problems(MINIMAL + "[delivery]\nconections = {}\n")

    assert (
        str(problem)
        == f"{site.file}:17:1: `delivery.conections` is not a setting (did you mean `connections`?)"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("127.0.0.1:2525", "0.0.0.0:2525", 'listener[0].tls: is "off" on 0.0.0.0:2525'),
        ('"off"', '"starttls"', 'listener[0].certificate: is required with `tls = "starttls"`'),
        ('"off"', '"off"\nkey = "k"', 'listener[0].key: has no effect with `tls = "off"`'),
        ('"off"', '"off"\nmax_sessions = 0', "listener[0].max_sessions: must be greater than or equal to 1"),
        ('"off"', '"off"\nmax_sessions = true', "listener[0].max_sessions: must be a number"),
        ("192.0.2.0/28", "0.0.0.0/0", "connector[0].networks[0]: is the whole Internet"),
        ("192.0.2.0/28", "192.0.2.1/28", "connector[0].networks[0]: has bits set to the right"),
        ('["192.0.2.0/28"]', "[]", 'connector[0].kind: is "smtp", and nothing says who its clients are'),
        ('"smtp"', '"login"', 'connector[0].kind: is "login", and nobody can log in'),
        ('"smtp"', '"smtp"\nusers_file = "u"', 'connector[0].users_file: has no effect with `kind = "smtp"`'),
        ('["Hospital.example", "bücher.example"]', "[]", "connector[0].domains: needs at least one entry"),
        ("Hospital.example", "hospital", "connector[0].domains[0]: must be a full domain name"),
        ("Hospital.example", "a..example", "connector[0].domains[0]: is not a domain name: empty Label"),
        ("[[connector]]", '[[listener]]\nname = "smarthost"\naddress = "127.0.0.1:1"\ntls = "off"\n[[connector]]',
         "listener[1].name: is used twice: smarthost"),
        ("[[connector]]", '[[listener]]\nname = "b"\naddress = "127.0.0.1:2525"\ntls = "off"\n[[connector]]',
         "listener[1].address: is used twice: 127.0.0.1:2525"),
        ("postmaster@", "@", "postmaster: must be an address"),
        ('"data"', '""', "data_dir: must be a text in quotes, and not empty"),
        ('"data"', "3", "data_dir: must be a text in quotes, and not empty"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(site: Site, old: str, new: str, told: str) -> None:
    assert old in MINIMAL
    lines = site.told(MINIMAL.replace(old, new))

    assert any(told in line for line in lines), lines


def test_plain_text_outside_loopback_is_refused(site: Site) -> None:
    (line,) = site.told(MINIMAL.replace("127.0.0.1:2525", "0.0.0.0:2525"))

    assert "which other machines can reach" in line


def test_a_missing_table_is_told(site: Site) -> None:
    assert "1:1 connector: is required" in site.told(MINIMAL[: MINIMAL.index("[[connector]]")])


def test_the_environment_stands_above_the_file(site: Site) -> None:
    environ = {
        "SEALGATE_HOSTNAME": "other.hospital.example",
        "SEALGATE_DELIVERY__PORT": "2500",
        "SEALGATE_DELIVERY__RETRY__FIRST": "10s",
        "SEALGATE_DELIVERY__ALLOW_NETWORKS": '["127.0.0.0/8"]',
        "SEALGATE_CONFIG": "elsewhere.toml",
        "PATH": "/bin",
    }
    config = site.load(MINIMAL + "[delivery]\nport = 26\nretry.max = '1h'\n", environ)

    assert config.hostname == "other.hospital.example"
    assert config.delivery.port == 2500
    assert config.delivery.retry.first == timedelta(seconds=10)
    assert config.delivery.retry.max == timedelta(hours=1)
    assert config.delivery.allow_networks == (ipaddress.ip_network("127.0.0.0/8"),)


def test_a_problem_from_the_environment_names_its_variable(site: Site) -> None:
    environ = {
        "SEALGATE_DELIVERY__PORT": "many",
        "SEALGATE_DELIVERY__PRT": "1",
        "SEALGATE_DELIVERY__ALLOW_NETWORKS": "127.0.0.0/8",
        "SEALGATE_HOSTNAM": "x",
    }
    told = {
        problem.key: (problem.file, problem.message, problem.hint)
        for problem in site.problems(MINIMAL, environ)
    }

    assert told["SEALGATE_DELIVERY__PORT"] == ("environment", "must be a whole number", "")
    assert told["SEALGATE_DELIVERY__PRT"] == ("environment", "is not a setting", "did you mean `port`?")
    assert told["SEALGATE_DELIVERY__ALLOW_NETWORKS"][1] == "is not JSON"
    assert told["SEALGATE_HOSTNAM"] == ("environment", "names no setting", "did you mean `hostname`?")


def test_secrets_are_files_or_credentials(site: Site) -> None:
    text = MINIMAL + '[keys]\nqueue = "file:q.key"\nvault = "credential:vault"\n'
    keys = site.load(text, {"CREDENTIALS_DIRECTORY": "/run/credentials/sealgate"}).keys

    assert keys.queue == site.folder / "q.key"
    assert keys.vault == Path("/run/credentials/sealgate/vault")


def test_a_credential_cannot_leave_its_folder_and_needs_one(site: Site) -> None:
    assert (
        "keys.queue: needs systemd's credentials"
        in site.told(MINIMAL + '[keys]\nqueue = "credential:q"\n')[0]
    )
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials/sealgate"}
    for name in ("../x", "..", ""):
        told = site.told(MINIMAL + f'[keys]\nqueue = "credential:{name}"\n', environ)
        assert "names no credential" in told[0]


LOGIN = MINIMAL.replace('"smtp"', '"login"\nusers_file = "users.txt"').replace(
    'networks = ["192.0.2.0/28"]', ""
)


def test_users_come_from_the_configuration_and_the_users_file(site: Site) -> None:
    (site.folder / "users.txt").write_text(f"# people\n\nscanner:{HASH}\n")
    config = site.load(LOGIN + f'users = {{ printer = "{HASH}" }}\n')

    assert config.connector[0].users == {"printer": HASH, "scanner": HASH}
    assert HASH not in repr(config)


def test_a_bad_users_file_is_told_without_its_secrets(site: Site) -> None:
    (site.folder / "users.txt").write_text(f"a:hunter2\nhunter3\nb:{HASH}\nb:{HASH}\nc:{HASH}\n")
    problems = site.problems(LOGIN + f'users = {{ c = "{HASH}" }}\n')

    assert [problem.line for problem in problems] == [1, 2, 4, 5]
    assert "hunter" not in "".join(map(str, problems))


def test_a_password_in_place_of_a_hash_is_not_repeated(site: Site) -> None:
    (problem,) = site.problems(MINIMAL.replace('"smtp"', '"login"') + 'users = { bob = "hunter2" }\n')

    assert problem.key == "connector[0].users.bob"
    assert "hunter2" not in str(problem)


def test_files_that_cannot_be_read_are_told(site: Site) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load(site.folder / "nothing.toml", {})
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load(site.folder, {})
    with pytest.raises(ConfigError, match="is larger than 4 MiB"):
        load("/dev/zero", {})
    assert "there is no such file" in site.told(LOGIN)[0]


PIN = "sha256:" + "0f" * 32


def test_pins_are_read_in_hexadecimal_and_base64_alone_or_listed(site: Site) -> None:
    base64 = "sha256:Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8="
    for written in (f'"{PIN}"', f'["{PIN}"]', f'["{base64}"]', f'"{PIN.upper().replace("SHA", "sha")}"'):
        config = site.load(MINIMAL + f'[tls.domain."Bücher.example"]\npin = {written}\n')
        assert config.tls.domain["xn--bcher-kva.example"].pin == (b"\x0f" * 32,)
    route = '[[delivery.route]]\ndomain = "a.example"\nnext_hop = "mx.a.example"\n'
    config = site.load(MINIMAL + route + f'tls = "pin:{PIN}"\n')
    assert config.delivery.route[0].tls == (b"\x0f" * 32,)


def test_what_cannot_be_meant_about_tls_is_told(site: Site) -> None:
    route = '[[delivery.route]]\ndomain = "a.example"\nnext_hop = "mx.a.example"\n'
    for text, told in (
        ('[tls.domain."a.example"]\npin = "0f0f"\n', "must be a pin"),
        ('[tls.domain."a.example"]\npin = "sha256:0f"\n', "is no pin"),
        ('[tls.domain."a.example"]\nrequire = "pin"\n', "asks for a pin, and none is given"),
        ('[tls.domain."a.example"]\nrequire = "tls"\n', 'must be "dane"'),
        ('[tls.domain."a.example"]\nforbid = true\nrequire = "pkix"\n', "can never be met beside `forbid`"),
        (f'[tls.domain."a.example"]\nforbid = true\npin = "{PIN}"\n', "stands beside `forbid`"),
        ('[tls.domain."a.example"]\nrequier = "pkix"\n', "is not a setting"),
        (route + f'tls = "{PIN}"\n', 'must be "pin:"'),
        (route + f'tls = "pin:{PIN}"\n[tls]\ndistrust = ["a.example"]\n', "counts for nothing"),
        (route + f'tls = "pin:{PIN}"\n[tls.domain."a.example"]\npin = "{PIN}"\n', "is pinned in"),
    ):
        problems = site.problems(MINIMAL + text)
        assert any(told in problem.message for problem in problems), (text, problems)
        assert all(problem.line > 1 for problem in problems)
    (typo,) = site.problems(MINIMAL + '[tls.domain."a.example"]\nrequier = "pkix"\n')
    assert "require" in typo.hint

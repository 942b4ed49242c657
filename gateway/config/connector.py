"""Settings of who may send through us, and as whom: the connectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gateway.config.fields import (
    AtLeastOne,
    ClientNetwork,
    Fault,
    FaultsError,
    FilePath,
    Fingerprint,
    Guid,
    HeaderName,
    Host,
    Name,
    PasswordHash,
    SecretFile,
    Section,
    Speed,
)
from gateway.config.provider_ranges import overlapping
from gateway.model.rate import UNLIMITED

_TENANT_KEYS = ("secret", "insecure_skip")
_MICROSOFT_KEYS = ("tenant_ids", "originator_orgs")


class Connector(Section):
    """Who may send through us, and as whom. A client that fits no connector can send nothing. At least one."""

    name: Annotated[Name, Field(examples=["office"])]
    """Its name in policies, logs and records."""
    kind: Literal["smtp", "login", "microsoft365", "google-workspace"]
    """`smtp` knows its client by network or client certificate; `login` by user name and password, under TLS only;
    `microsoft365` and `google-workspace` know the provider by network or certificate and your own tenant by what each
    message shows, under TLS only."""
    domains: Annotated[tuple[Host, ...], AtLeastOne, Field(examples=[["hospital.example"]])]
    """The sender domains it may use, in the envelope and in From. Everything else is refused."""
    networks: Annotated[tuple[ClientNetwork, ...], Field(examples=[["192.0.2.0/28"]])] = ()
    """Where its clients connect from. For `login` optional: a further condition. "@microsoft365" and
    "@google-workspace" are the addresses that these providers publish, for the kinds of these names only: they are
    everybody's."""
    client_certificates: Annotated[tuple[Fingerprint, ...], Field(examples=[["sha256:" + 32 * "5c"]])] = ()
    """SHA-256 fingerprints of the TLS client certificates by which its clients are known. With `networks` as well, a
    client of kind `smtp` must fit both; for `microsoft365` and `google-workspace` either will do."""
    client_names: Annotated[tuple[Host, ...], Field(examples=[["mail.protection.outlook.com"]])] = ()
    """The same by name: DNS names of which one must stand in the client's certificate, for which an authority in
    `[tls] ca_file` vouches. For clients whose certificates change."""
    tenant_ids: Annotated[tuple[Guid, ...], Field(examples=[["84df9e7f-e9f6-40af-b435-0123456789ab"]])] = ()
    """For `microsoft365`: your tenant id (Entra admin centre: Overview), which must stand in
    X-MS-Exchange-CrossTenant-Id, once."""
    originator_orgs: Annotated[tuple[Host, ...], Field(examples=[["hospital.example"]])] = ()
    """For `microsoft365`: what X-OriginatorOrg may say, once: your accepted domains and the onmicrosoft.com one."""
    secret: SecretFile | None = Field(default=None, examples=["file:connector-365.secret"])
    """For `microsoft365` and `google-workspace`: the file with the secret that your routing rule writes into
    `secret_header`: one line of at least 32 letters and digits; two lines while it is being changed. It is taken out
    of every message at the door."""
    secret_header: HeaderName = "X-Sealgate-Secret"  # noqa: S105 (a name)
    """The header field that carries the secret."""
    dkim: Literal["off", "require"] = "off"
    """For `google-workspace`: with `require` each message must also bear a DKIM signature of its author's domain,
    relaxed/relaxed, not older than a day; and one that was seen counts for a quarter of an hour more."""
    insecure_skip: tuple[Literal["tenant", "secret", "author"], ...] = ()
    """Proofs that this connector does without: `tenant` (tenant_ids and originator_orgs), `secret`, `author`
    (Microsoft's word that the author is one of yours, X-MS-Exchange-CrossTenant-AuthAs: Internal). Each one skipped
    makes it easier for another customer of the provider to send as you."""
    forwarded: Literal["refuse", "hold", "portal"] = "refuse"
    """Mail that somebody outside wrote and one of your mailboxes sends on (a redirect), so that From is foreign:
    `refuse` it, `hold` it for a person, or let it go by `portal` only. The envelope sender must be yours all the
    same."""
    users: dict[str, PasswordHash] = Field(default_factory=dict, repr=False)
    """For `login`: user names with their argon2id hashes, such as { scanner = "$argon2id$v=19$m=…" }, or with SCRAM
    verifiers ("SCRAM-SHA-256$4096:…", as PostgreSQL writes them). SCRAM is offered when every user has one of these."""
    users_file: FilePath | None = Field(default=None, examples=["users.txt"])
    """For `login`: a file with one `name:hash` a line, read with the configuration and added to `users`."""
    null_sender: Literal["allow", "automatic", "refuse"] = "automatic"
    """Mail with the empty sender `<>`: `automatic` takes delivery notices (multipart/report) and automatic answers
    (Auto-Submitted) to one recipient each, `allow` takes everything, `refuse` nothing. From is checked all the
    same."""
    long_lines: Literal["keep", "repair"] = "keep"
    """Lines over 998 octets, which SMTP forbids and some servers refuse: `keep` sends them as they came, `repair` folds
    header fields and encodes text again. Signatures made before may break."""
    bare_newlines: Literal["reject", "normalize", "space"] | None = Field(default=None, examples=["reject"])
    """A CR or LF that stands alone, which servers read differently (SMTP smuggling): `reject` refuses the message,
    `normalize` makes CRLF of it, `space` puts a space in its place. Signatures made before may break. Without this
    setting it is `normalize` for `microsoft365`, which sends such mail by BDAT, and `reject` for all others."""
    bounce_domain: Annotated[Host | None, Field(examples=["gw.hospital.example"])] = None
    """The domain at which we take what comes back: its MX leads to a listener of kind `service`. Mail then leaves with
    an envelope sender of ours in this domain, one for each recipient; a bounce is matched to its message, recorded, and
    told to the sender in plain words. Publish an SPF record for it; where it is a subdomain of the senders' domain, SPF
    counts for DMARC. Empty: mail keeps its envelope sender, and bounces go to the sender directly."""
    messages: Speed = UNLIMITED
    """Messages that it may hand in, over all its clients: such as "20/s", "300/m", "10000/h", "50000/d". That many may
    come at once; what comes too fast is told to come back (451)."""
    recipients: Speed = UNLIMITED
    """Recipients of these messages, in the same way."""
    sender_messages: Annotated[Speed | None, Field(examples=["5000/h"])] = None
    """Messages of one sender before the sender is suspended. Empty: `sender_messages` of [limits]."""
    sender_recipients: Annotated[Speed | None, Field(examples=["20000/h"])] = None
    """Recipients of one sender, in the same way. Empty: `sender_recipients` of [limits]."""

    @property
    def of_a_cloud(self) -> bool:
        """Whether its clients are a provider's servers, which send for everybody."""
        return self.kind in {"microsoft365", "google-workspace"}

    @property
    def newlines(self) -> str:
        """The rule for bare CR and LF that is in force."""
        return self.bare_newlines or ("normalize" if self.kind == "microsoft365" else "reject")

    @model_validator(mode="after")
    def _check(self) -> Connector:
        if faults := tuple(self._faults()):
            raise FaultsError(faults)
        return self

    def _faults(self) -> Iterator[Fault]:
        yield from self._out_of_place()
        if self.kind == "login":
            if not self.users and self.users_file is None:
                yield Fault(("kind",), 'is "login", and nobody can log in', "add `users` or `users_file`")
        elif not self.networks and not self._certified:
            own = f'networks = ["@{self.kind}"]' if self.of_a_cloud else "`networks`"
            yield Fault(
                ("kind",),
                f'is "{self.kind}", and nothing says who its clients are',
                f"add {own} or `client_certificates`",
            )
        if self.of_a_cloud:
            yield from self._missing_proofs()
        yield from self._wrong_networks()

    def _out_of_place(self) -> Iterator[Fault]:
        """Settings that another kind of connector has."""
        foreign: list[str] = []
        if self.kind != "login":
            foreign += ["users", "users_file"]
        if self.kind != "microsoft365":
            foreign += _MICROSOFT_KEYS
        if not self.of_a_cloud:
            foreign += _TENANT_KEYS
        for key in foreign:
            if getattr(self, key):
                yield Fault((key,), f'has no effect with `kind = "{self.kind}"`', "remove it, or set `kind`")
        if self.kind != "google-workspace" and self.dkim != "off":
            yield Fault(("dkim",), f'has no effect with `kind = "{self.kind}"`', "remove it, or set `kind`")
        if self.kind == "login" and self.forwarded != "refuse":
            yield Fault(("forwarded",), 'has no effect with `kind = "login"`', "remove it")

    def _missing_proofs(self) -> Iterator[Fault]:
        skipped = frozenset(self.insecure_skip)
        if self.kind == "microsoft365" and "tenant" not in skipped:
            for key in _MICROSOFT_KEYS:
                if not getattr(self, key):
                    yield Fault(("kind",), f'is "microsoft365", and `{key}` is missing', f"add `{key}`")
        if self.secret is None and "secret" not in skipped:
            yield Fault(
                ("kind",),
                f'is "{self.kind}", and `secret` is missing',
                "make one with `openssl rand -hex 24`, put it into a file, and name the file here",
            )
        given = {"tenant": bool(self.tenant_ids or self.originator_orgs), "secret": self.secret is not None}
        for word in sorted(skipped):
            if given.get(word):
                yield Fault(("insecure_skip",), f'skips "{word}", which is set', f'remove "{word}" from it')
        if "secret" in skipped and ("tenant" in skipped or self.kind == "google-workspace"):
            yield Fault(
                ("insecure_skip",),
                "leaves nothing that tells your mail from any other customer's of the provider",
                'take "secret" out of it, and give the routing rule a secret',
            )
        if self.kind == "google-workspace" and skipped & {"tenant", "author"}:
            yield Fault(
                ("insecure_skip",), "has words that only microsoft365 knows", 'it knows "secret" here'
            )

    def _wrong_networks(self) -> Iterator[Fault]:
        for index, network in enumerate(self.networks):
            if isinstance(network, str):
                if network != f"@{self.kind}":
                    yield Fault(
                        ("networks", index),
                        f'is {network}, whose servers send for everybody, and `kind` is "{self.kind}"',
                        f'set kind = "{network[1:]}", which asks each message whose it is',
                    )
            elif network.prefixlen == 0:
                yield Fault(
                    ("networks", index),
                    "is the whole Internet: with it this would be an open relay",
                    "name the networks of your own mail servers",
                )
            elif self._open_to_clouds and (provider := overlapping(network)):
                yield Fault(
                    ("networks", index),
                    f"holds addresses of {provider}, whose servers send for everybody",
                    f'set kind = "{provider}", which asks each message whose it is',
                )

    @property
    def _open_to_clouds(self) -> bool:
        """Whether an address in `networks` is all that a client must show."""
        return self.kind == "smtp" and not self._certified

    @property
    def _certified(self) -> bool:
        return bool(self.client_certificates or self.client_names)

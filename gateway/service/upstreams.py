"""What differs between the mail servers in front of us: the connector that knows them, and what to set on their side.

The texts are what `sealgate init` writes and prints; the guides in `docs/` say the same step by step. The secret itself
is never printed: it stands in its file.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Upstream(StrEnum):
    """The kinds of mail server that `init` knows a recipe for."""

    MICROSOFT365 = "microsoft365"
    GOOGLE_WORKSPACE = "google-workspace"
    EXCHANGE = "exchange"
    SMTP = "smtp"

    @property
    def of_a_cloud(self) -> bool:
        """Whether its servers send for other customers too, so that each message has to prove whose it is."""
        return self in (Upstream.MICROSOFT365, Upstream.GOOGLE_WORKSPACE)

    @property
    def guide(self) -> str:
        """The page that tells it step by step."""
        return f"docs/{self.value}.md"

    @property
    def secret_file(self) -> str | None:
        """Where the secret of its routing rule is kept, beside the configuration."""
        return f"{self.value}.secret" if self.of_a_cloud else None


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What the recipe needs to know of our side. `secret` is the file with the routing rule's secret."""

    hostname: str
    port: str
    secret: str = ""


# Each begins with what it proves. Names in braces are filled in as TOML values.
CONNECTORS: dict[Upstream, str] = {
    Upstream.MICROSOFT365: """\
# Microsoft's servers send for all of its customers. So each message shows that it comes from your own tenant, from one
# of your people, and through your own rule: docs/microsoft365.md.
[[connector]]
name = "microsoft-365"
kind = "microsoft365"
networks = {networks}
tenant_ids = {tenant_ids}
originator_orgs = {originator_orgs}
secret = "file:microsoft365.secret"   # the header of your mail flow rule; taken out of every message
domains = {domains}
forwarded = "refuse"                  # mail of others that a mailbox of yours redirects: refuse | hold | portal
""",
    Upstream.GOOGLE_WORKSPACE: """\
# Google's servers send for all of its customers. So each message shows that it went through your own routing rule:
# docs/google-workspace.md.
[[connector]]
name = "google-workspace"
kind = "google-workspace"
networks = {networks}
secret = "file:google-workspace.secret"   # the header of your routing rule; taken out of every message
domains = {domains}
forwarded = "refuse"                  # mail of others that a mailbox of yours redirects: refuse | hold | portal
""",
    Upstream.EXCHANGE: """\
# Your Exchange servers are known by their addresses. Envelope sender and From must be of these domains:
# docs/exchange.md.
[[connector]]
name = "exchange"
kind = "smtp"
networks = {networks}
domains = {domains}
null_sender = "automatic"             # delivery notices and automatic answers, to one recipient each
bare_newlines = "normalize"           # Exchange hands single line feeds over by BDAT
""",
    Upstream.SMTP: """\
# Your mail server is known by its address. Envelope sender and From must be of these domains: docs/smtp.md.
[[connector]]
name = "mail-server"
kind = "smtp"
networks = {networks}
domains = {domains}
null_sender = "allow"                 # delivery notices and automatic answers; their From is checked all the same
""",
}


def recipe(upstream: Upstream, side: Side) -> tuple[str, ...]:
    """What to set on the mail server, one line a step; lines that begin with blanks are commands or values."""
    text = _RECIPES[upstream].format(host=side.hostname, port=side.port, secret=side.secret)
    return tuple(text.splitlines())


_RECIPES: dict[Upstream, str] = {
    Upstream.MICROSOFT365: """\
In Exchange Online PowerShell (Connect-ExchangeOnline), with the line of {secret} as $secret:
    New-OutboundConnector -Name "Sealgate" -ConnectorType Partner -UseMXRecord $false -SmartHosts {host} `
      -TlsSettings DomainValidation -TlsDomain {host} -IsTransportRuleScoped $true -Enabled $true
    New-TransportRule -Name "Outbound mail through Sealgate" -FromScope InOrganization `
      -SentToScope NotInOrganization -SetHeaderName "X-Sealgate-Secret" -SetHeaderValue $secret `
      -RouteMessageOutboundConnector "Sealgate"
Microsoft sends to port 25 only, and only to a certificate that a public authority issued for {host}.
""",
    Upstream.GOOGLE_WORKSPACE: """\
In the Google Admin console, Apps > Google Workspace > Gmail:
    Hosts > Add route: name Sealgate, single host {host}, port {port};
      tick all three: require TLS, require CA-signed certificate, validate certificate hostname; Test TLS connection
    Routing > Configure: messages to affect: Outbound;
      Modify message > Headers > Add custom headers: X-Sealgate-Secret with the line of {secret};
      Route > Change route: Sealgate
""",
    Upstream.EXCHANGE: """\
In the Exchange Management Shell:
    New-SendConnector -Name "Sealgate" -Usage Internet -AddressSpaces "SMTP:*;1" -DNSRoutingEnabled $false `
      -SmartHosts {host} -Port {port} -RequireTLS $true -TlsAuthLevel DomainValidation -TlsDomain {host} `
      -SourceTransportServers (Get-TransportService).Name
Then disable the send connectors that go to the Internet until now: Set-SendConnector NAME -Enabled $false
""",
    Upstream.SMTP: """\
Send all outbound mail to {host}, port {port}, with STARTTLS and its certificate checked:
    Postfix   relayhost = [{host}]:{port}, smtp_tls_security_level = secure, smtp_tls_secure_cert_match = {host}
    Exim      route_list = * {host}::{port}, hosts_require_tls = *, tls_verify_hosts = *
    OpenSMTPD action "out" relay host smtp+tls://{host}:{port}
""",
}

"""The demo's own policy, as it is shown to the user: strict by default, with one waiver and two rules."""

from __future__ import annotations

from datetime import date, timedelta

_WAIVED_DAYS = 90

_TEMPLATE = """\
# The policy of `sealgate demo`. Nothing leaves unless the server that takes it proves its name.

[policy]
name = "demo"
schema = 1
timezone = "UTC"

[default]
require = ["authenticated"]             # an active attacker on the way reads nothing
prefer = ["tls", "smime", "openpgp", "portal"]
otherwise = "hold"
patience = "5m"                         # so short only because this is a demo

[tls]
min_version = "1.2"
authenticate = ["dane", "mta-sts", "pin", "pkix"]   # pkix: chain and name fit, though the MX came from unsigned DNS

[[rule]]
name = "tagged secure"
when = { subject_tag = ["secure", "encrypt"] }
require = ["mailbox-verified"]          # more than TLS can show

[[rule]]
name = "no programs by mail"
when = { attachment = { type = "application/x-dosexec" } }
verdict = "reject"
reply = "programs do not leave by mail"

[[exception]]                           # the only thing that can weaken
name = "patients who asked for ordinary mail"
when = { recipient_domain = ["oldpost.example", "postcard.example"] }
relax = ["authenticated", "encrypted"]
methods = ["tls", "plain"]
reason = "signed waivers on file"
approved_by = "privacy officer"
expires = EXPIRES

[[case]]
name = "a proved server gets it"
given = { recipient = "ann@good.example", subject = "Results", tls = "pkix" }
expect = { decision = "send", method = "tls" }

[[case]]
name = "a server that proves nothing gets nothing"
given = { recipient = "ben@selfsigned.example", subject = "Results", tls = "encrypted", portal = false }
expect = { decision = "hold" }

[[case]]
name = "a tag asks for more than TLS"
given = { recipient = "rosa@good.example", subject = "[secure] Results", tls = "pkix", portal = false }
expect = { decision = "hold", rules = ["tagged secure"] }

[[case]]
name = "a waiver still prefers TLS"
given = { recipient = "lou@oldpost.example", subject = "Results", tls = "encrypted" }
expect = { decision = "send", method = "tls" }
"""


def policy_text(today: date) -> str:
    """The policy file. Its waiver is good for some weeks from `today`."""
    return _TEMPLATE.replace("EXPIRES", (today + timedelta(days=_WAIVED_DAYS)).isoformat())

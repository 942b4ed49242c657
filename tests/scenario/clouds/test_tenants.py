"""Shared clouds: of all that their servers send, only our own tenant's mail passes, and its secret goes no further."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.ingress.connector import Connector
from gateway.ingress.tenant import TenantProof
from tests.clouds import Letter, Tenant, hand_over, microsoft_letter, workspace_letter
from tests.fakes.ingress_world import Certificates, world

OURS = Tenant()
THEIRS = Tenant(
    id="11111111-2222-4333-8444-555555555555", organisation="evil.example", secret="e" * len(OURS.secret)
)
CLOUD, ELSEWHERE = "127.0.7.1", "127.0.8.1"
SECRET, ID, ORG, AUTH_AS = (
    "X-Sealgate-Secret",
    "X-MS-Exchange-CrossTenant-id",
    "X-OriginatorOrg",
    "X-MS-Exchange-CrossTenant-AuthAs",
)
MICROSOFT = Connector(
    name="m365",
    kind="tenant",
    domains=("hospital.example",),
    networks=("127.0.7.0/24",),
    null_sender="automatic",
    require_tls=True,
    tenant=TenantProof(
        tenant_ids=(OURS.id,),
        organisations=("hospital.example", "hospital.onmicrosoft.example"),
        internal=True,
        secret_header="x-sealgate-secret",
        secrets=(OURS.secret.encode(),),
    ),
)
GOOGLE = Connector(
    name="workspace",
    kind="tenant",
    domains=("hospital.example",),
    networks=("127.0.7.0/24",),
    null_sender="automatic",
    require_tls=True,
    tenant=TenantProof(secret_header="x-sealgate-secret", secrets=(OURS.secret.encode(),)),
)
M = microsoft_letter(OURS)
W = workspace_letter(OURS)
FOLDED_ID = OURS.id[:8] + "\r\n " + OURS.id[8:]

REFUSED_MICROSOFT: dict[str, Letter] = {
    "another tenant": microsoft_letter(THEIRS, author="Ann <ann@hospital.example>"),
    "another tenant that knows our secret": M.with_value(ID, THEIRS.id).with_value(ORG, THEIRS.organisation),
    "another tenant's id alone": M.with_value(ID, THEIRS.id),
    "another organisation alone": M.with_value(ORG, "evil.example"),
    "an organisation that only ends like ours": M.with_value(ORG, "not-hospital.example"),
    "two organisations in one field": M.with_value(ORG, "hospital.example, evil.example"),
    "an organisation with a comment": M.with_value(ORG, "hospital.example (x)"),
    "no tenant id": M.without(ID),
    "no organisation": M.without(ORG),
    "no mark at all": M.without(ID).without(ORG).without(AUTH_AS),
    "doubled tenant id, both ours": M.doubled(ID),
    "doubled tenant id, theirs second": M.doubled(ID, THEIRS.id),
    "doubled organisation": M.doubled(ORG, "evil.example"),
    "doubled AuthAs": M.doubled(AUTH_AS, "Anonymous"),
    "tenant id folded in the middle": M.with_value(ID, FOLDED_ID),
    "organisation folded in the middle": M.with_value(ORG, "hospital\r\n .example"),
    "organisation with a folded second value": M.with_value(ORG, "hospital.example\r\n evil.example"),
    "marks inside a MIME part": M.inside_a_part(ID, ORG, AUTH_AS),
    "secret inside a MIME part": M.inside_a_part(SECRET),
    "blank before the colon": M.with_name(ID, ID + " "),
    "mark in an encoded word": M.with_value(ORG, "=?us-ascii?Q?hospital.example?="),
    "Anonymous": microsoft_letter(OURS, auth_as="Anonymous"),
    "Partner": microsoft_letter(OURS, auth_as="Partner"),
    "no AuthAs": M.without(AUTH_AS),
    "no secret": M.without(SECRET),
    "an old secret": M.with_value(SECRET, "0ld" + OURS.secret[3:]),
    "a secret that is nearly right": M.with_value(SECRET, OURS.secret[:-1] + "x"),
    "a secret cut short": M.with_value(SECRET, OURS.secret[:-1]),
    "a secret in other letters": M.with_value(SECRET, OURS.secret.upper()),
    "an empty secret": M.with_value(SECRET, ""),
    "doubled secret": M.doubled(SECRET),
    "secret folded in the middle": M.with_value(SECRET, OURS.secret[:9] + "\r\n " + OURS.secret[9:]),
    "secret in a field of another name": M.with_name(SECRET, "X-Sealgate-Secrets"),
    "our tenant with a foreign author": microsoft_letter(OURS, author="eve@evil.example"),
}
REFUSED_GOOGLE: dict[str, Letter] = {
    "another customer": workspace_letter(THEIRS, author="Ann <ann@hospital.example>"),
    "no secret": W.without(SECRET),
    "doubled secret": W.doubled(SECRET),
    "secret inside a MIME part": W.inside_a_part(SECRET),
    "an old secret": W.with_value(SECRET, "0ld" + OURS.secret[3:]),
    "a foreign author": workspace_letter(OURS, author="eve@evil.example"),
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(Path(tmp_path_factory.mktemp("certificates")))


@pytest.mark.parametrize(("connector", "letter"), [(MICROSOFT, M), (GOOGLE, W)], ids=["microsoft", "google"])
async def test_our_own_tenants_mail_passes_without_its_secret(
    certificates: Certificates, connector: Connector, letter: Letter
) -> None:
    async with world([connector], certificates.settings()) as here:
        for chunking in (True, False):
            reply = await hand_over(here, certificates, letter, source=CLOUD, chunking=chunking)
            assert reply.startswith(b"250 2.0.0 "), reply
        assert here.intake.bodies == [letter.without(SECRET).octets] * 2
        assert here.intake.accepted[0][0].client.connector == connector.name
        assert OURS.secret not in repr((here.intake.accepted, here.incidents, connector))


@pytest.mark.parametrize("name", REFUSED_MICROSOFT)
async def test_what_is_not_our_microsoft_tenants_is_refused_after_data(
    certificates: Certificates, name: str
) -> None:
    await refused(certificates, MICROSOFT, REFUSED_MICROSOFT[name])


@pytest.mark.parametrize("name", REFUSED_GOOGLE)
async def test_what_is_not_our_workspaces_is_refused_after_data(
    certificates: Certificates, name: str
) -> None:
    await refused(certificates, GOOGLE, REFUSED_GOOGLE[name])


async def refused(certificates: Certificates, connector: Connector, letter: Letter) -> None:
    """After the last octet, for good, with nothing kept and nothing told of the secret."""
    async with world([connector], certificates.settings()) as here:
        reply = await hand_over(here, certificates, letter, source=CLOUD)
        assert reply.startswith(b"550 5.7.1 "), reply
        assert here.intake.accepted == []
        assert [body.abandoned for body in here.intake.opened] == [True]
        assert len(here.kinds) == 1
        assert here.kinds[0] in {"tenant-refused", "author-refused"}
        assert OURS.secret not in repr(here.incidents) + reply.decode()


async def test_the_right_header_from_a_wrong_network_or_without_tls_never_gets_that_far(
    certificates: Certificates,
) -> None:
    async with world([MICROSOFT], certificates.settings()) as here:
        assert (await hand_over(here, certificates, M, source=ELSEWHERE)).startswith(b"550 5.7.1 ")
        assert (await hand_over(here, certificates, M, source=CLOUD, tls=False)).startswith(b"530 5.7.0 ")
        foreign = await hand_over(here, certificates, M, source=CLOUD, sender="eve@evil.example")
        assert foreign.startswith(b"550 5.7.1 ")
        assert here.intake.opened == []


async def test_a_message_as_its_recipient_got_it_is_not_taken_again(certificates: Certificates) -> None:
    """Whoever replays it from another account of the same cloud has not got the secret: it never left."""
    for connector, letter in ((MICROSOFT, M), (GOOGLE, W)):
        async with world([connector], certificates.settings()) as here:
            assert (await hand_over(here, certificates, letter, source=CLOUD)).startswith(b"250 ")
            (delivered,) = here.intake.bodies
            reply = await hand_over(here, certificates, delivered, source=CLOUD)
            assert reply.startswith(b"550 5.7.1 relaying denied: the secret header"), reply
            assert len(here.intake.accepted) == 1


async def test_marks_are_read_unfolded_and_without_regard_to_case(certificates: Certificates) -> None:
    letter = (
        M.with_name(ID, ID.upper())
        .with_value(ID.upper(), "\r\n\t" + OURS.id.upper())
        .with_value(ORG, "Hospital.OnMicrosoft.Example\r\n ")
        .with_value(SECRET, "\r\n  " + OURS.secret)
    )
    async with world([MICROSOFT], certificates.settings()) as here:
        assert (await hand_over(here, certificates, letter, source=CLOUD)).startswith(b"250 ")
        assert OURS.secret.encode() not in here.intake.accepted[0][1]


async def test_two_secrets_count_while_one_is_changed(certificates: Certificates) -> None:
    assert MICROSOFT.tenant is not None
    tenant = msgspec.structs.replace(MICROSOFT.tenant, secrets=(b"n" * 40, OURS.secret.encode()))
    async with world([MICROSOFT], certificates.settings()) as here:
        new = M.with_value(SECRET, "n" * 40)
        assert (await hand_over(here, certificates, new, source=CLOUD)).startswith(b"550 ")
        here.listener.use_connectors([msgspec.structs.replace(MICROSOFT, tenant=tenant)])
        assert (await hand_over(here, certificates, new, source=CLOUD)).startswith(b"250 ")
        assert (await hand_over(here, certificates, M, source=CLOUD)).startswith(b"250 ")
        both = M.doubled(SECRET, "n" * 40)
        assert (await hand_over(here, certificates, both, source=CLOUD)).startswith(b"550 ")


async def test_two_tenants_behind_one_cloud_do_not_take_each_others_mail(certificates: Certificates) -> None:
    other = msgspec.structs.replace(
        MICROSOFT,
        name="lab",
        domains=("lab.example",),
        tenant=TenantProof(
            tenant_ids=(THEIRS.id,),
            organisations=(THEIRS.organisation,),
            internal=True,
            secret_header="x-lab-secret",
            secrets=(b"l" * 40,),
        ),
    )
    theirs = microsoft_letter(THEIRS, author="x@lab.example").with_name(SECRET, "X-Lab-Secret")
    theirs = theirs.with_value("X-Lab-Secret", "l" * 40)
    async with world([MICROSOFT, other], certificates.settings()) as here:
        assert (await hand_over(here, certificates, theirs, source=CLOUD, sender="x@lab.example")).startswith(
            b"250 "
        )
        assert (await hand_over(here, certificates, M, source=CLOUD)).startswith(b"250 ")
        crossed = theirs.with_value("From", "ann@hospital.example")
        assert (await hand_over(here, certificates, crossed, source=CLOUD)).startswith(b"550 ")
        assert [envelope.client.connector for envelope, _ in here.intake.accepted] == ["lab", "m365"]
        assert b"l" * 40 not in here.intake.accepted[0][1]


async def test_a_secret_is_taken_out_of_other_connectors_mail_too(certificates: Certificates) -> None:
    lan = Connector(name="lan", kind="smtp", domains=("hospital.example",), networks=(ELSEWHERE + "/32",))
    async with world([MICROSOFT, lan], certificates.settings()) as here:
        assert (await hand_over(here, certificates, M, source=ELSEWHERE)).startswith(b"250 ")
        assert here.intake.bodies == [M.without(SECRET).octets]


async def test_a_client_certificate_stands_in_for_the_network(certificates: Certificates) -> None:
    """Without the clientAuth purpose, which public CAs no longer give; and it is on record."""
    from cryptography.x509.oid import ExtendedKeyUsageOID

    file, key, fingerprint = certificates.issue("mail.protection.example", ExtendedKeyUsageOID.SERVER_AUTH)
    known = msgspec.structs.replace(MICROSOFT, certificates=(fingerprint,))
    async with world([known], certificates.settings()) as here:

        async def sent(source: str, letter: Letter = M, *, shown: bool = True) -> bytes:
            certificate = (file, key) if shown else None
            return await hand_over(here, certificates, letter, source=source, certificate=certificate)

        assert (await sent(ELSEWHERE)).startswith(b"250 ")
        assert (await sent(CLOUD, shown=False)).startswith(b"250 ")
        assert (await sent(ELSEWHERE, shown=False)).startswith(b"550 ")
        assert (await sent(ELSEWHERE, M.without(SECRET))).startswith(b"550 ")
        tls = here.intake.accepted[0][0].client.tls
        assert tls is not None
        assert len(tls.chain) == 1


async def test_a_name_that_somebody_vouches_for_stands_in_for_the_network(
    certificates: Certificates, tmp_path: Path
) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID

    stranger = Certificates(tmp_path)
    name = "mail.protection.example"
    known = msgspec.structs.replace(MICROSOFT, names=(name,))
    settings = certificates.settings(ca_file=certificates.ca_file)
    async with world([known], settings) as here:

        async def sent(by: Certificates, subject: str, letter: Letter = M) -> bytes:
            file, key, _ = by.issue(subject, ExtendedKeyUsageOID.SERVER_AUTH)
            return await hand_over(here, certificates, letter, source=ELSEWHERE, certificate=(file, key))

        assert (await sent(certificates, name)).startswith(b"250 ")
        assert (await sent(certificates, name, M.without(SECRET))).startswith(b"550 ")
        assert (await sent(certificates, "x." + name)).startswith(b"550 ")
        assert (await sent(stranger, name)).startswith(b"550 "), "nobody vouches for it"
        assert len(here.intake.accepted) == 1


FORWARDED = microsoft_letter(OURS, author="Mallory <m@outside.example>", auth_as="Anonymous")


@pytest.mark.parametrize("handling", ["hold", "portal"])
async def test_a_redirect_takes_the_way_that_is_set_for_it(certificates: Certificates, handling: str) -> None:
    connector = msgspec.structs.replace(MICROSOFT, forwarded=handling)
    letter = Letter((("X-Sealgate", "plain"), ("x-sealgate-label:\r\n y", "z"), *FORWARDED.fields))
    async with world([connector], certificates.settings()) as here:
        sender = "bounces+SRS=abc@hospital.example"
        assert (await hand_over(here, certificates, letter, source=CLOUD, sender=sender)).startswith(b"250 ")
        assert (await hand_over(here, certificates, M, source=CLOUD)).startswith(b"250 ")
        assert [envelope.forwarded for envelope, _ in here.intake.accepted] == [handling, ""]
        assert here.intake.bodies[0] == FORWARDED.without(SECRET).octets, (
            "words to us from outside do not count"
        )


@pytest.mark.parametrize(
    "letter",
    [
        FORWARDED.without(SECRET),
        FORWARDED.with_value(ID, THEIRS.id),
        FORWARDED.with_value("From", "ann@hospital.example"),
        FORWARDED.with_value("From", "ann@hospital.example, m@outside.example"),
        FORWARDED.with_value("From", '"ann@hospital.example" <m@outside.example>'),
        M.with_name("Thread-Index", "Sender").with_value("Sender", "m@outside.example"),
    ],
    ids=[
        "no secret",
        "another tenant",
        "in our name",
        "partly in our name",
        "shown in our name",
        "foreign Sender",
    ],
)
async def test_a_redirect_proves_the_tenant_and_is_nobody_of_ours(
    certificates: Certificates, letter: Letter
) -> None:
    await refused(certificates, msgspec.structs.replace(MICROSOFT, forwarded="hold"), letter)


async def test_notices_and_automatic_answers_may_have_the_null_sender(certificates: Certificates) -> None:
    away = Letter((*M.fields, ("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")))
    report = M.with_value("Content-Type", "multipart/report; report-type=delivery-status; boundary=x")
    two = ("bob@partner.example", "eve@partner.example")
    async with world([MICROSOFT], certificates.settings()) as here:
        for letter in (away, report):
            assert (await hand_over(here, certificates, letter, source=CLOUD, sender="")).startswith(b"250 ")
        assert [envelope.sender for envelope, _ in here.intake.accepted] == [None, None]
        assert (await hand_over(here, certificates, M, source=CLOUD, sender="")).startswith(
            b"550 5.7.1 only notices"
        )
        many = await hand_over(here, certificates, away, source=CLOUD, sender="", recipients=two)
        assert many.startswith(b"550 5.7.1 a notice")
        foreign = away.with_value("From", "postmaster@evil.example")
        assert (await hand_over(here, certificates, foreign, source=CLOUD, sender="")).startswith(b"550 ")
        assert (
            await hand_over(here, certificates, away.without(SECRET), source=CLOUD, sender="")
        ).startswith(b"550 ")
        assert len(here.intake.accepted) == 2

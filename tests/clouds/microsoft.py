"""Exchange Online's outbound mail, field by field as public samples show it."""

from __future__ import annotations

import msgspec

from tests.clouds.letter import Letter

SECRET_HEADER = "X-Sealgate-Secret"
_DATE = "Wed, 4 Mar 2026 05:06:06 +0000"
_LONG = ("=?us-ascii?Q?" + "B" * 60 + "?=\r\n ") * 20 + "end"


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One customer of the provider, with the secret that its routing rule adds."""

    id: str = "84df9e7f-e9f6-40af-b435-0123456789ab"
    organisation: str = "hospital.example"
    secret: str = "7c1f0aa2b95e4e0c8d3361f2a4b7e9d05c"


def microsoft_letter(
    tenant: Tenant, *, author: str = "Ann <ann@hospital.example>", auth_as: str = "Internal"
) -> Letter:
    """`auth_as` is Exchange's word for the author: Internal, or Anonymous for what came in from outside."""
    host = "AM0PR01MB4321.eurprd01.prod.exchangelabs.example"
    return Letter(
        (
            ("ARC-Seal", "i=1; a=rsa-sha256; s=arcselector10001; d=microsoft.example; cv=none;\r\n b=AAAA"),
            (
                "Received",
                f"from {host} ([fe80::1])\r\n by {host} ([fe80::1%3]) with mapi id 15.20.1;\r\n {_DATE}",
            ),
            ("From", author),
            ("To", "Bob <bob@partner.example>"),
            ("Subject", "Appointment"),
            ("Thread-Index", "AQHbAAAAAAAAAAAAAAAAAAAAAAAAAA=="),
            ("Date", _DATE),
            ("Message-ID", f"<1@{host}>"),
            ("Accept-Language", "en-US"),
            ("X-MS-Has-Attach", ""),
            (SECRET_HEADER, tenant.secret),
            ("x-ms-publictraffictype", "Email"),
            ("x-ms-office365-filtering-correlation-id", "1a2b3c4d-0000-4000-8000-08dd5aa00000"),
            ("x-ms-exchange-senderadcheck", "1"),
            ("x-ms-exchange-antispam-relay", "0"),
            (
                "x-microsoft-antispam-message-info",
                _LONG,
            ),
            ("Content-Type", 'text/plain; charset="us-ascii"'),
            ("MIME-Version", "1.0"),
            ("X-OriginatorOrg", tenant.organisation),
            ("X-MS-Exchange-CrossTenant-AuthAs", auth_as),
            ("X-MS-Exchange-CrossTenant-AuthSource", host),
            ("X-MS-Exchange-CrossTenant-Network-Message-Id", "1a2b3c4d-0000-4000-8000-08dd5aa00000"),
            ("X-MS-Exchange-CrossTenant-originalarrivaltime", "04 Mar 2026 05:06:06.1234 (UTC)"),
            ("X-MS-Exchange-CrossTenant-fromentityheader", "Hosted"),
            ("X-MS-Exchange-CrossTenant-id", tenant.id),
            ("X-MS-Exchange-CrossTenant-mailboxtype", "HOSTED"),
            ("X-MS-Exchange-Transport-CrossTenantHeadersStamped", "AM0PR01MB4321"),
        )
    )

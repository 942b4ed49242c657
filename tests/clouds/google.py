"""Gmail's outbound mail, field by field as public samples show it."""

from __future__ import annotations

from tests.clouds.letter import Letter
from tests.clouds.microsoft import SECRET_HEADER, Tenant


def workspace_letter(tenant: Tenant, *, author: str = "Ann <ann@hospital.example>") -> Letter:
    return Letter(
        (
            (
                "Received",
                "by 2002:a05:6402:1::1 with SMTP id x1so1edq;\r\n        Tue, 03 Mar 2026 21:06:06 -0800 (PST)",
            ),
            (
                "X-Google-DKIM-Signature",
                "v=1; a=rsa-sha256; d=1e100.example;\r\n        s=20230601; b=AAAA",
            ),
            ("X-Gm-Message-State", "AOJu0YxAAAA"),
            (
                "X-Received",
                "by 2002:a05:6402:1::1 with SMTP id x1;\r\n Tue, 03 Mar 2026 21:06:06 -0800 (PST)",
            ),
            (SECRET_HEADER, tenant.secret),
            ("MIME-Version", "1.0"),
            ("From", author),
            ("Date", "Wed, 4 Mar 2026 05:06:06 +0000"),
            ("Message-ID", "<CAF1@mail.gmail.example>"),
            ("Subject", "Appointment"),
            ("To", "bob@partner.example"),
            ("Content-Type", 'text/plain; charset="UTF-8"'),
        )
    )

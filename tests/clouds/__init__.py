"""What Microsoft 365 and Google Workspace send to their customers' outbound gateway, played by ourselves.

Only shapes that public samples show; values are invented. A `Tenant` is one customer; `Letter` is a message as that
customer's cloud hands it over, whose fields a test may take away, double or change; `hand_over` plays the cloud's
server: STARTTLS with a client certificate where the cloud shows one, the parameters it uses, BDAT or DATA.
"""

from tests.clouds.google import workspace_letter
from tests.clouds.letter import Letter
from tests.clouds.microsoft import Tenant, microsoft_letter
from tests.clouds.server import hand_over

__all__ = ["Letter", "Tenant", "hand_over", "microsoft_letter", "workspace_letter"]

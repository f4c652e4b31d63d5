"""The one way out: a guarded HTTP client that user-given addresses may be handed to.

``EgressPolicy`` says where requests may go, ``Egress`` sends them, ``judged`` says what an answer means, and every
destination host has a ``HostGate``: how many at once, when to leave it alone, when to ask again.
"""

from adapters.egress.addresses import EgressPolicy, Target, is_public
from adapters.egress.answers import Response, judged, retry_after_seconds
from adapters.egress.client import Egress, EgressLimits
from adapters.egress.hosts import Breaker, BreakerRules, Health, HostGate, HostView, Phase

__all__ = [
    "Breaker",
    "BreakerRules",
    "Egress",
    "EgressLimits",
    "EgressPolicy",
    "Health",
    "HostGate",
    "HostView",
    "Phase",
    "Response",
    "Target",
    "is_public",
    "judged",
    "retry_after_seconds",
]

"""The one way out: a guarded HTTP client that user-given addresses may be handed to.

``EgressPolicy`` says where requests may go, ``Egress`` sends them, ``judged`` says what an answer means. ``HostGates``
keeps a gate for every host that results go to, mail servers and Discord included: how many at once, when to leave it
alone, when to ask again.
"""

from adapters.egress.addresses import EgressPolicy, Target, is_public
from adapters.egress.answers import Response, health_of, judged, retry_after_seconds, status_of
from adapters.egress.bounded import bounded_answers
from adapters.egress.client import Egress, EgressLimits
from adapters.egress.gates import HostGates, Passage, Places
from adapters.egress.hosts import Admission, Breaker, BreakerRules, Health, HostGate, HostView, Phase

__all__ = [
    "Admission",
    "Breaker",
    "BreakerRules",
    "Egress",
    "EgressLimits",
    "EgressPolicy",
    "Health",
    "HostGate",
    "HostGates",
    "HostView",
    "Passage",
    "Phase",
    "Places",
    "Response",
    "Target",
    "bounded_answers",
    "health_of",
    "is_public",
    "judged",
    "retry_after_seconds",
    "status_of",
]

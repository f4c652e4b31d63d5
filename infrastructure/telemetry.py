"""What the service says about itself: log lines with the secrets masked, and counters for Prometheus.

structlog and prometheus-client are imported when they are first needed: a command that logs nothing pays nothing.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal, TextIO

from infrastructure.masking import masked, masked_value, one_line

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["Metrics", "configure_logging", "masked"]

_NOISY_LIBRARIES = ("apscheduler", "asyncio", "discord", "aiohttp.access", "httpx", "urllib3")
_LATENESS_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3600)
_DURATION_BUCKETS = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_BATCH_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000)


def configure_logging(
    level: str = "info", log_format: Literal["auto", "console", "json"] = "auto", stream: TextIO | None = None
) -> None:
    """Send every log line of this process, ours and the libraries', to ``stream`` (standard error by default).

    ``console`` is for people, ``json`` for programs (one object a line); ``auto`` chooses by whether it is a terminal.
    Secrets are masked in values, in messages and in tracebacks. Can be called again; the last call counts.
    """
    import structlog

    out = sys.stderr if stream is None else stream
    number = logging.getLevelNamesMapping()[level.upper()]
    for_people = log_format == "console" or (log_format == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_event,
    ]
    handler = logging.StreamHandler(out)
    handler.setFormatter(_MaskingFormatter(shared, for_people, colors=for_people and out.isatty()))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    for name in _NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    logging.captureWarnings(True)


class _MaskingFormatter(logging.Formatter):
    """Renders a record through structlog, and masks once more what came out: tracebacks are only text by then."""

    def __init__(self, shared: list[Any], for_people: bool, colors: bool) -> None:
        super().__init__()
        import structlog

        ending: list[Any]
        if for_people:
            # Not the default renderer of tracebacks: that one prints local variables, and they may be keys.
            console = structlog.dev.ConsoleRenderer(
                colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=30
            )
            ending = [console]
        else:
            ending = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
        self._inner = structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )

    def format(self, record: logging.LogRecord) -> str:
        # A lone surrogate in a name must not make the stream refuse the line.
        return masked(self._inner.format(record)).encode("utf-8", "backslashreplace").decode()


_INTERNAL = ("_record", "_from_structlog", "exc_info", "stack_info")


def _mask_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in list(event.items()):
        if name == "event":
            event[name] = one_line(masked(str(value)))
        elif name not in _INTERNAL:
            event[name] = masked_value(value, name)
    return event


class Metrics:
    """Counters and histograms of one process, in a registry of its own. No label names a guild, task or person."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry: CollectorRegistry = CollectorRegistry()
        registry = self.registry
        self._runs = Counter("daybook_runs", "Attempts closed, by outcome", ["outcome"], registry=registry)
        self._lateness = Histogram(
            "daybook_run_lateness_seconds",
            "From the slot to the start of its run",
            registry=registry,
            buckets=_LATENESS_BUCKETS,
        )
        self._duration = Histogram(
            "daybook_run_duration_seconds",
            "From start to end of an attempt",
            ["outcome"],
            registry=registry,
            buckets=_DURATION_BUCKETS,
        )
        self._deliveries = Counter(
            "daybook_deliveries", "Deliveries, by kind of destination and status", ["kind", "status"], registry=registry
        )
        self._queue = Gauge("daybook_queue_depth", "Commands waiting for the writer", registry=registry)
        self._lag = Histogram(
            "daybook_loop_lag_seconds", "How late the event loop woke up", registry=registry, buckets=_LAG_BUCKETS
        )
        self._batch = Histogram(
            "daybook_commit_batch_events", "Events in one commit", registry=registry, buckets=_BATCH_BUCKETS
        )

    def run_started(self, lateness_seconds: float) -> None:
        """A run began so long after its slot; a clock that was set back counts as no lateness."""
        self._lateness.observe(max(0.0, lateness_seconds))

    def run_closed(self, outcome: str, duration_seconds: float) -> None:
        """An attempt ended: ``outcome`` is executed, failed, skipped or interrupted."""
        self._runs.labels(outcome).inc()
        self._duration.labels(outcome).observe(max(0.0, duration_seconds))

    def delivered(self, kind: str, status: str) -> None:
        """One delivery to a destination of this kind ended with this status (domain.destination.DeliveryStatus)."""
        self._deliveries.labels(kind, status).inc()

    def queue_depth(self, commands: int) -> None:
        """So many commands wait for the writer now."""
        self._queue.set(commands)

    def loop_lag(self, seconds: float) -> None:
        """The event loop woke up so much later than it was asked to."""
        self._lag.observe(max(0.0, seconds))

    def committed(self, events: int) -> None:
        """One transaction wrote so many events."""
        self._batch.observe(events)

    def exposition(self) -> tuple[bytes, str]:
        """Everything in the text format of Prometheus, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST

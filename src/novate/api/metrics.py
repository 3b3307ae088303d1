"""What a running venue says of itself: which part is ready, and figures for Prometheus.

Owns: the parts of ``/health`` and the names of ``/metrics``. Nothing is kept here: every figure is
read where it lives when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from novate.api.core import NEW_MAX

if TYPE_CHECKING:
    from novate.api.venue import VenueApi


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a venue: whether it does its work, and what is wrong if not."""

    name: str
    ready: bool
    detail: str = ""
    pid: int | None = None
    restarts: int = 0


def engine_part(venue: VenueApi) -> Part:
    """The core: takes commands, and its journal takes records."""
    core = venue.core
    if core.failed:
        return Part("engine", False, "it failed; the venue stops")
    if core.refusing is not None:
        return Part("engine", False, core.refusing.error.name)
    return Part("engine", core.waiting < NEW_MAX, f"{core.waiting} commands wait")


def health(venue: VenueApi) -> dict[str, Any]:
    """Whether the venue is ready, and each of its parts."""
    parts = [engine_part(venue), *(make() for make in venue.parts)]
    return {
        "ready": all(part.ready for part in parts),
        "not_ready": [part.name for part in parts if not part.ready],
        "waiting": venue.core.waiting,
        "parts": {
            part.name: {
                "ready": part.ready,
                "detail": part.detail,
                "pid": part.pid,
                "restarts": part.restarts,
            }
            for part in parts
        },
    }


class Figures:
    """A venue's figures as Prometheus collects them."""

    def __init__(self, venue: VenueApi, connections: int) -> None:
        self._venue = venue
        self._connections = connections

    def collect(self) -> Iterator[Metric]:
        """Every metric, once."""
        venue, core = self._venue, self._venue.core
        yield _gauge("commands_waiting", "Commands that wait for the engine.", core.waiting)
        yield _gauge("connections", "WebSockets that are open.", self._connections)
        yield _gauge("subscriptions", "Channels that somebody follows.", len(venue.feeds.followers))
        yield _gauge(
            "journal_refuses", "Whether the disk takes no orders.", core.refusing is not None
        )
        yield _gauge("journal_records", "Durable records.", core.journal.durable.sequence + 1)
        yield _gauge(
            "engine_time_seconds", "The engine's time: the last round or batch.", core.world.now
        )
        yield _counter("commands", "Commands carried out.", core.carried_out)
        yield _counter("faults", "Requests that failed for a fault of ours.", venue.faults)
        yield _counter("listener_faults", "Records a follower failed at.", core.listener_faults)
        yield _labelled("shed", "Commands refused for load or room.", "class", core.shed)
        yield _labelled("cut_off", "Connections ended by the venue.", "reason", venue.cut_off)
        yield _labelled("requests", "Requests by method.", "method", venue.requests)
        yield _labelled(
            "request_seconds", "Time spent in requests, by method.", "method", venue.seconds
        )
        for name, (text, label, values) in venue.figures().items():
            yield _labelled(name, text, label, values)
        parts = [engine_part(venue), *(make() for make in venue.parts)]
        ready = GaugeMetricFamily("novate_ready", "Whether a part is ready.", labels=["part"])
        for part in parts:
            ready.add_metric([part.name], float(part.ready))
        yield ready
        yield _labelled(
            "restarts",
            "How often a part was begun again.",
            "part",
            {p.name: p.restarts for p in parts},
        )


def exposition(venue: VenueApi, connections: int) -> bytes:
    """The text that Prometheus reads."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Figures(venue, connections))
    return generate_latest(registry)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"novate_{name}", text, value=float(value))


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"novate_{name}", text, value=float(value))


def _labelled(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    made = CounterMetricFamily(f"novate_{name}", text, labels=[label])
    for key, value in sorted(values.items()):
        made.add_metric([key], float(value))
    return made

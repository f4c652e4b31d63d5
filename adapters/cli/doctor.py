"""What ``daybook doctor`` looks at. Every check says what it found, and what to do where that is not in order."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from adapters.cli.host import Checkable, Host, Settings
from adapters.cli.host_states import standing
from adapters.cli.operations import Operations
from adapters.cli.store import Session, opened
from adapters.cli.task_sources import archive_path
from adapters.cli.times import relative
from domain.errors import DaybookError, EventUnreadable
from domain.zone import zone_version

__all__ = ["Finding", "examine"]

SAFE_SQLITE = (3, 51, 3)
LEAST_FREE_BYTES, FEW_FREE_BYTES = 100 * 1024**2, 1024**3
BUILT = datetime(2025, 1, 1, tzinfo=UTC)
"""No clock that is right shows less."""

LATE = timedelta(minutes=1)
SKEW = timedelta(seconds=30)
RECENT = timedelta(days=1)


class Finding(NamedTuple):
    """One check: ``state`` is ok, warning or wrong."""

    check: str
    state: str
    said: str


async def examine(host: Host, data: str | None) -> list[Finding]:
    """All findings, the store's last. A check that cannot be made is wrong, and ends none of the others."""
    try:
        settings = host.settings(data=data)
    except DaybookError as error:
        return [Finding("settings", "wrong", str(error))]
    findings = [*_surroundings(host, settings), *_templates(settings), await _engine(host, settings)]
    if not settings.data.is_dir():
        return [*findings, Finding("store", "ok", f"{settings.data} does not exist yet; `daybook run` makes it")]
    findings += [*_folder(settings)]
    if any(finding.check == "key file" and finding.state == "wrong" for finding in findings):
        return findings
    try:
        async with opened(host, {"data": data}) as session:
            findings += _store(session)
            findings.append(await _archive(session))
    except DaybookError as error:
        findings.append(Finding("store", "wrong", str(error)))
    return findings


def _surroundings(host: Host, settings: Settings) -> Iterator[Finding]:
    strays = [name + (f" (did you mean {meant}?)" if meant else "") for name, meant in host.unknown_variables()]
    yield Finding(
        "settings", "warning" if strays else "ok", _strays(strays) if strays else "all of them are understood"
    )
    yield Finding("zone", "ok", f"{settings.timezone} is known; zone data {zone_version()}")
    version = host.sqlite_version()
    words = ".".join(map(str, version))
    if version < SAFE_SQLITE:
        safe = ".".join(map(str, SAFE_SQLITE))
        said = f"{words} can rarely damage a file that several connections write (fixed in {safe}); keep backups"
        yield Finding("SQLite", "warning", said)
    else:
        yield Finding("SQLite", "ok", words)


def _templates(settings: Settings) -> Iterator[Finding]:
    if settings.templates is None:
        return
    from adapters.rendering.checking import check_folder

    try:
        found = check_folder(settings.templates)
    except OSError as error:
        said = f"{settings.templates} is no folder that can be read ({error.strerror or 'not there'}); correct "
        yield Finding("templates", "warning", f"{said}DAYBOOK_TEMPLATES, until then the built-in ones are used")
        return
    broken = [one.said for one in found if one.state == "wrong"]
    strays = [f"{one.name}: {one.said}" for one in found if one.state == "warning"]
    if broken:
        yield Finding("templates", "wrong", f"{broken[0]}; until it is mended the built-in one is used")
    elif strays:
        yield Finding("templates", "warning", strays[0])
    else:
        own = sum(one.state == "ok" for one in found)
        yield Finding("templates", "ok", f"{_counted(own, 'template')} your own, the others are built in")


async def _engine(host: Host, settings: Settings) -> Finding:
    try:
        fields = host.engine_fields(settings)
        engine = host.engine(fields=fields)
    except DaybookError as error:
        return Finding("engine", "wrong", str(error))
    if fields is None:
        return Finding("engine", "ok", "extractive; it needs nothing from outside")
    state, said = await engine.checked() if isinstance(engine, Checkable) else ("ok", "")
    return Finding("engine", state, said)


def _strays(strays: list[str]) -> str:
    return f"nothing reads {', '.join(strays)}"


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = settings.data
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"daybook")
        yield Finding("folder", "ok", f"{folder} can be written")
    except OSError as error:
        yield Finding("folder", "wrong", f"{folder} cannot be written: {error.strerror}")
    free = shutil.disk_usage(folder).free
    state = "wrong" if free < LEAST_FREE_BYTES else "warning" if free < FEW_FREE_BYTES else "ok"
    yield Finding("disk", state, f"{free / 1024**3:.1f} GiB are free")
    yield _key_file(settings)


def _key_file(settings: Settings) -> Finding:
    path = settings.data / "master.key"
    if settings.master_key is not None:
        return Finding("key file", "ok", "the master key comes from the environment")
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        if (settings.data / "vault.db").exists():
            return Finding(
                "key file", "wrong", f"{path} is missing: what was sealed with it cannot be read; restore it"
            )
        return Finding("key file", "ok", "it is made with the store")
    if mode & 0o077:
        return Finding("key file", "wrong", f"others can read {path} (mode {mode:04o}): chmod 600 {path}")
    return Finding("key file", "ok", f"{path} is its owner's alone (mode {mode:04o})")


def _store(session: Session) -> list[Finding]:
    checks: list[Callable[[Session], Finding]] = [_held, _hosts, _clock, _due, _stuck, _tasks, _events, _nodes]
    findings = []
    for check in checks:
        try:
            findings.append(check(session))
        except DaybookError as error:
            findings.append(Finding(check.__name__.strip("_"), "wrong", str(error)))
    return findings


def _held(session: Session) -> Finding:
    if not session.beside:
        return Finding("service", "ok", "none is running here; `daybook run` starts it")
    holder = session.host.holder(session.settings.data) or {}
    began = holder.get("started")
    since = f" since {datetime.fromisoformat(str(began)):%Y-%m-%d %H:%M:%S} UTC" if began else ""
    return Finding("service", "ok", f"process {holder.get('pid')} on {holder.get('host')}{since}")


def _hosts(session: Session) -> Finding:
    if not session.beside:
        return Finding("hosts", "ok", "no service is running: none is left alone")
    hosts = session.host.hosts_in_trouble(session.settings.data)
    if not hosts:
        return Finding("hosts", "ok", "none is in trouble" if hosts is not None else "the service has said nothing yet")
    first = "; ".join(
        f"{name} ({standing(state)}: {state.get('last_error')})" for name, state in sorted(hosts.items())[:3]
    )
    said = f"{_counted(len(hosts), 'host')} in trouble: {first}. See `daybook destinations status`"
    return Finding("hosts", "warning", said)


def _clock(session: Session) -> Finding:
    now, log = session.now, session.service.stores.log
    if now < BUILT:
        return Finding("clock", "wrong", f"it shows {now:%Y-%m-%d %H:%M} UTC; set it")
    if position := log.last_position():
        for recorded in log.read(position - 1, 1):
            at = recorded.event.at if isinstance(recorded.event, EventUnreadable) else recorded.event.timestamp
            if at is not None and at > now + SKEW:
                return Finding("clock", "wrong", f"the last event was written {relative(at, now)}: it was set back")
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _due(session: Session) -> Finding:
    late = session.queries.overdue(session.now - LATE)
    if not late:
        return Finding("due", "ok", "nothing waits for longer than a minute")
    since = min(at for _, at in late)
    said = f"{_counted(len(late), 'task')} due for longer than a minute, the first since {relative(since, session.now)}"
    if unknown := _unknown_operations(session, [task_id for task_id, _ in late]):
        others = "; see the log of the service for the others" if unknown[1] < len(late) else ""
        others = others if session.beside else "; no service is running"
        return Finding("due", "wrong" if session.beside else "warning", f"{said}; {unknown[0]}{others}")
    if session.beside:
        return Finding("due", "wrong", f"{said}, though a service is running; see its log")
    return Finding("due", "warning", f"{said}; no service is running")


def _unknown_operations(session: Session, late: list[str]) -> tuple[str, int] | None:
    """Which of the tasks wait because no process knows their operation, and what to do; and how many they are."""
    operations = Operations(session)
    tasks = [task for task in map(session.queries.task, late) if operations.unknown(task.definition.custom_operation)]
    if not tasks:
        return None
    named = ", ".join(f"{task.name} ({task.definition.custom_operation})" for task in tasks[:5])
    more = f" and {len(tasks) - 5} more" if len(tasks) > 5 else ""
    said = f"no process knows the operation of {named}{more} ({operations.words})"
    return f"{said}: start the program that registers it (register_operation), or cancel the task", len(tasks)


def _stuck(session: Session) -> Finding:
    longest = timedelta(seconds=session.settings.attempt_deadline_seconds) + LATE
    stuck = [run for run in session.queries.running() if run.started_at and session.now - run.started_at > longest]
    if not stuck:
        return Finding("runs", "ok", f"none runs for longer than {longest.total_seconds() / 60:.0f} min")
    ids = ", ".join(run.run_id[:10] for run in stuck[:5])
    return Finding("runs", "wrong", f"{_counted(len(stuck), 'run')} past the deadline: {ids}")


def _tasks(session: Session) -> Finding:
    counts = session.queries.counts()
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none yet"
    off = session.queries.tasks(statuses=("disabled",), limit=6)
    if not off:
        return Finding("tasks", "ok", told)
    names = ", ".join(task.name for task in off[:5]) + (", and more" if len(off) > 5 else "")
    return Finding(
        "tasks", "warning", f"{told}. Disabled after failures: {names}; `daybook tasks resume` after a repair"
    )


def _events(session: Session) -> Finding:
    faults = session.queries.faults()
    count = session.service.stores.log.last_position()
    if not faults:
        return Finding("events", "ok", f"all {count} are readable")
    first = faults[0]
    place = f"version {first['version']} of {first['stream']} ({first['topic']}): {first['reason']}"
    return Finding("events", "wrong", f"{_counted(len(faults), 'event')} unreadable, first {place}")


def _nodes(session: Session) -> Finding:
    holder = session.host.holder(session.settings.data) or {}
    lost = [n for n in session.queries.nodes() if n.lost and n.ended_at and session.now - n.ended_at < RECENT]
    gone = [n for n in session.queries.nodes(running_only=True) if session.beside and n.node != holder.get("node")]
    if session.settings.database_url is None and gone:
        said = f"{_counted(len(gone), 'node')} ended without a word; the next start takes over what it did"
        return Finding("nodes", "warning", said)
    if lost:
        return Finding(
            "nodes", "warning", f"{_counted(len(lost), 'node')} killed or crashed within a day: {lost[0].node}"
        )
    return Finding("nodes", "ok", "all of them ended properly, or are running")


async def _archive(session: Session) -> Finding:
    try:
        path = await archive_path(session)
        channels: list[Any] = list(session.host.archive(path).channels())
    except DaybookError as error:
        return Finding("archive", "wrong", str(error))
    return Finding("archive", "ok", f"{path or 'the sample'}: {len(channels)} channels, "
                                    f"{sum(channel.message_count for channel in channels)} messages")  # fmt: skip


def _counted(number: int, noun: str) -> str:
    return f"1 {noun} is" if number == 1 else f"{number} {noun}s are"

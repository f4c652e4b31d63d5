"""``daybook audit``: heads of the log, proofs that a stranger can check, and what was tampered with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.cli import show
from adapters.cli.options import DataOption, JsonOption

if TYPE_CHECKING:
    from adapters.cli.store import Session
    from application.ports import Head, Leaves
    from application.tampering import Verdict
    from application.tree import EventTree

__all__ = ["app"]

app = typer.Typer(name="audit", help="Prove what the log holds, and find what was tampered with.", no_args_is_help=True)


@app.command()
def head(ctx: typer.Context, json: JsonOption = False, data: DataOption = None) -> None:
    """Show the head of the log: all of its events in one hash. Keep it where nobody can change it."""
    from adapters.cli.store import on_store

    async def work(session: Session) -> None:
        from application.tree import head_document

        tree = _tree(session)
        found = tree.head()
        session.service.stores.leaves.add_head(found)
        if json:
            show.as_json({"kind": "head", **head_document(found)})
            return
        show.line(f"size {found.size} (the last event is at position {found.position})")
        show.line(f"root {found.root.hex()}")
        show.line(f"at   {found.at.isoformat()}")

    on_store(ctx, work, data=data)


@app.command()
def prove(
    ctx: typer.Context,
    event: Annotated[
        str | None, typer.Argument(metavar="[EVENT]", help="A position in the log, or TASK@NUMBER, a task's event.")
    ] = None,
    since: Annotated[
        int | None, typer.Option("--from", metavar="SIZE", help="Prove that the log goes on from a head of this size.")
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Prove that an event is in the log, or that the log goes on from an earlier head; --json for whoever checks it."""
    from adapters.cli.store import on_store
    from domain.errors import InvalidInput

    if (event is None) is (since is None):
        remedy = "name an event, or the size of a head"
        if event is None:
            raise InvalidInput("EVENT", "", "is missing, and so is --from", remedy)
        raise InvalidInput("--from", since, "is given beside an event", remedy)

    async def work(session: Session) -> None:
        tree = _tree(session)
        if event is not None:
            proof = tree.inclusion(_position(session, event))
            words = (
                f"event {proof['version']} of stream {proof['stream']} ({show.plain(proof['topic'])}), "
                f"position {proof['position']}: leaf {proof['index']} of {proof['size']}"
            )
        else:
            assert since is not None
            proof = tree.consistency(since)
            words = f"the {proof['size']} events of today begin with the {proof['old_size']} of then"
        if json:
            show.as_json(proof)
            return
        show.line(words)
        if event is None:
            show.line(f"old root {proof['old_root']}")
        show.line(f"root     {proof['root']}")
        for number, step in enumerate(proof["proof"], 1):
            show.line(f"step {number:<3} {step}")

    on_store(ctx, work, data=data)


@app.command()
def verify(
    ctx: typer.Context,
    heads: Annotated[
        list[Path] | None,
        typer.Option("--head", metavar="FILE", help="A head that was kept, or any file in which some stand."),
    ] = None,
    json: JsonOption = False,
    data: DataOption = None,
) -> None:
    """Find every event that was changed, removed, moved or inserted. Exit code 1 when there is any."""
    from adapters.cli.progress import bar
    from adapters.cli.store import looking
    from application.heads import known_heads
    from application.tampering import verify_log

    given = [one for path in heads or () for one in _read(path)]
    with looking(ctx.obj, data) as stores:
        leaves = stores.leaves if stores.has_leaves else None
        known = known_heads(stores.log, leaves, given)
        with bar("Comparing") as progress:
            verdict = verify_log(stores.log, leaves, known, progress)
        made = _since(leaves)
    if json:
        show.as_json(_verdict_dict(verdict))
    else:
        _print_verdict(verdict, made)
    raise typer.Exit(0 if verdict.intact else 1)


def _since(leaves: Leaves | None) -> str | None:
    """Since when leaves are kept; None where there are none that could be read."""
    from domain.errors import StoreError

    try:
        return f"{leaves.made_at():%Y-%m-%d %H:%M} +0000" if leaves is not None else None
    except StoreError:
        return None


def _tree(session: Session) -> EventTree:
    """The tree over all that is written now."""
    from adapters.cli.progress import bar
    from application.tree import EventTree

    stores = session.service.stores
    tree = EventTree(stores.log, stores.leaves, session.service.clock)
    with bar("Hashing") as progress:
        tree.catch_up(progress)
    return tree


def _position(session: Session, event: str) -> int:
    """The position of the event that is meant."""
    from uuid import UUID

    from adapters.cli.old_names import find_ever
    from application.wholeness import version_of
    from domain.errors import InvalidInput, NotFound

    if event.isascii() and event.isdigit() and len(event) < 16:
        return int(event)
    task, _, number = event.rpartition("@")
    if not task or not (number.isascii() and number.isdigit()):
        raise InvalidInput("EVENT", event, "is no event", "give a position like 17, or TASK@NUMBER like Daily@3")
    found = find_ever(session.queries, task)
    events = session.service.stores.log.stream(UUID(found.task_id), after_version=max(0, int(number) - 1), limit=1)
    if not events or version_of(events[0]) != int(number):  # numbers begin at 1, and one may be missing
        raise NotFound("event", event)
    return events[0].position


def _read(path: Path) -> list[Head]:
    from application.heads import heads_in
    from domain.errors import InvalidInput

    try:
        found = heads_in(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--head", str(path), f"cannot be read: {error}", "give a file that was saved") from None
    if not found:
        raise InvalidInput("--head", str(path), "holds no head", "save one with `daybook audit head --json`")
    return found


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    from application.tree import head_document

    return {
        "intact": verdict.intact,
        "events": verdict.events,
        "new_events": verdict.new,
        "heads_held": [head_document(one) for one in verdict.held],
        "heads_broken": [head_document(one) for one in verdict.broken],
        "findings": [
            {
                "kind": one.kind.value,
                "position": one.position,
                "stream": one.stream or None,
                "version": one.version or None,
                "words": one.words,
            }
            for one in verdict.findings
        ],
        "more_findings": verdict.more,
    }


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _print_verdict(verdict: Verdict, made: str | None) -> None:
    for one in verdict.findings:
        show.line(f"{one.kind.value}: {show.plain(one.words)}")
    if verdict.more:
        show.line(f"and {verdict.more} more")
    for lost in verdict.broken:
        more = f", which has only {verdict.rows} events" if lost.size > verdict.rows else ""
        show.line(
            f"broken: the head of {lost.at:%Y-%m-%d %H:%M} +0000 (size {lost.size}) is not that of this log{more}"
        )
    compared = (
        f"{_events(verdict.events)} compared with leaves kept since {made}" if made else "no leaves to compare with"
    )
    newer = "is newer, or was never hashed" if verdict.new == 1 else "are newer, or were never hashed"
    new = f" ({_events(verdict.new)} {newer})" if verdict.new else ""
    show.line(f"{compared}{new}; {len(verdict.held)} of {len(verdict.held) + len(verdict.broken)} heads hold")
    if verdict.tampered:
        show.line("The log was tampered with. Stop the service, and restore the folder from a backup that verifies.")
    elif any(one.size > verdict.rows for one in verdict.broken):
        show.line(
            "Where this folder is an older copy, or was restored from one, a newer copy has what is missing. "
            "Else the end of the log was cut off: stop the service, and restore a backup that has it."
        )
    elif verdict.broken:
        show.line("The log holds. Look where the head that does not is from.")
    elif not verdict.held:
        show.line(
            "No head is known here: none was published, and those that were shown stand in leaves.db. So a change of "
            "both the log and its leaves would not show: give a head that was kept elsewhere, with --head FILE."
        )

"""When a task is next due, by its row: the short ways say what the decision of the domain says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from application.open_runs import OpenEntry, keep_open, settle
from application.rows import RowsInMemory, TaskRow
from domain.definition import OverlapPolicy
from domain.runs import TaskStatus, attention_at

INSTANTS = st.one_of(st.none(), st.integers(0, 9))
ENTRIES = st.one_of(
    st.none(),
    st.just(OpenEntry(manual=False, due_at=None)),
    st.builds(OpenEntry, manual=st.booleans(), due_at=INSTANTS, until=INSTANTS),
)


@given(
    steps=st.lists(st.tuples(st.sampled_from("abc"), ENTRIES), max_size=8),
    status=st.sampled_from(TaskStatus),
    overlap=st.sampled_from(OverlapPolicy),
    next_slot=INSTANTS,
    paused_until=INSTANTS,
    buffered_until=INSTANTS,
)
def test_a_row_keeps_its_open_runs_and_is_due_when_the_domain_says(
    steps: list[tuple[str, OpenEntry | None]],
    status: TaskStatus,
    overlap: OverlapPolicy,
    next_slot: int | None,
    paused_until: int | None,
    buffered_until: int | None,
) -> None:
    """Against a dictionary of the runs, whatever the order in which they open, wait, run and close."""
    task = TaskRow("t", status=status.value, overlap=overlap.value, next_slot=next_slot)
    task.paused_until, task.buffered_until = paused_until, buffered_until
    model: dict[str, OpenEntry] = {}
    for run, entry in steps:
        before = model.pop(run, None)
        if entry is not None:
            until = entry.until if entry.until is not None or before is None else before.until
            model[run] = OpenEntry(entry.manual, entry.due_at, until)
        keep_open(task, run, entry)
        settle(task, RowsInMemory())
        kept = {name: OpenEntry(*fields) for name, fields in from_json(task.open_runs or "{}").items()}
        assert kept == model
        assert task.due_at == attention_at(status, next_slot, overlap, model, paused_until, buffered_until)

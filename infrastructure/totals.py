"""How many tasks there are by status, kept as they change: counting all of them takes longer the more there are.

SQLite keeps the numbers itself. An update that leaves the status alone, as a run's does, does not come by here.
"""

__all__ = ["KEEP_TOTALS", "TOTALS"]

KEEP_TOTALS = (
    "create table totals (status text primary key, tasks integer not null) without rowid",
    """create trigger totals_new after insert on tasks begin
         insert into totals values (new.status, 1) on conflict (status) do update set tasks = tasks + 1;
       end""",
    """create trigger totals_moved after update of status on tasks when old.status <> new.status begin
         update totals set tasks = tasks - 1 where status = old.status;
         insert into totals values (new.status, 1) on conflict (status) do update set tasks = tasks + 1;
       end""",
)
TOTALS = "select status, tasks from totals where tasks > 0"

"""What is refused when a schedule is made, and with which words."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import InvalidInput, InvalidSchedule, InvalidTimezone
from domain.schedule import make_schedule

REFUSED = {
    "once without an instant": {"type": "once"},
    "25:00": {"type": "daily", "time": "25:00"},
    "9:0": {"type": "daily", "time": "9:0"},
    "time with other digits": {"type": "daily", "time": "\u0660\u0669:\u0660\u0660"},
    "a number as time": {"type": "daily", "time": 9},
    "day 7": {"type": "weekly", "days": [7]},
    "day -1": {"type": "weekly", "days": [-1]},
    "days as text": {"type": "weekly", "days": "0"},
    "True as a day": {"type": "weekly", "days": [True]},
    "endless days": {"type": "weekly", "days": [1] * 1000},
    "day of month 0": {"type": "monthly", "day_of_month": 0},
    "day of month 32": {"type": "monthly", "day_of_month": 32},
    "interval without length": {"type": "interval"},
    "interval of nothing": {"type": "interval", "every": timedelta()},
    "interval backwards": {"type": "interval", "every": timedelta(minutes=-5)},
    "interval below a minute": {"type": "interval", "every": timedelta(seconds=59)},
    "interval beyond reason": {"type": "interval", "every": timedelta.max},
    "interval as text": {"type": "interval", "every": "soon"},
    "custom without cron": {"type": "custom"},
    "a kind that is not": {"type": "fortnightly"},
    "no kind": {},
    "unknown gap policy": {"type": "daily", "gap": "jump"},
    "unknown field": {"type": "daily", "tmie": "09:00"},
    "naive at": {"type": "once", "at": datetime(2026, 1, 1)},  # noqa: DTZ001
    "naive anchor": {"type": "daily", "anchor": datetime(2026, 1, 1)},  # noqa: DTZ001
    "an instant as text": {"type": "once", "at": "tomorrow"},
}

CRON_REFUSED = [
    "",
    "0 0 30 2 *",
    "0 0 31 4,6 *",
    "0 0 */29 2 mon#5",
    "*/0 * * * *",
    "0-59/x * * * *",
    "1," * 20_000,
    "٣ * * * *",
    "*\u00a0* * * *",
    "* * * * *\n* * * * *",
    "* * * *\u2028*",
    "0 9 * * mon-fri;rm",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "5-1 * * * *",
    "* * * * * *",
    "* * * *",
    "@reboot",
    "@",
    "1,,2 * * * *",
    "5L/2 * * * *",
    "* * L/2 * *",
    "* * * * 5L/2",
    "* * * * 5#6",
    "* * * * 1#2/3",
    "-1 * * * *",
    "*/ * * * *",
    "/5 * * * *",
]


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_a_wrong_field_is_refused_by_name(fields: dict[str, object]) -> None:
    """The error says which field is wrong and what would be right."""
    with pytest.raises(InvalidSchedule) as caught:
        make_schedule(**fields)
    assert caught.value.field in {*fields, "at", "every", "cron", "type"}
    assert caught.value.problem
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", CRON_REFUSED, ids=range(len(CRON_REFUSED)))
def test_a_wrong_cron_expression_is_refused(text: str) -> None:
    """Clear words, never an error of a library."""
    with pytest.raises(InvalidSchedule) as caught:
        make_schedule(type="custom", cron=text)
    assert caught.value.field == "cron"
    assert len(str(caught.value)) < 300


def test_a_cron_expression_that_can_never_run_is_told_so() -> None:
    """Case 9: 30 February."""
    with pytest.raises(InvalidSchedule, match="can never run"):
        make_schedule(type="custom", cron="0 0 30 2 *")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "America",
        "A" * 5000,
        "UTC\0",
        "",
        "/etc/passwd",
        "Europe/",
        "Europe\\Berlin",
        "utc",
        "Mars/Base",
        5,
    ],
)
def test_a_name_that_is_no_zone_is_refused(name: object) -> None:
    """Only names in the database's own list are looked up at all."""
    with pytest.raises(InvalidTimezone) as caught:
        make_schedule(type="daily", timezone=name)
    assert caught.value.field == "timezone"


@pytest.mark.parametrize(("typed", "meant"), [("europe/berlin", "Europe/Berlin"), ("New York", "America/New_York")])
def test_a_zone_with_a_slip_is_answered_with_a_suggestion(typed: str, meant: str) -> None:
    """The remedy names the zone that was probably meant."""
    with pytest.raises(InvalidTimezone, match=meant):
        make_schedule(type="daily", timezone=typed)


def test_every_refusal_is_invalid_input() -> None:
    """One class for the edges to catch."""
    with pytest.raises(InvalidInput):
        make_schedule(type="once", at=datetime.max.replace(tzinfo=UTC) - timedelta(days=1), timezone="Nowhere")

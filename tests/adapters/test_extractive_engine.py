"""The extractive engine: what it quotes is worth reading, true to the messages, and always the same."""

# ruff: noqa: RUF001 - the marks of other scripts are meant

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.summarizers import ExtractiveEngine
from adapters.summarizers.extractive import summarize
from adapters.summarizers.language import languages_of, sentences, words
from adapters.summarizers.lexrank import centrality, neighbors
from adapters.summarizers.lines import clean_speech
from domain.errors import InsufficientContent
from domain.summary import Message, Summary, SummaryContext, SummaryLength, SummaryOptions

START = datetime(2026, 3, 27, 8, tzinfo=UTC)
CONTEXT = SummaryContext(channel_name="general", start_time=START, end_time=START + timedelta(hours=10))
CONVERSATION = Path(__file__).with_name("conversation.txt")


def conversation() -> list[Message]:
    people: dict[str, str] = {}
    records: list[str] = []
    for line in CONVERSATION.read_text(encoding="utf-8").splitlines():
        if line.split("|")[0].isdigit():
            records.append(line)
        elif not line.startswith("#"):
            records[-1] += "\n" + line
    messages = []
    for record in records:
        id, minutes, author, reply_to, reactions, text = record.split("|", 5)
        name = author.rstrip("*")
        messages.append(
            Message(
                id=id,
                channel_id="1",
                author_id=people.setdefault(name, str(1000 + len(people))),
                author_name=name,
                timestamp=START + timedelta(minutes=int(minutes)),
                content=text,
                is_bot=author.endswith("*"),
                reply_to=reply_to or None,
                reactions=int(reactions),
                url=f"https://discord.com/channels/9/1/{id}",
            )
        )
    return messages


def said(text: str, *, author: str = "1", minutes: float = 0, **more: Any) -> Message:
    values: dict[str, Any] = {
        "id": f"{author}-{minutes}-{len(text)}",
        "channel_id": "1",
        "author_id": author,
        "author_name": f"user{author}",
    }
    return Message(**(values | {"timestamp": START + timedelta(minutes=minutes), "content": text} | more))


def summary_of(messages: list[Any], **options: Any) -> Summary:
    return summarize(messages, SummaryOptions(**options), CONTEXT, "1", "9")


# --- the summary -------------------------------------------------------------------------------------


def test_the_messages_that_moved_people_are_the_key_points() -> None:
    """Decisions, news and answered questions are quoted, with who said it and a link; small talk and bots are not."""
    summary = summary_of(conversation())
    quoted = {point.message_id for point in summary.key_points}
    assert {"4", "14", "23", "50"} <= quoted
    assert not quoted & {"1", "2", "3", "10", "11", "12", "13", "27", "35", "36", "42", "48", "49", "51", "54"}
    news = next(point for point in summary.key_points if point.message_id == "14")
    assert (news.author, news.url) == ("eva", "https://discord.com/channels/9/1/14")


def test_a_question_is_quoted_with_its_answer() -> None:
    """The best reply stands beside the question, with its author."""
    summary = summary_of(conversation())
    question = next(point for point in summary.key_points if point.message_id == "4")
    assert question.author == "chidi"
    assert "→ ana: It's the attachment index" in question.text
    assert not any(point.message_id == "6" for point in summary.key_points)


def test_promises_needs_and_requests_are_action_items_in_several_languages() -> None:
    """English, German, Spanish, French and Japanese phrases are found, and who is asked is said."""
    summary = summary_of(conversation(), summary_length="comprehensive")
    found = {point.message_id: point for point in summary.action_items}
    assert {"8", "9", "17", "18", "19", "20", "30", "33", "43", "52"} <= set(found)
    assert found["19"].text.startswith("dana: can you review the pull request")
    assert found["19"].author == "chidi"
    assert not set(found) & {"1", "23", "28", "45", "53"}


@pytest.mark.parametrize(
    "text",
    [
        "I'll be honest, this is hard",
        "that should be fine",
        "can you believe that?",
        "we'll see",
        "will you marry me",
        "let me know how it went",
        "je vais bien merci",
    ],
)
def test_figures_of_speech_are_no_action_items(text: str) -> None:
    """Phrases that sound like work but are none are passed over."""
    assert summary_of([said(text)]).action_items == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I'll send the invoice by Friday", True),
        ("could someone restart the staging server please", True),
        ("TODO: rotate the keys", True),
        ("Ich übernehme das Protokoll bis Montag", True),
        ("Wir sollten den Server umziehen", True),
        ("Je vais corriger la page d'accueil", True),
        ("Tenemos que renovar el dominio antes del lunes", True),
        ("the weather was nice in Lisbon", False),
    ],
)
def test_what_is_to_be_done_is_recognized(text: str, found: bool) -> None:
    """Each language's usual phrases are known."""
    assert bool(summary_of([said(text)]).action_items) is found


def test_the_overview_says_who_talked_and_about_what() -> None:
    """The first sentences name people, channel and topics."""
    text = summary_of(conversation()).summary_text
    assert text.startswith(
        "11 people wrote 53 messages in #general, led by ana (8), eva (7) and farid (7). Most discussed: "
    )
    assert "group commit" in text


def test_technical_terms_are_found() -> None:
    """Inline code and identifiers are listed, chat acronyms and units are not."""
    terms = summary_of(
        [*conversation(), said("LOL OMG the API key"), said("the API is down", author="2")]
    ).technical_terms
    assert {"DAYBOOK_TOKEN", "append_batch", "API"} <= set(terms)
    assert not {"LOL", "OMG", "GB", "TODO"} & set(terms)


def test_lengths_differ_in_the_number_of_points() -> None:
    """Brief gives 3 points, detailed 7, comprehensive 15, when there is that much to say."""
    counts = [len(summary_of(conversation(), summary_length=length).key_points) for length in SummaryLength]
    assert counts == [3, 7, 15]


def test_what_was_not_asked_for_is_left_out() -> None:
    """Each option takes its part away, and people are then not named in the overview either."""
    summary = summary_of(
        conversation(),
        extract_key_points=False,
        extract_action_items=False,
        extract_technical_terms=False,
        include_participant_analysis=False,
        summary_length="brief",
    )
    assert (summary.key_points, summary.action_items, summary.technical_terms, summary.participants) == ((), (), (), ())
    assert "ana" not in summary.summary_text.split()


def test_participants_are_counted_and_sorted() -> None:
    """Most messages first, then by name."""
    people = summary_of(conversation()).participants
    assert people[:3] == (("ana", 8), ("eva", 7), ("farid", 7))
    assert sum(count for _, count in people) == 53


def test_bots_are_in_only_when_asked_for_and_never_the_point() -> None:
    """With bots included their messages count, but their noise is not quoted before people."""
    summary = summary_of(conversation(), include_bots=True)
    assert summary.message_count == 56
    assert not {"3", "11", "54"} & {point.message_id for point in summary.key_points}


def test_a_quip_that_needs_its_context_is_not_quoted() -> None:
    """A loved short line that begins with "that" or "and" makes way for one that stands by itself."""
    quips = [
        said(f"{start} the best sentence of the month", author=str(n), minutes=n, reactions=12)
        for n, start in enumerate(["that's", "and", "those are"])
    ]
    plain = [
        said(text, author=f"p{n}", minutes=9 + n)
        for n, text in enumerate(
            [
                "The bakery closes in April for good",
                "My train to Hamburg was cancelled twice",
                "Tomatoes like a sunny balcony",
            ]
        )
    ]
    texts = [point.text for point in summary_of([*quips, *plain, *quips], summary_length="brief").key_points]
    assert not [text for text in texts if "best sentence" in text]


def test_a_person_is_quoted_before_a_bot_that_says_as_much() -> None:
    """Between equals the bot steps back, even when its message got more reactions."""
    bot = said("Release 2.0 shipped with streaming uploads today", author="b", minutes=1, is_bot=True, reactions=12)
    person = said("Version 3.1 arrives with offline maps tomorrow", author="p", minutes=2, reactions=3)
    quiet = [said("ok then", author=str(n), minutes=3 + n) for n in range(2)]
    (point,) = summary_of([bot, person, *quiet][:3], include_bots=True, summary_length="brief").key_points
    assert point.author == "userp"


def test_excluded_users_are_left_out() -> None:
    """Nothing of an excluded person is counted or quoted."""
    summary = summary_of(conversation(), excluded_users=("1000",))
    assert "ana" not in dict(summary.participants)
    assert all(point.author != "ana" for point in (*summary.key_points, *summary.action_items))


def test_points_are_spread_over_people() -> None:
    """One loud person does not fill a summary when others had something to say."""
    loud = [
        said(text, author="1", minutes=n, reactions=60)
        for n, text in enumerate(
            [
                "Release decision: parser modules ship today, 2.0 follows",
                "Outage over: database replicas caught up around 14:00",
                "Deadline moved to October because reviewers are sick",
                "Benchmark results: threads beat processes by 40 percent",
                "Important: rotate credentials before leaving tonight",
                "Proposal accepted, donations finance a second designer",
                "Migration finished, every mailbox lives in Helsinki now",
            ]
        )
    ]
    others = [
        said("The bakery on the corner closes in April for good", author="2", minutes=20),
        said("My train to Hamburg was cancelled twice this month", author="3", minutes=21),
        said("Sourdough needs about twelve hours in a cold kitchen", author="4", minutes=22),
        said("The library extends its opening hours on Sundays", author="5", minutes=23),
        *[said("ok", author="6", minutes=30 + n) for n in range(9)],
    ]
    authors = [point.author for point in summary_of([*loud, *others]).key_points]
    assert len(authors) == 7
    assert authors.count("user1") <= math.ceil(7 / 3)


def test_points_do_not_repeat_each_other() -> None:
    """The same news told by several people is one point."""
    news = [
        said(f"The server in Frankfurt is down since nine {tail}", author=str(n), minutes=n, reactions=5)
        for n, tail in enumerate(["sadly", "again", "folks", "it seems", "for me", "too"])
    ]
    rest = [said("Ana wrote a guide about growing tomatoes on balconies", author="9", minutes=50)]
    points = summary_of([*news, *rest], summary_length="brief").key_points
    assert any("tomatoes" in point.text for point in points)


def test_the_same_messages_give_the_same_summary_in_any_order() -> None:
    """Order of input does not matter; the id is made from the content."""
    messages = conversation()
    first, again = summary_of(messages), summary_of(list(reversed(messages)))
    assert first == again
    assert summary_of(messages[:-1]).id != first.id
    assert summary_of(messages, summary_length="brief").id != first.id


# --- what hosts give ---------------------------------------------------------------------------------


def test_a_hosts_plain_messages_are_enough() -> None:
    """author_id, timestamp and content make a summary."""
    messages = [
        SimpleNamespace(
            author_id=n % 3, timestamp=START + timedelta(minutes=n), content=f"The plan for sprint {n} is on the board"
        )
        for n in range(9)
    ]
    summary = summary_of(messages)
    assert summary.message_count == 9
    assert summary.participants == (("0", 3), ("1", 3), ("2", 3))
    assert summary.key_points


def test_messages_like_those_of_discord_libraries_are_understood() -> None:
    """Author objects, reaction lists, references and jump_url are read."""
    author = SimpleNamespace(id=7, display_name="Zoë", bot=False)
    message = SimpleNamespace(
        id=1,
        author=author,
        created_at=START,
        content="The museum opens a new wing for modern art in June",
        reactions=[SimpleNamespace(count=3), SimpleNamespace(count=2)],
        attachments=[object()],
        reference=None,
        jump_url="https://discord.com/channels/1/2/3",
    )
    bot = SimpleNamespace(
        id=2, author=SimpleNamespace(id=8, name="b", bot=True), created_at=START, content="beep boop beep"
    )
    summary = summary_of([message, bot])
    assert summary.participants == (("Zoë", 1),)
    assert summary.key_points[0].url == "https://discord.com/channels/1/2/3"


def test_dicts_are_understood() -> None:
    """A mapping with the same names will do."""
    summary = summary_of(
        [{"author_id": "1", "timestamp": START, "content": "Dinner is served at eight on the terrace"}]
    )
    assert summary.message_count == 1


@pytest.mark.parametrize("timestamp", [START.replace(tzinfo=None), None, "yesterday"])
def test_a_message_without_an_aware_time_is_refused(timestamp: Any) -> None:
    """Nobody can say when it was written."""
    with pytest.raises(ValueError, match=r"naive|timestamp"):
        summary_of([SimpleNamespace(author_id="1", timestamp=timestamp, content="x")])


@pytest.mark.parametrize("messages", [[], [said("")], [said("beep", is_bot=True)], [said("  \n ")]])
def test_nothing_said_is_insufficient(messages: list[Message]) -> None:
    """No message of a person, no summary."""
    with pytest.raises(InsufficientContent):
        summary_of(messages)


def test_pictures_alone_are_a_summary_without_points() -> None:
    """Files without words are counted, not quoted."""
    summary = summary_of([said("", author=str(n), attachments=("cat.png",)) for n in range(4)])
    assert summary.key_points == ()
    assert "4 files were shared." in summary.summary_text


def test_very_many_messages_are_read_in_part_and_that_is_said() -> None:
    """Beyond 10,000 messages everything is counted, and a notice says how many were read closely."""
    messages = [
        said(f"note {n} about topic {n % 50} of the day", author=str(n % 9), minutes=n / 60) for n in range(12_000)
    ]
    loved = said("We chose Lisbon for the meeting in autumn", author="77", minutes=100.5, reactions=40)
    summary = summary_of([*messages, loved])
    assert summary.message_count == 12_001
    assert summary.notice == "Of 12,001 messages 10,000 were read closely."
    assert any("Lisbon" in point.text for point in summary.key_points)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.text(max_size=200),
                st.sampled_from(["```", "`a`", "<@1>", "？", "。。", "!x y", "> q", "http://", "<:a:1>"]),
            ),
            st.integers(0, 3),
            st.integers(0, 5),
            st.one_of(st.none(), st.integers(0, 30)),
        ),
        max_size=30,
    ),
    st.sampled_from(list(SummaryLength)),
)
def test_no_message_breaks_the_engine(data: list[tuple[str, int, int, int | None]], length: SummaryLength) -> None:
    """Whatever people type, there is a summary or InsufficientContent, and every point names a real message."""
    messages = [
        said(
            text,
            author=str(author),
            minutes=n,
            id=str(n),
            reactions=likes,
            reply_to=None if reply is None else str(reply),
        )
        for n, (text, author, likes, reply) in enumerate(data)
    ]
    try:
        summary = summary_of(messages, summary_length=length)
    except InsufficientContent:
        assert not any(text.strip() for text, *_ in data)
        return
    assert {point.message_id for point in (*summary.key_points, *summary.action_items)} <= {m.id for m in messages}
    assert summary.message_count == len(messages)
    assert all(point.text for point in (*summary.key_points, *summary.action_items))


@pytest.mark.parametrize(
    "text",
    ["a. ", "> ", "`", "*_", "[a](", "<@1", ":a", "\n", "i will ", "http://", "?", "日", "a_", "by ", "# \n", "@a "],
)
def test_long_messages_of_anything_are_read_in_reasonable_time(text: str) -> None:
    """No pattern makes the cleaning or the search for actions run away."""
    messages = [said((text * 4000)[:4000], author=str(n), minutes=n, id=str(n)) for n in range(20)]
    try:
        assert summary_of(messages).message_count == 20
    except InsufficientContent:
        assert not text.strip()


def test_no_point_holds_an_address() -> None:
    """People read words, and open the message where it was written; addresses that others typed are left out."""
    summary = summary_of(
        [
            said(
                f"We decided to move release {n} to the week of the harvest festival https://a.example/{n}",
                author=str(n),
            )
            for n in range(6)
        ]
    )
    assert summary.key_points
    for point in (*summary.key_points, *summary.action_items):
        assert "http" not in point.text
    assert "a.example" not in summary.summary_text


async def test_the_engine_runs_off_the_event_loop() -> None:
    """What the engine returns is what the pure function returns."""
    summary = await ExtractiveEngine().summarize_messages(conversation(), SummaryOptions(), CONTEXT, "1", "9")
    assert summary == summary_of(conversation())


# --- cleaning and language ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("<@5> can you look at <#7>?", "can you look at ?"),
        ("thanks to <@5> for this <:party:123> :tada:", "thanks to Bo for this"),
        ("@everyone the doors are open", "the doors are open"),
        ("**bold** and ~~gone~~ __line__ ||spoiler||", "bold and gone line spoiler"),
        ("> quoted\nanswer to it", "answer to it"),
        ("before\n```py\nx = 1\n```\nafter", "before after"),
        ("see https://a.example/x and https://b.example/y.", "see and."),
        ("[the page](https://a.example/x) is new", "the page is new"),
        ("https://a.example/only", ""),
        ("The wing opens in June (see https://a.example/x)", "The wing opens in June"),
        ("It opens in June (https://a.example/x).", "It opens in June."),
        ("!play some song", ""),
        ("/remind me later", ""),
        ("/etc/passwd is world-readable", "/etc/passwd is world-readable"),
        (".net 9 is out", ".net 9 is out"),
        ("Pinned a message.", ""),
        ("run `a_b` now", "run `a_b` now"),
        ("snake_case stays", "snake_case stays"),
    ],
)
def test_cleaning_leaves_what_was_said(raw: str, text: str) -> None:
    """Mentions, emoji, marks, quotations, code blocks and commands go; words and inline code stay; links go."""
    assert clean_speech(raw, {"5": "Bo"}).text == text


def test_sentences_end_where_people_end_them() -> None:
    """Abbreviations end none; Chinese, Japanese, Arabic and Hindi marks end some."""
    assert sentences("We met Dr. Li, e.g. in May. Fine! Really?") == ["We met Dr. Li, e.g. in May.", "Fine!", "Really?"]
    assert sentences("翻訳は完了しました。確認してください！") == ["翻訳は完了しました。", "確認してください！"]
    assert sentences("你好。我来做。") == ["你好。", "我来做。"]
    assert sentences("यह ठीक है। धन्यवाद।") == ["यह ठीक है।", "धन्यवाद।"]
    assert sentences("Version 2.3.1 is out") == ["Version 2.3.1 is out"]


def test_words_of_scripts_without_spaces_are_pairs() -> None:
    """Chinese and Japanese texts can be compared without a dictionary."""
    assert words("東京都") == ["東京", "京都"]
    assert words("C++ isn't https://x.test/a dead") == ["c++", "isn't", "dead"]


def test_languages_are_told_apart() -> None:
    """The language spoken most comes first; English is always known."""
    german = ["das ist nicht so einfach wie ich dachte", "wir haben das auch schon gesehen"] * 3
    assert languages_of(german)[0] == "german"
    assert "english" in languages_of(german)
    assert languages_of(["я не знаю что это такое и где"])[0] == "russian"
    assert languages_of([]) == ["english"]


# --- LexRank -----------------------------------------------------------------------------------------


def test_sparse_similarities_are_those_of_the_library() -> None:
    """The neighbors found over shared words are the ones that the library's own cosine gives."""
    from sumy.summarizers.lex_rank import LexRankSummarizer

    texts = [message.content.lower().split() for message in conversation()]
    ranker = LexRankSummarizer()
    tf, idf = ranker._compute_tf(texts), ranker._compute_idf(texts)
    for row, near in enumerate(neighbors(tf, idf, 0.1)):
        expected = [
            column
            for column in range(len(texts))
            if LexRankSummarizer.cosine_similarity(texts[row], texts[column], tf[row], tf[column], idf) > 0.1 + 1e-12
        ]
        assert [column for column, _ in near] == expected


def test_the_text_that_others_resemble_is_central() -> None:
    """A text about what all talk about ranks above one about something else."""
    ranks = centrality(
        ["red apples and green pears", "red apples taste good", "green pears taste good", "trains run late"],
        frozenset({"and"}),
        str,
    )
    assert max(ranks) == 1.0
    assert ranks[0] > ranks[3]
    assert centrality([], frozenset(), str) == []

"""Words and sentences in many languages, without anything to download."""

# ruff: noqa: RUF001 - the marks of other scripts are meant

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

__all__ = ["Tokenizer", "languages_of", "sentences", "stop_words", "words"]

_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|ca|cf|mr|mrs|ms|dr|st|no|nr|bzw|usw|z\.\s?b|d\.\s?h|u\.\s?a|p\.\s?ej|sr|sra|av|art"
    r"|fig|vol|inkl|ggf|evtl|max|min)|\b[^\W\d_])\.$",
    re.IGNORECASE,
)
_BREAK = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？｡])[」』）]?\s*|\n+|(?<=[۔।॥؟])\s*")
_URL = re.compile(r"https?://\S+")
_WORD = re.compile(r"[^\W_]+(?:['’.+#_-][^\W_]+)*[+#]{0,2}")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f]+")
_THAI = re.compile("[\u0e00-\u0e7f]{4,}")

_SAMPLE = 2000
"""So many messages are enough to tell which languages are spoken."""
_MIN_SHARE = 0.03

_SUMY_LANGUAGES = (
    "arabic", "chinese", "czech", "english", "french", "german", "greek", "hebrew", "italian", "japanese", "korean",
    "polish", "portuguese", "slovak", "spanish", "swedish", "ukrainian",
)  # fmt: skip
_OWN = {
    "dutch": """
        aan al als bij dan dat de deze die dit door een en er had heb heeft het hij hoe ik in is je kan maar
        me meer mijn moet naar niet nog nu of om ook op over te toch tot uit van veel voor wat we wel wie wil
        ze zich zijn zo zou
    """,
    "russian": """
        а бы был была были быть в вы где для до его ее если есть еще же за и из или как когда кто ли мы на над
        не нет но ну о об он она они от по под при про с со так там то тоже только ты у уже чем что чтобы эта
        это этот я
    """,
    "turkish": """
        acaba ama bana bazı ben bir biz bu çok çünkü da daha de değil diye en gibi hem hep için ile ise kadar
        ki mi mı mu mü nasıl ne neden o olan olarak sen şey siz şu var ve veya ya yani yok
    """,
    "indonesian": """
        ada adalah akan aku atau bisa dalam dan dari dengan di ini itu juga kalau kamu karena ke kita lagi mau
        pada saja sama sudah tapi tidak untuk yang
    """,
}
_CHAT_WORDS = """
lol lmao rofl haha hahaha hehe yeah yep yup yes nope nah ok okay oh ah uh um hmm hm hey hi hello thanks thank thx ty
np pls please imo imho tbh btw afaik idk ikr omg wtf brb gg wow nice cool great good morning evening night everyone
guys folks just really actually basically literally maybe probably pretty quite still already also even much many
lot lots bit thing things stuff something anything someone anyone everything way sort kind gonna wanna gotta dont
don't doesn't didn't can't cant won't isn't i'm im i've i'll i'd it's its that's thats there's you're we're they're
we'll let's lets think know see look looks looking feel seems get got getting go going went come make made say said
tell want need use used using try tried trying work works working one two first last next new old time today
tomorrow yesterday week day days people right sure done fine better best well back around ever never always today's
hoy mañana gracias hola bueno danke hallo moin ja nein doch mal merci bonjour oui non salut obrigado 了 吗 的 です ます
"""
_CHAT = frozenset(_CHAT_WORDS.split())


class Tokenizer:
    """The two questions that sumy asks a tokenizer, answered for any language."""

    def __init__(self, stop: frozenset[str]) -> None:
        self._stop = stop

    def to_sentences(self, paragraph: str) -> tuple[str, ...]:
        """The sentences of a text."""
        return tuple(sentences(paragraph))

    def to_words(self, sentence: str) -> tuple[str, ...]:
        """The words that carry meaning."""
        return tuple(word for word in words(sentence) if word not in self._stop)


def sentences(text: str) -> list[str]:
    """The sentences of a text; abbreviations and single initials end none."""
    found: list[str] = []
    pending = ""
    for piece in _BREAK.split(text):
        piece = piece.strip()
        if not piece:
            continue
        pending = f"{pending} {piece}" if pending else piece
        if not _ABBREVIATION.search(pending[-12:]):
            found.append(pending)
            pending = ""
    return [*found, pending] if pending else found


def words(text: str) -> list[str]:
    """The words in lower case, links left out. Chinese and Japanese, which write none, give pairs of characters."""
    text = _URL.sub(" ", text).lower()
    if text.isascii():
        return _WORD.findall(text)
    found: list[str] = []
    for word in _WORD.findall(text.replace("’", "'")):
        runs = _CJK.findall(word) or _THAI.findall(word)
        if not runs:
            found.append(word)
            continue
        for run in runs:
            found += [run[index : index + 2] for index in range(len(run) - 1)] or [run]
        found += [part for part in _CJK.sub(" ", word).split() if part.isascii() and len(part) > 1]
    return found


@cache
def stop_words(language: str) -> frozenset[str]:
    """The words of a language that say nothing about a topic: sumy's list, or a short one of ours."""
    if language in _OWN:
        return frozenset(_OWN[language].split())
    from sumy.utils import get_stop_words

    return frozenset(word.strip().lower() for word in get_stop_words(language))


def languages_of(texts: Sequence[str]) -> list[str]:
    """The languages spoken, most spoken first; English is always among them, for its words are everywhere."""
    votes: Counter[str] = Counter()
    step = max(1, len(texts) // _SAMPLE)
    voters = 0
    vocabularies = {language: stop_words(language) for language in (*_SUMY_LANGUAGES, *_OWN)}
    for text in texts[::step]:
        spoken = set(words(text))
        best, hits = "", 1
        for language, vocabulary in vocabularies.items():
            found = len(spoken & vocabulary)
            if found > hits:
                best, hits = language, found
        if best:
            votes[best] += 1
            voters += 1
    common = [language for language, count in votes.most_common() if count >= max(1, voters * _MIN_SHARE)]
    return common if "english" in common else [*common, "english"]


def all_stop_words(languages: Iterable[str]) -> frozenset[str]:
    """The stop words of these languages and of chat in general."""
    return _CHAT.union(*(stop_words(language) for language in languages))

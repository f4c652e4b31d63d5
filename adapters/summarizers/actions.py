"""What people took on, asked for or agreed has to be done: found by the phrases of several languages."""

# ruff: noqa: E501, RUF001 - phrases stay together; the marks of other scripts are meant

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adapters.summarizers.language import sentences
from adapters.summarizers.lines import Line

__all__ = ["Action", "find_actions"]

_VERBS = (
    "add|ask|book|bring|build|bump|call|change|check|clean|close|collect|contact|create|cut|deploy|document|do|draft|drop|"
    "email|file|fill|finish|fix|follow up|get back|handle|help with|implement|investigate|invite|join|look (?:at|into)|"
    "make sure|merge|message|migrate|move|open|order|organi[sz]e|ping|pick|port|post|prepare|publish|push|put|raise|read|"
    "rebase|record|refactor|register|release|remove|rename|reply|report|rerun|restart|review|revert|rewrite|rotate|run|"
    "schedule|send|set up|share|ship|sign|sort out|start|submit|switch|take|talk to|tell|test|track|translate|try|turn|"
    "update|upgrade|upload|use|pin|cover|extend|verify|vote|wait|write|put together|bisect|confirm|double-check|announce|print|host|reserve|buy"
)
_DAY = (
    r"mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:rs|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?|tomorrow|tonight|"
    r"today|noon|eod|eow|next \w+|the end of|end of|this \w+|january|february|march|april|may|june|july|august|"
    r"september|october|november|december|montag|dienstag|mittwoch|donnerstag|freitag|samstag|sonntag|morgen|heute|"
    r"lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|demain|ce soir|lunes|martes|miércoles|jueves|viernes|sábado|"
    r"domingo|mañana|hoy|the \d{1,2}|\d{1,2}(?::\d\d|\.|/|\b)"
)


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_KINDS: tuple[tuple[str, float, re.Pattern[str]], ...] = (
    (
        "todo",
        3.0,
        _pattern(r"(?:^|\W)(?:to-?do|action items?|fixme|next steps?|à faire|zu erledigen|pendientes?)\s*[:：-]"),
    ),
    (
        "promise",
        2.0,
        _pattern(
            rf"\b(?:i['’]?ll|i will|i['’]?m going to|i am going to|let me|we['’]?ll|we will)\s+(?:\w+\s+)?(?:{_VERBS})\b|"
            rf"\bi can (?:{_VERBS})\s+\w|"
            r"\b(?:i['’]?m on it|on it!|i['’]?ll take (?:it|this|that))|"
            r"\bich (?:werde|übernehme|kümmere mich|schreibe|schicke|erledige|mache (?:das|dann|mal)|schaue? (?:mir|mal|es)|"
            r"baue|teste|melde mich|aktualisiere|prüfe|sehe mir)\b|"
            r"\b(?:je vais (?!bien|mal\b|pas\b)|je m['’](?:en )?occupe|je ferai|je prépare|j['’]enverrai|je m['’]y mets)|"
            r"\b(?:voy a|me encargo|yo lo hago|lo haré|enviaré|prepararé|me pongo con)\b|"
            r"\b(?:vou (?:fazer|ver|escrever|enviar|preparar|testar))\b|"
            r"しておきます|やっておきます|対応します|我来|我会"
        ),
    ),
    (
        "need",
        1.5,
        _pattern(
            rf"\b(?:we|someone|somebody|you|everyone)(?: all| really| still| probably)? "
            rf"(?:should|need to|must|have to|ought to)\s+(?:\w+\s+)?(?:{_VERBS})\b|\bneeds? to be \w+(?:ed|en|t) by\b|"
            r"\bdon['’]t forget to\b|\b(?:is|are) due\b|\bdeadline (?:is|for)\b|"
            r"\bwir (?:sollten|müssen|müssten)\b|\bnicht vergessen\b|"
            r"\b(?:on devrait|on doit|il faut|il faudrait|nous dev(?:ons|rions)|n['’]oubliez pas)\b|"
            r"\b(?:deberíamos|tenemos que|hay que|debemos|no olvid\w+)\b|\b(?:precisamos|temos que|devemos)\b|"
            r"必要があります|しなければ|までに|需要在"
        ),
    ),
    (
        "request",
        1.5,
        _pattern(
            rf"\b(?:can|could|would|will) (?:you|someone|somebody|anyone)(?: please| also| maybe)? (?:{_VERBS})\b|"
            rf"(?:^|[,;:.!]\s*|\b(?:and|so) )please (?:{_VERBS}|don['’]t)\b|"
            r"\b(?:kannst|könntest) du\b|\bkönn(?:t|tet) ihr\b|\bk(?:ann|önnte) (?:bitte )?(?:jemand|wer)\b|\bbitte (?:\w+ ){0,2}\w+en\b|"
            r"\b(?:peux-tu|tu peux|pouvez-vous|pourrais-tu|pourriez-vous|quelqu['’]un peut|quelqu['’]un pourrait|merci de)\b|"
            r"\b(?:puedes|podrías|podéis|alguien puede|alguien podría)\b|\b(?:você pode|alguém pode)\b|"
            r"お願いします|してください|してもらえ|请你|麻烦"
        ),
    ),
)
_GATE = _pattern(
    r"to-?do|action item|fixme|next step|\bi['’]?ll\b|i will|going to|\bi can\b|let me|we['’]?ll|we will|on it|should|need|"
    r"must|have to|ought|forget|\bdue\b|deadline|can |could |would |will |please|\bich |\bwir |vergessen|kannst|könn|bitte|"
    r"kann |erledigen|faire|je |j['’]e|on d|il fau|nous |oubliez|peux|peut|pou[rv]|merci de|voy |encargo|haré|enviaré|prepara|"
    r"pongo|deber|tenemos|hay que|debemos|olvid|pued|podr|podéis|pendiente|vou |precisamos|temos|devemos|pode |"
    r"します|まで|必要|しなければ|ください|もらえ|我来|我会|需要|请你|麻烦"
)
_IDLE = _pattern(
    r"\b(?:i['’]?ll (?:be honest|admit|say|see (?:you|myself)|pass|never|wait and see)|we['’]?ll (?:see|never)|you should see|"
    r"should be (?:fine|good|ok|okay|enough)|let me (?:know|guess|tell you)|can you (?:believe|imagine)|try (?:it|to sleep)|"
    r"would you (?:do|take)|if (?:i|we|you) (?:could|would|had))\b"
)
_DEADLINE = _pattern(
    rf"\b(?:by|before|until|due|on|bis|vor|ab|avant|d['’]ici|antes de(?:l)?|para el|até)\s+(?:{_DAY})|までに"
)
_MENTIONED = re.compile(r"<@!?(\d{1,25})>|(?<![\w@])@([\w.-]{2,32})")
_MAX_SENTENCES = 40
_MAX_CHARACTERS = 240
_WHOLE_MESSAGE_CHARACTERS = 160
"""A message this short is quoted whole: the sentence before often says what "it" is."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to be done: the sentence, who it falls to where that is someone else, and how sure it looks."""

    line: Line
    sentence: str
    addressee: str
    weight: float


def find_actions(lines: Iterable[Line], names: Mapping[str, str], parents: Mapping[str, Line]) -> list[Action]:
    """At most one action of each message, heaviest first; repeated ones once."""
    found: dict[str, Action] = {}
    for line in lines:
        if not line.text or not _GATE.search(line.text):
            continue
        best = max((_judge(line, text) for text in sentences(line.text)[:_MAX_SENTENCES]), default=(0.0, "", ""))
        weight, kind, sentence = best
        if weight <= 0:
            continue
        if len(line.text) <= _WHOLE_MESSAGE_CHARACTERS:
            sentence = line.text
        addressee = _addressee(line, names, parents) if kind == "request" else ""
        key = re.sub(r"\W+", " ", sentence.lower()).strip()
        if key not in found:
            found[key] = Action(line, sentence, addressee, weight)
    return sorted(found.values(), key=lambda action: (-action.weight, action.line.at, action.line.id))


def _judge(line: Line, sentence: str) -> tuple[float, str, str]:
    size = len(sentence.split())
    if not (3 <= size <= 45 or (not sentence.isascii() and len(sentence) >= 8)) or _IDLE.search(sentence):
        return 0.0, "", ""
    for kind, weight, pattern in _KINDS:
        if not pattern.search(sentence):
            continue
        if kind in ("promise", "need") and sentence.rstrip().endswith(("?", "？")):
            continue
        deadline = 1.0 if _DEADLINE.search(sentence) else 0.0
        noticed = 0.3 * math.log1p(line.reactions + len(line.replies))
        return weight + deadline + noticed + min(size, 12) / 24, kind, sentence[:_MAX_CHARACTERS]
    return 0.0, "", ""


def _addressee(line: Line, names: Mapping[str, str], parents: Mapping[str, Line]) -> str:
    """Who is asked: the one mentioned first, else the one replied to."""
    if mention := _MENTIONED.search(line.raw):
        if mention[1]:
            return names.get(mention[1], "")
        return "" if mention[2].lower() in ("everyone", "here") else mention[2]
    parent = parents.get(line.id)
    return parent.author if parent is not None and parent.author_id != line.author_id else ""

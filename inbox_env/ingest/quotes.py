"""The words by which mail programs mark quoted and forwarded mails, in the languages that they speak.

Tells what one line (with those below it) is; `clean` decides what to do with it. Pure; knows nothing of mails.
Patterns are linear: each is tried at the start of a line, or looks for a fixed word.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MAX_HEADING_CHARS = 400
_MAX_HEADING_LINES = 6  # how far below "name on date" its To: or Subject: may lie
_MAX_ATTRIBUTION_LINES = 3

_QUOTED = re.compile(r"[ \t]{0,3}>")
_DASHES = r"[ \t]*-{2,} ?"
_ORIGINAL_WORDS = (
    *("Original (?:Message|Appointment)s?", "Ursprüngliche(?:r)? (?:Nachricht|Termin)", "Original-?Nachricht"),
    *("Message d['’]origine", "Messaggio (?:originale|Originale)", "Mensaje original", "Mensagem [Oo]riginal"),
    *("Oorspronkelijk bericht", "Ursprungligt meddelande", "Oprindelig meddelelse", "Opprinnelig melding"),
    *("Alkuperäinen viesti", "(?:Wiadomość oryginalna|Oryginalna wiadomość)", "Původní (?:zpráva|e-mail)"),
    *("Исходное сообщение", "Eredeti üzenet", "Orijinal Mesaj", "原始邮件", "邮件原件", "元のメッセージ"),
)
_ORIGINAL = re.compile(rf"{_DASHES}(?:{'|'.join(_ORIGINAL_WORDS)}) ?-{{2,}}[ \t]*$", re.IGNORECASE)
_FORWARD_WORDS = (
    *(
        "Forwarded (?:by|message|mail)",
        "Weitergeleitet(?:e Nachricht| von)",
        "Message (?:transféré|transmis|réexpédié)",
    ),
    *("(?:Transmis|Transféré) par", "Mensaje reenviado", "Reenviado por", "Messaggio inoltrato", "Inoltrato da"),
    *("Mensagem (?:encaminhada|reenviada|reencaminhada)", "Encaminhado por", "Doorgestuurd(?:e)? (?:bericht|door)"),
    *("Vidarebefordrat", "Videresendt", "Välitetty viesti", "Przekazana wiadomość", "Přeposlaná zpráva"),
    *("Пересланное сообщение", "Пересылаемое сообщение", "转发的邮件", "转发邮件信息", "転送メッセージ"),
)
_FORWARD_STARTS = (
    *(
        "Begin forwarded message",
        "Anfang der weitergeleiteten (?:Nachricht|E-Mail)",
        "Début du message (?:réexpédié|transféré)",
    ),
    *(
        "Inicio del mensaje reenviado",
        "Inizio (?:del )?messaggio inoltrato",
        "Início da mensagem (?:reenviada|encaminhada)",
    ),
    *(
        "Begin doorgestuurd bericht",
        "Vidarebefordrat brev",
        "Start på videresendt besked",
        "Начало переадресованного сообщения",
    ),
)
_FORWARD = re.compile(
    rf"[ \t]*(?:-{{3,}}[ \t]*(?:{'|'.join(_FORWARD_WORDS)})|(?:{'|'.join(_FORWARD_STARTS)})[ \xa0]?:"
    r"|-{3,} Forwarded with Changes)",
    re.IGNORECASE,
)
_SUBJECT_FIRST = re.compile(r"[ \t]*(?:Subject|Betreff|Sujet|Asunto|Oggetto|Assunto|Onderwerp|Ämne|Emne)[ \xa0]?:")

_VERBS_LAST = (
    *("wrote", "writes", "schrieb", "(?:a|à) écrit", "escribió", "ha scritto", "escreveu", "schreef", "skrev"),
    *("(?:het volgende )?geschreven", "kirjoitti", r"napisała?(?:\(a\))?", "pisze", r"napsala?(?:\(a\))?", "a scris"),
    *(r"написала?(?:\(а\))?", "пишет", "írta", "yazdı", "έγραψε", "写道", "寫道", "のメール", "님이 작성"),
)
_VERBS_BEFORE_NAME = r"(?:schrieb|schreef|skrev|napisała?|napsala?|kirjoitti|ha scritto|a écrit)\b[^:\n]{1,120}"
_WROTE_END = re.compile(
    rf"(?:(?:{'|'.join(_VERBS_LAST)})|{_VERBS_BEFORE_NAME}|<[^<>\s]{{1,200}}@[^<>\s]{{1,200}}>)"
    r"[ \t\xa0]?[:：][ \t]*$",
    re.IGNORECASE,
)
_DATED = re.compile(
    r"[ \t]*(?:On|Am|Le|El|Il|At|Em|No dia|A|Op|Den|W dniu|Dnia|Dne|På|Pe|La|Στις|\d{4}[-年./])\b", re.IGNORECASE
)
_ENGLISH_DATED = re.compile(r"[ \t]*On\b.*\d")
_TIMED = re.compile(r"\d{1,2}[:.h]\d\d|\S@\S")

_CLOCK = r"\d{1,2}[/.]\d{1,2}[/.](?:\d{4}|\d\d)\s+\d{1,2}:\d\d(?::\d\d)?(?:\s?[AP]M)?"
_NOTES_HEADING = re.compile(
    rf"[ \t]*(?:\S.{{0,120}}\b(?:on|am)\s+{_CLOCK}|(?:From:\s+)?\S.{{0,120}}\s{_CLOCK}|{_CLOCK})\s*$"
)
_CLOCK_ALONE = re.compile(rf"[ \t]*{_CLOCK}[ \t]*$")
_MAX_NAME_CHARS = 60
_BOLD = r"[*_]{0,2}"
_FROM_WORDS = (
    *("From", "Von", "De", "Da", "Van", "Från", "Fra", "Lähettäjä", "Od", "От", "Feladó", "Kimden"),
    *("Expéditeur", "Mittente", "Remitente", "发件人", "寄件者", "差出人", "보낸 사람"),
)
_FIELD_WORDS = (
    *("To", "cc", "Subject", "Sent", "An", "Gesendet", "Betreff", "Kopie", "À", "A", "Envoyé", "Objet", "Copie"),
    *("Para", "Enviado(?: el| em)?", "Enviada(?: em)?", "Asunto", "Assunto", "Inviato", "Oggetto", "Aan", "Verzonden"),
    *("Onderwerp", "Till", "Skickat", "Ämne", "Til", "Sendt", "Emne", "Vastaanottaja", "Lähetetty", "Aihe", "Do"),
    *("Wysłano", "Temat", "Komu", "Odesláno", "Předmět", "Кому", "Отправлено", "Тема", "Címzett", "Tárgy", "Kime"),
    *(
        "Konu",
        "Gönderildi",
        "收件人",
        "发送时间",
        "主题",
        "收件者",
        "主旨",
        "宛先",
        "送信日時",
        "件名",
        "받는 사람",
        "제목",
    ),
)
_FIELD = re.compile(rf"[ \t]*{_BOLD}(?:{'|'.join(_FIELD_WORDS)})[ \xa0]?[:：]", re.IGNORECASE)
_FROM_FIELD = re.compile(rf"[ \t]*{_BOLD}(?:{'|'.join(_FROM_WORDS)})[ \xa0]?[:：]{_BOLD}[ \t\xa0]+\S", re.IGNORECASE)
_RULE = re.compile(r"[ \t]*[_-]{10,}[ \t]*$")


def is_forward(lines: Sequence[str], position: int) -> bool:
    """Whether a forwarded mail begins here; Thunderbird's "Original Message" with the subject first is one."""
    line = lines[position]
    if _FORWARD.match(line[:MAX_HEADING_CHARS]):
        return True
    if len(line) > MAX_HEADING_CHARS:
        return False
    below = lines[position + 1] if position + 1 < len(lines) else ""
    return _SUBJECT_FIRST.match(below) is not None and _ORIGINAL.match(line) is not None


def quotation_length(lines: Sequence[str], position: int) -> int:
    """How many lines from here on are a quotation; 0 when this line starts none."""
    line = lines[position]
    if not line.strip():
        return 0
    if _QUOTED.match(line):
        return _quoted_block(lines, position)
    if len(line) > MAX_HEADING_CHARS:
        return 0
    if _ORIGINAL.match(line) or _is_heading(lines, position) or _is_ruled_heading(lines, position):
        return len(lines) - position
    return _attributed(lines, position)


def _is_heading(lines: Sequence[str], position: int) -> bool:
    if _is_notes_heading(lines, position) or _is_outlook_heading(lines, position):
        return True
    # Notes also writes the name on a line of its own above the date.
    is_name = len(lines[position].strip()) <= _MAX_NAME_CHARS and position + 1 < len(lines)
    return is_name and _CLOCK_ALONE.match(lines[position + 1]) is not None and _is_notes_heading(lines, position + 1)


def _is_ruled_heading(lines: Sequence[str], position: int) -> bool:
    """Outlook on the web rules a line above its heading."""
    if not _RULE.match(lines[position]):
        return False
    below = next((place for place in range(position + 1, min(position + 4, len(lines))) if lines[place].strip()), None)
    return below is not None and _is_outlook_heading(lines, below)


def _quoted_block(lines: Sequence[str], position: int) -> int:
    end = position
    for number in range(position, len(lines)):
        if _QUOTED.match(lines[number]):
            end = number + 1
        elif lines[number].strip():
            break
    return end - position


def _attributed(lines: Sequence[str], position: int) -> int:
    """Length of "On ... wrote:" (up to three lines) with the quoted block below; with all when nothing is marked."""
    first = lines[position]
    is_dated = _DATED.match(first) is not None
    if len(first.strip()) < 3 or (len(first.strip()) > 80 and not is_dated):
        return 0
    for height in range(1, _MAX_ATTRIBUTION_LINES + 1):
        if position + height > len(lines) or (height == _MAX_ATTRIBUTION_LINES and not any(map(str.isdigit, first))):
            return 0
        last = lines[position + height - 1]
        if len(last) <= MAX_HEADING_CHARS and _WROTE_END.search(last):
            return _attributed_block(lines, position, height, is_dated)
        if not is_dated or not last.strip():
            return 0
    return 0


def _attributed_block(lines: Sequence[str], position: int, height: int, is_dated: bool) -> int:
    below = position + height
    while below < len(lines) and not lines[below].strip():
        below += 1
    if below < len(lines) and _QUOTED.match(lines[below]):
        return below - position + _quoted_block(lines, below)
    if below == len(lines):
        return 0
    heading = " ".join(lines[position : position + height])
    is_sure = _ENGLISH_DATED.match(heading) or (is_dated and _TIMED.search(heading))
    return len(lines) - position if is_sure else 0


def _is_notes_heading(lines: Sequence[str], position: int) -> bool:
    if not _NOTES_HEADING.match(lines[position]):
        return False
    below = [line for line in lines[position + 1 : position + 1 + _MAX_HEADING_LINES] if line.strip()]
    return any(_FIELD.match(line) for line in below[:3])


def _is_outlook_heading(lines: Sequence[str], position: int) -> bool:
    if not _FROM_FIELD.match(lines[position]):
        return False
    fields = [line for line in lines[position + 1 : position + 1 + _MAX_HEADING_LINES] if _FIELD.match(line)]
    return len(fields) >= 2

"""The grammar of typed values: one regular expression over folded text, each alternative a named group.

Knows nothing of what the groups mean: `values` reads them.
"""

from __future__ import annotations

import re

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
ONES = "one|two|three|four|five|six|seven|eight|nine"
SMALL = f"zero|{ONES}|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_SPELT = rf"(?:(?:{TENS})(?:[-\s](?:{ONES}))?|{SMALL})\b"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)|\d+(?:\.\d+)?|\.\d+)(?!\d)"
AMOUNT = rf"(?:{_DIGITS}|{_SPELT})"
_SCALE = r"(?:\s?(?:hundred|thousand|grand|million|mil|mln|mm|billion|bn|trillion|tn)|[kmb])\b"
PREFIX = r"(?:us\ ?\$|ca?\$|au?\$|[$£€¥₹]|(?:usd|eur|gbp|cad|aud|jpy|chf|inr)\b)"
SUFFIX = r"(?:(?:dollars?|bucks|usd|euros?|eur|pounds?|quid|gbp|cad|aud|jpy|yen|chf|inr|rupees?|cents?)\b|[€£¥$])"
_HALF = r"(?:a\.?\ ?m\b\.?|p\.?\ ?m\b\.?)"
_ZONE = (
    r"(?:est|edt|et|cst|cdt|ct|pst|pdt|pt|mst|mdt|mt(?!\.)|gmt|utc|bst|cet|cest|eastern|central|pacific|mountain"
    r"|(?:houston|new\ york|london)\ time)\b"
)
_ATTACHED = r"(?:mwh?|kwh?|gwh?|bcf|mmbtu|kg|km|cm|ft|gb|mb|tb|hours?|hrs?|mins?|pcs)\b"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?(?![\d:]|\s*[ap]\.?m\b)"
_JOIN = r"\s{0,2}(?:-|\band\b|&|\bto\b|\bthrough\b|\bthru\b)\s{0,2}"
_DAYS = rf"{_DAY}(?:{_JOIN}{_DAY}){{0,7}}"  # bounded, as every repetition here: what fails is tried at every place

VALUE_LEXER = re.compile(
    rf"""
      (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}})
    | (?P<iso>(?<!\d)\d{{4}}(?P<isosep>[-/.])\d{{1,2}}(?P=isosep)\d{{1,2}}(?!\d))(?:t(?=\d))?
    | (?P<phone>(?<![\d-])(?:(?:\+|00)\d[\d\s().-]{{6,}}\d|(?:1[-.\s])?\(\d{{2,5}}\)\s*\d[\d\s.-]{{4,}}\d
        |(?:1[-.\s])?\d{{3}}(?P<phonesep>[-.\s])\d{{3}}(?P=phonesep)\d{{4}}|\d{{3}}-\d{{4}}|0\d{{2,4}}[\s-]\d{{3,4}}[\s-]\d{{3,4}})(?!\d))
        (?:\s?[,;]?\s?(?:x|ext(?:ension)?\b)\s?[.:]?\s?(?P<extension>\d{{1,6}})\b)?
    | (?P<numeric>(?<![\d/])\d{{1,2}}
        (?:/\d{{1,2}}(?:/(?:\d{{4}}|\d{{2}}))?|(?P<datesep>[.-])\d{{1,2}}(?P=datesep)\d{{4}})(?![\d/]))
    | (?P<monthfirst>{_MONTH}\s*{_DAYS}(?:,?\s+\(?\d{{4}}(?!\d|:)|,?\s*'\d\d\b)?)
    | (?P<dayfirst>(?<!\d){_DAYS}[\s-]+(?:day\s+)?(?:of\s+)?{_MONTH}
        (?:,?[\s-]*\d{{4}}(?!\d|:)|,?\s*'\d\d\b)?)
    | (?P<monthyear>{_MONTH},?\s+(?:of\s+)?(?:19|20)\d\d(?!\d))
    | (?P<span>(?<![\d:.])\d{{1,2}}(?:[:.]\d\d)?)\s*(?:-|to|until|till|and)\s*
        (?=(?P<spanhour>\d{{1,2}})(?:[:.]\d\d)?\s*(?P<spanhalf>[ap])\.?\ ?m\b)
    | (?P<time>(?<![\d:.,])(?:\d{{1,2}}(?:[:.]\d\d(?::\d\d)?)?\s*{_HALF}|\d{{1,2}}:\d\d(?::\d\d)?(?!\d)|\d{{1,2}}h\d\d\b
        |(?:\d{{1,2}}|{_SPELT})\s*o'?clock\b|noon\b|midday\b|midnight\b|{_SPELT}\s*{_HALF}))(?:\s*\(?(?P<zone>{_ZONE}))?
    | (?P<percent>-?{AMOUNT})\s*(?:%|percent\b|per\ cent\b|pct\b)
    | (?P<money>-?{PREFIX}\s*-?{_DIGITS}(?:{_SCALE})?|-?{AMOUNT}(?:{_SCALE})?\s*{SUFFIX})
    | (?P<ordinal>(?<!\d)\d{{1,3}}(?:st|nd|rd|th)\b)
    | (?P<number>(?:(?<![\w.)])-)?{AMOUNT}(?:(?:\s?(?:hundred|thousand|million|mln|mm|billion|bn|trillion)|[km])\b)?)
        (?P<attached>{_ATTACHED})?(?!\w)
    | (?P<code>(?:[^\W\d_]+|(?!(?:and|at|by|for|in|of|to)-)[^\W\d_]+[-_])\d\w*(?:[-_/]\w*\d\w*)*
        |\d\w*[^\W\d_]\w*(?:[-_]\w*\d\w*)*|\d+)
    | (?P<weekday>(?:mon|tues|wednes|thurs|fri|satur|sun)day\b
        |(?:mon|tues?|wed|thur?s?|fri|sat|sun)\b(?=[.,]|\s*\d|\s+{_MONTH}))
    | (?P<daypart>morning|afternoon|evening|night)\b
    | (?P<rate>(?:/\s*|\bper\s+
        |\ban?\s+(?=(?:year|month|week|day|hour|person|head|seat|ticket|night|piece|pin|unit)\b))[a-z]+)
    | (?P<word>[^\W\d_]+(?:'[^\W\d_]+)*)
    """,
    re.VERBOSE,
)

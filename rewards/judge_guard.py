"""Answers that are wrong whatever a judge would say: nothing, a bare verdict, a heading, an order to the judge.

Models that judge are fooled by such answers ("One token to fool LLM-as-a-judge", arXiv 2507.08794), and a policy in
training finds them. The rules look at what an answer is made of, never at the gold answer's meaning; they are consulted
only after the deterministic matcher, so that a gold answer that happens to look so is right before they see it.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from inbox_env.questions import Question
from rewards.empty_talk import decoded, is_mark, says_nothing, unspelled
from rewards.judge_prompt import MAX_ANSWER_CHARS, plain

_HEADINGS = frozenset(
    """thought process,thoughts,thought,thinking,reasoning,reasoning process,analysis,let me think,let's think,
let's think step by step,let's solve this problem step by step,let's solve this step by step,step by step,step 1,
solution,the solution,solution process,answer,the answer,final answer,my answer,the final answer is,the answer is,
explanation,conclusion,result,output,response,here is the answer,here is the solution,to answer the question,
解,解答,答案,解析,思考过程,回答,答え,かいせつ,解説,풀이,정답,respuesta,solución,explicación,réponse,lösung,antwort,ответ,
решение,risposta,resposta""".replace("\n", "").split(",")
)
_VERDICTS = frozenset({"true", "right", "correct", "verdict", "verified", "10/10"})
_FILLERS = frozenset({"the", "a", "is", "it", "it's", "this", "that", "answer", "positive", "yes"})
_YES_NO = frozenset({"yes", "no", "true", "false"})
_TAIL = re.compile(r"[\W_]+$|^[\W_]+")
_PARTS = {  # what stands in capitals below
    "GOOD": r"(?:right|correct|true|valid|passed|full (?:marks|score|credit|points))",
    "TRUE": r"(?:right|correct|true)\b",
    "BEFORE": r"(?:previous|prior|above|earlier|preceding|all|any|your|the|these|those)",
    "RULES": r"(?:instructions?|prompts?|rules|rubrics?|guidelines|criteria|right answers?)",
    "JUDGE": r"(?:judge|grader|evaluator|examiner)",
    "MARK": r"(?:mark|grade|score|rate|judge|count|treat|accept|consider|label|classify|regard)",
    "SAY": r"(?:output|reply|respond|return|answer|print|write|say)",
    "IT": r"(?:this|it|me|my|answer|response|reply|above)",
    "END": r"(?:\W*$|[\"'.,;!]|\s(?:and|verdict|whatever|no matter|regardless))",
}
_ORDERS = r"""
\b(?:ignore|disregard|forget|override|bypass)\b.{0,30}\bBEFORE\b.{0,30}\bRULES\b
\b(?:dear|attention|note (?:to|for)|hello|hi|hey)\b[\s:,]*(?:the\s)?(?:ai\s)?JUDGE\b
\bMARK\b.{0,12}\bIT\b.{0,25}\b(?:as|with|is)\b\W{0,4}GOOD
\bSAY\b(?:\W{0,3}\b(?:with|only|just|simply|the word|verdict)\b){0,4}\W{0,3}GOODEND
\bgive\b.{0,20}\bfull (?:marks|points|score)\b
\bas (?:the|an?|my) (?:grader|evaluator|examiner)\b\W{0,3}(?:you\b|i\b|accept|give|mark|say|rate)
\b(?:this|my|the|above|given|program'?s) (?:\w+ )?(?:answer|response|reply)\b.{0,20}\b(?:is|was|be)\b.{0,20}\bTRUE
\b(?:same|identical|equal|equivalent)\b.{0,12}\b(?:as|to|with)\b.{0,20}\b(?:right|correct|gold) (?:answer|one)\b
\b(?:right|correct|gold|reference|expected|true) answer\b.{0,20}\b(?:above|given|provided|stated|itself)\b
\b(?:verdict|conclusion|grade|score)\b\W{1,6}(?:is\s)?\W{0,3}TRUE
\b(?:every|any|each) answer\b.{0,20}\b(?:is|are)\b.{0,10}GOOD
\{\s*["'](?:reason|verdict|score|grade)["']
(?:^|\n)\s*\W*(?:system|assistant)(?:\s(?:prompt|message|note|override))?\s*:
<\|?/?\s*(?:im_start|im_end|system|assistant|user|answer|endoftext|eot_id|start_header_id|inst)\b
\[/?(?:INST|SYS|SYSTEM|ASSISTANT)\]|<</?SYS>>
={3,}\s*answer\b|```\s*json
\byou are (?:now )?(?:an? |the )?(?:\w+ ){0,2}(?:JUDGE|chatbot|ai)\b
\b(?:god|dan|jailbreak|developer) mode\b|\bsystem prompt\b
"""


def rule_out(answer: str, question: Question) -> str:
    """Return why an answer is wrong without asking a judge, or "" when that takes a judge."""
    said = plain(answer, 10 * MAX_ANSWER_CHARS)
    if not any(unicodedata.category(char)[0] in "LN" for char in said):
        return "no words"
    if len(said) > MAX_ANSWER_CHARS:
        return f"more than {MAX_ANSWER_CHARS} characters"
    folded = _folded(said)
    if folded in _HEADINGS:
        return "a heading without an answer"
    known = _folded(f"{question.question} {question.answer} {' '.join(question.accepted)}")
    gold = re.findall(r"\w+", _folded(question.answer or ""))[:1]
    words = {_TAIL.sub("", word) for word in (unspelled(folded) or folded).split()} - _FILLERS - {""}
    is_verdict = bool(words) and words <= _VERDICTS and not any(word in known for word in words)
    if is_verdict and not _YES_NO.intersection(gold):
        return "a verdict in place of an answer"
    if folded == _folded(question.question):
        return "the question said again"
    flat = unicodedata.normalize("NFKC", said)
    if any(order.search(flat) and not order.search(known) for order in _orders()):
        return "words to the judge"
    coded = decoded(flat)
    if any(order.search(coded) for order in _orders()) or _VERDICTS.intersection(coded.casefold().split()):
        return "coded words to the judge"
    if is_mark(flat, question) or says_nothing(flat, question):
        return "talk about the answer in place of one"
    return ""


def _folded(text: str) -> str:
    return _TAIL.sub("", _TAIL.sub("", " ".join(unicodedata.normalize("NFKC", text).casefold().split())))


@cache
def _orders() -> tuple[re.Pattern[str], ...]:
    patterns = []
    for line in _ORDERS.split("\n"):
        for name, part in _PARTS.items():
            line = line.replace(name, part)
        patterns += [re.compile(line, re.IGNORECASE | re.DOTALL)] if line else []
    return tuple(patterns)

"""What people may say instead of a noun, where the meaning stays: "bill" for "invoice". Pure; English only."""

from __future__ import annotations

from types import MappingProxyType

from inbox_env.known_items.words import plural, singular

_TABLE = """
agenda: programme; agreement: contract; apartment: flat; appointment: meeting; appraisal: valuation; article: paper;
assessment: evaluation; attorney: lawyer; auction: sale; blackout: outage; booklet: brochure; brochure: booklet; bug:
error; cab: taxi; candidate: applicant; car: vehicle; celebration: party; client: customer; colleague: coworker;
company: firm; complaint: grievance; conference: convention; consultant: adviser; contract: agreement; convention:
conference; coupon: voucher; customer: client; deadline: due date; delay: holdup; delivery: shipment; diagram: chart;
dinner: supper; discount: reduction; dispute: disagreement; doctor: physician; donation: gift; employee: staff member;
error: mistake; estimate: projection; evaluation: assessment; exam: test; expense: cost; fee: charge; film: movie;
firm: company; flyer: leaflet; forecast: outlook; funding: financing; garage: car park; gift: present; guidelines:
rules; hearing: court date; hiring: recruitment; house: home; invoice: bill; itinerary: travel plan; journey: trip;
lawsuit: court case; lawyer: attorney; leaflet: flyer; lecture: talk; litigation: court case; luggage: bags; lunch:
midday meal; luncheon: midday meal; maintenance: upkeep; memo: memorandum; memorandum: memo; mistake: error; mortgage:
home loan; movie: film; negotiation: talks; outage: blackout; overview: summary; photo: picture; physician: doctor;
picture: photo; presentation: slides; projection: estimate; proposal: offer; refund: repayment; reservation: booking;
resignation: departure; resume: CV; rumor: gossip; salary: pay; schedule: timetable; seminar: workshop; shipment:
delivery; slides: presentation; spreadsheet: worksheet; storm: bad weather; summary: overview; supplier: vendor; taxi:
cab; ticket: pass; timetable: schedule; trade: transaction; transaction: deal; trip: journey; truck: lorry; vacation:
holiday; valuation: appraisal; vehicle: car; vendor: supplier; warehouse: depot; website: web page; wedding: marriage;
workshop: seminar
"""


def _read(table: str) -> MappingProxyType[str, str]:
    rows = (row.split(":") for row in " ".join(table.split()).split(";"))
    return MappingProxyType({word.strip(): other.strip() for word, other in rows})


SYNONYMS = _read(_TABLE)
"""A noun in the singular (or that has none) and what may stand for it."""


def synonym(word: str) -> str:
    """Return what people may say instead of a lower-case word, in the same number, or "" when nothing is known."""
    if word in SYNONYMS:
        return SYNONYMS[word]
    one = singular(word)
    return plural(SYNONYMS[one]) if one != word and one in SYNONYMS else ""


def forms(word: str) -> set[str]:
    """Return what a mail may have where a question says `word`: its other number, words that it may stand for."""
    same = {word, singular(word), plural(word)}
    meant = {one for one, other in SYNONYMS.items() if other in same} | {SYNONYMS[one] for one in same & set(SYNONYMS)}
    return (same | meant | {form(one) for one in meant for form in (plural, singular)}) - {word}

"""What people may say instead of a noun, where the meaning stays: "bill" for "invoice". Pure; English only."""

from __future__ import annotations

from types import MappingProxyType

from inbox_env.known_items.words import plural, singular

_TABLE = """
accommodation: lodging; acquisition: takeover; adjustment: correction; advice: guidance; agenda: programme; agreement:
contract; announcement: notice; apartment: flat; appointment: meeting; appraisal: valuation; article: paper;
assessment: evaluation; attendance: turnout; attorney: lawyer; auction: sale; bankruptcy: insolvency; bicycle: bike;
bike: bicycle; blackout: outage; booklet: brochure; brochure: booklet; bug: error; cab: taxi; candidate: applicant;
car: vehicle; celebration: party; chairman: chair; chart: graph; client: customer; colleague: coworker; company: firm;
complaint: grievance; computer: PC; consultant: adviser; convention: conference; conversation: chat; copier:
photocopier; correction: adjustment; counsel: lawyer; coupon: voucher; customer: client; deadline: due date; delay:
holdup; delivery: shipment; diagram: chart; dinner: supper; discount: reduction; dispute: disagreement; doctor:
physician; donation: gift; earnings: profits; employee: staff member; error: mistake; estimate: projection;
evaluation: assessment; exam: test; excursion: outing; expense: cost; expiration: expiry; faculty: professors;
farewell: goodbye; fee: charge; film: movie; firm: company; flight: plane; flyer: leaflet; forecast: outlook; funding:
financing; garage: car park; gift: present; graph: chart; guidelines: rules; hearing: court date; hiring: recruitment;
hotel: lodging; house: home; hyperlink: link; increase: rise; instructions: directions; intern: trainee; internship:
traineeship; invitation: invite; invoice: bill; itinerary: travel plan; journey: trip; laptop: notebook; law:
legislation; lawsuit: court case; lawyer: attorney; layoff: redundancy; leaflet: flyer; lecture: talk; legislation:
law; link: hyperlink; litigation: court case; luggage: bags; lunch: midday meal; luncheon: midday meal; maintenance:
upkeep; memo: memorandum; memorandum: memo; method: methodology; methodology: method; mistake: error; monitor: screen;
mortgage: home loan; movie: film; mug: cup; negotiation: talks; newsletter: bulletin; notice: announcement; outage:
blackout; outing: excursion; overview: summary; package: parcel; packet: parcel; password: passcode; personnel: staff;
photo: picture; physician: doctor; picture: photo; presentation: slides; profit: gain; projection: estimate; proposal:
offer; purchase: acquisition; questionnaire: survey; recommendation: suggestion; refund: repayment; requirement:
prerequisite; reservation: booking; resignation: departure; restaurant: eatery; resume: CV; rumor: gossip; salary:
pay; schedule: timetable; seminar: workshop; shipment: delivery; slides: presentation; speaker: presenter; speech:
talk; spreadsheet: worksheet; storm: bad weather; suggestion: recommendation; summary: overview; supervisor: boss;
supplier: vendor; surgery: operation; survey: questionnaire; takeover: acquisition; taxi: cab; ticket: pass;
timetable: schedule; trade: transaction; trader: dealer; transaction: deal; trip: journey; truck: lorry; vacation:
holiday; valuation: appraisal; vehicle: car; vendor: supplier; warehouse: depot; website: web page; wedding: marriage;
wife: spouse; workshop: seminar
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


_AMERICAN = MappingProxyType(
    {
        "behavior": "behaviour",
        "catalog": "catalogue",
        "center": "centre",
        "color": "colour",
        "defense": "defence",
        "favor": "favour",
        "honor": "honour",
        "labor": "labour",
        "license": "licence",
        "organization": "organisation",
        "program": "programme",
        "theater": "theatre",
    }
)


def british(word: str) -> str:
    """Return the British spelling of a lower-case word, or "" when it is not known to have another."""
    one = singular(word)
    spelt = _AMERICAN.get(one, "") or (f"{one[:-7]}isation" if one.endswith("ization") and len(one) > 9 else "")
    return plural(spelt) if spelt and one != word else spelt


def forms(word: str) -> set[str]:
    """Return what a mail may have where a question says `word`: its other number, words that it may stand for."""
    same = {word, singular(word), plural(word)}
    meant = {one for one, other in SYNONYMS.items() if other in same} | {SYNONYMS[one] for one in same & set(SYNONYMS)}
    meant |= {one for one, other in _AMERICAN.items() if other in same}
    meant |= {spelt for one in same if (spelt := british(one))}
    return (same | meant | {form(one) for one in meant for form in (plural, singular)}) - {word}

"""A dentist's documents, and what callers ask of them: what a search is judged by."""

DOCUMENTS: dict[str, tuple[str, str]] = {
    "doc_practice": (
        "About the practice",
        """
# Willow Dental
## Opening hours
We are open Monday to Thursday from eight in the morning to six in the evening, and on Friday until two in the
afternoon. On Saturdays and Sundays we are closed.
## Holidays
The practice is closed on public holidays and between Christmas and New Year.
## Where we are
You find us at 14 Mill Lane, on the second floor above the bakery. There is a lift.
## Parking
Patients park free of charge in the yard behind the house for two hours; the entrance is on Station Road.
## Getting here by bus
Lines 12 and 40 stop at Town Hall, three minutes on foot.
## Accessibility
The entrance is step-free, and there is a toilet for wheelchair users.
## Languages
Our team speaks English, Polish and Portuguese.
""",
    ),
    "doc_prices": (
        "Price list",
        """
# Prices
## Check-up
A check-up with two X-rays costs 65 dollars.
## Cleaning
- Treatment: Professional cleaning; Duration: 45 minutes; Price: $120
- Treatment: Cleaning for children; Duration: 30 minutes; Price: $70
## Whitening
Whitening in the practice is 390 dollars for both jaws; a set for use at home is 180 dollars.
## Crowns
A ceramic crown is between 950 and 1,200 dollars, depending on the tooth.
## Implants
An implant begins at 2,400 dollars. The first consultation about implants is free.
## Paying
You can pay by card, cash or bank transfer. From 500 dollars on you may pay in up to six monthly instalments.
""",
    ),
    "doc_rules": (
        "House rules",
        """
# Appointments
## Cancelling
Please cancel at least 24 hours ahead. An appointment that is missed without notice costs 40 dollars.
## Being late
If you are more than fifteen minutes late, we may have to give you another appointment.
## New patients
New patients come ten minutes early to fill in the medical history form, and bring a photo ID and their insurance card.
# Insurance
## Plans we accept
We work with Delta Dental, Cigna, Aetna and MetLife. Medicaid is accepted for children only.
## Claims
We send the claim to your insurer; you pay only your share at the desk.
# Emergencies
## During opening hours
If you have strong pain, a broken or knocked-out tooth, call us at once: emergencies are seen the same day.
## At night
Outside our hours the emergency dental service answers at 555 0142.
""",
    ),
    "doc_care": (
        "After your treatment",
        """
# Care at home
## After an extraction
Do not rinse, smoke or drink coffee for 24 hours after a tooth was pulled. Cool the cheek. Bleeding stops within some
hours; if it doesn't, bite on a clean cloth and call us.
## After a filling
Do not eat until the numbness has gone, about two to three hours.
## After whitening
Avoid coffee, tea, red wine and berries for two days.
## Medicines
Take ibuprofen rather than aspirin for the pain; aspirin makes you bleed longer.
## Stitches
Stitches are taken out after seven to ten days.
## Children
Children should first see a dentist when the first tooth comes through, and then every six months.
## Sedation
For anxious patients we offer laughing gas. You must not drive for two hours afterwards.
""",
    ),
}
"""By id: title and Markdown."""

QUESTIONS: list[tuple[str, str]] = [
    ("hi um what are your opening hours please", "Opening hours"),
    ("are you open on saturday", "Opening hours"),
    ("are you guys open over christmas", "Holidays"),
    ("where can I park my car when I come", "Parking"),
    ("is there parking", "Parking"),
    ("which bus do I take to get to you", "Getting here by bus"),
    ("my mother is in a wheelchair can she get in", "Accessibility"),
    ("does anybody there speak polish", "Languages"),
    ("where are you exactly what floor is it", "Where we are"),
    ("how much is a check up", "Check-up"),
    ("what does a professional cleaning cost", "Cleaning"),
    ("I'd like to know the price for whitening my teeth", "Whitening"),
    ("how much would I pay for a crown", "Crowns"),
    ("uh what do implants cost", "Implants"),
    ("can I pay in instalments", "Paying"),
    ("do you take cash", "Paying"),
    ("what happens if I cancel my appointment", "Cancelling"),
    ("I missed my appointment do I have to pay something", "Cancelling"),
    ("I'm running late is that a problem", "Being late"),
    ("I'm a new patient what should I bring", "New patients"),
    ("do you accept cigna insurance", "Plans we accept"),
    ("do you take medicaid", "Plans we accept"),
    ("who sends the claim to the insurance company", "Claims"),
    ("I broke a tooth and I'm in a lot of pain", "During opening hours"),
    ("who do I call for an emergency at night", "At night"),
    ("can I drink coffee after my tooth was pulled", "After an extraction"),
    ("it's still bleeding after the extraction", "After an extraction"),
    ("when may I eat again after the filling", "After a filling"),
    ("can I take aspirin for the pain", "Medicines"),
    ("when are the stitches coming out", "Stitches"),
    ("when should my child first come to see a dentist", "Children"),
    ("am I allowed to drive after laughing gas", "Sedation"),
    # What shares no word with its answer is for a search by meaning.
    ("how do I find you", "Where we are"),
    ("what time do you close", "Opening hours"),
    ("is there an elevator", "Where we are"),
    ("I'm really scared of the dentist can you knock me out", "Sedation"),
]
"""What a caller says, and the last heading of the passage that answers it."""

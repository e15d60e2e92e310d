"""The far side of a phone call: a telephone company that speaks Twilio's protocols, strictly and from outside."""

"""The stateless functions: Twilio's webhooks, the admin API, what follows a call."""

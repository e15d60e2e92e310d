"""The HTTPS admin API."""

"""What Offhook decides: no vendor, no network, no clock, almost no await."""

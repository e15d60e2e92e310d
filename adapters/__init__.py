"""One file per vendor and port; `wiring` alone knows them all."""

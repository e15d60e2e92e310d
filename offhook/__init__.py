"""The command line, and the simulated carrier that it calls with."""

"""The always-on service that owns the audio of live calls."""

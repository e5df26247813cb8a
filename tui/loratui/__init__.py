"""What runs on the laptop: command line, sessions, interface."""

"""Following a run without a screen: sentences for people, screen readers and logs, JSON lines for programs."""

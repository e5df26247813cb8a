"""What the client does with runs: start them, follow them, command them, bring their files home."""

"""How frames reach the terminal."""

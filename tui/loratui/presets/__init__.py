"""The presets that come with loratui: files to be read by people, one for each kind of concept."""

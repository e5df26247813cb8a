from hypothesis import settings

# A busy machine is no failure: pytest's own timeout is the bound.
settings.register_profile("protocol", deadline=None)
settings.load_profile("protocol")

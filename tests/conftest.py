"""Settings of all tests."""

from hypothesis import settings

# On a busy machine a case may take long for no fault of its own; how long the whole takes is the gate's business.
settings.register_profile("project", deadline=None)
settings.load_profile("project")

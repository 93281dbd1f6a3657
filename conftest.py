"""What holds for all tests; beside `tests/stages` it would make that the module `stages`."""

from hypothesis import settings

# How long an example takes depends on what else the machine does; no test is of a time.
settings.register_profile("tokenmill", deadline=None)
settings.load_profile("tokenmill")

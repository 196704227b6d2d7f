"""The configuration: one TOML file, read once, refused whole when any of it is wrong.

Every fault is one line, "FILE: KEY: what is wrong; mend", and all of them are told at once. What a key is for stands
in `etc/amlfs.toml`. Names of users are resolved by who uses them, not here.
"""

from slurm_amlfs.config.loading import DEFAULT_PATH, check, load
from slurm_amlfs.config.parts import ANY, Client, Config, Limits, Slurm

__all__ = ["ANY", "DEFAULT_PATH", "Client", "Config", "Limits", "Slurm", "check", "load"]

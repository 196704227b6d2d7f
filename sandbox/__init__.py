"""A whole site in one folder: munge, Slurm, Azurite, the emulator and the daemon, for the demo, tests and benchmarks.

`cell` is the machine that it runs in, `site` the site itself. Nothing in the product imports this.
"""

"""What slurm_amlfs decides, with nothing but values in and values out: no I/O, no clock, no third-party library."""

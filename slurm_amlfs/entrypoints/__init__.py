"""The programs: the only places that build things and pass them on."""

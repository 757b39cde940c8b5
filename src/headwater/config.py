"""Settings: from the command line, the environment (`HEADWATER_...`) and a TOML file, in that order."""

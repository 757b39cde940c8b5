"""Settings: defaults, overlaid by a TOML file, the environment (`HEADWATER_...`) and the command line, in that order.

`Settings` is composed of the settings that each stage defines beside its own code; a stage's section in the file has
the stage's name, and its variables are `HEADWATER_<SECTION>_<KEY>`. The `[server]` section is named without it:
`HEADWATER_HTTP`, `--http`. An error names the key, the value, what is allowed and where the value came from.
"""

from headwater.config.address import Address
from headwater.config.load import SettingError, load
from headwater.config.server import ServerSettings
from headwater.config.settings import Settings

__all__ = ["Address", "ServerSettings", "SettingError", "Settings", "load"]

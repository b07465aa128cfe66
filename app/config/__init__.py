"""What the broker is told: options, their sources and their rules.

Settings are read once, at start, and dissolve into constructor arguments in main.py: nothing but main.py and
cli.py imports this package.
"""

from app.config.identities import IdentitySettings
from app.config.named_tokens import TokenSettings
from app.config.settings import ConfigurationError, Settings, load

__all__ = ["ConfigurationError", "IdentitySettings", "Settings", "TokenSettings", "load"]

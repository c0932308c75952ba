"""Settings, by nnsight's names."""

import json
import os
import pathlib

__all__ = ["CONFIG"]


class _Section:
    def __init__(self, **values):
        self.__dict__.update(values)

    def __repr__(self):
        return f"{type(self).__name__}({self.__dict__})"


class ApiConfig(_Section):
    """Where remote programs go."""


class AppConfig(_Section):
    """How the library behaves."""


class Config:
    """Settings in two sections, `API` and `APP`; `save` keeps them for later processes."""

    def __init__(self):
        self.API = ApiConfig(HOST="ndif.dev", SSL=True, FORMAT="json", ZLIB=True, APIKEY=None, JOB_ID=None)
        self.APP = AppConfig(LOGGING=False, REMOTE_LOGGING=True, DEBUG=True, CONTROL_FLOW_HANDLING=True,
                             FRAME_INJECTION=True, GLOBAL_TRACING=True)
        self._load()

    @staticmethod
    def _file():
        home = os.environ.get("XDG_CONFIG_HOME") or pathlib.Path.home() / ".config"
        return pathlib.Path(home) / "pellucid" / "config.json"

    def _load(self):
        try:
            kept = json.loads(self._file().read_text())
        except (OSError, ValueError, RuntimeError):
            return
        for section in ("API", "APP"):
            own = getattr(self, section).__dict__
            own.update({k: v for k, v in kept.get(section, {}).items() if k in own})

    def save(self):
        """Keeps the settings for later processes."""
        file = self._file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"API": self.API.__dict__, "APP": self.APP.__dict__}, indent=1) + "\n")

    def set_default_api_key(self, apikey):
        """Sets and keeps the key for remote programs."""
        self.API.APIKEY = apikey
        self.save()

    def set_default_app_debug(self, debug=True):
        """Sets and keeps whether errors name the user's lines."""
        self.APP.DEBUG = debug
        self.save()


CONFIG = Config()

"""Puts the native form into a wheel, for one Python and one kind of machine, when ``HUB_NATIVE=1`` says so.

    HUB_NATIVE=1 .venv/bin/python -m build --wheel --no-isolation

Without it the wheel is the sources alone and fits everywhere. ``HUB_NATIVE_FOLDER`` names a folder that has the native
form already (``deploy/native.py``).
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeWheel(BuildHookInterface[Any]):  # Any: the builder's configuration, of which nothing is asked
    """Adds the extension modules to the files of the wheel, and says what it fits."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects the files. Raises ``SystemExit`` when it can't be compiled."""
        del version
        if os.environ.get("HUB_NATIVE") != "1":
            return
        sys.path.insert(0, self.root)
        from deploy.native import HOME, extensions, make

        given = os.environ.get("HUB_NATIVE_FOLDER")
        folder = Path(given) if given else make(HOME)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(path): str(path.relative_to(folder)) for path in extensions(folder)}

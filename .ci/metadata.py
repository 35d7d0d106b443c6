"""Hatchling hook that sets the README for PyPI and the links of the project."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Links(MetadataHookInterface):
    """Make relative links absolute in builds by GitHub Actions, where the address of the repository is known."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the fields that pyproject.toml declares as dynamic."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        server, repository, ref = map(os.environ.get, ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_REF_NAME"))
        if server and repository and ref:
            home = f"{server}/{repository}"
            text = re.sub(r"(!\[[^]]*\])\((?!https?:)", rf"\1({home}/raw/{ref}/", text)
            text = re.sub(r"(?<!!)(\[[^]]*\])\((?!https?:|#)", rf"\1({home}/blob/{ref}/", text)
            metadata["urls"] = {
                "Source": home,
                "Documentation": f"{home}/tree/{ref}/docs",
                "Changelog": f"{home}/blob/{ref}/CHANGELOG.md",
                "Issues": f"{home}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}

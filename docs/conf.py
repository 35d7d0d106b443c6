"""Sphinx configuration; ``make docs`` builds the documentation."""

from __future__ import annotations

import inspect
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scclu

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "scclu"
author = "The scclu developers"
copyright = "The scclu developers"
version = release = scclu.__version__

# intersphinx downloads the inventories of other projects. Builds are offline unless they run on Read the Docs or
# SCCLU_DOCS_ONLINE=1 is set
_ONLINE = os.environ.get("READTHEDOCS") == "True" or os.environ.get("SCCLU_DOCS_ONLINE") == "1"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
    "sphinxext.opengraph",
    *(["sphinx.ext.intersphinx"] if _ONLINE else []),
]

root_doc = "index"
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nitpicky = True
bibtex_bibfiles = ["references.bib"]


def copy_tutorials() -> None:
    """Copy the notebooks from ``tutorials`` to ``docs/tutorials``, because Sphinx reads no files outside ``docs``.

    Links to pages of the documentation are adapted to the new location. ``docs/tutorials`` is ignored by git.
    """
    here = Path(__file__).parent
    source, target = here.parent / "tutorials", here / "tutorials"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in (*source.glob("*.ipynb"), *source.glob("*.md")):
        text = path.read_text(encoding="utf-8").replace("](../docs/", "](../")
        (target / path.name).write_text(text, encoding="utf-8")
        # Sphinx reads files again that have changed since the last build
        shutil.copystat(path, target / path.name)


copy_tutorials()

# -- pages ------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# the notebooks are stored with their outputs
nb_execution_mode = "off"
# the messages of a cell in one box
nb_merge_streams = True

# -- API reference ----------------------------------------------------------------------------------------------------

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
# list attributes in the docstring; autodoc would try to import each of them
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# Signatures contain names as they are written in the source, or the private module in which a package defines them.
# This maps both to the public name under which the package documents them.
_PAGE_NAMES = {
    "AnnData": "anndata.AnnData",
    "Path": "pathlib.Path",
    "ArrayLike": "numpy.typing.ArrayLike",
    "Axes": "matplotlib.axes.Axes",
    "anndata._core.anndata.AnnData": "anndata.AnnData",
    "pandas.core.frame.DataFrame": "pandas.DataFrame",
    "pd.DataFrame": "pandas.DataFrame",
}
nitpick_ignore = [
    # an alias of a Literal; the docstring lists the values
    ("py:class", "Method"),
    *([] if _ONLINE else [("py:class", name) for name in _PAGE_NAMES]),
]
nitpick_ignore_regex = [
    # without inventories, references to other projects cannot be resolved
    *([] if _ONLINE else [(r"py:.*", r"(anndata|collections|matplotlib|numpy|pandas|pathlib|scanpy|scvi)\..*")]),
]
intersphinx_mapping = {
    "anndata": ("https://anndata.readthedocs.io/en/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "python": ("https://docs.python.org/3", None),
    "scanpy": ("https://scanpy.readthedocs.io/en/stable", None),
    "scvi-tools": ("https://docs.scvi-tools.org/en/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
}

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# social previews show the title and first lines of a page; the site's address is known on Read the Docs only
ogp_site_url = os.environ.get("READTHEDOCS_CANONICAL_URL", "")
ogp_site_name = "scclu"
ogp_social_cards = {"enable": False}

# -- HTML -------------------------------------------------------------------------------------------------------------

# the address of the repository is known on Read the Docs only
_REPOSITORY = os.environ.get("READTHEDOCS_GIT_CLONE_URL", "").removesuffix(".git")

html_theme = "sphinx_book_theme"
html_title = "scclu"
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    # the sidebar already has a search field
    "navbar_persistent": [],
    # notebooks as .ipynb, other pages as .md
    "use_download_button": True,
    "use_fullscreen_button": False,
    **({"repository_url": _REPOSITORY, "use_repository_button": True} if _REPOSITORY.startswith("https://") else {}),
}
html_copy_source = True
html_static_path = ["_static"]
html_css_files = ["scclu.css"]
html_show_sphinx = False


def _is_foreign(app: Sphinx, what: str, name: str, item: Any, skip: bool, options: dict[str, Any]) -> bool | None:
    """Skip members that the models inherit from scvi-tools, except ``history``."""
    function = getattr(item, "fget", item)
    module = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__module__", None)
    if what == "class" and name != "history" and module is not None and not module.startswith("scclu"):
        return True
    return None


def _name_on_page(app: Sphinx, env: Any, node: Any, contnode: Any) -> None:
    """Replace a name by the public one before intersphinx looks it up."""
    node["reftarget"] = _PAGE_NAMES.get(node["reftarget"], node["reftarget"])


def setup(app: Sphinx) -> None:
    """Connect the handlers to Sphinx events."""
    app.connect("autodoc-skip-member", _is_foreign)
    app.connect("missing-reference", _name_on_page, priority=400)

"""Settings of the documentation: ``make docs`` builds it."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

import scclu

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "scclu"
author = "The scclu developers"
copyright = "The scclu developers"
version = release = scclu.__version__

# intersphinx fetches the lists of other projects' pages. A build is offline, and the same everywhere, unless it is
# asked for them: by Read the Docs, or by SCCLU_DOCS_ONLINE=1
_ONLINE = os.environ.get("READTHEDOCS") == "True" or os.environ.get("SCCLU_DOCS_ONLINE") == "1"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    *(["sphinx.ext.intersphinx"] if _ONLINE else []),
]

root_doc = "index"
templates_path = ["_templates"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
nitpicky = True

# -- pages ------------------------------------------------------------------------------------------------------------

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# notebooks are stored with their output
nb_execution_mode = "off"

# -- API reference ----------------------------------------------------------------------------------------------------

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_numpy_docstring = True
napoleon_use_rtype = False
# attributes as a list: autodoc would look each of them up
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

# signatures have names that the modules import for type checkers alone as they are written, and others by the place
# where a package keeps them inside: these are the names on the packages' own pages
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
    # an alias for a Literal, whose values the docstring gives
    ("py:class", "Method"),
    *([] if _ONLINE else [("py:class", name) for name in _PAGE_NAMES]),
]
nitpick_ignore_regex = [
    # without the network no list says that these pages are there
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

# -- HTML -------------------------------------------------------------------------------------------------------------

html_theme = "sphinx_book_theme"
html_title = "scclu"
html_theme_options = {
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    # the sidebar has a search field
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["scclu.css"]
html_show_sphinx = False


def _is_foreign(app: Sphinx, what: str, name: str, item: Any, skip: bool, options: dict[str, Any]) -> bool | None:
    """Leave out what the models inherit from scvi-tools, except their history of losses."""
    function = getattr(item, "fget", item)
    module = getattr(inspect.unwrap(getattr(function, "__func__", function)), "__module__", None)
    if what == "class" and name != "history" and module is not None and not module.startswith("scclu"):
        return True
    return None


def _name_on_page(app: Sphinx, env: Any, node: Any, contnode: Any) -> None:
    """Let intersphinx, which is asked after this, look for the name that the other package's pages have."""
    node["reftarget"] = _PAGE_NAMES.get(node["reftarget"], node["reftarget"])


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect("autodoc-skip-member", _is_foreign)
    app.connect("missing-reference", _name_on_page, priority=400)

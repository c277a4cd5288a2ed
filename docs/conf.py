"""Configuration of the documentation's site: `make docs` builds it into docs/_build."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

import sv  # noqa: E402

project = "sv"
release = version = sv.__version__
html_title = "Speaker verification that survives noise"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "reference_pages",
    "mathml",
]
exclude_patterns = ["_build", "extensions"]
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "default"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]  # equal names of attributes of several classes

smartquotes = False  # `--nj` keeps its two dashes
default_role = "code"  # docstrings write names between single backticks
html_math_renderer = "mathml"  # formulas need no script and no network
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # PyTorch's would come along, with links into its own pages
autosummary_generate = False
maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

"""The site: `make docs-site` builds it into build/site.

Every page of docs/ is part of it. Pages that the code itself can write are written at build time
into docs/_generated (`site_pages.py`); charts are drawn from docs/data/bench.json (`charts.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS / "_ext")]

import site_pages  # noqa: E402 - it is in the folder that was just added

import smruntime_core  # noqa: E402

project = "smruntime-core"
version = release = smruntime_core.__version__
copyright = "the authors of smruntime-core, Apache License 2.0"
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx_llms_txt",
    "charts",
    "docstrings",
    "site_links",
]
exclude_patterns = ["_build", "data"]

myst_enable_extensions = ["colon_fence", "attrs_block", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # site_pages.py runs the notebook, and joins what it streams

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_mock_imports = ["aiohttp", "httpx", "httpx2", "niquests", "requests"]
suppress_warnings = ["ref.python"]  # several modules have a `Client`, several classes a `type`
maximum_signature_line_length = 80
python_use_unqualified_type_names = True
default_role = "code"
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "smruntime-core"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = True  # for llms-full.txt
html_show_sourcelink = False
html_show_sphinx = False
html_domain_indices = False  # the reference lists the modules
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6e99", "color-brand-content": "#0b6e99"},
    "dark_css_variables": {"color-brand-primary": "#5cc3ee", "color-brand-content": "#5cc3ee"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

llms_txt_summary = (
    "A Python client for Amazon SageMaker Runtime, sans-I/O: it calls the model behind an "
    "endpoint and returns the answer, whole or as a stream, without boto3 and dependencies."
)
llms_txt_full_file = True

site_pages.write_all(ROOT, DOCS / "_generated")

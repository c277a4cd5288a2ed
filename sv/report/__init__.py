"""Results to one HTML page: sections of plain records (blocks), which page.html.j2 renders."""

from sv.base.packages import require

require("a report", "recipes", "matplotlib", "jinja2")

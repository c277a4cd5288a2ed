"""Results to one HTML page: sections of plain records (blocks), which page.html.j2 renders."""

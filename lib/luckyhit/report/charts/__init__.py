"""Figures as data (`chart`), drawn as SVG (`svg`) and listed as CSV (`chart_csv`)."""

"""The report: from a run's files to what people read.

recorded          what a run recorded, as far as it can be read
figures           a module and a row of FIGURES for each: its data, its drawing, what it says
tables            the tables as rows of text; notebook_tables: the same for the notebooks
evidence          what was done to the target and what was not, step by step; whether it is back; how to repeat it
context, page     the HTML report, from templates; html_files: names, links, whole writes
index, trends     the list of all runs; card: what a report says of itself to it
run_outcome       how a run ended, for other machines: ci_summary, junit
spectrum          the plot of `luckyhit load`
style             one look for every figure
"""

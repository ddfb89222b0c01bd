"""The report: from a run's files to what people read.

recorded            what a run recorded, as far as it can be read
figures             a module and a row of FIGURES for each: its data, its drawing, its sentence
tables              the tables as rows of text; notebook_tables: the same for the notebooks
evidence            what was done to the target and what was not, whether it is as it was, how to repeat the run
context, page       the HTML report, from templates; html_files: names, links, whole writes
run_index, trends   the index of all runs; page_metadata: what a report says about itself to it; run_folders: whose
                    runs it covers
run_outcome         how a run ended, for other programs: ci_summary, junit
percentile_plot     the plot of `luckyhit load`
charts              figures as data, drawn as SVG and listed as CSV
"""

"""The forms of access logs: `FORMS` are read, `REFUSED` are refused. Of a line, time, method and target count.

forms   the tables · line: one request · text_lines, json_lines: the parsers · replay: a log as a workload
"""

from luckyhit.load.access_logs.forms import FORMS, REFUSED, Form, Parse, Refused
from luckyhit.load.access_logs.line import LATEST_S, LONGEST_TARGET, LogLine, seconds_of

__all__ = ["FORMS", "LATEST_S", "LONGEST_TARGET", "REFUSED", "Form", "LogLine", "Parse", "Refused", "seconds_of"]

"""What access logs look like: `FORMS` are read, `REFUSED` are named. Time, method and target of a line count.

forms       the tables; line: one request; times; text_lines, json_lines, cloudfront: the parsers
"""

from luckyhit.load.access_logs.forms import FORMS, REFUSED, Form, Parse, Refused
from luckyhit.load.access_logs.line import LATEST_S, LONGEST_TARGET, LogLine, seconds_of

__all__ = ["FORMS", "LATEST_S", "LONGEST_TARGET", "REFUSED", "Form", "LogLine", "Parse", "Refused", "seconds_of"]

"""The executing side of a diagnosis: experiments on a stack of our own, one after the other, until the fault is named.

What an outcome means stands in `luckyhit.judge.diagnosis`; here it is brought about. Only `diagnosing` is used from
outside.
"""

"""The whole course as people run it: every lesson executed, an HTML book of them, and a run against other tools.

`make course` is `python -m iaclab.course`, `make matrix` is `python -m iaclab.course.matrix`.
"""

"""nbgrader's settings for this course. grading/README.md says what an instructor does with them."""

from pathlib import Path

from iaclab.grading.nbgrader_settings import configure, exchange_to_try

c = get_config()  # noqa: F821  traitlets defines it
configure(c)

# Where learners fetch and hand in: a folder on this machine, or a volume that all share. As long as nobody has named
# one and nbgrader's own is not there, the folder `exchange` here takes its place, so that you can try it alone.
exchange_to_try(c, Path(__file__).resolve().parent)
# c.Exchange.root = "/usr/local/share/nbgrader/exchange"

# The gradebook; default: gradebook.db in this folder.
# c.CourseDirectory.db_url = "postgresql://user:password@host/gradebook"

"""Lucky Hit: was it a fix, or a lucky cache hit?"""

__version__ = "0.1.0"

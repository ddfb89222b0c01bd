"""Where routes and settings can be read from, one file each; all give an `Evidence`.

openapi            a document, or the service's own
framework_routes   the route tables of Django, Flask and FastAPI, asked from the service's own interpreter
har, access_log    what was requested, and how often
settings           environment variables that the source code reads
"""

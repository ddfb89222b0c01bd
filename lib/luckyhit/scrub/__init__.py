"""Everything that leaves a run, or is shown, is scrubbed here: of secrets, control characters and local paths.

secrets          shapes and names of secrets; known values in any encoding
redactor         `Redactor`, which scrubs texts and documents
sweep            the files that a step leaves
characters       control and direction characters made visible
"""

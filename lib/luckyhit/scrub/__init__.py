"""What leaves a run, or is shown, has passed here: secrets, control characters and paths of this machine.

secrets          how secrets look, what they are called, and known values, however they are written
redactor         texts without any of it: `Redactor`
sweep            what a step left in files
characters       control and direction characters, made visible
"""

"""How a service is asked.

reads           which GET routes answer, with which ids, headers and cache keys · ids: values to ask for
attempts        which body a write route accepts · bodies: from schemas and errors · numbered_bodies: with a version
writes          which reads show what was written, after how long, and the keys that it touches
key_templates   from keys to templates · json_places: paths of values
"""

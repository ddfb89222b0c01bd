"""The service that the shipped cases investigate: a product catalogue with a read-through cache.

    python -m luckyhit.demo --port 8000      REDIS_URL and DATABASE in the environment

An ordinary service of the kind people debug: FastAPI on uvicorn, SQLite, redis-py. It knows
nothing of Lucky Hit, and Lucky Hit knows it by its command line and its answers only. By default it
invalidates correctly; `settings.py` lists the settings behind which it makes its ordinary mistakes.
"""

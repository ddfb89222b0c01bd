"""The service that the shipped cases investigate: a product catalogue with a read-through cache.

    python -m luckyhit.demo --port 8000      REDIS_URL and DATABASE in the environment

An ordinary service: FastAPI on uvicorn, SQLite, redis-py. It doesn't know Lucky Hit, which knows only its command line
and its responses. By default it invalidates correctly; `settings.py` lists the settings for its typical mistakes.
"""

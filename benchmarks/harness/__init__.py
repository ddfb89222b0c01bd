"""What the benchmarks share.

targets        the services that are measured: timed_echo, asgi_service, the built-in echo
peers          the clients beside us: aiohttp, httpx, wrk, Locust; python_client, locust_user run in their own process
rounds         who comes when, and medians over the rounds
"""

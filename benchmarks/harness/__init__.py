"""What the benchmarks share.

targets        the services that are measured: timed_echo, shop_echo, asgi_service, the built-in echo
peers          the clients beside us: aiohttp, httpx, wrk, hey, Locust, each in its own process
telling        a row of the table that `make bench` prints
rounds         who comes when, and medians over the rounds
"""

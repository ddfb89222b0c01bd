"""The load engine: one block's requests, sent when they are due, each one recorded.

block         what a block is to measure, and what is reported of it
worker_pool   the engine's processes, seen from the one that starts them
engine        one engine process (engine_config: its configuration); block_context, sender: its requests
schedule      which request is due when, for which key; inputs: files that a workload names
responses     what is done with a response once its clock has stopped; recorder: its row
limits        what a run must not do to the target's users; selfcheck, echo: what the engine adds by itself
http1, http2  the clients; bodies: decoding and hashes, versions, what was expected
signals       what responses show of caches and the database; access_logs: logs as workloads
sharding      load from several hosts: shards, their clocks, their merged rows
command       `luckyhit load`, the engine alone
"""

"""One block's load from several hosts: shard `i` of `n` sends the slots that leave `i` when divided by `n`.

engine_pool      the processes of a block: those of this host (worker_pool), or shards
shard_pool       the coordinator: one start for all, what each shard reports, the merged facts
shard_follower   one shard, seen from the coordinator; shard_facts: what is noted of it
engine_host      the engine processes of one shard, on the host where they run
shard_hosts      where hosts come from: TRANSPORTS, a row for each; local_hosts: processes of this machine
dask_hosts       the workers of a Dask scheduler
clock_offset     how far two clocks are apart, and how well that is known
shard_rows       the merged rows: each slot once, what a lost shard left out as never sent
"""

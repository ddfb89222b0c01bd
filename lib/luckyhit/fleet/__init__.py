"""Many cases on one or many machines: `luckyhit fleet`.

fleet_file      `fleet.yml`: cases, order, exclusive resources, windows, budget
job             one case of a fleet: what it needs, how long it may take, what it shares
admission       which job is next, and which can't be started any more: pure
attempt         one start of a job: its folder, what is asked for, how it ended
keeper          the process around one `luckyhit run`: ends it when its owner is gone (standard library and psutil)
carrying        starts a keeper, and waits for it
settling        what an attempt left whose end nobody reported: read, or rolled back
places          where attempts are carried out: the protocol
local_places    the processors of this machine
on_dask         the workers of a Dask cluster
dispatch        the loop: starts, retries, stops
live_table      the table in a terminal and in JupyterLab, or dated lines
night           a whole fleet, from its cases to its digest and alarms
digest          what the night showed, against earlier nights
"""

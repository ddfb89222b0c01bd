"""What a night showed, against earlier nights.

departures      metrics of this night's baseline beyond all earlier ones, how many nights in a row, how likely by chance
level_shifts    metrics whose level changed for good, over a case's history
night_record    the whole: one record of all cases, its alarms and its exit code
night_page      the same as `nightly.html`, `nightly.md` and `nightly.json`
night_words     the wording of its ids
"""

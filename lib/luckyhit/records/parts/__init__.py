"""Part files: their names and texts, how a block's are merged, and how merged ones keep instants.

block_numbers  of blocks, and of what is sent between them
names          what a part file is called, and which ones a merged file has in it
times          instants as durations: what takes a third of the room on disk
merging        all part files of a block as one
part_texts     what words stand in one, and others instead
"""

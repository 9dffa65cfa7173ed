"""The engine: one process that keeps the model warm and listens to windows of every job.

`__main__` the process, `server` its door, `batcher` who is heard next, `model`
faster-whisper and nothing else of it, `phrases` tokens to segments and words.

A process entry: nobody imports it.
"""

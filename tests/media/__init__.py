"""Recordings for tests, made on the spot: good ones, damaged ones and hostile ones.

    sounds      what can be heard: speech, silence, tones
    files       sound → files of every kind, through PyAV and wave
    worker      the smallest worker: a real decode child at the other end of the real wire

Not here: any stored recording, any expectation.
"""

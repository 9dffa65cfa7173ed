"""The decode child: a hostile file in, windows of sound out. A process entry: nobody imports it.

`python -m appliance.decode FD` serves one recording over the socket FD and ends. It may be
started long before: everything is imported and every right given up before a file arrives.

    __main__   the process: give up every right, then serve
    serve      one recording, and how it ended
    talk       the talk with the worker: slots of the ring, progress
    reading    the file as libav may see it
    media      bytes → an opened container and the track we listen to
    refusals   what a file is that is no recording: a playlist, a protected one
    promises   how long a file says it is, and when to believe it
    ends       whether a file ends as its format ends
    behind     what lies behind its end: a second recording
    tracks     which of several audio tracks
    sound      that track's packets → blocks of 16 kHz mono, and what was wrong with them
    reshape    frames of any shape → 16 kHz mono

Not here: cutting sound into windows (windows), the model (engine), any file name.
"""

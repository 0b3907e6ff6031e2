"""What runs on the machine that wants an environment. Standard library only, Python 3.8 and later.

The way of one `sync`, and where each step lives:

    inputs       requirement files → texts, one digest over all that was asked
    state        is the folder already that? then nothing else is loaded
    interpreter  which Python, and what it is
    transport    the request, and the answer as a stream; http1 is what it speaks
    archive      the stream → manifest, head, layers
    lanes        workers in threads or processes, and the memory through which layers reach them
    unpack       what a worker does: layers → files; `tree` is the folder they go to
    store        layers seen before, shared by hard links
    switch       staged folder → the environment, in one step; locks, leftovers
    sync         all of it in order
"""

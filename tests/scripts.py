"""scripts.py - shell scripts in the place of programs that a test's servers call"""
from pipit import *

def script(name, text):
    """The path of a script that any account can execute."""
    path = os.path.join(SCRATCH, name)
    with open(path, 'w') as f: f.write('#!/bin/sh\n' + text)
    os.chmod(path, 0o755)
    return path

def keeping_queue():
    """A QMAILQUEUE, and the folder in which it leaves the last message, msg, and its envelope, env."""
    out = os.path.join(SCRATCH, 'out')
    os.mkdir(out)
    own(out)
    return script('queue.sh', 'cat >%s/msg\ncat <&1 >%s/env\n' % (out, out)), out

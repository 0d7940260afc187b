#!/usr/bin/python3
"""qfilter.py - a QMAILQUEUE program that calls filters as qmail-qfilter does

usage: qfilter.py FILTER [ARG...] [-- FILTER [ARG...]]...

A filter has the message on 0, 1 for another one, the envelope on 3, 4 for another one, 5 for the
name of another qmail-queue. QQF_QMAILQUEUE is the qmail-queue.
"""
import fcntl, os, subprocess, sys, tempfile

MESSAGE, NEW_MESSAGE, ENVELOPE, NEW_ENVELOPE, QUEUE = 0, 1, 3, 4, 5

def temporary(fd, data=b''):
    """A file without a name, on this descriptor whatever it was."""
    with tempfile.TemporaryFile() as f: high = fcntl.fcntl(f, fcntl.F_DUPFD, 20)
    os.dup2(high, fd)
    os.close(high)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)

def all_of(fd):
    data = b''
    while part := os.read(fd, 65536): data += part
    return data

def parse(envelope):
    sender, *rcpts = envelope.split(b'\0')
    if not sender.startswith(b'F'): sys.exit(91)
    user, at, host = sender[1:].rpartition(b'@')
    os.environb.update({b'QMAILUSER': user, b'QMAILHOST': host, b'QMAILRCPTS': b''.join(r[1:] + b'\n' for r in rcpts if r),
                        b'NUMRCPTS': b'%d' % len([r for r in rcpts if r])})

def take(new, old):
    os.lseek(new, 0, os.SEEK_SET)
    data = all_of(new)
    if data: temporary(old, data)
    else: os.lseek(old, 0, os.SEEK_SET)
    temporary(new)

message, envelope = all_of(0), all_of(1)
temporary(MESSAGE, message)
temporary(ENVELOPE, envelope)
for fd in (NEW_MESSAGE, NEW_ENVELOPE, QUEUE): temporary(fd)
parse(envelope)
args = sys.argv[1:]
while args:
    n = args.index('--') if '--' in args else len(args)
    filter, args = args[:n], args[n + 1:]
    code = subprocess.run(filter, stdin=MESSAGE, stdout=NEW_MESSAGE, pass_fds=(ENVELOPE, NEW_ENVELOPE, QUEUE)).returncode
    if code: sys.exit(0 if code == 99 else code)
    take(NEW_MESSAGE, MESSAGE)
    take(NEW_ENVELOPE, ENVELOPE)
    parse(all_of(ENVELOPE))
    os.lseek(ENVELOPE, 0, os.SEEK_SET)
os.lseek(QUEUE, 0, os.SEEK_SET)
queue = all_of(QUEUE).decode() or os.environ['QQF_QMAILQUEUE']
os.set_inheritable(MESSAGE, True)
os.dup2(ENVELOPE, 1)
os.closerange(3, 6)
os.execv(queue, [queue])

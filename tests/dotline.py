"""dotline.py - call a program as a dot-qmail line does: its environment, the message in a file, a queue that tells"""
import os, subprocess
from pipit import *

LAB = os.path.join(SCRATCH, 'lab')
os.mkdir(LAB)
os.chdir(LAB)
QUEUE = os.path.join(LAB, 'queue')
with open(QUEUE, 'w') as f: f.write('#!/bin/sh\ncat >%s/m; cat <&1 >%s/e; exit ${CODE:-0}\n' % (LAB, LAB))
os.chmod(QUEUE, 0o755)
ENV = {'PATH': os.environ['PATH'], 'PIPIT_HOME': make_home(), 'QMAILQUEUE': QUEUE, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', ''),
       'SENDER': 'me@there.example', 'NEWSENDER': 'owner@host.example', 'RECIPIENT': 'joe@host.example', 'LOCAL': 'joe',
       'USER': 'joe', 'HOST': 'host.example', 'EXT': '', 'DTLINE': 'Delivered-To: joe@host.example\n',
       'RPLINE': 'Return-Path: <me@there.example>\n', 'UFLINE': 'From me@there.example Sat Nov 28 12:00:00 2026\n'}

def line(name, *args, message=b'', env={}, without=(), pipe=False, **kw):
    """(exit code, stdout, stderr); with pipe=True standard input is no file."""
    with open('message', 'wb') as f: f.write(message)
    with open('message', 'rb') as f:
        kw.update({'input': message} if pipe else {'stdin': f})
        p = subprocess.run([os.path.join(BIN, name), *args], capture_output=True, timeout=60, **kw,
                           env={k: v for k, v in dict(ENV, **env).items() if k not in without})
    return p.returncode, p.stdout.decode(errors='surrogateescape'), p.stderr.decode(errors='replace')

def take(name):
    """What a file has; it is removed. None when there is none."""
    try:
        with open(name, 'rb') as f: data = f.read()
    except FileNotFoundError: return None
    os.unlink(name)
    return data

def queued():
    """What the queue got last: (sender, recipients, message), or None."""
    e, m = take('e'), take('m')
    if not e: return None
    sender, *rcpts = e.rstrip(b'\0').split(b'\0')
    return sender[1:].decode(), [r[1:].decode() for r in rcpts], m

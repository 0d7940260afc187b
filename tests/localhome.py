"""localhome.py - the home of a user, and pipit-local that delivers there"""
import glob, os, re, shutil, stat, subprocess
from pipit import *

HOME = make_home()
LOCAL = os.path.join(BIN, 'pipit-local')
MSG = b'Received: (x)\nSubject: test\n\nhello\n'
USER = os.path.join(SCRATCH, 'user')
ENV = {'PATH': os.environ['PATH'], 'PIPIT_HOME': HOME,
       'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '')}

def fresh(*maildirs):
    """An empty home of the user, with these Maildirs."""
    shutil.rmtree(USER, ignore_errors=True)
    os.mkdir(USER)
    own(USER)
    os.chmod(USER, 0o755)
    for m in maildirs: maildir(m)

def maildir(name):
    for d in ('', 'tmp', 'new', 'cur'):
        path = os.path.join(USER, name, d)
        os.mkdir(path)
        own(path)

def put(name, text, mode=0o644):
    path = os.path.join(USER, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path): os.unlink(path)
    with open(path, 'wb') as f: f.write(text if isinstance(text, bytes) else text.encode())
    own(path)
    os.chmod(path, mode)

def read(name):
    try:
        with open(os.path.join(USER, name), 'rb') as f: return f.read()
    except FileNotFoundError: return None

def start(local='joe', dash='', ext='', host='host.example', sender='me@there.example',
          fallback='./Maildir/', options=(), length=None, env=None, before=(), stdin=subprocess.PIPE,
          home=None, **kw):
    opts = list(options)
    if length is not None: opts += ['-l', str(length)]
    argv = [*before, LOCAL, *opts, '--', 'joe', home or USER, local, dash, ext, host, sender, fallback]
    return as_account(argv, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                      env=dict(ENV, **(env or {})), **kw)

def local(message=MSG, **kw):
    """(exit code, what it said). The length is given, as pipit-lspawn does, unless kw says otherwise."""
    kw.setdefault('length', len(message))
    p = start(**kw)
    out = p.communicate(message, timeout=100)[0]
    return p.returncode, out.decode('utf8', 'replace')

def new(name='Maildir'):
    """The messages in new/, the latest last."""
    return sorted(glob.glob(os.path.join(USER, name, 'new', '*')), key=lambda f: os.stat(f).st_ctime_ns)

def tmp(name='Maildir'):
    return os.listdir(os.path.join(USER, name, 'tmp'))

QUEUE = os.path.join(SCRATCH, 'myqueue')

def forward(message=MSG, code=0, **kw):
    """Deliver with a QMAILQUEUE program: (exit code, what was said, envelope, message as queued)."""
    for f in ('queued', 'envelope'):
        if read(f) is not None: os.unlink(os.path.join(USER, f))
    with open(QUEUE, 'w') as f: f.write('#!/bin/sh\ncat >%s/queued\ncat <&1 >>%s/envelope\nexit %d\n' % (USER, USER, code))
    os.chmod(QUEUE, 0o755)
    return *local(message, env={'QMAILQUEUE': QUEUE}, **kw), read('envelope'), read('queued')

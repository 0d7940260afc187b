#!/usr/bin/python3
"""ezmlm.py - calls qmail as ezmlm does: a list below a directory, with VERP and its own bounces

usage: ezmlm.py make DIR DOT LOCAL HOST QMAILDIR SUBSCRIBER...
       ezmlm.py reject | send DIR | return DIR | get DIR | manage DIR      (in dot-qmail files)
"""
import os, re, subprocess, sys

def read(*path):
    with open(os.path.join(*path)) as f: return f.read()

def put(path, text):
    with open(path, 'w') as f: f.write(text)

def make(dir, dot, local, host, qmail, *subscribers):
    os.makedirs(dir + '/bounce')
    me = '|%s' % os.path.abspath(__file__)
    for name, text in (('local', local), ('host', host), ('qmail', qmail), ('num', '0'), ('subscribers', '\n'.join(subscribers)),
                       ('owner', dir + '/Mailbox\n'), ('bouncer', '%s return %s\n' % (me, dir)),
                       ('editor', '%s reject\n%s send %s\n' % (me, me, dir)),
                       ('manager', '%s get %s\n%s manage %s\n' % (me, dir, me, dir))):
        put('%s/%s' % (dir, name), text)
    for suffix, name in (('', 'editor'), ('-owner', 'owner'), ('-default', 'manager'), ('-return-default', 'bouncer')):
        os.symlink('%s/%s' % (dir, name), dot + suffix)

def queue(dir, sender, rcpts, message):
    """qmail-queue, found as ezmlm finds it: bin/qmail-queue in qmail's directory."""
    m, e = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        os.chdir(read(dir, 'qmail'))
        os.dup2(m[0], 0); os.dup2(e[0], 1)
        for fd in m + e: os.close(fd)
        os.execv('bin/qmail-queue', ['bin/qmail-queue'])
    os.close(m[0]); os.close(e[0])
    with open(m[1], 'wb') as f: f.write(message)
    with open(e[1], 'wb') as f: f.write(b'F%s\0' % sender.encode() + b''.join(b'T%s\0' % r.encode() for r in rcpts) + b'\0')
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code: sys.exit(100 if 11 <= code <= 40 else 111)

def reject():
    if not re.search(rb'^Subject: *\S', sys.stdin.buffer.read(), re.M):
        print('I need a subject (#5.7.0)')
        sys.exit(100)

def send(dir):
    number = int(read(dir, 'num')) + 1
    put(dir + '/num', str(number))
    name, host = read(dir, 'local'), read(dir, 'host')
    message = b'Mailing-List: contact %s-help@%s\nDelivered-To: mailing list %s@%s\n' % ((name.encode(), host.encode()) * 2)
    queue(dir, '%s-return-%d-@%s-@[]' % (name, number, host), read(dir, 'subscribers').split(), message + sys.stdin.buffer.read())

def failures(text):
    """The addresses of a report by qmail-send, as ezmlm-return reads it: paragraphs, and one of MIME is skipped."""
    header, *paragraphs = text.split('\n\n')
    if paragraphs[0].startswith('--'): del paragraphs[0]
    if not paragraphs[0].startswith('Hi. This is the'): sys.exit(99)
    for p in paragraphs[1:]:
        if p.startswith('-'): return
        if p.startswith('<'): yield p.splitlines()[0][1:-2], p

def ezreturn(dir):
    if os.environ['SENDER'] not in ('', '#@[]'): sys.exit(100)
    number, who = os.environ['DEFAULT'].split('-', 1)
    text = sys.stdin.read()
    for who, why in [(who.replace('=', '@'), text)] if who else failures(text): put('%s/bounce/%s' % (dir, who), number + '\n' + why)
    sys.exit(99)

def get(dir):
    """Answers itself, and keeps the lines after it from being followed."""
    if not os.environ['DEFAULT'].startswith('get'): sys.exit(0)
    host = read(dir, 'host')
    queue(dir, '%s-return-@%s' % (read(dir, 'local'), host), [os.environ['SENDER']], b'Subject: archive\n\nall of it\n')
    sys.exit(99)

def manage(dir):
    word, who = os.environ['DEFAULT'].split('-', 1)
    if word != 'subscribe': sys.exit(100)
    put(dir + '/subscribers', read(dir, 'subscribers') + '\n' + who.replace('=', '@'))

sys.exit({'return': ezreturn}.get(sys.argv[1], globals().get(sys.argv[1]))(*sys.argv[2:]))

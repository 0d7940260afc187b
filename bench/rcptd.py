#!/usr/bin/python3
"""rcptd.py - answers of pipit-rcptd for each second, and its memory

usage: SCRATCH=DIR BIN=build/bin bench/rcptd.py [ CLIENTS ]

As root. Makes a privilege-separated instance in DIR, as the tests do, with 100,000 users in
users/cdb. Each of 10 clients, or CLIENTS, sends its next question when it has the answer.
"""
import os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tests'))
from pipit import *
if os.environ.get('NAMESPACE') is None:
    command = with_accounts('/usr/bin/python3', os.path.abspath(__file__), *sys.argv[1:])
    os.execvpe(command[0], command, dict(os.environ, NAMESPACE='1'))
from deliveries import users, write
from rcptd import *

USERS, SECONDS = 100000, 2
clients = int(sys.argv[1]) if len(sys.argv) > 1 else 10
home = os.path.join(SCRATCH, 'bench')
subprocess.run([os.path.join(BIN, 'pipit-setup'), '-n', 'mail.example', home], check=True, stdout=subprocess.DEVNULL)
os.mkdir(home + '/users/home')
os.chown(home + '/users/home', 65001, 65001)
write(home + '/users/home/.qmail-list', './Maildir/\n', 0o600, (65001, 65001))
os.chmod(home + '/users/home', 0o700)
users(home, *('=u%d:u:65001:65001:%s/users/home:::' % (n, home) for n in range(USERS)), '+ext-:u:65001:65001:%s/users/home:-::' % home)
r = Rcptd(home, popen=subprocess.Popen)

def client(question, end):
    a, n = Asker(home), 0
    while time.monotonic() < end:
        for _ in range(20): a.ask(question % (n * 7919 % USERS)); n += 1
    return n

def rate(question):
    end, pipes = time.monotonic() + SECONDS, []
    for _ in range(clients):
        fd, w = os.pipe()
        if not os.fork():
            os.write(w, str(client(question, end)).encode())
            os._exit(0)
        os.close(w)
        pipes.append(fd)
    total = sum(int(os.read(p, 20)) for p in pipes)
    for _ in pipes: os.wait()
    return total / SECONDS

Asker(home).ask('nosuch@mail.example') # which has users/cdb looked through
for name, question in (('a user of users/cdb', 'u%d@mail.example'), ('a dot-qmail file in his home', 'ext-list%.0s@mail.example'),
                       ('none in his home', 'ext-x%d@mail.example'), ('nobody: the password database too', 'nosuch%d@mail.example'),
                       ('another host', 'u%d@far.example')):
    print('%-40s %6.0f/s' % (name, rate(question)))
print('memory of its processes (PSS): %d KiB' % pss([r.p.pid] + r.children()))
r.stop()

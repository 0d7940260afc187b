"""Trouble of this host defers mail, and never bounces it"""
import sys
sys.path.insert(0, 'tests')
from instance import *
try: from relayhost import RelayHost
except ImportError:
    skip('python3-aiosmtpd is not installed')
    done()

mount = private_mounts()
host = RelayHost()
i = Instance()
i.control('smtproutes', 'far.example:[127.0.0.1]:%d' % host.port)
i.control('rcpthosts', 'mail.example\nfar.example\nvirtual.example\nunknown.example')
i.control('virtualdomains', 'virtual.example:virtual')
i.mailbox('joe')
i.dot_qmail('virtual-joe', './joe/\n')
i.mailbox('ann')
by_program = os.path.join(i.home, 'service', 'send', 'env', 'QMAILLOCAL') # till the next start
os.makedirs(os.path.dirname(by_program), exist_ok=True)
with open(by_program, 'w') as f: f.write('bin/pipit-local\n')
i.start()
number = 0

def send(rcpt='joe@mail.example'):
    """A message of a local sender: a bounce would show up in his mailbox."""
    global number
    number += 1
    i.send('ann@mail.example', rcpt, b'Subject: message %d\n\nx\n' % number)

def deferred(why):
    """The message just sent was put off, and waits."""
    before = deferred.count
    got = wait_for(lambda: sum('deferral: ' in l for l in i.log('send')) > before, 20)
    check(got and i.queue() and not i.mails('ann'), '%s: deferred' % why)
    deferred.count = sum('deferral: ' in l for l in i.log('send'))
    if got: print('  ' + [l for l in i.log('send') if 'deferral: ' in l][-1])
deferred.count = 0

def mended(why, count):
    """After the repair it goes out."""
    for _ in range(10):
        i.alrm()
        if i.wait_queue_empty(2): break
    equal((len(i.mails('joe')), len(i.mails('ann'))), (count, 0),
          '%s: delivered once that is mended, nothing bounced' % why)

def no_workers(name):
    """Workers that wait for more mail would not notice."""
    for pid in i.pids(name): kill(pid)

# The program that QMAILLOCAL names is missing, or cannot be executed.
program = os.path.join(i.home, 'bin', 'pipit-local')
os.rename(program, program + '.away')
send()
deferred('pipit-local is missing')
os.rename(program + '.away', program)
mended('pipit-local is missing', 1)

os.chmod(program, 0o644)
no_workers('pipit-local')
send()
deferred('pipit-local is not executable')
os.chmod(program, 0o755)
mended('pipit-local is not executable', 2)

good = open(program, 'rb').read()
def replace(content):
    with open(program + '.new', 'wb') as f: f.write(content)
    os.chmod(program + '.new', 0o755)
    os.rename(program + '.new', program)
    no_workers('pipit-local')
replace(b'no program at all\n')
send()
deferred('pipit-local is garbage')
replace(b'#!/bin/sh\nkill -9 $$\n')
send()
deferred('pipit-local crashes')
replace(b'#!/bin/sh\nexit 111\n')
send()
deferred('pipit-local exits 111')
replace(good)
mended('pipit-local is broken', 5)

# The same with the remote side.
program = os.path.join(i.home, 'bin', 'pipit-remote')
def relayed(why, count):
    for _ in range(10):
        i.alrm()
        if i.wait_queue_empty(2): break
    equal((len(host.mails), len(i.mails('ann'))), (count, 0),
          '%s: relayed once that is mended, nothing bounced' % why)

send('joe@far.example')
wait_for(lambda: host.mails)
no_workers('pipit-remote')
os.rename(program, program + '.away')
send('joe@far.example')
deferred('pipit-remote is missing')
os.rename(program + '.away', program)
os.chmod(program, 0o644)
no_workers('pipit-remote')
i.alrm()
deferred('pipit-remote is not executable')
os.chmod(program, 0o755)
relayed('pipit-remote cannot run', 2)

# Control files that cannot be read: at HUP the old content stays in force.
virtual = os.path.join(i.home, 'control', 'virtualdomains')
os.chmod(virtual, 0)
i.control('locals', 'mail.example\nlocalhost\n')
i.hup()
check(wait_for(lambda: any('virtualdomains' in l and re.search('alert|warning', l) for l in i.log('send'))),
      'control/virtualdomains unreadable at HUP: send says so')
count = len(i.mails('joe'))
send('joe@virtual.example')
equal(len(i.wait_mails('joe', count + 1)), count + 1,
      'control/virtualdomains unreadable at HUP: the old content is in force')
# At start nothing is delivered before it can be read; nothing bounces.
i.stop()
os.unlink(by_program)
i.start(wait=False)
wait_for(lambda: i.banner() and i.queue_open(), START_SECONDS)
with i.smtp() as s:
    s.ehlo(), s.mail('ann@mail.example')
    equal(s.rcpt('joe@virtual.example')[0], 451, 'control/virtualdomains unreadable at start: no recipient is told that he does not exist')
i.sendmail('-f', 'ann@mail.example', 'joe@virtual.example', input=b'Subject: x\n\nx\n')
time.sleep(2)
check(i.queue() and not i.mails('ann'), 'control/virtualdomains unreadable at start: mail waits')
os.chmod(virtual, 0o644)
check(wait_for(i.ready, START_SECONDS), 'control/virtualdomains readable again: send starts by itself')
mended('control/virtualdomains unreadable', count + 2)
rcpthosts = os.path.join(i.home, 'control', 'rcpthosts')
os.chmod(rcpthosts, 0)
check(re.search('^421 ', i.run(os.path.join(i.home, 'bin', 'pipit-smtpd'))[1], re.M),
      'control/rcpthosts unreadable: a new smtpd answers 421')
os.utime(rcpthosts)
send()
equal(len(i.wait_mails('joe', count + 3)), count + 3,
      'control/rcpthosts unreadable: the one that listens keeps the old content')
os.chmod(rcpthosts, 0o644)

# No room: 452 before DATA, the client keeps the message.
i.control('queuereserve', str(1 << 50))
i.stop(); i.start()
with i.smtp() as s:
    s.ehlo()
    codes = [s.mail('ann@mail.example')[0], s.rcpt('joe@mail.example')[0], s.docmd('DATA')[0]]
check(452 in codes and 354 not in codes, 'no room for the queue: 452 before DATA')
code, text = i.sendmail('joe@mail.example', input=b'Subject: x\n\nx\n')
check(code not in (0, 100), 'no room for the queue: sendmail fails temporarily')
i.control('queuereserve', None)
i.stop(); i.start()

# The name server is dead, or refuses to work.
i.control('smtproutes', None)
i.control('resolvers', '127.0.0.1:%d' % free_port())
i.stop(); i.start()
send('x@unknown.example')
deferred('no name server')

# The file system of the mailbox is full.
if not mount: skip('a full file system needs root and mount')
else:
    small = i.mailbox('small')
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k,mode=700,uid=%d,gid=%d' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid),
                    'pipit-test', small], check=True)
    i.mailbox('small')
    before = len(i.queue())
    i.send('ann@mail.example', 'small@mail.example', b'Subject: large\n\n' + b'x' * 70 * 1024 + b'\n')
    deferred('the file system is full')
    equal((i.mails('small'), os.listdir(small + '/tmp')), ([], []),
          'the file system is full: no part of the message is there')
    subprocess.run(['mount', '-o', 'remount,size=1m', small], check=True)
    wait_for(lambda: (i.alrm(), i.mails('small'))[1], 20, 1)
    equal((len(i.mails('small')), len(i.queue())), (1, before),
          'the file system is full: delivered once there is room')
equal(i.mails('ann'), [], 'nothing at all has bounced')
host.stop()
equal(i.stop(), [], 'stopping leaves no process')
done()

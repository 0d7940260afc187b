"""qread.py - pipit-qread: the queue as qmail-qread shows it; messages taken in by pipit-inject"""
import os, re, shutil, struct, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *
from queuefile import crc32c, live_files

home = make_home()
plain = dict({k: v for k, v in os.environ.items() if not k.startswith(('QMAIL', 'MAIL'))}, PIPIT_HOME=home, USER='joe', TZ='UTC')
sendmail = os.path.join(BIN, 'pipit-sendmail')

def qread(*args, program='pipit-qread', **kw):
    p = as_account([os.path.join(BIN, program), *args], env=plain, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)
    out, err = p.communicate(timeout=30)
    return p.returncode, out.decode(), err.decode()

def send(args, message=b'\n'):
    return subprocess.run([sendmail, *args], input=message, env=plain, capture_output=True, timeout=60)

places = {}
def ids():
    places.update(live_files(home))
    return sorted(places)

def path(kind, id): return places[id] if kind == 'mess' else '%s/queue/%s/%d/%d' % (home, kind, id % 3, id)

def state(id, *payloads, nonce=None):
    """Write the state file of a message."""
    with open(path('mess', id), 'rb') as f: header = f.read(128)
    nonce = nonce or header[32:48]
    lines = ['pipit-state-1 ' + nonce.hex()] + ['%08x %s' % (crc32c(nonce + p.encode()), p) for p in payloads]
    with open(path('state', id), 'w') as f: f.write('\n'.join(lines) + '\n')
    own(f.name)

equal(qread(), (0, '', ''), 'an empty queue prints nothing')

queued = as_account([os.path.join(BIN, 'pipit-queued')], env=plain, stdin=subprocess.DEVNULL)
check(wait_for(lambda: os.path.exists(home + '/run/queue')), 'pipit-queued is there')
try:
    control(home, 'locals', 'host.example\nlocal.example')
    control(home, 'virtualdomains', 'virtual.example:joe')
    r = send(['-f', 's@x.org', 'a@host.example', 'b@far.example', 'c@virtual.example', '"d e"@LOCAL.example'])
    equal((r.returncode, r.stderr, r.stdout), (0, b'', b''), 'a message is taken in')
    equal(send(['-f', '', 'a@far.example'], b'Subject: s\n\n' + b'x\n' * 100000).returncode, 0, 'and a second one')
    equal(send(['-t'], b'To: ' + b', '.join(b'a%d@far.example' % i for i in range(3000)) + b'\n\n').returncode, 0, 'and one for 3000')
    equal(send(['-f', 'a' * 300 + '@x.org', 'b' * 900 + '@x.org']).returncode, 0, 'and one with long addresses')
    r = send(['x' * 1003 + '@x.org'])
    check(r.returncode == 100 and b'too long' in r.stderr, 'an address that is too long: 100'); got = len(ids())
    equal(got, 4, 'which is not in the queue')
    all = ids()
    status, out, err = qread()
    lines = out.split('\n')
    size = [struct.unpack('>Q', open(path('mess', i), 'rb').read()[48:56])[0] for i in all]
    check(status == 0 and err == '', 'it is printed')
    check(re.fullmatch(r'\d{1,2} [A-Z][a-z][a-z] 20\d\d \d\d:\d\d:\d\d GMT  #%d  %d  <s@x\.org> ' % (all[0], size[0]), lines[0]), 'a title as qmail-qread has it')
    equal(lines[1:5], ['\tlocal\ta@host.example', '\tremote\tb@far.example', '\tlocal\tjoe-c@virtual.example', '\tlocal\td e@LOCAL.example'],
          'its recipients, where they go')
    check('#%d  %d  <> ' % (all[1], size[1]) in lines[5] and size[1] > 200000, 'the null sender, the size')
    equal(out.count('\tremote\ta'), 3001, '3000 recipients')
    check(('\tremote\t' + 'b' * 900 + '@x.org\n') in out, 'long addresses')
    equal([int(x) for x in re.findall(r'GMT  #(\d+)  ', out)], all, 'the oldest first')
    equal(qread('-bp', program='pipit-sendmail'), (0, out, ''), 'sendmail -bp prints the same')

    state(all[0], 'd 0', 'f 2 no\\nway', 'z 1 1 1 1000 10 400')
    out = qread()[1].split('\n')
    equal(out[1:5], ['  done\tlocal\ta@host.example', '\tremote\tb@far.example', '  done\tlocal\tjoe-c@virtual.example',
                     '\tlocal\td e@LOCAL.example'], 'finished recipients are done')
    check(out[0].endswith('<s@x.org>  bouncing'), 'a failed one makes it bounce')
    state(all[0], 'd 0', nonce=b'another nonce 16')
    equal(qread()[1].split('\n')[1], '\tlocal\ta@host.example', "the state of the file's former message does not count")
    state(all[0], 'd 0', 'd 77')
    equal(qread()[1].split('\n')[1], '  done\tlocal\ta@host.example', 'a recipient that is not there neither')

    # Files that are no messages.
    with open(path('mess', all[3]), 'r+b') as f: f.seek(8); f.write(b'DONE')
    check('#%d ' % all[3] not in qread()[1], 'a finished message is not printed')
    with open(path('mess', all[2]), 'r+b') as f: f.truncate(1000)
    check('#%d ' % all[2] not in qread()[1], 'nor one that is cut')
    stray = [home + '/queue/mess/0/' + n for n in ('12345', '12348', 'x')]
    os.symlink('/etc/passwd', stray[0])
    for p in stray[1:]:
        with open(p, 'w') as f: f.write('root:')
        own(p)
    r = qread()
    check(r[0] == 111 and r[1].startswith(out[0][:20]) and 'root' not in r[1] and 'mess/0/12345' in r[2], 'a link is reported, and not followed')
    os.unlink(stray.pop(0))
    equal((qread()[0], qread()[2]), (0, ''), 'what is no message is passed over')
    for p in stray: os.unlink(p)

    # Trouble.
    os.chmod(path('mess', all[0]), 0)
    r = qread()
    check(r[0] == 100 and r[1] == '' and re.fullmatch(r'pipit-qread: fatal: not permitted: [^\n]*pipits\n', r[2]), 'whoever may not read it: 100 and one line')
    os.chmod(path('mess', all[0]), 0o660)
    os.chmod(home + '/queue', 0)
    equal(qread('-bp', program='pipit-sendmail')[::2][0], 100, 'also when it is the directory')
    os.chmod(home + '/queue', 0o755)
    if ROOT:
        equal(subprocess.run([os.path.join(BIN, 'pipit-qread')], env=plain, capture_output=True).returncode, 0, 'root sees it')
        for d, _, files in os.walk(home + '/queue'):
            os.chmod(d, 0o2770)
        p = subprocess.run([os.path.join(BIN, 'pipit-qread')], env=plain, capture_output=True, user=1, group=1, extra_groups=[])
        check(p.returncode == 100 and b'not permitted' in p.stderr and p.stdout == b'', 'another user does not')
        p = subprocess.run([os.path.join(BIN, 'pipit-qread')], env=plain, capture_output=True, user=1, group=1, extra_groups=[ACCOUNT.pw_gid])
        check(p.returncode == 0 and b'<s@x.org>' in p.stdout, 'one of its group does')
    else: skip('other users: needs root')
    control(home, 'locals', 'a\0b')
    check(qread()[0] == 111 and 'control/locals' in qread()[2], 'a bad control file: 111')
    control(home, 'locals', None)
    with open('/dev/full', 'w') as full:
        p = as_account([os.path.join(BIN, 'pipit-qread')], env=plain, stdout=full, stderr=subprocess.DEVNULL)
        equal(p.wait(), 111, 'a full disk: 111')
    equal(qread('x')[0], 100, 'an argument: 100')
    shutil.rmtree(home + '/queue/mess')
    equal(qread()[0], 111, 'no queue: 111')
    plain['PIPIT_HOME'] = SCRATCH + '/none'
    equal(qread()[0], 111, 'no instance: 111')
finally:
    queued.terminate()
    queued.wait()
done()

"""local-quota.py - pipit-local and Maildir++ quotas: what is counted, and when mail is refused"""
import fcntl, glob, os, random, shutil, socket, struct, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from localhome import *

SIZE = len(MSG) + len(b'Return-Path: <me@there.example>\nDelivered-To: joe@host.example\n')
OVER = (100, 'The mailbox is over quota. (#5.2.2)\n')

def sizes(name='Maildir'): return (read(name + '/maildirsize') or b'').decode()

def total(name='Maildir'):
    """(bytes, messages) by the file."""
    lines = sizes(name).split('\n')[1:-1]
    return tuple(sum(int(l.split()[i]) for l in lines) for i in (0, 1))

def quota(q, **kw): return local(options=['-q', q], **kw)

def fill(folder, n, size=100, named=True):
    """Put n messages there; with <named> they have a size in the name, which need not be true."""
    for i in range(n):
        put('%s/1.%d%s' % (folder, random.getrandbits(60), ',S=%d:2,S' % size if named else ''), b'' if named else b'x' * size)

def limits():
    fresh('Maildir')
    local()
    equal(read('Maildir/maildirsize'), None, 'without a quota nothing is counted')
    equal(quota('100000S,1000C')[0], 0, 'with one there is room')
    equal(sizes(), '100000S,1000C\n%d 1\n%d 1\n' % (SIZE, SIZE), 'what is there is counted, then what comes')
    equal(quota('100000S,1000C')[0], 0, 'the next one')
    equal(sizes(), '100000S,1000C\n%d 1\n%d 1\n%d 1\n' % ((SIZE,) * 3), 'adds a line')
    equal(local()[0], 0, 'the quota in the file counts without -q')
    equal(total(), (4 * SIZE, 4), 'and so does the message')
    equal((quota('%dS' % (5 * SIZE - 1)), len(new()), tmp()), (OVER, 4, []), 'a byte too many: refused, and nothing appears')
    equal(sizes(), '%dS\n%d 4\n' % (5 * SIZE - 1, 4 * SIZE), 'another quota: the file is made anew')
    equal((local(), len(new())), (OVER, 4), 'the one in the file refuses, too')
    equal(quota(str(5 * SIZE))[0], 0, 'as many bytes as there may be: delivered')
    equal((quota('5C'), quota('6C')[0], quota('6C')), (OVER, 0, OVER), 'a number of messages is a limit, too')
    equal(quota('0S')[0], 0, '0 is none')
    equal((sizes().split('\n')[0], total()), ('0S', (7 * SIZE, 7)), 'but what there is is counted')
    os.unlink(new()[0])
    for word, want in (('temporary', (111, 'The mailbox is over quota. (#4.2.2)\n')), ('permanent', OVER)):
        control(HOME, 'overquota', word)
        equal(quota('1C'), want, 'control/overquota decides: ' + word)
    control(HOME, 'overquota', 'perhaps')
    code, out = quota('1C')
    check(code == 111 and 'control/overquota' in out and 'permanent or temporary' in out, 'anything else there defers')
    os.chmod(HOME + '/control/overquota', 0)
    if ROOT: os.chown(HOME + '/control/overquota', 0, 0)
    code, out = quota('1C')
    check(code == 111 and 'control/overquota' in out, 'as does one that cannot be read')
    control(HOME, 'overquota', None)
    put('.qmail', './Maildir/\n./box\n')
    equal((quota('1C')[0], read('box')), (100, None), 'a full Maildir ends a delivery to several places')

def folders():
    fresh('Maildir')
    maildir('Maildir/.Sub')
    maildir('Maildir/.Trash')
    put('Maildir/.Sub/maildirfolder', ''), put('Maildir/.Trash/maildirfolder', '')
    fill('Maildir/cur', 2, 1000)
    fill('Maildir/new', 3, 10, named=False)
    fill('Maildir/.Sub/cur', 4, 100)
    fill('Maildir/.Sub/tmp', 4, 100)
    fill('Maildir/.Trash/cur', 5, 100000)
    put('Maildir/cur/odd,S=12x', b'12345'), put('Maildir/cur/.hidden', b'x')
    os.symlink('/etc', USER + '/Maildir/.Link')
    maildir('Maildir/.Linked')
    os.rmdir(USER + '/Maildir/.Linked/cur')
    os.symlink('../cur', USER + '/Maildir/.Linked/cur')
    equal(quota('1000000S')[0], 0, 'room')
    equal(sizes().split('\n')[1], '%d 10' % (2000 + 30 + 400 + 5), 'subfolders count; Trash, tmp/, links and hidden files do not')
    put('.qmail', './Maildir/.Sub/\n')
    equal(quota('1000000S')[0], 0, 'mail for a subfolder')
    equal((total(), read('Maildir/.Sub/maildirsize')), ((2435 + 2 * SIZE, 12), None), 'is counted in the Maildir')
    put('.qmail', './Maildir/.Trash/\n')
    equal((quota('1C')[0], total()[1]), (0, 12), 'mail for Trash is not')
    put('.qmail', './Maildir/.Sub/\n')
    equal(quota('12C'), OVER, 'a full Maildir has full subfolders')

def recounts():
    fresh('Maildir')
    local()
    def told(text, age=0):
        put('Maildir/maildirsize', text)
        os.utime(USER + '/Maildir/maildirsize', (time.time() - age,) * 2)
    told('1000S,5C\n900 5\n')
    equal(local(), OVER, 'sums that were made lately are believed')
    told('1000S,5C\n900 5\n', 901)
    n = len(new())
    equal((local()[0], sizes()), (0, '1000S,5C\n%d %d\n%d 1\n' % (n * SIZE, n, SIZE)), 'those of 15 minutes ago are not, when mail would be refused')
    told('100000S,50C\n9 5\n', 9000)
    equal((local()[0], sizes()), (0, '100000S,50C\n9 5\n%d 1\n' % SIZE), 'but when it fits they are')
    told('1000S,5C\n900 5\n', -100)
    equal(local()[0], 0, 'nor those of the future')
    told('1000S,5C\n600 2\n300 3\n')
    equal(local()[0], 0, 'nor sums of several lines')
    for bad in ('', '\n', '1 1\n', '100000S', '100000S\n', '100000S\nx\n', '100000S\n1\n', '100000S\n1 1', '100000S\n\0\0\0\0', '100000S\n-5 1\n', '100000S\n5 -1\n',
                '100000S\n9999999999999999999999 1\n', '100000S\n9000000000000000000 1\n9000000000000000000 1\n', '100000S\n1 1\n\n1 1\n'):
        told(bad)
        n = len(new())
        equal((quota('100000S')[0], total()), (0, ((n + 1) * SIZE, n + 1)), 'a damaged file is made anew: %r' % bad[:40])
    told('100000S\n  12      3\n 5 -1\n')
    equal((quota('100000S')[0], total()), (0, (17 + SIZE, 3)), 'blanks do not matter')
    full = '10000000000S\n' + '1 1\n' * 1276
    told(full)
    equal((local()[0], total()), (0, (1276 + SIZE, 1277)), 'a file of %d bytes is added to' % len(full))
    n = len(new())
    told(full + '1 1\n')
    equal((local()[0], sizes()), (0, '10000000000S\n%d %d\n%d 1\n' % (n * SIZE, n, SIZE)), 'one of 5121 is made anew, with its quota')
    told('no quota\n1 1\n')
    equal((local()[0], sizes()), (0, 'no quota\n1 1\n'), 'a file without a quota is left alone')
    equal(tmp(), [], 'nothing is left in tmp/')

def at_once():
    for limit, room in (('1000000S', 40), ('30C', 30), ('%dS' % (25 * SIZE), 25)):
        fresh('Maildir')
        put('Maildir/maildirsize', limit + '\n0 0\n')
        ps = [start(length=len(MSG)) for _ in range(40)]
        for p in ps: p.stdin.write(MSG); p.stdin.close()
        codes = sorted(p.wait() for p in ps)
        for p in ps: p.stdout.close()
        equal((codes, len(new()), tmp()), ([0] * room + [100] * (40 - room), room, []), '40 at once, room for %d: as many are delivered' % room)
        equal(total(), (room * SIZE, room), 'and each is counted once')
    fresh('Maildir')
    with open(USER + '/Maildir/maildirsize', 'w') as f: f.write('1000C\n0 0\n')
    own(f.name)
    d = os.open(USER + '/Maildir', os.O_RDONLY)
    fcntl.flock(d, fcntl.LOCK_EX)
    p = start(length=len(MSG))
    p.stdin.write(MSG)
    p.stdin.close()
    wait_for(tmp)
    time.sleep(0.2)
    equal((p.poll(), new()), (None, []), 'a delivery waits for a Maildir that is locked')
    fcntl.flock(d, fcntl.LOCK_UN)
    equal((p.wait(), len(new())), (0, 1), 'and goes on')
    p.stdout.close()
    os.close(d)

def hostile():
    for what in ('link', 'dangling link', 'FIFO', 'folder'):
        fresh('Maildir')
        path = USER + '/Maildir/maildirsize'
        put('secret', '10C\n0 0\n')
        if 'link' in what: os.symlink('../secret' if what == 'link' else 'nothing', path)
        elif what == 'FIFO': os.mkfifo(path); own(path)
        else: os.mkdir(path); own(path)
        for q in ([], ['-q', '10C']):
            code, out = local(options=q)
            equal((code, 'maildirsize' in out, new(), read('secret'), read('Maildir/nothing')), (111, True, [], b'10C\n0 0\n', None), 'a %s in the place of the file defers' % what)
    if not ROOT: return skip('files that the user may not write: needs root')
    fresh('Maildir')
    put('Maildir/maildirsize', '10C\n0 0\n', 0o444)
    os.chown(USER + '/Maildir/maildirsize', 0, 0)
    equal((local()[0], new()), (111, []), 'a file that cannot be written defers')

def worker():
    """Message after message, as pipit-lspawn gives them."""
    fresh()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(20)
    p = as_account([shutil.copy(os.path.join(os.environ['BUILD'], 'tests', 'helpers', 'local-worker'), SCRATCH), '2C', 'joe', USER, 'joe', '-', 'x', 'host.example', './mail/Maildir/'], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV)
    theirs.close()
    answers = []
    for i in range(3):
        ours.send(b'M' + struct.pack('>LQQQ', i, 7, 0, len(MSG)) + b'host.example\0me@there.example\0\0joe@host.example\0' + MSG)
        answers.append(ours.recv(70000)[9:])
    equal(answers, [b'Kdid 1+0+0\n'] * 2 + [b''], 'a worker keeps to -M and -q')
    equal((p.stdout.read().decode(), p.wait(), len(new('mail/Maildir')), total('mail/Maildir')), (OVER[1], 100, 2, (2 * SIZE, 2)), 'and its end is the answer to what does not fit')
    ours.close()

for test in (limits, folders, recounts, at_once, hostile, worker): test()
done()

"""tables.py - pipit-newu, -newmrh, -newmailboxes, -pw2u: what they make, what they refuse, what then stays"""
import os, pwd, resource, struct, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

HOME = make_home()
USERS, CONTROL = HOME + '/users', HOME + '/control'

def put(path, text):
    with open(path, 'wb') as f: f.write(text.encode() if isinstance(text, str) else text)
    own(path)

def run(name, *args, input=None, **kw):
    """Exit code, standard output, standard error."""
    p = as_account([os.path.join(BIN, 'pipit-' + name), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE, env={'PIPIT_HOME': HOME}, **kw)
    out, err = p.communicate((input or '').encode())
    return p.returncode, out.decode(), err.decode()

def records(path):
    """(key, value) of a cdb file, in its order."""
    with open(path, 'rb') as f: data = f.read()
    at, end, found = 2048, struct.unpack('<I', data[:4])[0], []
    while at < end:
        k, v = struct.unpack('<II', data[at:at + 8])
        found.append((data[at + 8:at + 8 + k], data[at + 8 + k:at + 8 + k + v]))
        at += 8 + k + v
    return found

def stays(name, source, target, bad, line, why):
    """<bad> in the source: refused with its line, and the old file stays."""
    old = open(target, 'rb').read()
    put(source, bad)
    code, _, err = run(name)
    check(code == 111 and line in err and open(target, 'rb').read() == old and not os.path.exists(target + '.tmp'),
          '%s: %s: %s' % (name, why, err.strip()))

ASSIGN = ('=Joe.Shmoe:joe:503:78:/home/joe:::\n'
          '+joe-:joe:503:78:/home/joe:-:Pre:what: follows\n'
          '+:alias:7790:2108:/alias:-::\n'
          '.\nnot read')

def newu():
    source, target = USERS + '/assign', USERS + '/cdb'
    equal(run('newu', 'x')[0], 100, 'newu: an argument is a usage error')
    code, _, err = run('newu')
    check(code == 111 and 'users/assign' in err and not os.path.exists(target), 'newu: without users/assign it makes nothing')
    put(source, ASSIGN)
    equal(run('newu'), (0, '', ''), 'newu: compiles silently')
    equal(records(target), [(b'!joe.shmoe\0', b'joe\x00503\x0078\0/home/joe\0\0'), (b'!joe-', b'joe\x00503\x0078\0/home/joe\0-\0Pre'),
                            (b'!', b'alias\x007790\x002108\0/alias\0-\0'), (b'', b'-')], 'newu: what qmail-newu makes')
    equal(os.stat(target).st_mode & 0o777, 0o644, 'newu: all can read it')
    for bad, line, why in (('=a:u:1:1:/:::\nx\n.\n', 'line 2', 'a line without colon'), (':u:1:1:/:::\n.\n', 'line 1', 'one that begins with a colon'),
                           ('=a:u:1:1:/::\n.\n', 'line 1', 'six colons'), (b'=a\0:u:1:1:/:::\n.\n', 'line 1', 'a NUL byte'),
                           ('=a:u:1:1:/:::\n\n.\n', 'line 2', 'an empty line'), ('=a:u:1:1:/:::\n', 'single dot', 'no end'),
                           ('=a:u:1:1:/:::\n=b:u:1:1', 'line 2', 'the end cut off'), ('', 'single dot', 'an empty file')):
        stays('newu', source, target, bad, line, why)
    put(source, '=a:u:x:1:/:::\n+b:u:0:1:/:::\n=c:u:1:1:home:::\n=d:u:1:1:/:::\n.')
    code, _, err = run('newu')
    equal((code, [n for n in range(1, 5) if 'line %d:' % n in err]), (0, [1, 2, 3]), 'newu: what would defer all mail is warned of')

def newmrh():
    source, target = CONTROL + '/morercpthosts', CONTROL + '/morercpthosts.cdb'
    equal(run('newmrh')[0], 111, 'newmrh: without its file it makes nothing')
    put(source, 'Example.ORG \t\n# no\n\n.example.net\nlast.example')
    equal(run('newmrh'), (0, '', ''), 'newmrh: compiles silently')
    equal(records(target), [(b'example.org', b''), (b'.example.net', b''), (b'last.example', b'')], 'newmrh: domains in lower case')
    stays('newmrh', source, target, b'a\nb\0c\n', 'line 2', 'a NUL byte')
    for f in (source, target): os.unlink(f)

BOX = '*%d:%d:/base:1000S\n' % (ACCOUNT.pw_uid, ACCOUNT.pw_gid)

def newmailboxes():
    source, target = USERS + '/mailboxes', USERS + '/mailboxes.cdb'
    equal(run('newmailboxes')[0], 111, 'newmailboxes: without its file it makes nothing')
    control(HOME, 'locals', 'One.example\ntwo.example')
    control(HOME, 'rcpthosts', 'one.example\n.three.example')
    put(source, '# all of it\n\n' + BOX + '=Ann@one.EXAMPLE\n=bob@one.example:nobody::/h/Maildir:-  \n'
        '&@one.example:ann@one.example,Carl@far.example\n=x@two.example\n=x@a.three.example\n+three.example\n.\nnot read')
    code, _, err = run('newmailboxes')
    equal((code, [(n, w) for n in range(1, 12) for w in ('locals', 'rcpthosts') for l in err.split('\n') if 'line %d:' % n in l and 'control/' + w in l]),
          (0, [(7, 'rcpthosts'), (8, 'locals'), (9, 'locals'), (9, 'rcpthosts')]), 'newmailboxes: it warns of domains that no mail comes for')
    equal([d for d in ('one', 'two', 'three', 'a.three') if 'postmaster@%s.example:' % d in err], ['two', 'a.three'],
          'newmailboxes: and of those without a postmaster')
    fields = {k: v[4:].split(b'\0') for k, v in records(target)}
    ids = [b'%d' % ACCOUNT.pw_uid, b'%d' % ACCOUNT.pw_gid]
    equal(fields[b'!ann@one.example'], ids[:1] + ids + [b'/base', b'1000S', b'./one.example/ann/', b''], 'newmailboxes: a mailbox with what all have')
    nobody = [b'%d' % n for n in pwd.getpwnam('nobody')[2:4]]
    equal(fields[b'!bob@one.example'], [b'nobody'] + nobody + [b'/h', b'', b'./Maildir/', b''], 'newmailboxes: one of its own')
    equal(fields[b'!@one.example'], [b''] * 5 + [b'&ann@one.example\n&Carl@far.example\n', b''], 'newmailboxes: a forward of all others')
    equal(sorted(k for k in fields if k and k[:1] in b'@+'), [b'+three.example', b'@a.three.example', b'@one.example', b'@three.example', b'@two.example'],
          'newmailboxes: its domains')
    control(HOME, 'rcpthosts', None)
    put(CONTROL + '/morercpthosts', '.example')
    run('newmrh')
    check('rcpthosts' not in run('newmailboxes')[2], 'newmailboxes: morercpthosts.cdb counts')
    os.unlink(CONTROL + '/morercpthosts.cdb')
    for bad, line, why in (('=a@b.example\n.\n', 'line 1', 'whose it is was not said'), (BOX + '=a@b.example\n=A@b.example\n.\n', 'line 3', 'an address twice'),
                           (BOX + '=@b.example:::x\n+b.example\n.\n', 'line 3', 'a domain with two ends'), (BOX + 'a@b.example\n.\n', 'line 2', 'no kind'),
                           (BOX + '=a@b.example:root::/root/Maildir\n.\n', 'line 2', 'root'), (BOX + b'=a\0@b\n.\n'.decode(), 'line 2', 'a NUL byte'),
                           (BOX + '=a@b.example::::10Q\n.\n', 'line 2', 'a quota that is none'), (BOX + '=a@b.example\n', 'single dot', 'no end')):
        stays('newmailboxes', source, target, bad, line, why)

PASSWD = ('ann:x:%(uid)d:100:Ann:%(home)s:/bin/sh\nroot:x:0:0::/root:/bin/sh\nBig:x:%(uid)d:7::%(home)s:\ngone:x:%(uid)d:9::/nonexistent/x:\n'
          'other:x:%(other)d:9::%(home)s:\nshort:x:5\npipita:x:%(uid)d:5::%(home)s:') % {'uid': ACCOUNT.pw_uid, 'other': ACCOUNT.pw_uid + 1, 'home': HOME}

def lines(*users, dash='-', brk='-'):
    """What is printed for users, each with the fields after its name."""
    out = ''
    for name, user, fields in users:
        if name == '+': out += '+:%s:%s:%s::\n' % (user, fields, dash)
        else: out += '=%s:%s:%s:::\n' % (name, user, fields) + ('+%s%s:%s:%s:%s::\n' % (name, brk, user, fields, dash) if brk else '')
    return out

def pw2u():
    me = '%d:%%d:%s' % (ACCOUNT.pw_uid, HOME)
    ann, big, alias, gone = ('ann', 'ann', me % 100), ('Big', 'Big', me % 7), [('+', 'pipita', me % 5), ('pipita', 'pipita', me % 5)], \
        ('gone', 'gone', '%d:9:/nonexistent/x' % ACCOUNT.pw_uid)
    other = ('other', 'other', '%d:9:%s' % (ACCOUNT.pw_uid + 1, HOME))
    def prints(args, users, why, **kw):
        equal(run('pw2u', *args, input=PASSWD), (0, lines(*users, *alias, **kw) + '.\n', ''), 'pw2u: ' + why)
    prints([], [ann], 'who has a home and no capitals')
    prints(['-o', '-U'], [ann], 'the same by name')
    prints(['-u'], [ann, big], '-u: capitals')
    prints(['-H'], [ann, gone, other], '-H: whatever their home')
    prints(['-/'], [ann], '-/: in a folder', dash='-/')
    prints(['-C'], [ann], '-C: no extensions', brk='')
    prints(['-c+'], [ann], '-c: another character', brk='+')
    code, out, err = run('pw2u', '-h', input=PASSWD)
    check((code, out) == (111, '') and '/nonexistent/x' in err, 'pw2u: -h: a missing home stops it, and nothing is printed')
    equal([run('pw2u', a, input=PASSWD)[0] for a in ('-x', 'x', '-c')], [100] * 3, 'pw2u: other arguments are usage errors')
    code, out, err = run('pw2u', input='ann:x:5:5::/:')
    check((code, out) == (111, '') and 'pipita' in err, 'pw2u: without the alias account it prints nothing')
    put(USERS + '/include', '#\nANN \ngone\npipita\nother\n')
    prints(['-H'], [ann, gone, other], 'users/include')
    put(USERS + '/exclude', 'gone\n')
    prints(['-H'], [ann, other], 'users/exclude')
    put(USERS + '/mailnames', 'ann:a::annie:\nnosuch:b\nother:\n')
    prints(['-H'], [('a', 'ann', me % 100), ('annie', 'ann', me % 100)], 'users/mailnames')
    put(USERS + '/subusers', 'list:ann:l:\n')
    put(USERS + '/append', '=x:y:1:1:/:::')
    equal(run('pw2u', input=PASSWD)[1], lines(('a', 'ann', me % 100), ('annie', 'ann', me % 100), *alias) +
          '=list:ann:%s:-:l:\n+list-:ann:%s:-:l-:\n=x:y:1:1:/:::\n.\n' % (me % 100, me % 100), 'pw2u: users/subusers and users/append')
    put(USERS + '/subusers', 'good:ann:x:\nlist:Big:l:\n')
    code, out, err = run('pw2u', input=PASSWD)
    check((code, out) == (111, '') and 'users/subusers: line 2' in err, 'pw2u: a subuser of nobody: ' + err.strip())
    os.unlink(USERS + '/subusers')
    put(USERS + '/assign', run('pw2u', input=PASSWD)[1])
    equal(run('newu'), (0, '', ''), 'pw2u: newu takes what it prints')
    for n in ('include', 'exclude', 'mailnames', 'append'): os.unlink(os.path.join(USERS, n))

def atomic():
    source, target = USERS + '/assign', USERS + '/cdb'
    put(source, ASSIGN)
    run('newu')
    old = open(target, 'rb').read()
    put(source, ''.join('=user%d:u:1:1:/home/u:::\n' % i for i in range(20000)) + '.\n')
    limit = lambda n: lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n, n))
    for n in (0, 1000, 500000): # in the header, the records, the tables
        code, _, err = run('newu', preexec_fn=limit(n))
        check(code == 111 and 'users/cdb' in err and open(target, 'rb').read() == old and not os.path.exists(target + '.tmp'),
              'no room after %d bytes: nothing changes: %s' % (n, err.strip()))
    trace = os.path.join(SCRATCH, 'trace')
    subprocess.run(['strace', '-o', trace, '-e', 'trace=fsync,rename,renameat,renameat2', os.path.join(BIN, 'pipit-newu')],
                   env={'PIPIT_HOME': HOME, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '')}, check=True)
    calls = [l.split('(')[0] for l in open(trace) if '(' in l and not l.startswith('+')]
    equal([c[:6] for c in calls], ['fsync', 'rename', 'fsync'], 'it is synced before it gets its name, and the folder after that')
    both = [as_account([os.path.join(BIN, 'pipit-newu')], env={'PIPIT_HOME': HOME}) for _ in range(4)]
    equal([p.wait() for p in both], [0] * 4, 'four at once all succeed')
    equal((len(records(target)), os.path.exists(target + '.tmp')), (20001, False), 'and the file is whole')
    os.symlink(SCRATCH + '/elsewhere', target + '.tmp')
    equal((run('newu')[0], os.path.exists(SCRATCH + '/elsewhere')), (111, False), 'a symbolic link is not followed')
    os.unlink(target + '.tmp')

newu()
newmrh()
newmailboxes()
pw2u()
atomic()
done()

"""local.py - pipit-local: dot-qmail files, Maildirs, mboxes, programs; what goes wrong"""
import fcntl, glob, mailbox, os, re, shutil, stat, subprocess, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
import localhome
from localhome import *
from queuefile import live_files

def describe(**kw):
    return local(options=['-n'], length=None, **kw)

def usage():
    def code(*argv):
        return subprocess.run([LOCAL, *argv], stdin=subprocess.DEVNULL, capture_output=True).returncode
    equal(code(), 100, 'no arguments is a usage error')
    equal(code('joe', '/x', 'l', '', '', 'h', 's'), 100, 'seven arguments are a usage error')
    equal(code('joe', '/x', 'l', '', '', 'h', 's', './M/', 'more'), 100, 'so are nine')
    equal(code('joe', 'x', 'l', '', '', 'h', 's', './M/'), 100, 'a home that is no absolute path is refused')
    equal(code('-x', 'joe', '/x', 'l', '', '', 'h', 's', './M/'), 100, 'an unknown option is refused')
    equal(code('-l', '1x', 'joe', '/x', 'l', '', '', 'h', 's', './M/'), 100, 'a length that is none is refused')
    if ROOT:
        fresh('Maildir')
        r = subprocess.run([LOCAL, 'joe', USER, 'l', '', '', 'h', 's', './Maildir/'], input=MSG, capture_output=True)
        equal((r.returncode, new()), (111, []), 'root is refused, temporarily')
    else: skip('root is refused: needs root')

def kinds():
    fresh('Maildir', 'Other')
    equal(local(), (0, 'did 1+0+0\n'), 'the default delivery goes to the Maildir')
    n = new()
    equal(len(n), 1, 'one message is in new/')
    equal(tmp(), [], 'tmp/ is empty afterwards')
    body = b'Return-Path: <me@there.example>\nDelivered-To: joe@host.example\n' + MSG
    equal(open(n[0], 'rb').read(), body, 'Return-Path and Delivered-To come first, then the message')
    check(re.fullmatch(r'\d+\.M\d+P\d+V[0-9a-f]+I[0-9a-f]+\.[^/:,]+,S=%d' % len(body), os.path.basename(n[0])),
          'the name has time, microseconds, pid, device, inode, host and size')
    equal(stat.S_IMODE(os.stat(n[0]).st_mode), 0o600, 'only the user can read it')

    put('.qmail', '# comment\n./Other/  \n%s/Maildir/\t\n./box\n|cat >prog\n\n+unknown\n&a@b.example\nc@d.example\n  # \n' % USER)
    code, out = describe()
    equal((code, out), (0, 'maildir ./Other/\nmaildir %s/Maildir/\nmbox ./box\nprogram cat >prog\n'
                           'forward a@b.example\nforward c@d.example\nforward #\n' % USER),
          '-n tells each kind of line, without blanks at its end')
    equal((read('box'), read('prog'), len(new('Other'))), (None, None, 0), '-n delivers nothing')
    put('.qmail', './Other/\n./Maildir/\n./box\n|cat >prog\n')
    equal(local(), (0, 'did 3+0+1\n'), 'files and programs are counted')
    equal((len(new()), len(new('Other'))), (2, 1), 'both Maildirs got it')
    check(read('box').endswith(MSG + b'\n'), 'the mbox got it')
    equal(read('prog'), MSG, 'the program got the message as it is')

    put('.qmail', '')
    equal(local()[0], 0, 'an empty file stands for the default delivery')
    equal(len(new()), 3, 'and that is where it goes')
    put('.qmail', '', 0o744)
    equal(local()[0], 0, 'an empty file with x bit does so too')
    put('.qmail', '# nothing\n')
    equal(local(), (0, 'did 0+0+0\n'), 'a file of comments throws mail away')
    equal(len(new()), 4, 'and nothing is delivered')
    put('.qmail', '\n./Maildir/\n')
    code, out = local()
    check(code == 111 and 'first line of .qmail file is blank' in out, 'a blank first line is refused')
    put('.qmail', ' \t\n./Maildir/\n')
    equal(local()[0], 111, 'so is one of blanks')
    equal(local(dash='-', ext='x', local='joe-x')[0:2], (100, 'Sorry, no mailbox here by that name. (#5.1.1)\n'),
          'no file for an extension: no mailbox')
    put('.qmail', './Maildir/\0x\n')
    equal(local()[0], 111, 'a zero byte in the file is refused, temporarily')
    put('.qmail', '&\n')
    equal(local()[0], 111, 'a forward without address is refused')
    equal(len(new()), 4, 'none of these delivered')

def policies():
    fresh('Maildir')
    put('.qmail', './Maildir/\n', 0o646)
    code, out = local()
    check(code == 111 and 'Uh-oh: .qmail file is writable' in out, 'a file that all can write is refused')
    put('.qmail', './Maildir/\n', 0o664)
    equal(local()[0], 0, 'one that the group can write is not')
    os.chmod(USER, 0o757)
    code, out = local()
    check(code == 111 and 'Uh-oh: home directory is writable' in out, 'a home that all can write is refused')
    os.chmod(USER, 0o1755)
    code, out = local()
    check(code == 111 and 'Home directory is sticky' in out, 'a sticky home defers mail')
    code, out = describe()
    check(code == 0 and 'Warning' in out, 'but only warns with -n')
    os.chmod(USER, 0o755)
    put('.qmail', './Maildir/\n', 0o744)
    code, out = local()
    check(code == 111 and 'has file delivery but has x bit set' in out, 'x bit: no file line')
    put('.qmail', '|true\n', 0o744)
    code, out = local()
    check(code == 111 and 'has prog delivery but has x bit set' in out, 'x bit: no program line')
    put('.qmail', '&a@b.example\n', 0o744)
    equal(describe(), (0, 'forward a@b.example\n'), 'x bit: a forward is allowed')
    n = len(new())
    put('.qmail', './Maildir/\n+list\n&a@b.example\n./Maildir/\n')
    code, out = local()
    equal((code, len(new()) - n), (111, 0), '+list: a later file line is refused before anything is delivered')
    put('.qmail', './Maildir/\n|exit 99\n+list\n./Maildir/\n')
    equal((local()[0], len(new()) - n), (0, 1), 'a program that stops the file before that line is heard')
    os.unlink(os.path.join(USER, '.qmail'))
    os.mkdir(os.path.join(USER, '.qmail'))
    equal(local()[0], 0, 'a folder named .qmail is no dot-qmail file')
    os.rmdir(os.path.join(USER, '.qmail'))
    os.mkfifo(os.path.join(USER, '.qmail'))
    equal(local()[0], 0, 'nor is a FIFO, and it does not block')
    os.unlink(os.path.join(USER, '.qmail'))
    os.symlink('.qmail', os.path.join(USER, '.qmail'))
    equal(local()[0], 111, 'a link to itself is trouble, not a missing file')
    os.unlink(os.path.join(USER, '.qmail'))
    put('.qmail', './Maildir/\n', 0)
    equal(local()[0], 111, 'a file that cannot be read is trouble')
    equal(local(home='/nonexistent')[0], 111, 'a missing home is trouble')
    put('.qmail', '#' * 5000000)
    equal(local()[0], 111, 'a huge file is refused')

CASCADE = [ # dash, ext, files in order of preference, DEFAULT for each
    ('', '', ['.qmail', '.qmaildefault'], [None, '']),
    ('-', 'a', ['.qmail-a', '.qmail-default'], [None, 'a']),
    ('-', 'A.b-C', ['.qmail-a:b-c', '.qmail-a:b-default', '.qmail-default'], [None, 'C', 'A.b-C']),
    ('-', 'a-b-', ['.qmail-a-b-', '.qmail-a-b-default', '.qmail-a-default', '.qmail-default'],
     [None, '', 'b-', 'a-b-']),
    ('-/', 'a-b-c', ['.qmail-/a-b-c', '.qmail-/a-b-default', '.qmail-/a-default', '.qmail-/default'],
     [None, 'c', 'b-c', 'a-b-c']),
    ('-/', '', ['.qmail-/', '.qmail-/default'], [None, '']),
    ('-', 'x-Default', ['.qmail-x-default', '.qmail-default'], ['Default', 'x-Default']),
    ('-/', '..-..', ['.qmail-/::-::', '.qmail-/::-default', '.qmail-/default'], [None, '..', '..-..']),
]

def cascade():
    for dash, ext, files, defaults in CASCADE:
        fresh()
        for f, d in reversed(list(zip(files, defaults))):
            if f.endswith('/'): continue
            put(f, '|echo %s "${DEFAULT-unset}" >seen\n' % f)
            code, out = local(dash=dash, ext=ext, env={'DEFAULT': 'inherited'})
            equal((code, read('seen')), (0, ('%s %s\n' % (f, 'unset' if d is None else d)).encode()),
                  'dash %r ext %r: %s, DEFAULT %r' % (dash, ext, f, d))
    fresh()
    equal(local(dash='-', ext='a' * 300)[0], 100, 'a name too long for a file is no mailbox')
    equal(local(dash='-', ext='../../etc/passwd')[0], 100, 'no way out of the home by an extension')

def environment():
    names = 'SENDER NEWSENDER RECIPIENT USER HOME HOST HOST2 HOST3 HOST4 LOCAL EXT EXT2 EXT3 EXT4 DEFAULT DTLINE RPLINE UFLINE'.split()
    fresh()
    put('.qmail-default', '|env -0 >env\n')
    def seen(**kw):
        code, out = local(**kw)
        if code: print(out)
        env = dict(v.split('=', 1) for v in (read('env') or b'').decode('utf8', 'replace').split('\0') if v)
        return {n: env.get(n) for n in names}
    e = seen(local='joe-a-b-c-d-e', dash='-', ext='a-b-c-d-e', host='w.x.y.z', sender='s@t.example')
    uf = e.pop('UFLINE')
    equal(e, {'SENDER': 's@t.example', 'NEWSENDER': 's@t.example', 'RECIPIENT': 'joe-a-b-c-d-e@w.x.y.z',
              'USER': 'joe', 'HOME': USER, 'HOST': 'w.x.y.z', 'HOST2': 'w.x.y', 'HOST3': 'w.x', 'HOST4': 'w',
              'LOCAL': 'joe-a-b-c-d-e', 'EXT': 'a-b-c-d-e', 'EXT2': 'b-c-d-e', 'EXT3': 'c-d-e', 'EXT4': 'd-e',
              'DEFAULT': 'a-b-c-d-e', 'DTLINE': 'Delivered-To: joe-a-b-c-d-e@w.x.y.z\n',
              'RPLINE': 'Return-Path: <s@t.example>\n'}, 'programs get the whole environment')
    check(re.fullmatch(r'From s@t\.example (Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \d{4}\n', uf), 'UFLINE is a From line')
    e = seen(dash='-', ext='x', host='h', sender='')
    equal([e[n] for n in ('EXT', 'EXT2', 'EXT4', 'HOST2', 'HOST4', 'SENDER', 'NEWSENDER', 'RPLINE')],
          ['x', '', '', 'h', 'h', '', '', 'Return-Path: <>\n'], 'short ones and the null sender')
    check(e['UFLINE'].startswith('From MAILER-DAEMON '), 'the null sender is MAILER-DAEMON in UFLINE')
    e = seen(dash='-', ext='x', sender='a b\t"c\\d@t.example')
    equal(e['RPLINE'], 'Return-Path: <"a b_\\"c\\\\d"@t.example>\n', 'an odd sender is quoted in RPLINE')
    check(e['UFLINE'].startswith('From a-b-"c\\d@t.example '), 'and has no blanks in UFLINE')
    for bad in ('a\nX-Evil: 1@t.example', 'a\r\n.\r\n@t.example', '() { :;}; touch pwned', '-rf@x', '`touch pwned`@x',
                '$(touch pwned)@x', '"; touch pwned; "@x', 'a\x7f\x1b[2J@x'):
        e = seen(dash='-', ext=bad.replace('/', '_'), local='joe-' + bad, host='h\n.' + bad, sender=bad)
        text = ''.join(e[n].rstrip('\n') if n.endswith('LINE') else e[n] for n in names)
        check(not re.search(r'[\x00-\x1f\x7f]', text), 'no control character reaches a program: %r' % bad)
        check(not any(v.startswith('()') for v in e.values()), 'no value begins like a shell function: %r' % bad)
        equal([e[n].count('\n') for n in ('DTLINE', 'RPLINE', 'UFLINE')], [1, 1, 1], 'each line is one line: %r' % bad)
    equal(read('pwned'), None, 'no address is run by a shell')
    fresh('Maildir')
    local(sender='a\nX-Evil: 1@t', local='joe\nX-Evil: 2')
    check(b'\nX-Evil' not in open(new()[0], 'rb').read(), 'no address makes a header line in a Maildir')
    put('.qmail', './box\n')
    local(sender='a\nFrom x\n', local='joe\n\nFrom y')
    equal(len(mailbox.mbox(os.path.join(USER, 'box'))), 1, 'no address makes a message in an mbox')

def programs():
    fresh('Maildir')
    for code, want in [(0, 0), (99, 0), (100, 100), (111, 111), (64, 100), (65, 100), (70, 100), (76, 100), (77, 100),
                       (78, 100), (112, 100), (1, 111), (71, 111), (74, 111), (75, 111), (126, 111), (127, 111), (255, 111)]:
        put('.qmail', '|echo said; exit %d\n' % code)
        got, out = local()
        check(got == want and out.startswith('said\n'), 'program exit %d: %d' % (code, want))
    put('.qmail', '|kill -9 $$\n')
    code, out = local()
    check(code == 111 and 'child crashed' in out, 'a program that is killed is a temporary failure')
    put('.qmail', './Maildir/\n|exit 99\n./Maildir/\n')
    equal(local(), (0, 'did 1+0+1\n'), 'exit 99 stops the file')
    equal(len(new()), 1, 'lines after it are not followed')
    put('.qmail', '|sed 1q >one; cat >rest\n|cat >two\n')
    equal((local()[0], read('two')), (0, MSG), 'each program reads the message from its start')
    put('.qmail', '|exec 3<&0; (sleep 0.3; cat <&3 >late) & \n|cat >/dev/null; sleep 0.6\n')
    equal((local()[0], read('late')), (0, MSG), 'a program in the background has an offset of its own')
    put('.qmail', '|for s in PIPE XFSZ CHLD TERM; do sh -c "kill -$s \\$\\$"; echo $? >>signals; done\n')
    local()
    equal(read('signals').split(), [b'141', b'153', b'0', b'143'], 'signals have their default meaning for programs')
    put('.qmail', '|ls -l /proc/self/fd | grep -c -- "->" >fds; tail -c +1 | wc -c >size; pwd >cwd; id -u >id\n')
    local(pass_fds=())
    equal(read('fds'), b'4\n', 'a program has descriptors 0 to 2 only (and that of ls)')
    equal((read('size'), read('cwd').decode().strip(), int(read('id'))), (b'%d\n' % len(MSG), USER, ACCOUNT.pw_uid),
          'it runs at home as the user, with all of the message')
    put('.qmail', '|python3 -c "import sys; sys.stdin.seek(5); print(sys.stdin.read(3), file=open(\'sought\', \'w\'))"\n')
    local()
    equal(read('sought'), b'ved\n', 'a program can seek in the message')
    put('.qmail', '|ulimit -v >limit\n')
    if b'__asan' in open(LOCAL, 'rb').read(): skip('memory limits: not in a sanitizer build')
    else:
        local(before=['sh', '-c', 'ulimit -v 900000; exec "$@"', 'sh'])
        equal(read('limit'), b'900000\n', 'a program has the memory limit of whoever started us, not ours')
    put('.qmail', '|echo "$SENDER"; exit 0\n')
    equal(local(sender='x@y')[1], 'x@y\ndid 0+0+1\n', 'what a program says is in the report')

def forwards():
    fresh('Maildir')
    put('.qmail', '&a@b.example\n./Maildir/\nc@d.example\n')
    code, out, envelope, queued = forward()
    check(code == 0 and re.fullmatch(r'did 1\+2\+0\nqp \d+\n', out), 'forwards are counted, and the id told')
    equal(envelope, b'Fme@there.example\0Ta@b.example\0Tc@d.example\0\0', 'all forwards go together, from the sender')
    equal(queued, b'Delivered-To: joe@host.example\n' + MSG, 'with our Delivered-To line and no Return-Path')
    put('.qmail', '&a@b.example\n|exit 99\n&c@d.example\n')
    equal(forward()[2], b'Fme@there.example\0Ta@b.example\0\0', 'exit 99 keeps the forwards before it, and only those')
    for bad in ('|exit 111\n', '|exit 100\n', './missing/\n'):
        put('.qmail', '&a@b.example\n' + bad)
        equal(forward()[2], None, 'nothing is forwarded when a later line fails: %r' % bad)
    put('.qmail', '&a@b.example\n')
    for kind, want in ((11, 100), (31, 100), (51, 111), (53, 111), (71, 111), (81, 111), (120, 111)):
        code, out = forward(code=kind)[:2]
        check(code == want and out.startswith('Unable to forward message: '), 'the queue says %d: %d' % (kind, want))
    code, out = local(env={'QMAILQUEUE': '/nonexistent'})
    equal(code, 111, 'a missing QMAILQUEUE defers')
    equal(forward(length=len(MSG) + 1)[0:3:2], (111, None), 'a message cut short is not forwarded')
    put('.qmail', '&' + 'a' * 1100 + '@b.example\n')
    equal(forward()[0], 100, 'an address too long for the queue is permanent')

def owners():
    fresh()
    put('.qmail-list', '&a@b.example\n|echo "$NEWSENDER" >newsender\n')
    def sender(s): return forward(local='joe-list', dash='-', ext='list', sender=s)[2].split(b'\0')[0][1:]
    equal(sender('s@t'), b's@t', 'without an owner forwards come from the sender')
    put('.qmail-list-owner', '&o@b.example\n')
    equal(sender('s@t'), b'joe-list-owner@host.example', 'with one they come from the owner')
    equal(read('newsender'), b'joe-list-owner@host.example\n', 'and NEWSENDER says so')
    equal((sender(''), sender('#@[]')), (b'', b'#@[]'), 'bounces stay bounces')
    put('.qmail-list-owner-default', '&o@b.example\n')
    equal(sender('s@t'), b'joe-list-owner-@host.example-@[]', 'with owner-default each recipient gets a sender of his own')
    equal((sender(''), sender('#@[]')), (b'', b'#@[]'), 'but bounces stay bounces')
    os.unlink(os.path.join(USER, '.qmail-list-owner'))
    equal(sender('s@t'), b's@t', 'owner-default alone does nothing')
    put('.qmail-list-owner', '')
    os.unlink(os.path.join(USER, '.qmail-list-owner'))
    os.symlink('.qmail-list-owner', os.path.join(USER, '.qmail-list-owner'))
    equal(local(local='joe-list', dash='-', ext='list')[0], 111, 'an owner that cannot be looked at defers')

def queued():
    """The queue itself."""
    fresh()
    put('.qmail', '&a@b.example\n')
    q = as_account([os.path.join(BIN, 'pipit-queued')], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    code, out = local()
    q.terminate()
    q.wait()
    m = re.fullmatch(r'did 0\+1\+0\nqp (\d+)\n', out)
    check(code == 0 and m, 'a forward to pipit-queued')
    files = [path for id, path in live_files(HOME) if m and id == int(m.group(1))]
    equal(len(files), 1, 'is queued under the id that is told')
    text = open(files[0], 'rb').read() if files else b''
    check(b'\nDelivered-To: joe@host.example\n' + MSG + b'Fme@there.example\0Ta@b.example\0' in text, 'with message and envelope')

def lengths():
    fresh('Maildir', 'Second')
    for name, lines in [('one Maildir', './Maildir/\n'), ('two Maildirs', './Maildir/\n./Second/\n'), ('an mbox', './box\n'),
                        ('a program', '|cat >prog\n'), ('nothing', '# nothing\n')]:
        put('.qmail', lines)
        code, out = local(length=len(MSG) + 1)
        check(code == 111 and 'it ends after %d of %d bytes' % (len(MSG), len(MSG) + 1) in out, 'a message cut short is a temporary failure: ' + name)
        equal((new(), tmp(), new('Second'), read('box'), read('prog')), ([], [], [], None, None), 'and nothing appears: ' + name)
    put('.qmail', './Maildir/\n')
    equal(local(b'')[0], 0, 'a message of no bytes is one')
    equal(local(MSG + b'more', length=len(MSG))[0], 0, 'bytes after the length are not looked at')
    check(open(new()[-1], 'rb').read().endswith(MSG), 'and not delivered')
    equal(local(length=None)[0], 0, 'without -l a pipe is read to its end')
    put('message', MSG)
    for lines in ('./Second/\n', './box\n|cat >prog\n'):
        put('.qmail', lines)
        with open(os.path.join(USER, 'message'), 'rb') as f:
            f.seek(7)
            p = start(stdin=f)
            p.communicate()
        equal(p.returncode, 0, 'a file is read from its start: %r' % lines)
    equal((open(new('Second')[0], 'rb').read()[-len(MSG):], read('prog')), (MSG, MSG), 'all of it')
    put('message', MSG, 0o600)
    if ROOT:
        os.chown(os.path.join(USER, 'message'), 0, 0)
        put('.qmail', '|cat >prog2\n')
        with open(os.path.join(USER, 'message'), 'rb') as f:
            p = start(stdin=f)
            p.communicate()
        equal((p.returncode, read('prog2')), (0, MSG), 'a file that the user cannot open himself is copied for programs')
    else: skip('a file that the user cannot open himself: needs root')
    big = b'Subject: big\n\n' + b'x' * 3000000 + b'\n'
    put('.qmail', './Maildir/\n./Second/\n|cat >prog\n./box\n')
    equal(local(big)[0], 0, 'a big message is delivered everywhere')
    check(all(open(f, 'rb').read().endswith(big) for f in (new()[-1], new('Second')[-1])) and read('prog') == big and big in read('box'),
          'and is whole everywhere')

def loops():
    fresh('Maildir', 'Second')
    loop = b'Subject: x\nDelivered-To: joe@HOST.example \n\nbody\n'
    for lines in ('./Maildir/\n', './Maildir/\n./Second/\n', '# nothing\n'):
        put('.qmail', lines)
        code, out = local(loop)
        check(code == 100 and 'This message is looping' in out, 'a message with our Delivered-To loops: %r' % lines)
    equal((new(), tmp(), new('Second')), ([], [], []), 'and nothing appears')
    for good in (b'Delivered-To: joe2@host.example\n\nx\n', b'Subject: x\n\nDelivered-To: joe@host.example\n', b'X-Delivered-To: joe@host.example\n\n',
                 b'Delivered-To: joe@host.example.org\n\n', b'Delivered-To: Joe@host.example\n\n'):
        equal(local(good)[0], 0, 'no loop: %r' % good)
    equal(local(b'a: ' + b'x' * 3000000 + b'\nDelivered-To: joe@host.example\n')[0], 100, 'a loop behind a line of megabytes')
    p = start(length=len(loop))
    for b in loop: os.write(p.stdin.fileno(), bytes([b]))
    equal((p.communicate()[0][:7], p.returncode), (b'This me', 100), 'a loop seen byte by byte')

def maildirs():
    fresh('Maildir')
    ps = [start(length=len(MSG)) for _ in range(50)]
    for p in ps: p.stdin.write(MSG); p.stdin.close()
    codes = [p.wait() for p in ps]
    for p in ps: p.stdout.close()
    equal((set(codes), len(new()), tmp()), ({0}, 50, []), '50 deliveries at once make 50 files')
    old, young = (os.path.join(USER, 'Maildir/tmp', n) for n in ('old', 'young'))
    for f, age in ((old, 37 * 3600), (young, 35 * 3600)):
        open(f, 'w').close()
        own(f)
        os.utime(f, (time.time() - age,) * 2)
    local()
    equal(tmp(), ['young'], 'what lies in tmp/ for 36 hours is removed, nothing younger')
    for broken in ('new', 'tmp'):
        fresh('Maildir', 'Other')
        shutil.rmtree(os.path.join(USER, 'Maildir', broken))
        os.symlink(os.path.join(USER, 'Other', broken), os.path.join(USER, 'Maildir', broken))
        code, out = local()
        equal((code, new('Other'), tmp('Other')), (111, [], []), '%s as a link to elsewhere is not followed' % broken)
        os.unlink(os.path.join(USER, 'Maildir', broken))
        os.mkfifo(os.path.join(USER, 'Maildir', broken))
        equal(local()[0], 111, '%s as a FIFO defers' % broken)
    fresh()
    code, out = local()
    check(code == 111 and 'Unable to chdir to maildir. (#4.2.1)' in out, 'a missing Maildir defers')
    equal(os.listdir(USER), [], 'and is not made')
    fresh('Real')
    os.symlink('Real', os.path.join(USER, 'Maildir'))
    equal((local()[0], len(new('Real'))), (0, 1), 'the Maildir itself may be a link')

def mboxes():
    fresh()
    put('.qmail', './box\n')
    body = b'Subject: x\n\nFrom here\n>From there\n>>From far\n From no\nFrom:no\nFro\n>Fromm\nFFrom x\nFrom '
    equal(local(body), (0, 'did 1+0+0\n'), 'an mbox is made')
    box = read('box')
    lines = box.split(b'\n')
    check(re.fullmatch(rb'From me@there\.example \w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4}', lines[0]), 'it begins with a From line')
    equal(lines[1:], [b'Return-Path: <me@there.example>', b'Delivered-To: joe@host.example', b'Subject: x', b'',
                      b'>From here', b'>>From there', b'>>>From far', b' From no', b'From:no', b'Fro', b'>Fromm', b'FFrom x',
                      b'>From ', b'', b''], 'From lines are quoted, a missing newline is added, a blank line ends it')
    equal(stat.S_IMODE(os.stat(os.path.join(USER, 'box')).st_mode), 0o600, 'only the user can read it')
    for torn, gap in ((b'From x\n\ntorn', b'\n\n'), (b'From x\n\ntorn\n', b'\n'), (b'From x\n\nwhole\n\n', b''), (b'x', b'\n\n'), (b'\n', b'')):
        put('box', torn)
        local()
        check(read('box').startswith(torn + gap + b'From me@there.example '), 'a new message after %r begins after a blank line' % torn)
    fresh()
    put('.qmail', './box\n')
    ps = [start(length=len(MSG)) for _ in range(30)]
    for p in ps: p.stdin.write(MSG); p.stdin.close()
    codes = [p.wait() for p in ps]
    for p in ps: p.stdout.close()
    equal((set(codes), len(mailbox.mbox(os.path.join(USER, 'box')))), ({0}, 30), '30 deliveries at once make 30 messages')
    box = b'From x\n\n' + b'y' * 300000 + b'\n\n'
    big = b'Subject: big\n\n' + b'x' * 50000 + b'\n'
    put('box', box)
    # 640 blocks of 512 bytes: enough for the copy of the message, not for the mbox.
    code, out = local(big, before=['sh', '-c', 'ulimit -f 640; exec "$@"', 'sh'])
    check(code == 111 and 'Unable to write ./box: File too large' in out, 'a file size limit defers')
    check(read('box') == box, 'and leaves the mbox as it was')
    long = b'>' * 200000 + b'From x\n' + b'F' * 70000 + b'\n' + b'From ' * 20000 + b'\n'
    put('box', '')
    local(long)
    check(b'\n\n'.join(read('box').split(b'\n\n')[1:]) == b'' and read('box').split(b'\n', 3)[3] ==
          b'>' + b'>' * 200000 + b'From x\n' + b'F' * 70000 + b'\n>' + b'From ' * 20000 + b'\n\n',
          'long lines are quoted as short ones')
    for kind in ('fifo', 'folder', 'device'):
        fresh()
        path = os.path.join(USER, 'box')
        if kind == 'fifo': os.mkfifo(path); own(path)
        elif kind == 'folder': os.mkdir(path)
        put('.qmail', '/dev/null\n' if kind == 'device' else './box\n')
        began = time.monotonic()
        equal((local()[0], time.monotonic() - began < 30), (111, True), 'a %s as mbox defers at once' % kind)
    fresh()
    put('real', '')
    os.symlink('real', os.path.join(USER, 'box'))
    put('.qmail', './box\n')
    local()
    check(MSG in read('real'), 'a link to an mbox is followed')

def mailboxes():
    """-M: a virtual mailbox, of which the default delivery says all."""
    fresh()
    M = dict(options=['-M'], dash='-', ext='ann', local='joe-ann')
    put('.qmail-ann', '|touch no\n')
    put('.qmail-ann-owner', '')
    equal(local(fallback='./a/b/Maildir/', **M), (0, 'did 1+0+0\n'), '-M delivers by the default delivery, though there is a dot-qmail file')
    equal((len(new('a/b/Maildir')), read('no')), (1, None), 'a Maildir that is missing is made')
    modes = {d: stat.S_IMODE(os.stat(os.path.join(USER, 'a', d)).st_mode) for d in ('', 'b', 'b/Maildir', 'b/Maildir/tmp', 'b/Maildir/new', 'b/Maildir/cur')}
    equal(set(modes.values()), {0o700}, 'as are the folders above it, for the user alone')
    os.rmdir(USER + '/a/b/Maildir/cur'), shutil.rmtree(USER + '/a/b/Maildir/new')
    equal((local(fallback='%s/a/b/Maildir/' % USER, **M)[0], len(new('a/b/Maildir')), os.path.isdir(USER + '/a/b/Maildir/cur')),
          (0, 1, True), 'one that was made in part is completed')
    equal((local(fallback='./a/b/Maildir/.Junk/', **M)[0], os.path.exists(USER + '/a/b/Maildir/.Junk/maildirfolder')), (0, True), 'a subfolder is marked as such')
    equal((local(fallback='./.b/', **M)[0], os.path.exists(USER + '/.b/maildirfolder')), (0, False), 'a Maildir with a dot in front is none')
    equal(forward(fallback='&a@b.example\n&c@d.example', **M)[2], b'Fme@there.example\0Ta@b.example\0Tc@d.example\0\0',
          'forwards come from the sender, whoever owns the name')
    put('.qmail-ann', './x\n', 0o646)
    equal(local(options=['-M', '-n'], dash='-', ext='ann', fallback='|echo $DEFAULT\n./Maildir/', length=None), (0, 'program echo $DEFAULT\nmaildir ./Maildir/\n'), '-n tells what -M would do')
    put('file', '')
    equal(local(fallback='./file/Maildir/', **M)[0], 111, 'a file in the way defers')
    os.chmod(USER, 0o757)
    equal(local(fallback='./Maildir/', **M)[0], 111, 'a home that all can write is refused')
    os.chmod(USER, 0o755)
    equal(local(fallback='./new/Maildir/', options=[])[0], 111, 'without -M nothing is made')
    for bad in ('', '10M', '1,', ',1', '1S,1X', '-1', '1 S', '9' * 30):
        code, out = local(options=['-M', '-q', bad])
        check(code == 111 and 'is none' in out, 'a quota that is none defers: %r' % bad)

def locks():
    fresh()
    put('.qmail', './box\n')
    put('box', '')
    for name, lock in (('flock', lambda f: fcntl.flock(f, fcntl.LOCK_EX)), ('fcntl', lambda f: fcntl.lockf(f, fcntl.LOCK_EX))):
        with open(os.path.join(USER, 'box'), 'r+b') as f:
            lock(f)
            p = start(length=len(MSG))
            p.stdin.write(MSG)
            p.stdin.close()
            time.sleep(0.4)
            check(p.poll() is None and os.path.getsize(f.name) == 0, 'a delivery waits for the %s lock' % name)
            if name == 'flock': fcntl.flock(f, fcntl.LOCK_UN)
            else: fcntl.lockf(f, fcntl.LOCK_UN)
            equal((p.wait(), MSG in read('box')), (0, True), 'and goes on when it has it')
            p.stdout.close()
        put('box', '')

def start_locked():
    """A delivery to an mbox that stays locked; it takes half a minute, so it is looked at in the end."""
    localhome.USER = os.path.join(SCRATCH, 'locked')
    fresh()
    put('.qmail', './box\n')
    put('box', '')
    f = open(os.path.join(localhome.USER, 'box'), 'r+b')
    fcntl.flock(f, fcntl.LOCK_EX)
    p = start(length=len(MSG))
    p.stdin.write(MSG)
    p.stdin.close()
    put('.qmail-fwd', '&a@b.example\n')
    noqueue = start(length=len(MSG), dash='-', ext='fwd', env={'PIPIT_HOME': os.path.join(SCRATCH, 'nohome')})
    noqueue.stdin.write(MSG)
    noqueue.stdin.close()
    localhome.USER = USER
    return p, f, noqueue

def end_locked(p, f, noqueue):
    out = p.stdout.read()
    check(p.wait() == 111 and b'locked for 30 seconds' in out, 'a mbox that is locked for 30 seconds: given up for now')
    equal(f.read(), b'', 'and nothing was written')
    f.close()
    out = noqueue.stdout.read()
    check(noqueue.wait() == 111 and out.startswith(b'Unable to forward message: '), 'a queue that is not there for 30 seconds: too')

def inject(call, args='', lines='./Maildir/\n', path=None, message=MSG):
    """Run with a system call that fails (with a path: only there); (code, output)."""
    put('.qmail', lines)
    return local(message, before=['strace', '-f', '-o', '/dev/null', *(['-P', path] if path else []),
                         '-e', 'trace=%s' % call, '-e', 'inject=%s:%s' % (call, args)])

def faults():
    if not shutil.which('strace') or subprocess.run(['strace', '-o', '/dev/null', 'true'], capture_output=True).returncode:
        return skip('failing system calls: strace cannot be used')
    fresh('Maildir', 'Second')
    if inject('gettid', 'error=EPERM')[0] != 0: return skip('failing system calls: strace cannot be used as this user')
    for f in new(): os.unlink(f)
    for call, args, what in (('fsync', 'error=EIO:when=1', 'fsync of the file fails'), ('fsync', 'error=EIO:when=2', 'fsync of new/ fails'),
                             ('writev', 'error=ENOSPC:when=1', 'no space for the message'),
                             ('renameat2', 'error=EACCES', 'the move to new/ fails')):
        code, out = inject(call, args)
        equal((code, new(), tmp()), (111, [], []), '%s: deferred, nothing appears' % what)
    code, out = inject('writev', 'error=EDQUOT:when=2', message=MSG + b'x' * 100000)
    equal((code, new(), tmp()), (111, [], []), 'over quota in the midst of the message: deferred, nothing appears')
    strace = ['strace', '-f', '-o', '/dev/null', '-e', 'trace=fsync', '-e']
    for n in range(1, 9): # six folders, the message, its name
        shutil.rmtree(USER + '/a', ignore_errors=True)
        code, out = local(before=[*strace, 'inject=fsync:error=EIO:when=%d' % n], options=['-M'], fallback='./a/b/Maildir/')
        equal((code, new('a/b/Maildir')), (111, []), 'a Maildir that is made is synced, fsync %d fails: deferred' % n)
        equal((local(options=['-M'], fallback='./a/b/Maildir/')[0], len(new('a/b/Maildir'))), (0, 1), 'and goes on with what is there')
    code, out = inject('renameat2', 'error=EINVAL')
    equal((code, len(new()), tmp()), (0, 1, []), 'without renameat2 it is link and unlink')
    put('box', 'From x\n\nold\n\n')
    for call, args, what in (('fsync', 'error=EIO:when=1', 'fsync'), ('writev', 'error=ENOSPC:when=1', 'write')):
        code, out = inject(call, args, './box\n')
        equal((code, read('box')), (111, b'From x\n\nold\n\n'), 'mbox: %s fails, the file is as it was' % what)
    code, out = inject('flock', 'error=ENOLCK', './box\n')
    equal((code, MSG in read('box')), (0, True), 'mbox: one kind of lock is enough')
    code, out = inject('clone,fork,vfork', 'error=EAGAIN', '|true\n')
    equal(code, 111, 'a program that cannot be started is a temporary failure')
    code, out = inject('execve', 'error=ENOENT', '|true\n', '/bin/sh')
    check(code == 111 and 'Unable to run /bin/sh' in out, 'so is a missing shell')
    code, out = inject('chdir', 'error=EIO')
    check(code == 111 and 'Unable to switch to' in out, 'so is a home that cannot be entered')
    code, out = inject('openat', 'error=EIO', './Maildir/\n', '.qmail')
    check(code == 111 and 'Unable to open .qmail' in out, 'so is a dot-qmail file that cannot be read')
    code, out = inject('openat', 'error=EMFILE', './Maildir/\n./Second/\n', '.')
    check(code in (0, 111), 'and a want of descriptors')

def full_disk():
    if not ROOT: return skip('a full disk: needs root')
    fresh()
    mnt = os.path.join(USER, 'small')
    os.mkdir(mnt)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', mnt], capture_output=True).returncode:
        return skip('a full disk: cannot mount')
    try:
        own(mnt)
        maildir('small/Maildir')
        put('small/box', 'From x\n\nold\n\n')
        big = b'Subject: big\n\n' + b'x' * 100000 + b'\n'
        put('.qmail', './small/Maildir/\n')
        code, out = local(big)
        check(code == 111 and 'No space left' in out, 'a full disk defers')
        equal((new('small/Maildir'), tmp('small/Maildir')), ([], []), 'and nothing stays in the Maildir')
        put('.qmail', './small/box\n')
        equal((local(big)[0], read('small/box')), (111, b'From x\n\nold\n\n'), 'the mbox is as it was')
        put('.qmail', './small/Maildir/\n')
        equal(local()[0], 0, 'a small message still fits')
    finally: subprocess.run(['umount', mnt])

def stopped():
    """SIGTERM in the middle: nothing half stays."""
    fresh('Maildir')
    p = start(length=1000)
    p.stdin.write(MSG)
    p.stdin.flush()
    wait_for(lambda: tmp())
    p.terminate()
    p.wait()
    p.stdin.close(); p.stdout.close()
    equal((p.returncode, new()), (-15, []), 'a delivery that is ended leaves new/ empty')

def main():
    os.umask(0o022)
    locked = start_locked()
    for f in (usage, kinds, policies, cascade, environment, programs, forwards, owners, queued, lengths, loops, maildirs, mboxes, mailboxes, locks, faults,
              full_disk, stopped):
        f()
    end_locked(*locked)
    done()

main()

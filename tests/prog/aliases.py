"""aliases.py - fastforward and what makes its databases; dot-forward"""
import os, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from dotline import *
from pipit import write_cdb

MESSAGE = b'Subject: test\n\nhello\n'
ENV.update(NEWSENDER='me@there.example', RPLINE='R\n', UFLINE='U\n')

def put(name, text):
    with open(name, 'wb') as f: f.write(text if isinstance(text, bytes) else text.encode())

def call(name, *args, text=b'', **kw):
    return line(name, *args, message=text, **kw)

def shown(path='aliases.cdb'):
    with open(path, 'rb') as f: p = subprocess.run([os.path.join(BIN, 'printforward')], stdin=f, capture_output=True, env=ENV)
    return ' '.join(p.stdout.decode().split()).replace('; ', ';\n')

def newaliases():
    put('aliases', r'''
# a comment
  that goes on: x
postmaster: root
root: alice, bill (the bill), "spaced out"@Far.example

joe: Joe Shmoe <shmoe@far.example>
	, \fred, sub@short

weather: "|weather -x, \"y\"", |plain, |"quoted after"
x400: "/foo"@bar.example, /C=us/@gw.example, "|pipe"@bar.example
staff: :include:/etc/staff list, :include:rel, ":include:/q r"
Owner-Staff: boss
(this catches all)@virt.example: joe
Billing@Virt.example: joe fred
"odd name": a@b+
root: again
''')
    code, out, err = call('newaliases', 'aliases')
    equal((code, out), (0, ''), 'newaliases: %s' % err)
    check(err.count('\n') == 1 and 'aliases line 17: an alias that was there before' in err, 'it warns of a second one: %r' % err)
    equal(shown().split('\n'), [
        'postmaster@: &root@host.example;', 'root@: &alice@host.example, &bill@host.example, &spaced\\ out@Far.example;',
        'joe@: &shmoe@far.example, &fred@host.example, &sub@short.host.example;',
        'weather@: !weather\\ -x\\,\\ "y", !plain, !quoted\\ after;',
        'x400@: &/foo@bar.example, &/C=us/@gw.example, &|pipe@bar.example;',
        'staff@: /etc/staff\\ list.bin, ./rel.bin, /q\\ r.bin;', 'staff@: ?Owner-Staff@host.example;', 'owner-staff@: &boss@host.example;',
        '@virt.example: &joe@host.example;', 'billing@virt.example: &joe@host.example, &fred@host.example;',
        'odd\\ name@: &a@b.host.example;'], 'what is in the database')
    check(oct(os.stat('aliases.cdb').st_mode & 0o777) == '0o644', 'everybody may read it')
    old = open('aliases.cdb', 'rb').read()
    for line, why in (('a b', 'no colon'), ('a:', 'nothing behind'), ('a: b: c', 'a colon'), ('a: x, b; c', 'semicolon'), ('a: |foo bar', 'double quotes'),
                      ('a: |"x" y', 'double quotes'), ('a: /var/x', 'files'), ('a: "/var/x y"', 'files'), ('a: "|x', 'understood'), ('a: <>', 'empty'), ('a: :include:', 'empty'),
                      ('"|a": b', 'not one address'), ('a, b: c', 'not one address'), (': b', 'no address'), ('@: b', 'no address'), ('a: b\0c', 'control'), ('a: "b\x01"', 'control'),
                      ('a: %s@x.org' % ('y' * 800), '800 bytes'), ('a: "b\\', 'understood')):
        put('bad', 'ok: fine\n' + line + '\n')
        code, out, err = call('newaliases', 'bad', 'aliases.cdb')
        check(code == 111 and 'newaliases: fatal: bad line 2: ' in err and why in err and err.count('\n') == 1, 'refused: %r: %r' % (line[:20], err))
    equal((open('aliases.cdb', 'rb').read() == old, [n for n in os.listdir('.') if 'tmp' in n]), (True, []), 'the old one stays, nothing else')
    equal([call('newaliases', *a)[0] for a in (['none'], ['-x'], ['a', 'b', 'c'], ['aliases', 'none/x'])], [111, 100, 100, 111], 'called wrongly, or where it cannot')
    control(ENV['PIPIT_HOME'], 'aliasfile', os.path.abspath('aliases'))
    os.unlink('aliases.cdb')
    equal((call('newaliases')[0], shown().count('postmaster@')), (0, 1), 'control/aliasfile names the file')
    control(ENV['PIPIT_HOME'], 'aliasfile', 'aliases')
    code, out, err = call('newaliases')
    check(code == 111 and 'control/aliasfile' in err and 'from the root' in err, 'a path that is not one from the root: %r' % err)
    control(ENV['PIPIT_HOME'], 'aliasfile', None)
    put('empty', '# only\n')
    equal((call('newaliases', 'empty')[0], shown('empty.cdb')), (0, ''), 'no alias at all')

def newinclude():
    put('list', '# c\nann, bob@b.example (Bob)\n  cid\n:include:more\n')
    equal(call('newinclude', 'list'), (0, '', ''), 'newinclude')
    equal(open('list.bin', 'rb').read(), b'&ann@host.example\0&bob@b.example\0&cid@host.example\0./more.bin\0', 'list.bin')
    with open('list.bin', 'rb') as f: p = subprocess.run([os.path.join(BIN, 'printmaillist')], stdin=f, capture_output=True, env=ENV)
    equal(p.stdout, b'&ann@host.example\n&bob@b.example\n&cid@host.example\n./more.bin\n', 'printmaillist')
    equal(call('setmaillist', 'b2', 'b2.tmp', text=b'# c\n ann\n' + p.stdout + b'plain@x.example \t\n\n')[0], 0, 'setmaillist')
    equal(open('b2', 'rb').read(), b'& ann\0' + open('list.bin', 'rb').read() + b'&plain@x.example\0', 'a binary list')
    for line in ('|prog', '"|prog x"', '/file'):
        put('list', line + '\n')
        check(call('newinclude', 'list')[0] == 111, 'refused in a list: ' + line)
    equal(open('list.bin', 'rb').read().count(b'\0'), 4, 'the old one stays')
    equal([call('setmaillist', 'b', 'b.tmp', text=t)[0] for t in (b'a\0b\n', b'|x\n', b'y' * 801)] + [call('setmaillist', 'b')[0], call('printmaillist', text=b'a\n')[0], call('newinclude')[0]],
          [100] * 6, 'what they refuse')

def setforward():
    equal(call('setforward', 'f.cdb', 'f.tmp', text=rb'''a@h.example: b@h.example, &c@h.example, |echo \ one\;, d@h.example; # comment ; :
B@h.example : x1@h.example, ./list;
d@h.example: ?own@h.example; d@h.example: y1@h.example;
nothing: ; @all.example: !pre\ line;''')[0], 0, 'setforward')
    text = shown('f.cdb')
    equal(text, 'a@h.example: &b@h.example, &c@h.example, |echo\\ one\\;, &d@h.example;\nb@h.example: &x1@h.example, ./list;\nd@h.example: ?own@h.example;\n'
          'd@h.example: &y1@h.example;\n@all.example: !pre\\ line;', 'what is in the database')
    equal((call('setforward', 'g.cdb', 'g.tmp', text=text.encode())[0], shown('g.cdb')), (0, text), 'printforward prints what setforward takes')
    with open('g.cdb', 'rb') as f, subprocess.Popen(['cat'], stdin=f, stdout=subprocess.PIPE) as p:
        equal(subprocess.run([os.path.join(BIN, 'printforward')], stdin=p.stdout, capture_output=True, env=ENV).stdout.count(b'\n'), 13, 'also from a pipe')
    for bad in (b'a: b', b'a', b'a: b: c;', b'a, b: c;', b'a; b: c;', b'a: b\0;', b'a: ' + b'y' * 801 + b';'):
        r = call('setforward', 'g.cdb', 'g.tmp', text=bad)
        check(r[0] == 100 and r[2].count('\n') == 1, 'refused: %r: %r' % (bad[:10], r[2]))
    equal((shown('g.cdb'), call('setforward', 'g.cdb')[0]), (text, 100), 'the old one stays')
    data = open('g.cdb', 'rb').read()
    for bad in (b'', b'x', data[:2000], data[:-1], data.replace(b'&b@h', b'xb@h'), data[:2052] + b'\xff' + data[2053:]):
        r = call('printforward', text=bad)
        check(r[0] == 100 and 'damaged' in r[2], 'printforward refuses %d damaged bytes' % len(bad))

def ff(rcpt, *options, db='ff.cdb', **kw):
    env = {'RECIPIENT': rcpt}
    env.update(kw.pop('env', {}))
    return call('fastforward', *options, db, text=MESSAGE, env=env, **kw)

def fastforward():
    put('in.bin', b'&in1@x.example\0./in2.bin\0&in1@x.example\0')
    put('in2.bin', b'&in3@x.example\0./in.bin\0')
    put('prog.bin', b'|touch prog-ran\0')
    call('setforward', 'ff.cdb', 'ff.tmp', text=rb'''
a@h.example: b@h.example, c@h.example, |echo\ one\ >>ran, d@h.example;
b@h.example: x1@h.example, x2@h.example, c@h.example, a@h.example, !cat\ >>ran;
d@h.example: ?own@h.example, y1@h.example; joe@: a@h.example, joe@elsewhere.example; @all.example: all@x.example;
l@h.example: ./in.bin; priv@h.example: ./private; pl@h.example: ./prog.bin; none@h.example: ./nofile;
x99@h.example: |exit\ 99, z@x.example; x100@h.example: |exit\ 100, z@x.example; x64@h.example: |exit\ 64; x1@h.example2: |exit\ 1; xk@h.example: |kill\ -9\ $$;
loop@h.example: Loop@H.example; only@h.example: |cat\ >ran; empty@h.example: only@h.example; low@UPPER.example: ok@x.example;''')
    code, out, err = ff('A@H.example')
    check(code == 0 and 'fastforward: qp ' in err, 'fastforward: %s' % err)
    equal(queued(), ('me@there.example', ['x1@h.example', 'x2@h.example', 'c@h.example', 'd@h.example'], ENV['DTLINE'].encode() + MESSAGE),
          'recipients once each, in their order; a loop is no harm; one with an owner of its own goes through the queue')
    equal(take('ran'), b'one\nU\nR\n' + ENV['DTLINE'].encode() + MESSAGE, "the programs ran, with and without preline's lines")
    equal(ff('a@h.example', '-n'), (0, '', 'run |echo one >>ran\nrun !cat >>ran\nfrom <me@there.example>\n' +
                                    ''.join('to <%s@h.example>\n' % n for n in ('x1', 'x2', 'c', 'd'))), '-n says it')
    equal((queued(), take('ran')), (None, None), 'and does nothing')
    for why, rcpt, want in (('a wildcard of the host', 'who@all.example', ('me@there.example', ['all@x.example'])),
                            ('the owner is the sender', 'd@h.example', ('own@h.example', ['y1@h.example'])),
                            ('a list in a list', 'l@h.example', ('me@there.example', ['in1@x.example', 'in3@x.example'])),
                            ('upper case', 'LOW@upper.example', ('me@there.example', ['ok@x.example']))):
        code = ff(rcpt)[0]
        q = queued()
        equal((code, q and (q[0], sorted(q[1]))), (0, want), why)
    code = ff('Joe@any.example')[0]
    q = queued()
    equal((code, q and q[1][-1]), (0, 'joe@elsewhere.example'), 'a wildcard of the user')
    take('ran')
    for sender in ('', '#@[]'):
        ff('d@h.example', env={'SENDER': sender})
        equal(queued()[0], sender, 'the sender %r gets no owner' % sender)
    equal(ff('nope@h.example'), (100, '', 'Sorry, no mailbox here by that name. (#5.1.1)\n'), 'an unknown one bounces')
    equal([ff('nope@h.example', '-p'), ff('c@h.example', '-p')[0], ff('b@h.example', '-np')[0], ff('low@upper.example', '-p')[0]],
          [(0, '', ''), 0, 99, 99], '-p passes it on, and stops after a known one')
    queued()
    equal([ff('x', '-d', env=e, without=['HOST'] if not e else [])[0] for e in ({'DEFAULT': 'low', 'HOST': 'upper.example'}, {'EXT': 'low', 'HOST': 'upper.example'}, {'DEFAULT': 'a'}, {})],
          [0, 0, 100, 100], '-d takes DEFAULT or EXT, and HOST')
    queued()
    for rcpt, want in (('x99@h.example', 0), ('x100@h.example', 100), ('x64@h.example', 100), ('x1@h.example2', 111), ('xk@h.example', 111)):
        code = ff(rcpt)[0]
        equal((code, bool(queued())), (want, want == 0 and rcpt.startswith('x99')), 'a program that ends with %s' % rcpt[1:4])
    equal((ff('empty@h.example')[0], take('ran'), queued()), (0, MESSAGE, None), 'a program and no forward')
    r = ff('loop@h.example')
    check(r[0] == 111 and 'circle' in r[2] and not queued(), 'a circle that leads to nobody: %r' % r[2])
    put('private', b'&p@x.example\0')
    os.chmod('private', 0o640)
    for rcpt, what in (('priv', 'world-readable'), ('pl', 'damaged'), ('none', 'nofile')):
        r = ff(rcpt + '@h.example')
        check(r[0] == 111 and what in r[2] and r[2].count('\n') == 1, 'a list that cannot be used: %r' % r[2])
    check(not os.path.exists('prog-ran'), 'no program of a list is run')
    data = open('ff.cdb', 'rb').read()
    put('cut.cdb', data[:-9]); put('zero.cdb', bytes(2048) + data[2048:])
    os.mkfifo('fifo')
    for db in ('cut.cdb', 'zero.cdb', 'none.cdb', 'message'):
        for option in ('-P', '-p'):
            r = ff('nope@h.example', option, db=db)
            check(r[0] == 111 and r[2].count('\n') == 1, 'no bounce from a damaged or missing database: %r' % r[2])
    write_cdb('odd.cdb', [(b':a@x', b'&b@x'), (b':b@x', b'zzz\0'), (b':c@x', b'./fifo\0'), (b':d@x', b'&%s@x\0' % (b'y' * 2000))])
    equal([ff(n + '@x', db='odd.cdb')[0] for n in 'abcd'], [111, 111, 111, 100], 'instructions that are none')
    write_cdb('big.cdb', [(b':a@x', b''.join(b'&%d@x\0' % n for n in range(100001)))])
    r = ff('a@x', db='big.cdb')
    check(r[0] == 111 and '100000' in r[2], 'too many addresses: %r' % r[2])
    equal([ff('a', '-x')[0], call('fastforward')[0], ff('c@h.example', without=['SENDER'])[0], ff('a', without=['RECIPIENT'])[0]], [100] * 4, 'called wrongly')
    equal(queued(), None, 'nothing of that was queued')

def dotforward():
    def df(*args, text=None, **kw):
        if text is not None: put('.forward', text)
        return call('dot-forward', *args, text=MESSAGE, **kw)
    r = df('.forward', text='bob, fred@x.example\n# comment\nJoe Shmoe <shmoe@far.example>, "|cat >>piped"\n')
    check(r[0] == 99 and 'dot-forward: qp ' in r[2], 'dot-forward: %r' % (r,))
    equal(queued(), ('me@there.example', ['bob@host.example', 'fred@x.example', 'shmoe@far.example'], ENV['DTLINE'].encode() + MESSAGE), 'forwards')
    equal(take('piped'), b'U\nR\n' + ENV['DTLINE'].encode() + MESSAGE, "and pipes, with preline's lines")
    equal(df('-n', '.forward'), (99, '', 'pipe through cat >>piped\nforward bob@host.example\nforward fred@x.example\nforward shmoe@far.example\n'), '-n says it')
    for me in ('\\Joe', 'joe@Host.example', 'JOE'):
        equal((df('.forward', text=me + ', ann\n')[0], queued()[1]), (0, ['ann@host.example']), me + ' is delivery here')
    equal((df('none', '.forward', text='# nothing\n\n')[0], df('none')[0], queued()), (0, 0, None), 'no file, and an empty one')
    put('second', 'ann\n')
    equal((df('none', '.forward', 'second')[0], queued()[1]), (99, ['ann@host.example']), 'the first that says something counts')
    for text in ('/var/x', ':include:list', '"|x', 'a: b', '|a b'):
        r = df('.forward', text='bob, "|touch piped"\n' + text + '\n')
        check(r[0] == 111 and '.forward line 2: ' in r[2] and not queued() and not take('piped'), 'refused: %r' % r[2])
    equal([df('.forward', text='"|exit %d", bob\n' % n)[0] for n in (100, 77, 1, 111)], [100, 100, 111, 111], "a program's end")
    equal((df('.forward', text='bob', without=['NEWSENDER'])[0], df()[0], df('-x', 'a')[0], queued()), (100, 100, 100, None), 'called wrongly')
    os.unlink('.forward'); os.mkdir('.forward')
    equal(df('.forward')[0], 111, 'a file that cannot be read')

newaliases()
newinclude()
setforward()
fastforward()
dotforward()
done()

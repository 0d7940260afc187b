"""local-manual.py - what qmail's manual pages say of dot-qmail files and deliveries, statement by statement

dot-qmail(5), qmail-command(8), qmail-local(8), mbox(5) and maildir(5), in other words and with other
examples. Each row is a home, a delivery to it and what comes of it.
"""
import os, re, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from localhome import *

ME = 'me@there.example'
LIST = dict(local='joe-list', dash='-', ext='list')
FOO = dict(local='joe-foo-bar', dash='-', ext='foo-bar')
ALIAS = dict(local='info', dash='-', ext='info')
def sent(*to, sender=ME): return b'F%s\0' % sender.encode() + b''.join(b'T%s\0' % t.encode() for t in to) + b'\0'
X, LATE = 0o744, 111 # the file's mode; deferred

# (statement, {file: lines}, arguments, exit code, "did", what is forwarded, {file that is there: a pattern in it})
ROWS = [
    ('a comment is ignored', {'.qmail': '# ./box\n#|touch box\n#&a@b.example\n'}, {}, 0, '0+0+0', None, {'box': None}),
    ('the rest of a program line is a command for the shell', {'.qmail': '|a=$(cat | wc -l) && echo "$a" >"a b"\n'}, {}, 0, '0+0+1', None, {'a b': b'^4$'}),
    ('it runs at home', {'.qmail': '|pwd >box\n'}, {}, 0, '0+0+1', None, {'box': USER.encode() + b'\n'}),
    ('and does not read the two lines that files get', {'.qmail': '|cat >box\n'}, {}, 0, '0+0+1', None, {'box': b'\\AReceived: '}),
    ('but can put them there', {'.qmail': '|(printf %s "$UFLINE$RPLINE$DTLINE"; cat) >box\n'}, {}, 0, '0+0+1', None,
     {'box': rb'\AFrom me@there\.example .*\nReturn-Path: <me@there\.example>\nDelivered-To: joe@host\.example\nReceived: '}),
    ('an ampersand forwards', {'.qmail': '&me@new.example\n'}, {}, 0, '0+1+0', sent('me@new.example'), {}),
    ('it may be left out before a letter or digit', {'.qmail': 'me@new.example\n1me@new.example\n'}, {}, 0, '0+2+0', sent('me@new.example', '1me@new.example'), {}),
    ('forwards have no new Return-Path', {'.qmail': '&a@b.example\n'}, {}, 0, '0+1+0', sent('a@b.example'), {'queued': rb'\ADelivered-To: joe@host\.example\nReceived: '}),
    ('any number of forwards', {'.qmail': ''.join('a%d@b.example\n' % i for i in range(300))}, {}, 0, '0+300+0', sent(*('a%d@b.example' % i for i in range(300))), {}),
    ('a path is an mbox', {'.qmail': '%s/box.sos\n' % USER}, {}, 0, '1+0+0', None, {'box.sos': rb'\AFrom me@there\.example \w{3} \w{3} \d\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <me@there\.example>\nDelivered-To: joe@host\.example\nReceived: (?s:.*)\n\nhello\n\n\Z'}),
    ('also with a dot', {'.qmail': './a box\n'}, {}, 0, '1+0+0', None, {'a box': b'hello'}),
    ('with a slash at the end, a Maildir', {'.qmail': '%s/Maildir/\n' % USER}, {}, 0, '1+0+0', None, {'Maildir/new/*': rb'\AReturn-Path: <me@there\.example>\nDelivered-To: joe@host\.example\nReceived: '}),
    ('the null sender is MAILER-DAEMON in an mbox', {'.qmail': './box\n'}, dict(sender=''), 0, '1+0+0', None, {'box': rb'\AFrom MAILER-DAEMON .*\nReturn-Path: <>\n'}),
    ('an x bit allows forwards', {'.qmail': ('&a@b.example\n# x\n', X)}, {}, 0, '0+1+0', sent('a@b.example'), {}),
    ('but no program', {'.qmail': ('&a@b.example\n|touch box\n', X)}, {}, LATE, None, None, {'box': None}),
    ('no mbox', {'.qmail': ('./box\n', X)}, {}, LATE, None, None, {'box': None}),
    ('and no Maildir', {'.qmail': ('./Maildir/\n', X)}, {}, LATE, None, None, {'Maildir/new/*': None}),
    ('without a file the default is followed', {}, dict(fallback='./Mailbox'), 0, '1+0+0', None, {'Mailbox': b'hello'}),
    ('which may have several lines', {}, dict(fallback='./Mailbox\n|cat >box'), 0, '1+0+1', None, {'Mailbox': b'hello', 'box': b'hello'}),
    ('as with one of 0 bytes', {'.qmail': ''}, dict(fallback='./Mailbox'), 0, '1+0+0', None, {'Mailbox': b'hello'}),
    ('as with one of 0 bytes for an extension', {'.qmail-list': '', '.qmail-default': '|exit 100\n'}, dict(LIST, fallback='./Mailbox'), 0, '1+0+0', None, {'Mailbox': b'hello'}),
    ('blanks at the end of a line, and blank lines', {'.qmail': './box \t \n\n \t\n./box\t\n'}, {}, 0, '2+0+0', None, {'box': rb'(?s)hello\n\nFrom .*hello\n\n\Z'}),
    ('no blank line at the start', {'.qmail': '\n./box\n'}, {}, LATE, None, None, {'box': None}),
    ('no file that all can write', {'.qmail': ('./box\n', 0o646)}, {}, LATE, None, None, {'box': None}),
    ('no home that is sticky', {'.qmail': './box\n', '': 0o1755}, {}, LATE, None, None, {'box': None}),
    ('no home that others can write', {'.qmail': './box\n', '': 0o757}, {}, LATE, None, None, {'box': None}),
    ('the first of the files for user-foo-bar', {'.qmail-foo-bar': './1\n', '.qmail-foo-default': './2\n', '.qmail-default': './3\n'}, FOO, 0, '1+0+0', None, {'1': b'hello', '2': None, '3': None}),
    ('the second', {'.qmail-foo': './0\n', '.qmail-bar': './0\n', '.qmail-foo-default': './2\n', '.qmail-default': './3\n'}, FOO, 0, '1+0+0', None, {'2': b'hello', '0': None, '3': None}),
    ('the third', {'.qmail': './0\n', '.qmail-foo': './0\n', '.qmail-default': './3\n'}, FOO, 0, '1+0+0', None, {'3': b'hello', '0': None}),
    ('none of them: it goes back', {'.qmail': './0\n', '.qmail-foo': './0\n'}, FOO, 100, None, None, {'0': None}),
    ('DEFAULT is what "default" stands for', {'.qmail-foo-default': '|echo "$DEFAULT" >box\n'}, FOO, 0, '0+0+1', None, {'box': b'^bar$'}),
    ('and is not set otherwise', {'.qmail-foo-bar': '|echo "${DEFAULT-unset}" >box\n'}, FOO, 0, '0+0+1', None, {'box': b'^unset$'}),
    ('dots are colons in the name of the file, capitals small', {'.qmail-j:x:doe': './box\n', '.qmail-j.x.doe': './0\n', '.qmail-J:X:Doe': './0\n'}, dict(local='joe-J.X.Doe', dash='-', ext='J.X.Doe'), 0, '1+0+0', None, {'box': rb'\nDelivered-To: joe-J\.X\.Doe@host\.example\n', '0': None}),
    ('all other addresses are files of the alias user', {'.qmail-info': '&a@b.example\n'}, ALIAS, 0, '0+1+0', sent('a@b.example'), {}),
    ('an owner sends what is forwarded', {'.qmail-list': '&a@b.example\n', '.qmail-list-owner': '&o@b.example\n'}, LIST, 0, '0+1+0', sent('a@b.example', sender='joe-list-owner@host.example'), {}),
    ('also under a default file', {'.qmail-default': '&a@b.example\n', '.qmail-list-owner': '&o@b.example\n'}, LIST, 0, '0+1+0', sent('a@b.example', sender='joe-list-owner@host.example'), {}),
    ('without one the sender stays', {'.qmail-list': '&a@b.example\n', '.qmail-owner': '#\n', '.qmail-list-owner-default': '#\n'}, LIST, 0, '0+1+0', sent('a@b.example'), {}),
    ('he does not send bounces', {'.qmail-list': '&a@b.example\n', '.qmail-list-owner': '#\n'}, dict(LIST, sender=''), 0, '0+1+0', sent('a@b.example', sender=''), {}),
    ('nor bounces of bounces', {'.qmail-list': '&a@b.example\n', '.qmail-list-owner': '#\n'}, dict(LIST, sender='#@[]'), 0, '0+1+0', sent('a@b.example', sender='#@[]'), {}),
    ('with two files there is a sender for each recipient', {'.qmail-list': '&a@b.example\n', '.qmail-list-owner': '#\n', '.qmail-list-owner-default': '#\n'}, LIST, 0, '0+1+0', sent('a@b.example', sender='joe-list-owner-@host.example-@[]'), {}),
    ('NEWSENDER is that sender, SENDER the old one', {'.qmail-list': '|echo "$SENDER $NEWSENDER" >box\n', '.qmail-list-owner': '#\n'}, LIST, 0, '0+0+1', None, {'box': b'^me@there.example joe-list-owner@host.example$'}),
    ('a failure stops, and prevents all forwarding', {'.qmail': '&a@b.example\n./box\n|exit 1\n./box2\n'}, {}, LATE, None, None, {'box': b'hello', 'box2': None}),
    ('so does one that is for good', {'.qmail': '&a@b.example\n|exit 100\n./box\n'}, {}, 100, None, None, {'box': None}),
    ('99 ignores what comes after, not the forwards before', {'.qmail': '&a@b.example\n./box\n|exit 99\n&c@d.example\n./box2\n'}, {}, 0, '1+1+1', sent('a@b.example'), {'box': b'hello', 'box2': None}),
    ('independent instructions: one file forwards to others', {'.qmail': '&joe-1\n&joe-2@host.example\n'}, {}, 0, '0+2+0', sent('joe-1', 'joe-2@host.example'), {}),
    ('the same Delivered-To line in the header: it goes back', {'.qmail': './box\n'}, dict(message=b'Delivered-To: joe@host.example\n\nhello\n'), 100, None, None, {'box': None}),
    ('in an mbox each line that may be a From line gets a >', {'.qmail': './box\n'}, dict(message=b'A: b\n\nFrom a\n>From b\n>>From c\nfrom d\n From e\n'), 0, '1+0+0', None, {'box': rb'\n\n>From a\n>>From b\n>>>From c\nfrom d\n From e\n\n\Z'}),
    ('a partial last line is completed there', {'.qmail': './box\n'}, dict(message=b'A: b\n\nx'), 0, '1+0+0', None, {'box': rb'\n\nx\n\n\Z'}),
    ('but nowhere else', {'.qmail': './Maildir/\n|cat >box\n'}, dict(message=b'A: b\n\nx'), 0, '1+0+1', None, {'box': rb'\n\nx\Z', 'Maildir/new/*': rb'\n\nx\Z'}),
    ('blanks in a sender are hyphens in an mbox', {'.qmail': './box\n'}, dict(sender='a b\tc@d.example'), 0, '1+0+0', None, {'box': rb'\AFrom a-b-c@d\.example \w'}),
    ('a home is an absolute path', {}, dict(home='home'), 100, None, None, {}),
]

def text_of(name):
    paths = glob.glob(os.path.join(USER, name))
    return read(paths[0]) if paths else None

for why, files, kw, code, did, envelope, results in ROWS:
    fresh('Maildir')
    for name, what in files.items():
        if not name: os.chmod(USER, what)
        else: put(name, *(what if isinstance(what, tuple) else (what,)))
    kw = dict(kw)
    got, out, forwarded, _ = forward(kw.pop('message', MSG), **kw)
    found = {name: text_of(name) for name in results}
    wrong = [n for n, pattern in results.items() if (found[n] is None) != (pattern is None) or pattern and not re.search(pattern, found[n], re.M)]
    ok = got == code and forwarded == envelope and not wrong and (did is None or out.startswith('did %s\n' % did))
    check(ok, why) or print('  %s %r\n  %r\n  %r' % (got, out, forwarded, {n: found[n] for n in wrong}))
fresh()
equal(local(options=['-n'], length=None, host='', sender='', fallback='./Mailbox'), (0, 'mbox ./Mailbox\n'), 'a file can be tried with -n, without domain and sender')
put('.qmail', '#\n|a\n&b\nc\n./d\n./e/\n')
equal(local(options=['-n'], length=None, host='', sender=''), (0, 'program a\nforward b\nforward c\nmbox ./d\nmaildir ./e/\n'), 'which tells what would be done')
done()

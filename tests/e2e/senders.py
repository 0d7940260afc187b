"""What programs on the machine send by sendmail reaches the Maildir"""
import pwd, sys
sys.path.insert(0, 'tests')
from email import message_from_bytes, policy
from instance import *
import peers

i = Instance().start()
sendmail = os.path.join(i.home, 'bin', 'sendmail')

def arrived(local, subject, why):
    """The one message in the mailbox, parsed; its subject is checked."""
    mails = i.wait_mails(local, 1)
    m = message_from_bytes(mails[0] if mails else b'', policy=policy.default)
    equal((len(mails), m['Subject']), (1, subject), why)
    return m

def body(m):
    return m.get_content() if not m.is_multipart() else m.get_body().get_content()

# sendmail itself
i.mailbox('tee'); i.mailbox('hidden')
code, text = i.sendmail('-t', '-oi', input=b'To: Joe <tee@mail.example>\nBcc: hidden@mail.example\n'
                        b'Subject: from -t\n\nline\n.\nafter a dot\n')
equal((code, text), (0, ''), 'sendmail -t -oi takes a message and says nothing')
m = arrived('tee', 'from -t', 'sendmail -t delivers to To')
equal((m['Bcc'], body(m)), (None, 'line\n.\nafter a dot\n'),
      'Bcc is gone, a lone dot does not end the message')
check(m['Date'] and m['Message-ID'] and m['From'], 'Date, Message-ID and From are added')
equal(arrived('hidden', 'from -t', 'sendmail -t delivers to Bcc')['Bcc'], None, 'its reader sees no Bcc')

i.mailbox('cron')
code, text = i.sendmail('-FCronDaemon', '-i', '-B8BITMIME', '-oem', 'cron@mail.example', input=
                        'From: root (Cron Daemon)\nTo: cron@mail.example\nSubject: Cron <root@h> true\n'
                        'MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n'
                        'Content-Transfer-Encoding: 8bit\nAuto-Submitted: auto-generated\n'
                        'X-Cron-Env: <SHELL=/bin/sh>\n\nAusgabe: größer\n'.encode())
equal((code, text), (0, ''), "cron's call is taken")
m = arrived('cron', 'Cron <root@h> true', "cron's message arrives")
equal((body(m), m['Auto-Submitted']), ('Ausgabe: größer\n', 'auto-generated'), "cron's message is unchanged")

i.mailbox('crlf')
i.sendmail('-f', 'sender@mail.example', 'crlf@mail.example', input=b'Subject: crlf\r\n\r\na\r\nb\r\n')
m = i.wait_mails('crlf', 1)
check(m and m[0].startswith(b'Return-Path: <sender@mail.example>\n') and m[0].endswith(b'\n\na\nb\n')
      and b'\r' not in m[0], 'CRLF is taken for a line end; -f sets the sender')
code, text = i.sendmail('-t', input=b'Subject: nobody\n\nx\n')
check(code != 0 and text, 'sendmail -t without a recipient is refused with a message')

# sendmail -bs: SMTP on its descriptors
i.mailbox('bs')
code, text = i.sendmail('-bs', input=b'EHLO me\r\nMAIL FROM:<u@mail.example>\r\nRCPT TO:<bs@mail.example>\r\nDATA\r\n'
                        b'Subject: bs\r\n\r\nhello\r\n.\r\nQUIT\r\n')
check(code == 0 and text.startswith('220 ') and '\n354 ' in text and '\n221 ' in text,
      'sendmail -bs speaks SMTP: %r' % text)
arrived('bs', 'bs', 'a message handed over by sendmail -bs arrives')

# as any other user, who may ask pipit-rcptd nothing
i.mailbox('bsuser')
if ROOT:
    r = subprocess.run([sendmail, '-bs'], user='daemon', group='daemon', extra_groups=[], env=i.env, capture_output=True, timeout=60,
                       input=b'EHLO me\r\nMAIL FROM:<u@mail.example>\r\nRCPT TO:<bsuser@mail.example>\r\nDATA\r\n'
                       b'Received: from forged\r\nSubject: bs\r\n\r\nhello\r\n.\r\nQUIT\r\n')
    check(r.returncode == 0 and b'\n354 ' in r.stdout, 'another user speaks SMTP too: %r %r' % (r.stdout, r.stderr))
    m = i.wait_mails('bsuser', 1)
    check(m and b'from uid %d)' % pwd.getpwnam('daemon').pw_uid in m[0].split(b'forged')[0], 'and his uid stands in it: %r' % m)
    r = subprocess.run([sendmail, '-q'], user='daemon', group='daemon', extra_groups=[], env=i.env, capture_output=True, timeout=60)
    check(r.returncode == 100 and r.stderr.count(b'\n') == 1, 'but -q is not for him: %r' % r.stderr)
code, text = i.sendmail('-q')
equal(code, 0, 'sendmail -q: %r' % text)

# s-nail
i.mailbox('snail')
if shutil.which('s-nail'):
    code, text = i.run('s-nail', '-:/', '-S', 'mta=' + sendmail, '-S', 'ttycharset=utf-8', '-s', 'Grüße von s-nail',
                       '-c', 'joe@mail.example', 'snail@mail.example', input='Hällo\n'.encode(),
                       env={'HOME': SCRATCH, 'LC_ALL': 'C.UTF-8', 'MAILRC': '/dev/null'})
    equal(code, 0, 's-nail sends: %r' % text)
    m = arrived('snail', 'Grüße von s-nail', "s-nail's message arrives")
    equal(body(m), 'Hällo\n', 'its text is right')
else: skip('s-nail is not installed')

# PHP calls sendmail -t -i
def fetched(fetch, *args):
    try: return peers.Peer(reachable(fetch(*args).root))
    except peers.Unavailable as e: skip(str(e))

i.mailbox('php')
php = fetched(peers.php)
if php:
    code = r'''exit(mail("php@mail.example", "from PHP", "one\r\ntwo\n", "From: web@mail.example\r\nX-A: b",
                         "-fbounce@mail.example") ? 0 : 1);'''
    p = i.popen(php.path('usr/bin/php8.2'), '-n', '-d', 'sendmail_path=%s -t -i' % sendmail, '-r', code,
                env=dict(i.env, LD_LIBRARY_PATH=php.env['LD_LIBRARY_PATH']))
    equal(p.wait(60), 0, "PHP's mail() returns true")
    m = arrived('php', 'from PHP', "PHP's message arrives")
    equal((m['X-A'], body(m).splitlines(), m['Return-Path']), ('b', ['one', 'two', ''], '<bounce@mail.example>'),
          'with its field, its lines and its envelope sender')

# git send-email runs the sendmail that it is given
i.mailbox('git')
git = fetched(peers.git_email)
if not shutil.which('git'): skip('git is not installed')
elif git:
    repo = os.path.join(SCRATCH, 'repo')
    os.mkdir(repo); own(repo)
    env = {'HOME': repo, 'PERL5LIB': git.path('usr/share/perl5'), 'GIT_CONFIG_NOSYSTEM': '1',
           'GIT_AUTHOR_NAME': 'A', 'GIT_AUTHOR_EMAIL': 'a@mail.example',
           'GIT_COMMITTER_NAME': 'A', 'GIT_COMMITTER_EMAIL': 'a@mail.example'}
    sh = '''cd %s && git init -q . && echo x >f && git add f && git commit -qm "Add the file f" &&
            git format-patch -q -1 --root && perl %s --sendmail-cmd='%s -i' --from=a@mail.example \\
            --to=git@mail.example --confirm=never --suppress-cc=all --quiet 0001-*.patch''' % (
            repo, git.path('usr/lib/git-core/git-send-email'), sendmail)
    code, text = i.run('sh', '-c', sh, env=env)
    if "Can't locate" in text: skip('git send-email: ' + text.splitlines()[0])
    else:
        equal(code, 0, 'git send-email sends: %r' % text)
        m = arrived('git', '[PATCH] Add the file f', "git's patch arrives")
        check('+++ b/f\n@@ -0,0 +1 @@\n+x\n' in body(m), 'the patch is whole')

# mutt in batch mode
i.mailbox('mutt')
mutt = fetched(peers.mutt)
if mutt:
    p = i.popen(mutt.path('usr/bin/mutt'), '-n', '-F', '/dev/null', '-e', 'set sendmail="%s -oem -oi"' % sendmail,
                '-e', 'set copy=no', '-e', 'set from=me@mail.example', '-e', 'set use_envelope_from=yes',
                '-s', 'from mutt', '--', 'mutt@mail.example', stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, env=dict(i.env, HOME=SCRATCH, LD_LIBRARY_PATH=mutt.env['LD_LIBRARY_PATH']))
    text = p.communicate(b'hello from mutt\n', 60)[0]
    equal(p.returncode, 0, 'mutt sends: %r' % text.decode(errors='replace'))
    equal(body(arrived('mutt', 'from mutt', "mutt's message arrives")), 'hello from mutt\n',
          'its text is right')

check(i.wait_queue_empty(), 'the queue is empty at the end')
i.stop()
done()

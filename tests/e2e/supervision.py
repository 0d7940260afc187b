"""The service directories under s6-svscan and under daemontools' svscan: logs, readiness, stop, restart"""
import sys
sys.path.insert(0, 'tests')
from instance import *

SERVICES = ['queued', 'rcptd', 'send', 'smtpd']
TAI64N = re.compile(r'@[0-9a-f]{24} \S')

def try_out(i, kind, stop):
    """What holds under either supervisor."""
    check(wait_for(i.ready, START_SECONDS), '%s: the instance runs' % kind)
    i.send('ann@sender.example', 'joe@mail.example', b'Subject: one\n\nx\n')
    equal(len(i.wait_mails('joe', 1)), 1, '%s: mail is delivered' % kind)
    logs = wait_for(lambda: all(i.log(s) for s in ('send', 'smtpd')) and i.logs())
    check(logs, '%s: send and smtpd have logs' % kind)
    lines = [l for text in i.logs().values() for l in text]
    equal([l for l in lines if not TAI64N.match(l)], [], '%s: every line has a TAI64N time stamp' % kind)

    old = i.pids('pipit-queued') + i.pids('pipit-send') + i.pids('pipit-smtpd')
    for pid in old: kill(pid)
    now = lambda: i.pids('pipit-queued') + i.pids('pipit-send') + i.pids('pipit-smtpd')
    check(wait_for(lambda: i.ready() and i.pids('pipit-queued') and not set(old) & set(now()), START_SECONDS),
          '%s: killed services are started again' % kind)
    code = wait_for(lambda: i.sendmail('joe@mail.example', input=b'Subject: two\n\nx\n')[0] == 0, 10, 0.5)
    check(code, '%s: and take mail again' % kind)
    equal(len(i.wait_mails('joe', 2)), 2, '%s: and deliver it' % kind)

    # What waits in the queue outlives the instance.
    i.control('locals', 'other.example')
    i.control('smtproutes', ':[127.0.0.1]:1')
    i.hup()
    time.sleep(0.5)
    i.send('ann@sender.example', 'joe@mail.example', b'Subject: three\n\nx\n')
    wait_for(lambda: any('deferral: ' in l for l in i.log('send')))
    equal(stop(), [], '%s: stopping leaves no process' % kind)
    equal(len(i.queue()), 1, '%s: the message waits on disk' % kind)
    i.control('locals', 'mail.example')

# s6
i = Instance('s6')
i.mailbox('joe')
i.start()
if shutil.which('s6-svstat'):
    check(wait_for(lambda: all(i.run('s6-svstat', '-o', 'ready', '%s/service/%s' % (i.home, s))[1].strip() == 'true'
                               for s in SERVICES)), 's6: every service reports that it is ready')
try_out(i, 's6', i.stop)
i.start()
i.alrm()
equal(len(i.wait_mails('joe', 3)), 3, 's6: and is delivered after the next start')
# TERM to send alone: it finishes, and the supervisor starts it again.
(old,) = i.send_pids() or (0,)
kill(old, signal.SIGTERM)
check(wait_for(lambda: i.send_pids() and old not in i.send_pids() and i.ready(), START_SECONDS),
      's6: TERM to send restarts it')
check(wait_for(lambda: any('status: exiting' in l for l in i.log('send'))), 's6: it said that it was exiting')
i.send('ann@sender.example', 'joe@mail.example', b'Subject: four\n\nx\n')
equal(len(i.wait_mails('joe', 4)), 4, 's6: and mail goes on')
equal(i.stop(), [], 's6: stopping leaves no process')

# daemontools, with multilog: only its tools are on the path
if not all(map(shutil.which, ('svscan', 'svc', 'svstat', 'multilog', 'softlimit', 'envdir', 'setuidgid'))):
    skip('daemontools is not installed')
    done()
i = Instance('dt')
i.mailbox('joe')
tools = os.path.join(SCRATCH, 'tools')
os.mkdir(tools)
for d in ('/usr/bin', '/bin', '/usr/sbin'):
    for name in os.listdir(d):
        if not name.startswith('s6-') and not os.path.lexists(os.path.join(tools, name)):
            os.symlink(os.path.join(d, name), os.path.join(tools, name))
i.env['PATH'] = tools

i.start(wait=False)
try_out(i, 'daemontools', i.stop)
i.start()
i.alrm()
equal(len(i.wait_mails('joe', 3)), 3, 'daemontools: and delivers what waited')
equal(i.run('svstat', i.home + '/service/send')[1].split()[1:2], ['up'],
      'daemontools: svstat says that send is up')
check(i.pids('supervise') and i.pids('multilog') and not i.pids('s6-svscan'),
      'daemontools: with supervise and multilog')
equal(i.stop(), [], 'daemontools: stopping leaves no process')
done()

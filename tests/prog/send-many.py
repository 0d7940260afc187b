"""send-many.py - pipit-send with many recipients, and with many messages at its start"""
import fcntl, os, signal, struct, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from pipit import *
from sender import *

IN_FLIGHT = 50 # deliveries at the same time: what a kill of send repeats at most
COUNT = 20000
DELIVERED = 3000 # of these: enough to see that it goes on

def cpu(pid):
    """Seconds of processor time of a process and its living children."""
    pids = [pid] + [int(p) for p in open('/proc/%d/task/%d/children' % (pid, pid)).read().split()]
    ticks = sum(sum(map(int, open('/proc/%d/stat' % p).read().rsplit(')', 1)[1].split()[11:13])) for p in pids)
    return ticks / os.sysconf('SC_CLK_TCK')

home = make_home(split=SPLIT)
control(home, 'concurrencyremote', str(IN_FLIGHT))
served = []
s = Send(home, remote=lambda j: (served.extend(j.rcpts), j.all('K')))
rcpts = ['u%05d@d%d.example' % (i, i % 100) for i in range(10000)]
began = time.monotonic()
m = Mail(home, 's@a.example', rcpts).announce()
check(wait_for(lambda: not m.in_mess(), 60), 'a message for 10,000 recipients ends')
equal((len(served), len(set(served))), (10000, 10000), 'each is tried once')
print('# 10,000 recipients: %.1f s' % (time.monotonic() - began))
s.stop()

mails = [Mail(home, 's@a.example', ['x@x.example'], body=b'x\n') for i in range(COUNT)]
ids = []
began = time.monotonic()
s = Send(home, remote=lambda j: (ids.append(j.id), j.all('K')))
check(wait_for(lambda: ids, 20), 'with %d messages waiting the first delivery begins' % COUNT)
print('# %d messages at the start: first delivery after %.2f s' % (COUNT, time.monotonic() - began))
check(time.monotonic() - began < 10, 'within 10 s')
fresh = Mail(home, 's@a.example', ['new@y.example']).announce()
check(wait_for(lambda: fresh.id in ids, 60), 'a new one comes through')
check(ids.index(fresh.id) < 2500, 'and does not wait for all that were there')
check(wait_for(lambda: len(ids) >= DELIVERED, 60), 'and the others follow')
n = len(ids)
print('# %.0f deliveries a second, %.2f ms of processor time each' % (n / (time.monotonic() - began), cpu(s.pid) * 1000 / n))
with open('/proc/%d/status' % s.pid) as f: rss = int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))
print('# resident: %d KiB' % rss)
s.stop(signal.SIGKILL)
with open(home + '/queue/lock/sendmutex') as f: fcntl.flock(f, fcntl.LOCK_EX) # the keeper has ended too
left = len(glob.glob(home + '/queue/mess/*/*'))
done_ids = len(set(ids))
check(len(ids) == done_ids and 0 <= left - (COUNT + 1 - done_ids) <= IN_FLIGHT, 'killed: what was delivered is finished but for what was in flight, the rest is there')
print('# %d delivered, %d left' % (done_ids, left))
check(len(os.listdir(home + '/queue/free')) <= 1000, 'the pool keeps its bounds')

# A keeper that lags behind has been told of all ends that send knows of.
home = make_home(os.path.join(SCRATCH, 'lag'), split=SPLIT)
control(home, 'concurrencyremote', str(IN_FLIGHT))
for _ in range(3000): Mail(home, 's@a.example', ['x@x.example'], body=b'x\n')
ids = []
s = Send(home, remote=lambda j: (ids.append(j.id), j.all('K')))
wait_for(lambda: len(ids) >= 60)
keeper = s.children()[0]
os.kill(keeper, signal.SIGSTOP)
seen = -1
while seen != len(ids):
    seen = len(ids)
    time.sleep(0.3)
os.kill(s.pid, signal.SIGKILL)
s.process.wait()
os.kill(keeper, signal.SIGCONT)
with open(home + '/queue/lock/sendmutex') as f: fcntl.flock(f, fcntl.LOCK_EX)
left = len(glob.glob(home + '/queue/mess/*/*'))
equal(left - (3000 - len(ids)), 0, 'send is killed while the keeper stands still: nothing that was delivered is repeated')
s.stop()
done()

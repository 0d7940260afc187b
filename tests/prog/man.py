"""man.py - every program has a manual page, every page is clean, every control file is described"""
import glob, os, re, shutil, subprocess, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
from pipit import *

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), '..', '..'))
pages = {os.path.basename(p): open(p).read() for p in glob.glob(TOP + '/man/*.[1-8]')}
# A page that is one line ".so man1/NAME.1" stands for that page.
others = {p: m.group(1) for p, text in pages.items() for m in [re.fullmatch(r'\.so man\d/(\S+)\n', text)] if m}

def programs():
    for name in sorted(n for n in os.listdir(BIN) if n.startswith('pipit-') or os.path.islink(os.path.join(BIN, n))):
        page = next((p for p in pages if p.rsplit('.', 1)[0] == name), None)
        if not check(page, name + ' has a manual page'): continue
        page = others.get(page, page)
        missing = [s for s in ('NAME', 'SYNOPSIS', 'DESCRIPTION', 'EXIT STATUS', 'SEE ALSO')
                   if not re.search(r'^\.Sh %s$' % s, pages[page], re.M)]
        equal(missing, [], page + ': its sections')

def each_page():
    for page, text in sorted(pages.items()):
        name, section = page.rsplit('.', 1)
        if page in others:
            check(re.search(r'^\.Nm %s( ,)?$' % re.escape(name), pages.get(others[page], ''), re.M), '%s: %s is about it' % (page, others[page]))
            continue
        check(re.search(r'^\.Dt %s %s$' % (re.escape(name.upper()), section), text, re.M) and
              re.search(r'^\.Nm %s( ,)?$' % re.escape(name), text, re.M), page + ': title and name are those of the file')
        gone = [r for r in re.findall(r'^\.Xr (pipit-?[a-z]*) (\d)', text, re.M) if '%s.%s' % r not in pages]
        equal(gone, [], page + ': the pages of pipit that it refers to exist')
        if not shutil.which('mandoc'): continue
        p = subprocess.run(['mandoc', '-Tlint', '-Wwarning', os.path.join(TOP, 'man', page)], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        check(not p.stdout and not p.returncode, page + ': mandoc finds nothing: %r' % p.stdout[:300])
    if not shutil.which('mandoc'): skip('what mandoc says of the pages: mandoc is not installed')

def control_files():
    sources = {p: open(p).read() for d in os.listdir(TOP) if d not in ('build', 'tests', 'instance')
               for p in glob.glob(os.path.join(TOP, d, '*.[ch]')) + glob.glob(os.path.join(TOP, d, 'service', '*'))}
    code = '\n'.join(sources.values())
    page = pages.get('pipit-control.5', '')
    described = {name for line in re.findall(r'^\.It Pa (.*)$', page, re.M) for name in re.findall(r'[a-z][a-z0-9.]+', line)}
    read = set(re.findall(r'\b(?:control|load|read|setting|settings|get)_?\w*\(\s*"([a-z][a-z0-9.]*)"', code))
    read |= set(re.findall(r'"control/([a-z0-9.]+)"', code)) | set(re.findall(r'/control/([a-z0-9.]+)', code))
    check(len(read) > 5, 'the control files that are read are found in the sources: %r' % sorted(read))
    equal(sorted(read - described), [], 'every control file that is read is described in pipit-control(5)')
    unread = [n for n in sorted(described) if '"%s"' % n not in code and 'control/' + n not in code]
    equal(unread, [], 'every control file that is described is read')

programs()
each_page()
control_files()
done()

# GNU make. `make help` names the targets.
# Settings are the first lines of conf-cc, conf-ld, conf-home, conf-users and conf-split.
# Each folder's dir.mk names its programs (PROGRAMS, NAME_SRCS, NAME_LIBS), other names of them
# (NAME_NAMES, links), and may have options of its own for a target (CC_MORE, LD_MORE).

VERSION := 0.1
CC := $(shell head -n 1 conf-cc)
LD := $(shell head -n 1 conf-ld)
B := build
HOMEDIR := $(shell head -n 1 conf-home)
SPLIT := $(shell head -n 1 conf-split)
ACCOUNTS := $(shell sed '/^$$/,$$d' conf-users)
# Bytes of memory that a service whose programs strangers talk to may use (pipit-setup writes env/MEMORY).
MEMORY := 536870912

# The order matters: libcdb must come before libskarnet (both define cdb_init and others).
LIBS := -lcdb -lskarnet

ifeq ($(SANITIZE),1)
CC += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -U_FORTIFY_SOURCE
# An address space of terabytes cannot be limited.
MEMORY :=
LD += -fsanitize=address,undefined
endif

all:
.PHONY: all clean help deps deps-check demo accounts install install-compat
.DELETE_ON_ERROR:
.SECONDEXPANSION:
# An implicit rule must never delete an object that another make is using.
.SECONDARY:

PROGRAMS :=
SCRIPTS :=
UNITTESTS :=
LIBSRCS := $(sort $(wildcard lib/*.c))
include $(sort $(wildcard */dir.mk))

BINS := $(PROGRAMS:%=$B/bin/%)
SCRIPTBINS := $(foreach s,$(SCRIPTS),$B/bin/$(notdir $s))
LINKS := $(foreach p,$(PROGRAMS),$($p_NAMES))
LINKBINS := $(LINKS:%=$B/bin/%)
all: $(BINS) $(SCRIPTBINS) $(LINKBINS)

# Everything that is compiled in from the conf- files stands in one header.
$B/conf.h: conf-home conf-users conf-split Makefile
	@mkdir -p $(@D)
	@{ printf '#define CONF_HOME "%s"\n' "$$(head -n 1 conf-home)"; \
	   printf '#define CONF_SPLIT %s\n' "$$(head -n 1 conf-split)"; \
	   printf '#define CONF_VERSION "%s"\n' "$(VERSION)"; \
	   printf '#define CONF_USERS'; \
	   sed '/^$$/,$$d' conf-users | while read -r u; do printf ' "%s",' "$$u"; done; printf '\n'; } >$@

$B/%.o: %.c $B/conf.h conf-cc Makefile
	@mkdir -p $(@D)
	$(CC) $(CC_MORE) -Ilib -I$B -MMD -MP -c -o $@ $<

$B/libpipit.a: $(LIBSRCS:%.c=$B/%.o)
	@rm -f $@
	$(AR) rc $@ $^

$(BINS): $B/bin/%: $$(addprefix $B/,$$($$*_SRCS:.c=.o)) $B/libpipit.a conf-ld Makefile
	@mkdir -p $(@D)
	$(LD) $(LD_MORE) -o $@ $(filter %.o %.a,$^) $($*_LIBS) $(LIBS)

$(foreach p,$(PROGRAMS),$(foreach n,$($p_NAMES),$(eval $n_LINK := $p)))
$(LINKBINS): $B/bin/%: $$(addprefix $B/bin/,$$($$*_LINK))
	@ln -sfn $($*_LINK) $@

# In a script @SPLIT@ and the like stand for settings, and a line @NAME@ for a file of its _PARTS,
# which may hold another one: therefore twice.
$(foreach s,$(SCRIPTS),$(eval $(notdir $s)_SCRIPT := $s))
FILL = sed -e 's|@SPLIT@|$(SPLIT)|; s|@QUEUE@|$(word 4,$(ACCOUNTS))|; s|@HOME@|$(HOMEDIR)|; s|@ACCOUNTS@|$(ACCOUNTS)|; s|@MEMORY@|$(MEMORY)|; s|@LINKS@|$(foreach n,$(LINKS),$n=$($n_LINK))|' \
  $(foreach p,$($*_PARTS),-e '/^@$(notdir $p)@$$/{r $p' -e 'd' -e '}')
$(SCRIPTBINS): $B/bin/%: $$($$*_SCRIPT) $$($$*_PARTS) $B/conf.h
	@mkdir -p $(@D)
	$(FILL) $< | $(FILL) >$@
	@chmod 755 $@

# A unit test tests/unit/t-NAME.c is linked with the library; t-NAME_SRCS adds program modules.
UNITBINS := $(UNITTESTS:%=$B/tests/%)
$(UNITBINS): $B/tests/%: $B/tests/unit/%.o $$(addprefix $B/,$$($$*_SRCS:.c=.o)) $B/libpipit.a conf-ld
	@mkdir -p $(@D)
	$(LD) -o $@ $(filter %.o %.a,$^) $($*_LIBS) $(LIBS)

# Debian packages; "a|b" is satisfied by either. None of them starts anything.
DEPS := gcc make libc6-dev skalibs-dev libcdb-dev libc-ares-dev libssl-dev libcrypt-dev libpam0g-dev s6
CHECK_DEPS := python3 python3-dnspython python3-aiosmtpd openssl libnet-ssleay-perl swaks gsasl s-nail git-email libmailtools-perl libauthen-sasl-perl mandoc iproute2 procps psmisc strace faketime \
  'ucspi-tcp-ipv6|ucspi-tcp' daemontools e2fsprogs xfsprogs clang libclang-rt-dev

deps:
	@sh run/deps.sh $(DEPS)
deps-check:
	@sh run/deps.sh $(DEPS) $(CHECK_DEPS)

# In a second make, because the packages must be there before anything is built. DEMO_ONCE=1: stop
# after the two messages.
demo: deps
	@[ -e $B/bin/pipit-setup ] || echo 'building pipit, which takes a minute'
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@DEMO_ONCE=$(DEMO_ONCE) sh run/demo.sh $B/bin

accounts:
	@sh run/accounts.sh $(HOMEDIR) $(ACCOUNTS)

MANDIR := /usr/local/share/man
# Every file is complete when it gets its name: a running system finds the old or the new one.
install: all
	@install -d "$(DESTDIR)$(HOMEDIR)/bin" "$(DESTDIR)$(HOMEDIR)/fail2ban" $(foreach n,1 5 7 8,"$(DESTDIR)$(MANDIR)/man$n")
	@put() { install -m "$$1" "$$2" "$$3.new" && mv -f "$$3.new" "$$3"; }; link() { ln -sfn "$$1" "$$2.new" && mv -fT "$$2.new" "$$2"; }; set -e; \
	for f in $(BINS) $(SCRIPTBINS); do put 755 $$f "$(DESTDIR)$(HOMEDIR)/bin/$${f##*/}"; done; \
	put 644 run/fail2ban/pipit.conf "$(DESTDIR)$(HOMEDIR)/fail2ban/pipit.conf"; \
	for f in $(LINKBINS); do link "$$(readlink $$f)" "$(DESTDIR)$(HOMEDIR)/bin/$${f##*/}"; done; \
	link pipit-sendmail "$(DESTDIR)$(HOMEDIR)/bin/sendmail"; \
	for f in $(sort $(wildcard man/*.[1-8])); do put 644 $$f "$(DESTDIR)$(MANDIR)/man$${f##*.}/$${f##*/}"; done
	@echo 'installed programs in $(DESTDIR)$(HOMEDIR)/bin, manual pages in $(DESTDIR)$(MANDIR)'
	@echo 'next, as root: make accounts, then $(HOMEDIR)/bin/pipit-setup $(HOMEDIR); see INSTALL'

# qmail's names and paths as links, for an installed instance. COMPATDIR= leaves that directory out;
# SENDMAIL=1 makes /usr/sbin/sendmail and the like ours too, and keeps the old ones as NAME.old.
COMPATDIR := /var/qmail
install-compat: all
	@sh $B/bin/pipit-compat $(if $(DESTDIR),-r "$(DESTDIR)") $(if $(COMPATDIR),-q "$(COMPATDIR)") $(if $(filter 1,$(SENDMAIL)),-s) "$(HOMEDIR)"
	@echo 'qmail'"'"'s names are in $(DESTDIR)$(HOMEDIR)/bin$(if $(COMPATDIR), and $(DESTDIR)$(COMPATDIR))'

help:
	@echo 'make                 build everything below build/ (programs in build/bin)'
	@echo 'make demo            install missing packages, build, run a mail server in the foreground'
	@echo 'make check           every test; K=word: only those whose name holds word; J=n: n at a time'
	@echo 'make check-unit, check-prog, check-e2e    some of them'
	@echo 'make check-sanitize  every test with the address and undefined behaviour sanitizers'
	@echo 'make fuzz            every fuzzer, FUZZ_RUNS (10000000) executions each (hours)'
	@echo 'make check-fuzz      every fuzzer, FUZZ_SECONDS (60) each; found inputs in build/fuzz/found'
	@echo 'make check-peers     procmail, maildrop, mlmmj with 1000 subscribers, Dovecot, Exim, testssl.sh and others'
	@echo 'make check-world     the simulated world of next hops, its long form (20 minutes)'
	@echo 'make crash           kill, error and power-cut sweeps, all points (hours)'
	@echo 'make hostile         hostile input, with sizes past 4 GiB (an hour)'
	@echo 'make deps            install the Debian packages that pipit is built from'
	@echo 'make deps-check      and those that its tests use'
	@echo 'make accounts        make the accounts of conf-users (root)'
	@echo 'make install         programs to $(HOMEDIR)/bin, pages to $(MANDIR); DESTDIR=, HOMEDIR=, MANDIR='
	@echo 'make install-compat  qmail'"'"'s program names, and $(COMPATDIR), as links; COMPATDIR=, SENDMAIL=1'
	@echo 'make clean           remove build/'

clean:
	rm -rf $B

# Not build/peers, which holds other people's files.
-include $(shell find $B -path '*/peers' -prune -o -type f -name '*.d' -print 2>/dev/null)

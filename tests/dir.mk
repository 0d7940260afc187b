UNITTESTS += $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/t-*.c)))
PROGTESTS := $(sort $(wildcard tests/prog/*.sh tests/prog/*.py))
E2ETESTS := $(sort $(wildcard tests/e2e/*.sh tests/e2e/*.py))
# Sweeps: a sample of their points, or all of them where CRASH=long is in the environment.
CRASHTESTS := $(sort $(wildcard tests/crash/*.py))
# What takes longest begins first, so that nobody waits for it at the end.
LONGEST := tests/crash/power-cut.py tests/prog/send.py $(addprefix tests/prog/,recycling.py command.py destinations.py)
# Hostile input: some of these have a long form too, with sizes past 4 GiB and more of everything.
HOSTILETESTS = $(filter %/hostile-%,$(PROGTESTS) $(E2ETESTS))
# What tests run beside them, where Python would take too long.
HELPERS := $(patsubst %,$B/tests/helpers/%,smtpd-strings remote-strings killat shorten lspawn-exec local-worker)
smtpd-strings_SRCS := tests/crash/smtpd-strings.c tests/crash/strings.c
remote-strings_SRCS := tests/crash/remote-strings.c tests/crash/strings.c tests/crash/lax.c
killat_SRCS := tests/crash/killat.c
shorten_SRCS := tests/crash/shorten.c
lspawn-exec_SRCS := tests/crash/exec-worker.c $(filter-out local/worker.c,$(pipit-lspawn_SRCS))
local-worker_SRCS := tests/crash/local-worker.c local/worker.c $(LOCAL_SRCS)
$(HELPERS): $B/tests/helpers/%: $$(addprefix $B/,$$($$*_SRCS:.c=.o)) $B/libpipit.a conf-ld
	@mkdir -p $(@D)
	$(LD) -o $@ $(filter %.o %.a,$^) $(LIBS)
SUITE = /usr/bin/python3 tests/suite.py $(if $(J),-j $J) $(if $(K),-k $K) $(if $(filter 1,$(SANITIZE)),-t 900) $B

.PHONY: check check-sanitize check-all check-unit check-prog check-e2e check-crash check-peers check-world crash hostile
# make check-unit K=control runs only the tests whose name holds "control".
check-unit: $(UNITTESTS:%=$B/tests/%)
	$(SUITE) $^
check-prog: all $(HELPERS) $(UNITTESTS:%=$B/tests/%)
	$(SUITE) $(PROGTESTS)
check-e2e: all $(HELPERS)
	$(SUITE) $(E2ETESTS)
check-crash: all $(HELPERS)
	$(SUITE) $(CRASHTESTS)
check-all: all $(HELPERS) $(UNITTESTS:%=$B/tests/%)
	@$(SUITE) $(LONGEST) $(filter-out $(LONGEST),$(CRASHTESTS) $(E2ETESTS) $(PROGTESTS)) $(UNITTESTS:%=$B/tests/%)

# In a second make, because the packages must be there first. Nothing is printed after the count.
CHECK = @$(MAKE) --no-print-directory -s -j$$(nproc)
check: deps-check
	$(CHECK) check-all
check-sanitize: deps-check
	$(CHECK) SANITIZE=1 B=build/san check-all

# Twenty minutes: hundreds of next hops, with send and rspawn killed as well.
check-world: deps-check
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@WORLD=long $(SUITE) -j 1 -t 3600 -v tests/e2e/world.py

# Other people's programs, unpacked below build/peers; a list of a thousand.
PEERTESTS := $(patsubst %,tests/e2e/%.py,peers tls-clients submission-clients qmail senders pop3 imap postfix tls-postfix tls-exim)
check-peers: deps-check
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@PEERS=long $(SUITE) -j 1 -t 1800 $(PEERTESTS)

# Hours; each sweep tells its progress.
crash: deps-check
	@$(MAKE) --no-print-directory -s -j$$(nproc) all $(HELPERS)
	@CRASH=long $(SUITE) -j 1 -t 360000 -v $(CRASHTESTS)

# An hour, and 16 GB in /tmp.
hostile: deps-check
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@CRASH=long $(SUITE) -j 1 -t 14400 -v $(HOSTILETESTS)

include tests/fuzz/dir.mk

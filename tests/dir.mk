UNITTESTS += $(patsubst tests/unit/%.c,%,$(sort $(wildcard tests/unit/t-*.c)))
PROGTESTS := $(sort $(wildcard tests/prog/*.sh tests/prog/*.py))
E2ETESTS := $(sort $(wildcard tests/e2e/*.sh tests/e2e/*.py))
SUITE = /usr/bin/python3 tests/suite.py $(if $(J),-j $J) $(if $(K),-k $K) $(if $(filter 1,$(SANITIZE)),-t 900) $B

.PHONY: check check-sanitize check-all check-unit check-prog check-e2e
# make check-unit K=control runs only the tests whose name holds "control".
check-unit: $(UNITTESTS:%=$B/tests/%)
	$(SUITE) $^
check-prog: all $(UNITTESTS:%=$B/tests/%)
	$(SUITE) $(PROGTESTS)
check-e2e: all
	$(SUITE) $(E2ETESTS)
check-all: all $(UNITTESTS:%=$B/tests/%)
	@$(SUITE) $(E2ETESTS) $(PROGTESTS) $(UNITTESTS:%=$B/tests/%)

# In a second make, because the packages must be there first. Nothing is printed after the count.
CHECK = @$(MAKE) --no-print-directory -s -j$$(nproc)
check: deps-check
	$(CHECK) check-all
check-sanitize: deps-check
	$(CHECK) SANITIZE=1 B=build/san check-all
